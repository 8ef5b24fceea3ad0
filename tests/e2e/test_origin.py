"""The scripted origin itself: the other tests rest on it, so its answers are checked here byte for byte, without a gateway."""

import base64
import glob
import hashlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def origin_binary():
    path = os.environ.get("ORIGIN_BIN")
    if path:
        return path
    built = sorted(glob.glob(str(ROOT / "build/*/bin/ringgate-origin")), key=os.path.getmtime)
    if not built:
        pytest.skip("ringgate-origin is not built; set ORIGIN_BIN")
    return built[-1]


def pattern(n, offset=0):
    first = offset // 16 * 16
    text = b"".join(b"%015x\n" % at for at in range(first, offset + n + 16, 16))
    return text[offset - first:offset - first + n]


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return "%016x" % value


class Origin:
    def __init__(self, directory, *flags, listen="127.0.0.1:0"):
        self.port_file = directory / "ports"
        self.port_file.unlink(missing_ok=True)
        command = [origin_binary(), "--quiet", "--listen", listen, "--port-file", str(self.port_file), *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while not self.port_file.exists():
            assert self.process.poll() is None, self.process.stderr.read().decode()
            assert time.monotonic() < deadline, "the origin does not start"
            time.sleep(0.01)
        ports = self.port_file.read_text().split()
        self.port = int(ports[0]) if ports else None

    def connect(self):
        return Connection(socket.create_connection(("127.0.0.1", self.port), timeout=10))

    def ask(self, target, method="GET", body=None, head=()):
        with self.connect() as connection:
            connection.request(target, method, body, head)
            return connection.response(method)

    def json(self, target, **more):
        return json.loads(self.ask(target, **more).body)

    def stats(self):
        return self.json("/stats")

    def stop(self):
        self.process.terminate()
        errors = self.process.communicate(timeout=20)[1].decode()
        assert self.process.returncode == 0, errors  # also what a sanitizer has found
        assert errors == ""


class Response:
    def __init__(self, head, interim):
        lines = head.split(b"\r\n")
        self.version, status, self.reason = lines[0].decode().split(" ", 2)
        self.status = int(status)
        self.fields = [tuple(line.decode().split(": ", 1)) for line in lines[1:]]
        self.interim = interim
        self.body = b""
        self.chunks = []
        self.trailers = []

    def field(self, name):
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)


class Connection:
    """A client that shows everything: it neither repairs nor hides."""

    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def request(self, target, method="GET", body=None, head=(), version="1.1"):
        lines = ["%s %s HTTP/%s" % (method, target, version), "Host: origin", *head]
        if body is not None:
            lines.append("Content-Length: %d" % len(body))
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))

    def read_head(self):
        lines = []
        while True:
            line = self.file.readline()
            assert line.endswith(b"\r\n"), "head ends early: %r" % (lines + [line])
            if line == b"\r\n":
                return b"\r\n".join(lines)
            lines.append(line[:-2])

    def response(self, method="GET"):
        interim = 0
        while True:
            answer = Response(self.read_head(), interim)
            if answer.status >= 200 or answer.status == 101:
                break
            interim += 1
        if method == "HEAD" or answer.status in (101, 204, 304):
            return answer
        if answer.field("transfer-encoding") == "chunked":
            self.read_chunks(answer)
        elif answer.field("content-length") is not None:
            answer.body = self.file.read(int(answer.field("content-length")))
        else:
            answer.body = self.file.read()
        return answer

    def read_chunks(self, answer):
        while True:
            line = self.file.readline()
            if not line.endswith(b"\r\n"):
                answer.chunks.append(None)  # broken off
                return
            size = int(line, 16)
            if size == 0:
                break
            data = self.file.read(size)
            answer.chunks.append(len(data))
            answer.body += data
            if self.file.read(2) != b"\r\n":
                answer.chunks.append(None)
                return
        for line in self.read_head().split(b"\r\n"):
            if line:
                answer.trailers.append(tuple(line.decode().split(": ", 1)))

    def rest(self):
        return self.file.read()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    origin = Origin(tmp_path_factory.mktemp("origin"), "--threads", "2")
    yield origin
    origin.stop()


@pytest.fixture
def origin(shared):
    shared.ask("/control/health?status=healthy", "PUT")
    shared.ask("/stats", "DELETE")
    return shared


@pytest.fixture
def start(tmp_path):
    origins = []

    def start_one(*flags, **more):
        origins.append(Origin(tmp_path, *flags, **more))
        return origins[-1]

    yield start_one
    for one in origins:
        one.stop()


def wait_until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen within %s s" % seconds
        time.sleep(0.01)


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
    wait_until(lambda: origin.stats()["connections"]["open"] == 1)


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


def test_unix_listener_and_its_file(tmp_path):
    path = tmp_path / "o.sock"
    origin = Origin(tmp_path, "--threads", "2", listen="unix:%s" % path)
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
    second = subprocess.run([origin_binary(), "--listen", "127.0.0.1:%d" % origin.port], capture_output=True, timeout=20)
    assert second.returncode == 1
    assert b"cannot listen on 127.0.0.1:%d: Address already in use" % origin.port in second.stderr


@pytest.mark.parametrize("flags", [["--threads", "0"], ["--health", "odd"], ["--nonsense"], ["stray"], ["--idle-close", "-1"]])
def test_wrong_flags_are_refused(flags):
    assert subprocess.run([origin_binary(), *flags], capture_output=True, timeout=20).returncode == 2


# ---- uploads ----

@pytest.mark.parametrize("n", [0, 1, 5, 65536, 300000])
def test_echo_with_length(origin, n):
    body = os.urandom(n)
    with origin.connect() as connection:
        for buffered in ("?buffer=1", ""):
            connection.request("/echo" + buffered, "POST", body, ["Content-Type: text/x-test"])
            answer = connection.response()
            assert answer.body == body and answer.field("content-type") == "text/x-test"


def test_echo_chunked_with_extensions_and_trailers(origin):
    with origin.connect() as connection:
        connection.send(b"PUT /echo HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in b'5;a="b"\r\nhello\r\n6 ; x\r\n world\r\n0\r\nX-T: 1\r\n\r\n':
            connection.send(bytes([byte]))
        answer = connection.response()
        assert answer.body == b"hello world" and answer.trailers == [("X-T", "1")]
        connection.request("/bytes/3")
        assert connection.response().body == pattern(3)


def test_sink_counts_and_hashes(origin):
    body = os.urandom(100000)
    answer = origin.json("/sink", method="POST", body=body)
    assert answer == {"bytes": 100000, "complete": True, "pattern": False, "fnv1a64": fnv1a(body)}
    assert origin.json("/sink", method="POST", body=pattern(70001))["pattern"] is True


def test_sink_answers_early_and_the_connection_goes_on(origin):
    with origin.connect() as connection:
        connection.request("/sink?at=100", "POST", head=["Content-Length: 1000"])
        connection.send(pattern(100))
        answer = json.loads(connection.response().body)
        assert (answer["bytes"], answer["complete"], answer["pattern"]) == (100, False, True)
        connection.send(pattern(900, 100))
        connection.request("/bytes/3")
        assert connection.response().body == pattern(3)
    recent = origin.stats()["recent"]
    assert [(entry["body_bytes"], entry["complete"]) for entry in recent] == [(1000, True), (0, True)]


def test_sink_slow_holds_the_sender_back(origin):
    with origin.connect() as connection:
        connection.request("/sink?slow=1000/50", "POST", head=["Content-Length: 100000000"])
        connection.sock.settimeout(0.7)
        sent = 0
        with pytest.raises(socket.timeout):
            while sent < 100000000:
                sent += connection.sock.send(b"x" * 65536)
        assert sent < 20000000


def test_sink_never_answers_and_sees_the_client_leave(origin):
    with origin.connect() as connection:
        connection.request("/sink?never=1", "POST", b"x" * 10)
        connection.sock.settimeout(0.2)
        with pytest.raises(socket.timeout):
            connection.sock.recv(1)
    wait_until(lambda: origin.stats()["aborted"] == 1)


def test_client_that_leaves_during_a_delay_is_seen(origin):
    with origin.connect() as connection:
        connection.request("/bytes/10?delay=60000")
        wait_until(lambda: origin.stats()["requests"] == 1)
    wait_until(lambda: origin.stats()["aborted"] == 1)


def test_expect_100_continue(origin):
    head = ["Expect: 100-continue", "Content-Length: 5"]
    with origin.connect() as connection:
        for target in ("/sink", "/bytes/10", "/echo"):
            connection.request(target, "POST", head=head)
            assert connection.read_head() == b"HTTP/1.1 100 Continue" or target == "/bytes/10"
            connection.send(b"hello")
            answer = connection.response()
            assert answer.status == 200 and answer.interim == 0
    with origin.connect() as connection:
        connection.request("/sink?noexpect=1", "POST", head=head)
        answer = connection.response()
        assert (answer.status, answer.interim, answer.field("connection")) == (417, 0, "close")
    with origin.connect() as connection:
        connection.request("/sink?no100=1", "POST", head=head)
        connection.sock.settimeout(0.1)
        with pytest.raises(socket.timeout):
            connection.sock.recv(1)
    with origin.connect() as connection:
        connection.request("/sink", "POST", b"hello", ["Expect: 100-continue"], version="1.0")
        assert connection.response().interim == 0


def test_inspect_shows_what_came(origin):
    with origin.connect() as connection:
        connection.request("/bytes/1")
        connection.response()
        connection.send(b"PATCH /inspect?a=%20b HTTP/1.1\r\nHOST: o\r\nx-Odd:  v\xff\"\\ \r\nX-Odd:\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"3\r\nabc\r\n0\r\nT: u\r\n\r\n")
        seen = json.loads(connection.response().body)
    assert seen["line"] == "PATCH /inspect?a=%20b HTTP/1.1"
    assert seen["fields"] == [["HOST", "o"], ["x-Odd", 'v\xff"\\'], ["X-Odd", ""], ["Transfer-Encoding", "chunked"]]
    assert (seen["framing"], seen["body_bytes"], seen["trailers"]) == ("chunked", 3, [["T", "u"]])
    assert seen["body_fnv1a64"] == fnv1a(b"abc") and seen["nth"] == 2


# ---- what the origin tells of itself ----

BAD_REQUESTS = [
    b"garbage\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nb : c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nb: c\rd\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nb: c\0d\r\n\r\n",
    b"GET /# HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
]


@pytest.mark.parametrize("data", BAD_REQUESTS, ids=range(len(BAD_REQUESTS)))
def test_malformed_requests_are_refused_and_recorded(origin, data):
    with origin.connect() as connection:
        connection.send(data)
        assert connection.response().status == 400
        assert connection.rest() == b""
    assert origin.stats()["malformed"] == 1


def test_stats_count_everything_but_control(origin):
    before = origin.stats()
    assert (before["requests"], before["recent"]) == (0, [])
    origin.ask("/api/v2/status")
    origin.ask("/bytes/1")
    origin.ask("/nowhere")
    with origin.connect() as connection:
        connection.send(b"POST /sink?never= HTTP/1.1\r\nHost: o\r\nContent-Length: 9\r\n\r\nhalf")
    with origin.connect() as connection:
        connection.send(b"GET /half HTTP/1.1\r\nHo")
    wait_until(lambda: origin.stats()["truncated"] == 2)
    stats = origin.stats()
    assert (stats["requests"], stats["status_requests"]) == (3, 1)
    assert stats["prefixes"]["other"] == stats["prefixes"]["/bytes/"] == stats["prefixes"]["/sink"] == 1
    assert [(entry["line"].split("?")[0], entry["complete"], entry["body_bytes"]) for entry in stats["recent"]] == [
        ("GET /bytes/1 HTTP/1.1", True, 0), ("GET /nowhere HTTP/1.1", True, 0), ("POST /sink", False, 4)]
    assert origin.ask("/stats", "DELETE").status == 200
    assert origin.stats()["requests"] == 0


def cbor(data, at=0):
    """One item: just the types that a replica's status uses."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info >= 24:
        size = 1 << (info - 24)
        info, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major == 0:
        return info, at
    if major in (2, 3):
        value = data[at:at + info]
        return (value.decode() if major == 3 else value), at + info
    if major == 6:
        assert info == 55799
        return cbor(data, at)
    assert major == 5
    members = {}
    for _ in range(info):
        key, at = cbor(data, at)
        members[key], at = cbor(data, at)
    return members, at


def replica_health(origin):
    answer = origin.ask("/api/v2/status")
    assert (answer.status, answer.field("content-type")) == (200, "application/cbor")
    assert answer.body[:3] == b"\xd9\xd9\xf7"
    members, end = cbor(answer.body)
    assert end == len(answer.body)
    assert len(members["root_key"]) == 133 and isinstance(members["impl_version"], str)
    return members["replica_health_status"]


def test_health_switch(origin):
    assert replica_health(origin) == "healthy"
    for state in ("unhealthy", "waiting_for_certified_state", "healthy"):
        assert origin.ask("/control/health?status=" + state, "PUT").body.decode() == state + "\n"
        assert replica_health(origin) == state
    assert origin.ask("/control/health?status=odd", "PUT").status == 400


def test_down_closes_connections_and_answers_nothing(origin):
    with origin.connect() as idle, origin.connect() as busy:
        idle.request("/bytes/1")
        idle.response()
        busy.request("/bytes/1?delay=60000")
        wait_until(lambda: origin.stats()["requests"] == 2)
        origin.ask("/control/health?status=down", "PUT")
        assert idle.rest() == b""
        assert busy.rest() == b""
    with origin.connect() as connection:
        connection.request("/bytes/1")
        assert connection.rest() == b""
    origin.ask("/control/health?status=healthy", "PUT")
    assert origin.ask("/bytes/1").status == 200


def health_in_stats(origin):
    """None when going down has just closed the connection that asks."""
    try:
        return origin.stats()["health"]
    except (ConnectionError, AssertionError):
        return None


def test_signals_switch_health(start):
    origin = start()
    origin.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: replica_health(origin) == "unhealthy")
    origin.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: replica_health(origin) == "healthy")
    origin.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: health_in_stats(origin) == "down")
    origin.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: health_in_stats(origin) == "healthy")
    assert replica_health(origin) == "healthy"


# ---- /raw and /ws ----

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


def frame(opcode, payload, first=0x80, mask=b"\x01\x02\x03\x04"):
    n = len(payload)
    length = bytes([n | 0x80]) if n < 126 else struct.pack("!BH", 0xFE, n) if n < 65536 else struct.pack("!BQ", 0xFF, n)
    key = (mask * (n // 4 + 1))[:n]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(n, "big")
    return bytes([first | opcode]) + length + mask + masked


def read_frame(file):
    first, n = file.read(2)
    assert n < 128, "a server does not mask"
    if n >= 126:
        n = int.from_bytes(file.read(2 if n == 126 else 8), "big")
    return first, file.read(n)


WS_HEAD = ["Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]


@pytest.fixture
def websocket(origin):
    with origin.connect() as connection:
        connection.request("/ws", head=WS_HEAD)
        answer = connection.response()
        assert answer.status == 101
        # The example of RFC 6455, section 1.3.
        assert answer.field("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        yield connection


def test_websocket_echo(websocket):
    for payload in (b"", b"hello", b"x" * 125, b"y" * 126, b"z" * 65535, b"w" * 65536, os.urandom(300000)):
        websocket.send(frame(2, payload))
        assert read_frame(websocket.file) == (0x82, payload)
    websocket.send(frame(1, b"one", first=0) + frame(9, b"ping") + frame(0, b"two"))
    assert [read_frame(websocket.file) for _ in range(3)] == [(1, b"one"), (0x8A, b"ping"), (0x80, b"two")]
    websocket.send(frame(8, struct.pack("!H", 1000) + b"bye"))
    assert read_frame(websocket.file) == (0x88, struct.pack("!H", 1000) + b"bye")
    assert websocket.rest() == b""


@pytest.mark.parametrize("data", [b"\x82\x01a", frame(2, b"a", first=0xC0), frame(3, b"a"), frame(9, b"a", first=0),
                                  frame(9, b"a" * 126)], ids=["unmasked", "rsv", "opcode", "fragmented-ping", "long-ping"])
def test_websocket_protocol_errors(websocket, data):
    websocket.send(data)
    assert read_frame(websocket.file) == (0x88, struct.pack("!H", 1002))
    assert websocket.rest() == b""


def test_websocket_refusals(origin):
    assert origin.ask("/ws").status == 426
    assert origin.ask("/ws?reject=403", head=WS_HEAD).status == 403
    assert origin.ask("/ws", head=WS_HEAD[:3] + ["Sec-WebSocket-Key: short"]).status == 426


def test_many_slow_readers_share_a_thread(origin):
    connections = [origin.connect() for _ in range(100)]
    for connection in connections:
        connection.request("/bytes/200?drip=20/20")
    digest = {hashlib.sha256(connection.response().body).hexdigest() for connection in connections}
    for connection in connections:
        connection.__exit__()
    assert digest == {hashlib.sha256(pattern(200)).hexdigest()}
