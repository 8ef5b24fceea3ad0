"""Whether what is to be reached was: each target of scenarios.py against what was measured."""

import statistics

from . import stats
from .contenders import PEERS


def others_of(target, scenario, scenarios):
    """The rounds that the contender's figures are divided by, by the label that the report shows."""
    rounds = scenario["rounds"]
    if target.against == "best peer":
        peer = stats.best_peer(scenario, target.contender, target.phase, target.figure, PEERS, target.at_least)
        return {peer: rounds[peer][target.phase]} if peer else {}
    if target.against == "each peer":
        return {peer: rounds[peer][target.phase] for peer in PEERS if peer in rounds}
    if target.against == "calm":
        return {"calm": rounds.get(target.contender, {}).get("calm")}
    if target.against.startswith("scenario "):
        name = target.against.split(" ", 1)[1]
        there = next((one for one in scenarios if one["name"] == name), None)
        mine = there and there["rounds"].get(target.contender, {}).get(target.phase)
        return {name: mine} if mine else {}
    return {target.against: rounds.get(target.against, {}).get(target.phase)}


def evaluate(target, scenarios):
    """A row of the report's table; None where the run has no figures for it."""
    scenario = next((one for one in scenarios if one["name"] == target.scenario), None)
    mine = scenario and scenario["rounds"].get(target.contender, {}).get(target.phase)
    if not mine:
        return None
    row = {"text": target.text, "scenario": target.scenario, "bound": target.bound, "at_least": target.at_least}
    if target.against == "nothing":
        found = stats.values(mine, target.figure)
        return row | judged(target, sum(found), sum(found), sum(found)) | {"against": ""} if found else None
    worst = None
    for label, rows in others_of(target, scenario, scenarios).items():
        found = stats.ratios(mine, rows, target.figure)
        if not found:
            continue
        judgement = judged(target, statistics.median(found), min(found), max(found)) | {"against": label}
        if worst is None or (judgement["measured"] < worst["measured"]) == target.at_least:
            worst = judgement
    return row | worst if worst else None


def judged(target, measured, low, high):
    reached = measured >= target.bound if target.at_least else measured <= target.bound
    return {"measured": measured, "low": low, "high": high, "reached": reached}


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
                              "failed": sum(row["failed"] for row in rounds["disturbed"])})
    return found
