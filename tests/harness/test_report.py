"""What is written: tables, marks, CSV, the document, and the plots where gnuplot is."""

import csv
import shutil
import xml.dom.minidom

import pytest
from rows import row

from harness import document, measure, plots, report, results as store, scenario_report, targets
from harness.load import Result
from harness.measure import Samples
from harness.programs import Failure
from scenarios import TARGETS


def cells_of(text, first):
    """The cells of the table line that begins with that."""
    line = next(line for line in text.split("\n") if line.startswith(f"| {first} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_peak_table(scenario):
    cells = cells_of(scenario_report.peak_table(scenario), "ringgate")
    assert cells[1:6] == ["1,500 (1,350-1,650)", "1.50", "0.94", "6.0 (6.0-6.0)", "0.60"]
    assert cells[6:10] == ["1.5+4.5", "0.50", "4.0", "0"]
    assert cells_of(scenario_report.peak_table(scenario), "direct")[2] == "-"


def test_bodies_are_shown_in_bytes(scenario):
    scenario["body"] = 262144
    cells = cells_of(scenario_report.peak_table(scenario), "ringgate")
    assert cells[8:10] == ["-", "-"]
    for one in scenario["rounds"]["ringgate"]["peak"]:
        store.fill_bytes(one, scenario["body"])
    cells = cells_of(scenario_report.peak_table(scenario), "ringgate")
    assert cells[8:10] == ["375.0", "24.0"]  # 1,500 times a quarter; 6 CPU-us for a quarter
    counted = row(1500, mib_s=380.0, cpu_us_mib=23.0)
    store.fill_bytes(counted, scenario["body"])
    assert counted["mib_s"] == 380.0 and counted["cpu_us_mib"] == 23.0


def test_latency_table_has_cpu_and_backlog(scenario):
    scenario["rounds"]["ringgate"]["50%"] = [row(500, 20, p99=700, backlog={"begin": 1, "end": end}) for end in (2, 9, 4)]
    cells = cells_of(scenario_report.latency_table(scenario, "50%", 500.0), "ringgate")
    assert cells[2] == "1>4" and cells[10:12] == ["20.0 (20.0-20.0)", "2.00"]
    assert cells_of(scenario_report.latency_table(scenario, "50%", 500.0), "nginx")[2] == "-"


def test_ratio_to_a_floor_that_does_other_work(scenario):
    assert cells_of(scenario_report.peak_table(scenario), "ringgate")[3] == "0.94"
    scenario["rounds"]["floor"]["peak"] = [row(1000, 5)] * 3
    assert cells_of(scenario_report.peak_table(scenario), "ringgate")[3] == "1.50!"
    scenario["floor_is_alike"] = False
    assert cells_of(scenario_report.peak_table(scenario), "ringgate")[3] == "-"


def test_cells_that_failed_are_in_the_report(results, tmp_path):
    rounds = results["scenarios"][0]["rounds"]
    rounds["nginx"] = {"peak": [{"problem": "nginx ended with status 1"}] * 3, "50%": []}
    rounds["haproxy"]["peak"][1] = {"problem": "the load did not end"}
    report.write(results, tmp_path, [])
    text = (tmp_path / "report.md").read_text()
    assert "- nginx, peak: 3 of 3 rounds failed: nginx ended with status 1" in text
    assert "- haproxy, peak: 1 of 3 rounds failed" in text

def test_marks(scenario):
    scenario["rounds"]["ringgate"]["peak"][1] = row(1500, saturated=True, others=0.5)
    assert cells_of(scenario_report.peak_table(scenario), "ringgate")[-1] == "GN"
    assert cells_of(scenario_report.peak_table(scenario), "nginx")[-1] == ""


def test_everything_is_in_the_report(results, tmp_path):
    results["targets"] = targets.evaluate_all(TARGETS, results["scenarios"])
    report.write(results, tmp_path, ["a.svg"])
    text = (tmp_path / "report.md").read_text()
    for part in ("a CPU", "spectre_v2", "abc subject", "nginx/1", "cubic", "64 connections: requests/s", "missed", "reached",
                 "generator's own peak", "3,000", "![a.svg](a.svg)", "Envoy, h2o, Caddy", "50%: 500/s"):
        assert part in text, part
    assert store.read(tmp_path) == results
    rows = list(csv.DictReader(open(tmp_path / "results.csv", newline="")))
    assert len(rows) == 5 * 3 + 3 * 3
    assert rows[0]["contender"] == "ringgate" and float(rows[0]["rate"]) == 1500 and float(rows[0]["p99_us"]) == 1000


def test_records_of_the_access_log(scenario):
    log = {"written": 9, "requests": 11, "dropped": 1, "lost": 1}
    scenario["rounds"]["ringgate"]["peak"] = [row(1, log=log)] * 3
    assert cells_of(scenario_report.log_table(scenario), "ringgate")[1:] == ["33", "27", "3", "3"]


def test_document_keeps_its_words(results):
    old = f"# Performance\n\nwords before\n\n{document.BEGIN}\n\nold figures\n\n{document.END}\n\nwords after\n"
    new = document.written(old, results)
    assert new.startswith("# Performance\n\nwords before\n") and new.endswith("\n\nwords after\n")
    assert "old figures" not in new and "1,500 (1,350-1,650)" in new
    assert document.written(new, results) == new


def test_document_without_marks_is_left_alone(results):
    with pytest.raises(Failure, match="lacks a mark"):
        document.written("# Performance\n", results)


def with_words(words):
    return f"{words}\n{document.BEGIN}\n{document.END}\n"


def test_figures_in_the_words_are_those_of_the_targets(results):
    """So that prose about a target can't keep the figures of an earlier run."""
    results["targets"] = targets.evaluate_all(TARGETS, results["scenarios"])
    name = "64 connections: requests/s"
    old = with_words(f"a <!-- target: {name} -->9.99 (1-2), missed<!-- /target --> b <!-- target: {name} --><!-- /target -->")
    new = document.written(old, results)
    assert new.startswith(f"a <!-- target: {name} -->1.50 (1.50-1.50), missed<!-- /target --> b <!-- target: {name} -->1.50 ")
    assert document.written(new, results) == new


def test_figures_that_were_not_measured_are_kept(results):
    words = "<!-- target: connection per request: requests/s -->1.30<!-- /target -->"
    new = document.written(with_words(words), results)
    assert words in new
    assert any("connection per request" in line for line in document.remarks(new, results))


def test_a_target_that_does_not_exist_is_refused(results):
    with pytest.raises(Failure, match="no such target: 64 conections"):
        document.written(with_words("<!-- target: 64 conections -->1<!-- /target -->"), results)


def test_what_the_words_should_speak_of(results):
    """Targets that were not reached without a word about them, and reached ones among those that were not."""
    judged = {"at_least": True, "bound": 1.5, "against": "nginx", "pairs": 5, "of": 5, "marks": ""}
    results["targets"] = [
        judged | {"text": "64 connections: requests/s", "verdict": targets.MISSED, "measured": 1.0, "low": 0.9, "high": 1.1},
        judged | {"text": "64 connections: CPU a request", "verdict": targets.REACHED, "measured": 0.5, "low": 0.4, "high": 0.6}]
    text = document.written(with_words("<!-- target: 64 connections: CPU a request --><!-- /target -->"), results)
    remarks = document.remarks(text, results)
    assert "missed, and not in the words: 64 connections: requests/s, 1.00 (0.90-1.10)" in remarks
    assert "reached, and in the words: 64 connections: CPU a request, 0.50 (0.40-0.60)" in remarks and len(remarks) == 2


@pytest.mark.skipif(not shutil.which("gnuplot"), reason="gnuplot is not installed")
def test_plots(results, tmp_path):
    (tmp_path / "hgrm").mkdir()
    (tmp_path / "hgrm" / "a.hgrm").write_text(
        "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
        "       0.100 0.500000000000          5           2.00\n"
        "       0.900 0.990000000000         99         100.00\n"
        "       1.500 1.000000000000        100            inf\n#[Mean = 0.2, StdDeviation = 0.1]\n")
    assert list(plots.curve(tmp_path / "hgrm" / "a.hgrm")) == [(2.0, 0.1), (100.0, 0.9)]
    for one in results["scenarios"][0]["rounds"]["ringgate"]["50%"]:
        one["hgrm"] = "hgrm/a.hgrm"
    made = plots.draw(results, tmp_path, print)
    assert made == ["ratio-rate.svg", "ratio-cpu.svg", "latency-keepalive-64-50.svg"]
    for name in made:
        assert xml.dom.minidom.parse(str(tmp_path / name)).documentElement.tagName == "svg"


def test_a_plot_that_fails_costs_the_plots_only(results, tmp_path, monkeypatch):
    def fails(script):
        raise Failure("gnuplot: no fonts")
    monkeypatch.setattr(plots, "gnuplot", fails)
    monkeypatch.setattr(plots.shutil, "which", lambda name: name)
    said = []
    assert plots.draw(results, tmp_path, said.append) == [] and "no fonts" in said[0]


def test_cpu_time_is_that_of_the_counted_time(monkeypatch):
    """The proxy uses a whole CPU in the counted time and none outside, where the load ends late; idle is the other one."""
    monkeypatch.setattr(measure.os, "cpu_count", lambda: 2)
    names = ("proxy_user", "proxy_system", "origin_user", "origin_system", "load_user", "load_system")
    samples = Samples({})
    samples.rows = [{"at": at, "idle": idle, **dict.fromkeys(names, 0.0), "proxy_user": cpu}
                    for at, cpu, idle in ((9.0, 0.0, 0.0), (10.0, 0.0, 2.0), (12.0, 2.0, 4.0), (14.0, 2.0, 8.0))]
    told = Result(2000, 1000.0, 2.0, {}, {}, begin=10.0, end=12.0, bytes=4 << 20)
    row = measure.figures(told, samples, 14.0)
    assert row["cpu_us"] == pytest.approx(1000) and row["idle"] == pytest.approx(0.5) and row["others"] == pytest.approx(0)
    assert row["mib_s"] == 2 and row["cpu_us_mib"] == pytest.approx(5e5)
    untold = Result(2000, 1000.0, 2.0, {}, {})
    assert measure.figures(untold, samples, 14.0)["cpu_us"] == pytest.approx(0)


def test_samples_between_two_looks():
    samples = Samples({})
    samples.rows = [{"at": 10.0, "x": 0.0}, {"at": 11.0, "x": 1.0}, {"at": 13.0, "x": 1.0}]
    assert samples.value("x", 10.5) == 0.5
    assert samples.used("x", 10.5, 11.0) == 1.0
    assert samples.used("x", 11.0, 13.0) == 0.0
    assert samples.used("x", 0.0, 11.0) == 1.0  # from where something is known
    assert samples.used("x", 14.0, 15.0) == 0.0
