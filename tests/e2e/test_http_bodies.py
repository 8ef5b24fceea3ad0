"""Bodies of all sizes both ways, checked by hash, and flat memory under back-pressure."""

import hashlib
import os
import random
import selectors
import socket
import threading
import time

import pytest

from lib import env
from lib.attack import Lane, req
from lib.client import Client, chunked
from lib.raw_origin import reply

SIZES = [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20]
BIG = 100_000_000
HUGE = (1 << 30) if not env.SANITIZER else (128 << 20)
RANDOM = random.Random(7).randbytes(1 << 20)
MEMORY_CHECKS = not env.SANITIZER


def pattern(size):
    """Blocks of bytes that add up to size and whose order matters."""
    sent = 0
    while sent < size:
        n = min(size - sent, len(RANDOM))
        block = RANDOM[:n] if n < len(RANDOM) else RANDOM
        block = (sent // len(RANDOM)).to_bytes(8, "big")[:n] + block[8:n]
        yield block
        sent += n


def digest_of(size):
    h = hashlib.sha256()
    for block in pattern(size):
        h.update(block)
    return h.hexdigest()


def hashing_origin(connection, request):
    """Uploads are hashed and not kept; /down/N and /chunked/N send N bytes."""
    kind, _, n = request.target.lstrip("/").partition("/")
    if request.method in ("GET", "HEAD"):
        size = int(n or 0)
        if kind == "chunked":
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for block in pattern(size):
                connection.send(b"%x\r\n" % len(block) + block + b"\r\n")
            connection.send(b"0\r\n\r\n")
        else:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for block in pattern(size):
                connection.send(block)
        return None
    h, count = hashlib.sha256(), 0

    def take(n):
        nonlocal count
        while n:
            if len(connection.received) == connection.at:
                del connection.received[:]
                connection.at = 0
                connection.fill(1 << 20)
            piece = bytes(connection.received[connection.at:connection.at + n])
            connection.at += len(piece)
            h.update(piece)
            n -= len(piece)
            count += len(piece)
    if request.get("transfer-encoding"):
        while True:
            size = int(connection.until(b"\r\n"), 16)
            if not size:
                break
            take(size)
            assert connection.exactly(2) == b"\r\n"
        connection.until(b"\r\n")
    else:
        take(int(request.get("content-length", 0)))
    request.complete = True
    return reply(f"{count} {h.hexdigest()}".encode())


hashing_origin.before_body = True


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin(hashing_origin)
    return Lane(shared.gateway(origin.address, {"limits": {"body_bytes": 0}}), origin)


def download(c, path):
    h, count = hashlib.sha256(), 0

    def sink(piece):
        nonlocal count
        count += len(piece)
        h.update(piece)
    c.send(req(method="GET", target=path))
    r = c.response(sink=sink)
    assert r.status == 200
    return count, h.hexdigest()


def upload(c, size, coding):
    if coding == "length":
        c.send(req(f"Content-Length: {size}"))
        for block in pattern(size):
            c.send(block)
    else:
        c.send(req("Transfer-Encoding: chunked"))
        for block in pattern(size):
            c.send(b"%x\r\n" % len(block) + block + b"\r\n")
        c.send(b"0\r\n\r\n")
    r = c.response()
    assert r.status == 200, r
    count, digest = r.body.split()
    return int(count), digest.decode()


@pytest.mark.parametrize("size", SIZES)
def test_sizes(lane, size):
    with Client(lane.gateway.address) as c:
        for kind in ("down", "chunked"):
            assert download(c, f"/{kind}/{size}") == (size, digest_of(size))
        for coding in ("length", "chunked"):
            assert upload(c, size, coding) == (size, digest_of(size))


@pytest.mark.parametrize("kind", ["down", "chunked"])
def test_download_of_100_mb(lane, kind):
    with Client(lane.gateway.address, timeout=30) as c:
        assert download(c, f"/{kind}/{BIG}") == (BIG, digest_of(BIG))
        assert download(c, "/down/5") == (5, digest_of(5))


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_upload_of_100_mb(lane, coding):
    with Client(lane.gateway.address, timeout=30) as c:
        assert upload(c, BIG, coding) == (BIG, digest_of(BIG))
        assert upload(c, 5, coding) == (5, digest_of(5))


def test_many_small_writes(lane):
    data = b"".join(pattern(20_000))
    with Client(lane.gateway.address) as c:
        c.send(req(f"Content-Length: {len(data)}"))
        for i in range(0, len(data), 7):
            c.send(data[i:i + 7])
        assert c.response().body.split()[1].decode() == hashlib.sha256(data).hexdigest()


def test_many_tiny_chunks(lane):
    data = b"".join(pattern(5_000))
    with Client(lane.gateway.address) as c:
        c.send(req("Transfer-Encoding: chunked", body=chunked(*[data[i:i + 1] for i in range(len(data))])))
        assert c.response().body.split()[1].decode() == hashlib.sha256(data).hexdigest()


class Flat:
    """Asserts that the gateway's memory did not grow by more than this while the block ran."""

    def __init__(self, gateway, most):
        self.gateway, self.most = gateway, most

    def __enter__(self):
        self.before = self.gateway.process.rss_bytes()
        self.gateway.process.reset_peak_rss()
        return self

    def __exit__(self, kind, *_):
        if kind is None and MEMORY_CHECKS:
            grown = self.gateway.process.peak_rss_bytes() - self.before
            print(f"memory grew by {grown / 1024:.0f} KiB")
            assert grown <= self.most, f"memory grew by {grown} bytes, at most {self.most} are fine"


def test_huge_download_leaves_memory_flat(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        download(c, "/bytes/1000000")
        with Flat(gateway, 4 << 20):
            c.send(req(method="GET", target=f"/bytes/{HUGE}"))
            r = c.response(sink=lambda piece: None)
            assert r.status == 200 and int(r.get("content-length")) == HUGE


def test_huge_upload_leaves_memory_flat(programs):
    """To an origin that reads slower than the client sends."""
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"limits": {"body_bytes": 0}})
    block = b"u" * (1 << 20)
    with Client(gateway.address, timeout=60) as c:
        c.request(req("Content-Length: 1000000", body=b"x" * 1_000_000, target="/sink"))
        with Flat(gateway, 4 << 20):
            c.send(req(f"Content-Length: {HUGE}", target="/sink"))
            for _ in range(HUGE >> 20):
                c.send(block)
            r = c.response()
            assert r.status == 200 and str(HUGE).encode() in r.body


def test_upload_waits_for_a_slow_origin(lane):
    """Back-pressure: an origin that does not read stops the client, not the gateway's memory."""
    release = threading.Event()

    def script(connection, request):
        release.wait(env.scaled(10))
        return hashing_origin(connection, request)
    script.before_body = True
    size = 200 << 20
    lane.reset(script)
    try:
        with Client(lane.gateway.address) as c, Flat(lane.gateway, 4 << 20):
            c.send(req(f"Content-Length: {size}"))
            c.sock.settimeout(env.scaled(0.5))
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < size:
                    sent += c.sock.send(b"s" * 65536)
            assert sent < 100 << 20, "the client was not held back"
            release.set()
            c.sock.settimeout(env.scaled(20))
            c.send(b"s" * (size - sent))
            assert c.response().body.split()[0] == str(size).encode()
    finally:
        release.set()
        lane.origin.script = hashing_origin


def until_settled(gateway, origin):
    """
    The kernel's buffers on the way have filled, nothing flows but what readers take. That little came for a moment says
    nothing on a busy machine: both ends must have nothing to do, either.
    """
    last = -1

    def is_quiet():
        nonlocal last
        now = gateway.metrics().get("ringgate_replica_received_bytes_total")
        quiet, last = now - last < 1_000_000 and origin.process.is_asleep() and gateway.process.is_asleep(), now
        return quiet
    env.wait_until(is_quiet, 60, "the first flood of data to end", 0.2)


def test_two_hundred_slow_readers(programs):
    """200 readers at 1 KB/s of 10 MB bodies: bounded memory, and an honest client is served as ever."""
    readers, seconds = 200, 4
    origin = programs.origin()
    gateway = programs.gateway(origin.address, workers=2)
    with Client(gateway.address) as c:
        download(c, "/bytes/1000000")
    selector = selectors.DefaultSelector()
    with Flat(gateway, readers * (128 << 10) + (4 << 20)):
        for _ in range(readers):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.connect(gateway.address)
            s.sendall(req(method="GET", target="/bytes/10000000"))
            s.setblocking(False)
            selector.register(s, selectors.EVENT_READ, 0)
        until_settled(gateway, origin)
        end = time.monotonic() + seconds
        took = []
        while time.monotonic() < end or len(took) < 20:
            for key, _ in selector.select(0):
                try:
                    key.fileobj.recv(100)
                except BlockingIOError:
                    pass
            start = time.monotonic()
            with Client(gateway.address) as c:
                assert c.request(req(method="GET", target="/bytes/1000")).status == 200
            took.append(time.monotonic() - start)
            time.sleep(0.1)
    # One may be late because the machine is.
    took.sort()
    assert took[int(len(took) * 0.9)] < env.scaled(1.0), f"honest requests waited {took[-5:]} s"
    assert gateway.metrics().get("ringgate_exchanges_open") == readers
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    gateway.wait_metric(0, "ringgate_exchanges_open")
    gateway.wait_metric(0, "ringgate_connections_open")


def test_duplex_echo(programs):
    """Both directions at once, far more than any buffer holds."""
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"limits": {"body_bytes": 0}})
    data = os.urandom(1 << 20) * 8
    with Client(gateway.address) as c:
        writer = threading.Thread(target=c.send, args=(req("Transfer-Encoding: chunked", target="/echo", body=chunked(
            *[data[i:i + 50_000] for i in range(0, len(data), 50_000)])),))
        writer.start()
        r = c.response()
        writer.join()
    assert r.status == 200 and hashlib.sha256(r.body).digest() == hashlib.sha256(data).digest()
