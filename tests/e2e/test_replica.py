"""The replica: TCP and UNIX socket, active and passive health, stale connections and what is tried again, time-outs."""

import json
import os
import socket
import threading
import time

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, elapsed, get
from lib.raw_origin import Answer, Deaf, reply, stall_in_the_middle

# A probe that is answered late because the machine is busy is none of the failures that these tests are about.
PATIENT = "10s"
HEALTH = {"replica": {"health": {"path": "/api/v2/status", "interval": env.ms(200), "timeout": PATIENT}}}


def check_503(r, address=None):
    assert r.status == 503, r
    assert int(r.get("retry-after")) >= 1
    body = json.loads(r.body)
    assert r.get("content-type") == "application/json" and body["status"] == 503, body
    return body


def probes_failed(gateway):
    return gateway.metrics().get("ringgate_replica_probes_total", result="failed")


def time_of_503(address):
    start = time.monotonic()
    check_503(get(address, "/bytes/10"))
    return elapsed(start)


def wait_status(address, status, seconds=10.0, path="/bytes/10"):
    def is_it():
        try:
            return get(address, path).status == status
        except Exception:  # pylint: disable=broad-except
            return False
    env.wait_until(is_it, seconds, f"status {status}", 0.02)


# ---- addresses ----

@pytest.mark.parametrize("kind", ["tcp", "unix", "http-url"])
def test_addresses(programs, tmp_path, kind):
    origin = programs.raw_origin(path=str(tmp_path / "replica.sock") if kind == "unix" else None)
    gateway = programs.gateway(("http://" if kind == "http-url" else "") + origin.address)
    with Client(gateway.address) as c:
        for i in range(5):
            assert c.request(req(f"Content-Length: {i}", body=b"x" * i)).status == 200
    assert len(origin.requests) == 5 and len(origin.connections) == 1
    assert origin.last().get("host") == "test"


def test_unix_socket_replica_comes_and_goes(programs, tmp_path):
    path = str(tmp_path / "replica.sock")
    gateway = programs.gateway(f"unix:{path}", HEALTH)
    wait_status(gateway.address, 503, path="/")
    origin = programs.raw_origin(path=path)
    wait_status(gateway.address, 200, path="/")
    origin.close()
    wait_status(gateway.address, 503, path="/")


# ---- active health ----

def test_status_through_the_gateway(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address, HEALTH)
    wait_status(gateway.address, 200)
    r = get(gateway.address, "/api/v2/status")
    assert r.status == 200 and r.get("content-type") == "application/cbor" and r.body.startswith(b"\xd9\xd9\xf7")


@pytest.mark.parametrize("status", ["unhealthy", "starting", "down"])
def test_unhealthy_replica_is_503_at_once_and_back_within_an_interval(programs, status):
    origin = programs.origin()
    gateway = programs.gateway(origin.address, HEALTH)
    gateway.wait_metric(1, "ringgate_replica_up")

    def time_to_go_down():
        origin.health("healthy")
        wait_status(gateway.address, 200)
        start = time.monotonic()
        origin.health(status)
        wait_status(gateway.address, 503)
        return elapsed(start)
    assert env.one_within(env.scaled(2 * 0.2 + 0.35), time_to_go_down), "down only after 750 ms, two probes take 400 ms"
    body = check_503(get(gateway.address, "/bytes/10"))
    assert body["reason"] == "replica-down"
    assert env.one_within(env.scaled(0.1), lambda: time_of_503(gateway.address)), "refused only after 100 ms"
    assert gateway.metrics().get("ringgate_replica_up") == 0
    assert gateway.admin("GET", "/ready")[0] == 503
    assert get(gateway.address, "/health").status == 503

    def time_to_come_back():
        origin.health(status)
        wait_status(gateway.address, 503)
        start = time.monotonic()
        origin.health("healthy")
        failed = probes_failed(gateway)
        wait_status(gateway.address, 200)
        took = elapsed(start)
        assert probes_failed(gateway) <= failed + 1  # the one under way; the next one brings it back, however late it is
        return took
    assert env.one_within(env.scaled(0.2 + 0.15), time_to_come_back), "back only after 350 ms, the interval is 200 ms"
    env.wait_until(lambda: gateway.admin("GET", "/ready")[0] == 200, 1, "/ready")
    assert get(gateway.address, "/health").status == 204


def test_requests_in_progress_survive_the_verdict(programs):
    """Unhealthy stops new requests; those that run are not broken off."""
    origin = programs.origin()
    gateway = programs.gateway(origin.address, HEALTH)
    wait_status(gateway.address, 200)
    with Client(gateway.address) as c:
        c.send(req(method="GET", target=f"/bytes/100?delay={int(1500 * env.SLOW)}"))
        env.wait_until(lambda: gateway.metrics().get("ringgate_exchanges_open") == 1, 2, "the exchange")
        origin.health("unhealthy")
        wait_status(gateway.address, 503)
        assert c.response().status == 200


CBOR_HEALTHY = b"\xa1\x75replica_health_status\x67healthy"


@pytest.mark.parametrize("expect,answer,up", [
    ("ic-status", (CBOR_HEALTHY, "200 OK", "application/cbor"), True),
    ("ic-status", (b"\xd9\xd9\xf7" + CBOR_HEALTHY, "200 OK", "application/cbor"), True),
    ("ic-status", (b"\xa1\x75replica_health_status\x69unhealthy", "200 OK", "application/cbor"), False),
    ("ic-status", (b"\xa1\x61x\x67healthy", "200 OK", "application/cbor"), False),
    ("ic-status", (b"\xa1\x75replica_health_status\xf5", "200 OK", "application/cbor"), False),
    ("ic-status", (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "200 OK", "application/cbor"), False),
    ("ic-status", (b"\x81" * 5000, "200 OK", "application/cbor"), False),
    ("ic-status", (b"", "200 OK", "application/cbor"), False),
    ("ic-status", (b"hello", "200 OK", "text/plain"), False),
    ("ic-status", (CBOR_HEALTHY, "500 No", "application/cbor"), False),
    ("auto", (b"hello", "200 OK", "text/plain"), True),
    ("auto", (b"hello", "404 Not Found", "text/plain"), True),
    ("auto", (b"hello", "503 No", "text/plain"), False),
    ("auto", (b"\xa1\x75replica_health_status\x69unhealthy", "200 OK", "application/cbor"), False),
    ("2xx", (b"", "204 No Content", "text/plain"), True),
    ("2xx", (b"", "302 Found", "text/plain"), False),
    ("200-399", (b"", "302 Found", "text/plain"), True),
    ("200-399", (b"", "400 Bad", "text/plain"), False),
])
def test_what_counts_as_healthy(programs, expect, answer, up):
    body, status, kind = answer

    def script(_connection, request):
        if request.target == "/probe":
            extra = [("Content-Type", kind)]
            if status.startswith("204"):
                return b"HTTP/1.1 204 No Content\r\n\r\n"
            return reply(body, status, extra, "close" if "close" in (request.get("connection") or "") else None)
        return reply()
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"replica": {"health": {
        "path": "/probe", "interval": "50ms", "timeout": PATIENT, "expect": expect, "fall": 1}}})
    result = "ok" if up else "failed"
    other = "failed" if up else "ok"
    env.wait_until(lambda: gateway.metrics().get("ringgate_replica_probes_total", result=result) >= 2, 10, f"two probes {result}")
    m = gateway.metrics()
    assert m.get("ringgate_replica_probes_total", result=other) == 0
    assert m.get("ringgate_replica_up") == (1 if up else 0)
    assert get(gateway.address, "/x").status == (200 if up else 503)


def test_probe_that_hangs_is_a_failure(programs):
    def script(connection, request):
        if request.target == "/api/v2/status":
            connection.wait_gone()
            return Answer(b"", "close")
        return reply()
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"replica": {"health": {
        "path": "/api/v2/status", "interval": "50ms", "timeout": "100ms"}}})
    wait_status(gateway.address, 503, path="/")
    probe = next(q for q in origin.requests if q.target == "/api/v2/status")
    assert probe.get("host") and probe.method == "GET"


def test_rise_and_fall(programs):
    answers = {"status": "200 OK"}
    origin = programs.raw_origin(lambda c, q: reply(b"", answers["status"] if q.target == "/p" else "200 OK"))
    gateway = programs.gateway(origin.address, {"replica": {"health": {
        "path": "/p", "interval": env.ms(100), "timeout": PATIENT, "expect": "2xx", "rise": 3, "fall": 3}}})
    gateway.wait_metric(1, "ringgate_replica_up")
    answers["status"] = "500 No"
    env.wait_until(lambda: probes_failed(gateway) >= 1, 10, "the first failed probe", 0.005)
    answered = get(gateway.address, "/").status
    if probes_failed(gateway) < 3:  # otherwise it may have been the third that took the replica down
        assert answered == 200
    wait_status(gateway.address, 503, path="/")
    assert probes_failed(gateway) >= 3
    ok = gateway.metrics().get("ringgate_replica_probes_total", result="ok")
    answers["status"] = "200 OK"
    wait_status(gateway.address, 200, path="/")
    assert gateway.metrics().get("ringgate_replica_probes_total", result="ok") >= ok + 3


# ---- gone and back ----

def test_replica_stopped_and_started(programs):
    port = env.free_port()
    origin = programs.origin(port=port)
    gateway = programs.gateway(f"127.0.0.1:{port}", HEALTH)
    wait_status(gateway.address, 200)
    origin.stop()
    start = time.monotonic()
    r = get(gateway.address, "/bytes/10")
    assert r.status in (502, 503) and elapsed(start) < env.at_most(0.5)
    wait_status(gateway.address, 503)
    assert env.one_within(env.scaled(0.1), lambda: time_of_503(gateway.address)), "refused only after 100 ms"

    def time_to_come_back():
        nonlocal origin
        origin.stop()
        wait_status(gateway.address, 503)
        origin = programs.origin(port=port)
        start = time.monotonic()
        wait_status(gateway.address, 200)
        return elapsed(start)
    assert env.one_within(env.scaled(0.2 + 0.15), time_to_come_back), "back only after 350 ms, the interval is 200 ms"


def test_refused_connects_are_503_and_passive_health_takes_note(programs):
    """The probes come rarely here: the failed connects themselves take the replica down, and a probe brings it back."""
    port = env.free_port()
    gateway = programs.gateway(f"127.0.0.1:{port}", {"replica": {"health": {
        "path": "/api/v2/status", "interval": "60s", "timeout": "500ms", "fall": 3}}})
    for _ in range(6):
        start = time.monotonic()
        check_503(get(gateway.address, "/x"))
        assert elapsed(start) < env.at_most(0.5)
    refused = gateway.metrics().refused()
    assert set(refused) <= {"replica-connect-failed", "replica-down"} and refused.get("replica-down", 0) >= 1, refused
    assert gateway.metrics().get("ringgate_replica_connects_total", result="failed") <= 5


def test_without_health_checks_connects_decide(programs):
    port = env.free_port()
    gateway = programs.gateway(f"127.0.0.1:{port}")
    for _ in range(5):
        check_503(get(gateway.address, "/x"))
    programs.raw_origin(port=port)
    wait_status(gateway.address, 200, 3, path="/x")


def test_start_with_a_dead_replica(programs):
    port = env.free_port()
    gateway = programs.gateway(f"127.0.0.1:{port}", HEALTH)
    assert gateway.admin("GET", "/live")[0] == 200
    assert gateway.admin("GET", "/ready")[0] == 503
    check_503(get(gateway.address, "/x"))
    programs.origin(port=port)
    wait_status(gateway.address, 200)


def test_killed_replica_breaks_only_what_runs(programs):
    port = env.free_port()
    origin = programs.origin(port=port)
    gateway = programs.gateway(f"127.0.0.1:{port}", HEALTH)
    wait_status(gateway.address, 200)
    with Client(gateway.address) as waiting, Client(gateway.address) as idle:
        assert idle.request(req(method="GET", target="/bytes/10")).status == 200
        waiting.send(req(method="GET", target="/bytes/10?delay=20000"))
        env.wait_until(lambda: gateway.metrics().get("ringgate_exchanges_open") == 1, 2, "the exchange")
        origin.process.kill()
        assert waiting.response().status in (502, 503)
        # The idle client's connection is untouched by it.
        assert idle.request(req(method="GET", target="/bytes/10")).status in (502, 503)
        programs.origin(port=port)
        wait_status(gateway.address, 200)
        assert idle.request(req(method="GET", target="/bytes/10")).status == 200


# ---- stale connections ----

def close_after_next_request():
    """Answers the first request of a connection and closes when the second has come: the race of every keep-alive pool."""
    def script(connection, request):
        if len(connection.requests) > 1:
            return Answer(b"", script.how)
        return reply(b"" if request.method == "HEAD" else b"first")
    script.how = "close"
    return script


@pytest.mark.parametrize("how", ["close", "rst"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_stale_connection_is_retried_for_safe_methods(programs, method, how):
    script = close_after_next_request()
    script.how = how
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        for i in range(4):
            r = c.request(req(method=method, target=f"/{i}"), method)
            assert r.status == 200, f"request {i}: {r}"
    assert gateway.metrics().get("ringgate_replica_retries_total") == 3
    assert [q.target for q in origin.requests] == ["/0", "/1", "/1", "/2", "/2", "/3", "/3"]


@pytest.mark.parametrize("how", ["close", "rst"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "FOO"])
def test_stale_connection_is_not_retried_for_others(programs, method, how):
    script = close_after_next_request()
    script.how = how
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        assert c.request(req(method="GET", target="/warm")).status == 200
        r = c.request(req("Content-Length: 5", method=method, body=b"hello", target="/once"))
        assert r.status == 502, r
    assert [q.target for q in origin.requests] == ["/warm", "/once"]
    assert gateway.metrics().get("ringgate_replica_retries_total") == 0


def test_a_retry_happens_once(programs):
    """The second attempt goes on a fresh connection; when that fails too, the client is told."""
    def script(connection, request):
        return reply() if request.target == "/warm" else Answer(b"", "close")
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        assert c.request(req(method="GET", target="/warm")).status == 200
        assert c.request(req(method="GET", target="/dies")).status == 502
    assert [q.target for q in origin.requests] == ["/warm", "/dies", "/dies"]


def test_no_retry_once_a_byte_of_the_response_came(programs):
    def script(connection, request):
        return reply() if request.target == "/warm" else Answer(b"HTTP/1.1 200 OK\r\nConte", "close")
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        assert c.request(req(method="GET", target="/warm")).status == 200
        assert c.request(req(method="GET", target="/dies")).status == 502
    assert [q.target for q in origin.requests] == ["/warm", "/dies"]


def test_origin_that_closes_idle_connections(programs):
    """Closed while idle: the gateway sees it and connects anew, for POST too."""
    origin = programs.origin("--idle-close", "60")
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        for _ in range(4):
            assert c.request(req("Content-Length: 5", body=b"hello", target="/echo")).body == b"hello"
            gateway.wait_metric(0, "ringgate_replica_connections_idle", 3)


def test_origin_that_closes_silently_under_load(programs):
    """Closes without a word after every third response; GETs never fail."""
    origin = programs.origin("--max-requests", "3", "--silent-close")
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        for i in range(300):
            r = c.request(req(method="GET", target="/bytes/100"))
            assert r.status == 200, f"request {i}: {r}"


def test_origin_that_says_close(programs):
    origin = programs.origin("--max-requests", "3")
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        for i in range(100):
            r = c.request(req("Content-Length: 3", body=b"abc", target="/echo"))
            assert r.status == 200, f"request {i}: {r}"
    assert gateway.metrics().get("ringgate_replica_retries_total") == 0


@pytest.mark.parametrize("credentials,shared", [
    ("NTLM TlRMTVNTUAADAAAA", False), ("Negotiate YIIB", False), ("negotiate YIIB", False), ("ntlm", False),
    ("Basic bnRsbQ==", True), ("Bearer NTLM", True), ("NTLMv3 x", True), ("", True)])
def test_connection_that_a_client_has_authenticated_is_nobody_elses(programs, credentials, shared):
    """RFC 4559 6: such a replica takes all later requests on that connection for the same user's."""
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as first, Client(gateway.address) as second:
        for _ in range(2):
            assert first.request(req(f"Authorization: {credentials}", method="GET")).status == 200
            assert origin.last().get("authorization") == credentials
        assert second.request(req(method="GET", target="/other")).status == 200
    assert len(origin.connections) == (1 if shared else 3)


def test_idle_connections_are_kept_within_their_limits(programs):
    origin = programs.raw_origin(lambda c, q: time.sleep(0.05) or reply())
    gateway = programs.gateway(origin.address, {"replica": {"idle_connections": 4, "idle_timeout": env.ms(500)}})
    clients = [Client(gateway.address) for _ in range(20)]
    for c in clients:
        c.send(req(method="GET"))
    for c in clients:
        assert c.response().status == 200
        c.close()
    env.wait_until(lambda: len(origin.open_connections()) <= 4, 2, "idle upstream connections over the limit to be closed")
    env.wait_until(lambda: not origin.open_connections(), 3, "idle upstream connections to time out")


def test_connection_limit_towards_the_replica(programs):
    peak, lock = {"now": 0, "most": 0}, threading.Lock()

    def script(_connection, _request):
        with lock:
            peak["now"] += 1
            peak["most"] = max(peak["most"], peak["now"])
        time.sleep(0.1)
        with lock:
            peak["now"] -= 1
        return reply()
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"replica": {"connections": 3}})
    clients = [Client(gateway.address) for _ in range(12)]
    for c in clients:
        c.send(req(method="GET"))
    statuses = [c.response().status for c in clients]
    assert set(statuses) <= {200, 503} and statuses.count(200) >= 3, statuses
    assert peak["most"] <= 3 and len(origin.connections) <= 12
    if 503 in statuses:
        assert set(gateway.metrics().refused()) == {"overloaded"}


# ---- time-outs ----

def test_connect_timeout(programs):
    with Deaf() as replica:
        gateway = programs.gateway(replica.address, {"timeouts": {"connect": env.ms(400)}})
        start = time.monotonic()
        r = get(gateway.address, "/x")
        assert r.status == 504 and env.scaled(0.35) <= elapsed(start) <= env.at_most(0.4), (r, elapsed(start))
        assert gateway.metrics().refused() == {"replica-connect-timeout": 1}


def test_response_head_timeout(programs):
    def script(connection, _request):
        connection.wait_gone()
        return Answer(b"", "close")
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"timeouts": {"response_head": env.ms(400)}})
    with Client(gateway.address) as c:
        start = time.monotonic()
        r = c.request(req("Content-Length: 5", body=b"hello"))
        assert r.status == 504 and env.scaled(0.35) <= elapsed(start) <= env.at_most(0.4)
        assert json.loads(r.body)["reason"] == "replica-response-timeout"
    origin.wait_all_ended()
    assert len(origin.requests) == 1, "a request that timed out was tried again"


def test_response_head_time_runs_from_the_end_of_the_request(programs):
    """A long upload is not a slow origin."""
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"response_head": env.ms(1000)}})
    with Client(gateway.address) as c:
        c.send(req("Content-Length: 8"))
        for _ in range(8):
            time.sleep(env.scaled(0.2))
            c.send(b"u")
        assert c.response().status == 200


def test_body_timeout_of_the_replica(programs):
    from lib.client import Incomplete

    origin = programs.raw_origin(stall_in_the_middle)
    gateway = programs.gateway(origin.address, {"timeouts": {"body_idle": env.ms(400)}})
    with Client(gateway.address) as c:
        start = time.monotonic()
        with pytest.raises(Incomplete):
            c.request(req(method="GET"))
        assert elapsed(start) <= env.at_most(0.4)
    origin.wait_all_ended()
    assert gateway.metrics().refused() == {"replica-body-timeout": 1}


def test_unix_socket_that_nobody_listens_on(programs):
    """A file that is left behind is a dead replica, not more."""
    path = os.path.join(programs.directory, "dead.sock")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(path)
    gateway = programs.gateway(f"unix:{path}")
    check_503(get(gateway.address, "/x"))
