"""The table of scenarios and what may be asked of it."""

import pathlib

import pytest

import scenarios as table
from harness import cells, contenders, options
from harness.load import RinggateLoad, Result, per_thread_limit, was_behind
from harness.programs import Failure


def asked(*arguments):
    return options.complete(options.parser().parse_args(arguments))


def test_scenarios_are_sound():
    names = [one.name for one in table.SCENARIOS]
    assert len(set(names)) == len(names)
    for scenario in table.SCENARIOS:
        for label in scenario.contenders:
            if label != "others":
                contenders.check_label(label)
        assert not scenario.disturb or scenario.rates
        assert (scenario.active or 0) <= scenario.connections


def test_targets_name_what_is_measured():
    every = {one.name: one for one in table.SCENARIOS}
    for target in table.TARGETS:
        scenario = every[target.scenario]
        assert target.contender in scenario.contenders, target
        assert target.phase in [phase.name for phase in cells.phases(scenario)], target
        if target.against.startswith("scenario "):
            assert target.against.split(" ", 1)[1] in every, target
        elif target.against not in ("best peer", "each peer", "calm", "nothing"):
            assert target.against in scenario.contenders, target


def test_quick_takes_two_minutes():
    wanted = asked("--quick")
    assert [one.name for one in wanted.chosen] == ["keepalive-64", "per-connection", "body-256k"]
    assert 60 < options.expected_seconds(wanted) < 130


def test_rounds_rotate_over_everybody_but_the_origin_in_open_loops():
    scenario = next(one for one in table.SCENARIOS if one.name == "keepalive-64")
    wanted = asked("--only", "ringgate,direct", "--rounds", "2", "--seconds", "1", "--warmup", "1")
    once = 1 + 1 + cells.AROUND_SECONDS
    assert cells.duration(scenario, wanted, ["ringgate", "direct"]) == cells.START_SECONDS + 2 * (2 + 1 + 1) * once


@pytest.mark.parametrize("arguments, part", [
    (["--scenario", "nonsense"], "no such scenario; there are: keepalive-64"),
    (["--only", "nonsense"], "wanted one of ringgate, nginx"),
    (["--only", "nginx+hash"], "no setting 'hash', only: log"),
    (["--quick", "--compare", "HEAD"], "don't go together"),
    (["--load", "wrk", "--scenario", "per-connection"], "--load wrk can't do per-connection"),
    (["--compare", "HEAD", "--scenario", "skew"], "no plain ringgate"),
])
def test_wrong_options_are_explained(arguments, part):
    with pytest.raises(Failure) as caught:
        asked(*arguments)
    assert part in str(caught.value) and caught.value.status == 2


def test_wrk_gets_what_it_can_do():
    names = [one.name for one in asked("--load", "wrk").chosen]
    assert "keepalive-64" in names and "body-8m" in names
    assert not {"per-connection", "upload-8m", "keepalive-10000", "skew", "stalled-worker"} & set(names)


def test_only_names_kinds_or_contenders():
    log = next(one for one in table.SCENARIOS if one.name == "access-log")
    assert cells.labels_of(log, ["nginx"]) == ["nginx", "nginx+log"]
    assert cells.labels_of(log, ["nginx+log", "direct"]) == ["nginx+log", "direct"]
    assert cells.labels_of(log, ["ringgate", "ringgate@abc"]) == ["ringgate", "ringgate+log", "ringgate@abc"]


def test_reference_is_the_faster_peer(scenario):
    assert cells.reference_of(scenario["rounds"]) == ("nginx", 1000)
    del scenario["rounds"]["nginx"], scenario["rounds"]["haproxy"]
    assert cells.reference_of(scenario["rounds"]) == ("ringgate", 1500)


def test_configurations_have_no_gaps():
    with pytest.raises(Failure, match="nothing to put for @WORKERS@"):
        contenders.fill("nginx.conf", {"user": "root"})


def test_the_generators_command(tmp_path):
    class Options:
        bin = tmp_path
    program = tmp_path / "ringgate-load"
    program.write_text("")
    program.chmod(0o755)
    scenario = next(one for one in table.SCENARIOS if one.name == "keepalive-10000")
    wanted = asked("--seconds", "2")
    contender = contenders.Contender("ringgate", 2000, None)
    order = cells.order_for(scenario, wanted, contender, cells.Phase("50%", 0.5), 1000.0)
    command = [str(part) for part in RinggateLoad(Options, pathlib.Path("/d")).command(order)]
    joined = " ".join(command)
    for part in ("--connect 127.0.0.1:2000", "--connections 10000", "--active 64", "--rate 500", "--duration 2"):
        assert part in joined
    skew = next(one for one in table.SCENARIOS if one.name == "skew")
    assert "--skew" in cells.order_for(skew, wanted, contender, cells.Phase("disturbed", 0.5, True), 1000.0).options
    assert "--skew" not in cells.order_for(skew, wanted, contender, cells.Phase("calm", 0.5), 1000.0).options


def test_when_the_generator_was_the_limit():
    def result(share=None, behind=None):
        return Result(1000, 1000.0, 1.0, {}, {}, share, behind)
    assert per_thread_limit(result(share=0.95)) and not per_thread_limit(result(share=0.5))
    assert was_behind(result(behind={"requests": 50, "max_us": 5000}))
    assert not was_behind(result(behind={"requests": 5, "max_us": 5000}))
    assert not was_behind(result(behind={"requests": 50, "max_us": 500}))
    assert not was_behind(result())
