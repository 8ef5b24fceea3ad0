"""What scenarios need beyond HTTP/1 in the clear. One that this machine or a ringgate to be measured can't do is left out,
with the reason: an older revision (--compare) may know no TLS."""

import shutil
import subprocess

from . import contenders, plan
from .programs import Failure, PACKAGES, SYSTEM_PATH


def programs_for(scenario):
    """Which the load and the harness need besides those of all scenarios."""
    return [name for name, wanted in (("h2load", scenario.streams), (scenario.replica, scenario.replica in contenders.OTHER_REPLICAS),
                                      ("openssl", scenario.tls), ("curl", contenders.mode_of(scenario) == "h2c")) if wanted]


def refusal(options, label, scenario, folder):
    """What ringgate says of the configuration that the scenario has for it; None when it takes it."""
    field = contenders.Field(options, None, None)
    field.begin(scenario, "127.0.0.1:3", folder)
    place = folder / f"{label}.check"
    command = field.command_of(label, place, 1, 2)  # nobody listens anywhere: it is only read
    done = subprocess.run([*map(str, command), "-t"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
    if done.returncode == 0:
        return None
    said = (done.stderr + done.stdout).strip().split("\n")[0].replace(f"{place}/", "")
    return f"{label} does not take its configuration: {said}"


def missing(options, scenario, folder):
    """Why the scenario can't be done; None when it can."""
    for name in programs_for(scenario):
        if not shutil.which(name, path=SYSTEM_PATH):
            return f"{name} is missing: apt-get install {PACKAGES.get(name, name)}"
    if contenders.mode_of(scenario) == "clear":
        return None
    ours = [label for label in plan.labels_of(scenario, options.only) if contenders.kind_of(label) == "ringgate"]
    return next(filter(None, (refusal(options, label, scenario, folder) for label in ours)), None)


def check(options, folder, say):
    """Leaves out what can't be done, and says why."""
    kept = []
    for scenario in options.chosen:
        why = missing(options, scenario, folder)
        if why:
            say(f"{scenario.name}: left out: {why}")
        else:
            kept.append(scenario)
    if not kept:
        raise Failure("none of the scenarios can be measured", 2)
    options.chosen = kept
