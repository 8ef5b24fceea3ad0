"""docs/PERFORMANCE.md: words written by hand, and between two marks the latest results, made from results.json."""

from . import report, results
from .programs import Failure

BEGIN = "<!-- measured: begin; ./dev bench --write docs/PERFORMANCE.md makes what follows -->"
END = "<!-- measured: end -->"


def written(text, measured):
    """The document with its middle made anew; everything outside of the marks is kept as it is."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Failure(f"the document lacks a mark: it must have the lines\n  {BEGIN}\n  {END}", 2)
    return f"{before}{BEGIN}\n\n{report.sections(measured)}\n\n{END}{after}"


def write(path, folder):
    measured = results.read(folder)
    if not measured:
        raise Failure(f"{results.path_of(folder)} is missing: ./dev bench makes it", 2)
    if not path.exists():
        raise Failure(f"{path} is missing: it needs its words and marks first (see docs/PERFORMANCE.md)", 2)
    path.write_text(written(path.read_text(), measured))
