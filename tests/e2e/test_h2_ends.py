"""HTTP/2 on the client's side: exchanges and connections that end early, by their time, and in a drain."""

import json
import threading

import pytest

from lib import env
from lib.attack import Lane
from lib.h2 import GOAWAY, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, INTERNAL_ERROR, NO_ERROR, Ended, H2, request_fields
from lib.raw_origin import Answer, Gone, echo, reply


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address), origin)


def wait_exchanges(lane, n):
    lane.gateway.wait_metric(n, "ringgate_exchanges_open")


# ---- early ends ----

def test_client_resets_a_stream(lane):
    gone = threading.Event()

    def script(connection, _request):
        connection.wait_gone()
        gone.set()
        raise Gone
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = c.get("/wait")
        lane.origin.wait_requests(1)
        c.reset(stream)
        assert gone.wait(env.scaled(5)), "the replica still works for a request that nobody wants"
        wait_exchanges(lane, 0)
        lane.origin.script = echo
        c.expect_alive()


def test_client_leaves_with_open_streams(lane):
    gone = threading.Event()

    def script(connection, _request):
        connection.wait_gone()
        gone.set()
        raise Gone
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        c.get("/wait")
        c.headers(request_fields("/up", method="POST"), end=False)
        lane.origin.wait_requests(1)
    assert gone.wait(env.scaled(5))
    wait_exchanges(lane, 0)


def test_early_response_to_a_request_whose_body_is_on_its_way(lane):
    """Who is about to send it has the time to; who never ends it is told that nobody reads on."""
    def script(connection, _request):
        connection.send(reply(b"enough", "403 Forbidden", connection="close"))
        connection.wait_gone()
        raise Gone
    script.before_body = True
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = c.headers(request_fields("/up", method="POST"), end=False)
        r = c.response(stream)
        assert r.status == 403 and r.complete and r.reset is None
        c.data(stream, b"x" * 1000, end=True)
        others = [c.headers(request_fields("/other", method="POST"), end=False) for _ in range(40)]
        for other in others:
            assert c.until(lambda o=other: c.response(o).reset == NO_ERROR)
        assert r.reset is None
        lane.origin.script = echo
        c.expect_alive()


def test_early_response_to_an_upload(lane):
    def script(connection, _request):
        connection.send(reply(b"enough", "403 Forbidden", connection="close"))
        connection.wait_gone()
        raise Gone
    script.before_body = True
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = c.headers(request_fields("/up", method="POST"), end=False)
        c.data(stream, b"x" * 1000)
        r = c.response(stream)
        assert r.status == 403 and r.body == b"enough" and r.complete
        assert c.until(lambda: r.reset is not None) and r.reset == NO_ERROR
        lane.origin.script = echo
        c.expect_alive()


def test_origin_breaks_in_the_middle(lane):
    lane.reset(lambda *_: Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "close"))
    with H2(lane.gateway.address) as c:
        r = c.ask("/b")
        if r.status != 502:  # the end came after the head had left
            assert r.status in (200, None) and not r.complete and r.reset == INTERNAL_ERROR, r  # a reset overtakes a head
        lane.origin.script = echo
        c.expect_alive()
    lane.expect_counted(["replica-closed"])


def test_origin_breaks_before_it_answers(lane):
    lane.reset(lambda *_: Answer(b"HTTP/1.1 200 O", "close"))
    with H2(lane.gateway.address) as c:
        r = c.ask("/b")
        assert r.status == 502 and json.loads(r.body)["reason"] == "replica-closed" and r.complete
        lane.origin.script = echo
        c.expect_alive()


BROKEN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nbad trailer\r\n\r\n"


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"], ids=["", "interim"])
def test_fault_beside_the_head(lane, interim):
    """While nothing of the response has been sent, the client can be told."""
    lane.reset(lambda *_: Answer(interim + BROKEN_CHUNKS, "keep"))
    with H2(lane.gateway.address) as c:
        for _ in range(3):
            r = c.ask("/b")
            assert r.status == 502 and json.loads(r.body)["reason"] == "replica-framing" and r.complete, r
            assert not r.trailers and r.reset is None, r
        lane.origin.script = echo
        c.expect_alive()


def test_heads_that_were_taken_back_leave_the_table_alone(lane):
    """The client has never seen them: what follows must not refer to their fields."""
    kept = lambda n: [("X-Kept", str(n)), ("X-Mode", "good")]
    with H2(lane.gateway.address) as c:
        for n in range(4):
            lane.reset(lambda *_: Answer(BROKEN_CHUNKS.replace(b"\r\n", f"\r\nX-Lost: {n}\r\nX-Mode: bad\r\n".encode(), 1), "keep"))
            assert c.ask("/b").status == 502
            lane.origin.script = lambda *_: reply(b"x", fields=kept(n))
            for _ in range(3):
                r = c.ask("/k")
                assert (r.status, r.get("x-kept"), r.get("x-mode"), r.get("x-lost")) == (200, str(n), "good", None), r
                assert r.get("via") == "1.1 ringgate" and len(r.get("x-request-id")) == 36, r


def test_fault_beside_the_head_for_a_client_with_a_small_table(lane):
    """It waits to be told of its table's size by the first head, which can't be taken back."""
    lane.reset(lambda *_: Answer(BROKEN_CHUNKS, "keep"))
    with H2(lane.gateway.address, settings=[(HEADER_TABLE_SIZE, 0)]) as c:
        c.decoder.max_allowed_table_size = 0
        r = c.ask("/b")
        assert not r.complete and r.reset == INTERNAL_ERROR, r
        lane.origin.script = echo
        c.expect_alive()


def test_both_directions_at_once(lane):
    """As gRPC does: the response begins before the request ends, and each side waits for the other."""
    def script(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            size = int(connection.until(b"\r\n"), 16)
            word = connection.exactly(size)
            connection.exactly(2)
            connection.send(b"%x\r\n%s\r\n" % (size, word.upper()))
        assert connection.until(b"0\r\n\r\n")
        request.complete = True
        connection.send(b"0\r\ngrpc-status: 0\r\n\r\n")
    script.before_body = True
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = c.headers(request_fields("/chat", method="POST"), end=False)
        expected = b""
        for i in range(20):
            c.data(stream, f"word{i}".encode())
            expected += f"WORD{i}".encode()
            assert c.until(lambda: c.responses.get(stream) and c.responses[stream].body == expected), c.responses
        c.data(stream, b"", end=True)
        r = c.response(stream)
        assert r.body == expected and r.trailers == [("grpc-status", "0")] and r.complete and r.reset is None


def test_body_too_large(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"limits": {"body_bytes": 10000}})
    with H2(gateway.address) as c:
        r = c.response(c.headers(request_fields("/", method="POST", more=[("content-length", "10001")]), end=False))
        assert r.status == 413
        stream = c.headers(request_fields("/", method="POST"), end=False)
        c.data(stream, b"x" * 10001)
        assert c.response(stream).status == 413
        c.expect_alive()


# ---- time ----

def test_time_limits_of_streams(programs):
    origin = programs.raw_origin(lambda connection, _request: connection.wait_gone())
    gateway = programs.gateway(origin.address, {"timeouts": {"response_head": env.ms(300), "body_idle": env.ms(300)}})
    with H2(gateway.address) as c:
        late, upload = c.get("/late"), c.headers(request_fields("/up", method="POST"), end=False)
        assert c.response(late).status == 504
        r = c.response(upload)
        assert r.status == 408 and c.until(lambda: r.reset == NO_ERROR)


def test_a_client_that_takes_nothing(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"body_idle": env.ms(400)}})
    with H2(gateway.address, settings=[(INITIAL_WINDOW_SIZE, 0)]) as c:
        r = c.ask("/bytes/100000")
        assert r.status == 200 and r.reset == INTERNAL_ERROR and r.body == b""
    gateway.wait_metric(1, "ringgate_requests_refused_total", reason="client-stalled")


def test_idle_connection_ends_with_goaway(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"client_idle": env.ms(300)}})
    with H2(gateway.address) as c:
        assert c.ask("/").status == 200
        assert c.connection_error() == NO_ERROR
    gateway.wait_metric(0, "ringgate_http2_connections_open")


# ---- drain ----

def test_drain_in_two_steps(programs):
    go = threading.Event()
    origin = programs.raw_origin(lambda _c, q: (q.target != "/slow" or go.wait(env.scaled(10))) and reply(q.target.encode()))
    gateway = programs.gateway(origin.address, {"timeouts": {"drain_idle": env.ms(500)}})
    with H2(gateway.address) as c, H2(gateway.address) as idle:
        assert idle.ask("/").status == 200
        slow = c.get("/slow")
        origin.wait_requests(2)
        gateway.process.popen.terminate()
        first = c.wait(GOAWAY)
        assert int.from_bytes(first.payload[:4], "big") == 0x7fffffff and first.error == NO_ERROR
        c.goaways.clear()
        assert c.ask("/late").body == b"/late", "a request on its way when the drain began is served"
        second = c.wait(GOAWAY)
        assert int.from_bytes(second.payload[:4], "big") < 0x7fffffff and second.error == NO_ERROR
        go.set()
        c.goaways.clear()
        assert c.response(slow).body == b"/slow"
        with pytest.raises(Ended):
            c.next_frame()
        assert idle.connection_error() == NO_ERROR
    gateway.process.popen.wait(env.scaled(10))
