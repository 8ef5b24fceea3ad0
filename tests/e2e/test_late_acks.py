"""
Clients with Nagle's algorithm, which hold back what they write next until what they wrote before is acknowledged (RFC 896).
Where it does not make a message yet, no answer carries the acknowledgement: it must come by itself, at once. A delayed one
takes 40 ms at least.
"""

import socket
import ssl
import struct
import time

import pytest

from lib import env, tls
from lib.attack import Lane, req
from lib.client import Client
from lib.h2 import DATA, END_HEADERS, END_STREAM, H2, HEADERS, PREFACE, WINDOW_UPDATE, frame as h2_frame, request_fields
from lib.raw_origin import Answer, Gone, reply
from lib.websocket import HANDSHAKE, TEXT, frame, frames_of, read_frame, switching

pytest_plugins = ["lib.pki"]

BOUND = 0.035
GET = req(method="GET")


def hold_back(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)


def check_prompt(measure, tries=15, warm_up=0):
    """What a delayed acknowledgement holds up takes more than BOUND each time; a busy machine does that now and then."""
    for _ in range(warm_up):
        measure()
    taken = []
    while len(taken) < tries:
        taken.append(measure())
        if taken[-1] < BOUND:
            return
    pytest.fail(f"{tries} of {tries} took {BOUND * 1000:.0f} ms and more, median {sorted(taken)[tries // 2] * 1000:.1f} ms")


def timed(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address), origin)


# ---- HTTP/1 ----

CHUNKED = req("Transfer-Encoding: chunked")
IN_PIECES = {
    "head": [b"GET /x HTTP/1.1\r\n", b"Host: test\r\n", b"\r\n"],
    "head and body": [req("Content-Length: 3"), b"abc"],
    "body": [req("Content-Length: 6"), b"abc", b"def"],
    "chunks": [CHUNKED, b"3\r\n", b"abc", b"\r\n", b"0\r\n\r\n"],
}


def write_apart(send, pieces):
    """Nagle's algorithm puts together what is written while something is not acknowledged: nothing is, with a pause."""
    for piece in pieces:
        send(piece)
        time.sleep(0.001)


@pytest.mark.parametrize("pieces", IN_PIECES.values(), ids=IN_PIECES)
def test_requests_in_pieces_on_a_kept_connection(lane, pieces):
    """After some responses the kernel takes a connection for one where every request is answered."""
    lane.reset()
    with Client(lane.gateway.address) as c:
        hold_back(c.sock)

        def exchange():
            write_apart(c.send, pieces)
            assert c.response().status == 200
        check_prompt(lambda: timed(exchange), warm_up=20)


# ---- before the first request ----

@pytest.fixture(scope="module")
def secure(shared, pki):
    origin = shared.raw_origin()
    address, proxied = (f"127.0.0.1:{env.free_port()}" for _ in range(2))
    clear = f"127.0.0.1:{env.free_port()}"
    proxy = {"mode": "require", "trusted": ["127.0.0.1"]}
    item = tls.listener(address, pki.server, client_certificates="optional", client_ca=pki.ca.cert)
    behind = dict(tls.listener(proxied, pki.server), proxy_protocol=proxy)
    gateway = shared.gateway(origin.address, {"listeners": [item, behind, {"address": clear, "proxy_protocol": proxy}]},
                             listen=[address])
    lane = Lane(gateway, origin)
    lane.behind_proxy, lane.clear_behind_proxy = (("127.0.0.1", int(a.rsplit(":", 1)[1])) for a in (proxied, clear))
    return lane


def records_of(data):
    out = []
    while data:
        n = 5 + struct.unpack_from(">H", data, 3)[0]
        out.append(data[:n])
        data = data[n:]
    return out


class PieceByPiece:
    """A client of TLS that writes each record by itself."""

    def __init__(self, address, ctx, before=b"", session=None):
        self.sock = socket.create_connection(address, env.scaled(10))
        hold_back(self.sock)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ctx.wrap_bio(self.incoming, self.outgoing, server_hostname="a.example", session=session)
        if before:
            self.sock.sendall(before)
            time.sleep(0.001)
        self.run(self.tls.do_handshake)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def write(self):
        for record in records_of(self.outgoing.read()):
            self.sock.sendall(record)

    def run(self, step):
        while True:
            try:
                result = step()
                self.write()
                return result
            except ssl.SSLWantReadError:
                self.write()
                data = self.sock.recv(65536)
                assert data, "the connection ended"
                self.incoming.write(data)

    def ask(self, *pieces):
        for piece in pieces:
            self.run(lambda piece=piece: self.tls.write(piece))
        got = b""
        while not got.endswith(b"ok"):
            got += self.run(lambda: self.tls.read(65536))
        assert got.startswith(b"HTTP/1.1 200 "), got


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("certificate", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_handshake_record_by_record(secure, pki, version, certificate):
    secure.reset()
    ctx = tls.context(version)
    if certificate:
        ctx.load_cert_chain(pki.alice.cert, pki.alice.key)

    def exchange():
        with PieceByPiece(secure.gateway.address, ctx) as c:
            c.ask(GET)
    check_prompt(lambda: timed(exchange))


@pytest.mark.parametrize("version", VERSIONS)
def test_resumed_handshake_record_by_record(secure, version):
    """The client's Finished may be the last of it: there is nothing to answer, and the first request is still to come."""
    secure.reset()
    ctx = tls.context(version)
    with PieceByPiece(secure.gateway.address, ctx) as c:
        c.ask(GET)
        session = c.tls.session

    def exchange():
        with PieceByPiece(secure.gateway.address, ctx, session=session) as c:
            assert c.tls.session_reused
            c.ask(GET)
    check_prompt(lambda: timed(exchange))


@pytest.mark.parametrize("pieces", [IN_PIECES["head"], IN_PIECES["head and body"]], ids=["head", "head and body"])
@pytest.mark.parametrize("version", VERSIONS)
def test_request_in_several_records_on_a_kept_connection(secure, version, pieces):
    secure.reset()
    with PieceByPiece(secure.gateway.address, tls.context(version)) as c:
        check_prompt(lambda: timed(lambda: c.ask(*pieces)), warm_up=20)


def test_record_in_two_pieces(secure):
    secure.reset()
    with PieceByPiece(secure.gateway.address, tls.context()) as c:
        def exchange():
            c.tls.write(GET)
            record = c.outgoing.read()
            write_apart(c.sock.sendall, [record[:5], record[5:]])
            c.ask()
        check_prompt(lambda: timed(exchange), warm_up=20)


PROXY = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"


@pytest.mark.parametrize("pieces", [[PROXY, GET], [PROXY[:20], PROXY[20:], GET]])
def test_proxy_header_and_request(secure, pieces):
    secure.reset()

    def exchange():
        with Client(secure.clear_behind_proxy) as c:
            hold_back(c.sock)
            write_apart(c.send, pieces)
            assert c.response().status == 200
    check_prompt(lambda: timed(exchange))


def test_proxy_header_and_handshake(secure):
    secure.reset()

    def exchange():
        with PieceByPiece(secure.behind_proxy, tls.context(), before=PROXY) as c:
            c.ask(GET)
    check_prompt(lambda: timed(exchange))


# ---- HTTP/2 ----

def test_http2_frame_by_frame(lane):
    lane.reset()

    def exchange():
        with H2(lane.gateway.address, opens=False) as c:
            hold_back(c.sock)
            head = c.block(request_fields("/"))
            c.auto_ack = False
            write_apart(c.send, [PREFACE, c.settings_frame(), h2_frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20)),
                                 h2_frame(HEADERS, END_HEADERS | END_STREAM, c.new_id(), head)])
            assert c.response(1).status == 200
    check_prompt(lambda: timed(exchange))


@pytest.mark.parametrize("kind", ["frames", "half a frame", "control frames"])
def test_http2_request_in_pieces_on_a_kept_connection(lane, kind):
    lane.reset()
    with H2(lane.gateway.address) as c:
        hold_back(c.sock)

        def exchange():
            head = c.block(request_fields("/", method="POST"))
            n = c.new_id()
            frames = [h2_frame(HEADERS, END_HEADERS, n, head), h2_frame(DATA, 0, n, b"abc"), h2_frame(DATA, END_STREAM, n, b"def")]
            if kind == "half a frame":
                frames = [frames[0][:9], frames[0][9:] + frames[1] + frames[2]]
            elif kind == "control frames":
                frames = [h2_frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)), b"".join(frames)]
            write_apart(c.send, frames)
            assert c.response(n).status == 200
        check_prompt(lambda: timed(exchange), warm_up=20)


# ---- WebSockets ----

def answer_whole_frames(connection, request):
    """Unlike an echo of bytes, which would acknowledge each piece by its own."""
    if request.target.startswith("/marker"):
        return reply()
    connection.send(switching(request))
    connection.at = len(connection.received)
    data = b""
    try:
        while True:
            data += connection.fill()
            frames, data = frames_of(data)
            for opcode, payload in frames:
                connection.send(frame(opcode, payload, masked=False))
    except Gone:
        return Answer(b"", "close")


@pytest.mark.parametrize("cut", [1, 6, 100])
def test_frame_of_a_websocket_in_two_pieces(lane, cut):
    lane.reset(answer_whole_frames)
    with Client(lane.gateway.address) as c:
        hold_back(c.sock)
        assert c.request(req(*HANDSHAKE, method="GET", target="/chat")).status == 101
        message = b"m" * 120

        def exchange():
            data = frame(TEXT, message)
            write_apart(c.send, [data[:cut], data[cut:]])
            assert read_frame(c) == (TEXT, message)
        check_prompt(lambda: timed(exchange), warm_up=20)
