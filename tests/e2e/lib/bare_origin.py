"""
The scripted origin without a gateway: a client that sees each byte of its answers, and the fixtures of the origin's own tests, which
take them by `pytest_plugins`.
"""

import json
import socket
import subprocess

import pytest

from . import env


def pattern(n, offset=0):
    first = offset // 16 * 16
    text = b"".join(b"%015x\n" % at for at in range(first, offset + n + 16, 16))
    return text[offset - first:offset - first + n]


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return "%016x" % value


class BareOrigin:
    def __init__(self, directory, *flags, listen="127.0.0.1:0"):
        self.port_file = directory / "ports"
        self.port_file.unlink(missing_ok=True)
        command = [env.ORIGIN, "--quiet", "--listen", listen, "--port-file", str(self.port_file), *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)

        def up():
            assert self.process.poll() is None, self.process.stderr.read().decode()
            return self.port_file.exists()
        env.wait_until(up, 20, "the origin's start")
        ports = self.port_file.read_text().split()
        self.port = int(ports[0]) if ports else None

    def connect(self):
        return Connection(socket.create_connection(("127.0.0.1", self.port), timeout=10))

    def ask(self, target, method="GET", body=None, head=()):
        with self.connect() as connection:
            connection.request(target, method, body, head)
            return connection.response(method)

    def json(self, target, **more):
        return json.loads(self.ask(target, **more).body)

    def stats(self):
        return self.json("/stats")

    def stop(self):
        if self.process.returncode is not None:
            return
        self.process.terminate()
        errors = self.process.communicate(timeout=20)[1].decode()
        assert self.process.returncode == 0, errors  # also what a sanitizer has found
        assert errors == ""


class Response:
    def __init__(self, head, interim):
        lines = head.split(b"\r\n")
        self.version, status, self.reason = lines[0].decode().split(" ", 2)
        self.status = int(status)
        self.fields = [tuple(line.decode().split(": ", 1)) for line in lines[1:]]
        self.interim = interim
        self.body = b""
        self.chunks = []
        self.trailers = []

    def field(self, name):
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)


class Connection:
    """A client that shows everything: it neither repairs nor hides."""

    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def request(self, target, method="GET", body=None, head=(), version="1.1"):
        lines = ["%s %s HTTP/%s" % (method, target, version), "Host: origin", *head]
        if body is not None:
            lines.append("Content-Length: %d" % len(body))
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))

    def read_head(self):
        lines = []
        while True:
            line = self.file.readline()
            assert line.endswith(b"\r\n"), "head ends early: %r" % (lines + [line])
            if line == b"\r\n":
                return b"\r\n".join(lines)
            lines.append(line[:-2])

    def response(self, method="GET"):
        interim = 0
        while True:
            answer = Response(self.read_head(), interim)
            if answer.status >= 200 or answer.status == 101:
                break
            interim += 1
        if method == "HEAD" or answer.status in (101, 204, 304):
            return answer
        if answer.field("transfer-encoding") == "chunked":
            self.read_chunks(answer)
        elif answer.field("content-length") is not None:
            answer.body = self.file.read(int(answer.field("content-length")))
        else:
            answer.body = self.file.read()
        return answer

    def read_chunks(self, answer):
        while True:
            line = self.file.readline()
            if not line.endswith(b"\r\n"):
                answer.chunks.append(None)  # broken off
                return
            size = int(line, 16)
            if size == 0:
                break
            data = self.file.read(size)
            answer.chunks.append(len(data))
            answer.body += data
            if self.file.read(2) != b"\r\n":
                answer.chunks.append(None)
                return
        for line in self.read_head().split(b"\r\n"):
            if line:
                answer.trailers.append(tuple(line.decode().split(": ", 1)))

    def rest(self):
        return self.file.read()


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    origin = BareOrigin(tmp_path_factory.mktemp("origin"), "--threads", "2")
    yield origin
    origin.stop()


@pytest.fixture
def origin(started):
    started.ask("/control/health?status=healthy", "PUT")
    started.ask("/stats", "DELETE")
    return started


@pytest.fixture
def start(tmp_path):
    origins = []

    def start_one(*flags, **more):
        origins.append(BareOrigin(tmp_path, *flags, **more))
        return origins[-1]

    yield start_one
    for one in origins:
        one.stop()
