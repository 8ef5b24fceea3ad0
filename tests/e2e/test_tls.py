"""TLS on listeners: versions, certificates by name, both ways of bodies, ends, sessions, what is refused."""

import json
import os
import socket
import ssl
import subprocess
import time

import pytest

from lib import env, tls
from lib.attack import req
from lib.client import Client, Incomplete
from lib.tls import TlsClient


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    d = tmp_path_factory.mktemp("certs")

    class Certs:
        ec = tls.Certificate(d, "ec", ["a.example"])
        rsa = tls.Certificate(d, "rsa", ["a.example"], kind="rsa")
        other = tls.Certificate(d, "other", ["other.example", "*.w.example"])
    return Certs


def tls_gateway(programs, replica, certs, config=None, **more):
    address = f"127.0.0.1:{env.free_port()}"
    config = {"listeners": [tls.listener(address, certs.ec, certs.rsa, certs.other)], **(config or {})}
    return programs.gateway(replica, config, listen=[address], **more)


@pytest.fixture(scope="module")
def site(shared, certs):
    class Site:
        origin = shared.origin()
        gateway = tls_gateway(shared, origin.address, certs, {
            "access_log": {"path": os.path.join(shared.directory, "access.log")},
            "timeouts": {"client_head": env.ms(1000)}}, workers=2)
    return Site


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
def test_requests(site, version):
    with TlsClient(site.gateway.address, ctx=tls.context(version)) as c:
        assert c.sock.version() == {VERSIONS[0]: "TLSv1.2", VERSIONS[1]: "TLSv1.3"}[version]
        for n in (0, 1, 1000, 16384, 16385, 300_000):
            r = c.request(req(method="GET", target=f"/bytes/{n}"))
            assert r.status == 200 and len(r.body) == n
        seen = json.loads(c.request(req(method="GET", target="/inspect")).body)
        fields = {k.lower(): v for k, v in seen["fields"]}
        assert fields["x-forwarded-proto"] == "https" and "proto=https" in fields["forwarded"]
        assert fields["x-forwarded-port"] == str(site.gateway.address[1])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_both_ways(site, version, chunked):
    """A client that sends and receives at once, more than any buffer holds."""
    n = 3_000_000
    body = os.urandom(n)
    with TlsClient(site.gateway.address, ctx=tls.context(version)) as c:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {n}"
        pieces = [body[at:at + 50_000] for at in range(0, n, 50_000)]
        if chunked:
            pieces = [b"%x\r\n%s\r\n" % (len(p), p) for p in pieces] + [b"0\r\n\r\n"]
        r = c.exchange(req(framing, target="/echo") + b"".join(pieces))
        assert r.status == 200 and r.body == body


def test_curl(site):
    for flags in (["--tls-max", "1.2"], ["--tlsv1.3"], ["--http1.0"]):
        status, body = tls.curl(site.gateway, "/bytes/100000", *flags)
        assert status == 200 and len(body) == 100_000
    status, body = tls.curl(site.gateway, "/echo", "-T", "-", data=b"x" * 200_000)
    assert status == 200 and body == b"x" * 200_000


@pytest.mark.parametrize("asked,which", [
    (None, "ec"), ("a.example", "ec"), ("A.EXAMPLE", "ec"), ("other.example", "other"), ("x.w.example", "other"),
    ("x.y.w.example", "ec"), ("nobody.example", "ec")])
def test_certificate_by_name(site, certs, asked, which):
    with TlsClient(site.gateway.address, name=asked) as c:
        assert c.certificate == tls.der(getattr(certs, which))


def test_the_name_of_the_certificate_is_no_boundary(site):
    """One replica stands behind all names: a Host of another certificate, or of none, is served on the same connection."""
    with TlsClient(site.gateway.address, name="a.example") as c:
        for host in ("a.example", "other.example", "nobody.example"):
            seen = json.loads(c.request(req(method="GET", target="/inspect", host=host)).body)
            assert {k.lower(): v for k, v in seen["fields"]}["host"] == host


def test_rsa_for_those_without_ecdsa(site, certs):
    ctx = tls.context(ssl.TLSVersion.TLSv1_2)
    ctx.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    with TlsClient(site.gateway.address, name="a.example", ctx=ctx) as c:
        assert c.certificate == tls.der(certs.rsa)


def test_alpn(site):
    with TlsClient(site.gateway.address, ctx=tls.context(alpn=["nonsense", "http/1.1"])) as c:
        assert c.sock.selected_alpn_protocol() == "http/1.1"
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        TlsClient(site.gateway.address, ctx=tls.context(alpn=["nonsense"]))


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_resumed(site, version):
    """By any worker: ten connections reach both."""
    ctx, session, resumed = tls.context(version), None, 0
    site.gateway.wait_metric(0, "ringgate_connections_open", 10)  # those of earlier tests are counted
    before = site.gateway.metrics()
    for i in range(10):
        with TlsClient(site.gateway.address, name="a.example", ctx=ctx, session=session) as c:
            assert c.request(req(method="GET", target="/bytes/1")).status == 200
            assert c.sock.session_reused == (i > 0)
            resumed += c.sock.session_reused
            session = session or c.sock.session
    assert resumed == 9
    after = site.gateway.metrics()
    grown = {k: after.get("ringgate_tls_handshakes_total", kind=k) - before.get("ringgate_tls_handshakes_total", kind=k)
             for k in ("full", "resumed")}
    assert grown == {"full": 1, "resumed": 9}


def test_a_resumed_session_comes_with_the_next_ticket(site):
    """Clients use a ticket of TLS 1.3 once (RFC 8446 C.4): without another one every second handshake of theirs is full."""
    ctx, session, resumed, tickets = tls.context(ssl.TLSVersion.TLSv1_3), None, [], set()
    for _ in range(6):
        with TlsClient(site.gateway.address, name="a.example", ctx=ctx, session=session) as c:
            assert c.request(req(method="GET", target="/bytes/1")).status == 200
            resumed.append(c.sock.session_reused)
            session = c.sock.session
            tickets.add(session.id)  # OpenSSL makes it from the ticket
    assert resumed == [False] + [True] * 5 and len(tickets) == 6


def test_early_data_is_off(site, tmp_path):
    session = str(tmp_path / "session")
    tls.s_client(site.gateway, "-tls1_3", "-ign_eof", "-sess_out", session,
                 send=b"GET /bytes/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    text = open(session, encoding="ascii").read()
    assert "BEGIN SSL SESSION" in text
    _, said = tls.s_client(site.gateway, "-tls1_3", "-sess_in", session)
    assert "Max Early Data: 0" in said or "Early data was not sent" in said


# ---- ends ----

def test_close_notify_before_the_end(site):
    with TlsClient(site.gateway.address) as c:
        r = c.request(req("Connection: close", method="GET", target="/bytes/50000"))
        assert len(r.body) == 50_000
        assert not c._fill() and c.clean_end


def test_idle_connections_end_in_order(programs, certs):
    origin = programs.origin()
    g = tls_gateway(programs, origin.address, certs, {"timeouts": {"client_idle": env.ms(200)}})
    with TlsClient(g.address) as c:
        assert c.request(req(method="GET", target="/bytes/1")).status == 200
        assert not c._fill() and c.clean_end
    g.wait_metric(0, "ringgate_tls_connections_open")


def test_a_cut_body_does_not_look_whole(programs, certs):
    """HTTP/1.0, so that the connection's end is the body's: it must not be a close_notify."""
    origin = programs.origin()
    g = tls_gateway(programs, origin.address, certs)
    with TlsClient(g.address) as c:
        c.send(b"GET /bytes/1000000?chunked=1&close=300000&rst=1 HTTP/1.0\r\nHost: a\r\n\r\n")
        with pytest.raises((Incomplete, ssl.SSLError)):
            c.response()
        assert not c.clean_end


def test_client_leaves_without_close_notify(site):
    for send in (b"", req("Content-Length: 10", body=b"12345")):
        c = TlsClient(site.gateway.address)
        c.send(send)
        os.close(c.sock.detach())
    with TlsClient(site.gateway.address) as c:
        assert c.request(req(method="GET", target="/bytes/1")).status == 200


def test_half_closed_client_gets_its_answer(site):
    """close_notify after the request says only that no other comes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    obj = tls.context().wrap_bio(incoming, outgoing)
    with tls.raw_socket(site.gateway.address) as s:
        def flush():
            s.sendall(outgoing.read())

        def until(act):
            while True:
                try:
                    return act()
                except ssl.SSLWantReadError:
                    flush()
                    incoming.write(s.recv(65536))
        until(obj.do_handshake)
        obj.write(req(method="GET", target="/bytes/1008?delay=50"))
        with pytest.raises(ssl.SSLWantReadError):
            obj.unwrap()
        flush()
        data = b""
        while len(data) < 1008 or not data.endswith(b"3e0\n"):
            piece = until(lambda: obj.read(65536))
            assert piece
            data += piece
        assert data.startswith(b"HTTP/1.1 200")


def test_pipelined_requests(site):
    with TlsClient(site.gateway.address) as c:
        c.send(b"".join(req(method="GET", target=f"/bytes/{n}") for n in range(50)))
        for n in range(50):
            assert len(c.response().body) == n


def test_refusal_in_the_middle_of_an_upload(site):
    with TlsClient(site.gateway.address) as c:
        c.send(req("Content-Length: 100000000000", target="/sink"))
        r = c.response()
        assert r.status == 413
        assert not c._fill() and c.clean_end


# ---- what is refused ----

def failures(gateway, cause):
    return gateway.metrics().get("ringgate_tls_handshake_failures_total", cause=cause)


def is_closed(s):
    """Ended by the gateway, with or without an alert before."""
    data = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


def test_plain_http_gets_an_answer(site):
    for text in (req(method="GET", target="/"), b"GET", b"POST / HTTP/1.1\r\n"):
        with Client(site.gateway.address) as c:
            c.send(text)
            r = c.response()
            assert r.status == 400 and r.says_close
            body = json.loads(r.body)
            assert body["reason"] == "clear-on-tls-port" and "https" in body["message"]
            assert not c._fill()
    assert site.gateway.metrics().get("ringgate_requests_refused_total", reason="clear-on-tls-port") >= 3


@pytest.mark.parametrize("noise", [b"\x00\x01\x02", b"\x80\x2e\x01\x00\x02", b"\r\n", b"\xff" * 100, b"{}",
                                   b"\x16\x03\x01\xff\xff\x01\x00", b"\x16\x03\x03\x00\x04\x0b\x00\x00\x00",
                                   b"\x15\x03\x01\x00\x02\x02\x28"])
def test_garbage_is_closed(site, noise):
    with tls.raw_socket(site.gateway.address) as s:
        s.sendall(noise)
        start = time.monotonic()
        is_closed(s)
        assert time.monotonic() - start < env.at_most(0.5)


def test_half_a_hello(site):
    """Closed within timeouts.client_head, like one that says nothing at all."""
    before = failures(site.gateway, "timeout")
    hello = tls.client_hello()
    sockets = [tls.raw_socket(site.gateway.address) for _ in range(3)]
    sockets[1].sendall(hello[:1])
    sockets[2].sendall(hello[:len(hello) - 1])
    for s in sockets:
        assert is_closed(s) == b""
        s.close()
    assert failures(site.gateway, "timeout") == before + 3


def test_slow_hello(site):
    """A byte now and then does not extend the time."""
    hello = tls.client_hello()
    with tls.raw_socket(site.gateway.address) as s:
        start = time.monotonic()
        with pytest.raises(OSError):
            for i in range(len(hello) - 1):
                s.sendall(hello[i:i + 1])
                time.sleep(env.scaled(0.02))
                s.setblocking(False)
                try:
                    if s.recv(1) == b"":
                        raise OSError
                except BlockingIOError:
                    pass
                s.setblocking(True)
        assert time.monotonic() - start < env.at_most(3.0)


def test_records_of_one_byte(site):
    """The handshake in records of a byte each: allowed, and nothing special."""
    hello = tls.client_hello()
    payload = hello[5:]
    with tls.raw_socket(site.gateway.address) as s:
        s.sendall(b"".join(b"\x16\x03\x01\x00\x01" + payload[i:i + 1] for i in range(len(payload))))
        assert s.recv(5)[:1] == b"\x16", "an answer to the hello, not an alert"


def test_versions_that_are_too_old(site):
    for flag in ("-tls1", "-tls1_1"):
        code, said = tls.s_client(site.gateway, flag, "-cipher", "ALL:@SECLEVEL=0")
        assert code != 0 and ("alert" in said or "no protocols" in said), said
    assert failures(site.gateway, "version") >= 1


def test_renegotiation_is_refused(site):
    _, said = tls.s_client(site.gateway, "-tls1_2", send=b"R\n")
    assert "no renegotiation" in said.lower() or "no_renegotiation" in said.lower() or "handshake failure" in said.lower(), said
    with TlsClient(site.gateway.address) as c:
        assert c.request(req(method="GET", target="/bytes/1")).status == 200


def test_handshake_is_not_read(site):
    """A client that sends its hello and never reads: closed in time, like the others."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    s.settimeout(env.scaled(10))
    s.connect(site.gateway.address)
    s.sendall(tls.client_hello())
    before = failures(site.gateway, "timeout")
    env.wait_until(lambda: failures(site.gateway, "timeout") > before, 5, "the handshake to be given up")
    s.close()


def test_garbage_after_the_handshake(site):
    c = TlsClient(site.gateway.address)
    fd = c.sock.fileno()
    os.write(fd, b"\x17\x03\x03\x00\x20" + os.urandom(32))
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        c.sock.recv(1)
    c.close()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_ticket_that_nobody_made(site, tmp_path, version):
    """Resumption with a damaged ticket is a full handshake."""
    path = str(tmp_path / "session")
    ask = b"GET /bytes/1 HTTP/1.0\r\n\r\n"
    code, _ = tls.s_client(site.gateway, version, "-ign_eof", "-sess_out", path, send=ask)
    assert code == 0
    assert "Reused, TLSv1." in tls.s_client(site.gateway, version, "-ign_eof", "-sess_in", path, send=ask)[1], "the test itself"
    tls.damage_ticket(path)
    code, said = tls.s_client(site.gateway, version, "-ign_eof", "-sess_in", path, send=ask)
    assert code == 0 and "New, TLSv1." in said and "Reused" not in said and "HTTP/1.1 200" in said, said


# ---- many ----

def test_storm_of_handshakes(site):
    """Hellos in parallel, never continued: an open connection goes on being served, and all of them end."""
    n = 300 if not env.SANITIZER else 100
    hello = tls.client_hello()
    with TlsClient(site.gateway.address) as c:
        storm = [tls.raw_socket(site.gateway.address) for _ in range(n)]
        for s in storm:
            s.sendall(hello)
        for _ in range(20):
            assert c.request(req(method="GET", target="/bytes/100")).status == 200
        for s in storm:
            s.close()
    site.gateway.wait_metric(0, "ringgate_tls_connections_open", 10)
    site.gateway.wait_metric(0, "ringgate_connections_open", 10)


def test_reset_with_more_to_tell(programs, certs):
    """
    Responses that must end with RST, to clients that have said good-bye in the same piece as their request: what the session
    would tell at the end of the turn finds nobody any more.
    """
    origin = programs.origin()
    g = tls_gateway(programs, origin.address, certs)
    for i in range(40):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        obj = tls.context().wrap_bio(incoming, outgoing)
        with tls.raw_socket(g.address) as s:
            while True:
                try:
                    obj.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    s.sendall(outgoing.read())
                    incoming.write(s.recv(65536))
            path = "/bytes/1000000?chunked=1&close=300000&rst=1" if i % 2 else "/bytes/10?status=99"
            obj.write(f"GET {path} HTTP/1.0\r\nHost: a\r\n\r\n".encode())
            with pytest.raises(ssl.SSLWantReadError):
                obj.unwrap()
            s.sendall(outgoing.read())
            if i % 3:
                is_closed(s)
    g.wait_metric(0, "ringgate_connections_open", 15)


def test_access_log(site):
    with TlsClient(site.gateway.address, name="a.example") as c:
        assert c.request(req(method="GET", target="/bytes/7?logged")).status == 200
    path = site.gateway.config["access_log"]["path"]

    def row():
        rows = [json.loads(line) for line in open(path, encoding="utf-8")]
        return next((r for r in rows if r["target"] == "/bytes/7?logged"), None)
    r = env.wait_until(row, 5, "the record")
    assert r["tls"] is True and r["tls_version"] == "TLSv1.3" and r["server_name"] == "a.example"
    assert r["tls_cipher"].startswith("TLS_")


# ---- the file ----

def refused(programs, config, tmp_path):
    g = programs.prepared_gateway("127.0.0.1:1", config, listen=["127.0.0.1:2"], name="refused")
    r = subprocess.run([env.RINGGATE, "-t", "-c", g.config_path], capture_output=True, text=True, check=False)
    g.expected_exit = 2
    return r.returncode, r.stderr, g.config_path


def test_bad_files_are_named(programs, certs, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("")
    item = tls.listener("127.0.0.1:2", certs.ec)
    item["tls"]["certificates"] += [{"cert": "/no/such.crt", "key": certs.ec.key}, {"cert": certs.ec.cert, "key": certs.other.key},
                                    {"cert": str(empty), "key": certs.ec.key}]
    code, said, path = refused(programs, {"listeners": [item]}, tmp_path)
    assert code == 2
    # The files that can be read are looked at when all can be.
    assert f"{path}:" in said and 'listeners[0].tls.certificates[1].cert: got "/no/such.crt", which can\'t be read' in said
    del item["tls"]["certificates"][1]
    code, said, path = refused(programs, {"listeners": [item]}, tmp_path)
    assert code == 2
    assert "listeners[0].tls.certificates[1].key" in said and "not the key of the certificate" in said
    assert "listeners[0].tls.certificates[2].cert" in said and "no certificate that can be read" in said
    for line in said.splitlines():
        assert line.startswith(f"{path}:") and line[len(path) + 1].isdigit(), line


def test_a_section_without_certificates(programs, tmp_path):
    code, said, _ = refused(programs, {"listeners": [{"address": "127.0.0.1:2", "tls": {"min_version": "1.3"}}]}, tmp_path)
    assert code == 2 and "listeners[0].tls.certificates: got nothing, wanted a list of 0 to 8 items" in said


def test_expired_certificate_is_a_warning(programs, certs, tmp_path):
    old = tls.Certificate(tmp_path, "old").expire()
    code, said, path = refused(programs, {"listeners": [tls.listener("127.0.0.1:2", old)]}, tmp_path)
    assert code == 0 and f"{path}: warning: listeners[0].tls.certificates[0].cert: the certificate has expired on" in said
