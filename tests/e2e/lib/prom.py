"""A strict reader of the Prometheus text format (0.0.4): what a scraper would choke on fails here."""

import math
import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"^({_NAME})(?:\{{(.*)\}})? (\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
_TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


class FormatError(AssertionError):
    """Not the text format."""


class Family:
    def __init__(self, name):
        self.name = name
        self.type = None
        self.help = None
        self.samples = []  # (name, labels as a sorted tuple, value)


def _labels(text, line):
    labels, pos = [], 0
    while pos < len(text):
        m = _LABEL.match(text, pos)
        if not m or (m.group(3) == "," and m.end() == len(text)):
            raise FormatError(f"bad labels in {line!r}")
        labels.append((m.group(1), m.group(2)))
        pos = m.end()
    if len({k for k, _ in labels}) != len(labels):
        raise FormatError(f"a label stands twice in {line!r}")
    return tuple(sorted(labels))


def _family_of(name, families):
    for suffix in ("_bucket", "_sum", "_count"):
        base = name[:-len(suffix)] if name.endswith(suffix) else None
        if base in families and families[base].type in ("histogram", "summary"):
            return base
    return name


def parse(text):
    """Families by name. Every family needs TYPE and HELP before its samples, and stands in one piece."""
    if not text.endswith("\n"):
        raise FormatError("the last line has no end")
    families, current, seen = {}, None, set()
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            kind, name, rest = (line[2:].split(" ", 2) + ["", ""])[:3]
            if kind not in ("HELP", "TYPE"):
                continue
            family = families.setdefault(name, Family(name))
            if family.samples or (current not in (None, name) and (family.type or family.help)):
                raise FormatError(f"family {name} stands in several places")
            current = name
            if kind == "TYPE":
                if rest not in _TYPES or family.type:
                    raise FormatError(f"bad or repeated TYPE: {line!r}")
                family.type = rest
            elif family.help is not None or not rest:
                raise FormatError(f"empty or repeated HELP: {line!r}")
            else:
                family.help = rest
            continue
        m = _SAMPLE.match(line)
        if not m:
            raise FormatError(f"neither comment nor sample: {line!r}")
        name, labels = m.group(1), _labels(m.group(2) or "", line)
        try:
            value = float(m.group(3))
        except ValueError:
            raise FormatError(f"bad value in {line!r}") from None
        base = _family_of(name, families)
        if base != current or not families[base].type or not families[base].help:
            raise FormatError(f"sample outside of its family: {line!r}")
        if (name, labels) in seen:
            raise FormatError(f"sample twice: {line!r}")
        seen.add((name, labels))
        families[base].samples.append((name, labels, value))
    for family in families.values():
        _check_family(family)
    return families


def _check_family(family):
    if not family.samples and family.type != "counter":
        raise FormatError(f"family {family.name} has no samples")
    if family.type == "counter" and any(v < 0 for _, _, v in family.samples):
        raise FormatError(f"counter {family.name} is negative")
    if family.type != "histogram":
        return
    series = {}
    for name, labels, value in family.samples:
        rest = tuple(kv for kv in labels if kv[0] != "le")
        entry = series.setdefault(rest, {"buckets": [], "sum": None, "count": None})
        if name.endswith("_bucket"):
            entry["buckets"].append((float(dict(labels)["le"]), value))
        else:
            entry[name.rsplit("_", 1)[1]] = value
    for rest, entry in series.items():
        bounds = [le for le, _ in entry["buckets"]]
        counts = [n for _, n in entry["buckets"]]
        if bounds != sorted(set(bounds)) or not bounds or bounds[-1] != math.inf:
            raise FormatError(f"buckets of {family.name}{rest} are not ascending up to +Inf")
        if counts != sorted(counts) or entry["count"] != counts[-1] or entry["sum"] is None:
            raise FormatError(f"histogram {family.name}{rest} does not add up")


class Metrics:
    """One scrape, by sample name and labels."""

    def __init__(self, text):
        self.families = parse(text)
        self._values = {(n, ls): v for f in self.families.values() for n, ls, v in f.samples}

    def get(self, name, default=0.0, **labels):
        return self._values.get((name, tuple(sorted(labels.items()))), default)

    def sum(self, name):
        return sum(v for (n, _), v in self._values.items() if n == name)

    def refused(self):
        """Refusals by reason, those that happened."""
        return {dict(ls)["reason"]: v for (n, ls), v in self._values.items()
                if n == "ringgate_requests_refused_total" and v}
