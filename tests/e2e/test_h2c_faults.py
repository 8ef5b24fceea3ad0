"""HTTP/2 in the clear to the replica: replicas that leave, or break the rules."""

import socket
import time

import pytest

from lib import env
from lib.client import Client, get
from lib.h2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INTERNAL_ERROR,
                    MAX_CONCURRENT_STREAMS, PING, REFUSED_STREAM, SETTINGS, H2, frame)
from lib.h2_replica import H2Replica
from lib.h2c_lane import Lane, echo, parallel, post, speak_http1

pytest_plugins = ["lib.h2c_lane"]


# ---- replicas that leave ----

def test_goaway_repeats_what_was_not_begun(lane):
    def script(s):
        c = s.connection
        if len(lane.replica.connections) == 1 and s.number > 1:
            c.go_away(1)
            return
        s.reply(s.all())

    lane.reset(script)
    assert get(lane.address, "/").status == 200
    retries = lane.gateway.metrics().get("ringgate_replica_retries_total")
    assert post(lane.address, b"not safe, but not begun either").body == b"not safe, but not begun either"
    assert lane.gateway.metrics().get("ringgate_replica_retries_total") == retries + 1
    assert len(lane.replica.connections) == 2
    env.wait_until(lambda: lane.replica.connections[0].closed, 5, "the connection that was left to end")


def test_goaway_lets_others_finish(lane):
    def script(s):
        if s.path == "/slow":
            s.connection.go_away(s.number)
            time.sleep(0.2)
        s.reply(s.path.encode())

    lane.reset(script)
    results = parallel(2, lambda i: get(lane.address, "/slow") if i == 0 else (time.sleep(0.1), get(lane.address, "/"))[1])
    assert [r.body for r in results] == [b"/slow", b"/"]


def test_refused_streams(lane):
    def script(s):
        if s.path == "/always" or s.number == 1:
            s.refuse(REFUSED_STREAM)
        else:
            s.reply(s.all())

    lane.reset(script)
    assert post(lane.address, b"again").body == b"again"
    r = post(lane.address, b"x", path="/always")
    assert r.status == 503 and b"replica-refused" in r.body
    assert len(lane.replica.connections) == 1


@pytest.mark.parametrize("error", [INTERNAL_ERROR, ENHANCE_YOUR_CALM])
def test_reset_streams(lane, error):
    def script(s):
        if s.path == "/late":
            s.respond(200)
            s.data(b"begun")
            time.sleep(0.1)
        s.refuse(error)

    lane.reset(script)
    r = post(lane.address, b"x")
    assert r.status == 502 and b"replica-closed" in r.body
    with H2(lane.address) as c:
        r = c.ask("/late")
        assert r.status == 200 and not r.complete and r.reset is not None
    assert len(lane.replica.connections) == 1


def test_connection_that_breaks(lane):
    """Each of its streams fails or is repeated, as with HTTP/1."""
    def script(s):
        if s.path == "/break" and len(lane.replica.connections) == 1:
            env.wait_until(lambda: len(s.connection.open) >= 4, 5, "the others")
            s.connection.close()
        elif s.path == "/":
            s.reply(b"x")
        elif len(lane.replica.connections) == 1:
            s.wait(lambda: False)
        else:
            s.reply(b"again")

    lane.reset(script)
    assert get(lane.address, "/").status == 200
    results = parallel(4, lambda i: post(lane.address, b"x", path="/post") if i < 2 else
                       get(lane.address, "/break" if i == 2 else "/get"))
    assert [r.status for r in results] == [502, 502, 200, 200], results
    assert len(lane.replica.connections) == 2


def test_replica_that_restarts(shared):
    first = H2Replica()
    first.script = echo
    port = first.listener.getsockname()[1]
    gateway = shared.gateway(first.address, config={"replica": {"protocol": "h2c"}})
    assert get(gateway.address, "/").status == 200
    first.stop()
    gateway.wait_metric(0, "ringgate_replica_connections_open")
    assert get(gateway.address, "/").status == 503
    second = H2Replica(port=port)
    second.script = echo
    assert env.wait_until(lambda: get(gateway.address, "/").status == 200, 10, "the new replica to be used") is not False
    second.stop()


def test_silent_replica_is_asked_and_left(shared):
    lane = Lane(shared, {"timeouts": {"connect": "500ms", "response_head": "7s"}})
    lane.replica.script, lane.replica.answers_pings = lambda s: s.wait(lambda: False), False
    lane.gateway.wait_metric(0, "ringgate_replica_streams_open")
    r = get(lane.address, "/", timeout=env.scaled(20))
    assert r.status in (502, 504)
    assert lane.replica.connections[0].pings >= 1
    lane.replica.stop()


# ---- replicas that break the rules ----

def raw_head(fields):
    """A block of literal fields without indexing (RFC 7541 6.2.2): what an encoder would not write."""
    out = b""
    for n, v in fields:
        out += b"\x00" + bytes([len(n)]) + n + bytes([len(v)]) + v
    return out


MALFORMED = {
    "upper case": [(b":status", b"200"), (b"X-Upper", b"1")],
    "no status": [(b"x-a", b"1")],
    "status twice": [(b":status", b"200"), (b":status", b"200")],
    "status late": [(b"x-a", b"1"), (b":status", b"200")],
    "status of two digits": [(b":status", b"20")],
    "status 101": [(b":status", b"101")],
    "unknown pseudo field": [(b":status", b"200"), (b":path", b"/")],
    "connection": [(b":status", b"200"), (b"connection", b"close")],
    "transfer-encoding": [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
    "line end in a value": [(b":status", b"200"), (b"x-a", b"1\r\nx-b: 2")],
    "NUL in a value": [(b":status", b"200"), (b"x-a", b"1\0")],
    "space in a name": [(b":status", b"200"), (b"x a", b"1")],
    "two lengths": [(b":status", b"200"), (b"content-length", b"1"), (b"content-length", b"2")],
    "length that is none": [(b":status", b"200"), (b"content-length", b"1x")],
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_heads(lane, what):
    def script(s):
        if s.path == "/alive":
            s.reply(b"x")
        else:
            s.connection.send(frame(HEADERS, END_HEADERS, s.number, raw_head(MALFORMED[what])))

    lane.reset(script)
    assert get(lane.address, "/alive").status == 200
    r = get(lane.address, "/")
    assert r.status == 502, (what, r)
    assert get(lane.address, "/alive").status == 200
    assert len(lane.replica.connections) == 1, "the connection was lost for the fault of one stream"


@pytest.mark.parametrize("length, body", [(5, b"abc"), (2, b"abc")])
def test_length_that_differs(lane, length, body):
    def script(s):
        s.respond(200, [("content-length", str(length))])
        s.data(body, end=True)

    lane.reset(script)
    with H2(lane.address) as c:
        r = c.ask("/")
        assert r.status == 502 or not r.complete or len(r.body) == length, r
    if length > len(body):
        with Client(lane.address) as c:
            c.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
            try:
                assert c.response().status == 502
            except Exception as e:
                assert "Incomplete" in type(e).__name__, e


def test_head_over_the_limits(lane):
    def script(s):
        if s.path == "/many":
            s.respond(200, [(f"x-{i}", "1") for i in range(300)], end=True)
        elif s.path == "/large":
            s.respond(200, [("x-large", "a" * 15000)] * 1, end=True)
        else:
            block = s.connection.encoder.encode([(":status", "200")] + [("x-%d" % i, "b" * 8000) for i in range(20)])
            pieces = [block[i:i + 16000] for i in range(0, len(block), 16000)]
            c = s.connection
            c.send(frame(HEADERS, END_STREAM, s.number, pieces[0]))
            for p in pieces[1:-1]:
                c.send(frame(CONTINUATION, 0, s.number, p))
            c.send(frame(CONTINUATION, END_HEADERS, s.number, pieces[-1]))

    lane.reset(script)
    assert get(lane.address, "/large").status == 200
    for path in ("/many", "/flood"):
        r = get(lane.address, path)
        assert r.status == 502, (path, r)


def test_too_many_interim_responses(lane):
    def script(s):
        s.connection.send(b"".join(frame(HEADERS, END_HEADERS, s.number, s.connection.encoder.encode(
            [(":status", "103")])) for _ in range(500)))
        s.reply(b"x")

    lane.reset(script)
    with Client(lane.address) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        r = c.response()
        assert r.status == 502 and b"interim" in r.body


BREAKS = {
    "frame on stream 0": frame(DATA, 0, 0, b"x"),
    "settings of a wrong size": frame(SETTINGS, 0, 0, b"12345"),
    "ping of a wrong size": frame(PING, 0, 0, b"1"),
    "an even stream": frame(HEADERS, END_HEADERS, 2, b"\x88"),
    "noise": b"\xff" * 64,
    "continuation of nothing": frame(CONTINUATION, END_HEADERS, 1, b"\x88"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_connection_errors(lane, what):
    def script(s):
        if len(lane.replica.connections) == 1:
            s.connection.send(BREAKS[what])
            s.wait(lambda: False)
        s.reply(b"x")

    lane.reset(script)
    r = post(lane.address, b"x")
    assert r.status == 502, r
    assert get(lane.address, "/").status == 200 and len(lane.replica.connections) == 2


def test_settings_that_allow_nothing(shared):
    """No storm of connections: who asks waits until it is over."""
    lane = Lane(shared, {"timeouts": {"connect": "1s"}})
    lane.replica.script, lane.replica.settings = echo, [(MAX_CONCURRENT_STREAMS, 0)]
    assert get(lane.address, "/", timeout=env.scaled(10)).status == 503
    assert len(lane.replica.connections) == 1
    lane.replica.connections[0].set((MAX_CONCURRENT_STREAMS, 10))
    assert env.wait_until(lambda: get(lane.address, "/").status == 200, 10, "a stream") is not False
    lane.replica.stop()


def test_replica_that_speaks_http1(shared):
    with speak_http1() as listener:
        gateway = shared.gateway("127.0.0.1:%d" % listener.getsockname()[1], config={"replica": {"protocol": "h2c"}})
        r = get(gateway.address, "/")
        assert r.status == 502 and b"replica-not-http2" in r.body, r.body
        gateway.wait_metric(0, "ringgate_replica_connections_open")
        listener.shutdown(socket.SHUT_RDWR)


def test_replica_that_takes_connections_and_says_nothing(shared):
    lane = Lane(shared, {"timeouts": {"connect": "500ms"}})
    lane.replica.script, lane.replica.greets = echo, False
    r = get(lane.address, "/", timeout=env.scaled(10))
    assert r.status == 504, r
    lane.replica.stop()
