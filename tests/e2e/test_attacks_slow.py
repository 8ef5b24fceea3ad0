"""Slow and greedy clients: bounded time, bounded memory, and the origin is not kept waiting for nothing."""

import socket
import threading
import time

import pytest

from lib import env
from lib.attack import Lane, req
from lib.client import Client, Incomplete
from lib.raw_origin import Answer, Gone, reply

HEAD_MS, IDLE_MS, BODY_MS = 800, 1200, 1500


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    gateway = shared.gateway(origin.address, {"timeouts": {
        "client_head": env.ms(HEAD_MS), "client_idle": env.ms(IDLE_MS), "body_idle": env.ms(BODY_MS)},
        "limits": {"body_bytes": 0}})
    return Lane(gateway, origin)


def drip(sock, data, interval, stop):
    """Byte by byte until the end of data, of the connection, or of patience."""
    for i in range(len(data)):
        if stop.wait(interval):
            return
        try:
            sock.send(data[i:i + 1])
        except OSError:
            return


def drip_in_background(sock, data, interval):
    stop = threading.Event()
    thread = threading.Thread(target=drip, args=(sock, data, interval, stop), daemon=True)
    thread.start()
    return stop


@pytest.mark.parametrize("data", [req(method="GET", *["X: " + "y" * 400]), b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 400],
                         ids=["line", "empty-lines"])
def test_slow_head(lane, data):
    lane.reset()
    with Client(lane.gateway.address) as c:
        start = time.monotonic()
        stop = drip_in_background(c.sock, data, env.scaled(0.03))
        r = c.response("GET")
        took = time.monotonic() - start
        stop.set()
        lane.check_refusal_response(r, {408})
        c.expect_end()
    assert env.scaled(HEAD_MS / 1000) * 0.9 <= took <= env.at_most(HEAD_MS / 1000), took
    lane.expect_counted({"head-timeout"})
    lane.expect_nothing_at_origin(lane.marker())


@pytest.mark.parametrize("pieces", [[b"\r\n"], [b"\r", b"\n", b"\r\n\r\n"]], ids=["one", "in-pieces"])
def test_empty_lines_begin_no_request(lane, pieces):
    """Some clients end a body with an empty line: the connection is idle then, and ends like one, without a 408."""
    lane.reset()
    with Client(lane.gateway.address) as c:
        assert c.request(req("Content-Length: 5", body=b"hello" + pieces[0])).status == 200
        start = time.monotonic()
        for piece in pieces[1:]:
            time.sleep(env.scaled(0.05))
            c.send(piece)
        c.expect_end(IDLE_MS / 1000 + 3)
        assert time.monotonic() - start >= env.scaled(IDLE_MS / 1000) * 0.8
    assert lane.counted() == {}


@pytest.mark.parametrize("first", [b"", req(method="GET")], ids=["alone", "after-a-request"])
def test_empty_lines_do_not_keep_a_connection(lane, first):
    """They cost next to nothing and nobody counts them: time without a request runs on."""
    lane.reset()
    with Client(lane.gateway.address) as c:
        if first:
            assert c.request(first).status == 200
        start = time.monotonic()
        stop = drip_in_background(c.sock, b"\r\n" * 200, env.scaled(0.1))
        try:
            c.expect_end((IDLE_MS + HEAD_MS) / 1000 + 1)
        finally:
            stop.set()
        assert time.monotonic() - start >= env.scaled(IDLE_MS / 1000) * 0.8
    assert lane.counted() == {}


def test_slow_head_of_a_second_request(lane):
    """The time for a head runs from its own first byte, not from the time-out of an idle connection."""
    lane.reset()
    with Client(lane.gateway.address) as c:
        assert c.request(req(method="GET", target="/first")).status == 200
        start = time.monotonic()
        c.send(b"GET /second HTT")
        lane.check_refusal_response(c.response(), {408})
        assert time.monotonic() - start <= env.at_most(HEAD_MS / 1000)
        c.expect_end()
    lane.expect_counted({"head-timeout"})


def test_connection_without_a_byte_is_closed(lane):
    with Client(lane.gateway.address) as c:
        start = time.monotonic()
        try:
            lane.check_refusal_response(c.response(), {408})
        except Incomplete:
            assert not c.buffer
        assert time.monotonic() - start <= env.at_most(max(HEAD_MS, IDLE_MS) / 1000)


def test_idle_connection_is_closed_without_a_word(lane):
    with Client(lane.gateway.address) as c:
        assert c.request(req(method="GET")).status == 200
        start = time.monotonic()
        c.expect_end(IDLE_MS / 1000 + 3)
        assert time.monotonic() - start >= env.scaled(IDLE_MS / 1000) * 0.9


@pytest.mark.parametrize("head,part", [("Content-Length: 1000", b"hello"), ("Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
                                       ("Transfer-Encoding: chunked", b"5\r\nhel"), ("Content-Length: 1000", b"")],
                         ids=["length", "chunked", "in-chunk", "nothing"])
def test_body_that_stops(lane, head, part):
    lane.reset()
    with Client(lane.gateway.address) as c:
        start = time.monotonic()
        c.send(req(head, body=part))
        r = c.response()
        assert time.monotonic() - start >= env.scaled(BODY_MS / 1000) * 0.9
        lane.check_refusal_response(r, {408})
        c.expect_end()
    lane.expect_counted({"body-timeout"})
    lane.expect_broken_off_at_origin(lane.marker())


def test_body_that_was_not_asked_for_is_not_late(lane):
    """The origin takes longer for its 100 than a body may take: the client's time begins with the 100."""
    asked = []

    def script(connection, request):
        if request.target.startswith("/marker"):
            return reply()
        time.sleep(env.scaled(BODY_MS / 1000 * 1.2))
        asked.append(time.monotonic())
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.read_body(request)
        return reply()
    script.before_body = True
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req("Expect: 100-continue", "Content-Length: 5"))
        assert c.head().status == 100
        lane.check_refusal_response(c.response(), {408})
        assert time.monotonic() - asked[0] >= env.scaled(BODY_MS / 1000) * 0.9
    lane.expect_counted({"body-timeout"})


def test_body_that_drips_steadily_is_served(lane):
    """Slower than nothing is what times out: progress within body_idle is enough during the grace."""
    lane.reset()
    with Client(lane.gateway.address) as c:
        c.send(req("Content-Length: 16"))
        for i in range(16):
            time.sleep(env.scaled(BODY_MS / 1000 / 10))
            c.send(b"%x" % i)
        assert c.response().status == 200
    assert lane.origin.last().body == b"0123456789abcdef"


def test_body_below_the_floor_of_rate(programs):
    """500 bytes/s after ten seconds of grace."""
    origin = programs.raw_origin()
    lane = Lane(programs.gateway(origin.address), origin)
    lane.reset()
    with Client(lane.gateway.address, timeout=25) as c:
        start = time.monotonic()
        c.send(req("Content-Length: 100000"))
        stop = drip_in_background(c.sock, b"x" * 1000, 0.1)
        r = c.response()
        stop.set()
        took = time.monotonic() - start
        lane.check_refusal_response(r, {408})
    assert 9 <= took <= 16 + env.SLOW, took
    lane.expect_counted({"body-too-slow"})
    lane.expect_broken_off_at_origin(lane.marker())


class Endless:
    """Sends a large response and tells how much of it was taken."""

    def __init__(self, total):
        self.total, self.sent, self.ended = total, 0, threading.Event()

    def __call__(self, connection, request):
        if request.target.startswith("/marker"):
            return reply()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.total)
        block = b"x" * 65536
        try:
            while self.sent < self.total:
                connection.send(block)
                self.sent += len(block)
        except Gone:
            self.ended.set()
            raise
        return None


def test_reader_that_stops_is_closed_and_the_origin_let_go(lane):
    script = Endless(1 << 30)
    lane.reset(script)
    before = lane.gateway.rss_bytes()
    with Client(lane.gateway.address, receive_buffer=4096) as c:
        c.send(req(method="GET", target="/large"))
        c.head()
        assert script.ended.wait(env.scaled(BODY_MS / 1000 + 3)), "the origin still sends to a client that reads nothing"
        grown = lane.gateway.rss_bytes() - before
        with pytest.raises(Incomplete):
            c.buffer.clear()
            c._exactly(1 << 30, lambda piece: None)
    assert script.sent < 64 << 20, f"the origin was not paused: it sent {script.sent} bytes"
    if not env.SANITIZER:
        assert grown < 2 << 20, f"one slow reader cost {grown} bytes"
    lane.expect_counted({"client-stalled"})
    lane.marker()


def test_reader_that_is_slow_but_steady_is_served(lane):
    total = 400_000
    lane.reset(lambda c, q: reply(b"y" * total))
    with Client(lane.gateway.address, receive_buffer=4096) as c:
        c.send(req(method="GET"))
        c.head()
        got = len(c.buffer)
        deadline = time.monotonic() + env.scaled(20)
        while got < total and time.monotonic() < deadline:
            got += len(c.sock.recv(8192))
            time.sleep(0.02)
    assert got == total


def test_endless_pipelining_without_reading(lane):
    body = b"z" * 20_000
    lane.reset(lambda c, q: reply(body, fields=[("X-Target", q.target)]))
    before = lane.gateway.rss_bytes()
    with Client(lane.gateway.address, receive_buffer=8192) as c:
        c.sock.setblocking(False)
        sent, blocked_since, pending, n = 0, None, b"", 0
        while sent < 64 << 20:
            if not pending:
                pending, n = req("X-Fill: " + "f" * 1000, method="GET", target=f"/{n}"), n + 1
            try:
                done = c.sock.send(pending)
                pending, sent, blocked_since = pending[done:], sent + done, None
            except BlockingIOError:
                blocked_since = blocked_since or time.monotonic()
                if time.monotonic() - blocked_since > env.scaled(0.3):
                    break
                time.sleep(0.005)
            except OSError:
                break
        assert sent < 48 << 20, "the gateway kept reading requests although no answer was taken"
        grown = lane.gateway.rss_bytes() - before
        served = len(lane.origin.requests)
        # Now the answers are taken: they come in order, and reading has gone on.
        c.sock.settimeout(env.scaled(5))
        for i in range(served + 5):
            r = c.response()
            assert r.get("x-target") == f"/{i}" and r.body == body
    if not env.SANITIZER:
        assert grown < 4 << 20, f"unread answers cost {grown} bytes"


def test_endless_interim_responses(lane):
    def script(connection, request):
        if request.target.startswith("/marker"):
            return reply()
        for _ in range(5000):
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        return Answer(b"", "close")
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        r = c.request(req(method="GET"))
        assert r.status == 502 and len(r.interim) <= 8, (r, len(r.interim))
    lane.expect_counted({"replica-too-many-interim"})
    lane.marker()


def test_interim_responses_within_the_limit(lane):
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 8
    lane.reset(lambda c, q: interim + reply())
    with Client(lane.gateway.address) as c:
        r = c.request(req(method="GET"))
        assert r.status == 200 and [i.status for i in r.interim] == [103] * 8


@pytest.mark.parametrize("piece", [b"X-Drip: y\r\n", b"x"], ids=["fields", "one-value"])
def test_endless_drip_of_a_response_head(programs, piece):
    def script(connection, request):
        if request.target.startswith("/marker"):
            return reply()
        connection.send(b"HTTP/1.1 200 OK\r\nX-First: ")
        try:
            for _ in range(2000):
                connection.send(piece)
                time.sleep(0.05)
        except Gone:
            pass
        return Answer(b"", "close")
    origin = programs.raw_origin(script)
    lane = Lane(programs.gateway(origin.address, {"timeouts": {"response_head": env.ms(700)}}), origin)
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        start = time.monotonic()
        r = c.request(req(method="GET"))
        assert r.status in (502, 504), r
        assert time.monotonic() - start < env.at_most(1)
    lane.expect_counted({"replica-response-timeout", "replica-malformed", "replica-head-too-large"})
    lane.marker()


def test_half_open_clients_do_not_pile_up(lane):
    """Connections that vanish without FIN leave nothing behind once their time is over (the lingering close included)."""
    clients = [Client(lane.gateway.address) for _ in range(50)]
    for c in clients:
        c.send(b"GET / HTTP/1.1\r\nHo")
    env.wait_until(lambda: lane.gateway.metrics().get("ringgate_connections_open") >= 50, 3, "50 open connections")
    lane.gateway.wait_metric(0, "ringgate_connections_open", HEAD_MS / 1000 + 8)
    for c in clients:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()
