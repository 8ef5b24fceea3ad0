#!/usr/bin/env python3
"""
What documents point at: every relative link of a tracked Markdown file names a tracked file and, after '#', a heading; every
test that is cited as `FILE::NAME` (`::NAME`: of the file cited before it in the same line) is defined in that file; every
source file that is named (`conn.c`, `tls/open.c`, `conf*.c`) is there, but for records of decisions, which tell of their day;
every such record is listed in docs/adr/README.md.
"""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
SOURCE = re.compile(r"`([\w./*-]+\.(?:c|h|def))`")
TEST = re.compile(r"`([\w./-]*)::(\w+)`")


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {Path(name) for name in out.split("\0") if name}


def anchor(heading):
    """GitHub's anchor of a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.replace("`", "").replace("*", ""))
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def anchors(text):
    return {anchor(m.group(1)) for m in re.finditer(r"^#{1,6}\s+(.*?)\s*#*$", FENCE.sub("", text), re.MULTILINE)}


def problem(document, link, files):
    path, _, fragment = link.partition("#")
    target = document if not path else Path((ROOT / document.parent / path).resolve())
    if target.is_absolute():
        if ROOT not in (target, *target.parents):
            return "leads out of the project"
        target = target.relative_to(ROOT)
    if target not in files and not any(target in file.parents for file in files):
        return "no such file"
    if fragment and target.suffix == ".md" and fragment not in anchors((ROOT / target).read_text()):
        return "no such heading"
    return None


def test_files(cited, files):
    """A file is cited by its name alone or by its path; below tests/ no two may answer to it."""
    return [file for file in files if file.parts[0] == "tests" and ("/" + str(file)).endswith("/" + cited)]


def cited_tests(text, files):
    """(citation, why it is wrong) for each test that is cited and not there."""
    for line in FENCE.sub("", text).splitlines():
        cited = None
        for file, name in TEST.findall(line):
            cited = file or cited
            if cited == "FILE" or not cited:
                continue
            found = test_files(cited, files)
            if len(found) != 1:
                yield f"{cited}::{name}", "no such file below tests/" if not found else "several files have that name"
            elif not re.search(rf"^(?:async def|def|static void) {name}\(", (ROOT / found[0]).read_text(), re.MULTILINE):
                yield f"{cited}::{name}", f"{found[0]} has no such test"


def missing_sources(document, text, files):
    """Named by the end of its path, perhaps with a star."""
    if "adr" in document.parts:
        return
    for named in sorted(set(SOURCE.findall(FENCE.sub("", text)))):
        if not any(fnmatch("/" + str(file), "*/" + named) for file in files):
            yield named


def unlisted_records(files):
    listed = (ROOT / "docs/adr/README.md").read_text()
    return [file for file in sorted(files) if re.match(r"docs/adr/\d", str(file)) and f"({file.name})" not in listed]


def main():
    files = tracked()
    bad = 0
    for document in sorted(file for file in files if file.suffix == ".md" and (ROOT / file).exists()):
        text = (ROOT / document).read_text()
        for test, why in cited_tests(text, files):
            print(f"{document}: test {test}: {why}", file=sys.stderr)
            bad += 1
        for source in missing_sources(document, text, files):
            print(f"{document}: `{source}`: no such file", file=sys.stderr)
            bad += 1
        prose = CODE.sub("", FENCE.sub("", text))
        for link in LINK.findall(prose):
            if re.match(r"[a-z]+:", link):
                continue
            why = problem(document, link, files)
            if why:
                print(f"{document}: link to {link}: {why}", file=sys.stderr)
                bad += 1
    for record in unlisted_records(files):
        print(f"{record}: not listed in docs/adr/README.md", file=sys.stderr)
        bad += 1
    sys.exit(1 if bad else 0)


main()
