"""The PROXY protocol: whose connection it is, who may say so, and what becomes of everything else before the first request."""

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from lib import env, proxies, tls
from lib.attack import Lane, req
from lib.client import Client, Incomplete
from lib.proxies import extension, v1, v2, with_checksum

PEER = "192.0.2.1"
GET = req(method="GET")


class Front(Lane):
    """Two gateways with one origin and one log: a header may, or must come from 127.0.0.2."""

    def __init__(self, programs):
        self.origin = programs.raw_origin()
        self.log = os.path.join(str(programs.directory), "access.log")
        self.accepting, self.requiring = env.free_port(), env.free_port()
        proxy = lambda mode: {"mode": mode, "trusted": ["127.0.0.2", "::1"]}
        gateway = programs.gateway(self.origin.address, {
            "listeners": [{"address": f"127.0.0.1:{self.accepting}", "proxy_protocol": proxy("accept")},
                          {"address": f"127.0.0.1:{self.requiring}", "proxy_protocol": proxy("require")}],
            "trusted_proxies": ["198.51.100.0/24"],
            "timeouts": {"client_head": env.ms(600), "client_idle": env.ms(3000)},
            "access_log": {"path": self.log},
        }, listen=[f"127.0.0.1:{self.accepting}"])
        super().__init__(gateway, self.origin)

    def client(self, mode, source="127.0.0.2"):
        return Client(("127.0.0.1", self.accepting if mode == "accept" else self.requiring), source=source)

    def record(self):
        """The access record of the last request at the origin."""
        ident = self.origin.last().get("x-request-id")

        def found():
            with open(self.log, encoding="utf-8") as f:
                rows = [json.loads(line) for line in f]
            return [r for r in rows if r["request_id"] == ident]
        return env.wait_until(found, 3, "the access record")[0]


@pytest.fixture(scope="module")
def front(shared):
    return Front(shared)


MODES = ("accept", "require")


# ---- headers that are taken ----

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("header, ip, forwarded", [
    (v1(), PEER, PEER), (v2(), PEER, PEER),
    (v1("2001:db8::1", "2001:db8::2"), "2001:db8::1", '"[2001:db8::1]"'),
    (v2("2001:db8::1", "2001:db8::2"), "2001:db8::1", '"[2001:db8::1]"'),
    (v2("::ffff:192.0.2.9", "::ffff:192.0.2.2"), "192.0.2.9", "192.0.2.9"),
    (v2(extensions=extension(0x02, b"x.test") + extension(0x04, bytes(3000))), PEER, PEER),
    (with_checksum(v2(extensions=extension(0xee, b"aws"))), PEER, PEER),
], ids=["v1", "v2", "v1-ipv6", "v2-ipv6", "v2-mapped", "v2-extensions", "v2-checksum"])
def test_the_client_is_whom_the_header_names(front, mode, header, ip, forwarded):
    front.reset()
    with front.client(mode) as c:
        c.send(header)
        for _ in range(2):  # it holds for the whole connection
            assert c.request(req("X-Forwarded-For: 203.0.113.9", method="GET")).status == 200
            q = front.origin.last()
            assert q.get("x-forwarded-for") == ip and q.get("x-real-ip") == ip
            assert f"for={forwarded};" in q.get("forwarded")
            assert q.get("x-forwarded-port") == "8443" and q.get("x-forwarded-proto") == "http"
        record = front.record()
        assert record["client"] == ip and record["client_port"] == 4660, record
    assert front.counted() == {}


@pytest.mark.parametrize("header", [v2(None, command=0x20), v2(command=0x20), v2(None), b"PROXY UNKNOWN\r\n",
                                    b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n"],
                         ids=["local", "local-with-address", "unspec", "unknown", "unknown-with-address"])
@pytest.mark.parametrize("mode", MODES)
def test_without_a_client_the_connection_speaks_for_itself(front, mode, header):
    front.reset()
    with front.client(mode) as c:
        c.send(header + GET)
        assert c.response().status == 200
    assert front.origin.last().get("x-forwarded-for") == "127.0.0.2"
    assert front.record()["client"] == "127.0.0.2"


def test_a_client_of_a_unix_socket_has_no_address(front):
    front.reset()
    with front.client("require") as c:
        c.send(v2("/run/client.sock", "/run/proxy.sock") + GET)
        assert c.response().status == 200
    q = front.origin.last()
    assert q.get("x-forwarded-for") is None and "for=unknown" in q.get("forwarded")
    assert front.record()["client"] == "unix"


def test_the_client_used_tls_with_the_proxy(front):
    front.reset()
    with front.client("require") as c:
        c.send(v2(extensions=extension(0x20, b"\x01\0\0\0\0" + extension(0x21, b"TLSv1.3"))) + GET)
        assert c.response().status == 200
    q = front.origin.last()
    assert q.get("x-forwarded-proto") == "https" and "proto=https" in q.get("forwarded")


def test_trusted_proxies_are_judged_by_the_named_address(front):
    front.reset()
    for source, trusted in (("198.51.100.7", True), (PEER, False)):
        with front.client("require") as c:
            c.send(v1(source) + req("X-Forwarded-For: 203.0.113.9", "X-Request-Id: mine", method="GET"))
            assert c.response().status == 200
        q = front.origin.last()
        assert q.get("x-forwarded-for") == (f"203.0.113.9, {source}" if trusted else source)
        assert (q.get("x-request-id") == "mine") is trusted


def test_a_header_is_taken_once(front):
    front.reset()
    with front.client("require") as c:
        c.send(v1() + v1("203.0.113.9") + GET)
        assert c.response().status == 400
        c.expect_end()
    assert front.origin.requests == []


@pytest.mark.parametrize("header", [v1(), with_checksum(v2(extensions=extension(0x02, b"x.test")))], ids=["v1", "v2"])
def test_header_byte_by_byte(front, header):
    front.reset()
    with front.client("require") as c:
        for i in range(len(header)):
            c.send(header[i:i + 1])
        c.send(GET)
        assert c.response().status == 200
        assert front.origin.last().get("x-forwarded-for") == PEER


@pytest.mark.parametrize("cut", [1, 5, 6, 12, 13, 16, 27, 28, 29, 40])
def test_header_and_request_in_any_two_pieces(front, cut):
    front.reset()
    with front.client("accept") as c:
        data = v2() + GET
        c.send(data[:cut])
        front.gateway.metrics()  # the worker has had a turn
        c.send(data[cut:])
        assert c.response().status == 200
        assert front.origin.last().get("x-forwarded-for") == PEER


def test_a_proxy_keeps_its_connection_waiting_as_a_client_would(front):
    """After the header the time of an idle connection counts, not that of a head."""
    front.reset()
    with front.client("require") as c:
        c.send(v1())
        assert c.is_silent(env.scaled(1.2))
        assert c.request(GET).status == 200


# ---- without a header ----

@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.3"])
def test_where_it_is_accepted_clients_come_without(front, source):
    front.reset()
    with front.client("accept", source) as c:
        for data in (GET, b"\r\n\r\n" + GET, req(body=b"x", method="PUT", target="/p").replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n")):
            assert c.request(data).status == 200
        assert front.origin.last().get("x-forwarded-for") == source
    with front.client("accept", source) as c:  # and may think about it
        assert c.is_silent(env.scaled(1.0))
        assert c.request(GET).status == 200
    assert front.counted() == {}


def closed_without_answer(front, mode, data, reason, source="127.0.0.2", end=False):
    front.reset()
    with front.client(mode, source) as c:
        c.send(data)
        if end:
            c.sock.shutdown(socket.SHUT_WR)
        c.expect_end()
    front.expect_counted({reason})
    with front.client("accept") as c:
        assert c.request(req(method="GET", target="/marker")).status == 200
    assert [q.target for q in front.origin.requests] == ["/marker"]
    front.gateway.wait_metric(0, "ringgate_exchanges_open")  # it ends a turn after its client has the response


@pytest.mark.parametrize("data", [GET, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"SSH-2.0-x\r\n", b"\r\n" + GET,
                                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"])
def test_missing_where_required(front, data):
    closed_without_answer(front, "require", data, "proxy-missing")


@pytest.mark.parametrize("header", [v1(), v2(), b"PROXY UNKNOWN\r\n", v2(None, command=0x20), b"PROXY nonsense\r\n", v1()[:10]])
def test_from_somebody_who_is_not_trusted(front, header):
    closed_without_answer(front, "accept", header + GET, "proxy-untrusted", "127.0.0.3")


def test_where_it_is_required_others_are_closed_at_once(front):
    front.reset()
    with front.client("require", "127.0.0.3") as c:
        c.expect_end()
    front.expect_counted({"proxy-untrusted"})


MALFORMED = {
    "port-over-65535": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
    "leading-zero": b"PROXY TCP4 192.0.2.1 192.0.2.2 01 1\r\n",
    "bare-lf": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
    "wrong-family": b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
    "line-over-107-bytes": b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    "method": b"PROXY / HTTP/1.1\r\nHost: x\r\n\r\n",
    "over-4-KiB": v2(extensions=extension(0x04, bytes(5000))),
    "over-4-KiB-announced": v2(extensions=extension(0x04, bytes(60000)))[:16],
    "extension-beyond-the-end": v2(extensions=b"\x04\0\x05abcd"),
    "extension-cut": v2(extensions=b"\x04\0"),
    "extension-nonsense": v2(extensions=bytes(range(1, 100))),
    "checksum": v2(extensions=extension(3, b"abcd")),
    "checksum-length": v2(extensions=extension(3, b"abc")),
    "command": v2(command=0x22),
    "version-3": v2(command=0x31),
    "short-address": proxies.SIGNATURE + b"\x21\x11\0\x04" + b"\xc0\0\x02\x01",
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("mode", MODES)
def test_malformed(front, mode, name):
    closed_without_answer(front, mode, MALFORMED[name] + GET, "proxy-malformed")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("data", [v1()[:-1], v1()[:7], v2()[:-1], v2()[:12]])
def test_truncated_by_the_end_of_the_connection(front, mode, data):
    closed_without_answer(front, mode, data, "proxy-malformed", end=True)


@pytest.mark.parametrize("mode, data", [("require", b""), ("require", v1()[:20]), ("accept", v2()[:20]), ("accept", v1()[:-1])])
def test_truncated_by_waiting(front, mode, data):
    start = time.monotonic()
    closed_without_answer(front, mode, data, "proxy-timeout")
    assert time.monotonic() - start >= env.scaled(0.6) * 0.9


def test_a_drip_does_not_extend_the_time(front):
    front.reset()
    with front.client("require") as c:
        start = time.monotonic()
        for byte in v1():
            if not c.send(bytes([byte])) or not c.is_silent(env.scaled(0.05)):
                break
        c.expect_end()
        assert time.monotonic() - start < env.at_most(1.6)
    front.expect_counted({"proxy-timeout"})


def test_half_of_something_else_is_judged_as_http(front):
    """Three bytes that might begin a header, and the end: no header was cut."""
    front.reset()
    with front.client("accept") as c:
        c.send(b"PRO")
        c.sock.shutdown(socket.SHUT_WR)
        try:
            assert c.response().status == 400
        except Incomplete:
            pass
    assert "proxy-malformed" not in front.counted()


def test_connections_that_come_and_go_are_no_trouble(front):
    """What a load balancer's TCP check does."""
    front.reset()
    for _ in range(20):
        front.client("require").close()
    front.gateway.wait_metric(0, "ringgate_connections_open")
    assert front.counted() == {}


def test_headers_are_counted_by_version(front):
    name = "ringgate_proxy_headers_total"
    before = front.gateway.metrics()
    for header in (v1(), v2(), v2(None, command=0x20)):
        with front.client("require") as c:
            c.send(header + GET)
            assert c.response().status == 200
    after = front.gateway.metrics()
    assert [after.get(name, version=v) - before.get(name, version=v) for v in ("1", "2")] == [1, 2]


# ---- TLS behind the header ----

@pytest.fixture(scope="module")
def secure(shared, tmp_path_factory):
    certificate = tls.Certificate(tmp_path_factory.mktemp("certs"), "a", ["a.example"])
    origin = shared.raw_origin()
    address = f"127.0.0.1:{env.free_port()}"
    proxy = {"mode": "require", "trusted": ["127.0.0.1"]}
    gateway = shared.gateway(origin.address, {"listeners": [dict(tls.listener(address, certificate), proxy_protocol=proxy)],
                                              "timeouts": {"client_head": env.ms(800)}}, listen=[address])
    return Lane(gateway, origin)


@pytest.mark.parametrize("corked", [False, True])
@pytest.mark.parametrize("header", [v1(), v2(extensions=extension(0x02, b"a.example"))], ids=["v1", "v2"])
def test_tls_begins_behind_the_header(secure, header, corked):
    """In segments of its own, and in one with the first bytes of the handshake."""
    secure.reset()
    with Client(secure.gateway.address) as c:
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, int(corked))
        c.send(header)
        c.sock = tls.context().wrap_socket(c.sock, server_hostname="a.example", do_handshake_on_connect=False)
        c.sock.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            c.sock.do_handshake()
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        c.sock.settimeout(env.scaled(5))
        c.sock.do_handshake()
        for _ in range(2):
            assert c.request(GET).status == 200
    q = secure.origin.last()
    assert q.get("x-forwarded-for") == PEER and q.get("x-forwarded-proto") == "https"
    assert q.get("x-forwarded-port") == "8443"


@pytest.mark.parametrize("data, reason", [(tls.client_hello(), "proxy-missing"), (GET, "proxy-missing"),
                                          (v1()[:9], "proxy-timeout"), (b"PROXY x\r\n", "proxy-malformed")])
def test_without_a_header_there_is_no_handshake(secure, data, reason):
    secure.reset()
    with Client(secure.gateway.address) as c:
        c.send(data)
        c.expect_end()
    secure.expect_counted({reason})


def test_behind_the_header_the_handshake_has_its_time(secure):
    secure.reset()
    with Client(secure.gateway.address) as c:
        start = time.monotonic()
        c.send(v1())
        c.expect_end()
        assert time.monotonic() - start >= env.scaled(0.8) * 0.9


# ---- other listeners, reloads ----

def test_off_is_http_alone(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        c.send(v1() + GET)
        assert c.response().status == 400
        c.expect_end()
    assert origin.requests == []


def test_whoever_may_connect_to_a_unix_socket_is_trusted(programs, tmp_path):
    origin = programs.raw_origin()
    path = str(tmp_path / "in.sock")
    gateway = programs.gateway(origin.address, {"listeners": [{"address": f"unix:{path}", "proxy_protocol": {"mode": "require"}}]},
                               listen=[f"unix:{path}"])
    with Client(gateway.address) as c:
        c.send(v2() + GET)
        assert c.response().status == 200
    q = origin.last()
    assert q.get("x-forwarded-for") == PEER and q.get("x-forwarded-port") == "8443"


def test_a_reload_changes_whom_to_trust(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address)
    listener = lambda **proxy: {"listeners": [{"address": gateway.listen[0], "proxy_protocol": proxy}]}

    def served():
        with Client(gateway.address, source="127.0.0.2") as c:
            c.send(v1() + GET)
            try:
                return c.response().status == 200
            except Incomplete:
                return False
    gateway.reconfigure(listener(mode="require", trusted=["127.0.0.1", "127.0.0.2"]))
    status, text, _ = gateway.admin("POST", "/reload")
    assert status == 200, text
    env.wait_until(served, 5, "the new setting")
    assert origin.last().get("x-forwarded-for") == PEER
    gateway.reconfigure(listener(mode="require", trusted=["127.0.0.1"]))
    assert gateway.admin("POST", "/reload")[0] == 200
    env.wait_until(lambda: not served(), 5, "the new setting")


# ---- other people's programs ----

@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl(front):
    front.reset()
    r = subprocess.run(["curl", "-sS", "--haproxy-protocol", "--interface", "127.0.0.2", "--max-time", "20",
                        f"http://127.0.0.1:{front.requiring}/"], capture_output=True, check=False)
    assert r.returncode == 0 and r.stdout == b"ok", r
    q = front.origin.last()
    assert q.get("x-forwarded-for") == "127.0.0.2" and q.get("x-forwarded-port") == str(front.requiring)


@pytest.fixture(scope="module")
def behind(shared):
    """A gateway that wants a header from this machine."""
    origin = shared.raw_origin()
    port = env.free_port()
    shared_log = os.path.join(str(shared.directory), "behind.log")
    gateway = shared.gateway(origin.address, {
        "listeners": [{"address": f"127.0.0.1:{port}", "proxy_protocol": {"mode": "accept", "trusted": ["127.0.0.1"]}}],
        "access_log": {"path": shared_log}}, listen=[f"127.0.0.1:{port}"])
    return Lane(gateway, origin)


@pytest.mark.parametrize("options, version", [("send-proxy", "1"), ("send-proxy-v2", "2"),
                                              ("send-proxy-v2 proxy-v2-options crc32c,unique-id", "2")])
def test_behind_haproxy(behind, programs, options, version):
    proxy = proxies.haproxy(programs.directory, behind.gateway.listen[0], options)
    if not proxy:
        pytest.skip("haproxy is not installed")
    through(behind, programs.add(proxy), version)


def test_behind_haproxy_that_checks(behind, programs):
    """Its health checks bring LOCAL headers."""
    proxy = proxies.haproxy(programs.directory, behind.gateway.listen[0], "send-proxy-v2 check-send-proxy check inter 50",
                            mode="tcp")
    if not proxy:
        pytest.skip("haproxy is not installed")
    programs.add(proxy)
    before = behind.gateway.metrics().get("ringgate_proxy_headers_total", version="2")
    env.wait_until(lambda: behind.gateway.metrics().get("ringgate_proxy_headers_total", version="2") > before + 2, 10,
                   "health checks")
    through(behind, proxy, "2")
    assert "proxy-malformed" not in behind.counted()


def test_behind_nginx(behind, programs):
    proxy = proxies.nginx(programs.directory, behind.gateway.listen[0])
    if not proxy:
        pytest.skip("nginx's stream module is not installed")
    through(behind, programs.add(proxy), "1")


def through(behind, proxy, version):
    behind.reset()
    before = behind.gateway.metrics().get("ringgate_proxy_headers_total", version=version)
    with Client(("127.0.0.1", proxy.port), source="127.0.0.9") as c:
        for _ in range(2):
            assert c.request(GET).status == 200
        assert behind.origin.last().get("x-forwarded-for").endswith("127.0.0.9")
        assert behind.origin.last().get("x-forwarded-port") == str(proxy.port)
    assert behind.gateway.metrics().get("ringgate_proxy_headers_total", version=version) > before
