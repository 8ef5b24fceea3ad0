"""HTTP/2 in the clear to the replica: messages both ways, streams beside each other, replicas that leave or misbehave."""

import socket
import threading
import time

import pytest

from lib import env
from lib.client import Client, chunked, get
from lib.h2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW_SIZE,
                    INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, PING, REFUSED_STREAM, SETTINGS, H2, frame,
                    request_fields)
from lib.h2_replica import H2Replica


class Lane:
    def __init__(self, shared, config=None, **replica):
        self.replica = H2Replica(**replica)
        config = {"replica": {"protocol": "h2c", **(config or {}).pop("replica", {})}, **(config or {})}
        self.gateway = shared.gateway(self.replica.address, config=config)
        self.address = self.gateway.address

    def reset(self, script):
        self.gateway.wait_metric(0, "ringgate_replica_streams_open")
        self.replica.reset(script)
        self.gateway.wait_metric(0, "ringgate_replica_connections_open")
        return self

    def counted(self, reason):
        return self.gateway.metrics().get("ringgate_requests_refused_total", reason=reason)

    def check(self):
        assert not self.replica.faults, self.replica.faults


@pytest.fixture(scope="module")
def lane(shared):
    lane = Lane(shared)
    yield lane
    lane.replica.stop()


def echo(s):
    s.reply(s.all(), fields=[("x-path", s.path), ("x-method", s.method)])


def parallel(n, work):
    results = [None] * n

    def run(i):
        try:
            results[i] = work(i)
        except Exception as e:
            results[i] = e

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(env.scaled(30))
    return results


def post(address, body, path="/", fields=(), method="POST"):
    with Client(address) as c:
        lines = [f"{method} {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *fields]
        return c.request("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


# ---- messages ----

def test_requests_share_a_connection(lane):
    lane.reset(echo)
    for i in range(5):
        r = get(lane.address, f"/{i}")
        assert (r.status, r.get("x-path")) == (200, f"/{i}")
        assert r.get("via") == "2.0 ringgate"
    assert len(lane.replica.connections) == 1
    lane.check()


def test_what_the_replica_gets(lane):
    lane.reset(echo)
    assert get(lane.address, "/a/../b?c=d", fields=[("X-One", "1"), ("Cookie", "a=b"), ("Keep-Alive", "5"), ("TE", "gzip")]).status == 200
    head = lane.replica.streams[0].head
    assert head[":path"] == "/b?c=d" and head[":scheme"] == "http" and head[":method"] == "GET"
    assert head[":authority"] and "host" not in head and head["x-one"] == "1" and head["cookie"] == "a=b"
    assert head["x-forwarded-for"] == "127.0.0.1" and head["x-request-id"] and head["traceparent"]
    assert not {"connection", "keep-alive", "te", "transfer-encoding", "upgrade"} & set(head)


@pytest.mark.parametrize("size", [1, 5000, 60000, 1 << 20])
def test_bodies_both_ways(lane, size):
    lane.reset(echo)
    body = bytes(i * 7 % 251 for i in range(size))
    r = post(lane.address, body)
    assert (r.status, r.body) == (200, body)
    with Client(lane.address) as c:
        r = c.request(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" +
                      chunked(body[:size // 2], body[size // 2:]))
        assert (r.status, r.body) == (200, body)
    with H2(lane.address, settings=[(INITIAL_WINDOW_SIZE, 1 << 20)], window=1 << 24) as c:
        n = c.headers(request_fields(method="POST"), end=False)
        left = body
        given = 65535
        while left:
            room = given + c.given.get(n, 0) - (len(body) - len(left))
            if room <= 0:
                c.next_frame()
                continue
            piece, left = left[:min(room, 16384)], left[min(room, 16384):]
            c.data(n, piece, end=not left)
        r = c.response(n)
        assert (r.status, r.body, r.complete) == (200, body, True)
    lane.check()


def test_responses_without_a_body(lane):
    def script(s):
        status = int(s.path[1:])
        s.respond(status, [("content-length", "5")] if s.method == "HEAD" else [], end=True)

    lane.reset(script)
    with Client(lane.address) as c:
        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 200), ("HEAD", 404)):
            r = c.request(f"{method} /{status} HTTP/1.1\r\nHost: t\r\n\r\n".encode(), method=method)
            assert (r.status, r.body) == (status, b"")
            if method == "HEAD":
                assert r.get("content-length") == "5"
    lane.check()


def test_end_in_a_frame_of_its_own(lane):
    def script(s):
        s.respond(200, [("content-length", "3")])
        s.data(b"abc")
        time.sleep(0.05)
        s.data(b"", end=True)

    lane.reset(script)
    with Client(lane.address) as c:
        for _ in range(3):
            assert c.request(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").body == b"abc"
    assert all(s.reset is None for s in lane.replica.streams), "a stream that was ending was reset"


def test_interim_responses_and_trailers(lane):
    def script(s):
        s.respond(103, [("link", "</a>")])
        s.respond(200, [("content-type", "application/grpc")])
        s.data(b"body")
        s.end_with([("grpc-status", "0"), ("x-sum", "9")])

    lane.reset(script)
    with H2(lane.address) as c:
        r = c.ask("/")
        assert r.interim and dict(r.interim[0])[":status"] == "103"
        assert (r.status, r.body, r.trailers) == (200, b"body", [("grpc-status", "0"), ("x-sum", "9")])
    with Client(lane.address) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        r = c.response()
        assert [i.status for i in r.interim] == [103] and r.status == 200 and r.body == b"body"
    lane.check()


def test_trailers_of_requests(lane):
    lane.reset(echo)
    with H2(lane.address) as c:
        n = c.headers(request_fields(method="POST", more=[("te", "trailers")]), end=False)
        c.data(n, b"abc")
        c.headers([("x-sum", "3")], stream=n)
        assert c.response(n).body == b"abc"
    with Client(lane.address) as c:
        assert c.request(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" +
                         chunked(b"abc", trailers=b"X-Sum: 4\r\n")).body == b"abc"
    first, second = lane.replica.streams
    assert first.head["te"] == "trailers" and first.trailers == [("x-sum", "3")]
    assert second.trailers == [("x-sum", "4")]


def test_conversation(lane):
    def script(s):
        s.respond(200, [("content-type", "application/grpc")])
        for _ in range(20):
            s.data(s.some(4).upper())
        s.all()
        s.end_with([("grpc-status", "0")])

    lane.reset(script)
    with H2(lane.address) as c:
        n = c.headers(request_fields(method="POST", more=[("te", "trailers")]), end=False)
        for i in range(20):
            c.data(n, b"p%03d" % i)
            c.until(lambda: n in c.responses and len(c.responses[n].body) == 4 * (i + 1))
            assert c.responses[n].body.endswith(b"P%03d" % i)
        c.data(n, b"", end=True)
        r = c.response(n)
        assert r.complete and r.trailers == [("grpc-status", "0")]
    lane.check()


def test_websocket_needs_http1(lane):
    lane.reset(echo)
    before = lane.counted("websocket-over-h2c")
    r = get(lane.address, "/", fields=[("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                                       ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
    assert r.status == 501 and b"replica.protocol" in r.body
    assert lane.counted("websocket-over-h2c") == before + 1 and not lane.replica.streams


# ---- many at once ----

def test_limit_of_the_replica_is_kept(shared):
    gate = threading.Event()

    def script(s):
        gate.wait(env.scaled(20))
        s.reply(b"x")

    lane = Lane(shared, {"replica": {"connections": 1}})
    lane.replica.script, lane.replica.settings = script, [(MAX_CONCURRENT_STREAMS, 3)]
    threading.Timer(env.scaled(0.5), gate.set).start()
    assert [getattr(r, "status", r) for r in parallel(12, lambda i: get(lane.address, f"/{i}"))] == [200] * 12
    assert len(lane.replica.connections) == 1 and lane.replica.connections[0].most_open == 3
    lane.replica.stop()


def test_more_connections_when_full(lane):
    gate = threading.Event()

    def script(s):
        gate.wait(env.scaled(20))
        s.reply(b"x")

    lane.reset(script)
    lane.replica.settings = [(MAX_CONCURRENT_STREAMS, 4)]
    threading.Timer(env.scaled(0.5), gate.set).start()
    assert [getattr(r, "status", r) for r in parallel(12, lambda i: get(lane.address, f"/{i}"))] == [200] * 12
    assert 3 <= len(lane.replica.connections) <= 4
    assert all(c.most_open <= 4 for c in lane.replica.connections)


def test_requests_of_one_turn_leave_together(lane):
    lane.reset(echo)
    get(lane.address, "/")
    c = lane.replica.connections[0]
    with H2(lane.address) as client:
        for _ in range(5):
            ids = [client.new_id() for _ in range(20)]
            client.send(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, n, client.block(request_fields()))
                                 for n in ids))
            assert all(client.response(n).status == 200 for n in ids)
    assert len(lane.replica.connections) == 1 and max(c.reads) >= 15, c.reads


def test_slow_client_holds_up_no_other(lane):
    def script(s):
        if s.path == "/large":
            s.respond(200)
            s.data(b"x" * (8 << 20), end=True)
        else:
            s.reply(b"small")

    lane.reset(script)
    with Client(lane.address, receive_buffer=4096) as slow:
        slow.send(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n" * 1)
        env.wait_until(lambda: any(s.path == "/large" and s.window <= 0 for s in lane.replica.streams), 10,
                       "the window of the slow stream to be used up")
        rss = lane.gateway.rss_bytes()
        for _ in range(30):
            assert get(lane.address, "/").body == b"small"
        assert lane.gateway.rss_bytes() - rss < 8 << 20
        assert len(lane.replica.connections) == 1
    lane.gateway.wait_metric(0, "ringgate_replica_streams_open")


def test_client_that_leaves_resets_its_stream_only(lane):
    gate = threading.Event()

    def script(s):
        if s.path == "/wait":
            s.wait(lambda: False)
        s.reply(b"x")

    lane.reset(script)
    with Client(lane.address) as c:
        c.send(b"GET /wait HTTP/1.1\r\nHost: t\r\n\r\n")
        env.wait_until(lambda: lane.replica.streams, 5, "the request")
    env.wait_until(lambda: lane.replica.streams[0].reset is not None, 5, "the reset")
    assert get(lane.address, "/").status == 200 and len(lane.replica.connections) == 1
    gate.set()


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


def speak_http1():
    """A server that takes the preface for a bad request, as servers of HTTP/1 do."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            s.recv(4096)
            s.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            try:  # what is not read would reset the connection, and the answer with it
                while s.recv(4096):
                    pass
            except OSError:
                pass
            s.close()

    threading.Thread(target=serve, daemon=True).start()
    return listener


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


# ---- the rest ----

def test_unix_socket_and_health(shared, tmp_path):
    replica = H2Replica(unix=tmp_path / "replica.sock")
    answers = [200]

    def script(s):
        if s.path == "/health":
            s.reply(b"fine", status=answers[0])
        else:
            echo(s)

    replica.script = script
    gateway = shared.gateway(replica.address, config={
        "replica": {"protocol": "h2c", "health": {"path": "/health", "expect": "2xx", "interval": "50ms"}}})
    gateway.wait_metric(1, "ringgate_replica_up")
    assert get(gateway.address, "/").status == 200
    answers[0] = 503
    gateway.wait_metric(0, "ringgate_replica_up")
    assert get(gateway.address, "/").status == 503
    answers[0] = 200
    gateway.wait_metric(1, "ringgate_replica_up")
    assert get(gateway.address, "/").status == 200
    assert not replica.faults
    replica.stop()


def test_health_says_what_is_wrong(shared):
    with speak_http1() as listener:
        gateway = shared.gateway("127.0.0.1:%d" % listener.getsockname()[1], config={
            "replica": {"protocol": "h2c", "health": {"path": "/health", "expect": "2xx", "interval": "50ms"}}})
        env.wait_until(lambda: "does not speak HTTP/2" in gateway.log(), 10, "the log to say it")
        listener.shutdown(socket.SHUT_RDWR)


def test_address_says_the_protocol(shared):
    replica = H2Replica()
    replica.script = echo
    gateway = shared.gateway("h2c://" + replica.address)
    assert get(gateway.address, "/x").get("x-path") == "/x" and len(replica.streams) == 1
    replica.stop()


def test_reload_changes_the_protocol(shared):
    origin, replica = shared.raw_origin(), H2Replica()
    replica.script = echo
    gateway = shared.gateway(origin.address)
    assert get(gateway.address, "/").status == 200
    gateway.reconfigure({"replica": {"address": replica.address, "protocol": "h2c"}})
    assert gateway.admin("POST", "/reload")[0] == 200
    env.wait_until(lambda: get(gateway.address, "/").get("via") == "2.0 ringgate", 10, "the new replica")
    gateway.reconfigure({"replica": {"address": origin.address, "protocol": "http1"}})
    assert gateway.admin("POST", "/reload")[0] == 200
    env.wait_until(lambda: get(gateway.address, "/").get("via") == "1.1 ringgate", 10, "the old replica")
    gateway.wait_metric(0, "ringgate_replica_streams_open")
    env.wait_until(lambda: all(c.closed for c in replica.connections), 10, "the sessions to end")
    replica.stop()


def test_drain_finishes_streams(shared):
    gate = threading.Event()

    def script(s):
        gate.wait(env.scaled(20))
        s.reply(b"done")

    lane = Lane(shared)
    lane.replica.script = script
    result = []
    t = threading.Thread(target=lambda: result.append(get(lane.address, "/")))
    t.start()
    lane.gateway.wait_metric(1, "ringgate_replica_streams_open")
    stop = threading.Thread(target=lane.gateway.stop)
    stop.start()
    time.sleep(0.2)
    gate.set()
    t.join(env.scaled(10))
    stop.join(env.scaled(20))
    assert result and result[0].body == b"done"
    lane.replica.stop()
