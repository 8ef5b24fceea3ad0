"""What a reader must know about a row before he believes it, as letters beside it.

G  the generator was the limit: its threads had no time left, or more than 1 % of the requests left late; at a peak also
   when the figure is within a tenth of what the generator reached at its limit against the origin alone
g  more than 0.1 % of the requests left late: p99.9 and the maximum say nothing
N  others used more than a tenth of the CPUs, the accounts of CPU time don't add up to within that, or the machine had
   not come to rest after the load before
D  a round is more than 15 % away from the median of its rounds
Q  an open loop in which fewer or more requests were answered than were due: a queue grew or shrank
R  kept connections were opened again
"""

import math
import statistics

from . import stats

NOISY = 0.10      # share of all CPUs
LATE = 0.01       # share of requests; the p99 is doubtful beyond
LATE_TAIL = 0.001  # and beyond this the p99.9
DRIFT = 0.15      # of a round from the median of the rounds
QUEUEING = 0.005  # of the requests due
CEILING = 0.9     # of the origin's own peak
TAIL_FIGURES = ("p999_us", "max_us")

MEANING = """G, the generator was the limit; g, for p99.9 and the maximum only; N, other programs used more than 10 % of the
CPUs, or the machine had not come to rest before; D, a round lies more than 15 % from the median of its rounds; Q, a queue
grew or shrank, so latencies depend on how long was measured; R, kept connections were opened again."""


def is_noisy(row):
    return abs(row.get("others") or 0) > NOISY or bool(row.get("unrest"))


def late_share(row):
    """Of the requests of an open loop, those that left over a millisecond late by the generator's own fault."""
    behind = row.get("behind") or {}
    return behind.get("requests", 0) / max(1, row.get("requests") or 0)


def is_limited(row, figure=None):
    """Whether the generator, not the contender, made this figure."""
    if "saturated" not in row and row.get("generator_limited"):
        return True  # as reports before this distinction have it
    allowed = LATE_TAIL if figure in TAIL_FIGURES else LATE
    return bool(row.get("saturated")) or late_share(row) > allowed


def is_doubtful(row, figure):
    """Not to be judged: it says more about the neighbours or the generator than about the contender."""
    return "problem" in row or is_noisy(row) or is_limited(row, figure)


def trusted_ratios(mine, theirs, figure):
    """One for each round in which neither row is doubtful."""
    pairs = [(a, b) for a, b in zip(mine or (), theirs or ()) if not is_doubtful(a, figure) and not is_doubtful(b, figure)]
    return stats.ratios([a for a, _ in pairs], [b for _, b in pairs], figure)


def is_queueing(row, due_rate, connections):
    """Answered were more or fewer than due, by more than what schedules that begin anywhere in their period explain."""
    if not due_rate or not row.get("rate"):
        return False
    due = due_rate * row["requests"] / row["rate"]
    return abs(row["requests"] - due) > max(QUEUEING * due, math.sqrt(connections))


def drifts(rows, figure):
    found = stats.values(rows, figure)
    if len(found) < 3:
        return False
    middle = statistics.median(found)
    return any(abs(one / middle - 1) > DRIFT for one in found) if middle else False


def is_at_the_ceiling(scenario, label, phase):
    """At its peak near to what the generator can do at all, which it reached against the origin alone."""
    direct = scenario["rounds"].get("direct", {}).get("peak") or ()
    if phase != "peak" or label == "direct" or not any(is_limited(row) for row in direct if "problem" not in row):
        return False
    mine, ceiling = stats.median(scenario["rounds"][label].get(phase), "rate"), stats.median(direct, "rate")
    return bool(mine and ceiling and mine > CEILING * ceiling)


def of(scenario, label, phase):
    """The marks of one contender in one phase, as the tables show them."""
    rows = [row for row in scenario["rounds"].get(label, {}).get(phase) or () if "problem" not in row]
    rate = scenario["phases"].get(phase)
    found = []
    if any(is_limited(row) for row in rows) or is_at_the_ceiling(scenario, label, phase):
        found.append("G")
    elif any(is_limited(row, "p999_us") for row in rows):
        found.append("g")
    if any(is_noisy(row) for row in rows):
        found.append("N")
    if drifts(rows, "cpu_us" if rate else "rate"):
        found.append("D")
    if any(is_queueing(row, rate, scenario["connections"]) for row in rows):
        found.append("Q")
    if scenario.get("kept", True) and stats.total(rows, "reconnects"):
        found.append("R")
    return "".join(found)
