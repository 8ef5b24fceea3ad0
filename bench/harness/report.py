"""The report: report.md for people, results.csv and results.json for programs, all from the same results."""

import csv

from . import marks, results as store, stats, targets
from .contenders import KINDS, OPTIONAL_PEERS
from .scenario_report import ABOVE, scenario_text
from .tables import middle, number, ranged, table

CSV_FIGURES = ("rate", "requests", "failed", "reconnects", "p50_us", "p90_us", "p99_us", "p999_us", "max_us", "cpu_us",
               "user_us", "system_us", "mib_s", "cpu_us_mib", "enters", "pss_kib", "proxy_cpus", "idle", "others",
               "load_share", "load_cpu_us", "origin_cpu_us", "late", "begin_backlog", "end_backlog",
               "deploys", "deploy_ms", "deploy_p99_ms", "problem")


def environment_text(results):
    machine, options = results["machine"], results["options"]
    mitigations = ", ".join(sorted(machine["mitigations"])) or "none"
    congestion = options["congestion"] if options["isolated"] else f"each program's own, or {options['system_congestion']}"
    lines = [
        ("Machine", f"{machine['cpu']}, {machine['cpus']} CPUs{' (virtual)' if machine['virtual'] else ''}, "
                    f"{machine['memory_mib']:,} MiB, governor: {machine['governor']}"),
        ("Kernel", f"{machine['kernel']}; {machine['distribution']}"),
        ("Mitigations", mitigations),
        ("Commit", results["commit"]),
        ("Versions", "; ".join(results["versions"].values())),
        ("Not installed", ", ".join(KINDS[name].title for name in OPTIONAL_PEERS if name not in results["versions"]) or "none"),
        ("Last run", f"{results['date']}; {options['rounds']} rounds of {options['seconds']:g} s after {options['warmup']:g} s, "
                f"{options['workers']} workers each, origin with {options['origin_threads']} threads, load: {options['load']}, "
                f"congestion control: {congestion}, load average before: {machine['load_before']:.2f}"),
    ]
    return "\n".join(f"- **{name}**: {text}" for name, text in lines)


TARGET_NOTES = """Each is judged against the peer with which it looks worst. Rounds in which either row is marked for the figure (G, g, N) are left
out; "undecided" is what has its bound within the interval that the rounds leave, or fewer than three rounds to judge from."""


def targets_text(results):
    rows = []
    for row in results["targets"]:
        sign = ">=" if row["at_least"] else "<="
        against = row["against"] or "a count"
        pairs = f"{row['pairs']} of {row['of']}" if row["against"] else "-"
        rows.append([row["text"], against, f"{sign} {row['bound']:g}", f"{row['measured']:.2f}",
                     f"{row['low']:.2f}-{row['high']:.2f}", pairs, row["marks"], row["verdict"]])
    if not rows:
        return "No target belongs to what was measured."
    count = {verdict: sum(row["verdict"] == verdict for row in results["targets"]) for verdict in targets.WORST_FIRST}
    return (f"Of {len(rows)}: {count[targets.REACHED]} reached, {count[targets.MISSED]} missed, "
            f"{count[targets.UNDECIDED]} undecided.\n\n{TARGET_NOTES}\n\n" + table(
                ["target", "against", "wanted", "measured", "interval", "rounds", "", "verdict"], rows))


def generator_text(results):
    """The generator against the origin alone: no scenario can be faster than that."""
    rows = []
    for scenario in results["scenarios"]:
        direct = scenario["rounds"].get("direct", {}).get("peak")
        if direct:
            rows.append([scenario["name"], ranged(direct, "rate"), middle(direct, "load_cpu_us", ".2f"),
                         number((stats.median(direct, "load_share") or 0) * 100, ".0f") + " %",
                         middle(direct, "origin_cpu_us" if stats.median(direct, "origin_cpu_us") else "cpu_us", ".2f")])
    if not rows:
        return "The origin alone was not measured."
    return table(["the origin alone", "requests/s", "generator's CPU-us each", "of its threads' time", "origin's CPU-us each"],
                 rows)


def disturbance_text(results):
    rows = [[one["scenario"], one["label"], number(one["calm_p99"]), number(one["disturbed_p99"]), number(one["ratio"], ".2f"),
             number(one["calm_p999"]), number(one["disturbed_p999"]), number(one["disturbed_max"]), number(one["stopped"], ".2f"),
             number(one["deploys"]), number(one["deploy_ms"], ".1f"), number(one["deploy_p99_ms"], ".1f"), one["failed"]]
            for one in targets.disturbances(results["scenarios"])]
    return rows and table(["disturbed", "contender", "calm p99 us", "disturbed p99", "ratio", "calm p99.9", "disturbed p99.9",
                           "disturbed max", "stopped s", "deploys", "median ms", "p99 ms", "errors"], rows)


def comparison_text(results):
    comparison = results.get("comparison")
    if not comparison:
        return None
    rows = [[one["scenario"], f"{one['rate']:.3f}", f"{one['rate_low']:.3f}-{one['rate_high']:.3f}", f"{one['cpu']:.3f}",
             f"{one['cpu_low']:.3f}-{one['cpu_high']:.3f}", f"{one['coverage']:.0%}", one["verdict"]]
            for one in comparison["scenarios"]]
    return f"Now, as a ratio to {comparison['revision']} in the same rounds:\n\n" + table(
        ["scenario", "requests/s", "interval", "CPU a request", "interval", "confidence", "verdict"], rows)


NOTES = f"""Figures are medians of the rounds, in brackets the least and the greatest. A ratio is the median of the ratios within the
rounds; "to best peer" is the less favourable one of those to nginx and to HAProxy. A ratio to the floor with {ABOVE} is above 1: no
proxy is faster than a relay of the same kind, so it is spread or work that the relay does otherwise. CPU time is the proxy's alone,
and depends on the rate: compare it at the same one. Latencies are counted from the moment at which a request should have been
sent; how late the generator takes an answer in is not measured. Backlog: requests due and not answered, at the begin and
at the end.

Marks: {marks.MEANING}"""


def sections(results, level="##"):
    """Everything measured; report.md and the document put different words around it."""
    parts = [("The machine and the run", environment_text(results)), ("What was to be reached", targets_text(results)),
             ("The generator's own peak", generator_text(results)), ("Disturbed runs", disturbance_text(results)),
             ("Against another revision", comparison_text(results))]
    text = [f"{level} {title}\n\n{part}" for title, part in parts if part]
    text.append(f"{level} Scenarios\n\n{NOTES}")
    text += [scenario_text(scenario, f"{level}#") for scenario in results["scenarios"]]
    return "\n\n".join(text)


def markdown(results, plots):
    images = "\n\n".join(f"![{name}]({name})" for name in plots)
    return "\n\n".join(part for part in ("# What was measured", sections(results), images) if part) + "\n"


def csv_figure(row, name):
    if name == "late":
        return marks.late_share(row) if row.get("behind") else None
    if name.endswith("_backlog"):
        return (row.get("backlog") or {}).get(name.split("_")[0])
    return stats.figure(row, name)


def csv_rows(results):
    for scenario in results["scenarios"]:
        for label, phases in scenario["rounds"].items():
            for phase, rows in phases.items():
                for i, row in enumerate(rows):
                    yield [scenario["name"], label, phase, i + 1, *(csv_figure(row, name) for name in CSV_FIGURES)]


def write(results, folder, plots):
    folder.mkdir(parents=True, exist_ok=True)
    store.write(results, folder)
    with open(folder / "results.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["scenario", "contender", "phase", "round", *CSV_FIGURES])
        writer.writerows(csv_rows(results))
    (folder / "report.md").write_text(markdown(results, plots))
