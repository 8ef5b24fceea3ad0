"""The last hop of a message (Max-Forwards), the end of a connection, also one that a client does not know of yet, and what
a connection for a single request is spared."""

import signal
import socket
import struct
import time

import pytest

from lib import env, tls
from lib.attack import Lane, req
from lib.client import Client, chunked
from lib.raw_origin import Held, reply
from lib.tls import TlsClient


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address), origin)


@pytest.fixture(scope="module")
def tls_lane(shared, tmp_path_factory):
    address, origin = f"127.0.0.1:{env.free_port()}", shared.raw_origin()
    listener = tls.listener(address, tls.Certificate(tmp_path_factory.mktemp("certs"), "a.example"))
    return Lane(shared.gateway(origin.address, {"listeners": [listener]}, listen=[address]), origin)


# ---- the last hop (RFC 9110 7.6.2) ----

@pytest.mark.parametrize("target", ["*", "/x", "http://test"])
def test_options_for_the_gateway_itself(lane, target):
    lane.reset()
    with Client(lane.gateway.address) as c:
        r = c.request(req("Max-Forwards: 0", method="OPTIONS", target=target))
        assert r.status == 200 and r.get("content-length") == "0" and not r.says_close, r
        assert c.request(req(method="GET", target="/after")).status == 200
    assert [q.target for q in lane.origin.requests] == ["/after"]
    assert lane.counted() == {}


def test_options_for_the_gateway_itself_with_a_body(lane):
    """What follows is a body and never the next request."""
    lane.reset()
    with Client(lane.gateway.address) as c:
        smuggled = req(method="GET", target="/smuggled")
        r = c.request(req("Max-Forwards: 0", f"Content-Length: {len(smuggled)}", method="OPTIONS", body=smuggled))
        assert r.status == 200 and r.says_close
        c.expect_end()
    lane.expect_nothing_at_origin(lane.marker())


def test_trace_is_not_answered_by_the_gateway(lane):
    """It would show the client what proxies before us have added (RFC 9110 9.3.8)."""
    r = lane.refused(req("Max-Forwards: 0", "Cookie: secret=1", method="TRACE"), 501, "trace-refused")
    assert b"secret" not in r.body


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
@pytest.mark.parametrize("hops,left", [("1", "0"), ("10", "9"), ("99999999999999999999999", "999999999")])
def test_hops_are_counted_down(lane, method, hops, left):
    lane.reset()
    with Client(lane.gateway.address) as c:
        assert c.request(req(f"Max-Forwards: {hops}", method=method)).status == 200
    assert lane.origin.last().all("max-forwards") == [left]


def test_other_methods_pay_no_heed_to_the_hops(lane):
    lane.reset()
    with Client(lane.gateway.address) as c:
        assert c.request(req("Max-Forwards: 0", method="GET")).status == 200
    assert lane.origin.last().all("max-forwards") == ["0"]


def test_own_health_path_with_a_body(lane):
    lane.reset()
    with Client(lane.gateway.address) as c:
        smuggled = req(method="GET", target="/smuggled")
        r = c.request(req(f"Content-Length: {len(smuggled)}", method="GET", target="/health", body=smuggled))
        assert r.status == 204 and r.says_close
        c.expect_end()
    lane.expect_nothing_at_origin(lane.marker())


# ---- the end of a connection ----

def test_pipelined_request_after_the_announced_end_does_not_cost_the_response(programs):
    """
    A drain announces the end; the client, which has not read that yet, sends its next request. Answered by RST, it would
    lose what of the last response it has not read.
    """
    size = 200_000
    held = Held(target=None, answer=b"t" * size)
    origin = programs.raw_origin(held)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": "30s"}})

    def has_ended():
        try:
            return gateway.metrics().get("ringgate_exchanges_open") == 0
        except OSError:
            return not gateway.process.is_running()
    with Client(gateway.address, receive_buffer=8192) as c:
        c.send(req(method="GET"))
        origin.wait_requests(1)
        gateway.process.signal(signal.SIGTERM)
        gateway.wait_metric(1, "ringgate_draining")
        held.release()
        env.wait_until(has_ended, 5, "the exchange to end")
        c.send(req(method="GET", target="/next"))
        time.sleep(0.05)
        r = c.response()
        assert r.says_close and len(r.body) == size
        c.expect_end()
    assert gateway.process.wait(5) == 0
    assert [q.target for q in origin.requests] == ["/attack"]


def test_client_that_stays_after_the_announced_end_does_not_hold_up_a_drain(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": "60s", "drain_idle": "20s"}})
    with Client(gateway.address) as c:
        assert c.request(req(method="GET")).status == 200
        gateway.process.signal(signal.SIGTERM)
        gateway.wait_metric(1, "ringgate_draining")
        assert c.request(req(method="GET")).says_close
        assert gateway.process.wait(8) == 0


def test_empty_lines_do_not_hold_up_a_drain(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": "60s", "drain_idle": env.ms(500)}})
    with Client(gateway.address) as c:
        assert c.request(req(method="GET")).status == 200
        gateway.process.signal(signal.SIGTERM)
        gateway.wait_metric(1, "ringgate_draining")
        for _ in range(100):
            try:
                c.send(b"\r\n")
            except OSError:
                break
            if not c.is_silent(env.scaled(0.1)):
                break
        else:
            raise AssertionError("the connection is still open")
    assert gateway.process.wait(8) == 0


# ---- a connection for each request ----

def segments_received(c):
    """Since the connection began; tcpi_segs_in of struct tcp_info."""
    return struct.unpack_from("=I", c.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 140)[0]


@pytest.mark.parametrize("request_bytes", [req("Connection: close", method="GET"), b"GET /x HTTP/1.0\r\nHost: test\r\n\r\n"])
def test_last_response_and_end_of_the_connection_are_one_segment(lane, request_bytes):
    """Behind the SYN-ACK; the request is acknowledged by it, too. A kernel that is late adds segments: one of many counts."""
    lane.reset()

    def received():
        with Client(lane.gateway.address) as c:
            assert c.request(request_bytes).status == 200
            c.expect_end()
            return segments_received(c)
    assert env.best_of(20, received) == 2


@pytest.mark.parametrize("size", [0, 1, 16_384, 3_000_000])
def test_last_response_arrives_whole_where_it_is_read_slowly(lane, size):
    lane.reset(lambda c, q: reply(b"b" * size))
    with Client(lane.gateway.address, receive_buffer=8192) as c:
        c.send(req("Connection: close", method="GET"))
        lane.origin.wait_requests(1)
        time.sleep(0.05)
        r = c.response()
        assert r.says_close and r.body == b"b" * size
        c.expect_end()


@pytest.mark.parametrize("connect,taken", [(Client, 260_000), (TlsClient, 280_000)], ids=["clear", "tls"])
def test_surplus_bytes_do_not_cost_the_last_response(lane, tls_lane, connect, taken):
    """
    While the last response is on its way nothing is received any more. What comes then (an empty line behind the request, as some
    send it) must not turn the end of the connection into RST, which throws away what the kernel keeps for the client.
    """
    size, first = 608_000, taken
    lane = tls_lane if connect is TlsClient else lane
    body = chunked(*[b"b" * 16_000] * (size // 16_000))  # one with a length would go through a pipe
    lane.reset(lambda c, q: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    while True:
        with connect(lane.gateway.address, receive_buffer=8192) as c:
            c.send(req("Connection: close", method="GET"))
            while len(c.buffer) < taken:
                assert c._fill()
            time.sleep(0.02)
            if lane.gateway.metrics().get("ringgate_connections_open") == 0:
                break  # all of it is the kernel's, and the connection is closed
            c.send(b"\r\n")
            time.sleep(0.01)
            r = c.response()
            assert r.says_close and r.body == b"b" * size
            c.expect_end()
            assert not c.was_reset
        taken += 1_500
        lane.gateway.wait_metric(0, "ringgate_connections_open")
    if taken == first:
        pytest.skip("the kernel takes all of the response at once")


@pytest.mark.parametrize("pieces", [
    [req("Content-Length: 3"), b"abc"],
    [b"POST /x HTTP/1.1\r\n", b"Host: test\r\nContent-Length: 3\r\n\r\nabc"],
])
def test_client_that_waits_for_an_acknowledgement_gets_it(lane, pieces):
    """With Nagle's algorithm a client keeps the rest of its request back; delayed acknowledgements take 40 ms at least."""
    lane.reset()

    def exchange():
        with Client(lane.gateway.address) as c:
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
            begin = time.monotonic()
            for piece in pieces:
                c.send(piece)
            assert c.response("POST").status == 200
            return time.monotonic() - begin
    assert env.one_within(0.035, exchange, tries=20)


# ---- the end of the client's side ----

@pytest.mark.parametrize("pace", [0, 0.2], ids=["at-once", "slowly"])
def test_half_closed_client_gets_the_answer_that_has_begun(lane, pace):
    """However long the rest of it takes."""
    def script(connection, _request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
        for _ in range(4):
            time.sleep(pace)
            connection.send(b"h" * 100_000)
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req("Content-Length: 5", body=b"hello"))
        c.sock.shutdown(socket.SHUT_WR)
        r = c.response()
        assert r.status == 200 and r.body == b"h" * 400_000
        c.expect_end()
    assert lane.origin.last().body == b"hello" and lane.counted() == {}


def test_half_closed_client_does_not_wait_for_long(lane):
    """It may as well have left: the kernel does not say which."""
    held = Held()
    lane.reset(held)
    with Client(lane.gateway.address) as c:
        c.send(req(method="GET", target="/wait") * 2)
        c.sock.shutdown(socket.SHUT_WR)
        c.expect_end()
    held.release()
    lane.expect_counted({"client-gone"})
    assert len(lane.origin.requests) == 1
