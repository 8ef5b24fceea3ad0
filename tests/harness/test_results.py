"""results.json: joined by a later run, and as earlier versions wrote it. And the order of a round."""

import collections
import copy
import json

import pytest

from harness import results as store, run
from harness.programs import Failure
from harness.sequence import order_of, williams


def later(results, name):
    found = copy.deepcopy(results)
    found["scenarios"][0]["name"] = name
    found["scenarios"][0]["run"]["commit"] = found["commit"] = "def later"
    found["machine"]["load_before"] = 3.0
    return found


def test_a_scenario_is_replaced(results):
    joined = store.joined(results, later(results, "keepalive-64"))
    assert [one["run"]["commit"] for one in joined["scenarios"]] == ["def later"]
    assert joined["targets"] and joined["commit"] == "def later"


def test_scenarios_stand_in_the_tables_order(results):
    joined = store.joined(later(results, "per-connection"), results)
    assert [one["name"] for one in joined["scenarios"]] == ["keepalive-64", "per-connection"]
    assert [one["run"]["commit"] for one in joined["scenarios"]] == ["abc subject", "def later"]


def test_another_machine_is_refused(results):
    other = later(results, "empty")
    other["machine"]["cpus"] = 8
    with pytest.raises(Failure, match=r"another machine \(cpus differ\)"):
        store.joined(results, other)


def test_what_earlier_versions_wrote(results, tmp_path):
    scenario = results["scenarios"][0]
    for name in ("run", "kept", "seconds", "floor_is_alike"):
        del scenario[name]
    for rows in (rows for phases in scenario["rounds"].values() for rows in phases.values()):
        for row in rows:
            for name in ("saturated", "reconnects", "backlog", "unrest", "mib_s", "cpu_us_mib"):
                row.pop(name, None)
            row["generator_limited"] = False
    scenario["body"] = 1048576
    (tmp_path / "results.json").write_text(json.dumps(results))
    found = store.read(tmp_path)["scenarios"][0]
    assert found["run"]["commit"] == "abc subject" and found["kept"] and not found["floor_is_alike"]
    assert found["rounds"]["ringgate"]["peak"][0]["mib_s"] == 1500


def test_no_results_and_broken_ones(tmp_path):
    assert store.read(tmp_path) is None
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(Failure, match="can't be read"):
        store.read(tmp_path)


def test_distributions_of_one_scenario_go(tmp_path):
    (tmp_path / "hgrm").mkdir()
    for name in ("keepalive-1.nginx.50.1", "keepalive-10000.nginx.50.1"):
        (tmp_path / "hgrm" / f"{name}.hgrm").write_text("")
    store.clear_scenario(tmp_path, "keepalive-1")
    assert [path.name for path in (tmp_path / "hgrm").iterdir()] == ["keepalive-10000.nginx.50.1.hgrm"]


def test_failures_are_listed_where_they_decide(scenario):
    scenario["rounds"]["nginx"]["50%"][0] = {**scenario["rounds"]["nginx"]["50%"][0], "failed": 3}
    assert run.failures([scenario]) == ([], [])
    scenario["rounds"]["nginx"]["peak"][0]["failed"] = 2
    scenario["rounds"]["haproxy"]["peak"][0] = {"problem": "it ended"}
    failed, problems = run.failures([scenario])
    assert failed == ["keepalive-64, nginx, peak: 2"] and problems == ["keepalive-64, haproxy, peak: it ended"]


@pytest.mark.parametrize("count", range(2, 9))
def test_each_follows_each_other_equally_often(count):
    orders = williams(count)
    follows = collections.Counter(pair for order in orders for pair in zip(order, order[1:]))
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert len(follows) == count * (count - 1) and len(set(follows.values())) == 1
    assert all(len({order[place] for order in orders}) == count for place in range(count))


def test_orders_begin_anew_when_there_are_no_more():
    assert order_of(["a"], 5) == ["a"]
    assert order_of(["a", "b"], 0) == order_of(["a", "b"], 2) == ["a", "b"] and order_of(["a", "b"], 1) == ["b", "a"]
