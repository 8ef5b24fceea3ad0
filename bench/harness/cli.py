"""The command: checks, measures scenario after scenario, reports. After each scenario the report is written anew, so that an
interrupted run leaves what it has."""

import datetime
import pathlib
import signal
import sys
import tempfile

import scenarios as table

from . import cells, contenders, document, machine, options as opts, plots, report, revision, targets
from .load import LOADS
from .programs import Failure, Programs


def say(text):
    print(text, flush=True)


class Run:
    """One invocation: what is known so far, and how it is written down."""

    def __init__(self, options, old):
        self.options, self.old = options, old
        self.results = {
            "date": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"), "machine": machine.describe(),
            "commit": revision.describe(opts.ROOT), "versions": versions(options),
            "options": {name: getattr(options, name) for name in (
                "rounds", "seconds", "warmup", "workers", "origin_threads", "load", "congestion", "isolated")}
            | {"system_congestion": machine.system_congestion()},
            "scenarios": [], "targets": [],
        }

    def measure(self, folder):
        with Programs(folder) as programs:
            generator = LOADS[self.options.load](self.options, folder)
            work = cells.Cells(self.options, programs, machine.Ports(self.options.isolated), generator, say)
            for scenario in self.options.chosen:
                say(f"\n{scenario.name}: {scenario.title}")
                self.results["scenarios"].append(work.run(scenario))
                self.write(with_plots=False)

    def write(self, with_plots=True):
        self.results["targets"] = targets.evaluate_all(table.TARGETS, self.results["scenarios"])
        if self.old:
            self.results["comparison"] = revision.compare(self.results, self.old)
        self.options.report.mkdir(parents=True, exist_ok=True)
        made = plots.draw(self.results, self.options.report) if with_plots else []
        report.write(self.results, self.options.report, made)
        return made

    def status(self):
        """Failed requests count where they decide: at a peak, and of ringgate everywhere."""
        failed = [f"{scenario['name']}, {label}, {phase}: {sum(row['failed'] for row in rows)}"
                  for scenario in self.results["scenarios"] for label, phases in scenario["rounds"].items()
                  for phase, rows in phases.items()
                  if (phase == "peak" or contenders.kind_of(label) == "ringgate") and sum(row["failed"] for row in rows)]
        for line in failed:
            say(f"requests failed: {line}")
        slower = [one["scenario"] for one in self.results.get("comparison", {}).get("scenarios", ())
                  if one["verdict"] == "slower"]
        if slower:
            say(f"slower: {', '.join(slower)}")
        return 1 if failed or slower else 0


def versions(options):
    labels = [label for one in options.chosen for label in cells.labels_of(one, options.only)]
    return contenders.versions(labels, options.bin)


def clear(folder):
    """What an earlier run left in the report: its curves and plots belong to other figures."""
    for pattern in ("hgrm/*.hgrm", "*.svg"):
        for path in folder.glob(pattern):
            path.unlink()


def check_programs(options):
    """All are there before anything starts."""
    field = contenders.Field(options, None, None)
    for label in {label for one in options.chosen for label in cells.labels_of(one, options.only)} | {"direct"}:
        field.binary(label)


def check_descriptors(options):
    for scenario in options.chosen:
        if scenario.connections > options.descriptors * contenders.CLIENTS:
            raise Failure(f"{scenario.name} needs {scenario.connections} connections, but a process may have only "
                          f"{options.descriptors} descriptors: raise the limit (ulimit -Hn), or name other scenarios", 2)


def summary(results, made, options):
    say("\n" + report.targets_text(results) + "\n")
    say(report.generator_text(results))
    comparison = report.comparison_text(results)
    if comparison:
        say("\n" + comparison)
    missing = [name for name in contenders.OPTIONAL_PEERS if name not in results["versions"]]
    if missing:
        say(f"\nnot installed, so not measured: {', '.join(missing)}")
    if not made:
        say("\nno plots: gnuplot is missing (apt-get install gnuplot-nox), or there was nothing to draw")
    say(f"\nthe whole report: {options.report / 'report.md'}")


def bench(options):
    old = None
    if options.compare:
        old, program = revision.build(opts.ROOT, options.compare, say)
        options.binaries[old] = program
        options.only = [*(options.only or ["ringgate", "direct"]), old]
    check_programs(options)
    if options.isolated:
        machine.enter_own_network(options.congestion)
    options.descriptors = machine.raise_descriptor_limit()
    check_descriptors(options)
    say(f"this takes about {opts.in_words(opts.expected_seconds(options))}: {len(options.chosen)} scenario(s), "
        f"{options.rounds} rounds of {options.seconds:g} s")
    clear(options.report)
    run = Run(options, old)
    with tempfile.TemporaryDirectory(prefix="ringgate-bench-") as name:
        contenders.check_unix_path(pathlib.Path(name))
        run.measure(pathlib.Path(name))
    made = run.write()
    summary(run.results, made, options)
    return run.status()


def main(arguments=None):
    # Ends the run as CTRL-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = opts.complete(opts.parser().parse_args(arguments))
        if options.list:
            say(opts.listing(options))
            return 0
        if options.write:
            document.write(options.write, options.report)
            return 0
        return bench(options)
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        print("bench: interrupted; what was measured before is in the report", file=sys.stderr)
        return 130
