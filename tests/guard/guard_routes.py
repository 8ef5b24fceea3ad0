#!/usr/bin/env python3
"""
Counts the instructions of finding a route among 10 and among 10,000, by callgrind. Exit status as of guard.py: 1 when
many cost more than 10 % more than few.
"""

import argparse
from pathlib import Path

import guard

MOST = 1.10
LOOKUPS = 10000  # as in routes.c


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", type=Path, required=True)
    p.add_argument("--profile", type=Path, required=True, help="where callgrind writes what it has counted")
    args = p.parse_args()
    few, _ = guard.count_instructions(args.program, "few", "rg_guard_lookups", args.profile)
    many, _ = guard.count_instructions(args.program, "many", "rg_guard_lookups", args.profile)
    print(f"instructions a lookup: {few / LOOKUPS:.0f} among few routes, {many / LOOKUPS:.0f} among many "
          f"({many / few - 1:+.1%})")
    if many > few * MOST:
        guard.fail(f"at most {MOST - 1:.0%} more are allowed; callgrind_annotate {args.profile} shows where")


if __name__ == "__main__":
    main()
