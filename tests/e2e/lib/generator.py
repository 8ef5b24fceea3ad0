"""ringgate-load, and what it prints."""

import json
import os
import subprocess

import pytest

from . import env

LOAD = os.environ.get("LOAD_BIN", "")

needs_program = pytest.mark.skipif(not os.access(LOAD, os.X_OK), reason="LOAD_BIN does not name a program")


def start(address, *flags):
    return subprocess.Popen([LOAD, "--connect", address, "--json", "-", *map(str, flags)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def end(process, code=0, seconds=40):
    out, err = process.communicate(timeout=env.scaled(seconds))
    assert process.returncode == code, (process.returncode, out, err)
    return json.loads(out) if out else err


def measure(address, *flags, code=0):
    return end(start(address, *flags), code)


def short(*flags):
    return ("--duration", 1, "--warmup", 0, *flags)
