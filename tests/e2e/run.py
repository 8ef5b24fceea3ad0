#!/usr/bin/env python3
"""
Runs one test module with pytest for CTest: 0 passed, 77 everything was skipped (with the reasons), 1 otherwise.
"""

import os
import sys

os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
sys.dont_write_bytecode = True

try:
    import pytest
except ImportError:
    print("SKIP: pytest is not installed (package python3-pytest)")
    sys.exit(77)


class Count:
    """What came of the tests."""

    def __init__(self):
        self.passed = self.failed = 0
        self.reasons = []

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed += 1
        elif report.skipped:
            self.reasons.append(report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr))
        elif report.when == "call":
            self.passed += 1


def main():
    here = os.path.dirname(os.path.abspath(sys.argv[1]))
    count = Count()
    args = ["-p", "no:cacheprovider", "--rootdir", here, "-c", os.path.join(here, "pytest.ini"), "-q", "-ra",
            "--durations=5", "--tb=short", *sys.argv[1:]]
    status = pytest.main(args, plugins=[count])
    if status == 0 and not count.passed and count.reasons:
        print("SKIP: " + "; ".join(sorted(set(count.reasons))))
        return 77
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
