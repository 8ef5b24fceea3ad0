"""Targets: what is divided by what, and what counts as reached."""

import pytest
from rows import row

from harness import revision, targets
from scenarios import Target


def evaluate(scenarios, **how):
    return targets.evaluate(Target(**{"text": "t", "scenario": "keepalive-64", **how}), scenarios)


def test_rate_against_the_faster_peer(scenario):
    found = evaluate([scenario], figure="rate", bound=1.5, at_least=True)
    assert found["measured"] == pytest.approx(1.5) and found["against"] == "nginx" and found["reached"]
    assert not evaluate([scenario], figure="rate", bound=1.55, at_least=True)["reached"]


def test_cpu_against_the_cheaper_peer(scenario):
    found = evaluate([scenario], figure="cpu_us", bound=0.55)
    assert found["measured"] == pytest.approx(0.6) and found["against"] == "haproxy" and not found["reached"]


def test_floor_and_latency(scenario):
    assert evaluate([scenario], figure="rate", bound=0.92, at_least=True, against="floor")["reached"]
    found = evaluate([scenario], figure="p99_us", bound=0.8, phase="50%")
    assert found["measured"] == pytest.approx(700 / 900) and found["reached"]


def test_below_each_peer_means_the_worst(scenario):
    for rounds, cpu in (("nginx", 7), ("haproxy", 5)):
        scenario["rounds"][rounds]["peak"] = [row(1000, cpu)] * 3
    found = evaluate([scenario], figure="cpu_us", bound=1.0, against="each peer")
    assert found["measured"] == pytest.approx(6 / 5) and found["against"] == "haproxy" and not found["reached"]


def test_memory_against_another_scenario(scenario):
    other = {**scenario, "name": "other", "rounds": {"ringgate": {"peak": [row(1, pss_kib=2048)] * 3}}}
    found = evaluate([scenario, other], figure="pss_kib", bound=1.25, against="scenario other")
    assert found["measured"] == 2.0 and not found["reached"]


def test_calm_and_disturbed(scenario):
    scenario["phases"] = {"peak": None, "calm": 300.0, "disturbed": 300.0}
    scenario["rounds"] = {"ringgate+load": {"peak": [row(1)], "calm": [row(1, p99=100)], "disturbed": [row(1, p99=140)]}}
    found = evaluate([scenario], figure="p99_us", bound=1.5, phase="disturbed", contender="ringgate+load", against="calm")
    assert found["measured"] == pytest.approx(1.4) and found["reached"]
    assert targets.disturbances([scenario])[0]["ratio"] == pytest.approx(1.4)


def test_lost_records_are_summed(scenario):
    logs = [row(1, log={"written": 9, "requests": 10, "dropped": 0, "lost": lost}) for lost in (0, 1, 0)]
    scenario["rounds"]["ringgate+log"] = {"peak": logs}
    found = evaluate([scenario], figure="log_lost", bound=0, contender="ringgate+log", against="nothing")
    assert found["measured"] == 1 and not found["reached"]


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
