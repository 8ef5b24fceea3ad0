"""Malformed and treacherous origins: 502 before the first byte, a broken message after it, and never another client's bytes."""

import threading

import pytest

from lib import env
from lib.attack import Lane, req
from lib.client import Client, Incomplete, get
from lib.raw_origin import Answer, Connection, reply

MALFORMED = {"replica-malformed"}
FRAMING = {"replica-framing"}
BAD = MALFORMED | FRAMING


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address, {"timeouts": {"response_head": env.ms(1500)}}), origin)


def scripted(data, then="keep"):
    """The attack gets these bytes, anything else an honest answer."""
    def script(_connection, request):
        return reply() if request.target.startswith(("/marker", "/honest")) else Answer(data, then)
    return script


def expect_502(lane, data, reasons, then="keep", method="GET", statuses=(502,), requests=1):
    lane.reset(scripted(data, then))
    with Client(lane.gateway.address) as c:
        r = c.request(req(method=method), method)
        assert r.status in statuses, f"got {r} {r.body[:200]!r}"
        # The client's side is intact: its connection may go on, or is closed cleanly.
        if not r.says_close:
            assert c.request(req(method="GET", target="/honest")).status == 200
    lane.expect_counted(reasons)
    lane.marker()
    attacked = [x for x in lane.origin.connections if any(q.target == "/attack" for q in x.requests)]
    assert sum(1 for q in lane.origin.requests if q.target == "/attack") == requests
    for x in attacked:
        env.wait_until(lambda x=x: x.ended, 2, "the end of the faulty upstream connection")
        assert x.requests[-1].target == "/attack", f"a faulty upstream connection was used again: {x.requests}"


OK = b"HTTP/1.1 200 OK\r\n"
HELLO = b"\r\nhello"


@pytest.mark.parametrize("data,reasons", [
    # status line
    (b"HTTP/1.1\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1 OK\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1 20 OK\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1 99 Low\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1 099 Low\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1 1000 High\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1 +20 OK\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1  200 OK\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/2 200 OK\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"http/1.1 200 OK\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"ICY 200 OK\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1 200 O\x00K\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1 200 O\rK\r\nContent-Length: 5\r\n" + HELLO, MALFORMED),
    (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", MALFORMED),
    (b"<html>HTTP/0.9</html>\r\n\r\n", MALFORMED),
    (b"hello\r\n\r\n", MALFORMED),
    (b"\x00\x01\x02\x03\r\n\r\n", MALFORMED),
    (b"\x15\x03\x01\x00\x02\x02\x28", MALFORMED),
    # fields, response splitting
    (OK + b"Content-Length: 5\r\nX: a\x00b\r\n" + HELLO, MALFORMED),
    (OK + b"Content-Length: 5\r\nX: a\rb\r\n" + HELLO, MALFORMED),
    (OK + b"Content-Length: 5\r\nX: a\nb\r\n" + HELLO, MALFORMED),
    (OK + b"Content-Length: 5\r\nX: a\nSet-Cookie: b\r\n" + HELLO, MALFORMED),
    (OK + b"Content-Length: 5\r\nX: a\r\n folded\r\n" + HELLO, MALFORMED),
    (OK + b"Content-Length: 5\r\nX : a\r\n" + HELLO, MALFORMED),
    (OK + b"Content-Length: 5\r\n: a\r\n" + HELLO, MALFORMED),
    (OK + b"Content-Length: 5\r\nno colon\r\n" + HELLO, MALFORMED),
    (OK + b" Content-Length: 5\r\n" + HELLO, MALFORMED),
    # framing
    (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", FRAMING),
    (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n" + HELLO, FRAMING),
    (OK + b"Content-Length: 5\r\nContent-Length: 5\r\n" + HELLO, FRAMING),
    (OK + b"Content-Length: 5, 5\r\n" + HELLO, FRAMING),
    (OK + b"Content-Length: +5\r\n" + HELLO, FRAMING),
    (OK + b"Content-Length: 0x5\r\n" + HELLO, FRAMING),
    (OK + b"Content-Length:\r\n" + HELLO, FRAMING),
    (OK + b"Content-Length: 18446744073709551618\r\n" + HELLO, FRAMING),
    (OK + b"Transfer-Encoding: gzip\r\n" + HELLO, FRAMING),
    (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", FRAMING),
    (OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", FRAMING),
    (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", FRAMING),
    (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", FRAMING),
    (OK + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", BAD),
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", FRAMING),
    # size
    (OK + b"X: " + b"a" * 300_000 + b"\r\n\r\n", {"replica-head-too-large"}),
    (OK + b"".join(b"X-%d: a\r\n" % i for i in range(5000)) + b"\r\n", {"replica-head-too-large"}),
    # protocol
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", {"replica-unasked-upgrade"}),
], ids=lambda v: repr(v[:60]) if isinstance(v, bytes) else "")
def test_malformed_response_head(lane, data, reasons):
    expect_502(lane, data, reasons)


@pytest.mark.parametrize("data,then,reasons", [
    (b"", "close", {"replica-closed"}),
    (b"", "rst", {"replica-closed"}),
    (b"HTTP/1.1 200", "close", {"replica-closed"} | MALFORMED),
    (OK + b"Content-Length: 5\r\n", "close", {"replica-closed"} | MALFORMED),
    (OK + b"Content-Length: 5\r\n", "rst", {"replica-closed"} | MALFORMED),
    (b"HTTP/1.1 103 Early Hints\r\n\r\n", "close", {"replica-closed"} | MALFORMED),
], ids=["close", "rst", "line-close", "head-close", "head-rst", "interim-close"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_close_before_a_response(lane, data, then, reasons, method):
    """On a fresh connection nothing is tried again."""
    lane.origin.drop_connections()
    lane.gateway.wait_metric(0, "ringgate_replica_connections_open")
    expect_502(lane, data, reasons, then, method)


def attack_body(lane, data, then="keep", method="GET"):
    """A response that goes wrong after its head: the client sees a broken message, or 502 while nothing of it was sent."""
    lane.reset(scripted(data, then))
    with Client(lane.gateway.address) as c:
        c.send(req(method=method))
        try:
            r = c.response(method)
            assert r.status == 502, f"looks complete: {r} {r.body[:100]!r}"
        except Incomplete:
            c.expect_end()
    path = lane.marker()
    for x in [x for x in lane.origin.connections if any(q.target == "/attack" for q in x.requests)]:
        env.wait_until(lambda x=x: x.ended, 2, "the end of the faulty upstream connection")
    assert lane.origin.requests[-1].target == path


@pytest.mark.parametrize("then", ["close", "rst"])
@pytest.mark.parametrize("data", [
    OK + b"Content-Length: 50\r\n\r\nhello",
    OK + b"Content-Length: 200000\r\n\r\n" + b"x" * 150_000,
    OK + b"Content-Length: 5\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n",
], ids=["length", "large", "none", "chunks", "in-chunk", "last-chunk", "trailer", "no-chunk"])
def test_close_in_the_middle(lane, data, then):
    attack_body(lane, data, then)


def test_reset_of_a_body_that_ends_with_the_connection(lane):
    """Only a clean end completes such a body; a reset does not."""
    def script(connection, request):
        if request.target.startswith("/marker"):
            return reply()
        connection.send(OK + b"\r\n" + b"x" * 1000)
        env.wait_until(lambda: script.client_has_it, 3, "the client to get the first part")
        return Answer(b"", "rst")
    script.client_has_it = False
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req(method="GET"))
        head = c.head()
        while len(c.buffer) < 1000:
            c._fill()
        script.client_has_it = True
        assert head.get("transfer-encoding") == "chunked", "only the chunked coding can show a cut to this client"
        with pytest.raises(Incomplete):
            while True:
                c._until(b"\r\n0\r\n\r\n")
                raise AssertionError("a cut body looks complete")
    lane.marker()


@pytest.mark.parametrize("chunks", [
    b"zz\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\nhello", b"\r\nhello\r\n0\r\n\r\n", b"5;" + b"e" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n", b"5\r\nhello\r\n0\r\nX: a\x00\r\n\r\n",
    b"5\r\nhello\r\n0\r\n" + b"".join(b"T-%d: %s\r\n" % (i, b"t" * 500) for i in range(40)) + b"\r\n",
], ids=lambda v: repr(v[:20]))
def test_malformed_chunks(lane, chunks):
    attack_body(lane, OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)


@pytest.mark.parametrize("chunks", [b"zz\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
                                    b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n"], ids=["first", "second", "trailer"])
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"], ids=["", "interim"])
def test_fault_beside_the_head(lane, chunks, interim):
    """While nothing of the response has been sent, the client can be told."""
    expect_502(lane, interim + OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, FRAMING)


# ---- surplus bytes ----

SPLIT = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"


@pytest.mark.parametrize("data,body,method", [
    (OK + b"Content-Length: 5\r\n\r\nhello" + SPLIT, b"hello", "GET"),
    (OK + b"Content-Length: 5\r\n\r\nhello and more", b"hello", "GET"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + SPLIT, b"hello", "GET"),
    (b"HTTP/1.1 204 No Content\r\n\r\n" + SPLIT, b"", "GET"),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", b"", "GET"),
    (OK + b"Content-Length: 5\r\n\r\nhello", b"", "HEAD"),
    (OK + b"Content-Length: 0\r\n\r\n" + SPLIT, b"", "GET"),
], ids=["pipelined", "longer", "chunked", "204", "304", "head", "empty"])
def test_surplus_never_reaches_the_next_request(lane, data, body, method):
    lane.reset(scripted(data))
    surplus = lane.gateway.metrics().get("ringgate_replica_surplus_total")
    with Client(lane.gateway.address) as c:
        r = c.request(req(method=method), method)
        assert r.body == body and r.status in (200, 204, 304), r
        if not r.says_close:
            assert c.request(req(method="GET", target="/honest")).body == b"ok"
    with Client(lane.gateway.address) as c:
        assert c.request(req(method="GET", target="/honest")).body == b"ok"
    x = next(x for x in lane.origin.connections if any(q.target == "/attack" for q in x.requests))
    env.wait_until(lambda: x.ended, 2, "the end of the upstream connection with surplus bytes")
    assert x.requests[-1].target == "/attack"
    assert lane.gateway.metrics().get("ringgate_replica_surplus_total") == surplus + 1


def test_surplus_never_reaches_a_request_that_waits_in_line(programs):
    """
    It gets the connection at once, when what came behind the answer may not have been received yet: the block that is
    received into is full, or the body went through a pipe.
    """
    answer = threading.Event()

    def script(_connection, request):
        if request.target != "/attack":
            return reply(b"y" * 5000)
        answer.wait(env.scaled(5))
        head = OK + b"Content-Length: %d\r\n\r\n"
        body = script.size - len(head % script.size)
        return head % body + b"x" * body + SPLIT
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"replica": {"connections": 1}})
    for size in [*range(8192 - 128, 8192 + 8, 8), 200_000, 1_000_000]:
        script.size = size
        answer.clear()
        with Client(gateway.address) as first, Client(gateway.address) as second:
            first.send(req(method="GET"))
            gateway.wait_metric(1, "ringgate_exchanges_open")
            second.send(req(method="GET", target="/honest"))
            gateway.wait_metric(2, "ringgate_exchanges_open")
            answer.set()
            assert len(first.response().body) > 5000
            r = second.response()
            assert r.status == 200 and r.body == b"y" * 5000, f"{size}: {r} {r.body[:100]}"


def test_bytes_before_any_request_are_never_an_answer(lane):
    """A kept upstream connection on which the origin speaks unasked is closed, counted, and not used."""
    lane.origin.drop_connections()
    lane.gateway.wait_metric(0, "ringgate_replica_connections_open")
    lane.reset()
    surplus = lane.gateway.metrics().get("ringgate_replica_surplus_total")
    lane.marker()
    kept = lane.origin.connections[-1]
    assert isinstance(kept, Connection) and not kept.ended
    kept.sock.sendall(SPLIT)
    env.wait_until(lambda: kept.ended, 3, "the end of the upstream connection that spoke unasked")
    assert get(lane.gateway.address, "/honest").body == b"ok"
    assert lane.gateway.metrics().get("ringgate_replica_surplus_total") == surplus + 1


# ---- legal but odd ----

def exchange(lane, data, then="keep", method="GET", version="HTTP/1.1"):
    lane.reset(scripted(data, then))
    with Client(lane.gateway.address) as c:
        r = c.request(req(method=method, version=version), method)
    return r


def test_connection_close_of_the_origin_is_not_the_clients(lane):
    lane.reset(scripted(OK + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", "close"))
    with Client(lane.gateway.address) as c:
        r = c.request(req(method="GET"))
        assert r.status == 200 and r.body == b"hello" and not r.says_close
        assert c.request(req(method="GET", target="/honest")).status == 200
    x = next(x for x in lane.origin.connections if x.requests and x.requests[-1].target == "/attack")
    env.wait_until(lambda: x.ended, 3, "the end of the connection that the origin closed")


def test_http10_origin_with_keep_alive(lane):
    lane.reset(scripted(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"))
    with Client(lane.gateway.address) as c:
        for _ in range(2):
            r = c.request(req(method="GET"))
            assert r.body == b"hello" and r.minor == 1 and "keep-alive" not in [n.lower() for n, _ in r.fields]


def test_http10_origin_without_keep_alive_is_not_reused(lane):
    lane.reset(scripted(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
    with Client(lane.gateway.address) as c:
        for _ in range(2):
            assert c.request(req(method="GET")).body == b"hello"
    attacked = [x for x in lane.origin.connections if x.requests and x.requests[-1].target == "/attack"]
    assert len(attacked) == 2 and all(len([q for q in x.requests if q.target == "/attack"]) == 1 for x in attacked)


def test_http10_origin_that_ends_with_the_connection(lane):
    r = exchange(lane, b"HTTP/1.0 200 OK\r\n\r\nhello", "close")
    assert r.status == 200 and r.body == b"hello"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body_with(lane, status):
    r = exchange(lane, f"HTTP/1.1 {status}\r\nETag: \"x\"\r\n\r\n".encode())
    assert r.status == int(status[:3]) and r.body == b"" and r.get("etag") == '"x"'


def test_head_keeps_the_length_of_the_body_that_get_would_have(lane):
    r = exchange(lane, OK + b"Content-Length: 12345\r\n\r\n", method="HEAD")
    assert r.get("content-length") == "12345"


@pytest.mark.parametrize("status", [200, 299, 404, 500, 599, 600, 999])
def test_any_three_digits_pass(lane, status):
    assert exchange(lane, b"HTTP/1.1 %d Some Phrase\r\nContent-Length: 0\r\n\r\n" % status).status == status


def test_empty_reason_phrase(lane):
    assert exchange(lane, b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n").status == 200


def test_connection_fields_of_a_response_do_not_pass(lane):
    r = exchange(lane, OK + b"Content-Length: 5\r\nConnection: x-secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"
                 b"Proxy-Connection: keep-alive\r\nX-Kept: 1\r\n\r\nhello")
    names = [n.lower() for n, _ in r.fields]
    assert r.body == b"hello" and "x-kept" in names
    assert not {"x-secret", "keep-alive", "proxy-connection"} & set(names)


def test_early_101_mismatch(lane):
    """A 101 to something else than was asked for is no tunnel."""
    lines = ["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    for upgrade in (b"Upgrade: h2c\r\n", b"", b"Upgrade: websocket, h2c\r\n"):
        lane.reset(scripted(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n" + upgrade + b"\r\n"))
        with Client(lane.gateway.address) as c:
            assert c.request(req(*lines, method="GET")).status == 502
        lane.expect_counted({"replica-unasked-upgrade"})
