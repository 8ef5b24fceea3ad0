"""What the report says about one scenario: its peaks, its latencies, its log."""

from . import marks, stats, tls
from .contenders import PEERS
from .tables import middle, number, ranged, table

ABOVE = "!"  # beside a ratio to the floor above 1


def to_peer(scenario, label, phase, name, greater):
    """Ratio to the best peer: against which it looks worst. Of a peer itself to the other one."""
    worst = stats.least_favourable(scenario, label, phase, name, PEERS, greater) if label != "direct" else None
    return number(stats.middle_of(worst[1]), ".2f") if worst else "-"


def to_floor(scenario, label):
    """Of requests/s; nothing where the floor does other work than a proxy, and a mark on what can't be true."""
    floor = scenario["rounds"].get("floor", {}).get("peak")
    if not floor or not scenario["floor_is_alike"]:
        return "-"
    ratio = stats.ratio(scenario["rounds"][label].get("peak"), floor, "rate")
    above = ratio is not None and ratio > 1 and label not in ("floor", "direct")
    return number(ratio, ".2f") + (ABOVE if above else "")


def errors(rows):
    return stats.total(rows, "failed")


def peak_table(scenario):
    body = scenario["body"]
    header = ["at its peak", "requests/s", "to best peer", "to floor", "CPU-us each", "to best peer", "user+system",
              "enters", "PSS MiB", "errors", ""]
    if body:
        header[8:8] = ["MiB/s", "CPU-us/MiB"]
    rows = []
    for label, phases in scenario["rounds"].items():
        peak = phases["peak"]
        row = [label, ranged(peak, "rate"), to_peer(scenario, label, "peak", "rate", True), to_floor(scenario, label),
               ranged(peak, "cpu_us", ",.1f"), to_peer(scenario, label, "peak", "cpu_us", False),
               f"{middle(peak, 'user_us', ',.1f')}+{middle(peak, 'system_us', ',.1f')}", middle(peak, "enters", ".2f"),
               number((stats.median(peak, "pss_kib") or 0) / 1024, ",.1f"), errors(peak), marks.of(scenario, label, "peak")]
        if body:
            row[8:8] = [middle(peak, "mib_s", ",.1f"), middle(peak, "cpu_us_mib", ",.1f")]
        rows.append(row)
    return table(header, rows)


def backlog(rows):
    """Requests due and not answered, at the begin and at the end of the counted time: medians of the rounds."""
    found = [row["backlog"] for row in rows if row.get("backlog")]
    if not found:
        return "-"
    return ">".join(number(stats.middle_of([one[end] for one in found])) for end in ("begin", "end"))


def latency_table(scenario, phase, rate):
    header = [f"{phase}: {rate:,.0f}/s", "answered/s", "backlog", "p50 us", "p90", "p99", "to best peer", "p99.9",
              "to best peer", "max", "CPU-us each", "to best peer", "errors", ""]
    rows = []
    for label, phases in scenario["rounds"].items():
        found = phases.get(phase)
        if found:
            rows.append([label, middle(found, "rate"), backlog(found), middle(found, "p50_us"), middle(found, "p90_us"),
                         ranged(found, "p99_us"), to_peer(scenario, label, phase, "p99_us", False),
                         ranged(found, "p999_us"), to_peer(scenario, label, phase, "p999_us", False),
                         middle(found, "max_us"), ranged(found, "cpu_us", ",.1f"),
                         to_peer(scenario, label, phase, "cpu_us", False), errors(found),
                         marks.of(scenario, label, phase)])
    return table(header, rows)


def log_table(scenario):
    rows = []
    for label, phases in scenario["rounds"].items():
        logs = [row["log"] for row in phases.get("peak", ()) if row.get("log")]
        if logs:
            total = {name: sum(log[name] for log in logs) if all(name in log for log in logs) else None
                     for name in ("written", "requests", "dropped", "lost")}
            rows.append([label, *(number(total[name]) for name in ("requests", "written", "dropped", "lost"))])
    return table(["access records", "should be", "written", "counted as dropped", "lost"], rows) if rows else None


def tls_text(scenario):
    """On what everybody agreed; beside whom who differs, since figures are then not of the same work."""
    found = {}
    for label, phases in scenario["rounds"].items():
        for what in dict.fromkeys(tls.agreed(row) for rows in phases.values() for row in rows):
            if what:
                found.setdefault(what, []).append(label)
    if not found:
        return None
    if len(found) == 1:
        return f"TLS, of everybody: {', '.join(next(iter(found)))}."
    return "**TLS was not the same for all**: " + "; ".join(f"{', '.join(what)}: {', '.join(labels)}"
                                                          for what, labels in found.items()) + "."


def problems_text(scenario):
    """Cells without figures, and why."""
    lines = []
    for label, phases in scenario["rounds"].items():
        for phase, rows in phases.items():
            found = [row["problem"] for row in rows if "problem" in row]
            if found:
                lines.append(f"- {label}, {phase}: {len(found)} of {len(rows)} rounds failed: {' '.join(found[0].split())[:300]}")
    return "\n".join(lines)


def run_text(scenario):
    run = scenario["run"]
    options = run["options"]
    seconds = scenario.get("seconds", options["seconds"])
    return (f"Measured {run['date']}, {options['rounds']} rounds of {seconds:g} s after {options['warmup']:g} s, "
            f"at {run['commit']}.")


def scenario_text(scenario, level="###"):
    parts = [f"{level} {scenario['name']}: {scenario['title']}", run_text(scenario), peak_table(scenario)]
    parts += [latency_table(scenario, phase, rate) for phase, rate in scenario["phases"].items() if rate]
    parts += [text for text in (tls_text(scenario), log_table(scenario), problems_text(scenario)) if text]
    reference = scenario["reference"]
    if reference["label"]:
        parts.append(f"Rates of the open loops are shares of {reference['label']}'s peak, {reference['rate']:,.0f}/s.")
    return "\n\n".join(parts)
