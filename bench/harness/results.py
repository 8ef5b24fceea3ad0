"""What a run leaves behind, results.json: read (also as earlier versions wrote it), joined by a later run, written."""

import json
import shutil

import scenarios as table

from . import targets
from .programs import Failure

RUN = ("date", "commit", "versions", "options")  # what each scenario says of its own measurement
MIB = 1048576


def path_of(folder):
    return folder / "results.json"


def read(folder):
    """The results in today's form; None when there are none."""
    if not path_of(folder).exists():
        return None
    try:
        return upgraded(json.loads(path_of(folder).read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path_of(folder)} can't be read ({type(error).__name__}: {error}): remove it, or name another folder "
                      "with --report", 2) from error


def write(results, folder):
    path_of(folder).write_text(json.dumps(results, indent=1) + "\n")


def upgraded(results):
    """Adds what older reports lack, and judges anew: targets may have changed since."""
    known = {one.name: one for one in table.SCENARIOS}
    for scenario in results["scenarios"]:
        scenario.setdefault("run", {name: results[name] for name in RUN})
        now = known.get(scenario["name"])
        scenario.setdefault("kept", "--per-connection" not in (now.load if now else ()))
        # The floor of that time passed bodies on in small pieces.
        scenario.setdefault("floor_is_alike", not scenario["body"] and scenario["kept"])
        for rows in (rows for phases in scenario["rounds"].values() for rows in phases.values()):
            for row in rows:
                fill_bytes(row, scenario["body"])
    results["targets"] = targets.evaluate_all(table.TARGETS, results["scenarios"])
    return results


def fill_bytes(row, body):
    """Bytes a second of bodies from whole requests, where the load has not counted bytes itself."""
    if "problem" in row or not body:
        return
    if row.get("mib_s") is None:
        row["mib_s"] = row["rate"] * body / MIB
    if row.get("cpu_us_mib") is None and row["mib_s"]:
        row["cpu_us_mib"] = row["cpu_us"] * row["rate"] / row["mib_s"]


def same_machine(a, b):
    """The load before is the only thing that may differ."""
    return {**a, "load_before": 0} == {**b, "load_before": 0}


def joined(old, new):
    """The old results with the scenarios of the new ones in place of theirs, or beside them, in the table's order."""
    if not same_machine(old["machine"], new["machine"]):
        differing = ", ".join(name for name in new["machine"]
                              if name != "load_before" and new["machine"][name] != old["machine"].get(name))
        raise Failure(f"--append: the results there are of another machine ({differing} differ): measure all anew without "
                      "--append, or name another folder with --report", 2)
    places = {one.name: place for place, one in enumerate(table.SCENARIOS)}
    measured = {one["name"]: one for one in old["scenarios"]} | {one["name"]: one for one in new["scenarios"]}
    found = sorted(measured.values(), key=lambda one: places.get(one["name"], len(places)))
    return new | {"scenarios": found, "versions": old["versions"] | new["versions"],
                  "targets": targets.evaluate_all(table.TARGETS, found)}


# ---- the files beside it ----

def clear(folder):
    """Distributions and plots of an earlier run: they belong to other figures."""
    for pattern in ("hgrm/*.hgrm", "*.svg"):
        for path in folder.glob(pattern):
            path.unlink()


def clear_scenario(folder, name):
    for path in folder.glob(f"hgrm/{name}.*.hgrm"):
        path.unlink()


def take_distributions(source, folder):
    """Moves what a scenario has left beside the programs into the report."""
    if source.is_dir():
        (folder / "hgrm").mkdir(parents=True, exist_ok=True)
        for path in source.glob("*.hgrm"):
            shutil.move(path, folder / "hgrm" / path.name)
