"""WebSocket tunnels beside what happens to the gateway: reloads pass them by, a drain takes leave of them with 1001."""

import asyncio
import signal
import threading
import time

import pytest

from lib import env, tls
from lib.attack import req
from lib.client import Client, Incomplete, elapsed
from lib.raw_origin import Answer, Gone, reply
from lib.websocket import BINARY, CLOSE, GOING_AWAY, HANDSHAKE, PING, TEXT, echo_tunnel, frame, frames_of, read_frame, switching

DRAIN = env.ms(500)


def opened(gateway, **more):
    c = Client(gateway.address, **more)
    c.send(req(*HANDSHAKE, method="GET", target="/chat"))
    assert c.head().status == 101
    return c


def left(gateway):
    """How many tunnels the log says were told."""
    line = [ln for ln in gateway.log().splitlines() if "drained " in ln][-1]
    return int(line.rpartition("tunnels_left=")[2].split()[0])


def assert_told(c):
    """The Close frame comes behind a whole frame; the answer is still taken, then the connection ends."""
    assert read_frame(c) == (CLOSE, GOING_AWAY)
    c.send(frame(CLOSE, GOING_AWAY))
    c.expect_end()
    assert not c.was_reset


# ---- the end of a drain ----

def test_both_sides_are_told_at_the_deadline(programs):
    origin = programs.raw_origin(echo_tunnel)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": DRAIN}})
    clients = [opened(gateway) for _ in range(20)]
    for i, c in enumerate(clients):
        c.send(frame(TEXT, b"%d" % i))
    for i, c in enumerate(clients):
        echo = frame(TEXT, b"%d" % i)
        got = []
        c._exactly(len(echo), got.append)
    gateway.process.signal(signal.SIGTERM)
    clients[0].send(frame(PING, b"still"))  # until the deadline it goes on
    got = []
    clients[0]._exactly(11, got.append)
    for c in clients:
        assert_told(c)
    assert gateway.process.wait(5) == 0
    assert left(gateway) == 20
    for connection in origin.connections:
        frames, rest = frames_of(bytes(connection.received[connection.at:]))
        assert frames[-1] == (CLOSE, GOING_AWAY) and rest == b"", frames
    origin.wait_all_ended()


class Scripted:
    """An origin whose tunnel sends what it is told, when it is told."""

    def __init__(self, programs, *pieces):
        self.pieces, self.may = pieces, [threading.Event() for _ in pieces]
        self.origin = programs.raw_origin(self.serve)

    def serve(self, connection, request):
        connection.send(switching(request))
        connection.at = len(connection.received)
        for piece, may in zip(self.pieces, self.may):
            may.wait(env.scaled(10))
            connection.send(piece)
        connection.wait_gone()
        return Answer(b"", "close")


def test_a_frame_that_has_begun_comes_to_its_end(programs):
    message = frame(BINARY, bytes(range(256)) * 400, masked=False)
    s = Scripted(programs, message[:50_000], message[50_000:], frame(TEXT, b"too late", masked=False))
    gateway = programs.gateway(s.origin.address, {"timeouts": {"drain": DRAIN}})
    with opened(gateway) as c:
        s.may[0].set()
        got = []
        c._exactly(50_000, got.append)
        gateway.process.signal(signal.SIGTERM)
        env.wait_until(lambda: "the drain took too long" in gateway.log(), 5, "the deadline")
        for may in s.may[1:]:
            may.set()
        c._exactly(len(message) - 50_000, got.append)
        assert b"".join(got) == message
        assert_told(c)
    assert gateway.process.wait(5) == 0
    assert left(gateway) == 1


@pytest.mark.parametrize("cut", [1, 3, 20])
def test_a_frame_that_does_not_end_is_cut(programs, cut):
    """Nothing may be put in its middle: the client sees the end, and that something is missing."""
    message = frame(BINARY, bytes(300), masked=False)
    s = Scripted(programs, message[:cut])
    s.may[0].set()
    gateway = programs.gateway(s.origin.address, {"timeouts": {"drain": DRAIN}})
    with opened(gateway) as c:
        got = []
        c._exactly(cut, got.append)
        gateway.process.signal(signal.SIGTERM)
        c.expect_end(5)
        assert b"".join(got) == message[:cut]
    assert gateway.process.wait(5) == 0
    assert left(gateway) == 0


def test_between_the_fragments_of_a_message(programs):
    s = Scripted(programs, frame(TEXT, b"first part", masked=False, final=False))
    s.may[0].set()
    gateway = programs.gateway(s.origin.address, {"timeouts": {"drain": DRAIN}})
    with opened(gateway) as c:
        assert read_frame(c, final=False) == (TEXT, b"first part")
        gateway.process.signal(signal.SIGTERM)
        assert_told(c)
    assert gateway.process.wait(5) == 0


def test_whoever_was_told_by_the_replica_is_not_told_again(programs):
    s = Scripted(programs, frame(CLOSE, (1000).to_bytes(2, "big"), masked=False))
    s.may[0].set()
    gateway = programs.gateway(s.origin.address, {"timeouts": {"drain": DRAIN}})
    with opened(gateway) as c:
        assert read_frame(c) == (CLOSE, (1000).to_bytes(2, "big"))
        gateway.process.signal(signal.SIGTERM)
        c.expect_end(5)
    assert gateway.process.wait(5) == 0
    assert left(gateway) == 0


def test_a_client_in_the_middle_of_a_frame(programs):
    """It is told all the same; the replica, which has half a frame, sees the end alone."""
    origin = programs.raw_origin(Scripted(programs).serve)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": DRAIN}})
    half = frame(BINARY, bytes(1000))[:100]
    with opened(gateway) as c:
        c.send(half)
        env.wait_until(lambda: len(origin.connections[0].received) - origin.connections[0].at == 100, 5, "half a frame")
        gateway.process.signal(signal.SIGTERM)
        assert read_frame(c) == (CLOSE, GOING_AWAY)
        c.expect_end()
    assert gateway.process.wait(5) == 0
    assert bytes(origin.connections[0].received).endswith(half)
    assert left(gateway) == 1


def test_a_stream_of_frames_is_left_between_two_of_them(programs):
    def script(connection, request):
        connection.send(switching(request))
        i = 0
        try:
            while True:
                connection.send(b"".join(frame(BINARY, b"%8d" % (i + k) * (1 + (i + k) % 40), masked=False) for k in range(50)))
                i += 50
        except Gone:
            return Answer(b"", "close")
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": DRAIN}})
    told, errors = [], []

    def read():
        try:
            with opened(gateway) as c:
                for i in range(10_000_000):
                    opcode, payload = read_frame(c)
                    if opcode == CLOSE:
                        assert payload == GOING_AWAY
                        c.expect_end()
                        told.append(i)
                        return
                    assert payload == b"%8d" % i * (1 + i % 40)
        except Incomplete:
            pass  # the cut fell into the head of a frame: nothing can be said then
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)
    readers = [threading.Thread(target=read) for _ in range(4)]
    for t in readers:
        t.start()
    env.wait_until(lambda: gateway.metrics().get("ringgate_tunnels_open") == 4, 5, "four tunnels")
    gateway.process.signal(signal.SIGTERM)
    assert gateway.process.wait(8) == 0
    for t in readers:
        t.join(env.scaled(5))
    assert not errors, errors
    assert told and left(gateway) >= len(told)


def test_a_client_that_reads_nothing_does_not_hold_the_end(programs):
    def script(connection, request):
        connection.send(switching(request))
        try:
            while True:
                connection.send(frame(BINARY, bytes(60_000), masked=False))
        except Gone:
            return Answer(b"", "close")
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": DRAIN}})
    with opened(gateway, receive_buffer=4096):
        gateway.process.signal(signal.SIGTERM)
        start = time.monotonic()
        assert gateway.process.wait(8) == 0
        assert elapsed(start) <= env.at_most(0.5 + 1.5), elapsed(start)
    origin.wait_all_ended()


def test_a_replica_that_stays_silent_does_not_hold_the_end(programs):
    """It neither answers the Close frame nor ends."""
    done = threading.Event()

    def script(connection, request):
        connection.send(switching(request))
        done.wait(env.scaled(15))
        connection.wait_gone()
        return Answer(b"", "close")
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": DRAIN}})
    with opened(gateway) as c:
        gateway.process.signal(signal.SIGTERM)
        assert_told(c)
    assert gateway.process.wait(5) == 0
    done.set()


def test_a_second_signal_takes_no_leave(programs):
    origin = programs.raw_origin(echo_tunnel)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": "60s"}})
    with opened(gateway) as c:
        gateway.process.signal(signal.SIGTERM)
        gateway.wait_metric(1, "ringgate_draining", 2)
        gateway.process.signal(signal.SIGTERM)
        assert gateway.process.wait(5) == 0
        c.expect_end()
    assert left(gateway) == 0


def test_other_exchanges_are_broken_off_as_ever(programs):
    def script(connection, request):
        if request.target == "/slow":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
            connection.wait_gone()
            return Answer(b"", "close")
        return echo_tunnel(connection, request)
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": DRAIN}})
    with opened(gateway) as tunnel, Client(gateway.address) as slow:
        slow.send(req(method="GET", target="/slow"))
        slow.head()
        gateway.process.signal(signal.SIGTERM)
        with pytest.raises(Incomplete):
            slow._exactly(100, lambda piece: None)
        assert_told(tunnel)
    assert gateway.process.wait(5) == 0
    assert "requests_cut=2 tunnels_left=1" in gateway.log()


def test_over_tls(programs, tmp_path):
    """The Close frame, then the end of TLS in order."""
    origin = programs.raw_origin(echo_tunnel)
    address = f"127.0.0.1:{env.free_port()}"
    certificate = tls.Certificate(tmp_path, "a", ["a.example"])
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": DRAIN}, "listeners": [tls.listener(address, certificate)]},
                               listen=[address])
    with tls.TlsClient(gateway.address) as c:
        c.send(req(*HANDSHAKE, method="GET", target="/chat"))
        assert c.head().status == 101
        data = frame(BINARY, bytes(40_000))
        c.send(data)
        c._exactly(len(data), lambda piece: None)
        gateway.process.signal(signal.SIGTERM)
        assert read_frame(c) == (CLOSE, GOING_AWAY)
        c.expect_end()
        assert c.clean_end
    assert gateway.process.wait(5) == 0
    assert left(gateway) == 1


# ---- reloads ----

def test_reloads_pass_tunnels_by(programs):
    first, second = programs.raw_origin(echo_tunnel), programs.raw_origin(echo_tunnel)
    gateway = programs.gateway(first.address, workers=2)
    clients = [opened(gateway) for _ in range(6)]
    for n, changes in enumerate(({"limits": {"headers": 20}}, {"replica": {"address": second.address}},
                                 {"timeouts": {"client_idle": "1s"}}, {"limits": {"buffer_bytes": "8MiB"}})):
        gateway.reconfigure(changes)
        status, text, _ = gateway.admin("POST", "/reload")
        assert status == 200, text
        for i, c in enumerate(clients):
            data = frame(TEXT, b"%d of %d" % (n, i))
            c.send(data)
            got = []
            c._exactly(len(data), got.append)
            assert b"".join(got) == data
    assert len(first.requests) == 6 and not second.requests
    with opened(gateway):
        env.wait_until(lambda: len(second.requests) == 1, 5, "the new tunnel at the new replica")
    for c in clients:
        c.close()
    gateway.wait_metric(0, "ringgate_tunnels_open")


# ---- somebody else's client ----

def test_a_websocket_library_is_told(programs):
    websockets = pytest.importorskip("websockets")
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": DRAIN}})

    async def talk():
        async with websockets.connect(gateway.url.replace("http", "ws") + "/ws", compression=None) as ws:
            for message in ("hello", b"bytes" * 20_000):
                await ws.send(message)
                assert await ws.recv() == message
            gateway.process.signal(signal.SIGTERM)
            with pytest.raises(websockets.ConnectionClosed) as e:
                await asyncio.wait_for(ws.recv(), env.scaled(5))
            return e.value.rcvd.code
    assert asyncio.run(talk()) == 1001
    assert gateway.process.wait(5) == 0


def test_a_refused_upgrade_is_no_tunnel_in_a_drain(programs):
    origin = programs.raw_origin(lambda c, q: reply(b"no", "403 Forbidden"))
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": DRAIN}})
    with Client(gateway.address) as c:
        assert c.request(req(*HANDSHAKE, method="GET")).status == 403
        gateway.process.signal(signal.SIGTERM)
        c.expect_end()
    assert gateway.process.wait(5) == 0
    assert left(gateway) == 0
