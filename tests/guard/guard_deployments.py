#!/usr/bin/env python3
"""
Counts the instructions that the platform's store takes for a deployment, by callgrind. Exit status as of guard.py: 1
when it takes more than is allowed here.
"""

import argparse
from pathlib import Path

import guard

MOST = 3_600_000  # those of SQLite included, which differ with its version, and of the test itself, which reads each answer
DEPLOYMENTS = 200


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", type=Path, required=True)
    p.add_argument("--profile", type=Path, required=True, help="where callgrind writes what it has counted")
    args = p.parse_args()
    count, _ = guard.count_instructions(args.program, DEPLOYMENTS, "rg_guard_deployments", args.profile)
    print(f"instructions of a deployment in the platform's store: {count / DEPLOYMENTS:.0f}")
    if count > MOST * DEPLOYMENTS:
        guard.fail(f"at most {MOST} are allowed; callgrind_annotate {args.profile} shows where")


if __name__ == "__main__":
    main()
