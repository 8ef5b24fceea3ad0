"""From rounds to statements: medians, spreads, ratios within a round, and whether a difference is one."""

import math
import statistics

MARGIN = 0.02     # a smaller difference is of no interest
COVERAGE = 0.90   # that the interval holds the true median


def figure(row, name):
    """A figure of a row by its name in tables and targets; of a cell that failed there is none."""
    if name == "log_lost":
        return (row.get("log") or {}).get("lost")
    if name.endswith("_us") and name[:-3] in ("p50", "p90", "p99", "p999", "max", "mean", "min"):
        return (row.get("latency_us") or {}).get(name[:-3])
    return row.get(name)


def values(rows, name):
    return [value for value in (figure(row, name) for row in rows or ()) if value is not None]


def median(rows, name):
    found = values(rows, name)
    return statistics.median(found) if found else None


def spread(rows, name):
    """Median, least and greatest."""
    found = values(rows, name)
    return (statistics.median(found), min(found), max(found)) if found else None


def ratios(mine, theirs, name):
    """One for each round: what slows a whole round down cancels out."""
    pairs = [(figure(a, name), figure(b, name)) for a, b in zip(mine or (), theirs or ())]
    return [a / b for a, b in pairs if a is not None and b]


def ratio(mine, theirs, name):
    found = ratios(mine, theirs, name)
    return statistics.median(found) if found else None


def middle_of(found):
    return statistics.median(found) if found else None


def total(rows, name):
    """The sum of a count over the rounds; a cell that failed has none."""
    return sum(values(rows, name))


def peers_of(scenario, label, phase, peers):
    """The peers that label is compared with, by the label they have in this scenario: with the same settings where there are
    such, and never itself."""
    suffix = "+log" if label.endswith("+log") else ""
    names = [peer + suffix if peer + suffix in scenario["rounds"] else peer for peer in peers]
    return [name for name in names if name != label and scenario["rounds"].get(name, {}).get(phase)]


def least_favourable(scenario, label, phase, name, peers, greater):
    """The ratios, round by round, to the peer against which label looks worst: (peer, ratios), or None. To choose the peer
    by its median first and to divide then would flatter: the better peer of one round isn't that of the next."""
    mine = scenario["rounds"].get(label, {}).get(phase)
    found = {peer: ratios(mine, scenario["rounds"][peer][phase], name) for peer in peers_of(scenario, label, phase, peers)}
    found = {peer: one for peer, one in found.items() if one}
    if not found:
        return None
    peer = (min if greater else max)(found, key=lambda one: statistics.median(found[one]))
    return peer, found[peer]


def interval(found):
    """Of the true median, by order statistics: no assumption about how figures are distributed. Returns the bounds and the
    probability that it lies between them; with few rounds that is what it is."""
    ordered, n = sorted(found), len(found)
    if not n:
        raise ValueError("no figures")
    best = (ordered[0], ordered[-1], covered(n, 0))
    for skip in range(1, (n - 1) // 2 + 1):
        probability = covered(n, skip)
        if probability < COVERAGE:
            break
        best = (ordered[skip], ordered[n - 1 - skip], probability)
    return best


def covered(n, skip):
    """That the median of a population lies between the (skip+1)th least and greatest of n."""
    return max(0.0, 1 - 2 * sum(math.comb(n, k) for k in range(skip + 1)) / 2 ** n)


def verdict(found, more_is_better):
    """slower, same or faster, from ratios new/old of each round: only when the whole interval is on one side and the median
    is further away than what matters."""
    if not found:
        return "same"
    low, high, _ = interval(found)
    middle = statistics.median(found)
    if high < 1 and middle < 1 - MARGIN:
        return "slower" if more_is_better else "faster"
    if low > 1 and middle > 1 + MARGIN:
        return "faster" if more_is_better else "slower"
    return "same"


def verdict_of_both(rate, cpu):
    """Requests/s and CPU a request together: worse in one is worse."""
    if "slower" in (rate, cpu):
        return "slower"
    return "faster" if "faster" in (rate, cpu) else "same"
