"""
A replica that speaks HTTP/2 in the clear, frame by frame: a script answers each stream in a thread of its own, in order
or not, well or not. What came is kept for the test to look at.
"""

import socket
import struct
import threading

from . import env
from .h2 import (ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE,
                 MAX_CONCURRENT_STREAMS, NO_ERROR, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, hpack)


class Gone(Exception):
    """The gateway has reset the stream, or the connection has ended."""


class Stream:
    def __init__(self, connection, number, fields):
        self.connection, self.number, self.fields = connection, number, fields
        self.head = dict(fields)
        self.path, self.method = self.head[":path"], self.head[":method"]
        self.body, self.trailers = b"", []
        self.ended, self.reset = False, None
        self.window = connection.initial_window
        self.taken = 0

    def wait(self, condition, what="the gateway"):
        c = self.connection
        with c.changed:
            if not c.changed.wait_for(lambda: condition() or self.reset is not None or c.closed, env.scaled(20)):
                raise AssertionError(f"{what}: nothing came in time")
            if not condition():
                raise Gone

    def all(self):
        self.wait(lambda: self.ended, "the end of the request")
        return self.body

    def some(self, n):
        """n more bytes of the body, in order."""
        self.wait(lambda: len(self.body) >= self.taken + n, f"{n} bytes")
        self.taken += n
        return self.body[self.taken - n:self.taken]

    def respond(self, status=200, fields=(), end=False):
        self.connection.headers(self.number, [(":status", str(status)), *fields], end)

    def data(self, body, end=False):
        """As far as the windows allow, and on when they grow."""
        c = self.connection
        while True:
            self.wait(lambda: not body or min(self.window, c.window) > 0, "a window")
            with c.changed:
                n = min(len(body), self.window, c.window, 16384)
                self.window -= n
                c.window -= n
            piece, body = body[:n], body[n:]
            if end and not body:
                c.ends(self.number)
            c.send(frame(DATA, END_STREAM if end and not body else 0, self.number, piece))
            if not body:
                return

    def end_with(self, trailers):
        self.connection.headers(self.number, trailers, True)

    def reply(self, body=b"", status=200, fields=()):
        self.respond(status, [("content-length", str(len(body))), *fields], end=not body)
        if body:
            self.data(body, end=True)

    def refuse(self, error):
        self.connection.ends(self.number)
        self.connection.send(frame(RST_STREAM, 0, self.number, struct.pack(">I", error)))


class Connection:
    def __init__(self, replica, sock):
        self.replica, self.sock = replica, sock
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.changed, self.sending = threading.Condition(), threading.Lock()
        self.streams, self.open, self.most_open = {}, set(), 0
        self.initial_window, self.window = 65535, 65535
        self.settings, self.pings, self.goaway, self.closed = {}, 0, None, False
        self.reads = []  # bytes of each recv that brought HEADERS: how many

    def start(self):
        threading.Thread(target=self.run, daemon=True).start()

    def send(self, data):
        with self.sending:
            try:
                self.sock.sendall(data)
            except OSError as e:
                raise Gone from e

    def ends(self, number):
        """Before the gateway hears of it: it may use the place at once."""
        with self.changed:
            self.open.discard(number)

    def headers(self, stream, fields, end):
        if end:
            self.ends(stream)
        with self.sending:
            block = self.encoder.encode(fields)
            try:
                self.sock.sendall(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block))
            except OSError as e:
                raise Gone from e

    def go_away(self, last, error=NO_ERROR):
        self.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, error)))

    def set(self, *settings):
        self.send(frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in settings)))

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def run(self):
        try:
            self.replica.greet(self)
            self.frames()
        except (OSError, Gone):
            pass
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.sock.close()

    def frames(self):
        buffer, greeted = b"", False
        while True:
            more = self.sock.recv(1 << 20)
            if not more:
                return
            buffer += more
            if not greeted:
                if len(buffer) < len(PREFACE):
                    continue
                assert buffer.startswith(PREFACE), buffer[:60]
                buffer, greeted = buffer[len(PREFACE):], True
            heads = 0
            while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                n = 9 + int.from_bytes(buffer[:3], "big")
                heads += buffer[3] == HEADERS
                self.take(buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big"), buffer[9:n])
                buffer = buffer[n:]
            if heads:
                self.reads.append(heads)

    def take(self, kind, flags, number, payload):
        started = None
        with self.changed:
            s = self.streams.get(number)
            if kind == HEADERS:
                assert flags & END_HEADERS
                fields = [(n if isinstance(n, str) else n.decode(), v if isinstance(v, str) else v.decode())
                          for n, v in self.decoder.decode(payload)]
                if s:
                    s.trailers = fields
                else:
                    s = started = self.streams[number] = Stream(self, number, fields)
                    self.open.add(number)
                    self.most_open = max(self.most_open, len(self.open))
            elif kind == DATA and s:
                s.body += payload
            elif kind == RST_STREAM and s:
                s.reset = int.from_bytes(payload, "big")
            elif kind == SETTINGS and not flags & ACK:
                for i in range(0, len(payload), 6):
                    k, v = struct.unpack_from(">HI", payload, i)
                    self.settings[k] = v
                    if k == INITIAL_WINDOW_SIZE:
                        for other in self.streams.values():
                            other.window += v - self.initial_window
                        self.initial_window = v
                if self.replica.greets:
                    self.send(frame(SETTINGS, ACK, 0))
            elif kind == WINDOW_UPDATE:
                n = int.from_bytes(payload, "big")
                if s:
                    s.window += n
                elif number == 0:
                    self.window += n
            elif kind == PING and not flags & ACK:
                self.pings += 1
                if self.replica.answers_pings:
                    self.send(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY:
                self.goaway = struct.unpack_from(">I", payload, 4)[0]
            assert kind != CONTINUATION
            if s and kind in (HEADERS, DATA) and flags & END_STREAM:
                s.ended = True
            self.changed.notify_all()
        if kind == DATA and payload and self.replica.gives_window:
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload))))
            if not flags & END_STREAM:
                self.send(frame(WINDOW_UPDATE, 0, number, struct.pack(">I", len(payload))))
        if started:
            self.replica.begin(started)


class H2Replica:
    def __init__(self, unix=None, port=0):
        self.script, self.settings = None, [(MAX_CONCURRENT_STREAMS, 100)]
        self.answers_pings, self.gives_window, self.greets = True, True, True
        self.connections, self.faults = [], []
        self.unix = unix
        if unix:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(unix))
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", port))
        self.listener.listen(128)
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        if self.unix:
            return f"unix:{self.unix}"
        return "%s:%d" % self.listener.getsockname()

    @property
    def streams(self):
        return [s for c in self.connections for s in c.streams.values()]

    def reset(self, script):
        """For the next test: nothing that came before is kept."""
        self.script, self.settings = script, [(MAX_CONCURRENT_STREAMS, 100)]
        self.answers_pings, self.gives_window, self.greets = True, True, True
        old, self.connections, self.faults = self.connections, [], []
        for c in old:
            c.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c = Connection(self, sock)
            self.connections.append(c)
            c.start()

    def greet(self, connection):
        if self.greets:
            connection.set(*self.settings)

    def begin(self, stream):
        def run():
            try:
                self.script(stream)
            except Gone:
                pass
            except Exception as e:  # a fault of the script is the test's
                self.faults.append(e)
                try:
                    stream.refuse(CANCEL)
                except Gone:
                    pass
            stream.connection.ends(stream.number)

        threading.Thread(target=run, daemon=True).start()

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # the accept that waits would keep it open
        except OSError:
            pass
        self.listener.close()
        for c in self.connections:
            c.close()
