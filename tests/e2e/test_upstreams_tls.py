"""https to the upstreams of routes: whom the gateway believes, what it shows, and servers that break TLS."""

import signal
import socket
import ssl
import threading
import time

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, Incomplete, elapsed, get
from lib.h2 import H2
from lib.raw_origin import Answer, reply
from lib.routed import Routed, target, unit
from lib.tls import Certificate
from lib.tls_origin import TlsOrigin
from lib.websocket import HANDSHAKE, echo_tunnel


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    d = tmp_path_factory.mktemp("certificates")
    ca, other_ca = Certificate(d, "ca"), Certificate(d, "other-ca")
    return {
        "ca": ca,
        "good": Certificate(d, "good", ["localhost", "origin.example"], ca=ca),
        "wrong name": Certificate(d, "wrong", ["somebody.else"], ca=ca),
        "unknown authority": Certificate(d, "unknown", ["localhost"], ca=other_ca),
        "expired": Certificate(d, "expired", ["localhost"]).expire(),
        "client": Certificate(d, "client", ["gateway"], ca=ca),
    }


@pytest.fixture
def routed(programs, tmp_path):
    def make(config=None, **more):
        replica = programs.raw_origin()
        g = Routed(tmp_path, replica.address, config, **more)
        programs.started.append(g)
        return g.start()
    return make


@pytest.fixture
def origin(programs, tmp_path, certificates):
    def make(which="good", **more):
        o = TlsOrigin(tmp_path, certificate=certificates[which], **more)
        programs.started.append(o)
        return o
    return make


def request(path, body=b""):
    lines = (f"Content-Length: {len(body)}",) if body else ()
    return req(*lines, target=path, method="POST" if body else "GET", body=body)


def secure(path, address, certificates, host="localhost", **upstream):
    """A route there, by its name, whose certificate must be of our authority."""
    upstream.setdefault("ca_file", certificates["ca"].cert)
    return unit(path, target(address, tls=True, host=host), **upstream)


# ---- what is agreed on ----

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_verified_named_and_resumed(routed, origin, certificates, version):
    gateway = routed()
    o = origin(version=version, script=lambda c, r: Answer(reply(b"hello"), "close"))
    gateway.deploy(secure("/a", o.address, certificates))
    for _ in range(3):
        assert get(gateway.address, "/a").body == b"hello"
    seen = o.greeted()
    assert [c.name for c in seen] == ["localhost"] * 3
    assert [c.protocol for c in seen] == ["http/1.1"] * 3
    assert [c.resumed for c in seen] == [False, True, True]
    assert o.requests[0].get("host") == f"localhost:{o.port}"
    m = gateway.metrics()
    assert m.get("ringgate_upstream_tls_handshakes_total", kind="full") == 1
    assert m.get("ringgate_upstream_tls_handshakes_total", kind="resumed") == 2


@pytest.mark.parametrize("fields", [[("Connection", "close")], []], ids=["announced", "unannounced"])
def test_the_end_of_tls_is_no_surplus(routed, origin, certificates, fields):
    """Behind a large response it may be there before anybody looks, and is not of HTTP."""
    gateway = routed()
    o = origin(version=ssl.TLSVersion.TLSv1_2, script=lambda c, r: Answer(reply(b"h" * int(r.target[3:]), fields=fields), "close"))
    gateway.deploy(secure("/a", o.address, certificates))
    for size in range(65536, 81920, 512):
        assert len(get(gateway.address, f"/a/{size}").body) == size
    assert gateway.metrics().get("ringgate_upstream_surplus_total") == 0


def test_connections_are_kept(routed, origin, certificates):
    gateway = routed()
    o = origin()
    gateway.deploy(secure("/a", o.address, certificates))
    with Client(gateway.address) as c:
        for n in (0, 10, 5000, 70000, 300000, 0):
            assert c.request(request("/a", b"x" * n)).status == 200
    assert len(o.connections) == 1
    assert [len(r.body) for r in o.requests] == [0, 10, 5000, 70000, 300000, 0]


def test_bodies_of_all_sizes_come_back(routed, origin, certificates):
    gateway = routed()
    o = origin(script=lambda c, r: reply(bytes(range(256)) * (int(r.target.rpartition("/")[2]) // 256)))
    gateway.deploy(secure("/a", o.address, certificates))
    with Client(gateway.address) as c:
        for n in (256, 16384, 65536, 1 << 20, 256):
            assert c.request(request(f"/a/{n}")).body == bytes(range(256)) * (n // 256)
    assert len(o.connections) == 1


def test_the_name_may_be_another_than_the_host(routed, origin, certificates):
    gateway = routed()
    o = origin()
    gateway.deploy(secure("/a", o.address, certificates, host="127.0.0.1", server_name="origin.example"))
    assert get(gateway.address, "/a").status == 200
    assert o.greeted()[0].name == "origin.example"


def test_authorities_of_the_system(routed, origin, certificates):
    gateway = routed(environment={"SSL_CERT_FILE": certificates["ca"].cert})
    good, unknown = origin(), origin("unknown authority")
    gateway.deploy(secure("/good", good.address, certificates, ca_file=""),
                   secure("/unknown", unknown.address, certificates, ca_file=""))
    assert get(gateway.address, "/good").status == 200
    assert get(gateway.address, "/unknown").status == 502


def test_a_tunnel_outlives_its_route(routed, origin, certificates):
    gateway = routed()
    o = origin(script=echo_tunnel)
    gateway.deploy(secure("/a", o.address, certificates))
    with Client(gateway.address) as c:
        c.send(req(*HANDSHAKE, method="GET", target="/a"))
        assert c.head().status == 101
        for n in (1, 1000, 50000):
            gateway.deploy()  # from the first one on nothing leads there
            c.send(b"e" * n)
            got = []
            c._exactly(n, got.append)
            assert b"".join(got) == b"e" * n
        assert gateway.metrics().get("ringgate_upstream_connections_open") == 1
    gateway.wait_metric(0, "ringgate_upstream_connections_open")
    env.wait_until(lambda: '"endpoints":[]' in gateway.admin("GET", "/config")[1], 10, "the endpoint to be gone")


def test_clients_of_http2(routed, origin, certificates):
    gateway = routed()
    o = origin(script=lambda c, r: reply(b"x" * 100000))
    gateway.deploy(secure("/a", o.address, certificates))
    with H2(gateway.address, window=1 << 20) as c:
        streams = [c.get(f"/a/{i}") for i in range(3)]
        for stream in streams:
            r = c.response(stream)
            assert r.status == 200 and bytes(r.body) == b"x" * 100000
    assert sorted(r.target for r in o.requests) == ["/a/0", "/a/1", "/a/2"]


# ---- whom the gateway does not believe ----

@pytest.mark.parametrize("which,cause", [("wrong name", "ostname mismatch"), ("expired", "expired"),
                                         ("unknown authority", "unable to get local issuer certificate")])
def test_certificates_that_are_not_good(routed, origin, certificates, which, cause):
    gateway = routed()
    o = origin(which)
    believed = {"ca_file": certificates["expired"].cert, "server_name": "old"} if which == "expired" else {}
    gateway.deploy(secure("/a", o.address, certificates, **believed),
                   secure("/trusting", o.address, certificates, verify=False))
    for _ in range(5):
        r = get(gateway.address, "/a")
        assert r.status == 502 and b"certificate" in r.body, r
    assert get(gateway.address, "/trusting").status == 200
    assert [r.target for r in o.requests] == ["/trusting"]  # nothing was said to the other
    m = gateway.metrics()
    assert m.refused() == {"upstream-certificate": 5}
    assert m.get("ringgate_upstream_tls_failures_total", cause="certificate") == 5
    env.wait_until(lambda: cause in gateway.log(), 5, "a line in the log")
    lines = [ln for ln in gateway.log().splitlines() if "TLS handshake with an upstream failed" in ln]
    assert len(lines) == 1 and f"upstream=https://localhost:{o.port}" in lines[0], lines


def test_a_bad_target_is_passed_over(routed, origin, certificates):
    gateway = routed()
    bad, good = origin("expired"), origin()
    gateway.deploy(unit("/a", target(bad.address, tls=True, host="localhost"),
                        target(good.address, tls=True, host="localhost"), ca_file=certificates["ca"].cert))
    for _ in range(10):
        assert get(gateway.address, "/a").status == 200
    assert not bad.requests and len(good.requests) == 10


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_client_certificate(routed, origin, certificates, shown, version):
    gateway = routed()
    o = origin(client_ca=certificates["ca"], version=version)
    client = certificates["client"]
    own = {"cert_file": client.cert, "key_file": client.key} if shown else {}
    gateway.deploy(secure("/a", o.address, certificates, **own))
    r = get(gateway.address, "/a")
    assert r.status == (200 if shown else 502), r
    assert gateway.metrics().refused() == ({} if shown else {"upstream-tls-failed": 1})


@pytest.mark.parametrize("what,field,words", [
    ({"ca_file": "/dev/null"}, "ca_file", "no certificates"),
    ({"ca_file": "/no/such/file"}, "ca_file", "No such file"),
    ({"cert_file": "/dev/null"}, "key_file", "needs both"),
])
def test_files_that_can_not_be_used(routed, what, field, words):
    gateway = routed()
    why = gateway.refused(unit("/a", {"host": "localhost", "port": 443, "tls": True}, **what))
    assert field in why and words in why, why


# ---- servers that break TLS ----

def serve_raw(programs, act):
    """A server that speaks no TLS: act(socket) for each connection."""
    class Server:
        def __init__(self):
            self.sock = socket.create_server(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"
            self.open = []
            threading.Thread(target=self._run, daemon=True).start()

        def _run(self):
            while True:
                try:
                    s, _ = self.sock.accept()
                except OSError:
                    return
                self.open.append(s)
                threading.Thread(target=act, args=(s,), daemon=True).start()

        def close(self):
            self.sock.close()
            for s in self.open:
                s.close()
    server = Server()
    programs.started.append(server)
    return server


def test_a_handshake_that_takes_too_long(programs, routed, certificates):
    gateway = routed({"timeouts": {"connect": env.ms(400)}})
    server = serve_raw(programs, lambda s: s.recv(65536))  # takes the hello, and says nothing
    gateway.deploy(secure("/a", server.address, certificates))
    start = time.monotonic()
    r = get(gateway.address, "/a")
    assert r.status == 504 and elapsed(start) >= 0.35, r
    assert gateway.metrics().refused() == {"upstream-connect-timeout": 1}
    gateway.wait_metric(0, "ringgate_upstream_connections_open")


@pytest.mark.parametrize("words", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\x15\x03\x01\x00\x02\x02\x28", b""],
                         ids=["clear", "alert", "end"])
def test_a_server_that_speaks_something_else(programs, routed, certificates, words):
    def act(s):
        s.sendall(words)
        s.shutdown(socket.SHUT_WR)
    gateway = routed()
    server = serve_raw(programs, act)
    gateway.deploy(secure("/a", server.address, certificates))
    r = get(gateway.address, "/a")
    assert r.status == 502 and b"evil" not in r.body, r
    assert gateway.metrics().refused() == {"upstream-tls-failed": 1}


UNTIL_THE_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"


def test_an_end_that_was_told_is_the_end(routed, origin, certificates):
    gateway = routed()
    o = origin(script=lambda c, r: Answer(UNTIL_THE_END, "close"))
    gateway.deploy(secure("/a", o.address, certificates))
    assert get(gateway.address, "/a").body == b"hello"


def test_an_end_that_was_not_told_is_a_cut(routed, origin, certificates):
    gateway = routed()
    o = origin(script=lambda c, r: Answer(UNTIL_THE_END, "cut"))
    gateway.deploy(secure("/a", o.address, certificates))
    with Client(gateway.address) as c:
        try:
            r = c.request(request("/a"))
        except Incomplete:
            return
        assert r.status == 502, r  # nothing of it had been sent yet


def test_it_ends_while_the_handshake_is_under_way(programs, routed, certificates):
    """Client, route and gateway go away at moments at which a connect or a handshake is in flight."""
    gateway = routed({"timeouts": {"connect": "30s"}})
    server = serve_raw(programs, lambda s: s.recv(65536))
    gateway.deploy(secure("/a", server.address, certificates))
    c = Client(gateway.address)
    c.send(request("/a"))
    env.wait_until(lambda: server.open, 5, "the connect")
    c.close()
    gateway.wait_metric(0, "ringgate_upstream_connections_open", 10)
    with Client(gateway.address) as second:
        second.send(request("/a"))
        env.wait_until(lambda: len(server.open) == 2, 5, "another connect")
        gateway.deploy()
        assert get(gateway.address, "/a").status == 200  # the replica's
        gateway.process.signal(signal.SIGTERM)
        env.wait_until(lambda: "draining" in gateway.log(), 5, "the drain")  # two at once would be one
        gateway.process.signal(signal.SIGTERM)
        gateway.process.wait()
