"""Whether what is to be reached was: each target of scenarios.py against what was measured."""

import statistics

from . import marks, stats
from .contenders import PEERS

FEWEST = 3  # pairs; from fewer nothing follows
MISSED, UNDECIDED, REACHED = "missed", "undecided", "reached"
WORST_FIRST = (MISSED, UNDECIDED, REACHED)


def others_of(target, scenario, scenarios):
    """What the contender's figures are divided by: (label in the report, scenario, contender, phase) each."""
    if target.against == "best peer":
        return [(peer, scenario, peer, target.phase)
                for peer in stats.peers_of(scenario, target.contender, target.phase, PEERS)]
    if target.against == "calm":
        return [("calm", scenario, target.contender, "calm")]
    if target.against.startswith("scenario "):
        name = target.against.split(" ", 1)[1]
        return [(name, one, target.contender, target.phase) for one in scenarios if one["name"] == name]
    return [(target.against, scenario, target.against, target.phase)]


def rows_of(scenario, label, phase):
    return scenario["rounds"].get(label, {}).get(phase) or []


def evaluate(target, scenarios):
    """A row of the report's table; None where the run has no figures for it."""
    scenario = next((one for one in scenarios if one["name"] == target.scenario), None)
    mine = scenario and rows_of(scenario, target.contender, target.phase)
    if not mine:
        return None
    row = {"text": target.text, "scenario": target.scenario, "bound": target.bound, "at_least": target.at_least}
    if target.against == "nothing":
        return counted(target, mine, row)
    if target.against == "the clock":
        return timed(target, mine, row)
    found = []
    for label, there, contender, phase in others_of(target, scenario, scenarios):
        theirs = rows_of(there, contender, phase)
        every = stats.ratios(mine, theirs, target.figure)
        if every:
            seen = marks.of(scenario, target.contender, target.phase) + marks.of(there, contender, phase)
            kept = marks.trusted_ratios(mine, theirs, target.figure)
            limited = marks.is_at_the_ceiling(scenario, target.contender, target.phase) and target.figure == "rate"
            found.append(row | judged(target, kept, every, limited) | {"against": label, "marks": "".join(sorted(set(seen)))})
    return min(found, key=severity) if found else None


def severity(row):
    """The least favourable of several comes first: by what it says, then by its figure."""
    return WORST_FIRST.index(row["verdict"]), row["measured"] if row["at_least"] else -row["measured"]


def counted(target, mine, row):
    found = stats.values(mine, target.figure)
    if not found:
        return None
    count = sum(found)
    reached = count >= target.bound if target.at_least else count <= target.bound
    return row | {"measured": count, "low": count, "high": count, "pairs": len(found), "of": len(mine), "against": "",
                  "marks": "", "verdict": REACHED if reached else MISSED}


def timed(target, mine, row):
    """A duration by itself: the median of the rounds that are trusted, and its interval."""
    every = stats.values(mine, target.figure)
    kept = stats.values([one for one in mine if not marks.is_doubtful(one, target.figure)], target.figure)
    if not every:
        return None
    return row | judged(target, kept, every) | {"against": target.against, "marks": ""}


def judged(target, kept, every, limited=False):
    """From the pairs that are trusted; where there are none, all are shown, and nothing is decided."""
    shown = kept or every
    verdict = UNDECIDED
    low, high, _ = stats.interval(shown)
    if len(kept) >= FEWEST and not limited:
        verdict = verdict_of(target, low, high)
    return {"measured": statistics.median(shown), "low": low, "high": high, "pairs": len(kept), "of": len(every),
            "verdict": verdict}


def verdict_of(target, low, high):
    """Undecided when the bound lies within the interval that the rounds leave."""
    worst, best = (low, high) if target.at_least else (-high, -low)
    bound = target.bound if target.at_least else -target.bound
    return REACHED if worst >= bound else MISSED if best < bound else UNDECIDED


def evaluate_all(targets, scenarios):
    return [row for row in (evaluate(target, scenarios) for target in targets) if row]


def disturbances(scenarios):
    """Every contender's p99 of the disturbed run against the calm one: ringgate in each steering mode, peers beside it."""
    found = []
    for scenario in scenarios:
        if "disturbed" not in scenario["phases"]:
            continue
        for label, rounds in scenario["rounds"].items():
            if "disturbed" in rounds:
                found.append({"scenario": scenario["name"], "label": label,
                              **{f"{phase}_{name}": stats.median(rounds[phase], f"{name}_us")
                                 for phase in ("calm", "disturbed") for name in ("p99", "p999", "max")},
                              "ratio": stats.ratio(rounds["disturbed"], rounds["calm"], "p99_us"),
                              "stopped": stats.median(rounds["disturbed"], "stopped_seconds"),
                              **{name: stats.median(rounds["disturbed"], name)
                                 for name in ("deploys", "deploy_ms", "deploy_p99_ms")},
                              "failed": stats.total(rounds["disturbed"], "failed")})
    return found
