"""The scripted origin itself: the other tests rest on it, so its answers are checked here byte for byte, without a gateway."""

import base64
import hashlib
import pathlib
import socket
import subprocess
import time

import pytest

from lib import env
from lib.bare_origin import Connection, pattern

pytest_plugins = ["lib.bare_origin"]


# ---- /bytes ----

@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 1024, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20])
@pytest.mark.parametrize("query", ["", "?chunked=1", "?chunked=1&chunk=1000", "?chunked=1&chunk=100000", "?eof=1"])
def test_bytes_are_the_pattern(origin, n, query):
    answer = origin.ask("/bytes/%d%s" % (n, query))
    assert answer.status == 200
    assert answer.body == pattern(n)
    if query == "":
        assert answer.field("content-length") == str(n)
    if "chunk=1000" == query[-10:]:
        assert all(size == 1000 for size in answer.chunks[:-1])
    assert None not in answer.chunks


def test_pattern_is_right_beyond_4_gib(origin):
    n = (4 << 30) + 4096 + 5
    with origin.connect() as connection:
        connection.request("/bytes/%d?close=100" % n)
        answer = connection.response()
        assert answer.field("content-length") == str(n)
        assert answer.body == pattern(100)
    assert pattern(5, (4 << 30)) == b"00000"


def test_eight_gib_take_no_memory(origin):
    def resident():
        status = pathlib.Path("/proc/%d/status" % origin.process.pid).read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    with origin.connect() as connection:
        before = resident()
        connection.request("/bytes/%d" % (8 << 30))
        assert connection.file.readline() == b"HTTP/1.1 200 OK\r\n"
        total, buffer = 0, bytearray(1 << 20)
        while total < 300 << 20:
            total += connection.sock.recv_into(buffer)
        assert resident() - before < 4096
    env.wait_until(lambda: origin.stats()["connections"]["open"] == 1)


def test_pipelined_requests_are_answered_in_order(origin):
    sizes = [n % 50 * 40 for n in range(200)]
    with origin.connect() as connection:
        connection.send(b"".join(b"GET /bytes/%d HTTP/1.1\r\nHost: o\r\n\r\n" % n for n in sizes))
        for n in sizes:
            assert connection.response().body == pattern(n)
    stats = origin.stats()
    assert stats["requests"] == 200 and stats["prefixes"]["/bytes/"] == 200


def test_head_shows_the_length_without_a_body(origin):
    with origin.connect() as connection:
        for target in ("/bytes/1000", "/bytes/1000?chunked=1", "/inspect", "/stats"):
            connection.request(target, "HEAD")
            connection.response("HEAD")
        connection.request("/bytes/3")
        assert connection.response().body == pattern(3)


@pytest.mark.parametrize("status", [201, 204, 304, 404, 500, 599])
def test_status(origin, status):
    with origin.connect() as connection:
        connection.request("/bytes/5?status=%d" % status)
        answer = connection.response()
        assert answer.status == status
        assert answer.body == (b"" if status in (204, 304) else pattern(5))
        connection.request("/bytes/5")
        assert connection.response().body == pattern(5)


def test_interim_responses_come_first_and_not_for_http_1_0(origin):
    assert origin.ask("/bytes/5?early=3").interim == 3
    assert origin.ask("/bytes/5?early=5000").interim == 5000
    with origin.connect() as connection:
        connection.request("/bytes/5?early=3", version="1.0")
        assert connection.response().interim == 0


def test_delay_drip_and_pause_take_their_time(origin):
    for query, low in (("delay=150", 0.15), ("drip=10/20", 0.18), ("pause=120", 0.12), ("chunked=1&drip=10/20", 0.18)):
        before = time.monotonic()
        assert origin.ask("/bytes/100?" + query).body == pattern(100)
        assert low <= time.monotonic() - before < low + 3, query


def test_extra_fields(origin):
    answer = origin.ask("/bytes/1?head=X-A:%20b%0d%0aX-C:%20d&fields=700&pad=300000")
    assert ("X-A", "b") in answer.fields and ("X-C", "d") in answer.fields
    assert len([name for name, _ in answer.fields if name.startswith("X-Field-")]) == 700
    assert answer.field("x-pad") == "a" * 300000


def test_trailers(origin):
    answer = origin.ask("/bytes/100?chunked=1&trailers=1")
    assert answer.trailers == [("X-Trailer", "after the body"), ("X-Checksum", "none")]


@pytest.mark.parametrize("query", ["close=10", "chunked=1&close=10"])
def test_close_in_the_middle_is_a_fin(origin, query):
    with origin.connect() as connection:
        connection.request("/bytes/100?" + query)
        answer = connection.response()
        assert answer.body == pattern(10)
        assert connection.rest() == b""


def test_reset_in_the_middle(origin):
    with origin.connect() as connection:
        connection.request("/bytes/100?close=10&rst=1")
        with pytest.raises(ConnectionResetError):
            for _ in range(10):
                connection.sock.recv(1000)
                time.sleep(0.02)


# ---- /raw ----

def quoted(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_raw_bytes_then_close_keep_or_reset(origin):
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\x00\xffsurplus"
    with origin.connect() as connection:
        connection.request("/raw?then=keep&pause=10&b64=%s&more=%s" % (quoted(data), quoted(b"later")))
        assert connection.file.read(len(data) + 5) == data + b"later"
        connection.request("/bytes/3")
        assert connection.response().body == pattern(3)
        connection.request("/raw?b64=" + base64.b64encode(data).decode().replace("=", "%3D"))
        assert connection.rest() == data
    with origin.connect() as connection:
        connection.request("/raw?then=rst&b64=" + quoted(b"x"))
        with pytest.raises(ConnectionResetError):
            for _ in range(10):
                connection.sock.recv(1)
                time.sleep(0.02)
    assert origin.ask("/raw?b64=***").status == 400


def test_many_slow_readers_share_a_thread(origin):
    connections = [origin.connect() for _ in range(100)]
    for connection in connections:
        connection.request("/bytes/200?drip=20/20")
    digest = {hashlib.sha256(connection.response().body).hexdigest() for connection in connections}
    for connection in connections:
        connection.__exit__()
    assert digest == {hashlib.sha256(pattern(200)).hexdigest()}


# ---- connections ----

def test_http_1_0_clients(origin):
    with origin.connect() as connection:
        connection.request("/bytes/10", version="1.0")
        answer = connection.response()
        assert answer.field("connection") == "close" and answer.body == pattern(10)
        assert connection.rest() == b""
    with origin.connect() as connection:
        for _ in range(2):
            connection.request("/bytes/10", version="1.0", head=["Connection: keep-alive"])
            answer = connection.response()
            assert answer.field("connection") == "keep-alive" and answer.body == pattern(10)
    answer = origin.ask("/bytes/10?chunked=1")
    assert answer.field("transfer-encoding") == "chunked"
    with origin.connect() as connection:
        connection.request("/bytes/10?chunked=1", version="1.0", head=["Connection: keep-alive"])
        answer = connection.response()
        assert answer.field("transfer-encoding") is None and answer.body == pattern(10)


def test_http_1_0_origin(origin):
    with origin.connect() as connection:
        connection.request("/http10/20?keepalive=1", head=["Connection: keep-alive"])
        answer = connection.response()
        assert (answer.version, answer.field("connection")) == ("HTTP/1.0", "keep-alive")
        connection.request("/http10/20")
        answer = connection.response()
        assert (answer.version, answer.field("connection"), answer.body) == ("HTTP/1.0", "close", pattern(20))
        assert connection.rest() == b""


def test_connection_close_is_honoured(origin):
    with origin.connect() as connection:
        connection.request("/bytes/10", head=["Connection: foo , Close"])
        assert connection.response().field("connection") == "close"
        assert connection.rest() == b""


def test_half_closed_client_gets_its_answers(origin):
    with origin.connect() as connection:
        for _ in range(3):
            connection.request("/bytes/1000?chunked=1")
        connection.sock.shutdown(socket.SHUT_WR)
        assert [connection.response().body for _ in range(3)] == [pattern(1000)] * 3
        assert connection.rest() == b""
    assert origin.stats()["truncated"] == 0


def test_idle_close(start):
    origin = start("--idle-close", "700")
    with origin.connect() as connection:
        for _ in range(4):
            connection.request("/bytes/10")
            connection.response()
            time.sleep(0.25)
        before = time.monotonic()
        assert connection.rest() == b""
        assert 0.2 <= time.monotonic() - before < 5


def test_max_requests_announced_and_silent(start):
    origin = start("--max-requests", "3")
    with origin.connect() as connection:
        connections = []
        for _ in range(3):
            connection.request("/bytes/10")
            connections.append(connection.response().field("connection"))
        assert connections == [None, None, "close"]
        assert connection.rest() == b""


def test_silent_close(start):
    origin = start("--max-requests", "2", "--silent-close")
    with origin.connect() as connection:
        for _ in range(2):
            connection.request("/bytes/10")
            assert connection.response().field("connection") is None
        assert connection.rest() == b""


def test_unix_listener_and_its_file(start, tmp_path):
    path = tmp_path / "o.sock"
    origin = start("--threads", "2", listen="unix:%s" % path)
    for _ in range(8):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(str(path))
        with Connection(sock) as connection:
            connection.request("/bytes/200000")
            assert connection.response().body == pattern(200000)
    origin.stop()
    assert not path.exists()


def test_address_in_use_is_an_error(start):
    origin = start()
    second = subprocess.run([env.ORIGIN, "--listen", "127.0.0.1:%d" % origin.port], capture_output=True, timeout=20)
    assert second.returncode == 1
    assert b"cannot listen on 127.0.0.1:%d: Address already in use" % origin.port in second.stderr


@pytest.mark.parametrize("flags", [["--threads", "0"], ["--health", "odd"], ["--nonsense"], ["stray"], ["--idle-close", "-1"]])
def test_wrong_flags_are_refused(flags):
    assert subprocess.run([env.ORIGIN, *flags], capture_output=True, timeout=20).returncode == 2
