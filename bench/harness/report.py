"""The report: report.md for people, results.csv and results.json for programs, all from the same results."""

import csv
import json

from . import stats, targets
from .contenders import KINDS, OPTIONAL_PEERS, PEERS
from .measure import NOISY

CSV_FIGURES = ("rate", "requests", "failed", "p50_us", "p90_us", "p99_us", "p999_us", "max_us", "cpu_us", "user_us",
               "system_us", "enters", "pss_kib", "proxy_cpus", "idle", "others", "load_share", "load_cpu_us", "origin_cpu_us",
               "generator_limited")


def table(header, rows):
    """Markdown, columns padded so that it reads as text, too; the first column left, the others right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in [header, *rows])) for i in range(len(header))]

    def line(cells):
        return "| " + " | ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                                 for i, (cell, width) in enumerate(zip(cells, widths))) + " |"
    rule = "|" + "|".join("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":" for i, width in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


def number(value, form=",.0f", none="-"):
    return none if value is None else f"{value:{form}}"


def middle(rows, name, form=",.0f"):
    return number(stats.median(rows, name), form)


def ranged(rows, name, form=",.0f", scale=1.0):
    """Median (least to greatest)."""
    found = stats.spread(rows, name)
    if not found:
        return "-"
    return f"{found[0] * scale:{form}} ({found[1] * scale:{form}}-{found[2] * scale:{form}})"


# ---- one scenario ----

def to_peer(scenario, label, phase, name, greater):
    """Ratio to the best peer by that figure; of a peer itself to the other one."""
    peer = stats.best_peer(scenario, label, phase, name, PEERS, greater)
    found = peer and stats.ratio(scenario["rounds"][label].get(phase), scenario["rounds"][peer].get(phase), name)
    return number(found, ".2f")


def to_floor(scenario, label, name):
    floor = scenario["rounds"].get("floor", {}).get("peak")
    return number(stats.ratio(scenario["rounds"][label]["peak"], floor, name), ".2f") if floor else "-"


def marks(rows):
    """What a reader must know about the figures of a row."""
    found = []
    if any(row["generator_limited"] for row in rows):
        found.append("G")
    if any(row["others"] > NOISY for row in rows):
        found.append("N")
    return "".join(found)


def peak_table(scenario):
    body = scenario["body"]
    header = ["at its peak", "requests/s", "to best peer", "to floor", "CPU-us each", "to best peer", "user+system",
              "enters", "PSS MiB", "errors", ""]
    if body:
        header[8:8] = ["MiB/s", "CPU-us/MiB"]
    rows = []
    for label, phases in scenario["rounds"].items():
        peak = phases["peak"]
        direct = label == "direct"
        row = [label, ranged(peak, "rate"), "-" if direct else to_peer(scenario, label, "peak", "rate", True),
               to_floor(scenario, label, "rate"), ranged(peak, "cpu_us", ",.1f"),
               "-" if direct else to_peer(scenario, label, "peak", "cpu_us", False),
               f"{middle(peak, 'user_us', ',.1f')}+{middle(peak, 'system_us', ',.1f')}", middle(peak, "enters", ".2f"),
               number((stats.median(peak, "pss_kib") or 0) / 1024, ",.1f"), sum(one["failed"] for one in peak), marks(peak)]
        if body:
            mib = body / 1048576
            row[8:8] = [number(stats.median(peak, "rate") * mib, ",.1f"), number(stats.median(peak, "cpu_us") / mib, ",.1f")]
        rows.append(row)
    return table(header, rows)


def latency_table(scenario, phase, rate):
    header = [f"{phase}: {rate:,.0f}/s", "answered/s", "p50 us", "p90", "p99", "to best peer", "p99.9", "to best peer", "max",
              "errors", ""]
    rows = []
    for label, phases in scenario["rounds"].items():
        found = phases.get(phase)
        if found:
            rows.append([label, middle(found, "rate"), middle(found, "p50_us"), middle(found, "p90_us"),
                         ranged(found, "p99_us"), to_peer(scenario, label, phase, "p99_us", False),
                         ranged(found, "p999_us"), to_peer(scenario, label, phase, "p999_us", False),
                         middle(found, "max_us"), sum(one["failed"] for one in found), marks(found)])
    return table(header, rows)


def log_table(scenario):
    rows = []
    for label, phases in scenario["rounds"].items():
        logs = [row["log"] for row in phases["peak"] if row.get("log")]
        if logs:
            total = {name: sum(log[name] for log in logs) if all(name in log for log in logs) else None
                     for name in ("written", "requests", "dropped", "lost")}
            rows.append([label, *(number(total[name]) for name in ("requests", "written", "dropped", "lost"))])
    return table(["access records", "should be", "written", "counted as dropped", "lost"], rows) if rows else None


def scenario_text(scenario):
    parts = [f"### {scenario['name']}: {scenario['title']}", peak_table(scenario)]
    parts += [latency_table(scenario, phase, rate) for phase, rate in scenario["phases"].items() if rate]
    logs = log_table(scenario)
    if logs:
        parts.append(logs)
    reference = scenario["reference"]
    if reference["label"]:
        parts.append(f"Rates of the open loops are shares of {reference['label']}'s peak, {reference['rate']:,.0f}/s.")
    return "\n\n".join(parts)


# ---- the whole ----

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
        ("Run", f"{results['date']}; {options['rounds']} rounds of {options['seconds']:g} s after {options['warmup']:g} s, "
                f"{options['workers']} workers each, origin with {options['origin_threads']} threads, load: {options['load']}, "
                f"congestion control: {congestion}, load average before: {machine['load_before']:.2f}"),
    ]
    return "\n".join(f"- **{name}**: {text}" for name, text in lines)


def targets_text(results):
    rows = []
    for row in results["targets"]:
        sign = ">=" if row["at_least"] else "<="
        against = row["against"] or "a count"
        rows.append([row["text"], against, f"{sign} {row['bound']:g}", f"{row['measured']:.2f}",
                     f"{row['low']:.2f}-{row['high']:.2f}", "reached" if row["reached"] else "missed"])
    if not rows:
        return "No target belongs to what was measured."
    reached = sum(row["reached"] for row in results["targets"])
    return f"{reached} of {len(rows)} reached.\n\n" + table(
        ["target", "against", "wanted", "measured", "rounds", ""], rows)


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
             number(one["calm_p999"]), number(one["disturbed_p999"]), number(one["disturbed_max"]), one["failed"]]
            for one in targets.disturbances(results["scenarios"])]
    return rows and table(["disturbed", "contender", "calm p99 us", "disturbed p99", "ratio", "calm p99.9", "disturbed p99.9",
                           "disturbed max", "errors"], rows)


def comparison_text(results):
    comparison = results.get("comparison")
    if not comparison:
        return None
    rows = [[one["scenario"], f"{one['rate']:.3f}", f"{one['rate_low']:.3f}-{one['rate_high']:.3f}", f"{one['cpu']:.3f}",
             f"{one['cpu_low']:.3f}-{one['cpu_high']:.3f}", f"{one['coverage']:.0%}", one["verdict"]]
            for one in comparison["scenarios"]]
    return f"Now, as a ratio to {comparison['revision']} in the same rounds:\n\n" + table(
        ["scenario", "requests/s", "interval", "CPU a request", "interval", "confidence", "verdict"], rows)


NOTES = """Figures are medians of the rounds, in brackets the least and the greatest. A ratio is the median of the ratios within the
rounds; the best peer is the better of nginx and HAProxy by that very figure. CPU time is the proxy's alone. Latencies are
counted from the moment at which a request should have been sent. Marks: G, the generator was the limit; N, other
programs used more than 10 % of the CPUs meanwhile: do not trust these figures."""


def sections(results, level="##"):
    """Everything measured; report.md and the document put different words around it."""
    parts = [("The machine and the run", environment_text(results)), ("What was to be reached", targets_text(results)),
             ("The generator's own peak", generator_text(results)), ("Disturbed runs", disturbance_text(results)),
             ("Against another revision", comparison_text(results))]
    text = [f"{level} {title}\n\n{part}" for title, part in parts if part]
    text.append(f"{level} Scenarios\n\n{NOTES}")
    text += [scenario_text(scenario).replace("###", f"{level}#", 1) for scenario in results["scenarios"]]
    return "\n\n".join(text)


def markdown(results, plots):
    images = "\n\n".join(f"![{name}]({name})" for name in plots)
    return "\n\n".join(part for part in ("# What was measured", sections(results), images) if part) + "\n"


def csv_rows(results):
    for scenario in results["scenarios"]:
        for label, phases in scenario["rounds"].items():
            for phase, rows in phases.items():
                for i, row in enumerate(rows):
                    yield [scenario["name"], label, phase, i + 1, *(stats.figure(row, name) for name in CSV_FIGURES)]


def write(results, folder, plots):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    with open(folder / "results.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["scenario", "contender", "phase", "round", *CSV_FIGURES])
        writer.writerows(csv_rows(results))
    (folder / "report.md").write_text(markdown(results, plots))


def read(folder):
    return json.loads((folder / "results.json").read_text())
