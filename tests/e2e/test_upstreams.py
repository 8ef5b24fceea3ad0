"""Upstreams of routes: connections that are kept and those that end, targets that fail, names, and what is told of it."""

import json
import os
import subprocess
import threading
import time

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, Incomplete, elapsed, get
from lib.raw_origin import Answer, Deaf, Held, RawOrigin, reply
from lib.routed import Routed, target, unit


@pytest.fixture
def routed(programs, tmp_path):
    def make(config=None, **more):
        replica = programs.raw_origin(lambda c, r: reply(b"replica"))
        g = Routed(tmp_path, replica.address, config, **more)
        g.replica = replica
        programs.started.append(g)
        return g.start()
    return make


def named(text):
    return lambda connection, request: reply(text)


def dead_address():
    """Nobody listens there."""
    return f"127.0.0.1:{env.free_port()}"


def request(path, body=b""):
    lines = (f"Content-Length: {len(body)}",) if body else ()
    return req(*lines, target=path, method="POST" if body else "GET", body=body)


def ask(client, path, body=b""):
    return client.request(request(path, body))


def body_of(gateway, path):
    r = get(gateway.address, path)
    assert r.status == 200, r
    return r.body


# ---- connections ----

def test_requests_go_to_the_upstream_and_keep_its_connections(programs, routed):
    gateway = routed()
    origin = programs.raw_origin(named(b"upstream"))
    gateway.deploy(unit("/a", target(origin.address)))
    with Client(gateway.address) as c:
        for _ in range(5):
            assert ask(c, "/a/x").body == b"upstream"
        assert ask(c, "/other").body == b"replica"
    assert len(origin.connections) == 1
    assert origin.requests[0].get("host") == origin.address and origin.requests[0].target == "/a/x"
    gateway.wait_metric(4, "ringgate_upstream_connections_reused_total")
    assert gateway.metrics().get("ringgate_replica_connects_total", result="ok") == 1


def test_a_successor_finds_the_connections(programs, routed):
    gateway = routed({"replica": {"idle_timeout": "60s"}})
    origin, other = programs.raw_origin(named(b"one")), programs.raw_origin(named(b"two"))
    gateway.deploy(unit("/a", target(origin.address)))
    assert body_of(gateway, "/a") == b"one"
    gateway.deploy(unit("/a", target(origin.address)), unit("/b", target(other.address)))
    gateway.deploy(unit("/new", target(origin.address), handle="a"), unit("/b", target(other.address)))
    assert body_of(gateway, "/new") == b"one" and body_of(gateway, "/b") == b"two"
    assert len(origin.connections) == 1 and not origin.connections[0].ended
    assert body_of(gateway, "/a") == b"replica"


def test_what_nobody_leads_to_any_more_is_left(programs, routed):
    gateway = routed({"replica": {"idle_timeout": "60s"}})
    held = Held("/a/wait", b"late")
    origin = programs.raw_origin(held)
    gateway.deploy(unit("/a", target(origin.address)))
    assert body_of(gateway, "/a") == b"late"
    with Client(gateway.address) as c:
        c.send(request("/a/wait"))
        env.wait_until(lambda: len(origin.requests) == 2, 5, "the request to arrive")
        assert get(gateway.address, "/a").status == 200  # beside it, on a connection of its own
        gateway.deploy()
        assert body_of(gateway, "/a") == b"replica"
        assert not origin.connections[0].ended  # the exchange goes on
        held.release()
        assert c.response().body == b"late"
    env.wait_until(lambda: all(x.ended for x in origin.connections), 10, "the connections to end")
    gateway.wait_metric(0, "ringgate_upstream_connections_open")
    gateway.deploy(unit("/a", target(origin.address)))
    assert body_of(gateway, "/a") == b"late"


def test_no_request_fails_while_they_come_and_go(programs, routed):
    gateway = routed(workers=2)
    origins = [programs.raw_origin(named(b"%d" % i)) for i in range(3)]
    answers, errors, stop = [], [], threading.Event()

    def run():
        try:
            while not stop.is_set():
                with Client(gateway.address) as c:
                    for _ in range(10):
                        r = ask(c, "/a")
                        answers.append((r.status, r.body))
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)
    gateway.deploy(unit("/a", target(origins[0].address)))
    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for i in range(1, 31):
        gateway.deploy(unit("/a", target(origins[i % 3].address, host="localhost" if i % 2 else None)))
        live = len(answers)
        env.wait_until(lambda: len(answers) > live + 8, 20, "requests to be served")
        late = [a for a in answers[live:] if a != (200, b"%d" % (i % 3))]
        assert len(late) <= len(threads), late  # those that had begun before
    stop.set()
    for t in threads:
        t.join()
    assert not errors, errors
    assert {status for status, _ in answers} == {200}


def test_limits_are_those_of_each_upstream(programs, routed):
    gateway = routed({"replica": {"connections": 1}})
    held = Held(None)
    slow, quick = programs.raw_origin(held), programs.raw_origin(named(b"quick"))
    gateway.deploy(unit("/slow", target(slow.address)), unit("/quick", target(quick.address)))
    with Client(gateway.address) as first, Client(gateway.address) as second:
        first.send(request("/slow"))
        env.wait_until(lambda: len(slow.requests) == 1, 5, "the first request to arrive")
        second.send(request("/slow"))
        assert body_of(gateway, "/quick") == b"quick"  # nobody waits for another's limit
        assert body_of(gateway, "/other") == b"replica"
        assert len(slow.connections) == 1
        held.release()
        assert first.response().status == 200 and second.response().status == 200
    assert len(slow.connections) == 1


def test_idle_connections_end(programs, routed):
    gateway = routed({"replica": {"idle_timeout": env.ms(300)}})
    origin = programs.raw_origin()
    gateway.deploy(unit("/a", target(origin.address)))
    body_of(gateway, "/a")
    env.wait_until(lambda: origin.connections[0].ended, 10, "the connection to end")
    gateway.wait_metric(0, "ringgate_upstream_connections_open")


def test_a_stale_connection_is_replaced(programs, routed):
    gateway = routed({"replica": {"idle_timeout": "60s"}})
    origin = programs.raw_origin(lambda c, r: Answer(reply(b"ok"), "close"))
    gateway.deploy(unit("/a", target(origin.address)))
    for _ in range(10):
        assert body_of(gateway, "/a") == b"ok"


def test_unix_socket(programs, routed, tmp_path):
    gateway = routed()
    origin = programs.raw_origin(named(b"unix"), path=str(tmp_path / "up.sock"))
    gateway.deploy(unit("/a", target(origin.address)))
    assert body_of(gateway, "/a") == b"unix"
    assert origin.requests[0].get("host") == "localhost"


# ---- targets ----

def test_weights(programs, routed):
    gateway = routed()
    origins = [programs.raw_origin(named(str(i).encode())) for i in range(3)]
    gateway.deploy(unit("/a", *(target(o.address, weight=w) for o, w in zip(origins, (3, 1, 0)))))
    with Client(gateway.address) as c:
        got = [ask(c, "/a").body for _ in range(600)]
    share = got.count(b"0") / len(got)
    assert 0.65 < share < 0.85 and b"2" not in got, share  # 0.75, and five standard deviations around it


@pytest.mark.parametrize("body", [b"", b"x" * 100000], ids=["get", "post"])
def test_a_target_that_refuses_is_passed_over(programs, routed, body):
    gateway = routed()
    origin = programs.raw_origin(named(b"alive"))
    gateway.deploy(unit("/a", target(dead_address()), target(origin.address, host="localhost")))
    with Client(gateway.address) as c:
        for _ in range(20):
            r = ask(c, "/a", body)
            assert r.status == 200 and r.body == b"alive", r
    assert {r.get("host") for r in origin.requests} == {f"localhost:{origin.port}"}  # never the name of the dead one
    assert all(len(r.body) == len(body) for r in origin.requests)
    m = gateway.metrics()
    assert m.get("ringgate_requests_total", code="5xx") == 0
    assert m.get("ringgate_upstream_connects_total", result="failed") <= 8  # it is left alone, for longer and longer


def test_when_all_fail_they_are_tried_and_come_back(programs, routed):
    gateway = routed()
    address = dead_address()
    gateway.deploy(unit("/a", target(address), target(dead_address())))
    for _ in range(5):
        r = get(gateway.address, "/a")
        assert r.status == 503 and b"can't be reached" in r.body, r
    assert gateway.metrics().refused()["upstream-connect-failed"] == 5
    assert body_of(gateway, "/other") == b"replica"
    origin = RawOrigin(named(b"back"), port=int(address.rpartition(":")[2]))
    programs.started.append(origin)
    env.wait_until(lambda: get(gateway.address, "/a").status == 200, 20, "the upstream to be used again")


def test_a_target_is_passed_over_each_time_that_it_fails(programs, routed):
    """What the first failure left behind made the second one count for nothing."""
    gateway = routed()
    steady = programs.raw_origin(named(b"steady"))
    shaky = programs.raw_origin(lambda c, r: Answer(reply(b"shaky", connection="close"), "close"))
    gateway.deploy(unit("/a", target(steady.address), target(shaky.address)))

    def connects_failed():
        return gateway.metrics().get("ringgate_upstream_connects_total", result="failed")
    for _ in range(2):
        env.wait_until(lambda: body_of(gateway, "/a") == b"shaky", 20, "the shaky target to be used")
        shaky.stop_listening()
        before = connects_failed()
        for _ in range(40):
            assert body_of(gateway, "/a") == b"steady"
        assert connects_failed() - before <= 8  # of about 20 that would lead there
        shaky = RawOrigin(shaky.script, port=int(shaky.address.rpartition(":")[2]))
        programs.started.append(shaky)


def test_a_connect_that_takes_too_long(programs, routed):
    gateway = routed({"timeouts": {"connect": env.ms(400)}})
    with Deaf() as first, Deaf() as second:
        gateway.deploy(unit("/alone", target(first.address)))
        start = time.monotonic()
        r = get(gateway.address, "/alone")
        assert r.status == 504 and elapsed(start) >= 0.35, r
        assert gateway.metrics().refused()["upstream-connect-timeout"] == 1
        gateway.deploy(unit("/both", target(first.address), target(second.address)))
        # Each in its turn, one of them perhaps twice; the first not at all while it is left alone for its failure, for
        # 1 s.
        assert get(gateway.address, "/both").status == 504
        assert gateway.metrics().get("ringgate_upstream_connects_total", result="failed") in (2, 3, 4)
        origin = programs.raw_origin(named(b"other"))
        gateway.deploy(unit("/two", target(first.address), target(origin.address)))
        for _ in range(3):
            assert body_of(gateway, "/two") == b"other"


@pytest.mark.parametrize("answer,status,reason", [
    (Answer(b"", "close"), 502, "upstream-closed"),
    (Answer(b"nonsense\r\n\r\n", "close"), 502, "upstream-malformed"),
    (Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "close"), 502, "upstream-framing"),
])
def test_failures_are_told_as_the_upstreams(programs, routed, answer, status, reason):
    gateway = routed()
    origin = programs.raw_origin(lambda c, r: answer)
    gateway.deploy(unit("/a", target(origin.address)))
    r = get(gateway.address, "/a")
    assert r.status == status and b"behind this route" in r.body, r
    assert gateway.metrics().refused() == {reason: 1}


def test_a_response_that_is_cut_is_not_whole(programs, routed):
    gateway = routed()
    origin = programs.raw_origin(lambda c, r: Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", "close"))
    gateway.deploy(unit("/a", target(origin.address)))
    with pytest.raises(Incomplete):
        get(gateway.address, "/a")


def endpoints_of(gateway):
    status, text, _ = gateway.admin("GET", "/config")
    assert status == 200
    return {e["url"]: e for e in json.loads(text)["endpoints"]}


def test_what_is_told_of_them(programs, routed, tmp_path):
    log = tmp_path / "access.log"
    gateway = routed({"access_log": {"path": str(log)}})
    origin, dead = programs.raw_origin(), dead_address()
    gateway.deploy(unit("/a", target(origin.address)), unit("/dead", target(dead)))
    assert get(gateway.address, "/a").status == 200
    assert get(gateway.address, "/dead").status == 503
    assert get(gateway.address, "/other").status == 200
    told = endpoints_of(gateway)
    assert told[f"http://{origin.address}"] == {"url": f"http://{origin.address}", "state": "up", "wanted": True,
                                                "addresses": ["127.0.0.1"]}
    assert told[f"http://{dead}"]["state"] in ("down", "up")  # a second later it may be tried again
    m = gateway.metrics()
    assert m.sum("ringgate_upstream_endpoints") == 2 and m.get("ringgate_upstream_endpoints", state="unresolved") == 0
    env.wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 3, 10, "three records")
    records = {r["target"]: r for r in map(json.loads, log.read_text().splitlines())}
    assert records["/a"]["upstream"] == f"http://{origin.address}" and "upstream" not in records["/other"]
    assert records["/dead"]["upstream"] == f"http://{dead}" and records["/dead"]["reason"] == "upstream-connect-failed"
    gateway.deploy()
    env.wait_until(lambda: not endpoints_of(gateway), 10, "the endpoints to be gone")


# ---- names ----

def test_a_name_of_the_hosts_file(programs, routed):
    gateway = routed()
    origin = programs.raw_origin(named(b"by name"))
    gateway.deploy(unit("/a", target(origin.address, host="localhost")))
    assert body_of(gateway, "/a") == b"by name"  # the first request may have come before the address
    assert origin.requests[0].get("host") == f"localhost:{origin.port}"


needs_hosts = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.call(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL) != 0,
    reason="needs root, to give names other addresses")


def ask_by_name(programs, routed, addresses):
    """The statuses of 20 requests, each by a connection of its own, and how many connects failed."""
    gateway = routed(hosts={"several.test": addresses})
    origin = programs.raw_origin(lambda c, r: Answer(reply(b"by name", connection="close"), "close"))
    gateway.deploy(unit("/a", target(origin.address, host="several.test")))
    statuses = [get(gateway.address, "/a").status for _ in range(20)]
    assert sorted(endpoints_of(gateway)[f"http://several.test:{origin.port}"]["addresses"]) == sorted(addresses)
    m = gateway.metrics()
    assert m.get("ringgate_upstream_connects_total", result="ok") == statuses.count(200)
    return statuses, m.get("ringgate_upstream_connects_total", result="failed")


# Now and then one of those that have failed is tried again: after 1 s, 2 s, 4 s, ...
@needs_hosts
def test_the_family_of_which_nobody_listens_costs_one_connect(programs, routed):
    statuses, failed = ask_by_name(programs, routed, ["::1", "127.0.0.1"])
    assert set(statuses) == {200}
    assert failed <= 5


@needs_hosts
def test_all_addresses_of_a_name_are_tried(programs, routed):
    statuses, failed = ask_by_name(programs, routed, [f"127.0.0.{i}" for i in range(2, 9)] + ["127.0.0.1"])
    assert set(statuses) == {200}
    assert failed <= 7 * 5


def test_a_name_that_is_nobody_s_holds_up_nothing(programs, routed):
    gateway = routed({"timeouts": {"connect": env.ms(300)}})
    origin = programs.raw_origin(named(b"alive"))
    gateway.deploy(unit("/a", {"host": "nobody.invalid", "port": 80}),
                   unit("/b", {"host": "nobody.invalid", "port": 80}, target(origin.address)))
    assert body_of(gateway, "/other") == b"replica"
    for _ in range(10):
        assert body_of(gateway, "/b") == b"alive"
    r = get(gateway.address, "/a")
    assert r.status == 503 and b"no address" in r.body, r
    assert gateway.metrics().refused()["upstream-unresolved"] == 1


@pytest.mark.parametrize("host,words", [("169.254.169.254", "link-local"), ("a b", "neither a host name nor an address"),
                                        ("1.2.3.256", "neither")])
def test_targets_that_are_refused(routed, host, words):
    gateway = routed()
    why = gateway.refused(unit("/a", {"host": host, "port": 80}))
    assert words in why and why.startswith("upstreams[0]"), why
