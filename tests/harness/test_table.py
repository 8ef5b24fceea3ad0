"""The table of scenarios and what may be asked of it."""

import pathlib

import pytest

import scenarios as table
from harness import cells, cli, contenders, options, plan, rest, site
from harness.load import RinggateLoad, Result, per_thread_limit
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
        assert target.phase in [phase.name for phase in plan.phases(scenario)], target
        if target.against.startswith("scenario "):
            assert target.against.split(" ", 1)[1] in every, target
        elif target.against not in ("best peer", "calm", "nothing", "the clock"):
            assert target.against in scenario.contenders, target


def test_quick_takes_two_minutes():
    wanted = asked("--quick")
    assert [one.name for one in wanted.chosen] == ["keepalive-64", "per-connection", "body-256k"]
    assert 60 < options.expected_seconds(wanted) < 150


def test_rounds_rotate_over_everybody_but_the_origin_in_open_loops():
    scenario = next(one for one in table.SCENARIOS if one.name == "keepalive-64")
    wanted = asked("--only", "ringgate,direct", "--rounds", "2", "--seconds", "1", "--warmup", "1")
    once = 1 + 1 + plan.AROUND_SECONDS
    assert plan.duration(scenario, wanted, ["ringgate", "direct"]) == plan.START_SECONDS + 2 * (2 + 1 + 1) * once


@pytest.mark.parametrize("arguments, part", [
    (["--scenario", "nonsense"], "no such scenario; there are: keepalive-64"),
    (["--only", "nonsense"], "wanted one of ringgate, nginx"),
    (["--only", "nginx+hash"], "no setting 'hash', only: log"),
    (["--quick", "--compare", "HEAD"], "don't go together"),
    (["--load", "wrk", "--scenario", "per-connection"], "--load wrk can't do per-connection"),
    (["--append", "--compare", "HEAD"], "don't go together"),
    (["--compare", "HEAD", "--scenario", "skew"], "no plain ringgate"),
    (["--only", "floor", "--scenario", "empty,skew"], "skew: none of its contenders is wanted (--only floor)"),
    (["--only", "nginx", "--scenario", "deploys"], "it has ringgate+route"),
])
def test_wrong_options_are_explained(arguments, part):
    with pytest.raises(Failure) as caught:
        asked(*arguments)
    assert part in str(caught.value) and caught.value.status == 2


@pytest.mark.parametrize("arguments", [["--scenario", ","], ["--only", ""], ["--rounds", "0"], ["--seconds", "nan"]])
def test_values_of_options_are_checked(arguments, capsys):
    """An empty list is a slip, not a wish for everything."""
    with pytest.raises(SystemExit) as caught:
        asked(*arguments)
    assert caught.value.code == 2 and f"argument {arguments[0]}" in capsys.readouterr().err


def test_scenarios_without_a_wanted_contender_are_left_out():
    """Before anything is measured: an hour later it would cost what comes after."""
    names = [one.name for one in asked("--only", "floor").chosen]
    assert "keepalive-64" in names and not {"skew", "access-log", "deploys"} & set(names)


def test_a_comparison_is_estimated_for_those_that_take_part():
    wanted = asked("--compare", "HEAD")
    one = wanted.seconds + wanted.warmup + plan.AROUND_SECONDS
    assert options.expected_seconds(wanted) == 3 * (plan.START_SECONDS + wanted.rounds * 3 * one)  # ours, the other, the origin


def test_a_report_that_can_not_be_written_is_found_before_measuring(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="--report .*file") as caught:
        cli.check_report(tmp_path / "file")
    assert caught.value.status == 2
    cli.check_report(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_wrk_gets_what_it_can_do():
    names = [one.name for one in asked("--load", "wrk").chosen]
    assert "keepalive-64" in names and "body-8m" in names
    assert not {"per-connection", "upload-8m", "keepalive-10000", "skew", "stalled-worker"} & set(names)


def test_only_names_kinds_or_contenders():
    log = next(one for one in table.SCENARIOS if one.name == "access-log")
    assert plan.labels_of(log, ["nginx"]) == ["nginx", "nginx+log"]
    assert plan.labels_of(log, ["nginx+log", "direct"]) == ["nginx+log", "direct"]
    assert plan.labels_of(log, ["ringgate", "ringgate@abc"]) == ["ringgate", "ringgate+log", "ringgate@abc"]


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
    order = plan.order_for(scenario, wanted, contender, plan.Phase("50%", 0.5), 1000.0)
    command = [str(part) for part in RinggateLoad(Options, pathlib.Path("/d")).command(order)]
    joined = " ".join(command)
    for part in ("--connect 127.0.0.1:2000", "--connections 10000", "--active 64", "--rate 500", "--duration 2"):
        assert part in joined
    skew = next(one for one in table.SCENARIOS if one.name == "skew")
    assert "--skew" in plan.order_for(skew, wanted, contender, plan.Phase("disturbed", 0.5, True), 1000.0).options
    assert "--skew" not in plan.order_for(skew, wanted, contender, plan.Phase("calm", 0.5), 1000.0).options


def test_a_seed_each_round(tmp_path):
    class Options:
        bin = tmp_path
    program = tmp_path / "ringgate-load"
    program.write_text("#!/bin/sh\necho '  --seed N   the schedule'\n")
    program.chmod(0o755)
    scenario, wanted = table.SCENARIOS[0], asked()
    contender = contenders.Contender("ringgate", 2000, None)
    for number in (0, 1):
        order = plan.order_for(scenario, wanted, contender, plan.Phase("peak"), None, number)
        command = [str(part) for part in RinggateLoad(Options, pathlib.Path("/d")).command(order)]
        assert command[command.index("--seed") + 1] == str(number + 1)


def test_when_the_generator_was_the_limit():
    assert per_thread_limit(Result(1000, 1000.0, 1.0, {}, {}, 0.95))
    assert not per_thread_limit(Result(1000, 1000.0, 1.0, {}, {}, 0.5)) and not per_thread_limit(Result(1, 1.0, 1.0, {}, {}))


def test_a_stopped_worker_has_its_time():
    stalled = next(one for one in table.SCENARIOS if one.disturb == "freeze")
    assert plan.seconds_for(stalled, asked("--seconds", "1")) == 3 and plan.seconds_for(stalled, asked("--seconds", "5")) == 5


def test_calm_and_disturbed_share_their_rounds():
    skew = next(one for one in table.SCENARIOS if one.name == "skew")
    assert [[phase.name for phase in group] for group in plan.groups_for(skew, asked())] == [["peak"], ["calm", "disturbed"]]
    assert [len(group) for group in plan.groups_for(skew, asked("--no-latency"))] == [1]
    assert [len(group) for group in plan.groups_for(table.SCENARIOS[0], asked())] == [1, 1, 1]


@pytest.mark.parametrize("descriptors, shares, kept", [(20064, False, False), (20200, False, True), (20000, True, True)])
def test_the_floor_needs_its_descriptors(monkeypatch, capsys, descriptors, shares, kept):
    monkeypatch.setattr(contenders, "floor_shares", lambda _: shares)
    wanted = asked("--scenario", "keepalive-10000")
    wanted.descriptors = descriptors
    cli.check_descriptors(wanted)
    assert ("floor" in wanted.chosen[0].contenders) == kept
    assert ("without the floor" in capsys.readouterr().out) != kept


def test_too_few_descriptors_for_anybody():
    wanted = asked("--scenario", "keepalive-10000")
    wanted.descriptors = 16384
    with pytest.raises(Failure, match="ulimit -Hn"):
        cli.check_descriptors(wanted)


def test_sockets_that_are_left(tmp_path):
    listing = tmp_path / "tcp"
    listing.write_text("  sl  local_address rem_address   st\n"
                       "   0: 0100007F:07D0 00000000:0000 0A 0\n"    # listens
                       "   1: 0100007F:07D0 0100007F:9C40 01 0\n"    # open
                       "   2: 0100007F:07D0 0100007F:9C41 06 0\n"    # TIME_WAIT
                       "   3: 0100007F:07D0 0100007F:9C42 04 0\n"    # FIN_WAIT1
                       "   4: 0100007F:9C40 0100007F:07D0 01 0\n")   # the other side
    assert rest.sockets_of(2000, (listing, tmp_path / "missing")) == 2


def test_routes_are_a_setting():
    assert site.setting_of("ringgate+routes10000") == (10_000, ()) and site.setting_of("ringgate+log") is None
    assert [one["name"] for one in site.setting_of("ringgate+policies")[1]] == [
        "set-headers", "remove-headers", "cors", "api-key-auth", "basic-ratelimit"]


def test_the_harness_asks_with_the_fields_of_the_load():
    scenario = next(one for one in table.SCENARIOS if one.name == "policies")
    assert contenders.fields_of(scenario) == {"X-Api-Key": site.KEY, "Origin": site.ORIGIN}
    assert contenders.fields_of(table.SCENARIOS[0]) == {}


def test_what_contenders_are_told_can_be_filled_in():
    """Of every contender of every scenario: its settings are texts with places for values, and not found out when it starts."""
    values = {"dir": "DIR", "h2c": "PORT"}
    told = {label: contenders.settings_of(label, contenders.KINDS[contenders.kind_of(label)], values)
            for scenario in table.SCENARIOS for label in scenario.contenders if contenders.kind_of(label) in contenders.KINDS}
    assert told["ringgate+load"]["steering"] == "steering: {mode: load}"
    assert told["ringgate"]["steering"] == ""
    assert all("{" not in text.replace("{mode:", "") for settings in told.values() for text in settings.values())
