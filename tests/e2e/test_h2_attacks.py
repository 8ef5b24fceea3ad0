"""
Hostile HTTP/2: floods, resets, bombs; test_h2_fields.py has what would read differently in the HTTP/1 behind. During every flood an
honest request on another connection is answered, and afterwards nothing is left.
"""

import socket
import threading
import time

import pytest

from lib import env
from lib.attack import Lane
from lib.client import get
from lib.h2 import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, HEADERS,
                    INITIAL_WINDOW_SIZE, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, SETTINGS,
                    Ended, H2, frame, request_fields, wait_closed)
from lib.raw_origin import Gone, reply


def hang(connection, _request):
    connection.wait_gone()
    raise Gone


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address, {"timeouts": {"client_head": env.ms(1500)}}), origin)


def expect_calm_after(lane, reason, beside=()):
    """The connection was ended for this, an honest client is served, and nothing is left open."""
    env.wait_until(lambda: reason in lane.counted(), 5, f"a count of {reason}")
    counted = lane.counted()
    assert counted.pop(reason) == 1 and set(counted) <= set(beside), counted
    before = time.monotonic()
    assert get(lane.gateway.address, "/honest").status == 200
    assert time.monotonic() - before < env.at_most(0.5)
    lane.gateway.wait_metric(0, "ringgate_exchanges_open")
    lane.gateway.wait_metric(0, "ringgate_http2_connections_open")


def flood(lane, send_one, most, reason, beside=()):
    """send_one(c, i) until the gateway has had enough, which must be within `most` of them."""
    honest = lane.origin.script
    lane.reset(honest)
    with H2(lane.gateway.address) as c:
        c.ping()
        try:
            for i in range(most):
                send_one(c, i)
        except Ended:
            pass
        assert c.connection_error() in (ENHANCE_YOUR_CALM, None), c.goaways  # None: our bytes met a closed socket first
    lane.origin.script = lambda *_: reply()
    expect_calm_after(lane, reason, beside)


# ---- resets ----

def test_rapid_reset(lane):
    lane.origin.script = hang

    def one(c, _):
        c.reset(c.get("/rapid"))
    flood(lane, one, 3000, "http2-too-many-resets", beside={"client-gone"})


def made_to_reset():
    """CVE-2025-8671: ways to have the server reset the stream."""
    def zero_window(c, stream):
        c.window(stream, 0)

    def window_overflow(c, stream):
        c.window(stream, 0x7fffffff)

    def data_after_end(c, stream):
        c.data(stream, b"x")

    def bad_priority(c, stream):
        c.frame(PRIORITY, 0, stream, b"\0\0\0\0")

    def second_head(c, stream):
        c.headers(stream=stream)

    def malformed(c, _stream):
        c.headers(request_fields("/made", more=[("connection", "close")]))
    return [zero_window, window_overflow, data_after_end, bad_priority, second_head, malformed]


@pytest.mark.parametrize("how", made_to_reset(), ids=lambda f: f.__name__)
def test_made_you_reset(lane, how):
    lane.reset(hang)
    with H2(lane.gateway.address) as c:
        try:
            for _ in range(3000):
                how(c, c.get("/made"))
        except Ended:
            pass
        c.connection_error()
    lane.origin.script = lambda *_: reply()
    env.wait_until(lambda: set(lane.counted()) & {"http2-too-many-resets", "http2-protocol-error"}, 5, "the verdict")
    lane.gateway.wait_metric(0, "ringgate_exchanges_open")
    assert get(lane.gateway.address, "/honest").status == 200


def test_honest_cancels_are_no_attack(lane):
    """A browser that leaves a page cancels dozens at once."""
    lane.reset(lambda *_: reply())
    with H2(lane.gateway.address) as c:
        for _ in range(60):
            c.reset(c.get("/cancelled"))
        c.expect_alive()


# ---- floods ----

FLOODS = {
    "settings": lambda c, i: c.send(c.settings_frame([(INITIAL_WINDOW_SIZE, 65535)])),
    "ping": lambda c, i: c.frame(PING, 0, 0, b"12345678"),
    "priority": lambda c, i: c.frame(PRIORITY, 0, 2 * i + 1, b"\0\0\0\0\x10"),
    "window": lambda c, i: c.window(0, 1),
    "unknown": lambda c, i: c.frame(0x77, 0, 0, b"12345678"),
    "priority-update": lambda c, i: c.frame(0x10, 0, 0, b"\0\0\0\1u=1"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_of_frames_that_move_nothing(lane, name):
    lane.origin.script = lambda *_: reply()
    flood(lane, FLOODS[name], 20000, "http2-flood")


@pytest.mark.parametrize("empty", [frame(DATA, 0, 1), frame(DATA, PADDED, 1, b"\0"),
                                   frame(DATA, PADDED, 1, b"\4" + b"\0" * 4)], ids=["empty", "no-padding", "padding"])
def test_flood_of_empty_data(lane, empty):
    lane.reset(hang)
    with H2(lane.gateway.address) as c:
        c.headers(request_fields("/", method="POST"), end=False)
        try:
            for _ in range(200):
                c.send(empty * 100)
        except Ended:
            pass
        assert c.connection_error() in (ENHANCE_YOUR_CALM, None)
    env.wait_until(lambda: "http2-flood" in lane.counted(), 5, "the verdict")
    lane.gateway.wait_metric(0, "ringgate_exchanges_open")


def test_pings_unread(lane):
    """Answers that nobody takes don't pile up."""
    lane.reset()
    before = lane.gateway.rss_bytes()
    sock = socket.create_connection(lane.gateway.address)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(0.5)
    try:
        sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0))
        for _ in range(200):
            sock.sendall(frame(PING, 0, 0, b"12345678") * 100)
    except OSError:
        pass
    env.wait_until(lambda: "http2-flood" in lane.counted(), 5, "the verdict")
    assert lane.gateway.rss_bytes() - before < 8 << 20 or env.SANITIZER
    sock.close()


def test_small_messages_with_a_ping_each(programs):
    """Clients of gRPC find out with a PING for each message how much they may let come: what moves earns that."""
    messages = 1500

    def script(connection, _request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(messages):
            taken.acquire(timeout=env.scaled(10))
            connection.send(b"5\r\nhello\r\n")
        return b"0\r\n\r\n"
    taken = threading.Semaphore(1)
    gateway = programs.gateway(programs.raw_origin(script).address, {"limits": {"control_frames": 300}})
    with H2(gateway.address) as c:
        c.get("/stream")
        for _ in range(messages):
            assert c.wait(DATA).payload == b"hello"  # two WINDOW_UPDATEs go with it
            c.frame(PING, 0, 0, b"12345678")
            taken.release()
        assert c.until(lambda: c.responses[1].complete) and not c.goaways


# ---- heads ----

def open_head(c, block=b"", flags=0):
    """Nothing of the client's may come between the frames of a head, so settings are acknowledged before."""
    c.ping()
    stream = c.new_id()
    c.frame(HEADERS, flags, stream, block)
    return stream


@pytest.mark.parametrize("piece", [b"", b"\x00\x01a\x01b" * 100], ids=["empty", "small"])
def test_continuation_flood(lane, piece):
    lane.reset()
    with H2(lane.gateway.address) as c:
        stream = open_head(c, c.block(request_fields()))
        try:
            for _ in range(20000):
                c.frame(CONTINUATION, 0, stream, piece)
        except Ended:
            pass
        assert c.connection_error() not in (0,)
    env.wait_until(lambda: set(lane.counted()) & {"http2-flood", "http2-protocol-error"}, 5, "the verdict")
    assert get(lane.gateway.address, "/honest").status == 200


def test_slow_head(lane):
    lane.reset()
    with H2(lane.gateway.address) as c:
        open_head(c, c.block(request_fields()))
        c.connection_error()
    lane.expect_counted({"head-timeout"})


def test_hpack_bomb(lane):
    """One large field in the table, referred to by a byte each."""
    lane.reset()
    before = lane.gateway.rss_bytes()
    with H2(lane.gateway.address) as c:
        block = c.block(request_fields()) + b"\x40\x01b" + b"\x7f\xa1\x1e" + b"v" * 4000
        stream = open_head(c, block)
        try:
            c.frame(CONTINUATION, END_HEADERS, stream, b"\xbe" * 16000)
            c.connection_error()
        except Ended:
            pass
    env.wait_until(lambda: set(lane.counted()) & {"http2-flood"}, 5, "the verdict")
    assert lane.gateway.rss_bytes() - before < 16 << 20 or env.SANITIZER
    assert not [q for q in lane.origin.requests if q.target == "/"]


def test_many_tiny_fields(lane):
    """CVE-2026-49975: the number of fields counts, not only their bytes."""
    lane.reset()
    with H2(lane.gateway.address) as c:
        more = [("cookie", "a")] * 150
        r = c.response(c.headers(request_fields("/tiny", more=more)))
        assert r.status == 431, r
        c.expect_alive()
    lane.expect_counted({"too-many-fields"})


def test_large_heads(lane):
    lane.reset()
    with H2(lane.gateway.address) as c:
        assert c.response(c.headers(request_fields("/ok", more=[("a", "v" * 10000)]))).status == 200
        c.encoder.header_table_size = 0
        for name, more in (("field", [("a", "v" * 17000)]), ("head", [(f"a{i}", "v" * 12000) for i in range(3)])):
            block = c.block(request_fields(f"/{name}", more=more))
            rest = block[16000:]
            stream = open_head(c, block[:16000], END_STREAM | (0 if rest else END_HEADERS))
            while rest:
                c.frame(CONTINUATION, 0 if len(rest) > 16000 else END_HEADERS, stream, rest[:16000])
                rest = rest[16000:]
            assert c.response(stream).status == 431, name
        assert c.ask("/" + "p" * 9000).status == 414
        c.expect_alive()


@pytest.mark.parametrize("block", [b"\x3f\xff\xff\xff\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x7f", b"\x3f\xe2\xff\x03",
                                   b"\x00\x81\xff\x01v", b"\x00\x01n\x84\xff\xff\xff\xff", b"\x80"],
                         ids=["update-overflow", "index-overflow", "update-over-limit", "huffman-name", "huffman-eos",
                              "index-zero"])
def test_broken_hpack(lane, block):
    lane.reset()
    with H2(lane.gateway.address) as c:
        c.headers(block=block)
        assert c.connection_error() == 9, "COMPRESSION_ERROR"
    lane.expect_counted({"http2-protocol-error"})


# ---- windows ----

def test_window_overflow_of_the_connection(lane):
    lane.reset()
    with H2(lane.gateway.address) as c:
        c.window(0, 0x7fffffff)
        assert c.connection_error() == FLOW_CONTROL_ERROR


def test_more_than_the_window(programs):
    """No window is given to a request that waits for a connection to the replica."""
    origin = programs.raw_origin(hang)
    gateway = programs.gateway(origin.address, {"replica": {"connections": 1}})
    with H2(gateway.address) as c:
        c.get("/holds-the-only-one")
        origin.wait_requests(1)
        stream = c.headers(request_fields("/", method="POST"), end=False)
        for _ in range(5):
            c.data(stream, b"x" * 16384)
        r = c.response(stream)
        assert FLOW_CONTROL_ERROR in (r.reset, r.goaway), r
    gateway.wait_metric(0, "ringgate_exchanges_open")


def test_tiny_windows(programs):
    """A byte at a time costs the client its connection, not the gateway its memory."""
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"body_idle": env.ms(1000)}})
    with H2(gateway.address, settings=[(INITIAL_WINDOW_SIZE, 1)]) as c:
        c.auto_window = False
        stream = c.get("/bytes/1000000")
        try:
            for _ in range(5000):
                c.window(stream, 1)
        except Ended:
            pass
        assert c.connection_error() in (ENHANCE_YOUR_CALM, None)
    gateway.wait_metric(0, "ringgate_exchanges_open")


def test_many_stalled_streams(programs):
    """100 streams without window, on each of some connections: bounded, and over within the idle time."""
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"body_idle": env.ms(1500)}})
    assert get(gateway.address, "/bytes/10").status == 200
    before = gateway.rss_bytes()
    clients = [H2(gateway.address, settings=[(INITIAL_WINDOW_SIZE, 0)]) for _ in range(4)]
    for c in clients:
        for _ in range(100):
            c.get("/bytes/1000000")
    env.wait_until(lambda: gateway.metrics().get("ringgate_exchanges_open") == 400, 10, "all to hang")
    assert gateway.rss_bytes() - before < 64 << 20 or env.SANITIZER
    assert get(gateway.address, "/bytes/10").status == 200
    gateway.wait_metric(0, "ringgate_exchanges_open", 10)
    for c in clients:
        c.sock.close()


def test_small_pieces_hold_no_large_blocks(programs):
    """A byte in each received block, for a stream whose origin does not read."""
    go = threading.Event()

    def script(connection, _request):
        go.wait(env.scaled(20))
        connection.wait_gone()
        raise Gone
    script.before_body = True
    origin = programs.raw_origin(script, receive_buffer=4096)
    gateway = programs.gateway(origin.address, {"limits": {"control_frames": 1000000}})
    with H2(gateway.address) as c:
        stream = c.headers(request_fields("/", method="POST"), end=False)
        c.ping()
        before = gateway.rss_bytes()
        filler = frame(0x42, 0, 0, b"\0" * 8000)
        for _ in range(2000):
            c.send(frame(DATA, 0, stream, b"x") + filler)
        c.ping()
        assert gateway.rss_bytes() - before < 8 << 20 or env.SANITIZER
        go.set()


# ---- the beginning ----

@pytest.mark.parametrize("data", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + b"\0" * 9, b"PRI * HTTP/2.1\r\n\r\n",
                                  b"PRI / HTTP/2.0\r\n\r\n"], ids=["magic", "version", "target"])
def test_wrong_preface_is_a_bad_request(lane, data):
    lane.reset()
    with socket.create_connection(lane.gateway.address, timeout=env.scaled(5)) as s:
        s.sendall(data)
        assert s.recv(100)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 505")
        wait_closed(s)


@pytest.mark.parametrize("data", [b"PRI * HT", PREFACE, PREFACE + frame(SETTINGS, 0, 0)],
                         ids=["half", "no-settings", "no-ack"])
def test_slow_start(lane, data):
    lane.reset()
    with socket.create_connection(lane.gateway.address) as s:
        s.sendall(data)
        wait_closed(s)
    lane.expect_counted({"head-timeout"})


def test_first_frame_is_not_settings(lane):
    lane.reset()
    with H2(lane.gateway.address, opens=False) as c:
        c.send(PREFACE + frame(PING, 0, 0, b"12345678"))
        assert c.connection_error() == PROTOCOL_ERROR
    lane.expect_counted({"http2-protocol-error"})
