"""A gateway in front of a scripted replica of HTTP/2, and clients for it; modules take the fixture by `pytest_plugins`."""

import socket
import threading

import pytest

from lib import env
from lib.client import Client
from lib.h2_replica import H2Replica


class Lane:
    def __init__(self, shared, config=None, **replica):
        self.replica = H2Replica(**replica)
        config = {"replica": {"protocol": "h2c", **(config or {}).pop("replica", {})}, **(config or {})}
        self.gateway = shared.gateway(self.replica.address, config=config)
        self.address = self.gateway.address

    def reset(self, script):
        self.gateway.wait_metric(0, "ringgate_replica_streams_open")
        self.replica.reset(script)
        self.gateway.wait_metric(0, "ringgate_replica_connections_open")
        return self

    def counted(self, reason):
        return self.gateway.metrics().get("ringgate_requests_refused_total", reason=reason)

    def check(self):
        assert not self.replica.faults, self.replica.faults


@pytest.fixture(scope="module")
def lane(shared):
    lane = Lane(shared)
    yield lane
    lane.replica.stop()


def echo(s):
    s.reply(s.all(), fields=[("x-path", s.path), ("x-method", s.method)])


def parallel(n, work):
    results = [None] * n

    def run(i):
        try:
            results[i] = work(i)
        except Exception as e:
            results[i] = e

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(env.scaled(30))
    return results


def post(address, body, path="/", fields=(), method="POST"):
    with Client(address) as c:
        lines = [f"{method} {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *fields]
        return c.request("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def speak_http1():
    """A server that takes the preface for a bad request, as servers of HTTP/1 do."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            s.recv(4096)
            s.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            try:  # what is not read would reset the connection, and the answer with it
                while s.recv(4096):
                    pass
            except OSError:
                pass
            s.close()

    threading.Thread(target=serve, daemon=True).start()
    return listener
