"""docs/PERFORMANCE.md: words written by hand, and between two marks the latest results, made from results.json. Within the
words, figures that belong to a target are filled in too: <!-- target: NAME -->...<!-- /target -->."""

import re

import scenarios as table

from . import report, results, targets
from .programs import Failure

BEGIN = "<!-- measured: begin; ./dev bench --write docs/PERFORMANCE.md makes what follows -->"
END = "<!-- measured: end -->"
FIGURE = re.compile(r"(<!-- target: (.+?) -->).*?(<!-- /target -->)")


def parts_of(text):
    """The words before, and the words after."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Failure(f"the document lacks a mark: it must have the lines\n  {BEGIN}\n  {END}", 2)
    return before, after


def figures_of(row):
    return f"{row['measured']:.2f} ({row['low']:.2f}-{row['high']:.2f})"


def with_figures(words, judged):
    """Those of targets that this report has; others stay as they are."""
    known = {one.text for one in table.TARGETS}

    def filled(found):
        name = found.group(2)
        if name not in known:
            raise Failure(f"the document's words name no such target: {name}; bench/scenarios.py (TARGETS) has their texts", 2)
        row = judged.get(name)
        return f"{found.group(1)}{figures_of(row)}, {row['verdict']}{found.group(3)}" if row else found.group(0)
    return FIGURE.sub(filled, words)


def written(text, measured):
    """The document with its middle and the figures in its words made anew; everything else is kept as it is."""
    judged = {row["text"]: row for row in measured["targets"]}
    before, after = (with_figures(words, judged) for words in parts_of(text))
    return f"{before}{BEGIN}\n\n{report.sections(measured)}\n\n{END}{after}"


def remarks(text, measured):
    """Where the words need a hand: what was missed and has none, and what they still speak of."""
    named = {found.group(2) for words in parts_of(text) for found in FIGURE.finditer(words)}
    judged = {row["text"]: row for row in measured["targets"]}
    lines = [f"not measured, so its figures are old ones: {name}" for name in sorted(named - judged.keys())]
    for name, row in judged.items():
        if row["verdict"] == targets.REACHED and name in named:
            lines.append(f"reached, and in the words: {name}, {figures_of(row)}")
        elif row["verdict"] == targets.MISSED and name not in named:
            lines.append(f"missed, and not in the words: {name}, {figures_of(row)}")
    return lines


def write(path, folder, say):
    measured = results.read(folder)
    if not measured:
        raise Failure(f"{results.path_of(folder)} is missing: ./dev bench makes it", 2)
    if not path.is_file():
        raise Failure(f"{path} is missing: it needs its words and marks first (see docs/PERFORMANCE.md)", 2)
    text = written(path.read_text(), measured)
    path.write_text(text)
    for line in remarks(text, measured):
        say(line)
