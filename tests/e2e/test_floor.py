"""ringgate-floor, the relay without HTTP that measurements compare with: it must lose nothing, and leak nothing."""

import hashlib
import os
import signal
import socket
import subprocess
import threading

import pytest

from lib import client, env
from lib.process import Process

FLOOR = os.environ.get("FLOOR_BIN", "")

pytestmark = pytest.mark.skipif(not os.access(FLOOR, os.X_OK), reason="FLOOR_BIN does not name a program")


class Floor(Process):
    def __init__(self, directory, replica, *flags):
        self.says = ""
        self.workers = 1 if "--workers" in flags else 2
        self.address = ("127.0.0.1", env.free_port())
        super().__init__("floor", [FLOOR, "--listen", f"127.0.0.1:{self.address[1]}", "--replica", replica, *flags],
                         str(directory))
        env.wait_until(self._listens, 10, "the relay to listen", 0.02)
        self.idle_fds = self.open_fds()

    def _listens(self):
        assert self.is_running(), self.log()
        with open("/proc/net/tcp", encoding="ascii") as f:
            return sum(f":{self.address[1]:04X} 00000000:0000 0A" in line for line in f) == self.workers

    def has_given_all_back(self):
        return self.open_fds() <= self.idle_fds

    def stop(self, seconds=10.0):
        status = super().stop(seconds)
        assert status == 0, (status, self.log())
        assert self.says in self.log() and bool(self.log()) == bool(self.says) and self.output() == ""


class EchoServer:
    """Sends back what comes, and ends its direction when the client has ended the other."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(s,), daemon=True).start()

    @staticmethod
    def _echo(s):
        with s:
            while data := s.recv(65536):
                s.sendall(data)
            s.sendall(b"bye")

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def echo():
    server = EchoServer()
    yield server
    server.stop()


def relay(programs, tmp_path, replica, *flags):
    return programs.add(Floor(tmp_path, replica, *flags))


def read_to_end(sock):
    pieces = []
    while data := sock.recv(65536):
        pieces.append(data)
    return b"".join(pieces)


def test_bytes_go_both_ways_and_a_half_close_too(programs, tmp_path, echo):
    floor = relay(programs, tmp_path, echo.address)
    with client.Client(floor.address) as c:
        c.sock.sendall(b"one")
        assert c.sock.recv(100) == b"one"
        c.sock.sendall(b"two")
        c.sock.shutdown(socket.SHUT_WR)
        assert read_to_end(c.sock) == b"twobye"
    env.wait_until(floor.has_given_all_back, 5, "descriptors to be closed")


def test_a_slow_reader_gets_every_byte_in_order_and_holds_the_sender_back(programs, tmp_path, echo):
    most = 4096  # pieces of 64 KiB: more than the kernel's queues on the way ever hold
    sent = hashlib.sha256()
    floor = relay(programs, tmp_path, echo.address, "--workers", "1")
    pieces = []
    held_back = threading.Event()
    with client.Client(floor.address, timeout=30, receive_buffer=4096) as c:
        def send():
            while len(pieces) < most and not held_back.is_set():
                piece = hashlib.sha256(str(len(pieces)).encode()).digest() * 2048
                sent.update(piece)
                c.sock.sendall(piece)
                pieces.append(len(piece))
            c.sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        env.wait_until(lambda n=[-1]: len(pieces) == n[0] or n.__setitem__(0, len(pieces)), 30, "the sender to wait", 0.3)
        assert len(pieces) < most, "all was taken although nothing was read"
        assert floor.rss_bytes() < (64 << 20) * env.SLOW
        held_back.set()
        echoed = read_to_end(c.sock)
        sender.join()
    assert len(echoed) == sum(pieces) + 3 and hashlib.sha256(echoed[:-3]).digest() == sent.digest()


def test_a_thousand_connections_at_once(programs, tmp_path):
    origin = programs.origin("--threads", "2", "--quiet")
    floor = relay(programs, tmp_path, origin.address)
    clients = [client.Client(floor.address, timeout=30) for _ in range(1000)]
    for _ in range(2):
        for c in clients:
            c.sock.sendall(b"GET /bytes/100 HTTP/1.1\r\nHost: floor\r\n\r\n")
        for c in clients:
            r = c.response()
            assert r.status == 200 and len(r.body) == 100
    for c in clients:
        c.close()
    env.wait_until(floor.has_given_all_back, 10, "descriptors to be closed")
    assert origin.stats()["requests"] == 2000


def test_a_connection_per_request_leaks_nothing(programs, tmp_path):
    path = str(tmp_path / "replica.sock")
    origin = programs.origin("--quiet", path=path)
    floor = relay(programs, tmp_path, origin.address)

    def requests(n):
        for _ in range(n):
            with client.Client(floor.address) as c:
                assert c.request(b"GET /bytes/16 HTTP/1.1\r\nHost: floor\r\nConnection: close\r\n\r\n").status == 200

    requests(500)
    env.wait_until(floor.has_given_all_back, 5, "descriptors to be closed")
    memory = floor.rss_bytes()
    requests(5000)
    env.wait_until(floor.has_given_all_back, 5, "descriptors to be closed")
    assert floor.rss_bytes() < memory + (2 << 20)


def test_clients_that_break_off_leak_nothing(programs, tmp_path):
    origin = programs.origin("--quiet")
    floor = relay(programs, tmp_path, origin.address)
    for n in range(300):
        c = client.Client(floor.address)
        c.sock.sendall(b"GET /bytes/1000000 HTTP/1.1\r\nHost: floor\r\n\r\n")
        if n % 2:
            c.sock.recv(10)
        c.reset()
    env.wait_until(floor.has_given_all_back, 10, "descriptors to be closed")


def test_it_recovers_from_running_out_of_blocks(programs, tmp_path):
    origin = programs.origin("--quiet")
    floor = relay(programs, tmp_path, origin.address, "--workers", "1")
    stalled = [client.Client(floor.address, receive_buffer=4096) for _ in range(150)]
    for c in stalled:
        c.sock.sendall(b"GET /bytes/8000000 HTTP/1.1\r\nHost: floor\r\n\r\n")
    assert stalled[0].sock.recv(1)
    assert floor.cpu_share(0.5) < 0.5, "it spins while nobody reads"
    for c in stalled[1:]:
        c.close()
    with client.Client(floor.address) as c:
        assert c.request(b"GET /bytes/500000 HTTP/1.1\r\nHost: floor\r\n\r\n").status == 200
    assert len(read_exactly(stalled[0].sock, 8000000 - 1)) == 8000000 - 1
    stalled[0].close()
    env.wait_until(floor.has_given_all_back, 10, "descriptors to be closed")


def read_exactly(sock, n):
    data = bytearray()
    while len(data) < n:
        piece = sock.recv(65536)
        assert piece, f"ended after {len(data)} bytes"
        data += piece
    return bytes(data[:n])


# ---- --response-bytes: connections to the replica are shared ----

def length_of(origin, path):
    """Head and body of one response on a kept connection."""
    with client.Client(("127.0.0.1", origin.port)) as c:
        r = c.request(request(path))
        return len(r.raw_head) + len(r.body)


def request(path, *fields):
    return b"\r\n".join([b"GET %s HTTP/1.1" % path.encode(), b"Host: floor", *fields, b"", b""])


def pooling(programs, tmp_path, origin, path="/bytes/1024", *flags):
    return relay(programs, tmp_path, origin.address, "--response-bytes", str(length_of(origin, path)), *flags)


def accepted(origin):
    return origin.stats()["connections"]["accepted"]


def test_clients_one_after_the_other_share_one_connection(programs, tmp_path):
    origin = programs.origin("--quiet")
    floor = pooling(programs, tmp_path, origin, "/bytes/1024", "--workers", "1")
    before = accepted(origin)
    clients = [client.Client(floor.address) for _ in range(50)]
    bodies = {c.request(request("/bytes/1024")).body for _ in range(3) for c in clients}
    assert len(bodies) == 1 and len(bodies.pop()) == 1024
    assert accepted(origin) - before == 1 + 1, "one connection of the relay, one to ask for this number"
    for c in clients:
        c.close()
    env.wait_until(lambda: floor.open_fds() <= floor.idle_fds + 1, 5, "descriptors to be closed")


def test_a_client_that_wants_its_connection_closed_does_not_cost_the_replicas(programs, tmp_path):
    origin = programs.origin("--quiet")
    floor = pooling(programs, tmp_path, origin)
    before = accepted(origin)
    for _ in range(300):
        with client.Client(floor.address) as c:
            assert len(c.request(request("/bytes/1024", b"Connection: close")).body) == 1024
            c.expect_end()
    assert accepted(origin) - before <= 2 + 1, "one of each worker, one to ask for this number"
    env.wait_until(lambda: floor.open_fds() <= floor.idle_fds + 2, 5, "descriptors to be closed")


@pytest.mark.parametrize("path", ["/bytes/1024", "/bytes/200000", "/bytes/0"])
def test_answers_at_the_same_time_are_not_mixed_up(programs, tmp_path, path):
    """A byte too many or too few for one of them shifts what the next one reads."""
    origin = programs.origin("--quiet")
    floor = pooling(programs, tmp_path, origin, path)
    wrong = []

    def ask():
        with client.Client(floor.address) as c:
            for _ in range(40):
                r = c.request(request(path))
                if r.status != 200 or r.body != pattern(int(path.split("/")[-1])):
                    wrong.append(r)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert origin.stats()["malformed"] == origin.stats()["aborted"] == 0


def pattern(n):
    return b"".join(b"%015x\n" % at for at in range(0, n + 16, 16))[:n]


def test_a_large_answer_is_whole_for_a_slow_reader(programs, tmp_path):
    origin = programs.origin("--quiet")
    floor = pooling(programs, tmp_path, origin, "/bytes/8000000")
    with client.Client(floor.address, receive_buffer=4096) as c:
        for _ in range(2):
            assert c.request(request("/bytes/8000000")).body == pattern(8000000)


def test_uploads_find_their_way(programs, tmp_path):
    origin = programs.origin("--quiet")
    body = pattern(1000000)
    upload = b"POST /sink HTTP/1.1\r\nHost: floor\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with client.Client(("127.0.0.1", origin.port)) as c:
        r = c.request(upload)
    floor = relay(programs, tmp_path, origin.address, "--response-bytes", str(len(r.raw_head) + len(r.body)))
    with client.Client(floor.address) as c:
        for _ in range(10):
            again = c.request(upload)
            assert again.status == 200 and again.body == r.body and b'"pattern": true' in again.body.replace(b":t", b": t")


def test_a_client_that_breaks_off_takes_its_connection_with_it(programs, tmp_path):
    """What is left of its response must not reach the next client."""
    origin = programs.origin("--quiet")
    floor = pooling(programs, tmp_path, origin, "/bytes/1000000", "--workers", "1")
    for n in range(60):
        c = client.Client(floor.address)
        c.send(request("/bytes/1000000"))
        if n % 2:
            c.sock.recv(10)
        c.reset()
        with client.Client(floor.address) as other:
            assert other.request(request("/bytes/1000000")).body == pattern(1000000)
    env.wait_until(lambda: floor.open_fds() <= floor.idle_fds + 2, 10, "descriptors to be closed")


def test_a_replica_that_closes_pooled_connections_is_connected_to_again(programs, tmp_path):
    origin = programs.origin("--quiet")
    floor = pooling(programs, tmp_path, origin)
    with client.Client(floor.address) as c:
        assert c.request(request("/bytes/1024")).status == 200
        port = origin.port
        origin.stop()
        env.wait_until(lambda: floor.open_fds() <= floor.idle_fds + 1, 5, "the pooled connection to be closed")
        programs.origin("--quiet", port=port)
        assert c.request(request("/bytes/1024")).status == 200


def test_a_wrong_length_is_told(programs, tmp_path):
    origin = programs.origin("--quiet")
    floor = relay(programs, tmp_path, origin.address, "--response-bytes", "100")
    floor.says = "--response-bytes: got '100', but the replica sent more"
    with client.Client(floor.address) as c:
        c.send(request("/bytes/1024"))
        c.expect_end()
    env.wait_until(floor.has_given_all_back, 5, "descriptors to be closed")


# ---- what fails ----

def test_a_replica_that_is_down_ends_the_client(programs, tmp_path):
    floor = relay(programs, tmp_path, f"127.0.0.1:{env.free_port()}")
    with client.Client(floor.address) as c:
        assert c.send(b"hello")
        c.expect_end(within=3)
    env.wait_until(floor.has_given_all_back, 5, "descriptors to be closed")


def test_it_ends_on_a_signal_with_connections_open(programs, tmp_path, echo):
    floor = relay(programs, tmp_path, echo.address)
    with client.Client(floor.address) as c:
        c.sock.sendall(b"x")
        assert c.sock.recv(1) == b"x"
        floor.signal(signal.SIGINT)
        assert floor.wait() == 0
        c.expect_end(within=3)


@pytest.mark.parametrize("flags,says", [
    ([], "--listen: got ''"),
    (["--listen", "unix:/tmp/x", "--replica", "80"], "--listen: got 'unix:/tmp/x'"),
    (["--listen", "0", "--replica", "80"], "--listen: got '0'"),
    (["--listen", "8080", "--replica", "example.com:80"], "--replica: got 'example.com:80'"),
    (["--listen", "8080", "--replica", "81", "--workers", "0"], "--workers: got '0', wanted a whole number from 1 to 64;"),
    (["--listen", "8080", "--replica", "81", "--response-bytes", "1k"], "--response-bytes: got '1k', wanted a whole number from 0 to"),
    (["--listen", "8080", "--replica", "81", "more"], "argument: got 'more'"),
])
def test_wrong_flags_are_told(flags, says):
    r = subprocess.run([FLOOR, *flags], capture_output=True, text=True, timeout=env.scaled(10), check=False)
    assert r.returncode == 2 and says in r.stderr and r.stdout == ""


def test_what_cannot_be_had_is_told(echo):
    taken = echo.address
    r = subprocess.run([FLOOR, "--listen", taken, "--replica", "81"], capture_output=True, text=True,
                       timeout=env.scaled(10), check=False)
    assert r.returncode == 1 and f"cannot listen on {taken}: Address already in use" in r.stderr
    r = subprocess.run([FLOOR, "--listen", str(env.free_port()), "--replica", "81", "--congestion", "none-such"],
                       capture_output=True, text=True, timeout=env.scaled(10), check=False)
    assert r.returncode == 1 and "got 'none-such'" in r.stderr
