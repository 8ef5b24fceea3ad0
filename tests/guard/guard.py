#!/usr/bin/env python3
"""
Counts the instructions that the HTTP code takes for 10,000 recorded exchanges, by callgrind, and compares with the
figure in instructions.json. Noise does not touch it: the same program gives the same count on any machine.

ctest calls it with what CMake knows. Exit status: 0 as recorded, or better; 1 more than 5 % worse, or the work failed;
77 nothing to compare with (no valgrind, or no figure for this compiler). With --update it writes the figure instead.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOLERANCE = 0.05
SKIPPED = 77
MEASURED = "rg_guard_work"  # the function whose instructions, with all it calls, are counted

# The C library picks its memcpy by what the CPU can do; the plainest one is there on every machine.
TUNABLES = "glibc.cpu.hwcaps=" + ",".join(
    "-" + feature for feature in ("AVX2", "AVX512F", "AVX512VL", "AVX512BW", "AVX_Fast_Unaligned_Load", "ERMS", "FSRM",
                                  "BMI2", "RTM", "Prefer_No_VZEROUPPER", "SSSE3", "SSE4_1", "SSE4_2", "MOVBE"))


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", type=Path, required=True)
    p.add_argument("--exchanges", type=Path, required=True)
    p.add_argument("--figures", type=Path, required=True)
    p.add_argument("--profile", type=Path, required=True, help="where callgrind writes what it has counted")
    p.add_argument("--compiler", required=True, help="as CMake names it: GNU, Clang")
    p.add_argument("--compiler-version", required=True)
    p.add_argument("--build-type", required=True)
    p.add_argument("--flags", required=True)
    p.add_argument("--build-dir", type=Path, required=True)
    p.add_argument("--update", action="store_true", help="record this count as the one to compare with")
    return p.parse_args()


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(SKIPPED)


def fail(why):
    print(f"FAILED: {why}")
    sys.exit(1)


def key_of(args):
    name = {"GNU": "gcc", "Clang": "clang"}.get(args.compiler, args.compiler)
    return f"{platform.machine()} {name}-{args.compiler_version.split('.')[0]} {args.build_type}"


def count_instructions(program, argument, function, profile):
    """Those of this function, with all it calls; and what the program says."""
    valgrind = shutil.which("valgrind")
    if not valgrind:
        skip("valgrind is not installed (package valgrind)")
    profile.unlink(missing_ok=True)
    # A bare environment: its size moves the stack, and with it what is aligned.
    r = subprocess.run(
        [valgrind, "--tool=callgrind", f"--toggle-collect={function}", f"--callgrind-out-file={profile}",
         str(program), str(argument)],
        env={"PATH": os.defpath, "GLIBC_TUNABLES": TUNABLES}, capture_output=True, text=True, check=False)
    if r.returncode != 0 or not profile.exists():
        fail(f"{program.name} under valgrind ended with {r.returncode}\n{r.stdout}{r.stderr}")
    total = re.search(r"^(?:summary|totals): (\d+)", profile.read_text(encoding="utf-8", errors="replace"), re.M)
    if not total or int(total.group(1)) == 0:
        fail(f"callgrind counted nothing in {function}; was it renamed or inlined?\n{r.stdout}{r.stderr}")
    return int(total.group(1)), r.stdout


def measure(args):
    """Instructions of the work, and what the program says about its output."""
    count, stdout = count_instructions(args.program, args.exchanges, MEASURED, args.profile)
    said = re.match(r"exchanges (\d+) output (\w+)", stdout)
    if not said:
        fail(f"{args.program.name} does not say what it has done\n{stdout}")
    return count, int(said.group(1)), said.group(2)


def how_to_look(args):
    return (f"to see where: callgrind_annotate --auto=yes --inclusive=no {args.profile} | head -80\n"
            f"to record this count, when the change is meant: cmake --build {args.build_dir} --target guard-update")


def update(args, figures, key, count, output):
    old = figures.get(key, {}).get("instructions")
    figures[key] = {"flags": args.flags.strip(), "instructions": count, "output": output}
    args.figures.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    was = f", was {old} ({count / old - 1:+.2%})" if old else ""
    print(f"{args.figures}: {key}: {count}{was}; say in the commit why it changed")


def compare(args, recorded, key, count, each, output):
    change = count / recorded["instructions"] - 1
    print(f"{key}: {count} instructions, {each:.0f} an exchange; recorded {recorded['instructions']} ({change:+.2%})")
    if output != recorded["output"]:
        print("What is written differs from what was when the figure was recorded: part of the change may be that.")
    if change > TOLERANCE:
        fail(f"{change:.2%} more instructions than recorded, at most {TOLERANCE:.0%} are allowed\n{how_to_look(args)}")
    if change < -TOLERANCE:
        print(f"Better by more than {TOLERANCE:.0%}: tighten the figure, or the gain can be lost unseen\n"
              f"{how_to_look(args)}")


def main():
    args = arguments()
    figures = json.loads(args.figures.read_text(encoding="utf-8"))
    key = key_of(args)
    count, exchanges, output = measure(args)
    if args.update:
        update(args, figures, key, count, output)
        return
    recorded = figures.get(key)
    here = f"{count} instructions, {count / exchanges:.0f} an exchange"
    if not recorded:
        skip(f"no figure for '{key}' in {args.figures.name}; here: {here}")
    if recorded["flags"] != args.flags.strip():
        skip(f"built with '{args.flags.strip()}', the figure is for '{recorded['flags']}'; here: {here}")
    compare(args, recorded, key, count, count / exchanges, output)


if __name__ == "__main__":
    main()
