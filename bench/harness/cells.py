"""One scenario: its contenders started, asked in turn, round after round in balanced order, and stopped."""

from . import contenders as who, marks, plan, rest, results, stats
from .load import H2load
from .measure import measure
from .programs import CellFailure
from .sequence import order_of


def reference_of(rounds):
    """Whose peak the open loops are shares of: the faster of nginx and HAProxy; without them the first contender."""
    peaks = {label: stats.median(found.get("peak"), "rate") for label, found in rounds.items()}
    peaks = {label: rate for label, rate in peaks.items() if rate}
    peers = [label for label in who.PEERS if label in peaks]
    label = max(peers, key=peaks.get) if peers else next(iter(peaks), None)
    return label, peaks.get(label)


class Cells:
    """Runs scenarios; leaves the distributions (.hgrm) of the open loops beside the programs, for the report to take."""

    def __init__(self, options, programs, ports, generator, say):
        self.options, self.programs, self.ports = options, programs, ports
        self.generator, self.say = generator, say
        self.port_before = None

    def run(self, scenario):
        labels = plan.labels_of(scenario, self.options.only)
        field = who.Field(self.options, self.programs, self.ports)
        field.start(scenario, labels)
        for label, problem in field.absent.items():
            self.say(f"{scenario.name}: {label} does not take part: {problem}")
        try:
            return self.run_phases(scenario, field, labels)
        finally:
            field.stop()
            self.port_before = None

    def run_phases(self, scenario, field, labels):
        rounds = {label: {} for label in labels}
        reference, rates = (None, None), {}
        for group in plan.groups_for(scenario, self.options):
            if group[0].rate is not None:
                reference = reference if reference[0] else reference_of(rounds)
                if not reference[0]:
                    self.say(f"{scenario.name}: no contender has a peak, so there is no rate for {group[0].name}")
                    continue
            self.run_rounds(scenario, field, group, reference[1], rounds)
            rates |= {phase.name: phase.rate and reference[1] * phase.rate for phase in group}
        return {"name": scenario.name, "title": scenario.title, "connections": scenario.connections,
                "active": scenario.active, "body": scenario.body, "replica": scenario.replica, "streams": scenario.streams,
                "kept": "--per-connection" not in scenario.load, "seconds": plan.seconds_for(scenario, self.options),
                "floor_is_alike": self.floor_is_alike(scenario, labels),
                "phases": rates, "reference": {"label": reference[0], "rate": reference[1]}, "rounds": rounds}

    def floor_is_alike(self, scenario, labels):
        """Whether the floor does what the proxies do, and nothing besides: only then a ratio to it says something."""
        return "floor" in labels and scenario.floor_is_alike and (not scenario.body or who.floor_shares(self.options))

    def run_rounds(self, scenario, field, group, reference, rounds):
        # The origin alone is the ceiling: its peak says what the generator can do.
        for label in rounds:
            if group[0].rate is None or label != "direct":
                rounds[label].update({phase.name: [] for phase in group})
        wanted = [one for one in field.contenders if group[0].rate is None or one is not field.origin]
        for number in range(self.options.rounds):
            for contender in order_of(wanted, number):
                for phase in group if number % 2 == 0 else reversed(group):
                    row = self.cell(scenario, field, contender, phase, reference, number)
                    rounds[contender.label][phase.name].append(row)
                    self.say(progress(scenario, phase, number + 1, self.options.rounds, contender.label, row))
            for label, problem in field.absent.items():
                for phase in group:
                    rounds[label][phase.name].append({"problem": problem})

    def cell(self, scenario, field, contender, phase, reference, number):
        """A row of figures, or what kept it from being one: the others go on."""
        order = plan.order_for(scenario, self.options, contender, phase, reference, number)
        unrest = rest.wait(self.port_before)
        # The origin has the proxies' kept connections all the time.
        self.port_before = None if contender is field.origin else contender.port
        try:
            row, hgrm = measure(self.options, self.programs, field, contender, order, self.generator_for(scenario),
                                scenario.disturb if phase.disturbed else "")
        except CellFailure as failure:
            return {"problem": str(failure)}
        row["unrest"] = unrest
        results.fill_bytes(row, scenario.body)
        if hgrm and phase.rate is not None:
            row["hgrm"] = self.keep(f"{scenario.name}.{contender.label}.{phase.name.strip('%')}.{number + 1}", hgrm)
        return row

    def generator_for(self, scenario):
        """Streams are h2load's: the other generators know HTTP/1 only."""
        return H2load(self.options, self.programs.folder) if scenario.streams else self.generator

    def keep(self, name, text):
        folder = self.programs.folder / "hgrm"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.hgrm").write_text(text)
        return f"hgrm/{name}.hgrm"


def progress(scenario, phase, number, count, label, row):
    head = f"{scenario.name:21} {phase.name:9} {number}/{count}  {label:15}"
    if "problem" in row:
        return f"{head} FAILED: {row['problem']}"
    p99 = row["latency_us"].get("p99")
    notes = [f"{row['failed']} ERRORS"] if row["failed"] else []
    notes += [f"others used {row['others']:.0%} of the CPUs"] if abs(row["others"]) > marks.NOISY else []
    notes += [row["unrest"]] if row["unrest"] else []
    notes += ["the generator was the limit"] if marks.is_limited(row) else []
    return (f"{head} {row['rate']:9,.0f}/s  {row['cpu_us']:8.2f} CPU-us"
            f"  p99 {f'{p99:9,.0f} us' if p99 is not None else '-'}{''.join(f'  {note}' for note in notes)}")
