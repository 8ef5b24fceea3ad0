"""Marks: which figures are not to be believed."""

import pytest
from rows import row

from harness import marks


def marked(scenario, *rows, label="ringgate", phase="peak"):
    scenario["rounds"][label][phase] = list(rows)
    return marks.of(scenario, label, phase)


def test_nothing_to_say(scenario):
    assert marked(scenario, *[row(1000)] * 3) == ""


@pytest.mark.parametrize("others, noisy", [(0.0, False), (0.09, False), (0.11, True), (-0.05, False), (-0.2, True)])
def test_noise_and_accounts_that_do_not_add_up(others, noisy):
    assert marks.is_noisy(row(1, others=others)) == noisy


def test_unrest_is_noise(scenario):
    assert marked(scenario, row(1000), row(1000, unrest="9 connections of the load before are left")) == "N"


@pytest.mark.parametrize("late, mark", [(0, ""), (1, ""), (5, "g"), (20, "G")])
def test_late_requests_of_a_thousand(scenario, late, mark):
    found = marked(scenario, *[row(1000, behind={"requests": late, "max_us": 9000.0})] * 3, phase="50%")
    assert found.replace("Q", "") == mark


def test_reports_of_earlier_versions_have_one_limit():
    old = row(1000, generator_limited=True)
    del old["saturated"]
    assert marks.is_limited(old) and not marks.is_limited({**old, "generator_limited": False})


def test_a_peak_at_what_the_generator_can_do(scenario):
    scenario["rounds"]["direct"]["peak"] = [row(1600, saturated=True)] * 3
    assert marked(scenario, *[row(1500)] * 3) == "G"
    assert marked(scenario, *[row(1400)] * 3) == ""
    scenario["rounds"]["direct"]["peak"] = [row(1600)] * 3  # its limit was another
    assert marked(scenario, *[row(1500)] * 3) == ""


def test_drift(scenario):
    assert marked(scenario, row(1000), row(1100), row(950)) == ""
    assert marked(scenario, row(1000), row(1200), row(950)) == "D"
    assert marked(scenario, row(1000), row(1200)) == ""  # two have no middle


@pytest.mark.parametrize("answered, queueing", [(30000, False), (29900, False), (29800, True), (30200, True)])
def test_a_queue(scenario, answered, queueing):
    scenario["phases"]["50%"] = 10000.0
    one = row(answered / 3, requests=answered)
    assert marks.is_queueing(one, 10000.0, 64) == queueing
    assert marked(scenario, one, one, phase="50%") == ("Q" if queueing else "")


def test_few_requests_may_begin_anywhere_in_their_period():
    assert not marks.is_queueing(row(298, requests=298), 300.0, 16)
    assert marks.is_queueing(row(290, requests=290), 300.0, 16)


def test_kept_connections_opened_again(scenario):
    assert marked(scenario, row(1000), row(1000, reconnects=2)) == "R"
    scenario["kept"] = False
    assert marked(scenario, row(1000), row(1000, reconnects=2)) == ""


def test_a_cell_that_failed_has_no_marks(scenario):
    assert marked(scenario, row(1000), {"problem": "ended"}) == ""
    assert marks.is_doubtful({"problem": "ended"}, "rate")
