"""The service manager's side: sd_notify, inherited listening sockets, restarts on a socket that somebody else owns."""

import os
import signal
import socket
import threading
import time

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, get
from lib.load import Loader
from lib.nobody import become_nobody, program_in_reach
from lib.raw_origin import reply


class Manager:
    """The receiving end of sd_notify."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.messages = []
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        while True:
            try:
                data = self.sock.recv(65536)
            except OSError:
                return
            if not data:
                return
            self.messages.append((time.monotonic_ns(), data.decode()))

    def has(self, word):
        return any(word in text.split("\n") for _, text in self.messages)

    def wait(self, word, seconds=3):
        env.wait_until(lambda: self.has(word), seconds, f"{word} among {self.messages}")


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    address = str(tmp_path / "notify.sock") if request.param == "path" else f"\0ringgate-test-{os.getpid()}-{time.monotonic_ns()}"
    m = Manager(address)
    m.environment = {"NOTIFY_SOCKET": address.replace("\0", "@")}
    yield m
    m.sock.close()


def test_notifications(programs, manager):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, environment=manager.environment)
    manager.wait("READY=1")
    assert get(gateway.address).status == 200
    gateway.process.signal(signal.SIGHUP)
    manager.wait("RELOADING=1")
    reloading = next(text for _, text in manager.messages if "RELOADING=1" in text)
    monotonic = next(ln for ln in reloading.split("\n") if ln.startswith("MONOTONIC_USEC="))
    assert abs(int(monotonic.split("=")[1]) / 1e6 - time.monotonic()) < env.scaled(5)
    env.wait_until(lambda: sum("READY=1" in text.split("\n") for _, text in manager.messages) >= 2, 3, "READY=1 after the reload")
    gateway.stop()
    manager.wait("STOPPING=1")


def test_status_names_the_replica_after_a_reload(programs, manager):
    first, second = programs.raw_origin(), programs.raw_origin()
    gateway = programs.gateway(first.address, environment=manager.environment)
    manager.wait(f"STATUS=Serving with 1 workers in front of {first.address}")
    gateway.reconfigure({"replica": {"address": second.address}})
    gateway.process.signal(signal.SIGHUP)
    manager.wait(f"STATUS=Serving with 1 workers in front of {second.address}")


def test_watchdog(programs, manager):
    origin = programs.raw_origin()
    programs.gateway(origin.address, environment=dict(manager.environment, WATCHDOG_USEC="400000"))
    env.wait_until(lambda: sum("WATCHDOG=1" in text.split("\n") for _, text in manager.messages) >= 3, 3, "three signs of life")


def owned_listener(reuseport=False):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuseport:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", 0))
    s.listen(1024)
    return s


@pytest.mark.parametrize("workers,sockets", [(1, 1), (2, 1), (2, 2), (3, 2)])
def test_inherited_sockets_are_served(programs, workers, sockets):
    first = owned_listener(sockets > 1)
    owned = [first]
    for _ in range(sockets - 1):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind(first.getsockname())
        s.listen(1024)
        owned.append(s)
    origin = programs.raw_origin()
    listen = [f"127.0.0.1:{first.getsockname()[1]}"]
    gateway = programs.gateway(origin.address, listen=listen, workers=workers, inherit=owned)
    for _ in range(40):
        assert get(gateway.address).status == 200
    gateway.stop()
    for s in owned:
        s.close()


def test_inherited_unix_socket(programs, tmp_path):
    path = str(tmp_path / "front.sock")
    owned = socket.socket(socket.AF_UNIX)
    owned.bind(path)
    owned.listen(100)
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, listen=[f"unix:{path}"], workers=2, inherit=[owned])
    with Client(path) as c:
        assert c.request(req(method="GET")).status == 200
    gateway.stop()
    assert os.path.exists(path), "the file of a socket that somebody else owns was removed"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("workers,reuseport", [(1, False), (2, True)])
def test_inherited_socket_of_ipv6_alone_leaves_ipv4_to_the_replica(programs, workers, reuseport):
    """systemd's BindIPv6Only=ipv6-only: the same port on 127.0.0.1 is the replica's, at the start and at each reload."""
    origin = programs.raw_origin()
    owned = socket.socket(socket.AF_INET6)
    owned.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    owned.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuseport)
    owned.bind(("::", int(origin.address.rpartition(":")[2])))
    owned.listen(100)
    gateway = programs.gateway(origin.address, listen=[f"[::]:{owned.getsockname()[1]}"], workers=workers, inherit=[owned])
    for _ in range(10):
        assert get(gateway.address).status == 200
    assert len(origin.requests) == 10
    gateway.reconfigure({"limits": {"headers": 50}})
    assert gateway.admin("POST", "/reload")[0] == 200
    gateway.reconfigure({"replica": {"address": f"[::1]:{owned.getsockname()[1]}"}})
    assert "where the gateway itself listens" in gateway.admin("POST", "/reload")[1]
    gateway.stop()
    owned.close()


def test_inherited_socket_that_matches_nothing_is_said(programs):
    owned = owned_listener()
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, inherit=[owned], inherit_names="odd")
    assert get(gateway.address).status == 200
    assert "odd" in gateway.log() and f"127.0.0.1:{owned.getsockname()[1]}" in gateway.log()


@pytest.mark.parametrize("workers,reuseport", [(1, False), (2, False), (2, True)])
def test_restart_on_an_owned_socket_refuses_nobody(programs, workers, reuseport):
    """
    The socket stays while the process is replaced: connects wait in its queue, none is refused, lost or reset. With
    SO_REUSEPORT the other workers have sockets of their own beside it, which go with the process.
    """
    owned = owned_listener(reuseport)
    origin = programs.origin()
    listen = [f"127.0.0.1:{owned.getsockname()[1]}"]
    gateway = programs.gateway(origin.address, listen=listen, workers=workers, inherit=[owned])
    loader = Loader(gateway.address, 32)
    try:
        for _ in range(5):
            before = gateway.metrics().get("ringgate_requests_total", code="2xx")
            env.wait_until(lambda: gateway.metrics().get("ringgate_requests_total", code="2xx") > before + 200, 10, "load to flow")
            gateway.stop()
            gateway.start()
        result = loader.stop()
    finally:
        loader.kill()
    assert result["failed"] == 0 and result["refused"] == 0, result


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_port_of_another_user_is_shared(programs):
    """systemd's ReusePort=yes with User=: nobody else may bind a socket beside root's, so all workers accept from that one."""
    owned = owned_listener(reuseport=True)
    origin = programs.raw_origin()
    address = f"127.0.0.1:{owned.getsockname()[1]}"
    with program_in_reach():
        gateway = programs.gateway(
            listen=[address], inherit=[owned], preexec=become_nobody,
            flags=["--workers", "2", "--listen", address, "--replica", origin.address, "--admin", "{admin}"])
    for _ in range(40):
        assert get(gateway.address).status == 200
    assert "share" in gateway.log() and address in gateway.log()
    assert gateway.metrics().get("ringgate_steering_active") == 0


def test_successor_starts_before_the_old_one_ends(programs):
    """Both accept from the same socket for a while; ending the old one is not noticed."""
    owned = owned_listener()
    origin = programs.origin()
    listen = [f"127.0.0.1:{owned.getsockname()[1]}"]
    old = programs.gateway(origin.address, listen=listen, workers=2, inherit=[owned])
    loader = Loader(old.address, 32)
    try:
        env.wait_until(lambda: old.metrics().get("ringgate_requests_total", code="2xx") > 200, 10, "load to flow")
        new = programs.gateway(origin.address, listen=listen, workers=2, inherit=[owned])
        old.stop()
        before = new.metrics().get("ringgate_requests_total", code="2xx")
        env.wait_until(lambda: new.metrics().get("ringgate_requests_total", code="2xx") > before + 200, 10, "load on the new one")
        result = loader.stop()
    finally:
        loader.kill()
    assert result["failed"] == 0 and result["refused"] == 0, result


def test_connections_told_to_a_process_that_leaves_are_served(programs):
    """
    The kernel wakes one of those that accept from a shared socket. When that one was just leaving, nobody looked: the client
    waited until the next one came.
    """
    def stall(ms):
        status, text, _ = old.admin("POST", f"/debug/stall?worker=0&ms={ms}")
        if status == 404:
            pytest.skip("a build without RG_DEBUG_SWITCHES")
        assert status == 200, text
    owned = owned_listener()
    origin = programs.raw_origin()
    listen = [f"127.0.0.1:{owned.getsockname()[1]}"]
    old = programs.gateway(origin.address, listen=listen, inherit=[owned])
    programs.gateway(origin.address, listen=listen, inherit=[owned])
    # After the first stall the worker begins to drain, and sleeps before the kernel hears of it.
    stall(400)
    time.sleep(0.1)
    stall(800)
    old.process.signal(signal.SIGTERM)
    time.sleep(0.6)
    clients = [Client(old.address, timeout=4) for _ in range(5)]
    for c in clients:
        c.send(req(method="GET"))
    for c in clients:
        assert c.response().status == 200
        c.close()
    assert old.process.wait(5) == 0


def test_descriptors_of_another_process_are_not_taken(programs):
    """LISTEN_PID of somebody else: the variables are not for us."""
    origin = programs.raw_origin(lambda c, q: reply(b"ok"))
    gateway = programs.gateway(origin.address, environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert get(gateway.address).body == b"ok"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_restart_right_after_a_kill(programs, tmp_path, kind):
    """io_uring lets go of the listening sockets a little after the process is gone; the successor waits for that."""
    origin = programs.raw_origin(lambda c, q: reply(b"ok"))
    listen = [f"127.0.0.1:{env.free_port()}"] if kind == "tcp" else [f"unix:{tmp_path}/front.sock"]
    gateway = programs.gateway(origin.address, listen=listen, workers=4)
    for _ in range(10):
        clients = [Client(gateway.address) for _ in range(20)]
        assert clients[0].request(req(method="GET")).status == 200
        gateway.kill()
        gateway.start()
        for c in clients:
            c.close()
    assert get(gateway.address).status == 200
