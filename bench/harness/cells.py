"""One scenario: its contenders started, asked in turn, round after round in rotated order, and stopped."""

import dataclasses
import statistics

from . import contenders as who
from .load import Order
from .measure import NOISY, measure
from .programs import Failure

START_SECONDS = 2     # for starting and stopping the programs of a scenario
AROUND_SECONDS = 0.4  # around each load: its start, its connections, its end
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


def labels_of(scenario, only=()):
    """The scenario's contenders with "others" resolved, reduced to those wanted by kind or in full."""
    labels = []
    for label in scenario.contenders:
        labels += who.installed_optional_peers() if label == "others" else [label]
    for extra in only:
        if "@" in extra and extra not in labels:
            labels.append(extra)  # another revision of ours
    return [label for label in labels if not only or label in only or who.kind_of(label) in only and "@" not in label]


def duration(scenario, options, labels):
    """Seconds that it takes, about."""
    one = options.seconds + options.warmup + AROUND_SECONDS
    loads = sum(len(labels) if phase.rate is None else sum(label != "direct" for label in labels)
                for phase in phases_for(scenario, options))
    logs = sum("log" in label.split("+") for label in labels)
    return START_SECONDS + options.rounds * (loads * one + logs * LOG_SECONDS)


def phases_for(scenario, options):
    """Of the open loops as many as wanted, and for disturbed runs all or none: one alone says nothing."""
    found = phases(scenario)
    if scenario.disturb:
        return found if options.open_loop else found[:1]
    return found[:1 + options.open_loop]


def order_for(scenario, options, contender, phase, reference):
    more = scenario.load
    if phase.disturbed and scenario.disturb != "freeze":
        more += scenario.disturb
    return Order(contender.port, scenario.path, scenario.connections, scenario.active or scenario.connections,
                 min(scenario.threads, scenario.connections), options.seconds, options.warmup,
                 reference * phase.rate if phase.rate is not None else None, more)


def reference_of(rounds):
    """Whose peak the open loops are shares of: the faster of nginx and HAProxy; without them the first contender."""
    peaks = {label: statistics.median(row["rate"] for row in found["peak"]) for label, found in rounds.items()}
    peers = [label for label in who.PEERS if label in peaks]
    label = max(peers, key=peaks.get) if peers else next(iter(peaks))
    return label, peaks[label]


class Cells:
    """Runs scenarios; keeps the distributions (.hgrm) of the open loops in a folder of the report."""

    def __init__(self, options, programs, ports, generator, say):
        self.options, self.programs, self.ports = options, programs, ports
        self.generator, self.say = generator, say

    def run(self, scenario):
        labels = labels_of(scenario, self.options.only)
        if not labels:
            raise Failure(f"{scenario.name}: none of its contenders is wanted; it has {', '.join(scenario.contenders)}", 2)
        field = who.Field(self.options, self.programs, self.ports)
        field.start(labels, scenario.path if scenario.path.startswith("/bytes") else "/bytes/64", scenario.replica)
        try:
            return self.run_phases(scenario, field)
        finally:
            field.stop()

    def run_phases(self, scenario, field):
        rounds = {contender.label: {} for contender in field.contenders}
        reference = (None, None)
        for phase in phases_for(scenario, self.options):
            if phase.rate is not None and reference[0] is None:
                reference = reference_of(rounds)
            self.run_rounds(scenario, field, phase, reference[1], rounds)
        done = {"name": scenario.name, "title": scenario.title, "connections": scenario.connections,
                "active": scenario.active, "body": scenario.body, "replica": scenario.replica,
                "phases": {phase.name: phase.rate and reference[1] * phase.rate
                           for phase in phases_for(scenario, self.options)},
                "reference": {"label": reference[0], "rate": reference[1]}, "rounds": rounds}
        return done

    def run_rounds(self, scenario, field, phase, reference, rounds):
        # The origin alone is the ceiling: its peak says what the generator can do.
        wanted = [one for one in field.contenders if phase.rate is None or one is not field.origin]
        for number in range(self.options.rounds):
            shift = number % max(1, len(wanted))
            for contender in wanted[shift:] + wanted[:shift]:
                order = order_for(scenario, self.options, contender, phase, reference)
                row, hgrm = measure(self.options, self.programs, field, contender, order, self.generator,
                                    phase.disturbed and scenario.disturb == "freeze")
                if hgrm and phase.rate is not None:
                    row["hgrm"] = self.keep(f"{scenario.name}.{contender.label}.{phase.name.strip('%')}.{number + 1}", hgrm)
                rounds[contender.label].setdefault(phase.name, []).append(row)
                self.say(progress(scenario, phase, number + 1, self.options.rounds, contender.label, row))

    def keep(self, name, text):
        folder = self.options.report / "hgrm"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.hgrm").write_text(text)
        return f"hgrm/{name}.hgrm"


def progress(scenario, phase, number, count, label, row):
    p99 = row["latency_us"].get("p99")
    notes = [f"{row['failed']} ERRORS"] if row["failed"] else []
    notes += [f"others used {row['others']:.0%} of the CPUs"] if row["others"] > NOISY else []
    notes += ["the generator was the limit"] if row["generator_limited"] else []
    return (f"{scenario.name:16} {phase.name:9} {number}/{count}  {label:15} {row['rate']:9,.0f}/s  {row['cpu_us']:8.2f} CPU-us"
            f"  p99 {f'{p99:9,.0f} us' if p99 is not None else '-'}{''.join(f'  {note}' for note in notes)}")
