"""HTTP/2 on the client's side, by prior knowledge: messages both ways, streams beside each other."""

import json
import shutil
import subprocess
import threading
import time

import pytest

from lib import env
from lib.attack import Lane
from lib.client import get
from lib.h2 import H2, HEADER_TABLE_SIZE, REFUSED_STREAM, WINDOW_UPDATE, request_fields
from lib.raw_origin import Answer, echo, reply


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address), origin)


# ---- messages ----

def test_requests_one_after_the_other(lane):
    lane.reset(echo)
    with H2(lane.gateway.address) as c:
        for i in range(20):
            r = c.ask(f"/{i}")
            assert (r.status, r.get("x-target"), r.complete) == (200, f"/{i}", True)
            assert r.get("content-type") == "Text/Plain" and "connection" not in dict(r.fields)
    assert len([x for x in lane.origin.connections if x.requests]) == 1, "upstream connections are not kept"


@pytest.mark.parametrize("size", [0, 100, 4096, 65536])
def test_tables_of_any_size(lane, size):
    """More different fields than any table has room for, then the same ones again."""
    with H2(lane.gateway.address, settings=[(HEADER_TABLE_SIZE, size)]) as c:
        c.decoder.max_allowed_table_size = size
        c.ping()
        for n in [*range(40), *range(30, 40)]:
            more = [(f"X-Number-{n}", f"{n} " * 20), ("X-Same", "yes")]
            lane.reset(lambda *_: reply(b"x", fields=more))
            r = c.ask("/t")
            assert (r.status, r.get(f"x-number-{n}"), r.get("x-same")) == (200, (f"{n} " * 20).strip(), "yes"), r


def test_one_port_serves_both(lane):
    lane.reset(echo)
    with H2(lane.gateway.address) as c:
        assert c.ask("/two").status == 200
        assert get(lane.gateway.address, "/one").status == 200
        assert c.ask("/three").status == 200
    assert [q.target for q in lane.origin.requests] == ["/two", "/one", "/three"]


def test_preface_in_pieces(lane):
    lane.reset(echo)
    for cut in (1, 3, 4, 14, 16, 23):
        with H2(lane.gateway.address, opens=False) as c:
            whole = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + c.settings_frame()
            c.send(whole[:cut])
            time.sleep(0.01)
            c.send(whole[cut:])
            assert c.ask("/x").status == 200, cut


def test_frames_byte_by_byte(lane):
    lane.reset(echo)
    with H2(lane.gateway.address) as c:
        sent, c.send = [], lambda data: sent.append(data)
        stream = c.headers(request_fields("/bytes", method="POST"), end=False)
        c.data(stream, b"hello ")
        c.data(stream, b"world", end=True)
        del c.send
        for i in b"".join(sent):
            c.send(bytes([i]))
        assert c.response(stream).body == b"hello world"


def test_what_the_origin_gets(lane):
    lane.reset(echo)
    with H2(lane.gateway.address) as c:
        more = [("user-agent", "t"), ("cookie", "a=b"), ("x-y", "z"), ("cookie", "c=d"), ("te", "trailers"),
                ("cookie", "e=f"), ("x-forwarded-for", "6.6.6.6"), ("x-ringgate-x", "forged")]
        assert c.response(c.headers(request_fields("/a/%7Eb/../c?q=1", more=more))).status == 200
    q = lane.origin.last()
    assert q.line == "GET /a/c?q=1 HTTP/1.1"
    assert q.all("host") == ["test"] and q.all("cookie") == ["a=b; c=d; e=f"] and q.get("x-y") == "z"
    assert q.get("te") == "trailers" and [v.lower() for v in q.all("connection")] == ["te"]
    assert q.get("x-forwarded-for") == "127.0.0.1" and q.get("via") == "2.0 ringgate"
    assert not q.all("x-ringgate-x") and not q.all("transfer-encoding") and not q.all("content-length")


def test_host_takes_the_place_of_authority(lane):
    lane.reset(echo)
    with H2(lane.gateway.address) as c:
        assert c.response(c.headers(request_fields(authority=None, more=[("host", "h")]))).status == 200
        assert lane.origin.last().all("host") == ["h"]
        assert c.response(c.headers(request_fields(authority="H:80", more=[("host", "h")]))).status == 200
        assert lane.origin.last().all("host") == ["H:80"]


@pytest.mark.parametrize("size", [0, 1, 5000, 16384, 70000, 1 << 20])
def test_bodies_with_length(lane, size):
    lane.reset(echo)
    body = bytes(i * 7 & 255 for i in range(size))
    with H2(lane.gateway.address) as c:
        stream = c.headers(request_fields("/l", method="POST", more=[("content-length", str(size))]), end=False)
        send_body(c, stream, body)
        r = c.response(stream)
        assert r.status == 200 and r.body == body and r.complete
    assert lane.origin.last().all("content-length") == [str(size)]


def send_body(c, stream, body, end=True):
    """As the windows allow: 64 KiB, then what the gateway has given."""
    window, at = 65535, 0
    while at < len(body):
        if window == 0:
            f = c.wait(WINDOW_UPDATE)
            window += int.from_bytes(f.payload, "big") if f.stream == stream else 0
            continue
        n = min(16384, window, len(body) - at)
        c.data(stream, body[at:at + n], end=end and at + n == len(body))
        at, window = at + n, window - n
    if not body:
        c.data(stream, b"", end=end)


def test_body_without_length_is_chunked(lane):
    lane.reset(echo)
    with H2(lane.gateway.address) as c:
        stream = c.headers(request_fields("/c", method="POST"), end=False)
        c.data(stream, b"one ")
        c.data(stream, b"two")
        c.headers([("x-sum", "7"), ("date", "dropped"), ("grpc-x", "y")], stream=stream)
        assert c.response(stream).body == b"one two"
    q = lane.origin.last()
    assert q.get("transfer-encoding") == "chunked" and q.body == b"one two"
    assert q.trailers == [("x-sum", "7"), ("grpc-x", "y")]


def test_padding_is_no_body(lane):
    lane.reset(echo)
    with H2(lane.gateway.address) as c:
        stream = c.headers(request_fields("/p", method="POST"), end=False)
        c.frame(0, 0x8 | 0x1, stream, b"\x05" + b"body" + b"\0" * 5)
        assert c.response(stream).body == b"body"


def test_response_trailers(lane):
    def script(_connection, _request):
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n5\r\nhello\r\n0\r\n"
                b"Grpc-Status: 0\r\nX-Forwarded-For: no\r\ngrpc-message: fine\r\n\r\n")
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        r = c.ask("/t")
        assert r.body == b"hello" and r.complete and r.reset is None
        assert r.trailers == [("grpc-status", "0"), ("grpc-message", "fine")]
        assert "transfer-encoding" not in dict(r.fields) and dict(r.fields)["trailer"] == "grpc-status"


def test_trailers_after_no_body(lane):
    lane.reset(lambda *_: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ngrpc-status: 5\r\n\r\n")
    with H2(lane.gateway.address) as c:
        r = c.ask("/t")
        assert (r.body, r.trailers, r.complete) == (b"", [("grpc-status", "5")], True)


def test_response_until_the_connection_ends(lane):
    lane.reset(lambda *_: Answer(b"HTTP/1.1 200 OK\r\n\r\n" + b"e" * 100000, "close"))
    with H2(lane.gateway.address) as c:
        r = c.ask("/e")
        assert r.status == 200 and len(r.body) == 100000 and r.complete and "content-length" not in dict(r.fields)


@pytest.mark.parametrize("status,fields", [("204 No Content", b""), ("304 Not Modified", b"ETag: \"x\"\r\n")])
def test_responses_without_body(lane, status, fields):
    lane.reset(lambda *_: b"HTTP/1.1 " + status.encode() + b"\r\n" + fields + b"\r\n")
    with H2(lane.gateway.address) as c:
        r = c.ask("/n")
        assert r.status == int(status[:3]) and r.body == b"" and r.complete


def test_head(lane):
    lane.reset(lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
    with H2(lane.gateway.address) as c:
        r = c.ask("/h", method="HEAD")
        assert (r.status, r.get("content-length"), r.body, r.complete) == (200, "1234", b"", True)
        r = c.ask("/h", method="HEAD", authority="a,b")
        assert (r.status, r.body, r.complete) == (400, b"", True)


def test_interim_responses(lane):
    def script(_connection, _request):
        return (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        r = c.ask("/i")
        assert r.status == 200 and len(r.interim) == 1 and dict(r.interim[0])["link"] == "</a>"


def test_expect_continue(lane):
    lane.reset(echo)
    with H2(lane.gateway.address) as c:
        fields = request_fields("/x", method="POST", more=[("expect", "100-continue"), ("content-length", "4")])
        stream = c.headers(fields, end=False)
        c.until(lambda: c.responses.get(stream) and c.responses[stream].interim)
        assert dict(c.responses[stream].interim[0])[":status"] == "100"
        c.data(stream, b"body", end=True)
        r = c.response(stream)
        assert r.status == 200 and r.body == b"body"


def test_own_health_answer(lane):
    lane.reset()
    with H2(lane.gateway.address) as c:
        assert c.ask("/health").status == 204
        assert c.ask("/health", method="HEAD").status == 204
    assert not lane.origin.requests


def test_101_is_not_for_http2(lane):
    lane.reset(lambda *_: b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    with H2(lane.gateway.address) as c:
        assert c.ask("/w").status == 502


def test_several_hundred_requests_on_a_connection(lane):
    lane.reset(echo)
    with H2(lane.gateway.address) as c:
        for burst in range(5):
            streams = [c.get(f"/{burst}/{i}") for i in range(80)]
            for i, stream in enumerate(streams):
                assert c.response(stream).get("x-target") == f"/{burst}/{i}"


# ---- streams beside each other ----

def test_a_slow_request_holds_up_no_other(lane):
    go = threading.Event()

    def script(_connection, request):
        if request.target == "/slow":
            go.wait(env.scaled(10))
        return reply(request.target.encode())
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        slow = c.get("/slow")
        for i in range(10):
            assert c.ask(f"/fast{i}").body == f"/fast{i}".encode()
        assert not c.responses.get(slow)
        go.set()
        assert c.response(slow).body == b"/slow"


def test_a_stream_without_window_holds_up_no_other(lane):
    lane.reset(lambda _c, q: reply(b"w" * (300000 if q.target == "/big" else 10)))
    with H2(lane.gateway.address, window=1 << 24) as c:
        c.auto_window = False
        big = c.get("/big")
        c.until(lambda: len(c.responses[big].body if big in c.responses else b"") == 65535)
        for i in range(10):
            assert len(c.ask(f"/small{i}").body) == 10
        assert len(c.responses[big].body) == 65535
        c.window(big, 1 << 20)
        assert len(c.response(big).body) == 300000


def test_the_window_opens_as_the_origin_reads(lane):
    go, most = threading.Event(), 32 << 20

    def script(connection, request):
        go.wait(env.scaled(20))
        connection.read_body(request)
        return reply(str(len(request.body)).encode())
    script.before_body = True
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = c.headers(request_fields("/up", method="POST"), end=False)
        sent, quiet = 0, 0
        while sent < most and quiet < 20:
            n = min(16384, 65535 + c.given.get(stream, 0) - sent)
            if n > 0:
                c.data(stream, b"u" * n)
                sent, quiet = sent + n, 0
            else:
                c.ping()
                time.sleep(0.01)
                quiet += 1
        assert sent < most, "the client was let run far ahead of the origin"
        go.set()
        c.data(stream, b"", end=True)
        assert c.response(stream).body == str(sent).encode()


def test_more_streams_than_allowed(programs):
    go = threading.Event()
    origin = programs.raw_origin(lambda *_: go.wait(env.scaled(10)) and reply())
    gateway = programs.gateway(origin.address, {"limits": {"streams": 5}})
    with H2(gateway.address) as c:
        streams = [c.get(f"/{i}") for i in range(8)]
        for stream in streams[5:]:
            assert c.response(stream).reset == REFUSED_STREAM
        go.set()
        for stream in streams[:5]:
            assert c.response(stream).status == 200
        c.expect_alive()


# ---- settings, records, numbers ----

def test_http2_off(programs):
    origin = programs.raw_origin()
    listen = [f"127.0.0.1:{env.free_port()}", f"127.0.0.1:{env.free_port()}"]
    gateway = programs.gateway(origin.address, {"listeners": [{"address": listen[0], "http2": False},
                                                              {"address": listen[1]}]}, listen=listen)
    with H2(gateway.address_of(listen[1])) as c:
        assert c.ask("/").status == 200
    with H2(gateway.address_of(listen[0])) as c:
        assert c.sock.recv(100).startswith(b"HTTP/1.1 "), "it is a malformed request of HTTP/1"


def test_access_record(programs, tmp_path):
    log = tmp_path / "access.log"
    origin = programs.raw_origin(lambda *_: reply(b"12345"))
    gateway = programs.gateway(origin.address, {"access_log": {"path": str(log)}})
    with H2(gateway.address) as c:
        c.response(c.headers(request_fields("/rec?x", more=[("user-agent", "agent"), ("referer", "there")])))
        c.ask("/bad", authority="a,b")
    records = env.wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 2
                             and [json.loads(ln) for ln in log.read_text().splitlines()], 5, "records")
    r = records[0]
    assert (r["protocol"], r["method"], r["target"], r["host"]) == ("HTTP/2.0", "GET", "/rec?x", "test")
    assert (r["status"], r["bytes_out"], r["complete"], r["user_agent"], r["referer"]) == (200, 5, True, "agent", "there")
    assert (records[1]["status"], records[1]["reason"], records[1]["protocol"]) == (400, "bad-host", "HTTP/2.0")


def test_numbers(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address)
    with H2(gateway.address) as c:
        for _ in range(3):
            assert c.ask("/").status == 200
        m = gateway.metrics()
        assert m.get("ringgate_http2_connections_open") == 1 and m.get("ringgate_http2_streams_total") == 3
    gateway.wait_metric(0, "ringgate_http2_connections_open")


# ---- other people's clients ----

def test_curl(lane, tmp_path):
    curl = shutil.which("curl")
    if not curl or "HTTP2" not in subprocess.run([curl, "-V"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("no curl with HTTP/2")
    lane.reset(echo)
    body = tmp_path / "body"
    body.write_bytes(b"c" * 300000)
    url = f"{lane.gateway.url}/curl"
    out = subprocess.run([curl, "-sS", "--http2-prior-knowledge", "--data-binary", f"@{body}", "-w", "%{http_version}", url],
                         capture_output=True, check=True, timeout=env.scaled(20)).stdout
    assert out == b"c" * 300000 + b"2"


def test_h2load(programs):
    h2load = shutil.which("h2load")
    if not h2load:
        pytest.skip("h2load is not installed (nghttp2-client)")
    origin = programs.origin()
    gateway = programs.gateway(origin.address, workers=2)
    n = 4000
    out = subprocess.run([h2load, "-n", str(n), "-c8", "-m32", f"{gateway.url}/bytes/1024"], capture_output=True,
                         text=True, check=True, timeout=env.scaled(60)).stdout
    assert f"{n} succeeded, 0 failed, 0 errored" in out, out
    gateway.wait_metric(0, "ringgate_exchanges_open")
    assert gateway.metrics().get("ringgate_requests_total", code="2xx") == n
