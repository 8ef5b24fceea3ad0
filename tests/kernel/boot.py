#!/usr/bin/env python3
"""Boots a kernel in a machine of its own (QEMU), runs a command there, prints what it prints, exits as it does.

usage: boot.py [--accel tcg|kvm] [--memory MiB] [--limit SECONDS] KERNEL-DIRECTORY OUT-DIRECTORY COMMAND...

KERNEL-DIRECTORY is an unpacked linux-image package with modules.dep, beside it busybox. The machine sees this machine's
file system, read-only, below a file system in memory; only OUT-DIRECTORY ($RINGGATE_OUT inside) keeps what is written.
"""

import argparse
import lzma
import os
import re
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# What the initial RAM disk needs to reach the file system; what they need in turn is found in modules.dep.
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")

# From QEMU's start to the first word of inside.sh; a minute is usual when QEMU emulates the CPU on a busy machine.
BOOT_SECONDS = 240

# QEMU 7.2 with a thread for each CPU can lose a race while the kernel patches its own code ("Oops: int3"), at boot mostly.
BOOTS = 3


class Failed(Exception):
    """What is told in one line."""


# ---- the initial RAM disk ----


def module_name(path):
    return re.sub(r"\.ko(\.[a-z0-9]+)?$", "", os.path.basename(path)).replace("-", "_")


def modules_in_order(base):
    """Paths of MODULES and of what they need, each after what it needs. Those built into the kernel are left out."""
    needs = {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[module_name(path)] = (path, [module_name(p) for p in rest.split()])
    built_in = {module_name(p) for p in (base / "modules.builtin").read_text().splitlines()}
    order = []

    def add(name):
        if name in built_in:
            return
        if name not in needs:
            raise Failed(f"{base}: the kernel has no module {name}")
        path, wanted = needs[name]
        for other in reversed(wanted):
            add(other)
        if path not in order:
            order.append(path)

    for name in MODULES:
        add(name)
    return order


def plain(path):
    """A module's bytes: Debian compresses them since 13."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def cpio_entry(number, name, mode, data=b"", device=(0, 0)):
    """An entry of a "newc" archive."""
    name = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def initial_ram_disk(kernel, busybox):
    base = modules_of(kernel)
    order = modules_in_order(base)
    names = [module_name(path) + ".ko" for path in order]
    entries = [("bin", 0o40755, b""), ("dev", 0o40755, b""), ("modules", 0o40755, b"")]
    entries.append(("bin/busybox", 0o100755, busybox.read_bytes()))
    entries.append(("init", 0o100755, (HERE / "init.sh").read_bytes()))
    entries.append(("inside", 0o100644, str(HERE / "inside.sh").encode()))
    entries.append(("modules/order", 0o100644, "".join(name + "\n" for name in names).encode()))
    entries += [(f"modules/{name}", 0o100644, plain(base / path)) for name, path in zip(names, order)]
    archive = b"".join(cpio_entry(i + 1, *entry) for i, entry in enumerate(entries))
    archive += cpio_entry(len(entries) + 1, "dev/console", 0o20600, device=(5, 1))
    return archive + cpio_entry(0, "TRAILER!!!", 0)


# ---- the machine ----


def modules_of(kernel):
    found = sorted(kernel.glob("usr/lib/modules/*/modules.dep"))
    if not found:
        raise Failed(f"{kernel}: no modules.dep; this is no unpacked kernel package for which depmod was run")
    return found[0].parent


def qemu(arguments, kernel, run):
    images = sorted(kernel.glob("boot/vmlinuz-*"))
    if not images:
        raise Failed(f"{kernel}: no boot/vmlinuz-*")
    words = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off", "random.trust_cpu=on"]
    words += [f"ringgate.project={ROOT}", f"ringgate.run={run}"]
    accel = {"tcg": ["-accel", "tcg,thread=multi", "-cpu", "max"], "kvm": ["-accel", "kvm", "-cpu", "host"]}
    command = ["qemu-system-x86_64", *accel[arguments.accel], "-smp", "2", "-m", str(arguments.memory)]
    command += ["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    command += ["-kernel", str(images[0]), "-initrd", str(run / "initrd"), "-append", " ".join(words)]
    for tag, path, more in (("root", "/", ",readonly=on"), ("out", str(arguments.out), "")):
        command += ["-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap{more}"]
        command += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    return command + ["-device", "virtio-rng-pci"]


def prepare(arguments, kernel):
    run = arguments.out / "machine"
    run.mkdir(parents=True, exist_ok=True)
    (run / "initrd").write_bytes(initial_ram_disk(kernel, kernel.parent / "busybox"))
    (run / "command").write_text(shlex.join(arguments.command) + "\n")
    link = run / "modules"
    if link.is_symlink():
        link.unlink()
    link.symlink_to(modules_of(kernel).parent)
    return run


class Machine:
    """One boot. After run(): whether it came up, and the command's exit status if it got so far."""

    def __init__(self, command, limit):
        self.command, self.limit = command, limit
        self.came_up = False
        self.status = None

    def lines(self, process):
        """What the machine prints, until it ends; Failed when that takes too long."""
        begin, rest = time.monotonic(), b""
        while True:
            limit = self.limit if self.came_up else min(BOOT_SECONDS, self.limit)
            left = begin + limit - time.monotonic()
            if left <= 0:
                raise Failed(f"the machine {'was not done' if self.came_up else 'did not come up'} within {limit:.0f} s")
            if not select.select([process.stdout], [], [], left)[0]:
                continue
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                # Without what moves a terminal's cursor: the firmware clears the screen.
                yield re.sub(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1bc", "", line.decode(errors="replace").rstrip("\r"))

    def run(self):
        with subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            try:
                for line in self.lines(process):
                    self.came_up = self.came_up or line.startswith("kernel: ")
                    found = re.match(r"kernel: exit status (\d+)$", line)
                    if found:
                        self.status = int(found.group(1))
                        return
                    print(line, flush=True)
            finally:
                process.kill()


def run_machine(arguments, kernel):
    command = qemu(arguments, kernel, prepare(arguments, kernel))
    for left in reversed(range(BOOTS)):
        machine = Machine(command, arguments.limit)
        machine.run()
        if machine.came_up or not left:
            break
        print("boot.py: the machine did not come up, once more", file=sys.stderr, flush=True)
    if machine.status is None:
        raise Failed("the machine ended without the command's exit status: its last lines say why")
    return machine.status


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accel", choices=("tcg", "kvm"), default="tcg")
    parser.add_argument("--memory", type=int, default=3072, help="MiB")
    parser.add_argument("--limit", type=float, default=7200, help="seconds for all of it")
    parser.add_argument("kernel", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    try:
        return run_machine(arguments, arguments.kernel.resolve())
    except (Failed, OSError) as error:
        print(f"boot.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
