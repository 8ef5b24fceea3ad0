"""What a scenario asks of whom, when, and how long that takes."""

import dataclasses

from . import contenders as who
from .load import Order

START_SECONDS = 2     # for starting and stopping the programs of a scenario
AROUND_SECONDS = 0.6  # around each load: coming to rest, its start, its connections, its end
LOG_SECONDS = 1.5     # until an access log is written


@dataclasses.dataclass(frozen=True)
class Phase:
    name: str
    rate: float | None = None   # as a share of the reference rate; None: closed loop
    disturbed: bool = False


def phases(scenario):
    """The peak first: it gives the reference rate for the others."""
    found = [Phase("peak")]
    if scenario.disturb:
        found += [Phase("calm", scenario.rates[0]), Phase("disturbed", scenario.rates[0], True)]
    else:
        found += [Phase(f"{share:.0%}", share) for share in scenario.rates]
    return found


def phases_for(scenario, options):
    """Of the open loops as many as wanted, and for disturbed runs all or none: one alone says nothing. A quick run has no
    time for those of bodies."""
    found = phases(scenario)
    if options.quick and scenario.body:
        return found[:1]
    if scenario.disturb:
        return found if options.open_loop else found[:1]
    return found[:1 + options.open_loop]


def groups_for(scenario, options):
    """Phases that share their rounds: the disturbed one has the calm one beside it in each, so that their ratio is one of
    figures that lie seconds apart."""
    found = phases_for(scenario, options)
    return [found[:1], found[1:]] if scenario.disturb and found[1:] else [[phase] for phase in found]


def labels_of(scenario, only=()):
    """The scenario's contenders with "others" resolved, reduced to those wanted by kind or in full."""
    labels = []
    for label in scenario.contenders:
        labels += who.installed_optional_peers() if label == "others" else [label]
    for extra in only:
        if "@" in extra and extra not in labels:
            labels.append(extra)  # another revision of ours
    return [label for label in labels if not only or label in only or who.kind_of(label) in only and "@" not in label]


def seconds_for(scenario, options):
    """Of counted load, each time: what happens in a scenario may need more than was asked for."""
    return max(options.seconds, scenario.least_seconds)


def duration(scenario, options, labels):
    """Seconds that it takes, about."""
    one = seconds_for(scenario, options) + options.warmup + AROUND_SECONDS
    loads = sum(len(labels) if phase.rate is None else sum(label != "direct" for label in labels)
                for phase in phases_for(scenario, options))
    logs = sum("log" in label.split("+") for label in labels) * len(phases_for(scenario, options))
    return START_SECONDS + options.rounds * (loads * one + logs * LOG_SECONDS)


def order_for(scenario, options, contender, phase, reference, number=0):
    """Of one cell in round `number`: everybody has the same seed in a round, and another one in the next."""
    more = scenario.load
    if phase.disturbed and isinstance(scenario.disturb, tuple):
        more += scenario.disturb
    return Order(contender.port, scenario.path, scenario.connections, scenario.active or scenario.connections,
                 min(scenario.threads, scenario.connections), seconds_for(scenario, options), options.warmup,
                 reference * phase.rate if phase.rate is not None else None, more, number + 1, scenario.tls, scenario.streams)


def descriptors_needed(scenario, label, shares=False):
    """Of one process. A floor that doesn't share opens a connection to the replica for each client, also for idle ones."""
    per_client = 2 if label == "floor" and not (shares and scenario.active) else 1
    return per_client * scenario.connections + 64 + (scenario.active or 0)
