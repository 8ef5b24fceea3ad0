#!/usr/bin/env python3
"""Dependencies run one way: control -> datapath -> http -> base. Two checks: what the sources include, what CMake links.

usage: check_layers.py BUILD_TREE
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A file under the first path may include project headers under the others only. The longest match counts.
MAY_INCLUDE = {
    "datapath/base": ["datapath/base"],
    "datapath/http": ["datapath/http", "datapath/base"],
    "datapath": ["datapath", "bpf/steer.h"],
    "bpf": ["bpf"],
    "control/common": ["control/common", "datapath/base", "datapath/settings.h"],
    "control": ["control", "datapath", "bpf"],
    "bench": ["bench"],
}

# A library of ours may be linked to these only (libraries from outside are free).
MAY_LINK = {
    "rg_flags": set(),
    "rg_liburing": set(),
    "rg_base": {"rg_flags"},
    "rg_http": {"rg_base"},
    "rg_datapath": {"rg_http", "rg_liburing"},
    "rg_steer": {"rg_flags"},
    "rg_conf": {"rg_base"},
    "rg_options": {"rg_conf", "rg_base"},
    "rg_control": {"rg_conf", "rg_options", "rg_datapath", "rg_steer"},
}


def is_under(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    matches = [folder for folder in MAY_INCLUDE if is_under(path, folder)]
    return max(matches, key=len, default=None)


def wrong_includes():
    out = subprocess.run(["git", "ls-files", "-z", "*.c", "*.h", "*.def"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, out.stdout.split("\0")):
        layer = layer_of(name)
        if layer is None or not (ROOT / name).exists():
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            header = match.group(1)
            if (ROOT / header).exists() and not any(is_under(header, allowed) for allowed in MAY_INCLUDE[layer]):
                yield f"{name}:{number}: {layer} must not include {header}"


def wrong_links(tree):
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / "links.dot"
        subprocess.run(["cmake", f"--graphviz={graph}", tree], cwd=ROOT, check=True, capture_output=True)
        text = graph.read_text()
    for source, target in re.findall(r"// (\w+) -> (\w+)", text):
        if source in MAY_LINK and target.startswith("rg_") and target not in MAY_LINK[source]:
            yield f"CMake: {source} must not be linked to {target}"
    for library in sorted(set(re.findall(r'label = "(rg_\w+)', text)) - set(MAY_LINK)):
        yield f"CMake: {library} is in no layer (tests/house/check_layers.py)"


def main():
    problems = [*wrong_includes(), *wrong_links(sys.argv[1])]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


main()
