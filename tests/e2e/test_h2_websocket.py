"""WebSocket by HTTP/2 (RFC 8441): a stream becomes a tunnel to a replica of HTTP/1; nothing else does."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from lib import env
from lib.attack import Lane
from lib.h2 import (CANCEL, ENABLE_CONNECT_PROTOCOL, INITIAL_WINDOW_SIZE, PROTOCOL_ERROR, SETTINGS, H2,
                    request_fields)
from lib.raw_origin import Answer, Gone, reply
from lib.websocket import CLOSE, GOING_AWAY, KEY, TEXT, echo_tunnel, frame, frames_of, switching


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address, {"timeouts": {"tunnel_idle": env.ms(2500), "client_idle": env.ms(700),
                                                             "body_idle": env.ms(700)}}), origin)


VERSION = ("sec-websocket-version", "13")


def ask(c, path="/chat", protocol="websocket", method="CONNECT", more=(VERSION,), end=False):
    fields = request_fields(path, method=method)
    return c.headers([(":protocol", protocol)] + fields + list(more), end=end)


def opened(c, **more):
    stream = ask(c, **more)
    r = c.head_of(stream)
    assert r.status == 200, r
    return stream, r


def until_body(c, stream, n):
    r = c.responses[stream]
    assert c.until(lambda: len(r.body) >= n or r.complete or r.reset is not None) and len(r.body) >= n, (c.goaways, len(r.body), r)
    return r.body


def wait_tunnels(lane, n):
    lane.gateway.wait_metric(n, "ringgate_tunnels_open")


# ---- the handshake ----

def test_it_is_offered(lane):
    lane.reset(echo_tunnel)
    with H2(lane.gateway.address) as c:
        payload = c.wait(SETTINGS).payload
        entries = {int.from_bytes(payload[i:i + 2], "big"): int.from_bytes(payload[i + 2:i + 6], "big")
                   for i in range(0, len(payload), 6)}
        assert entries[ENABLE_CONNECT_PROTOCOL] == 1


def test_handshake_and_echo(lane):
    lane.reset(echo_tunnel)
    before = lane.gateway.metrics().get("ringgate_tunnels_total")
    with H2(lane.gateway.address) as c:
        stream, r = opened(c, more=[VERSION, ("sec-websocket-protocol", "chat"), ("origin", "http://test")])
        assert not {"upgrade", "connection", "sec-websocket-accept", "content-length"} & set(dict(r.fields)), r
        q = lane.origin.last()
        assert q.method == "GET" and q.target == "/chat" and q.get("host") == "test"
        assert q.get("upgrade").lower() == "websocket" and q.get("connection").lower() == "upgrade"
        assert q.get("sec-websocket-version") == "13" and q.get("sec-websocket-protocol") == "chat"
        assert q.get("origin") == "http://test" and q.get("transfer-encoding") is None
        sent = b""
        for data in (frame(TEXT, b"hello"), b"\x00" * 100, os.urandom(5000), b"GET / HTTP/1.1\r\n\r\n"):
            c.data(stream, data)
            sent += data
            assert until_body(c, stream, len(sent)) == sent
        wait_tunnels(lane, 1)
        assert lane.gateway.metrics().get("ringgate_tunnels_total") == before + 1
        c.data(stream, b"", end=True)
        r = c.response(stream)
        assert r.complete and r.reset is None
        lane.origin.wait_all_ended()
        assert c.ask("/marker").status == 200
    wait_tunnels(lane, 0)


def test_each_request_has_a_key_of_its_own(lane):
    """The client's is not used."""
    lane.reset(echo_tunnel)
    with H2(lane.gateway.address) as c:
        keys = set()
        for _ in range(3):
            opened(c, more=[VERSION, ("sec-websocket-key", KEY), ("sec-websocket-accept", "x")])
            q = lane.origin.last()
            assert q.get("sec-websocket-accept") is None
            keys.add(q.get("sec-websocket-key"))
        assert len(keys) == 3 and KEY not in keys


def wrong_accept(_connection, request):
    return Answer(switching(request).replace(b"Accept: ", b"Accept: x"), "close")


def no_accept(_connection, _request):
    return Answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "close")


@pytest.mark.parametrize("script", [wrong_accept, no_accept])
def test_an_answer_to_another_key(lane, script):
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        r = c.response(ask(c))
        assert r.status == 502 and json.loads(r.body)["reason"] == "replica-unasked-upgrade", r
        lane.origin.script = echo_tunnel
        opened(c)


def test_a_refusal_of_the_replica(lane):
    lane.reset(lambda *_: reply(b"no", "403 Forbidden"))
    with H2(lane.gateway.address) as c:
        stream = ask(c)
        c.data(stream, b"x" * 1000)
        r = c.response(stream)
        assert r.status == 403 and r.body == b"no" and r.complete
    assert lane.origin.last().body == b""


def test_a_success_without_a_websocket(lane):
    """The client would take it for one, and the body for frames."""
    lane.reset(lambda *_: reply(b"\x81\x05hello"))
    with H2(lane.gateway.address) as c:
        r = c.response(ask(c))
        assert r.status == 502 and json.loads(r.body)["reason"] == "no-websocket", r
        r = c.response(ask(c, path="/health"))
        assert r.status == 502 and json.loads(r.body)["reason"] == "no-websocket", r


@pytest.mark.parametrize("fields, status, reason", [
    (dict(protocol="connect-udp"), 501, "protocol-refused"),
    (dict(protocol="websocket2"), 501, "protocol-refused"),
    (dict(more=()), 400, "bad-websocket-request"),
    (dict(more=[("sec-websocket-version", "8")]), 400, "bad-websocket-request"),
    (dict(more=[VERSION, VERSION]), 400, "bad-websocket-request"),
    (dict(more=[VERSION, ("content-length", "5")]), 400, "body-with-upgrade"),
])
def test_refused(lane, fields, status, reason):
    lane.reset(echo_tunnel)
    with H2(lane.gateway.address) as c:
        r = c.response(ask(c, **fields))
        assert r.status == status and json.loads(r.body)["reason"] == reason, r
    assert not lane.origin.requests


@pytest.mark.parametrize("method", ["GET", "POST", "connect"])
def test_only_connect_has_a_protocol(lane, method):
    lane.reset(echo_tunnel)
    with H2(lane.gateway.address) as c:
        r = c.response(ask(c, method=method))
        assert r.reset == PROTOCOL_ERROR, r
    assert not lane.origin.requests


@pytest.mark.parametrize("missing", [":scheme", ":path", ":authority"])
def test_a_field_is_missing(lane, missing):
    lane.reset(echo_tunnel)
    with H2(lane.gateway.address) as c:
        fields = [(n, v) for n, v in request_fields(method="CONNECT") if n != missing]
        r = c.response(c.headers([(":protocol", "websocket")] + fields + [VERSION], end=False))
        assert r.reset == PROTOCOL_ERROR, r
    assert not lane.origin.requests


def test_plain_connect_is_refused(lane):
    lane.reset(echo_tunnel)
    with H2(lane.gateway.address) as c:
        r = c.response(c.headers([(":method", "CONNECT"), (":authority", "test:80")], end=False))
        assert r.status == 501 and json.loads(r.body)["reason"] == "connect-refused", r


def test_a_replica_of_http2_gets_none(programs):
    gateway = programs.gateway(f"127.0.0.1:{env.free_port()}", {"replica": {"protocol": "h2c"}})
    with H2(gateway.address) as c:
        r = c.response(ask(c))
        assert r.status == 501 and json.loads(r.body)["reason"] == "websocket-over-h2c", r


# ---- bytes ----

def test_bytes_before_the_switch_arrive_after_it(lane):
    release = threading.Event()

    def script(connection, request):
        release.wait(env.scaled(5))
        return echo_tunnel(connection, request)
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = ask(c)
        c.data(stream, b"early")
        lane.origin.wait_requests(1)
        c.ping()
        release.set()
        c.head_of(stream)
        c.data(stream, b"later")
        assert until_body(c, stream, 10) == b"earlylater"


def test_large_frames_both_ways_beside_requests(lane):
    lane.reset(echo_tunnel)
    data = os.urandom(1 << 16) * 48
    with H2(lane.gateway.address, settings=[(INITIAL_WINDOW_SIZE, 1 << 23)], window=1 << 23) as c:
        c.auto_window = False
        stream, _ = opened(c)
        at, room, digest = 0, 65535, hashlib.sha256(data)
        while at < len(data):
            n = min(16384, len(data) - at, room + c.given.get(stream, 0) - at)
            if n <= 0:
                c.next_frame()
                continue
            c.data(stream, data[at:at + n])
            at += n
            if at % (1 << 20) == 0:
                assert c.ask("/marker").status == 200
        assert hashlib.sha256(until_body(c, stream, len(data))).digest() == digest.digest()


def test_a_client_that_does_not_read_holds_the_replica_back(lane):
    sent = []

    def script(connection, request):
        connection.send(switching(request))
        connection.sock.settimeout(env.scaled(1))
        try:
            for _ in range(4096):
                connection.sock.sendall(bytes(16384))
                sent.append(16384)
        except OSError:
            pass
        return Answer(b"", "close")
    lane.reset(script)
    with H2(lane.gateway.address, settings=[(INITIAL_WINDOW_SIZE, 100)]) as c:
        c.auto_window = False
        stream, r = opened(c)
        until_body(c, stream, 100)
        time.sleep(env.scaled(0.3))
        c.ping()
        assert len(r.body) == 100
    lane.origin.wait_all_ended()
    assert sum(sent) < 32 << 20  # what the kernel's buffers took


def test_half_close_of_the_client_lets_the_origin_finish(lane):
    def script(connection, request):
        connection.send(switching(request))
        connection.wait_gone()
        return Answer(b"goodbye", "close")
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream, _ = opened(c)
        c.data(stream, b"last words", end=True)
        r = c.response(stream)
        assert r.body == b"goodbye" and r.complete and r.reset is None
    assert bytes(lane.origin.connections[-1].received).endswith(b"last words")


def test_half_close_of_the_origin_lets_the_client_finish(lane):
    got = []

    def script(connection, request):
        connection.send(switching(request) + b"done")
        connection.sock.shutdown(1)
        connection.at = len(connection.received)
        try:
            while True:
                got.append(connection.fill())
        except Gone:
            return Answer(b"", "close")
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream, _ = opened(c)
        r = c.response(stream)
        assert r.body == b"done" and r.complete
        c.data(stream, b"and ")
        c.ping()
        c.data(stream, b"more", end=True)
        lane.origin.wait_all_ended()
        assert b"".join(got) == b"and more"
        c.ping()
        assert r.reset is None
    wait_tunnels(lane, 0)


# ---- ends ----

def test_a_reset_of_the_stream_ends_the_origin(lane):
    lane.reset(echo_tunnel)
    with H2(lane.gateway.address) as c:
        stream, _ = opened(c)
        c.reset(stream)
        lane.origin.wait_all_ended(1)
        wait_tunnels(lane, 0)
        opened(c)


def test_a_reset_after_the_origin_ended_its_side(lane):
    def script(connection, request):
        connection.send(switching(request) + b"done")
        connection.sock.shutdown(1)
        connection.wait_gone()
        return Answer(b"", "close")
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream, _ = opened(c)
        assert c.response(stream).complete
        c.reset(stream)
        wait_tunnels(lane, 0)
    lane.origin.wait_all_ended(1)


def test_a_reset_of_the_origin_is_cancel(lane):
    release = threading.Event()

    def script(connection, request):
        connection.send(switching(request) + b"hello")
        release.wait(env.scaled(5))
        return Answer(b"", "rst")
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream, _ = opened(c)
        until_body(c, stream, 5)
        release.set()
        r = c.response(stream)
        assert r.reset == CANCEL and not r.complete, r


def test_the_end_of_the_connection_ends_the_origin(lane):
    lane.reset(echo_tunnel)
    with H2(lane.gateway.address) as c:
        for _ in range(5):
            opened(c)
    lane.origin.wait_all_ended(5)
    wait_tunnels(lane, 0)


def test_an_idle_tunnel_has_a_time_of_its_own(lane):
    lane.reset(echo_tunnel)
    with H2(lane.gateway.address) as c:
        start = time.monotonic()
        stream, _ = opened(c)
        r = c.response(stream)
        assert r.reset == CANCEL and time.monotonic() - start >= env.scaled(2.5) * 0.9, r
    lane.expect_counted(["idle-timeout"])


def test_a_drain_takes_leave(programs):
    origin = programs.raw_origin(echo_tunnel)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": env.ms(500)}})
    with H2(gateway.address) as c, H2(gateway.address) as other:
        tunnels = [opened(c)[0] for _ in range(5)]
        slow = other.headers(request_fields("/up", method="POST"), end=False)
        other.ping()
        for stream in tunnels:
            c.data(stream, frame(TEXT, b"hello"))
            until_body(c, stream, 11)
        gateway.process.signal(signal.SIGTERM)
        for stream in tunnels:
            r = c.responses[stream]
            assert c.until(lambda: r.complete or r.reset is not None) and r.complete, r
            frames, rest = frames_of(r.body)
            assert frames == [(TEXT, b"hello"), (CLOSE, GOING_AWAY)] and rest == b"", frames
        assert c.connection_error() == 0
        assert not other.response(slow).complete
    assert gateway.process.wait(5) == 0
    assert "tunnels_left=5" in gateway.log()
    for connection in origin.connections[:5]:
        frames, rest = frames_of(bytes(connection.received[connection.at:]))
        assert frames[-1] == (CLOSE, GOING_AWAY) and rest == b"", frames


# ---- somebody else's client ----

NODE = r"""
const http2 = require('http2');
const session = http2.connect(process.argv[1]);
session.on('remoteSettings', (settings) => {
  if (!settings.enableConnectProtocol) throw new Error('not offered');
  const stream = session.request({':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat',
                                  'sec-websocket-version': '13'}, {endStream: false});
  const chunks = [];
  stream.on('response', (fields) => {
    if (fields[':status'] !== 200) throw new Error('status ' + fields[':status']);
    stream.end(Buffer.alloc(100000, 'x'));
  });
  stream.on('data', (chunk) => chunks.push(chunk));
  stream.on('end', () => {
    console.log(Buffer.concat(chunks).length);
    session.close();
  });
});
"""


def test_node_echoes(lane):
    """Its nghttp2 checks the protocol from the other side."""
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    lane.reset(echo_tunnel)
    done = subprocess.run([node, "-e", NODE, lane.gateway.url], capture_output=True, text=True, timeout=env.scaled(30))
    assert done.returncode == 0 and done.stdout.strip() == "100000", done
