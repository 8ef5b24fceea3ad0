#!/usr/bin/env python3
"""Dependencies run one way: control -> datapath -> http -> base. Two checks: what the sources include, what CMake links."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A file under the first path may include project headers under the others only. The longest match counts.
MAY_INCLUDE = {
    "datapath/base": ["datapath/base"],
    "datapath/http": ["datapath/http", "datapath/base"],
    "datapath/policy": ["datapath/policy", "datapath/http", "datapath/base", "datapath/settings.h"],
    "datapath/tls": ["datapath/tls", "datapath/base", "datapath/settings.h"],
    "datapath": ["datapath", "bpf/steer.h", "bpf/sockmap.h"],
    "bpf": ["bpf"],
    "control/common": ["control/common", "datapath/http", "datapath/policy/param.h", "datapath/base", "datapath/settings.h"],
    "control/cli": ["control/cli", "control/common", "datapath/base", "datapath/settings.h"],
    "control/options": ["control/options", "control/common", "datapath"],
    "control/artifact": ["control/artifact", "control/common", "datapath"],
    "control/agent": ["control/agent", "control/artifact", "control/options", "control/common", "datapath"],
    "control/gateway": ["control/gateway", "control/agent", "control/options", "control/common", "datapath", "bpf"],
    "control/platform": ["control/platform", "control/gateway", "control/artifact", "control/options", "control/common", "datapath"],
    "control": ["control", "datapath", "bpf"],
    "bench": ["bench"],
}

# A library of ours may be linked to these only (libraries from outside are free).
MAY_LINK = {
    "rg_flags": set(),
    "rg_liburing": set(),
    "rg_base": {"rg_flags"},
    "rg_http": {"rg_base"},
    "rg_tls": {"rg_base"},
    "rg_policy": {"rg_http"},
    "rg_datapath": {"rg_http", "rg_tls", "rg_policy", "rg_liburing"},
    "rg_bpf_explain": {"rg_flags"},
    "rg_steer": {"rg_bpf_explain"},
    "rg_sockmap": {"rg_bpf_explain"},
    "rg_conf": {"rg_base"},
    "rg_common": {"rg_conf", "rg_http"},
    "rg_cli": {"rg_common"},
    "rg_platform": {"rg_common"},
    "rg_platform_options": {"rg_options"},
    "rg_options": {"rg_conf", "rg_base"},
    "rg_bench": {"rg_flags"},
    "rg_artifact": {"rg_common", "rg_datapath"},
    "rg_agent": {"rg_options", "rg_common", "rg_artifact", "rg_datapath"},
    "rg_gateway": {"rg_conf", "rg_options", "rg_common", "rg_agent", "rg_datapath", "rg_steer", "rg_sockmap"},
}


def is_under(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    matches = [folder for folder in MAY_INCLUDE if is_under(path, folder)]
    return max(matches, key=len, default=None)


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in out.split("\0") if name and (ROOT / name).exists()]


def wrong_includes():
    for name in tracked("*.c", "*.h", "*.def"):
        layer = layer_of(name)
        if layer is None:
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            header = match.group(1)
            if (ROOT / header).exists() and not any(is_under(header, allowed) for allowed in MAY_INCLUDE[layer]):
                yield f"{name}:{number}: {layer} must not include {header}"


def wrong_links():
    found = set()
    for name in tracked("CMakeLists.txt", "*/CMakeLists.txt", ":!tests"):
        text = re.sub(r"#.*", "", (ROOT / name).read_text())
        for library in re.findall(r"add_library\(\s*(\w+)", text):
            found.add(library)
            if library not in MAY_LINK:
                yield f"{name}: {library} is in no layer (tests/house/check_layers.py)"
        for library, links in re.findall(r"target_link_libraries\(\s*(\w+)([^)]*)\)", text):
            for link in re.findall(r"\brg_\w+", links):
                if library in MAY_LINK and link not in MAY_LINK[library]:
                    yield f"{name}: {library} must not be linked to {link}"
    for library in sorted(set(MAY_LINK) - found):
        yield f"{library} is in the table of layers but is not built"


def main():
    problems = [*wrong_includes(), *wrong_links()]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


main()
