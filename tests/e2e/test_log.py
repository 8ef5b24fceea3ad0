"""The operator's log: it says what holds at the moment it says it, with figures, and what to do."""

import re
import resource
import signal
import time

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, Incomplete, get
from lib.gateway import nofile_limit
from lib.raw_origin import Held, reply

CHECKED = {"replica": {"health": {"path": "/api/v2/status", "interval": env.ms(100), "fall": 1}}}


def messages(gateway):
    """(level, text) of each line, without the time."""
    found = re.findall(r"^\S+Z (error|warn|info|debug) +(.*)$", gateway.log(), re.M)
    assert found, "no line has the format of the log"
    return found


def texts(gateway):
    return [text for _, text in messages(gateway)]


def find(gateway, start):
    return [text for text in texts(gateway) if text.startswith(start)]


def wait_for(gateway, start, n=1, seconds=5.0):
    env.wait_until(lambda: len(find(gateway, start)) >= n, seconds, f"{n} lines {start!r}")
    return find(gateway, start)[-1]


def number(text, name):
    m = re.search(rf"\b{name}=(\d+)\b", text)
    assert m, f"no {name} in {text!r}"
    return int(m.group(1))


# ---- readiness ----

def test_ready_is_said_when_it_is_so(programs):
    """`ready` stood in the log while the replica was down."""
    origin = programs.origin()
    origin.health("unhealthy")
    gateway = programs.gateway(origin.address, CHECKED)
    line = wait_for(gateway, "not ready")
    assert line == "not ready reasons=replica-down"
    assert len(find(gateway, "started")) == 1 and not find(gateway, "ready")
    assert texts(gateway).index(line) > texts(gateway).index(find(gateway, "started")[0])
    origin.health("healthy")
    wait_for(gateway, "ready")
    assert gateway.admin("GET", "/ready")[0] == 200
    origin.health("unhealthy")
    wait_for(gateway, "not ready", 2)
    assert gateway.admin("GET", "/ready")[0] == 503
    origin.health("healthy")
    wait_for(gateway, "ready", 2)
    gateway.stop()
    assert find(gateway, "not ready")[-1] == "not ready reasons=draining"
    assert ("info", "not ready reasons=draining") in messages(gateway), "what was ordered is no warning"


def test_reloads_are_no_loss_of_readiness(programs):
    """Workers need a moment to take new settings over; that is not worth two lines."""
    origin = programs.origin()
    gateway = programs.gateway(origin.address, CHECKED, workers=2)
    wait_for(gateway, "ready")
    for i in range(5):
        gateway.reconfigure({"limits": {"headers": 50 + i}})
        assert gateway.admin("POST", "/reload")[0] == 200
        time.sleep(0.05)
    assert len(find(gateway, "ready")) == 1 and not find(gateway, "not ready")


def test_replica_that_is_not_checked(programs):
    """With health.path off the log called the replica healthy, and nobody had looked."""
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address)
    line = wait_for(gateway, "the replica's health is not checked")
    assert origin.address in line and "replica.health.path" in line
    wait_for(gateway, "ready")
    assert not find(gateway, "the replica is healthy")
    dead = f"127.0.0.1:{env.free_port()}"
    gateway.reconfigure({"replica": {"address": dead, "health": {"path": "off", "fall": 2}}})
    assert gateway.admin("POST", "/reload")[0] == 200
    wait_for(gateway, "the replica's health is not checked", 2)

    def is_down():
        get(gateway.address, "/x")
        return find(gateway, "the replica is down")
    env.wait_until(is_down, 5, "connects to fail")
    wait_for(gateway, "not ready reasons=replica-down")
    programs.raw_origin(port=int(dead.split(":")[1]))
    wait_for(gateway, "the replica takes connections again", seconds=10)
    wait_for(gateway, "ready", 2)


def test_replica_that_fails_its_check(programs):
    """What was asked for is told, as that may be what is wrong."""
    origin = programs.raw_origin(lambda c, r: reply(b"", status="404 Not Found", connection="close"))
    gateway = programs.gateway(origin.address, {"replica": {"health": {"path": "/up", "expect": "2xx", "interval": env.ms(100)}}})
    line = wait_for(gateway, "the replica is down")
    assert f"replica={origin.address} path=/up reason=" in line and "404" in line, line


# ---- drain ----

def test_drain_tells_what_is_left_and_what_was_cut(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": env.ms(600), "drain_idle": "20s"}}, workers=2)
    slow = [Client(gateway.address) for _ in range(3)]
    idle = [Client(gateway.address) for _ in range(4)]
    for c in idle:
        assert c.request(req(method="GET", target="/bytes/10")).status == 200
    for c in slow:
        c.send(req(method="GET", target="/bytes/10?delay=60000"))
    gateway.wait_metric(3, "ringgate_exchanges_open")
    gateway.wait_metric(7, "ringgate_connections_open")
    gateway.process.signal(signal.SIGTERM)
    for c in slow:
        try:
            c.response()
        except (Incomplete, OSError):
            pass
    assert gateway.process.wait(5) == 0
    begin = find(gateway, "draining")[0]
    assert (number(begin, "connections"), number(begin, "requests")) == (7, 3), begin
    cut = find(gateway, "the drain took too long")[0]
    assert (number(cut, "connections"), number(cut, "requests")) == (7, 3), cut
    end = find(gateway, "drained")[0]
    assert (number(end, "connections_cut"), number(end, "requests_cut")) == (7, 3), end
    assert number(end, "took_ms") >= 500
    for c in slow + idle:
        c.close()


def test_drain_that_finishes_cuts_nothing(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": "20s"}})
    with Client(gateway.address) as c:
        c.send(req(method="GET", target=f"/bytes/10?delay={int(400 * env.SLOW)}"))
        gateway.wait_metric(1, "ringgate_exchanges_open")
        gateway.process.signal(signal.SIGTERM)
        assert c.response().status == 200
    assert gateway.process.wait(5) == 0
    begin, end = find(gateway, "draining")[0], find(gateway, "drained")[0]
    assert (number(begin, "connections"), number(begin, "requests")) == (1, 1)
    assert (number(end, "connections_cut"), number(end, "requests_cut")) == (0, 0)
    assert not find(gateway, "the drain took too long")


def test_second_signal_tells_what_it_cuts(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": "60s"}})
    with Client(gateway.address) as c:
        c.send(req(method="GET", target="/bytes/10?delay=60000"))
        gateway.wait_metric(1, "ringgate_exchanges_open")
        gateway.process.signal(signal.SIGTERM)
        wait_for(gateway, "draining")
        gateway.process.signal(signal.SIGTERM)
        assert gateway.process.wait(5) == 0
    line = find(gateway, "second signal")[0]
    assert (number(line, "connections"), number(line, "requests")) == (1, 1), line
    assert number(find(gateway, "drained")[0], "requests_cut") == 1


# ---- shortages ----

def test_few_descriptors_are_told_at_the_start(programs):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 8500:
        pytest.skip("the hard limit of open files is too low for a gateway that has enough of them: ulimit -Hn 8500")
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, preexec=nofile_limit(200))
    level, line = next((m for m in messages(gateway) if m[1].startswith("few descriptors")), (None, ""))
    assert level == "warn" and "LimitNOFILE=" in line, gateway.log()
    idle, busy = number(line, "idle_clients"), number(line, "busy_clients")
    assert number(line, "limit") == 200 and 100 <= idle < 200 and busy == idle // 2
    # What it says is so.
    clients = [Client(gateway.address) for _ in range(100)]
    for c in clients:
        assert c.request(req(method="GET")).status == 200
    gateway.wait_metric(100, "ringgate_connections_open")
    for c in clients:
        c.close()
    wanted = programs.gateway(origin.address, {"limits": {"connections": 300}}, preexec=nofile_limit(500))
    line = find(wanted, "few descriptors")[0]
    assert number(line, "wanted") > 600 and "limits.connections" in line
    enough = programs.gateway(origin.address, {"limits": {"connections": 100}}, preexec=nofile_limit(500))
    assert not find(enough, "few descriptors")
    # A reload may ask for more.
    for connections in (101, 300):
        enough.reconfigure({"limits": {"connections": connections}})
        assert enough.admin("POST", "/reload")[0] == 200
        assert len(find(enough, "few descriptors")) == (connections > 200), enough.log()
    enough.reconfigure({"limits": {"headers": 90}})
    assert enough.admin("POST", "/reload")[0] == 200
    assert len(find(enough, "few descriptors")) == 1, "nothing has changed"
    assert not find(programs.gateway(origin.address), "few descriptors")


def test_want_of_descriptors_is_told_once_a_while(programs):
    held = Held("/wait")
    origin = programs.raw_origin(held)
    gateway = programs.gateway(origin.address, {"timeouts": {"connect": "20s"}}, preexec=nofile_limit(60))
    clients = []
    try:
        for _ in range(60):
            c = Client(gateway.address)
            c.send(req(method="GET", target="/wait"))
            clients.append(c)
        line = wait_for(gateway, "descriptors ran out")
        assert ("warn", line) in messages(gateway)
        assert number(line, "times") >= 1 and number(line, "limit") == 60 and "LimitNOFILE=" in line
        clients += [Client(gateway.address) for _ in range(10)]
        env.wait_until(lambda: gateway.metrics().get("ringgate_descriptors_exhausted_total") > number(line, "times"), 5,
                       "more to be told")
        time.sleep(1.0)
        assert len(find(gateway, "descriptors ran out")) == 1, "a line each tick tells nothing new"
    finally:
        held.release()
        for c in clients:
            c.close()


def test_want_of_buffers_is_told_once_a_while(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"limits": {"buffer_bytes": "1MiB"}, "timeouts": {"client_head": "60s"}})
    slow = [Client(gateway.address) for _ in range(400)]
    for c in slow:
        c.send(b"G")
    line = wait_for(gateway, "buffers ran out")
    assert ("warn", line) in messages(gateway)
    assert number(line, "times") >= 1 and number(line, "limit_bytes") == 1 << 20 and "limits.buffer_bytes" in line
    time.sleep(0.5)
    assert len(find(gateway, "buffers ran out")) == 1
    m = gateway.metrics()
    assert m.get("ringgate_buffers_at_limit_total") > 0 and m.get("ringgate_buffers_exhausted_total") > 0
    for c in slow:
        c.close()
