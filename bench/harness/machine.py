"""The machine a run has: a network of its own, its counters, and what it is. Linux only; the network needs root."""

import ctypes
import os
import pathlib
import platform
import re
import resource
import shutil
import socket
import subprocess

from .programs import Failure, SYSTEM_PATH

TICKS = os.sysconf("SC_CLK_TCK")
CLONE_NEWNET = 0x40000000
DESCRIPTORS = 65536         # two for each of 10,000 clients, and some
FIRST_PORT = 2000           # of listeners in a network of its own: below the ports that clients get there
CLIENT_PORTS = "10000 65535"


def enter_own_network(congestion):
    """A network namespace of its own whose loopback routes name the congestion control, so that every socket of the run
    has the same, whoever opens it. (By sysctl a namespace gets only what the system allows to everybody.)"""
    if not shutil.which("ip", path=SYSTEM_PATH):
        raise Failure("ip is missing: apt-get install iproute2, or run in the system's network with --congestion system", 2)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Failure(f"no network namespace of its own ({reason}): run as root, or in the system's network with "
                      "--congestion system", 2)
    commands = ["link set lo up"]
    commands += [f"route replace table local local {to} dev lo src 127.0.0.1 congctl {congestion}"
                 for to in ("127.0.0.0/8", "127.0.0.1")]
    for command in commands:
        done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, env={"PATH": SYSTEM_PATH})
        if done.returncode != 0:
            raise Failure(f"ip {command}: {done.stderr.strip()}; `sysctl net.ipv4.tcp_available_congestion_control` lists "
                          "what --congestion can be", 2)
    try:
        pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(CLIENT_PORTS)
    except OSError:
        return  # /proc is read-only in some containers; the default range is enough but for connections per request


def raise_descriptor_limit():
    """Root may often go beyond the hard limit; others get what there is. Returns what there is then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(DESCRIPTORS, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Ports:
    """Ports to listen on: in a network of its own one after the other, else whatever is free at the moment."""

    def __init__(self, isolated):
        self.next = FIRST_PORT if isolated else None

    def take(self):
        if self.next is None:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                return sock.getsockname()[1]
        self.next += 1
        return self.next - 1


# ---- counters ----

def read_stat(pid):
    """Fields of /proc/PID/stat from the third (state) on: the name before them may hold anything."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid):
    """The process and its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)] = int(read_stat(int(entry))[1])
            except OSError:
                continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu_seconds(pids):
    """User and system time of processes, all their threads."""
    user = system = 0
    for pid in pids:
        try:
            fields = read_stat(pid)
        except OSError:
            continue
        user += int(fields[11])
        system += int(fields[12])
    return user / TICKS, system / TICKS


def idle_seconds():
    """Of all CPUs together: idle or waiting for disks. The kernel keeps these exactly; what is busy is the rest of the time."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return (int(fields[3]) + int(fields[4])) / TICKS


def memory_kib(pids):
    """Proportional set size: pages that forked workers share count once."""
    total = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE).group(1))
    return total


# ---- what it is ----

def first_line(path, default="unknown"):
    try:
        return pathlib.Path(path).read_text().strip().split("\n")[0]
    except OSError:
        return default


def cpu_model():
    found = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def mitigations():
    """What the kernel does against flaws of the CPU: system calls cost more with than without."""
    folder = pathlib.Path("/sys/devices/system/cpu/vulnerabilities")
    found = {entry.name: first_line(entry) for entry in sorted(folder.iterdir())} if folder.is_dir() else {}
    return {name: text for name, text in found.items() if text.startswith(("Mitigation", "Vulnerable"))}


def memory_total_mib():
    found = re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found.group(1)) // 1024


def distribution():
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)
    return found.group(1) if found else "unknown"


def describe():
    hypervisor = re.search(r"^flags\s*:.*\bhypervisor\b", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu_model(), "cpus": os.cpu_count(), "virtual": bool(hypervisor), "memory_mib": memory_total_mib(),
        "governor": first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "none visible"),
        "kernel": f"{platform.release()} {platform.version()}", "distribution": distribution(),
        "mitigations": mitigations(), "load_before": os.getloadavg()[0],
    }


def system_congestion():
    return first_line("/proc/sys/net/ipv4/tcp_congestion_control")
