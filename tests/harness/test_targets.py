"""Targets: what is divided by what, and what counts as reached."""

import pytest
from rows import row

from harness import revision, targets
from scenarios import Target


def evaluate(scenarios, **how):
    return targets.evaluate(Target(**{"text": "t", "scenario": "keepalive-64", **how}), scenarios)


def test_rate_against_the_faster_peer(scenario):
    found = evaluate([scenario], figure="rate", bound=1.5, at_least=True)
    assert found["measured"] == pytest.approx(1.5) and found["against"] == "nginx" and found["verdict"] == "reached"
    assert evaluate([scenario], figure="rate", bound=1.55, at_least=True)["verdict"] == "missed"


def test_cpu_against_the_cheaper_peer(scenario):
    found = evaluate([scenario], figure="cpu_us", bound=0.55)
    assert found["measured"] == pytest.approx(0.6) and found["against"] == "haproxy" and found["verdict"] == "missed"


def test_floor_and_latency(scenario):
    assert evaluate([scenario], figure="rate", bound=0.92, at_least=True, against="floor")["verdict"] == "undecided"
    assert evaluate([scenario], figure="rate", bound=0.8, at_least=True, against="floor")["verdict"] == "reached"
    found = evaluate([scenario], figure="p99_us", bound=0.8, phase="50%")
    assert found["measured"] == pytest.approx(700 / 900) and found["verdict"] == "reached"


def test_below_both_peers_means_the_worst(scenario):
    for rounds, cpu in (("nginx", 7), ("haproxy", 5)):
        scenario["rounds"][rounds]["peak"] = [row(1000, cpu)] * 3
    found = evaluate([scenario], figure="cpu_us", bound=1.0)
    assert found["measured"] == pytest.approx(6 / 5) and found["against"] == "haproxy" and found["verdict"] == "missed"


def test_memory_against_another_scenario(scenario):
    other = {**scenario, "name": "other", "rounds": {"ringgate": {"peak": [row(1, pss_kib=2048)] * 3}}}
    found = evaluate([scenario, other], figure="pss_kib", bound=1.25, against="scenario other")
    assert found["measured"] == 2.0 and found["verdict"] == "missed"


def test_calm_and_disturbed(scenario):
    scenario["phases"] = {"peak": None, "calm": 300.0, "disturbed": 300.0}
    scenario["rounds"] = {"ringgate+load": {"peak": [row(1)], "calm": [row(1, p99=100)] * 3,
                                             "disturbed": [row(1, p99=140, stopped_seconds=1.0)] * 3}}
    found = evaluate([scenario], figure="p99_us", bound=1.5, phase="disturbed", contender="ringgate+load", against="calm")
    assert found["measured"] == pytest.approx(1.4) and found["verdict"] == "reached"
    shown = targets.disturbances([scenario])[0]
    assert shown["ratio"] == pytest.approx(1.4) and shown["stopped"] == 1.0


def test_a_bound_within_the_interval_is_undecided(scenario):
    scenario["rounds"]["ringgate"]["peak"] = [row(rate) for rate in (1500, 1600, 1450)]  # to nginx: 1.5, 1.45, 1.61
    found = evaluate([scenario], figure="rate", bound=1.5, at_least=True)
    assert found["verdict"] == "undecided" and found["pairs"] == 3
    assert evaluate([scenario], figure="rate", bound=1.45, at_least=True)["verdict"] == "reached"
    assert evaluate([scenario], figure="rate", bound=1.62, at_least=True)["verdict"] == "missed"


def test_the_verdict_is_the_worst_over_the_peers(scenario):
    """Against nginx the ratio is smaller but sure; against HAProxy greater on the whole, and undecided."""
    rounds = scenario["rounds"]
    rounds["ringgate"]["peak"], rounds["nginx"]["peak"] = [row(160)] * 3, [row(100)] * 3
    rounds["haproxy"]["peak"] = [row(rate) for rate in (80, 90, 110)]
    found = evaluate([scenario], figure="rate", bound=1.5, at_least=True)
    assert found["against"] == "haproxy" and found["verdict"] == "undecided"


@pytest.mark.parametrize("whose", ["ringgate", "nginx"])
def test_marked_rows_are_left_out(scenario, whose):
    for label in ("nginx", "ringgate"):
        scenario["rounds"][label]["peak"] = [row(1000)] * 5
    del scenario["rounds"]["haproxy"]
    scenario["rounds"][whose]["peak"][1:3] = [row(9, others=0.3), row(9, saturated=True)]
    found = evaluate([scenario], figure="rate", bound=1.0, at_least=True)
    assert found["pairs"] == 3 and found["of"] == 5 and found["low"] == 1.0 and found["verdict"] == "reached"
    assert set("GN") <= set(found["marks"])
    scenario["rounds"][whose]["peak"][3] = row(9, unrest="connections are left")
    assert evaluate([scenario], figure="rate", bound=1.0, at_least=True)["verdict"] == "undecided"


def test_a_late_generator_spoils_the_tail_first(scenario):
    late = {"requests": 5, "max_us": 4000.0}  # of 1000: 0.5 %
    for label in ("ringgate", "nginx", "haproxy"):
        scenario["rounds"][label]["50%"] = [row(1000, behind=late)] * 3
    assert evaluate([scenario], figure="p99_us", bound=1.0, phase="50%")["verdict"] == "reached"
    found = evaluate([scenario], figure="p999_us", bound=1.0, phase="50%")
    assert found["verdict"] == "undecided" and found["pairs"] == 0 and "g" in found["marks"]


def test_lost_records_are_summed(scenario):
    logs = [row(1, log={"written": 9, "requests": 10, "dropped": 0, "lost": lost}) for lost in (0, 1, 0)]
    scenario["rounds"]["ringgate+log"] = {"peak": logs}
    found = evaluate([scenario], figure="log_lost", bound=0, contender="ringgate+log", against="nothing")
    assert found["measured"] == 1 and found["verdict"] == "missed"


def test_what_was_not_measured_has_no_row(scenario):
    assert evaluate([], figure="rate", bound=1) is None
    assert evaluate([scenario], figure="rate", bound=1, contender="ringgate+log") is None
    assert evaluate([scenario], figure="rate", bound=1, against="scenario none") is None
    del scenario["rounds"]["nginx"], scenario["rounds"]["haproxy"]
    assert evaluate([scenario], figure="rate", bound=1) is None


@pytest.mark.parametrize("rate, cpu, expected", [(0.8, 1.0, "slower"), (1.0, 1.2, "slower"), (1.0, 1.0, "same"),
                                                 (1.2, 0.9, "faster")])
def test_comparison_with_a_revision(results, rate, cpu, expected):
    old = "ringgate@abc"
    rounds = results["scenarios"][0]["rounds"]
    rounds["ringgate"] = {"peak": [row(1000 * rate, 10 * cpu)] * 5}
    rounds[old] = {"peak": [row(1000, 10)] * 5}
    found = revision.compare(results, old)
    assert found["revision"] == "abc" and found["scenarios"][0]["verdict"] == expected
    assert found["scenarios"][0]["rate"] == pytest.approx(rate)


@pytest.mark.parametrize("disturbed, count, expected", [(4, 9, "same"), (8, 9, "undecided"), (9, 9, "undecided"),
                                                        (0, 3, "undecided")])
def test_a_comparison_leaves_out_disturbed_rounds(results, disturbed, count, expected):
    """Neighbours who come in while this version has its turn don't make it slower, and too few rounds say nothing."""
    rounds = results["scenarios"][0]["rounds"]
    rounds["ringgate"] = {"peak": [row(500, 20, others=0.5)] * disturbed + [row(1000, 10)] * (count - disturbed)}
    rounds["ringgate@abc"] = {"peak": [row(1000, 10)] * count}
    assert revision.compare(results, "ringgate@abc")["scenarios"][0]["verdict"] == expected


def test_a_duration_by_itself():
    rows = [row(1, deploy_ms=ms) for ms in (12.0, 10.0, 11.0, 13.0, 14.0)]
    deploys = {"name": "keepalive-64", "rounds": {"ringgate": {"peak": rows}}}
    found = evaluate([deploys], figure="deploy_ms", bound=20, against="the clock")
    assert (found["measured"], found["verdict"]) == (12.0, "reached")
    assert evaluate([deploys], figure="deploy_ms", bound=9, against="the clock")["verdict"] == "missed"
    noisy = {"name": "keepalive-64", "rounds": {"ringgate": {"peak": [row(1, deploy_ms=12.0, others=0.5)] * 5}}}
    assert evaluate([noisy], figure="deploy_ms", bound=20, against="the clock")["verdict"] == "undecided"
    assert evaluate([deploys], figure="deploy_p99_ms", bound=20, against="the clock") is None
