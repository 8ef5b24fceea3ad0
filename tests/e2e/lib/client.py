"""A raw HTTP/1 client: sends exactly the bytes it is given and reads responses strictly."""

import re
import socket
import struct
import time

from .env import scaled

_STATUS_LINE = re.compile(rb"^HTTP/1\.([01]) ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)$")
_FIELD = re.compile(rb"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
                    rb"[\x21-\x7e\x80-\xff])?)?)[ \t]*$")


class Incomplete(Exception):
    """The connection ended before the message did: what a client must see when a response was cut."""


class Malformed(AssertionError):
    """Bytes that are no well-formed response."""


class Response:
    def __init__(self, minor, status, phrase, fields, raw_head):
        self.minor, self.status, self.phrase = minor, status, phrase
        self.fields = fields  # (name, value) as sent
        self.raw_head = raw_head
        self.body = b""
        self.trailers = []
        self.framing = "none"  # none, length, chunked, eof
        self.interim = []
        self.partial = None  # body bytes that came before an Incomplete

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    @property
    def says_close(self):
        return "close" in [w.strip().lower() for v in self.all("connection") for w in v.split(",")]

    def __repr__(self):
        return f"<{self.status} {self.framing} {len(self.body)} bytes {self.fields}>"


def parse_fields(lines):
    fields = []
    for line in lines:
        m = _FIELD.match(line)
        if not m:
            raise Malformed(f"bad field line {line!r}")
        fields.append((m.group(1).decode("ascii"), m.group(2).decode("latin-1")))
    return fields


class Client:
    """One connection. address: (host, port) or the path of a UNIX socket."""

    def __init__(self, address, timeout=10.0, receive_buffer=None, source=None):
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(scaled(timeout))
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(address)
        self.buffer = bytearray()
        self.eof = False
        self.was_reset = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        """Sends all; a gateway that refuses early may close meanwhile, its answer is then still to be read."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def _fill(self):
        if self.eof:
            return False
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError:
            self.was_reset, data = True, b""
        if not data:
            self.eof = True
            return False
        self.buffer += data
        return True

    def _take(self, n):
        out = bytes(self.buffer[:n])
        del self.buffer[:n]
        return out

    def _until(self, mark, limit=1 << 20):
        at = 0
        while True:
            end = self.buffer.find(mark, at)
            if end >= 0:
                return self._take(end + len(mark))
            at = max(0, len(self.buffer) - len(mark))
            if len(self.buffer) > limit:
                raise Malformed(f"no {mark!r} within {limit} bytes")
            if not self._fill():
                raise Incomplete(f"connection ended before {mark!r}; read: {bytes(self.buffer[:200])!r}")

    def _exactly(self, n, sink):
        while n > 0:
            if not self.buffer and not self._fill():
                raise Incomplete(f"connection ended {n} bytes before the end of the body")
            piece = self._take(min(n, len(self.buffer)))
            sink(piece)
            n -= len(piece)

    def head(self):
        """The next response head, final or interim."""
        raw = self._until(b"\r\n\r\n")
        lines = raw[:-4].split(b"\r\n")
        m = _STATUS_LINE.match(lines[0])
        if not m:
            raise Malformed(f"bad status line {lines[0]!r}")
        return Response(int(m.group(1)), int(m.group(2)), m.group(3).decode("latin-1"), parse_fields(lines[1:]), raw)

    def response(self, method="GET", sink=None):
        """The next final response with its body (or fed to sink); Incomplete when the connection ends before it does."""
        interim = []
        while True:
            r = self.head()
            if r.status >= 200 or r.status == 101:
                break
            interim.append(r)
        r.interim = interim
        parts = []
        try:
            self._body(r, method, sink or parts.append)
        except Incomplete as e:
            r.partial = b"".join(parts)
            e.response = r
            raise
        r.body = b"".join(parts)
        return r

    def _body(self, r, method, sink):
        lengths, codings = r.all("content-length"), r.all("transfer-encoding")
        if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            raise Malformed(f"ambiguous framing: {r.raw_head!r}")
        if r.status in (204, 101) and (lengths or codings):
            raise Malformed(f"{r.status} with framing fields: {r.raw_head!r}")
        if method == "HEAD" or r.status in (204, 304, 101):
            return
        if codings:
            if codings[0].lower() != "chunked" or r.minor == 0:
                raise Malformed(f"bad Transfer-Encoding: {r.raw_head!r}")
            r.framing = "chunked"
            self._chunked(r, sink)
        elif lengths:
            if not lengths[0].isdigit():
                raise Malformed(f"bad Content-Length: {r.raw_head!r}")
            r.framing = "length"
            self._exactly(int(lengths[0]), sink)
        else:
            r.framing = "eof"
            while self.buffer or self._fill():
                sink(self._take(len(self.buffer)))
            if self.was_reset:
                raise Incomplete("reset in a body that ends with the connection")

    def _chunked(self, r, sink):
        while True:
            line = self._until(b"\r\n", 8192)[:-2]
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line):
                raise Malformed(f"bad chunk size line {line!r}")
            size = int(line, 16)
            if size == 0:
                break
            self._exactly(size, sink)
            end = []
            self._exactly(2, end.append)
            if b"".join(end) != b"\r\n":
                raise Malformed(f"no CR LF after chunk data but {end!r}")
        lines = []
        while True:
            line = self._until(b"\r\n", 65536)[:-2]
            if not line:
                break
            lines.append(line)
        r.trailers = parse_fields(lines)

    def request(self, data, method="GET"):
        self.send(data)
        return self.response(method)

    def expect_end(self, within=3.0):
        """The connection ends, by FIN or RST, without another byte."""
        self.sock.settimeout(scaled(within))
        try:
            while self._fill():
                pass
        except TimeoutError:
            raise AssertionError(f"the connection is still open after {scaled(within):.1f} s") from None
        assert not self.buffer, f"surplus bytes before the end: {bytes(self.buffer[:300])!r}"

    def is_silent(self, seconds):
        """No byte and no end of connection for a while."""
        self.sock.settimeout(seconds)
        try:
            return self._fill() and False
        except TimeoutError:
            return not self.buffer


def get(address, path="/", fields=(), method="GET", version="1.1", timeout=10.0):
    """One request on a connection of its own."""
    with Client(address, timeout) as c:
        extra = "".join(f"{n}: {v}\r\n" for n, v in fields)
        return c.request(f"{method} {path} HTTP/{version}\r\nHost: test\r\nConnection: close\r\n{extra}\r\n".encode(),
                         method)


def chunked(*pieces, trailers=b""):
    """A body in the chunked coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces if p) + b"0\r\n" + trailers + b"\r\n"


def is_open_to(address, within=1.0):
    """Whether somebody accepts connections there."""
    try:
        Client(address, within).close()
        return True
    except OSError:
        return False


def elapsed(since):
    return time.monotonic() - since
