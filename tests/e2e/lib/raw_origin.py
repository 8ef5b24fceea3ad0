"""
A scripted origin that records every byte it received. One thread per connection.

A script is called for each request with (connection, request) and returns what to do: bytes to send and stay,
Answer(...) for more control, or None when it did everything itself on connection.sock.
"""

import fcntl
import os
import re
import socket
import struct
import termios
import threading

from .env import scaled, wait_until


class Request:
    """What the origin received, as received: head with its empty line, body with its framing and without."""

    def __init__(self, head):
        self.head = head
        lines = head[:-4].split(b"\r\n")
        self.line = lines[0].decode("latin-1")
        self.method, self.target, self.version = (self.line.split(" ") + ["", ""])[:3]
        self.fields = [tuple(p.strip(" \t") for p in ln.decode("latin-1").partition(":")[::2]) for ln in lines[1:]]
        self.raw_body = b""
        self.body = b""
        self.trailers = []
        self.complete = False

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def names(self):
        return [n.lower() for n, _ in self.fields]

    def __repr__(self):
        return f"<{self.line!r} {self.fields} body={self.body[:80]!r} complete={self.complete}>"


class Answer:
    """then: keep, close (FIN) or rst after the bytes."""

    def __init__(self, data, then="keep"):
        self.data, self.then = data, then


def reply(body=b"ok", status="200 OK", fields=(), connection=None):
    extra = b"".join(f"{n}: {v}\r\n".encode("latin-1") for n, v in fields)
    if connection:
        extra += b"Connection: " + connection.encode() + b"\r\n"
    return b"HTTP/1.1 " + status.encode() + b"\r\nContent-Length: %d\r\n" % len(body) + extra + b"\r\n" + body


def echo(_connection, request):
    """A script that answers with what it got."""
    return reply(request.body, fields=[("X-Target", request.target), ("Content-Type", "Text/Plain")])


def default_script(_connection, request):
    return reply(b"" if request.method == "HEAD" else b"ok")


class Held:
    """A script whose answers to one target (None: to all) wait until release(); at last they come so that a failing test ends."""

    def __init__(self, target="/wait", answer=b"ok", seconds=20):
        self.target, self.answer, self.seconds = target, answer, seconds
        self.event = threading.Event()

    def __call__(self, _connection, request):
        if self.target in (None, request.target):
            self.event.wait(scaled(self.seconds))
        return reply(self.answer)

    def release(self):
        self.event.set()


def stall_in_the_middle(connection, _request):
    """A script that begins a body and never goes on."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
    connection.wait_gone()
    return Answer(b"", "close")


class Gone(Exception):
    """The other side ended the connection."""


TCP_ESTABLISHED = 1


def is_at_rest(sock):
    """Its peer has not ended it, and nothing waits to be read. A UNIX socket does not say."""
    try:
        if sock.family == socket.AF_UNIX:
            return True
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        waiting = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0\0\0\0"))[0]
        return state == TCP_ESTABLISHED and waiting == 0
    except OSError:
        return True  # closed


class Connection:
    def __init__(self, origin, sock, number):
        self.origin, self.sock, self.number = origin, sock, number
        self.received = bytearray()  # everything, in order
        self.at = 0                  # where the next request begins in received
        self.requests = []
        self.ended = False           # FIN or RST was seen, or we closed
        self.was_reset = False

    def fill(self, limit=262144):
        try:
            data = self.sock.recv(limit)
        except (ConnectionResetError, BrokenPipeError):
            self.was_reset, data = True, b""
        except OSError:
            data = b""
        if not data:
            self.ended = True
            raise Gone
        self.received += data
        return data

    def until(self, mark):
        while True:
            end = self.received.find(mark, self.at)
            if end >= 0:
                out = bytes(self.received[self.at:end + len(mark)])
                self.at = end + len(mark)
                return out
            self.fill()

    def exactly(self, n):
        while len(self.received) - self.at < n:
            self.fill()
        out = bytes(self.received[self.at:self.at + n])
        self.at += n
        return out

    def read_head(self):
        request = Request(self.until(b"\r\n\r\n"))
        with self.origin.lock:
            self.requests.append(request)
            self.origin.requests.append(request)
        return request

    def read_body(self, request):
        start = self.at
        if request.get("transfer-encoding"):
            parts = []
            while True:
                size = int(re.fullmatch(rb"([0-9A-Fa-f]+)\r\n", self.until(b"\r\n")).group(1), 16)
                if size == 0:
                    break
                parts.append(self.exactly(size))
                assert self.exactly(2) == b"\r\n"
            while True:
                line = self.until(b"\r\n")[:-2]
                if not line:
                    break
                request.trailers.append(tuple(p.strip() for p in line.decode("latin-1").partition(":")[::2]))
            request.body = b"".join(parts)
        else:
            request.body = self.exactly(int(request.get("content-length", "0")))
        request.raw_body = bytes(self.received[start:self.at])
        request.complete = True

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            self.ended = True
            raise Gone from None

    def wait_gone(self):
        """Reads until the other side ends the connection; what comes meanwhile is recorded."""
        try:
            while True:
                self.fill()
        except Gone:
            pass

    def finish(self, how):
        if how == "rst":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()
        else:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            self.wait_gone()
            self.sock.close()
        self.ended = True


class RawOrigin:
    """Listens on a loopback port, or on a UNIX socket when path is given."""

    def __init__(self, script=default_script, path=None, port=0, backlog=512, receive_buffer=None):
        self.script = script
        self.lock = threading.Lock()
        self.connections, self.requests = [], []
        self.path = path
        self._receive_buffer = receive_buffer
        if path:
            if os.path.exists(path):
                os.unlink(path)
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.bind(path)
            self.address = f"unix:{path}"
        else:
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if receive_buffer:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.sock.bind(("127.0.0.1", port))
            self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"
        self.sock.listen(backlog)
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self):
        return self.sock.getsockname()[1]

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            if self._stopping:
                sock.close()
                return
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                connection = Connection(self, sock, len(self.connections))
                self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while True:
                request = connection.read_head()
                script = self.script
                # A script marked so wants to act before the body came; it reads the body itself.
                if not getattr(script, "before_body", False):
                    if "100-continue" in (request.get("expect") or "").lower():
                        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                    connection.read_body(request)
                answer = script(connection, request)
                if answer is None:
                    continue
                if isinstance(answer, bytes):
                    answer = Answer(answer)
                if answer.data:
                    connection.send(answer.data)
                if answer.then != "keep":
                    connection.finish(answer.then)
                    return
        except Gone:
            connection.sock.close()

    def received(self):
        """Every byte of every connection."""
        with self.lock:
            return b"".join(bytes(c.received) for c in self.connections)

    def complete(self):
        with self.lock:
            return [r for r in self.requests if r.complete]

    def open_connections(self):
        with self.lock:
            return [c for c in self.connections if not c.ended]

    def last(self):
        return self.requests[-1]

    def wait_requests(self, n, seconds=5.0):
        return wait_until(lambda: len(self.requests) >= n and self.requests, seconds, f"{n} requests at the origin")

    def wait_all_ended(self, seconds=2.0):
        wait_until(lambda: not self.open_connections(), seconds, "end of the connections to the origin")

    def is_settled(self):
        """Nothing of what the peers have sent, or ended, is still to be noticed by our threads."""
        with self.lock:
            return all(c.ended or is_at_rest(c.sock) for c in self.connections)

    def forget(self):
        """A new page: what was recorded so far is dropped (open connections stay in use)."""
        wait_until(self.is_settled, 2, "the origin to notice what it was sent")
        with self.lock:
            for c in self.connections:
                c.requests = []
            self.connections = [c for c in self.connections if not c.ended]
            for c in self.connections:
                # The thread may be reading: bytes before `at` are done with, later ones belong to the next request.
                del c.received[:c.at]
                c.at = 0
            self.requests = []

    def drop_connections(self):
        """Ends all connections with RST; for a fresh start between tests."""
        with self.lock:
            connections, self.connections, self.requests = self.connections, [], []
        for c in connections:
            if not c.ended:
                try:
                    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    c.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def stop_listening(self):
        """Further connects are refused; the address can be listened on again by another RawOrigin."""
        self._stopping = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self._thread.join(scaled(5))
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)

    def close(self):
        self.stop_listening()
        self.drop_connections()


def waiting_in(listener):
    """Connections in its accept queue: of a listener, that is what tcpi_unacked counts."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("I", info, 24)[0]


class Deaf:
    """A listener that accepts nothing and whose queue is full: connects to it neither succeed nor fail."""

    def __init__(self):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self._sockets = [listener]
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(listener.getsockname())
            self._sockets.append(s)
        wait_until(lambda: waiting_in(listener) > 0, 5, "the queue to be full")

    def close(self):
        for s in self._sockets:
            s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
