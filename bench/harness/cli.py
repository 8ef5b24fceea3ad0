"""The command: checks, measures scenario after scenario, reports."""

import dataclasses
import pathlib
import signal
import sys
import tempfile

from . import abilities, contenders, document, lock, machine, options as opts, plan, report, revision
from .programs import Failure
from .run import Run


def say(text):
    print(text, flush=True)


def check_programs(options):
    """All are there before anything starts."""
    field = contenders.Field(options, None, None)
    for label in {label for one in options.chosen for label in plan.labels_of(one, options.only)} | {"direct"}:
        field.binary(label)


def check_report(folder):
    """Found out now, not when the first scenario is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Failure(f"--report {folder}: can't be written ({error.strerror}): name a folder that can", 2) from error


def check_descriptors(options):
    options.chosen = [with_descriptors(one, options) for one in options.chosen]


def with_descriptors(scenario, options):
    """The scenario as it can be had: without the floor where that alone has too few descriptors, which is said."""
    if scenario.connections > options.descriptors * contenders.CLIENTS:
        raise Failure(f"{scenario.name} needs {scenario.connections} connections, but a process may have only "
                      f"{options.descriptors} descriptors: raise the limit (ulimit -Hn), or name other scenarios", 2)
    if "floor" not in plan.labels_of(scenario, options.only):
        return scenario
    needed = plan.descriptors_needed(scenario, "floor", contenders.floor_shares(options))
    if needed <= options.descriptors:
        return scenario
    say(f"{scenario.name}: without the floor, which needs {needed} descriptors; a process may have only {options.descriptors} "
        "(ulimit -Hn)")
    return dataclasses.replace(scenario, contenders=tuple(one for one in scenario.contenders if one != "floor"))


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
        say("\nno plots: gnuplot is missing (apt-get install gnuplot-nox) or failed, or there was nothing to draw")
    say(f"\nthe whole report: {options.report / 'report.md'}")


def bench(options):
    lock.take()
    old = None
    if options.compare:
        old, program = revision.build(opts.ROOT, options.compare, say)
        options.binaries[old] = program
        options.only = [*options.only, old]
    check_programs(options)
    if options.isolated:
        machine.enter_own_network(options.congestion)
    check_report(options.report)
    options.descriptors = machine.raise_descriptor_limit()
    check_descriptors(options)
    with tempfile.TemporaryDirectory(prefix="ringgate-bench-") as name:
        contenders.check_unix_path(pathlib.Path(name))
        abilities.check(options, pathlib.Path(name), say)
        run = Run(options, old, say)
        say(f"this takes about {opts.in_words(opts.expected_seconds(options))}: {len(options.chosen)} scenario(s), "
            f"{options.rounds} rounds of {options.seconds:g} s")
        run.measure(pathlib.Path(name))
    whole, made = run.write()
    summary(whole, made, options)
    return run.status()


def main(arguments=None):
    # These end the run as CTRL-C does; below nohup the terminal's end is to be survived.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        options = opts.complete(opts.parser().parse_args(arguments))
        if options.list:
            say(opts.listing(options))
            return 0
        if options.write:
            document.write(options.write, options.report, say)
            return 0
        return bench(options)
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        print("bench: interrupted; scenarios that were finished are in the report", file=sys.stderr)
        return 130
