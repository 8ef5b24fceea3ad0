"""HTTP/1.1 through the gateway: connections, framing both ways, interim responses, HTTP/1.0, who leaves when."""

import threading
import time

import pytest

from lib import env
from lib.attack import Lane, req
from lib.client import Client, Incomplete, chunked, get
from lib.raw_origin import Answer, Gone, reply


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address), origin)


def echo(_connection, request):
    return reply(request.body, fields=[("X-Target", request.target)])


# ---- connections ----

def test_keep_alive(lane):
    lane.reset(echo)
    with Client(lane.gateway.address) as c:
        for i in range(50):
            r = c.request(req(f"Content-Length: {i}", body=b"b" * i, target=f"/{i}"))
            assert (r.status, len(r.body), r.get("x-target")) == (200, i, f"/{i}")
            assert not r.says_close
    assert len([x for x in lane.origin.connections if x.requests]) == 1, "upstream connections are not kept"


def test_connection_close_is_honoured(lane):
    lane.reset()
    with Client(lane.gateway.address) as c:
        r = c.request(req("Connection: close", method="GET"))
        assert r.status == 200 and r.says_close
        c.expect_end()
    assert not lane.origin.last().all("connection")


def test_pipelining_keeps_order(lane):
    n = 100
    lane.reset(echo)
    with Client(lane.gateway.address) as c:
        c.send(b"".join(req(f"Content-Length: {i}", body=b"p" * i, target=f"/{i}") for i in range(n)))
        for i in range(n):
            r = c.response()
            assert (r.status, r.get("x-target"), len(r.body)) == (200, f"/{i}", i)
    assert [q.target for q in lane.origin.requests] == [f"/{i}" for i in range(n)]


def test_pipelining_of_mixed_framings(lane):
    lane.reset(echo)
    with Client(lane.gateway.address) as c:
        c.send(req(method="GET", target="/a") + req("Transfer-Encoding: chunked", body=chunked(b"x" * 1000, b"y"), target="/b")
               + req("Content-Length: 3", body=b"zzz", target="/c") + req(method="HEAD", target="/d")
               + req("Connection: close", method="GET", target="/e"))
        bodies = [c.response(m).body for m in ("GET", "POST", "POST", "HEAD", "GET")]
        assert bodies == [b"", b"x" * 1000 + b"y", b"zzz", b"", b""]
        c.expect_end()


def test_request_split_at_every_byte(lane):
    lane.reset(echo)
    data = req("Transfer-Encoding: chunked", "X-A: b", body=chunked(b"hello", b"wor", trailers=b"X-T: 1\r\n"))
    with Client(lane.gateway.address) as c:
        for i in range(1, len(data)):
            c.send(data[:i])
            time.sleep(0.0005)
            c.send(data[i:])
            assert c.response().body == b"hellowor", f"split at {i}"
    assert all(q.trailers == [("X-T", "1")] for q in lane.origin.requests)


def test_request_byte_by_byte(lane):
    lane.reset(echo)
    with Client(lane.gateway.address) as c:
        for b in req("Content-Length: 5", body=b"hello"):
            c.send(bytes([b]))
        assert c.response().body == b"hello"


def test_response_byte_by_byte(lane):
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello", b"world", trailers=b"X-T: 1\r\n")

    def script(connection, _request):
        for b in data:
            connection.send(bytes([b]))
            time.sleep(0.0005)
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        for _ in range(3):
            r = c.request(req(method="GET"))
            assert r.body == b"helloworld" and r.trailers == [("X-T", "1")]


# ---- chunked ----

def test_chunked_both_ways(lane):
    def script(_connection, request):
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
                chunked(request.body, trailers=b"X-Sum: " + str(len(request.body)).encode() + b"\r\n"))
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        for size in (0, 1, 5, 4096, 70_000):
            r = c.request(req("Transfer-Encoding: chunked", body=chunked(b"c" * size)))
            assert r.framing == "chunked" and len(r.body) == size and r.trailers == [("X-Sum", str(size))]
            assert r.get("trailer") == "X-Sum"
            assert len(lane.origin.last().body) == size


def test_chunk_extensions_of_the_origin(lane):
    lane.reset(lambda c, q: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0;last\r\n\r\n")
    with Client(lane.gateway.address) as c:
        assert c.request(req(method="GET")).body == b"hello"
        assert c.request(req(method="GET")).body == b"hello"


def test_chunks_flow_as_they_come(lane):
    """A streaming response (server-sent events) is not held back until it is complete."""
    release = threading.Event()

    def script(connection, _request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        release.wait(env.scaled(5))
        connection.send(b"4\r\nlast\r\n0\r\n\r\n")
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req(method="GET"))
        c.head()
        assert c._until(b"first\r\n").endswith(b"5\r\nfirst\r\n")
        release.set()
        assert c._until(b"0\r\n\r\n") == b"4\r\nlast\r\n0\r\n\r\n"


def test_request_chunks_flow_as_they_come(lane):
    lane.reset(echo)
    with Client(lane.gateway.address) as c:
        c.send(req("Transfer-Encoding: chunked", body=b"5\r\nfirst\r\n"))
        env.wait_until(lambda: b"first" in lane.origin.received(), 3, "the first chunk at the origin")
        c.send(b"4\r\nlast\r\n0\r\n\r\n")
        assert c.response().body == b"firstlast"


def test_chunked_response_to_http10_client(lane):
    lane.reset(lambda c, q: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello", b"world"))
    with Client(lane.gateway.address) as c:
        r = c.request(req("Connection: keep-alive", method="GET", version="HTTP/1.0"))
        assert r.framing in ("eof", "length") and r.body == b"helloworld"
        if r.framing == "eof":
            c.expect_end()


def test_broken_chunked_response_to_http10_client_is_reset(lane):
    """Without chunks only a reset can show that something is missing."""
    lane.reset(lambda c, q: Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "close"))
    with Client(lane.gateway.address) as c:
        c.send(req(method="GET", version="HTTP/1.0"))
        try:
            assert c.response().status == 502
        except Incomplete:
            assert c.was_reset


# ---- Expect: 100-continue ----

def test_expect_with_the_origins_100(lane):
    lane.reset(echo)
    with Client(lane.gateway.address) as c:
        c.send(req("Expect: 100-continue", "Content-Length: 5"))
        assert c.head().status == 100
        c.send(b"hello")
        r = c.response()
        assert r.status == 200 and r.body == b"hello" and r.interim == []
        assert c.request(req("Content-Length: 1", body=b"x")).body == b"x"
    assert lane.origin.requests[0].get("expect").lower() == "100-continue"


def test_expect_when_the_client_does_not_wait(lane):
    lane.reset(echo)
    with Client(lane.gateway.address) as c:
        r = c.request(req("Expect: 100-continue", "Content-Length: 5", body=b"hello"))
        assert r.status == 200 and r.body == b"hello" and len(r.interim) <= 1


def test_expect_with_an_origin_that_sends_no_100(lane):
    def script(connection, request):
        connection.read_body(request)
        return reply(request.body)
    script.before_body = True
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req("Expect: 100-continue", "Content-Length: 5"))
        time.sleep(0.1)
        c.send(b"hello")
        r = c.response()
        assert r.status == 200 and r.body == b"hello"


def test_expect_with_a_final_answer_at_once(lane):
    def script(_connection, _request):
        return Answer(reply(b"no", "417 Expectation Failed", connection="close"), "close")
    script.before_body = True
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        r = c.request(req("Expect: 100-continue", "Content-Length: 5000000"))
        assert r.status == 417 and r.body == b"no" and r.interim == []
        # The body never came: the connection can only go on if the client sends it; a gateway that can't know closes.
        if not r.says_close:
            c.send(b"x" * 5_000_000)
            lane.reset()
            assert c.request(req(method="GET")).status == 200


# ---- interim responses ----

def test_103_is_passed_on(lane):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    lane.reset(lambda c, q: early + early + reply())
    with Client(lane.gateway.address) as c:
        for _ in range(2):
            r = c.request(req(method="GET"))
            assert r.status == 200 and [i.status for i in r.interim] == [103, 103]
            assert r.interim[0].get("link") == "</style.css>; rel=preload"


def test_103_arrives_before_the_final_response(lane):
    release = threading.Event()

    def script(connection, _request):
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        release.wait(env.scaled(5))
        return reply()
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req(method="GET"))
        assert c.head().status == 103
        release.set()
        assert c.response().status == 200


def test_103_is_not_for_http10(lane):
    lane.reset(lambda c, q: b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply())
    with Client(lane.gateway.address) as c:
        r = c.request(req(method="GET", version="HTTP/1.0"))
        assert r.status == 200 and r.interim == []


# ---- responses ----

def test_head(lane):
    lane.reset(lambda c, q: b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + (b"" if q.method == "HEAD" else b"x" * 1000))
    with Client(lane.gateway.address) as c:
        for _ in range(3):
            r = c.request(req(method="HEAD"), "HEAD")
            assert r.status == 200 and r.get("content-length") == "1000"
        assert len(c.request(req(method="GET")).body) == 1000


def test_head_of_a_chunked_resource(lane):
    lane.reset(lambda c, q: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with Client(lane.gateway.address) as c:
        assert c.request(req(method="HEAD"), "HEAD").status == 200
        assert c.request(req(method="HEAD"), "HEAD").status == 200


@pytest.mark.parametrize("status,line", [(204, "204 No Content"), (304, "304 Not Modified")])
def test_responses_without_a_body(lane, status, line):
    lane.reset(lambda c, q: f"HTTP/1.1 {line}\r\nETag: \"v\"\r\n\r\n".encode() if q.target == "/attack" else reply())
    with Client(lane.gateway.address) as c:
        for _ in range(3):
            r = c.request(req(method="GET"))
            assert r.status == status and r.body == b""
        assert c.request(req(method="GET", target="/x")).body == b"ok"


def test_304_keeps_its_length_field(lane):
    lane.reset(lambda c, q: b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n")
    with Client(lane.gateway.address) as c:
        assert c.request(req(method="GET")).get("content-length") in ("1000", None)
        assert c.request(req(method="GET")).status == 304


def test_response_that_ends_with_the_connection(lane):
    lane.reset(lambda c, q: Answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"e" * 100_000, "close"))
    with Client(lane.gateway.address) as c:
        r = c.request(req(method="GET"))
        assert len(r.body) == 100_000 and r.framing in ("chunked", "eof")
        if r.framing == "chunked" and not r.says_close:
            assert len(c.request(req(method="GET")).body) == 100_000
        else:
            c.expect_end()
    with Client(lane.gateway.address) as c:
        r = c.request(req(method="GET", version="HTTP/1.0"))
        assert len(r.body) == 100_000 and r.framing == "eof"


def test_date_is_added_when_missing_and_kept_when_there(lane):
    lane.reset(lambda c, q: reply())
    assert get(lane.gateway.address).get("date", "").endswith(" GMT")
    lane.reset(lambda c, q: reply(fields=[("Date", "Sun, 06 Nov 1994 08:49:37 GMT")]))
    assert get(lane.gateway.address).all("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]


def test_phrase_and_fields_of_the_response_are_kept_in_order(lane):
    lane.reset(lambda c, q: reply(status="299 Quite Fine", fields=[("X-B", "1"), ("X-A", "2"), ("X-B", "3"), ("Server", "s/1")]))
    r = get(lane.gateway.address)
    assert (r.status, r.phrase) == (299, "Quite Fine")
    assert [(n, v) for n, v in r.fields if n in ("X-A", "X-B", "Server")] == [("X-B", "1"), ("X-A", "2"), ("X-B", "3"), ("Server", "s/1")]


def test_set_cookie_lines_stay_apart(lane):
    lane.reset(lambda c, q: reply(fields=[("Set-Cookie", "a=1, b"), ("Set-Cookie", "c=2")]))
    assert get(lane.gateway.address).all("set-cookie") == ["a=1, b", "c=2"]


# ---- HTTP/1.0 clients, request forms ----

def test_http10_without_keep_alive(lane):
    lane.reset(echo)
    with Client(lane.gateway.address) as c:
        r = c.request(req(method="GET", version="HTTP/1.0"))
        assert r.status == 200
        c.expect_end()
    assert lane.origin.last().version == "HTTP/1.1"


def test_http10_with_keep_alive(lane):
    lane.reset(echo)
    with Client(lane.gateway.address) as c:
        for i in range(3):
            r = c.request(req("Connection: keep-alive", f"Content-Length: {i}", body=b"k" * i, version="HTTP/1.0"))
            assert r.status == 200 and len(r.body) == i
            assert "keep-alive" in (r.get("connection") or "").lower()


def test_options_asterisk(lane):
    lane.reset()
    with Client(lane.gateway.address) as c:
        assert c.request(req(method="OPTIONS", target="*")).status == 200
    assert lane.origin.last().line == "OPTIONS * HTTP/1.1"


def test_absolute_form(lane):
    lane.reset()
    with Client(lane.gateway.address) as c:
        assert c.request(req(method="GET", target="http://test/a/b?c=d")).status == 200
    assert lane.origin.last().line == "GET /a/b?c=d HTTP/1.1" and lane.origin.last().all("host") == ["test"]


def test_connect_is_refused(lane):
    lane.reset()
    with Client(lane.gateway.address) as c:
        r = c.request(b"CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n")
        assert r.status in (405, 501)
        c.expect_end()
    assert lane.origin.requests == []


# ---- who leaves when ----

def test_early_response_while_the_client_uploads(lane):
    """The origin answers before it has the body: the client gets that answer, and nothing is left hanging."""
    def script(connection, _request):
        connection.exactly(1000)
        return Answer(reply(b"enough", "403 Forbidden", connection="close"), "close")
    script.before_body = True
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req("Content-Length: 60000000", body=b"u" * 5000))
        r = c.response()
        assert r.status == 403 and r.body == b"enough"
    lane.reset()
    lane.gateway.wait_metric(0, "ringgate_exchanges_open")
    lane.marker()


def test_early_response_with_the_upload_going_on(lane):
    """An answer in the middle of a blocking upload still reaches the client (no RST overtakes it)."""
    def script(connection, _request):
        connection.exactly(100_000)
        return Answer(reply(b"enough", "413 Content Too Large", connection="close"), "close")
    script.before_body = True
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req("Content-Length: 20000000"))
        c.send(b"u" * 20_000_000)
        r = c.response()
        assert r.status == 413 and r.body == b"enough"
    lane.reset()
    lane.marker()


def test_early_response_keeps_the_connection_in_step(lane):
    """Answered early by an origin that goes on reading: the rest of the body is no new request."""
    def script(connection, request):
        connection.send(reply(b"early"))
        connection.read_body(request)
    script.before_body = True
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req("Content-Length: 40", body=b"GET /smuggled HTTP/1.1\r\n"))
        r = c.response()
        assert r.body == b"early"
        c.send(b"Host: x\r\n\r\n....." )
        if r.says_close:
            c.expect_end()
        else:
            lane.origin.script = echo
            assert c.request(req(method="GET", target="/next")).get("x-target") == "/next"
    assert all("/smuggled" != q.target for q in lane.origin.requests)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("when", ["waiting", "downloading", "uploading"])
def test_client_gone_cancels_upstream(lane, how, when):
    ended = threading.Event()

    def script(connection, request):
        if request.target.startswith("/marker"):
            connection.read_body(request)
            return reply()
        try:
            if when == "downloading":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                while True:
                    connection.send(b"d" * 65536)
                    time.sleep(0.001)
            while True:
                connection.fill()
        except Gone:
            ended.set()
            raise
    script.before_body = True
    lane.reset(script)
    c = Client(lane.gateway.address)
    if when == "uploading":
        c.send(req("Content-Length: 1000000", body=b"u" * 1000))
    else:
        c.send(req(method="GET"))
    lane.origin.wait_requests(1)
    if when == "downloading":
        c.head()
    c.close() if how == "close" else c.reset()
    # Within a second; the rest is for a busy machine.
    assert ended.wait(env.at_most(1)), "the origin still thinks somebody wants its answer"
    lane.gateway.wait_metric(0, "ringgate_exchanges_open")
    assert lane.counted() == {"client-gone": 1}
    lane.marker()


def test_own_health_path(lane):
    lane.reset()
    r = get(lane.gateway.address, "/health")
    assert r.status == 204 and lane.origin.requests == []


def test_many_connections_at_once(lane):
    lane.reset(echo)
    errors = []

    def work(n):
        try:
            with Client(lane.gateway.address) as c:
                for i in range(10):
                    r = c.request(req(f"Content-Length: {n}", body=b"m" * n, target=f"/{n}/{i}"))
                    assert (r.status, r.get("x-target"), len(r.body)) == (200, f"/{n}/{i}", n)
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors[:3]
