"""Routes: which one a request takes, what is written differently for it, and how they are replaced under it."""

import json
import os
import threading
import time

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, elapsed
from lib.h2 import H2
from lib.raw_origin import Held, reply
from lib.routed import Routed, target, unit
from lib.websocket import HANDSHAKE, echo_tunnel


def echo(_connection, request):
    fields = [("X-Target", request.target), ("X-Host", request.get("host")), ("X-Method", request.method),
              ("X-Client-Host", request.get("x-forwarded-host", ""))]
    return reply(b"" if request.method == "HEAD" else request.body, fields=fields)


@pytest.fixture
def routed(programs, tmp_path):
    def make(config=None, replica=None, **more):
        origin = programs.raw_origin(replica or echo)
        log = os.path.join(str(tmp_path), "access.log")
        g = Routed(tmp_path, origin.address, {"access_log": {"path": log}, **(config or {})}, **more)
        g.replica, g.access_path = origin, log
        programs.started.append(g)
        return g.start()
    return make


def records(gateway):
    try:
        with open(gateway.access_path, encoding="utf-8") as f:
            return [json.loads(line) for line in f.read().splitlines()]
    except FileNotFoundError:
        return []


def ask(gateway, line, *fields, host="test"):
    method, path = line.split(" ", 1)
    with Client(gateway.address) as c:
        return c.request(req(*fields, method=method, target=path, host=host), method)


def to_replica(path, **more):
    return {"path": path, **more}


def units_of(*routes, handle="u"):
    return {"handle": handle, "routes": list(routes)}


def settled(gateway):
    """Nobody reads older routes any more."""
    gateway.wait_metric(1, "ringgate_route_snapshots")


# ---- which route ----

def test_the_route_is_chosen_by_host_path_method_and_headers(routed):
    gateway = routed()
    gateway.deploy(units_of(
        to_replica("/any"),
        to_replica("/exact", match="exact", method="GET"),
        to_replica("/items/{id}", match="template"),
        to_replica("/hosts", host="api.example.com"),
        to_replica("/hosts", host="*.example.com"),
        to_replica("/tier", headers={"X-Tier": "gold"})))
    wanted = [
        ("GET /any", (), "test", "/any"), ("GET /any/below?q=1", (), "test", "/any"), ("GET /anybody", (), "test", None),
        ("GET /exact", (), "test", "/exact"), ("HEAD /exact", (), "test", "/exact"), ("POST /exact", (), "test", None),
        ("GET /exact/", (), "test", None), ("GET /items/7", (), "test", "/items/{id}"), ("GET /items/", (), "test", None),
        ("GET /a/../%65xact", (), "test", "/exact"),  # the normal form counts
        ("GET /items/a%2fb", (), "test", "/items/{id}"),  # an escaped slash ends no segment
        ("GET /hosts", (), "API.example.com:8080", "/hosts"), ("GET /hosts", (), "www.example.com", "/hosts"),
        ("GET /hosts", (), "example.com", None),
        ("GET /tier", ("x-tier: gold",), "test", "/tier"), ("GET /tier", ("x-tier: tin",), "test", None),
        ("OPTIONS *", (), "test", None),
    ]
    for line, fields, host, _ in wanted:
        assert ask(gateway, line, *fields, host=host).status == 200
    rows = env.wait_until(lambda: len(records(gateway)) == len(wanted) and records(gateway), 5, "the access records")
    assert [r.get("route") for r in rows] == [route for *_, route in wanted]
    assert all(r.get("unit") == ("u" if route else None) for r, (*_, route) in zip(rows, wanted))
    taken = len([1 for *_, route in wanted if route])
    assert gateway.metrics().get("ringgate_unit_requests_total", kind="RestApi", unit="u") == taken


def test_of_http2(routed):
    gateway = routed()
    gateway.deploy(units_of(to_replica("/shop", context_bytes=5), to_replica("/none", upstream="none")))
    with H2(gateway.address) as c:
        assert c.ask("/shop/a?b=c").get("x-target") == "/a?b=c"
        assert c.ask("/other").get("x-target") == "/other"
        r = c.ask("/none/x")
        assert (r.status, bytes(r.body)) == (404, b'{"error":"Not Found"}\n')


# ---- what is written differently ----

def test_the_context_gives_way_to_the_base_path(programs, routed):
    gateway = routed()
    origin = programs.raw_origin(echo)
    base = unit("/shop/v1", target(origin.address), handle="base", base_path="/svc", route={"context_bytes": 8})
    bare = unit("/bare", target(origin.address), handle="bare", route={"context_bytes": 5})
    whole = unit("/whole", target(origin.address), handle="whole", base_path="/svc")
    gateway.deploy(base, bare, whole)
    for path, wanted in (("/shop/v1/items?q=/shop/v1", "/svc/items?q=/shop/v1"), ("/shop/v1", "/svc"),
                         ("/shop/v1?x", "/svc?x"), ("/shop/v1/", "/svc/"), ("/bare", "/"), ("/bare?x", "/?x"),
                         ("/bare/a%20b", "/a%20b"), ("/whole/a", "/svc/whole/a"), ("/other/../bare/x", "/x")):
        assert ask(gateway, f"GET {path}").get("x-target") == wanted, path


def test_host_is_the_targets_unless_it_is_kept(programs, routed):
    gateway = routed()
    origin = programs.raw_origin(echo)
    gateway.deploy(unit("/own", target(origin.address)), unit("/kept", target(origin.address), route={"keep_host": True}),
                   units_of(to_replica("/replica")))
    r = ask(gateway, "GET /own", host="api.example.com")
    assert (r.get("x-host"), r.get("x-client-host")) == (origin.address, "api.example.com")
    r = ask(gateway, "GET /kept", host="api.example.com")
    assert (r.get("x-host"), r.get("x-client-host")) == ("api.example.com", "api.example.com")
    assert ask(gateway, "GET /replica", host="api.example.com").get("x-host") == "api.example.com"


def test_bodies_pass(programs, routed):
    gateway = routed()
    origin = programs.raw_origin(echo)
    gateway.deploy(unit("/a", target(origin.address), base_path="/b", route={"context_bytes": 2}))
    small, large = b"x" * 10, os.urandom(3 << 20)
    with Client(gateway.address) as c:
        for body in (small, large, small):
            r = c.request(req(f"Content-Length: {len(body)}", target="/a/x", body=body))
            assert r.status == 200 and r.body == body and r.get("x-target") == "/b/x"


def test_a_path_that_grows_beyond_a_block_is_refused_or_passes(programs, routed):
    """A base path of 4,000 bytes, before paths up to the limit."""
    gateway = routed()
    origin = programs.raw_origin(echo)
    base = "/" + "b" * 3999
    gateway.deploy(unit("/a", target(origin.address), base_path=base, route={"context_bytes": 2}))
    for n in (1, 100, 2000, 8000):
        path = "/a/" + "x" * n
        r = ask(gateway, f"GET {path}")
        assert r.status == 200 and origin.last().target == base + path[2:]


# ---- nowhere ----

def test_a_route_to_nowhere(routed):
    gateway = routed()
    gateway.deploy(units_of(to_replica("/none", upstream="none")))
    with Client(gateway.address) as c:
        r = c.request(req(method="GET", target="/none/a"), "GET")
        assert (r.status, r.body, r.get("content-type")) == (404, b'{"error":"Not Found"}\n', "application/json")
        r = c.request(req(method="HEAD", target="/none"), "HEAD")
        assert (r.status, r.body) == (404, b"")
        r = c.request(req("Content-Length: 3", target="/none", body=b"abc"))
        assert r.status == 404
        assert c.request(req(method="GET", target="/other"), "GET").status == 200
        c.send(req("Content-Length: 3", target="/none", body=b"ab"))  # whose rest nobody waits for
        r = c.response()
        assert r.status == 404 and r.says_close
    assert len(gateway.replica.requests) == 1
    assert gateway.metrics().refused() == {"no-route": 4}
    row = env.wait_until(lambda: records(gateway), 5, "the access record")[0]
    assert (row["status"], row["reason"], row["unit"], row["route"]) == (404, "no-route", "u", "/none")


def test_the_replicas_health_concerns_only_requests_that_go_there(programs, routed):
    gateway = routed({"replica": {"health": {"path": "/up", "interval": "50ms", "fall": 1, "expect": "2xx"}}},
                     replica=lambda c, r: reply(b"", status="500 Down"))
    origin = programs.raw_origin(echo)
    gateway.deploy(unit("/a", target(origin.address)), units_of(to_replica("/b"), to_replica("/none", upstream="none")))
    gateway.wait_metric(0, "ringgate_replica_up")
    env.wait_until(lambda: ask(gateway, "GET /other").status == 503, 5, "the replica to be down")
    assert ask(gateway, "GET /b").status == 503
    assert ask(gateway, "GET /a").status == 200
    assert ask(gateway, "GET /none").status == 404


# ---- time limits ----

def test_time_limits_of_a_route(programs, routed):
    gateway = routed({"timeouts": {"response_head": "60s"}})
    held = Held(None)
    origin = programs.raw_origin(held)
    gateway.deploy(unit("/quick", target(origin.address), route={"response_head_ms": 200}),
                   unit("/patient", target(origin.address)))
    with Client(gateway.address) as patient:
        patient.send(req(method="GET", target="/patient"))
        since = time.monotonic()
        assert ask(gateway, "GET /quick").status == 504
        assert elapsed(since) < env.scaled(10)
        held.release()
        assert patient.response().status == 200


# ---- replaced ----

def test_an_exchange_keeps_the_routes_it_began_with(programs, routed):
    gateway = routed()
    held = Held("/a", b"old")
    old, new = programs.raw_origin(held), programs.raw_origin(lambda c, r: reply(b"new"))
    gateway.deploy(unit("/a", target(old.address)))
    with Client(gateway.address) as c:
        c.send(req(method="GET", target="/a"))
        env.wait_until(lambda: old.requests, 5, "the request to arrive")
        gateway.deploy(unit("/a", target(new.address)))
        assert ask(gateway, "GET /a").body == b"new"
        assert gateway.metrics().get("ringgate_route_snapshots") == 2
        held.release()
        assert c.response().body == b"old"
        settled(gateway)
        c.send(req(method="GET", target="/a"))
        assert c.response().body == b"new"


def test_a_tunnel_holds_nothing(programs, routed):
    gateway = routed()
    origin = programs.raw_origin(echo_tunnel)
    gateway.deploy(unit("/chat", target(origin.address), handle="chat"))
    with Client(gateway.address) as c:
        assert c.request(req(*HANDSHAKE, method="GET", target="/chat")).status == 101
        gateway.deploy()
        settled(gateway)
        c.send(b"\x81\x05hello")
        got = []
        c._exactly(7, got.append)
        assert b"".join(got) == b"\x81\x05hello"
    rows = env.wait_until(lambda: records(gateway), 5, "the access record")
    assert (rows[0]["status"], rows[0]["unit"], rows[0]["route"]) == (101, "chat", "/chat")


def test_what_conflicts_changes_nothing(programs, routed):
    gateway = routed()
    origin = programs.raw_origin(echo)
    gateway.deploy(unit("/a", target(origin.address), handle="first"))
    assert gateway.refused(unit("/a", target(origin.address), handle="first"), unit("/a/", target(origin.address), handle="second"))
    assert ask(gateway, "GET /a").status == 200
    config = json.loads(gateway.admin("GET", "/config")[1])["routes"]
    assert (config["generation"], config["live"], [u["handle"] for u in config["units"]]) == (1, True, ["first"])
    assert config["units"][0]["upstreams"][0]["targets"] == [{"url": f"http://{origin.address}", "weight": 1}]
    workers = json.loads(gateway.admin("GET", "/workers")[1])["workers"]
    assert [w["routes_generation"] for w in workers] == [1]


class Asking(threading.Thread):
    """Requests on one connection, one after the other, until told to stop; keeps what came."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.stopped, self.bodies, self.error = address, threading.Event(), [], None
        self.start()

    def run(self):
        try:
            with Client(self.address) as c:
                while not self.stopped.is_set():
                    r = c.request(req(method="GET", target="/flip"), "GET")
                    assert r.status == 200, r
                    self.bodies.append(r.body)
        except Exception as e:  # told by the test
            self.error = e

    def end(self):
        self.stopped.set()
        self.join()
        assert self.error is None, self.error


def test_routes_flip_under_load(programs, routed):
    """Once all workers have it, no request is answered by the old one, and none fails; others keep their counters."""
    gateway = routed(workers=2)
    origins = [programs.raw_origin(lambda c, r, body=body: reply(body)) for body in (b"0", b"1")]
    beside = unit("/beside", target(origins[0].address), handle="beside")
    asking = []
    for i in range(40):
        gateway.deploy(beside, unit("/flip", target(origins[i % 2].address), handle="flip"))
        asking = asking or [Asking(gateway.address) for _ in range(4)]
        for _ in range(3):
            assert ask(gateway, "GET /flip").body == b"%d" % (i % 2)
        assert ask(gateway, "GET /beside").status == 200
    for a in asking:
        a.end()
        assert set(a.bodies) == {b"0", b"1"}
    settled(gateway)
    assert gateway.metrics().get("ringgate_requests_total", code="5xx") == 0
