"""WebSocket tunnels: bytes pass untouched both ways, each side may end, nothing else becomes a tunnel."""

import hashlib
import os
import threading
import time

import pytest

from lib import env
from lib.attack import Lane, req
from lib.client import Client, Incomplete
from lib.raw_origin import Answer, Gone, reply
from lib.websocket import HANDSHAKE, KEY, accept_of, echo_tunnel, frame, read_frame, switching

@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address, {"timeouts": {"tunnel_idle": env.ms(2500), "client_idle": env.ms(700),
                                                             "body_idle": env.ms(700)}}), origin)


def opened(lane, script=echo_tunnel, first=True):
    if first:
        lane.reset(script)
    c = Client(lane.gateway.address)
    r = c.request(req(*HANDSHAKE, method="GET", target="/chat"))
    assert r.status == 101 and r.get("upgrade").lower() == "websocket", r
    assert "upgrade" in r.get("connection").lower() and r.get("sec-websocket-accept") == accept_of(KEY)
    return c


def test_handshake_and_echo(lane):
    with opened(lane) as c:
        q = lane.origin.last()
        assert q.get("upgrade").lower() == "websocket" and q.get("connection").lower() == "upgrade"
        assert q.get("sec-websocket-key") == KEY and q.get("sec-websocket-protocol") == "chat"
        for data in (b"\x81\x05hello", b"\x00" * 100, os.urandom(5000), b"GET / HTTP/1.1\r\n\r\n"):
            c.send(data)
            got = []
            c._exactly(len(data), got.append)
            assert b"".join(got) == data
        assert lane.gateway.metrics().get("ringgate_tunnels_open") == 1
    lane.origin.wait_all_ended()
    lane.gateway.wait_metric(0, "ringgate_tunnels_open")
    lane.gateway.wait_metric(0, "ringgate_connections_open")


def test_large_frames_both_ways(lane):
    data = os.urandom(1 << 20) * 16
    with opened(lane) as c:
        writer = threading.Thread(target=c.send, args=(data,))
        writer.start()
        digest = hashlib.sha256()
        c._exactly(len(data), digest.update)
        writer.join()
        assert digest.digest() == hashlib.sha256(data).digest()


def test_origin_speaks_first(lane):
    def script(connection, request):
        connection.send(switching(request) + b"welcome")
        return Answer(b"", "close")
    with opened(lane, script) as c:
        got = []
        c._exactly(7, got.append)
        assert b"".join(got) == b"welcome"
        c.expect_end()


def test_half_close_of_the_client_lets_the_origin_finish(lane):
    def script(connection, request):
        connection.send(switching(request))
        connection.wait_gone()
        return Answer(b"goodbye", "close")
    with opened(lane, script) as c:
        c.send(b"last words")
        c.sock.shutdown(1)
        got = []
        c._exactly(7, got.append)
        assert b"".join(got) == b"goodbye"
        c.expect_end()
    assert bytes(lane.origin.connections[-1].received).endswith(b"last words")


def test_reset_of_the_client_ends_the_origin(lane):
    c = opened(lane)
    c.reset()
    lane.origin.wait_all_ended(1)


def test_tunnel_outlives_the_idle_time_of_connections(lane):
    with opened(lane) as c:
        assert c.is_silent(env.scaled(1.0))
        c.sock.settimeout(env.scaled(3))
        c.send(b"still here")
        got = []
        c._exactly(10, got.append)
        assert b"".join(got) == b"still here"


def test_idle_tunnel_is_closed_at_its_own_time(lane):
    with opened(lane) as c:
        start = time.monotonic()
        c.expect_end(6)
        assert time.monotonic() - start >= env.scaled(2.5) * 0.9
    lane.origin.wait_all_ended()


def test_refused_upgrade_is_a_plain_response(lane):
    lane.reset(lambda c, q: reply(b"no", "403 Forbidden"))
    with Client(lane.gateway.address) as c:
        r = c.request(req(*HANDSHAKE, method="GET"))
        assert r.status == 403 and r.body == b"no"
        assert c.request(req(method="GET")).status == 403


def test_early_bytes_of_the_client_arrive_after_the_switch(lane):
    """A client may not send before the 101, but bytes that cross with it are not lost or reordered."""
    release = threading.Event()

    def script(connection, request):
        release.wait(env.scaled(3))
        return echo_tunnel(connection, request)
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req(*HANDSHAKE, method="GET"))
        lane.origin.wait_requests(1)
        release.set()
        assert c.response().status == 101
        c.send(b"one")
        c.send(b"two")
        got = []
        c._exactly(6, got.append)
        assert b"".join(got) == b"onetwo"


def test_many_tunnels(lane):
    clients = [opened(lane, first=i == 0) for i in range(60)]
    for i, c in enumerate(clients):
        c.send(b"%04d" % i)
    for i, c in enumerate(clients):
        got = []
        c._exactly(4, got.append)
        assert b"".join(got) == b"%04d" % i
        c.close()
    lane.gateway.wait_metric(0, "ringgate_tunnels_open")


def test_slow_reader_of_a_tunnel_holds_the_origin(lane):
    state = {"sent": 0}

    def script(connection, request):
        connection.send(switching(request))
        try:
            while state["sent"] < 256 << 20:
                connection.send(b"x" * 65536)
                state["sent"] += 65536
        except Gone:
            pass
        return Answer(b"", "close")
    lane.reset(script)
    with Client(lane.gateway.address, receive_buffer=4096) as c:
        c.send(req(*HANDSHAKE, method="GET"))
        c.head()
        last = -1

        def paused():
            nonlocal last
            same, last = state["sent"] == last, state["sent"]
            time.sleep(0.1)
            return same
        env.wait_until(paused, 3, "the origin to be paused")
        assert state["sent"] < 64 << 20
    lane.origin.wait_all_ended(10)


def test_websocket_echo_of_the_projects_origin(programs):
    """With real frames: masked text to the origin, unmasked back, then a close handshake."""
    origin = programs.origin()
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        r = c.request(req(*HANDSHAKE[:4], method="GET", target="/ws"))
        assert r.status == 101 and r.get("sec-websocket-accept") == accept_of(KEY)
        for payload in (b"hello", b"x" * 200, b"y" * 70_000):
            c.send(frame(1, payload))
            assert read_frame(c) == (1, payload)
        c.send(frame(8, b"\x03\xe8"))
        opcode, _ = read_frame(c)
        assert opcode == 8
        c.expect_end()


def test_cut_handshake_is_no_tunnel(lane):
    lane.reset(lambda c, q: Answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: webso", "close"))
    with Client(lane.gateway.address) as c:
        try:
            assert c.request(req(*HANDSHAKE, method="GET")).status == 502
        except Incomplete as e:
            raise AssertionError("a cut 101 should be a 502") from e
