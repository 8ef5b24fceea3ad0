"""HTTP/2 in the clear to the replica: messages both ways, streams beside each other, health, reloads, a drain."""

import socket
import threading
import time

import pytest

from lib import env
from lib.client import Client, chunked, get
from lib.h2 import (END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, H2, frame, request_fields)
from lib.h2_replica import H2Replica
from lib.h2c_lane import Lane, echo, parallel, post, speak_http1

pytest_plugins = ["lib.h2c_lane"]


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
