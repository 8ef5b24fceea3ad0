"""SVG plots by gnuplot: ratios to the best peer, and the latency curves of the open loops. Without gnuplot there are none."""

import re
import shutil
import statistics
import subprocess

from . import stats
from .contenders import PEERS
from .programs import Failure

COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8d6a9f", "#b08d2e", "#444444", "#2a9d8f")


def draw(results, folder, say):
    """Returns the names of the files made. What can't be drawn is said: the figures are worth having without."""
    if not shutil.which("gnuplot"):
        return []
    made = []
    try:
        made += ratio_plots(results, folder)
        for scenario in results["scenarios"]:
            for phase, rate in scenario["phases"].items():
                made += latency_plot(scenario, phase, rate, folder)
    except Failure as failure:
        say(f"warning: not all plots are drawn: {failure}")
    return made


def gnuplot(script):
    done = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"gnuplot: {done.stderr.strip()[-500:]}")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def ratio_rows(results, name, greater):
    """Ringgate's first entry in each scenario: its ratio to the best peer, with the range of the rounds."""
    for scenario in results["scenarios"]:
        label = next((one for one in scenario["rounds"] if one.split("+")[0] == "ringgate"), None)
        worst = label and stats.least_favourable(scenario, label, "peak", name, PEERS, greater)
        if worst:
            _, found = worst
            yield scenario["name"], statistics.median(found), min(found), max(found)


def ratio_plots(results, folder):
    made = []
    for name, title, file, greater in (("rate", "requests/s, as a multiple of the best peer's", "ratio-rate.svg", True),
                                       ("cpu_us", "CPU time a request, as a share of the best peer's", "ratio-cpu.svg", False)):
        rows = list(ratio_rows(results, name, greater))
        if not rows:
            continue
        data = "\n".join(f'"{one}" {ratio:.4f} {low:.4f} {high:.4f}' for one, ratio, low, high in rows)
        gnuplot(f"""
set terminal svg size {max(480, 90 * len(rows))},420 font 'sans-serif,12' background '#ffffff'
set output {quoted(str(folder / file))}
set title {quoted(title)}
set style fill solid 0.8
set boxwidth 0.6
set grid ytics
set yrange [0:*]
set xtics rotate by -35
set arrow from graph 0, first 1 to graph 1, first 1 nohead lc '#444444' dt 2
$data << EOD
{data}
EOD
plot $data using 0:2:xtic(1) with boxes lc rgb '{COLOURS[0]}' notitle, \\
     $data using 0:2:3:4 with yerrorbars pt 0 lc rgb '#222222' notitle
""")
        made.append(file)
    return made


def typical(rows):
    """The file of the round whose p99 is the middle one: a curve that was measured, not an average of curves."""
    kept = sorted((row for row in rows if row.get("hgrm")), key=lambda row: row["latency_us"]["p99"])
    return kept[len(kept) // 2]["hgrm"] if kept else None


def curve(path):
    """Points of an .hgrm: 1/(1-percentile) and latency in ms. The last one has no finite place on the axis."""
    for line in path.read_text().split("\n"):
        fields = line.split()
        if len(fields) == 4 and re.fullmatch(r"[0-9.]+", fields[0]) and re.fullmatch(r"[0-9.]+", fields[3]):
            yield float(fields[3]), float(fields[0])


def latency_plot(scenario, phase, rate, folder):
    curves = [(label, typical(phases.get(phase, ()))) for label, phases in scenario["rounds"].items()]
    curves = [(label, folder / path) for label, path in curves if path and (folder / path).exists()]
    if not curves:
        return []
    blocks, plots = [], []
    for i, (label, path) in enumerate(curves):
        points = [(place, latency) for place, latency in curve(path) if place >= 1 and latency > 0]
        if points:
            blocks.append(f"$c{i} << EOD\n" + "\n".join(f"{place} {latency}" for place, latency in points) + "\nEOD")
            plots.append(f"$c{i} using 1:2 with lines lw 2 lc rgb '{COLOURS[i % len(COLOURS)]}' title {quoted(label)}")
    if not plots:
        return []
    file = f"latency-{scenario['name']}-{phase.strip('%')}.svg"
    gnuplot(f"""
set terminal svg size 720,420 font 'sans-serif,12' background '#ffffff' noenhanced
set output {quoted(str(folder / file))}
set title {quoted(f"{scenario['name']}, {phase}: {rate:,.0f} requests/s")}
set logscale xy
set xlabel 'percentile'
set ylabel 'latency, ms'
set xtics ('50' 2, '90' 10, '99' 100, '99.9' 1000, '99.99' 10000, '99.999' 100000)
set xrange [1:*]
set grid
set key outside right top
""" + "\n".join(blocks) + "\nplot " + ", \\\n     ".join(plots) + "\n")
    return [file]
