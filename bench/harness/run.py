"""One invocation: what is known so far, and how it is written down. After each scenario the report is written anew, so that
an interrupted run leaves what it has."""

import datetime

import scenarios as table

from . import cells, contenders, machine, options as opts, plan, plots, report, results, revision, targets
from .load import LOADS
from .programs import Programs

OPTIONS = ("rounds", "seconds", "warmup", "workers", "origin_threads", "load", "congestion", "isolated")


def versions(options):
    labels = [label for one in options.chosen for label in plan.labels_of(one, options.only)]
    return contenders.versions(labels, options.bin)


class Run:
    def __init__(self, options, old_revision, say):
        self.options, self.old_revision, self.say = options, old_revision, say
        self.results = {
            "date": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"), "machine": machine.describe(),
            "commit": revision.describe(opts.ROOT), "versions": versions(options),
            "options": {name: getattr(options, name) for name in OPTIONS} | {"system_congestion": machine.system_congestion()},
            "scenarios": [], "targets": [],
        }
        self.found = results.read(options.report) if options.append else None
        if self.found:
            results.joined(self.found, self.results)  # refuses before anything is measured

    def measure(self, folder):
        with Programs(folder) as programs:
            generator = LOADS[self.options.load](self.options, folder)
            work = cells.Cells(self.options, programs, machine.Ports(self.options.isolated), generator, self.say)
            for scenario in self.options.chosen:
                self.say(f"\n{scenario.name}: {scenario.title}")
                done = work.run(scenario) | {"run": {name: self.results[name] for name in results.RUN}}
                self.keep(done, folder)

    def keep(self, done, folder):
        """Only now an earlier report makes room: until the first scenario is done it is all there is."""
        if self.found:
            results.clear_scenario(self.options.report, done["name"])
        elif not self.results["scenarios"]:
            results.clear(self.options.report)
        results.take_distributions(folder / "hgrm", self.options.report)
        self.results["scenarios"].append(done)
        self.write(with_plots=False)

    def whole(self):
        """With what was there before, if it was to be kept."""
        whole = self.results | {"targets": targets.evaluate_all(table.TARGETS, self.results["scenarios"])}
        if self.old_revision:
            whole["comparison"] = revision.compare(self.results, self.old_revision)
        return results.joined(self.found, whole) if self.found else whole

    def write(self, with_plots=True):
        whole = self.whole()
        self.options.report.mkdir(parents=True, exist_ok=True)
        made = plots.draw(whole, self.options.report, self.say) if with_plots else []
        report.write(whole, self.options.report, made)
        return whole, made

    def status(self):
        """Failed requests count where they decide: at a peak, and of ringgate everywhere; cells that failed always."""
        failed, problems = failures(self.results["scenarios"])
        for line in failed:
            self.say(f"requests failed: {line}")
        for line in problems:
            self.say(f"not measured: {line}")
        compared = revision.compare(self.results, self.old_revision)["scenarios"] if self.old_revision else ()
        slower = [one["scenario"] for one in compared if one["verdict"] == "slower"]
        if slower:
            self.say(f"slower: {', '.join(slower)}")
        return 1 if failed or problems or slower else 0


def failures(scenarios):
    """Lines about requests that failed where it matters, and about cells that have no figures."""
    failed, problems = [], []
    for scenario in scenarios:
        for label, phases in scenario["rounds"].items():
            for phase, rows in phases.items():
                count = sum(row.get("failed", 0) for row in rows)
                if count and (phase == "peak" or contenders.kind_of(label) == "ringgate"):
                    failed.append(f"{scenario['name']}, {label}, {phase}: {count}")
                for problem in dict.fromkeys(row["problem"] for row in rows if "problem" in row):
                    problems.append(f"{scenario['name']}, {label}, {phase}: {problem}")
    return failed, problems
