#!/usr/bin/env python3
"""Makes one CTest directory of several build trees, so that one ctest run covers them and prints one summary.

usage: merge_trees.py [--slower FACTOR] OUT PRESET...
       merge_trees.py --targets PRESET

Every test keeps its command and properties and gets the name of its tree in front: asan/unit.test_pool. With --slower, all
that a test waits for may take so much longer. With --targets it prints what has to be built for the tests of a tree.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Tree:
    """Which tests of a tree are run, and in which environment."""

    select: str = ""  # a test's name must match
    leave_out: str = "^$"
    environment: list = field(default_factory=list)


TREES = {
    "release": Tree(),
    # What the steering does with a stalled worker is timed, and the switch that stalls one is not in a release.
    "debug": Tree(select=r"^e2e\.steering$"),
    # Without what measures time: sanitizers make it say nothing.
    "asan": Tree(
        leave_out=r"^e2e\.(steering|load_times)$",
        environment=[
            "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1",
            "UBSAN_OPTIONS=print_stacktrace=1",
        ],
    ),
    # The parts in which threads meet, and the end-to-end tests in which all of them run at once.
    "tsan": Tree(
        select=r"access_ring|replica|metric|log|worker|test_(store_thread|limit|keys|state)$|^bpf|"
        r"^e2e\.(http|http_fields|http_upgrade|drain|admin|config|replica|routes)$",
        environment=["TSAN_OPTIONS=second_deadlock_stack=1"],
    ),
    # In every other tree the corpus is replayed.
    "fuzz": Tree(select=r"^fuzz\."),
}

HOUSE_TESTS = {
    "house.layers": ["python3", "tests/house/check_layers.py"],
    "house.links": ["python3", "tests/house/check_links.py"],
}

# Seconds, about, by name or by tree: the longest come first, so that none is left alone at the end. Fuzzing, in its lanes,
# lasts as long as all others together.
COSTS = {
    "fuzz": 110,
    "e2e.replica": 80,
    "e2e.attacks_slow": 70,
    "e2e.load": 65,
    "e2e.deployments_adversity": 60,
    "unit.sim_teardown_test": 50,
    "e2e.harness_run": 40,
    "e2e.control": 40,
    "e2e.rgctl": 35,
    "e2e.h2_attacks": 35,
    "e2e.tls_reload": 35,
    "e2e.rgctl_apply": 30,
    "e2e.config": 30,
    "e2e.tls": 30,
    "e2e.control_hostile": 25,
    "e2e.tunnels": 25,
    "e2e.upstreams": 25,
    "e2e.h2c": 20,
    "e2e.peers": 20,
    "e2e.h2c_faults": 15,
}

CHAIN_COST = 100

# Fuzzers that run at once: more would only share what the tests beside them leave of the CPUs.
FUZZ_LANES = os.cpu_count() or 1

# Names that refer to other tests or fixtures of the same tree.
REFERENCES = ("DEPENDS", "FIXTURES_SETUP", "FIXTURES_REQUIRED", "FIXTURES_CLEANUP")


def tests_of(preset):
    out = subprocess.run(
        ["ctest", "--test-dir", ROOT / "build" / preset, "--show-only=json-v1"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return json.loads(out)["tests"]


def quoted(text):
    """A CMake bracket argument: nothing in it is expanded."""
    level = "="
    while f"]{level}]" in text:
        level += "="
    return f"[{level}[{text}]{level}]"


def as_text(value):
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, list):
        return ";".join(str(item).replace(";", r"\;") for item in value)
    return str(value)


def slowed(environment, factor):
    """The end-to-end tests' own factor (tests/e2e/lib/env.py), multiplied."""
    name = "RINGGATE_TEST_SLOW="
    return [f"{name}{float(word.removeprefix(name)) * factor:g}" if word.startswith(name) else word for word in environment]


def properties_of(test, preset, slower):
    properties = {p["name"]: p["value"] for p in test.get("properties", []) if not p["name"].startswith("_")}
    for name in REFERENCES:
        if name in properties:
            properties[name] = [f"{preset}/{value}" for value in properties[name]]
    # As ./dev counts them: four for each CPU.
    properties["PROCESSORS"] = 1 if "waits" in properties.get("LABELS", []) else 2
    # Those that exclude each other form a chain, which must not be left over at the end.
    chained = CHAIN_COST if "RESOURCE_LOCK" in properties else 0
    properties["COST"] = max(chained, COSTS.get(test["name"], COSTS.get(preset, 0)))
    properties["ENVIRONMENT"] = TREES[preset].environment + slowed(properties.get("ENVIRONMENT", []), slower)
    if "TIMEOUT" in properties:
        properties["TIMEOUT"] *= slower
    return properties


def wanted(name, tree):
    return re.search(tree.select, name) and not re.search(tree.leave_out, name)


def chosen_tests(preset):
    return [test for test in tests_of(preset) if wanted(test["name"], TREES[preset])]


def targets_of(test):
    """A unit or BPF test is called after its program; an end-to-end test is told those it runs."""
    kind, _, name = test["name"].partition(".")
    if kind in ("unit", "bpf"):
        return {name}
    environment = next((p["value"] for p in test.get("properties", []) if p["name"] == "ENVIRONMENT"), [])
    return {word.rpartition("/")[2] for word in environment if re.match(r"\w+_BIN=", word)}


def write_test(out, name, command, properties):
    out.append(f"add_test({quoted(name)} {' '.join(quoted(word) for word in command)})")
    pairs = " ".join(f"{key} {quoted(as_text(value))}" for key, value in properties.items())
    out.append(f"set_tests_properties({quoted(name)} PROPERTIES {pairs})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--slower", type=float, default=1)
    parser.add_argument("--targets", choices=TREES)
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("presets", nargs="*")
    arguments = parser.parse_args()
    if arguments.targets:
        print(*sorted(set().union(*map(targets_of, chosen_tests(arguments.targets)))))
        return
    directory = arguments.directory
    out = ["# Written by tests/house/merge_trees.py."]
    for name, command in HOUSE_TESTS.items():
        write_test(out, name, command, {"WORKING_DIRECTORY": str(ROOT), "TIMEOUT": 60})
    for preset in arguments.presets:
        chosen = chosen_tests(preset)
        if not chosen:
            sys.exit(f"build/{preset}: no test was chosen")
        for i, test in enumerate(chosen):
            # A test whose program was not built has no command; ctest then reports it as failed.
            command = test.get("command", [f"{test['name']}-is-not-built"])
            properties = properties_of(test, preset, arguments.slower)
            if preset == "fuzz":
                properties["RESOURCE_LOCK"] = f"fuzz lane {i % FUZZ_LANES}"
            write_test(out, f"{preset}/{test['name']}", command, properties)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "CTestTestfile.cmake").write_text("\n".join(out) + "\n")


main()
