"""What the user can ask for, checked before anything starts."""

import argparse
import pathlib

import scenarios as table

from . import contenders, plan
from .load import LOADS, Order
from .programs import Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUICK = {"rounds": 3, "seconds": 1.0, "warmup": 0.3}
USUAL = {"rounds": 5, "seconds": 3.0, "warmup": 1.0}
COMPARE = {"rounds": 9, "seconds": 3.0, "warmup": 1.0}

COMPARED = ("ringgate", "direct")  # and the other revision
QUICK_CONTENDERS = ("ringgate", "nginx", "haproxy", "floor", "direct")  # two minutes, whoever else is installed

HELP = """Measures ringgate beside nginx, HAProxy, a relay without HTTP (the floor) and the origin alone, all in one run, and
writes bench/report/ (report.md, results.csv, results.json, plots). What the figures mean: bench/README.md."""
EPILOG = """Exit status: 0 done; 1 requests failed, a program ended, or --compare found it slower; 2 wrong options or something
is missing; 130 interrupted."""


def whole(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, wanted a whole number from 1 on")
    return value


def seconds(text):
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"got {text}, wanted seconds from 0.1 to 3600")
    return value


def warmup(text):
    value = float(text)
    if not 0 <= value <= 60:
        raise argparse.ArgumentTypeError(f"got {text}, wanted seconds from 0 to 60")
    return value


def names(text):
    found = [name for name in dict.fromkeys(text.split(",")) if name]
    if not found:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted names with commas between them")
    return found


def parser():
    p = argparse.ArgumentParser(prog="./dev bench", description=HELP, epilog=EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    what = p.add_argument_group("what to do")
    what.add_argument("--quick", action="store_true", help="three scenarios in two minutes")
    what.add_argument("--scenario", type=names, metavar="NAME,...", help="only these (default all)")
    what.add_argument("--list", action="store_true", help="print the scenarios and how long they take, and exit")
    what.add_argument("--compare", metavar="REV", help="this ringgate and that revision in turn: is it slower? (default the "
                                                       "scenarios of --quick)")
    what.add_argument("--write", type=pathlib.Path, metavar="FILE",
                      help="measure nothing: put the report's results into that document")
    what.add_argument("--append", action="store_true",
                      help="keep what the report has of other scenarios: those measured now replace or join them")
    how = p.add_argument_group("how")
    how.add_argument("--rounds", type=whole, help="default 5; 3 with --quick, 9 with --compare")
    how.add_argument("--seconds", type=seconds, help="of counted load, each time (default 3; 1 with --quick)")
    how.add_argument("--warmup", type=warmup, help="seconds before counting (default 1; 0.3 with --quick)")
    how.add_argument("--only", type=names, default=[], metavar="NAME,...",
                     help=f"contenders, of {','.join(contenders.KINDS)}")
    how.add_argument("--workers", type=whole, default=2, help="of each proxy (default 2)")
    how.add_argument("--origin-threads", type=whole, default=2, help="of the origin (default 2)")
    how.add_argument("--load", choices=["ringgate", "wrk", "h2load"], default="ringgate",
                     help="what asks; wrk and h2load can do closed loops over kept connections only, wrk no TLS; of HTTP/2 it "
                          "is always h2load")
    how.add_argument("--no-latency", action="store_true", help="peaks only, no open loops")
    how.add_argument("--congestion", default="cubic", metavar="NAME",
                     help="TCP congestion control of all sockets of the run (default cubic); system: no network namespace "
                          "of its own, each program's choice")
    how.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", metavar="DIR", help="where our programs are")
    how.add_argument("--report", type=pathlib.Path, default=ROOT / "bench/report", metavar="DIR", help="where results go")
    return p


def complete(options):
    """Fills in what depends on other options; raises Failure for what can't be done."""
    if options.quick and options.compare:
        raise Failure("--quick and --compare don't go together: --compare measures the scenarios of --quick already", 2)
    if options.append and options.compare:
        raise Failure("--append and --compare don't go together: a comparison is one of figures of the same run", 2)
    usual = QUICK if options.quick else COMPARE if options.compare else USUAL
    for name, value in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if not options.only:
        options.only = list(QUICK_CONTENDERS if options.quick else COMPARED if options.compare else ())
    for label in options.only:
        contenders.check_label(label)
    options.isolated = options.congestion != "system"
    options.binaries = {}
    latencies = options.load == "ringgate" and not options.compare and not options.no_latency
    options.open_loop = 0 if not latencies else 1 if options.quick else 99
    options.chosen = choose(options)
    return options


def choose(options):
    every = {scenario.name: scenario for scenario in table.SCENARIOS}
    for name in options.scenario or ():
        if name not in every:
            raise Failure(f"--scenario {name}: no such scenario; there are: {', '.join(every)}", 2)
    quick = (options.quick or options.compare) and not options.scenario
    chosen = [one for one in every.values() if (one.name in options.scenario if options.scenario else one.quick or not quick)]
    able = [one for one in chosen if options.load == "ringgate" or not one.disturb and LOADS[options.load].can(order_like(one))]
    if options.scenario and len(able) < len(chosen):
        unable = ", ".join(one.name for one in chosen if one not in able)
        raise Failure(f"--load {options.load} can't do {unable}: only closed loops over kept connections without more options, "
                      "and wrk neither TLS nor HTTP/2", 2)
    for scenario in able:
        if options.compare and "ringgate" not in scenario.contenders:
            raise Failure(f"--compare: {scenario.name} has no plain ringgate in it", 2)
    return [one for one in able if is_wanted(one, options)]


def is_wanted(scenario, options):
    """Whether somebody is left to measure: without one it is an error where the scenario was asked for by its name."""
    if plan.labels_of(scenario, options.only):
        return True
    if options.scenario:
        raise Failure(f"{scenario.name}: none of its contenders is wanted (--only {','.join(options.only)}); it has "
                      f"{', '.join(scenario.contenders)}", 2)
    return False


def order_like(scenario):
    return Order(0, scenario.path, scenario.connections, scenario.active or scenario.connections, scenario.threads, 1, 0,
                 options=scenario.load, tls=scenario.tls, streams=scenario.streams)


def expected_seconds(options):
    return sum(expected_of(one, options) for one in options.chosen)


def expected_of(scenario, options):
    """A comparison has one contender more, of which only the name is not known yet."""
    labels = plan.labels_of(scenario, options.only)
    other = options.compare and not any("@" in label for label in labels)
    return plan.duration(scenario, options, [*labels, f"ringgate@{options.compare}"] if other else labels)


def in_words(total):
    total = round(total)
    return f"{total} s" if total < 120 else f"{total // 60} min" if total < 7200 else f"{total // 3600} h {total % 3600 // 60} min"


def listing(options):
    lines = [f"{one.name:21} {in_words(expected_of(one, options)):>8}  {one.title}"
             + ("  (quick)" if one.quick else "") for one in options.chosen]
    return "\n".join(lines) + f"\n{'all':21} {in_words(expected_seconds(options)):>8}"
