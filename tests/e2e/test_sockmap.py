"""
replica.sockmap: small messages between gateway and replica bypass TCP. Which connections do, which don't, what is
untouched by it, and what happens when either side dies. What goes over them stays whole: modules that are run once more
with the option (CMakeLists.txt).
"""

import array
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import termios
import threading

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, get
from lib.raw_origin import Answer, Gone, reply

AUTO = {"replica": {"sockmap": "auto"}, "timeouts": {"drain_idle": "10ms"}}


def counts(gateway):
    m = gateway.metrics()
    return {"active": m.get("ringgate_sockmap_active"),
            "connections": m.get("ringgate_sockmap_connections_total"),
            "redirected": m.get("ringgate_sockmap_messages_total", way="redirected"),
            "tcp": m.get("ringgate_sockmap_messages_total", way="tcp")}


def start(programs, replica, config=AUTO, **more):
    """A gateway with the option on; skips where it can't be had."""
    gateway = programs.gateway(replica, config, **more)
    if not counts(gateway)["active"]:
        pytest.skip(next(line for line in gateway.log().splitlines() if "sockmap is not available" in line))
    return gateway


def programs_of(gateway):
    """Ids of the BPF programs that its process holds."""
    folder = f"/proc/{gateway.process.pid}/fdinfo"
    text = "".join(open(os.path.join(folder, fd), encoding="ascii").read() for fd in os.listdir(folder))
    return {int(n) for n in re.findall(r"^prog_id:\s*(\d+)", text, re.MULTILINE)}


def programs_loaded():
    """Ids of the sockmap's programs, of any gateway."""
    r = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, timeout=30, check=False)
    if r.returncode != 0:
        pytest.skip(f"bpftool: {r.stderr}")
    return {p["id"] for p in json.loads(r.stdout) if p.get("type") in ("sock_ops", "sk_msg")}


# ---- what goes which way ----

def test_small_messages_pass_tcp_by(programs):
    gateway = start(programs, programs.raw_origin().address)
    with Client(gateway.address) as c:
        for i in range(20):
            assert c.request(req(method="GET", target=f"/{i}")).body == b"ok"
        c.send(req("Content-Length: 5", method="POST") + b"hello")
        assert c.response().body == b"ok"
    assert counts(gateway) == {"active": 1, "connections": 1, "redirected": 42, "tcp": 0}
    state = json.loads(gateway.admin("GET", "/workers")[1])["sockmap"]
    assert state == {"active": True, "connections": 1, "redirected": 42, "tcp": 0}
    assert json.loads(gateway.admin("GET", "/config")[1])["replica"]["sockmap"] == "auto"


def test_off_does_nothing(programs):
    gateway = programs.gateway(programs.raw_origin().address, {"replica": {"sockmap": "off"}})
    assert get(gateway.address).status == 200
    assert counts(gateway) == {"active": 0, "connections": 0, "redirected": 0, "tcp": 0}
    assert "sockmap" not in gateway.log()


def test_bodies_that_stream_and_tunnels_go_by_tcp(programs):
    def script(_connection, request):
        if request.get("upgrade"):
            return Answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\ntunnel", "close")
        return reply(hashlib.sha256(request.body).hexdigest().encode())
    gateway = start(programs, programs.raw_origin(script).address)
    body = os.urandom(300_000)
    with Client(gateway.address) as c:
        c.send(req(f"Content-Length: {len(body)}", method="POST") + body)
        assert c.response().body == hashlib.sha256(body).hexdigest().encode()
        c.send(req("Content-Length: 4", "Expect: 100-continue", method="POST"))
        assert c.head().status == 100
        c.send(b"body")
        assert c.response().status == 200
    with Client(gateway.address) as c:
        c.send(req("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", method="GET"))
        assert c.head().status == 101
    seen = counts(gateway)
    assert (seen["connections"], seen["redirected"], seen["tcp"]) == (0, 0, 0)


def test_large_responses_leave_the_map_and_stay_in_order(programs):
    """It begins in small pieces, which are redirected, goes on in large ones, which are not, and ends in small ones."""
    pieces = [os.urandom(n) for n in [700] * 60 + [200_000, 10, 90_000] + [300] * 200]
    body = b"".join(pieces)

    def script(connection, _request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for piece in pieces:
            connection.send(piece)
    gateway = start(programs, programs.raw_origin(script).address)
    with Client(gateway.address) as c:
        for _ in range(3):
            assert c.request(req(method="GET")).body == body
    seen = counts(gateway)
    assert seen["connections"] == 1 and seen["redirected"] >= 3 and seen["tcp"] > 200
    assert gateway.metrics().get("ringgate_spliced_bytes_total") == 0


@pytest.mark.parametrize("piece", [1, 3000])
def test_a_client_that_does_not_read_holds_the_replica(programs, piece):
    """However small the pieces are: the kernel has no limit for what is redirected, the programs have."""
    state = {"sent": 0}

    def script(connection, _request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        connection.sock.settimeout(env.scaled(1.0))
        try:
            while state["sent"] < (100 << 20 if piece > 1 else 20_000):
                state["sent"] += connection.sock.send(b"x" * piece)
        except OSError:
            state["held"] = True
        state["done"] = True
        raise Gone
    gateway = start(programs, programs.raw_origin(script).address)
    with Client(gateway.address, receive_buffer=4096) as c:
        c.send(req(method="GET"))
        env.wait_until(lambda: state.get("done"), 20, "the replica to be held, or done")
        seen = counts(gateway)
    if piece > 1:
        assert state.get("held") and state["sent"] < 64 << 20
    # The request, the head, and what the programs let pass in one response: 128 KiB, with 1 KiB on top for each message.
    assert 2 < seen["redirected"] <= 2 + (128 << 10) // (1024 + piece)
    assert seen["tcp"] > 100


# ---- who is untouched ----

def test_other_clients_of_the_replica_are_untouched(programs):
    origin = programs.raw_origin()
    gateway = start(programs, origin.address)
    plain = programs.gateway(origin.address, {"replica": {"sockmap": "off"}})
    before = counts(gateway)
    for _ in range(5):
        assert get(("127.0.0.1", origin.port)).body == b"ok"
        assert get(plain.address).body == b"ok"
    assert counts(gateway) == before
    assert get(gateway.address).body == b"ok"
    assert counts(gateway)["redirected"] == 2


def test_two_gateways_know_nothing_of_each_other(programs):
    origins = [programs.raw_origin(lambda _c, _r, n=n: reply(b"origin %d" % n)) for n in range(2)]
    gateways = [start(programs, o.address) for o in origins]
    gateways.append(start(programs, origins[0].address))
    for n, gateway in enumerate(gateways):
        with Client(gateway.address) as c:
            for _ in range(n + 1):
                assert c.request(req(method="GET")).body == b"origin %d" % (n % 2)
    for n, gateway in enumerate(gateways):
        seen = counts(gateway)
        assert (seen["connections"], seen["redirected"], seen["tcp"]) == (1, 2 * (n + 1), 0)


class CountingReplica:
    """Asks before each read how many bytes wait (FIONREAD) and reads as many: what nginx and others rely on."""

    def __init__(self, defer=False):
        self.sock = socket.socket()
        if defer:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen()
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    @staticmethod
    def serve(sock):
        with sock:
            while True:
                if not sock.recv(1, socket.MSG_PEEK):
                    return
                waiting = array.array("i", [0])
                fcntl.ioctl(sock, termios.FIONREAD, waiting)
                data = sock.recv(1 << 20)
                assert data.endswith(b"\r\n\r\n")
                sock.sendall(reply(b"%d of %d" % (waiting[0], len(data))))

    def stop(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@pytest.mark.parametrize("defer", [False, True])
def test_the_replica_knows_how_many_bytes_wait(programs, defer):
    """Also when its end of the connection begins with the first request only (TCP_DEFER_ACCEPT)."""
    replica = programs.add(CountingReplica(defer))
    gateway = start(programs, replica.address)
    with Client(gateway.address) as c:
        for n in (10, 3000, 12_000, 10):
            told, _, read = c.request(req("X-Filler: " + "x" * n, method="GET")).body.partition(b" of ")
            assert told == read and int(read) > n
    assert counts(gateway)["connections"] == (0 if defer else 1)


# ---- who ends ----

def test_the_replica_is_killed_and_comes_back(programs):
    origin = programs.origin()
    port = origin.port
    gateway = start(programs, origin.address)
    with Client(gateway.address) as c:
        assert c.request(req(method="GET", target="/bytes/100")).status == 200
        waiting = Client(gateway.address)
        waiting.send(req(method="GET", target="/bytes/100?delay=30000"))
        env.wait_until(lambda: gateway.metrics().get("ringgate_exchanges_open") == 1, 5, "the request to be under way")
        origin.process.kill()
        assert waiting.response().status in (502, 503, 504)
        waiting.close()
        assert c.request(req(method="GET", target="/bytes/100")).status in (502, 503)
    programs.origin(port=port)
    env.wait_until(lambda: get(gateway.address, "/bytes/100").status == 200, 5, "the replica to be back")
    assert counts(gateway)["connections"] >= 2


def test_a_response_before_the_end_is_whole(programs):
    body = b"z" * 9000
    origin = programs.raw_origin(lambda _c, _r: Answer(b"HTTP/1.0 200 OK\r\n\r\n" + body, "close"))
    gateway = start(programs, origin.address)
    for _ in range(50):
        assert get(gateway.address).body == body
    seen = counts(gateway)
    assert (seen["connections"], seen["redirected"]) == (50, 100)


def test_a_killed_gateway_leaves_nothing(programs):
    origin = programs.raw_origin()
    gateway = start(programs, origin.address)
    assert get(gateway.address).status == 200
    own = programs_loaded() & programs_of(gateway)
    assert len(own) >= 2
    gateway.expected_exit = -signal.SIGKILL
    gateway.kill()
    env.wait_until(lambda: not programs_loaded() & own, 10, "the end of the programs")
    assert get(("127.0.0.1", origin.port)).body == b"ok"


# ---- rights ----

def with_capabilities(gateway, names):
    gateway.argv = ["setpriv", "--bounding-set=-all" + "".join(f",+{n}" for n in names), *gateway.argv]
    return gateway.start()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="wants root and setpriv")
@pytest.mark.parametrize("names, missing", [(["bpf", "net_admin"], None), (["bpf"], "CAP_NET_ADMIN"),
                                            (["net_admin"], "CAP_BPF")])
def test_rights(programs, names, missing):
    origin = programs.raw_origin()
    start(programs, origin.address)  # it can be had here at all
    gateway = with_capabilities(programs.prepared_gateway(origin.address, AUTO), names)
    assert get(gateway.address).status == 200
    assert counts(gateway)["active"] == (0 if missing else 1)
    assert not missing or (missing in gateway.log() and "replica.sockmap is not available" in gateway.log())


# ---- settings ----

def reload(gateway, replica):
    gateway.reconfigure({"replica": replica})
    status, text, _ = gateway.admin("POST", "/reload")
    assert status == 200, text


def test_reloads(programs):
    first = programs.raw_origin(lambda _c, _r: reply(b"first"))
    second = programs.raw_origin(lambda _c, _r: reply(b"second"))
    gateway = start(programs, first.address)
    with Client(gateway.address) as c:
        def ask(want):
            env.wait_until(lambda: c.request(req(method="GET")).body == want, 5, f"{want} to answer")
        ask(b"first")
        reload(gateway, {"address": second.address})
        ask(b"second")
        assert counts(gateway)["connections"] == 2
        reload(gateway, {"sockmap": "off"})
        first.wait_all_ended(5)
        second.wait_all_ended(5)
        ask(b"second")
        seen = counts(gateway)
        assert seen["active"] == 0
        ask(b"second")
        assert counts(gateway) == seen
        reload(gateway, {"sockmap": "auto"})
        second.wait_all_ended(5)
        ask(b"second")
        assert counts(gateway)["active"] == 1 and counts(gateway)["connections"] == 3
        assert counts(gateway)["redirected"] > seen["redirected"]


def test_where_it_is_of_no_use(programs, tmp_path):
    origin = programs.raw_origin(path=str(tmp_path / "replica.sock"))
    gateway = programs.gateway(origin.address, AUTO)
    assert get(gateway.address).status == 200
    assert "replica.sockmap is not available" in gateway.log() and "UNIX socket" in gateway.log()
    reload(gateway, {"address": "192.0.2.1:80"})
    assert "not one of this machine" in gateway.log()
    assert counts(gateway)["active"] == 0
