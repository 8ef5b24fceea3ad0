"""
HTTP/2 frame by frame (RFC 9113): a client that sends whatever a test wants, well-formed or not, and collects what comes
back. Heads are encoded with Debian's python3-hpack; without it the tests are skipped.
"""

import socket
import struct
import time

import pytest

from . import env

hpack = pytest.importorskip("hpack", reason="python3-hpack is not installed")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY_FLAG = 0x4, 0x8, 0x20
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)
(HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE,
 MAX_HEADER_LIST_SIZE) = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8


class Ended(Exception):
    """The connection has ended."""


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    @property
    def error(self):
        at = {RST_STREAM: 0, GOAWAY: 4}[self.kind]
        return struct.unpack_from(">I", self.payload, at)[0]

    def __repr__(self):
        return f"<frame {self.kind} flags={self.flags:#x} stream={self.stream} {self.payload[:60]!r}>"


class Response:
    def __init__(self):
        self.interim, self.fields, self.body, self.trailers = [], None, b"", []
        self.reset = None      # error code of a RST_STREAM
        self.complete = False  # END_STREAM came
        self.goaway = None     # error code of a GOAWAY that came instead

    @property
    def status(self):
        return int(dict(self.fields)[":status"]) if self.fields else None

    def get(self, name, default=None):
        return dict(self.fields or []).get(name, default)

    def __repr__(self):
        return (f"<response {self.fields} body={self.body[:80]!r} trailers={self.trailers} complete={self.complete} "
                f"reset={self.reset} goaway={self.goaway}>")


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def request_fields(path="/", method="GET", authority="test", scheme="http", more=()):
    out = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)]
    return [(n, v) for n, v in out if v is not None] + list(more)


class H2:
    """opens: sends the preface and an empty SETTINGS, and acknowledges the gateway's."""

    def __init__(self, address, opens=True, settings=(), window=None, ssl=None):
        self.sock = socket.create_connection(address, timeout=env.scaled(10))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ssl:
            self.sock = ssl.wrap_socket(self.sock, server_hostname="localhost")
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer, self.frames, self.next_id = b"", [], 1
        self.responses, self.goaways = {}, []
        self.given = {}  # window by stream
        self.auto_window, self.auto_ack = True, True
        if opens:
            self.send(PREFACE + self.settings_frame(settings))
            if window:
                self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", window)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # ---- out ----

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Ended from e

    def frame(self, kind, flags, stream, payload=b""):
        self.send(frame(kind, flags, stream, payload))

    @staticmethod
    def settings_frame(settings=()):
        return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in settings))

    def new_id(self):
        self.next_id += 2
        return self.next_id - 2

    def block(self, fields):
        return self.encoder.encode(fields)

    def headers(self, fields=None, end=True, stream=None, flags=END_HEADERS, block=None):
        """Returns the stream's number."""
        stream = stream or self.new_id()
        block = self.block(fields or request_fields()) if block is None else block
        self.frame(HEADERS, flags | (END_STREAM if end else 0), stream, block)
        return stream

    def get(self, path="/", **more):
        return self.headers(request_fields(path, **more))

    def data(self, stream, body, end=False):
        self.frame(DATA, END_STREAM if end else 0, stream, body)

    def reset(self, stream, error=CANCEL):
        self.frame(RST_STREAM, 0, stream, struct.pack(">I", error))

    def window(self, stream, n):
        self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", n))

    # ---- in ----

    def next_frame(self):
        while True:
            if len(self.buffer) >= 9:
                n = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + n:
                    f = Frame(self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big") & 0x7fffffff,
                              self.buffer[9:9 + n])
                    self.buffer = self.buffer[9 + n:]
                    self.take(f)
                    return f
            try:
                more = self.sock.recv(65536)
            except socket.timeout as e:
                raise AssertionError(f"no frame in time; so far {self.responses} {self.goaways}") from e
            except OSError as e:
                raise Ended from e
            if not more:
                raise Ended
            self.buffer += more

    def take(self, f):
        r = self.responses.setdefault(f.stream, Response()) if f.stream else None
        if f.kind == HEADERS:
            assert f.flags & END_HEADERS, "the gateway sent a head in several frames"
            fields = [(n if isinstance(n, str) else n.decode(), v if isinstance(v, str) else v.decode())
                      for n, v in self.decoder.decode(f.payload)]
            status = dict(fields).get(":status")
            if status is None:
                r.trailers += fields
            elif status.startswith("1"):
                r.interim.append(fields)
            else:
                r.fields = fields
        elif f.kind == DATA:
            r.body += f.payload
            if self.auto_window and f.payload:
                self.quietly(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(f.payload))))
                if not f.flags & END_STREAM:
                    self.quietly(frame(WINDOW_UPDATE, 0, f.stream, struct.pack(">I", len(f.payload))))
        elif f.kind == RST_STREAM:
            r.reset = f.error
        elif f.kind == WINDOW_UPDATE:
            self.given[f.stream] = self.given.get(f.stream, 0) + int.from_bytes(f.payload, "big")
        elif f.kind == GOAWAY:
            self.goaways.append(f)
        elif f.kind == SETTINGS and not f.flags & ACK and self.auto_ack:
            self.quietly(frame(SETTINGS, ACK, 0))
        if f.kind in (HEADERS, DATA) and f.flags & END_STREAM:
            r.complete = True

    def quietly(self, data):
        try:
            self.send(data)
        except Ended:
            pass

    def until(self, condition):
        """Reads frames until condition() holds; the end of the connection ends it, too."""
        try:
            while not condition():
                self.next_frame()
        except Ended:
            return False
        return True

    def response(self, stream):
        """The response, or what came instead."""
        r = self.responses.setdefault(stream, Response())
        self.until(lambda: r.complete or r.reset is not None or self.goaways)
        if self.goaways and not r.complete:
            r.goaway = self.goaways[-1].error
        return r

    def head_of(self, stream):
        """The response as soon as its final head is there, or what came instead."""
        r = self.responses.setdefault(stream, Response())
        self.until(lambda: r.fields or r.reset is not None or self.goaways)
        return r

    def ask(self, path="/", **more):
        return self.response(self.get(path, **more))

    def wait(self, kind, flags=0):
        """The next frame of this kind."""
        while True:
            f = self.next_frame()
            if f.kind == kind and f.flags & flags == flags:
                return f

    def ping(self, payload=b"12345678"):
        """Everything that was sent before has been dealt with."""
        self.frame(PING, 0, 0, payload)
        while True:
            if self.wait(PING, ACK).payload == payload:
                return

    def connection_error(self):
        """Reads to the end; the error code of the last GOAWAY, None when there was none."""
        self.until(lambda: False)
        return self.goaways[-1].error if self.goaways else None

    def expect_alive(self):
        r = self.ask("/alive")
        assert r.status == 200 and r.complete, r


def wait_closed(sock, seconds=5.0):
    """The other side ends the connection."""
    sock.settimeout(0.1)
    deadline = time.monotonic() + env.scaled(seconds)
    while time.monotonic() < deadline:
        try:
            if not sock.recv(65536):
                return
        except socket.timeout:
            continue
        except OSError:
            return
    raise AssertionError(f"the connection was not ended within {env.scaled(seconds):.1f} s")
