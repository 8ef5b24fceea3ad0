"""The scripted origin's answers to what is uploaded (/echo, /sink, /inspect, `Expect`) and its WebSocket echo."""

import json
import os
import socket
import struct

import pytest

from lib import env
from lib.bare_origin import fnv1a, pattern

pytest_plugins = ["lib.bare_origin"]


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
    env.wait_until(lambda: origin.stats()["aborted"] == 1)


def test_client_that_leaves_during_a_delay_is_seen(origin):
    with origin.connect() as connection:
        connection.request("/bytes/10?delay=60000")
        env.wait_until(lambda: origin.stats()["requests"] == 1)
    env.wait_until(lambda: origin.stats()["aborted"] == 1)


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


# ---- /ws ----

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
