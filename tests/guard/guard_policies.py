#!/usr/bin/env python3
"""
Counts the instructions of an exchange without policies and with five, by callgrind. Exit status as of guard.py: 1 when
the five cost more than what is allowed here.
"""

import argparse
from pathlib import Path

import guard

MOST = 8700  # instructions that five policies may take in the two phases of an exchange
EXCHANGES = 10100  # as in policies.c, with those that warm up


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", type=Path, required=True)
    p.add_argument("--profile", type=Path, required=True, help="where callgrind writes what it has counted")
    args = p.parse_args()
    none, _ = guard.count_instructions(args.program, "none", "rg_guard_policies", args.profile)
    five, _ = guard.count_instructions(args.program, "five", "rg_guard_policies", args.profile)
    cost = (five - none) / EXCHANGES
    print(f"instructions of an exchange in the HTTP code: {none / EXCHANGES:.0f} without policies, "
          f"{five / EXCHANGES:.0f} with five ({cost:+.0f})")
    if cost > MOST:
        guard.fail(f"at most {MOST} more are allowed; callgrind_annotate {args.profile} shows where")


if __name__ == "__main__":
    main()
