"""Ratios within rounds, intervals and verdicts."""

import pytest
from rows import row

from harness import stats
from harness.contenders import PEERS


def test_a_slow_round_cancels_out():
    mine, theirs = [row(100), row(10), row(120)], [row(50), row(5), row(60)]
    assert stats.ratio(mine, theirs, "rate") == 2.0
    assert stats.spread(mine, "rate") == (100, 10, 120)


def test_missing_figures_are_left_out():
    mine = [row(1, enters=None), row(1, enters=0.5)]
    assert stats.median(mine, "enters") == 0.5
    assert stats.median([row(1, enters=None)], "enters") is None
    assert stats.ratio(mine, [row(1, enters=None)] * 2, "enters") is None
    assert stats.ratio(None, mine, "rate") is None


def test_latencies_are_found_by_name():
    assert stats.figure(row(1, p99=7.0), "p99_us") == 7.0
    assert stats.figure(row(1, cpu_us=3.0), "cpu_us") == 3.0


def test_the_peer_against_which_it_looks_worst(scenario):
    def peer(label, phase, name, greater):
        return stats.least_favourable(scenario, label, phase, name, PEERS, greater)
    assert peer("ringgate", "peak", "rate", True) == ("nginx", [1.5, 1.5, 1.5])
    assert peer("ringgate", "peak", "cpu_us", False) == ("haproxy", [0.6, 0.6, 0.6])
    assert peer("ringgate", "50%", "p99_us", False)[0] == "haproxy"
    assert peer("nginx", "peak", "rate", True)[0] == "haproxy"
    assert peer("ringgate", "none", "rate", True) is None


def test_the_worst_ratio_is_not_that_to_the_best_median():
    """nginx has the greater median, yet round by round HAProxy leaves ringgate the smaller advantage."""
    found = {"ringgate": [150, 100, 150], "nginx": [100, 60, 101], "haproxy": [75, 90, 110]}
    scenario = {"rounds": {label: {"peak": [row(rate) for rate in rates]} for label, rates in found.items()}}
    assert stats.median(scenario["rounds"]["nginx"]["peak"], "rate") > stats.median(scenario["rounds"]["haproxy"]["peak"], "rate")
    peer, ratios = stats.least_favourable(scenario, "ringgate", "peak", "rate", PEERS, True)
    assert peer == "haproxy" and ratios == pytest.approx([2, 10 / 9, 15 / 11])


def test_like_is_compared_with_like(scenario):
    scenario["rounds"]["ringgate+log"] = {"peak": [row(1)]}
    scenario["rounds"]["haproxy+log"] = {"peak": [row(5)]}
    assert stats.peers_of(scenario, "ringgate+log", "peak", ("haproxy",)) == ["haproxy+log"]
    assert stats.peers_of(scenario, "ringgate", "peak", ("haproxy",)) == ["haproxy"]


def test_a_cell_that_failed_leaves_its_round_out():
    mine, theirs = [row(2), {"problem": "ended"}, row(6)], [row(1), row(1), row(2)]
    assert stats.ratios(mine, theirs, "rate") == [2, 3]
    assert stats.figure({"problem": "ended"}, "p99_us") is None and stats.total(mine, "failed") == 0


@pytest.mark.parametrize("n, low, high, coverage", [
    (1, 0, 0, 0.0),
    (3, 0, 2, 0.75),
    (5, 0, 4, 0.9375),
    (9, 1, 7, 0.9609375),     # the least and the greatest may be left out: 1 - 2 * (1 + 9) / 512
])
def test_interval_by_order_statistics(n, low, high, coverage):
    assert stats.interval(list(range(n))) == (low, high, coverage)


def test_interval_needs_figures():
    with pytest.raises(ValueError):
        stats.interval([])


@pytest.mark.parametrize("found, more_is_better, expected", [
    ([0.90, 0.91, 0.92, 0.93, 0.94], True, "slower"),
    ([0.90, 0.91, 0.92, 0.93, 0.94], False, "faster"),
    ([1.10, 1.11, 1.12, 1.13, 1.14], True, "faster"),
    ([1.10, 1.11, 1.12, 1.13, 1.14], False, "slower"),
    ([0.80, 0.85, 0.90, 0.95, 1.01], True, "same"),      # the spread reaches over 1
    ([0.985, 0.986, 0.987, 0.988, 0.989], True, "same"),  # surely less, but by too little to matter
    ([1.0] * 5, True, "same"),
    ([], True, "same"),
])
def test_verdict_respects_the_spread(found, more_is_better, expected):
    assert stats.verdict(found, more_is_better) == expected


def test_worse_in_one_is_worse():
    assert stats.verdict_of_both("faster", "slower") == "slower"
    assert stats.verdict_of_both("same", "slower") == "slower"
    assert stats.verdict_of_both("faster", "same") == "faster"
    assert stats.verdict_of_both("same", "same") == "same"
