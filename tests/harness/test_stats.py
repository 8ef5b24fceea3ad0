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


def test_best_peer_is_that_of_the_figure(scenario):
    assert stats.best_peer(scenario, "ringgate", "peak", "rate", PEERS, True) == "nginx"
    assert stats.best_peer(scenario, "ringgate", "peak", "cpu_us", PEERS, False) == "haproxy"
    assert stats.best_peer(scenario, "ringgate", "50%", "p99_us", PEERS, False) == "haproxy"
    assert stats.best_peer(scenario, "nginx", "peak", "rate", PEERS, True) == "haproxy"
    assert stats.best_peer(scenario, "ringgate", "none", "rate", PEERS, True) is None


def test_like_is_compared_with_like(scenario):
    scenario["rounds"]["ringgate+log"] = {"peak": [row(1)]}
    scenario["rounds"]["haproxy+log"] = {"peak": [row(5)]}
    assert stats.best_peer(scenario, "ringgate+log", "peak", "rate", ("haproxy",), True) == "haproxy+log"
    assert stats.best_peer(scenario, "ringgate", "peak", "rate", ("haproxy",), True) == "haproxy"


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
