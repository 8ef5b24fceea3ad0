"""Client certificates, redirection to https, stapled answers, and what /workers says of TLS."""

import json
import ssl
import subprocess

import pytest

from lib import env, tls
from lib.attack import req
from lib.client import Client
from lib.tls import TlsClient

pytest_plugins = ["lib.pki"]


def start(programs, pki, origin, mode, config=None, http2=None):
    address = f"127.0.0.1:{env.free_port()}"
    item = tls.listener(address, pki.server, client_certificates=mode, client_ca=pki.ca.cert)
    return programs.gateway(origin.address, {"listeners": [item], **(config or {})}, listen=[address])


@pytest.fixture(scope="module")
def sites(shared, pki):
    origin = shared.origin()
    return {mode: start(shared, pki, origin, mode) for mode in ("optional", "required")}


def context(version, certificate=None):
    ctx = tls.context(version)
    if certificate:
        ctx.load_cert_chain(certificate.cert, certificate.key)
    return ctx


def subject_seen(c, *lines):
    """What the replica got in X-Client-Cert-Subject."""
    r = c.request(req(*lines, method="GET", target="/inspect"))
    assert r.status == 200
    return [v for k, v in json.loads(r.body)["fields"] if k.lower().replace("_", "-") == "x-client-cert-subject"]


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
FORGED = "X-Client-Cert-Subject: CN=root"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", ["optional", "required"])
def test_subject_is_passed_on(sites, pki, mode, version):
    with TlsClient(sites[mode].address, ctx=context(version, pki.alice)) as c:
        assert subject_seen(c) == ["CN=alice"]
        assert subject_seen(c, FORGED) == ["CN=alice"]


def test_odd_subjects_are_escaped(sites, pki):
    with TlsClient(sites["required"].address, ctx=context(None, pki.odd)) as c:
        (subject,) = subject_seen(c)
        assert subject.startswith("CN=o\\\"dd\\, ") and "\\; x=1" in subject and subject.isascii() and subject.isprintable()


@pytest.mark.parametrize("version", VERSIONS)
def test_optional_without_one(sites, version):
    with TlsClient(sites["optional"].address, ctx=context(version)) as c:
        assert subject_seen(c) == [] and subject_seen(c, FORGED) == []


def attempt(gateway, ctx, session=None):
    """A request, or the refusal (in TLS 1.3 the client learns of it after its own handshake)."""
    with TlsClient(gateway.address, ctx=ctx, session=session) as c:
        assert c.request(req(method="GET", target="/bytes/1")).status == 200
        return c.sock.session


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode,who", [("required", None), ("required", "mallory"), ("optional", "mallory")])
def test_refused(sites, pki, mode, who, version):
    before = sites[mode].metrics().get("ringgate_tls_handshake_failures_total", cause="certificate")
    with pytest.raises((ssl.SSLError, OSError, Exception)):
        attempt(sites[mode], context(version, getattr(pki, who) if who else None))
    sites[mode].wait_metric(before + 1, "ringgate_tls_handshake_failures_total", cause="certificate")


@pytest.mark.parametrize("version", VERSIONS)
def test_resumed_sessions_keep_the_subject(sites, pki, version):
    ctx = context(version, pki.alice)
    session = attempt(sites["required"], ctx)
    with TlsClient(sites["required"].address, ctx=ctx, session=session) as c:
        assert subject_seen(c) == ["CN=alice"] and c.sock.session_reused


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_leads_around_the_certificate(programs, pki, tmp_path, version):
    """One that was made on a listener that asks for none is worth nothing on one that does, whatever keys they share."""
    origin = programs.origin()
    listen = [f"127.0.0.1:{env.free_port()}" for _ in range(2)]
    items = [tls.listener(listen[0], pki.server), tls.listener(listen[1], pki.server, client_certificates="required", client_ca=pki.ca.cert)]
    g = programs.gateway(origin.address, {"listeners": items}, listen=listen)
    ctx = context(version)
    session = attempt(g, ctx)
    port = int(listen[1].rpartition(":")[2])
    with pytest.raises(Exception):
        with TlsClient(("127.0.0.1", port), ctx=ctx, session=session) as c:
            assert c.request(req(method="GET", target="/bytes/1")).status == 200
    g.wait_metric(1, "ringgate_tls_handshake_failures_total", cause="certificate")
    # Nor after a reload that begins to ask.
    g.config["listeners"][0]["tls"].update(client_certificates="required", client_ca=pki.ca.cert)
    g.write_config(g.config)
    assert g.admin("POST", "/reload")[0] == 200
    with pytest.raises(Exception):
        attempt(g, ctx, session)
    g.wait_metric(2, "ringgate_tls_handshake_failures_total", cause="certificate")


def test_configuration(programs, pki, tmp_path):
    def said(**more):
        path = tmp_path / "t.yaml"
        from lib.gateway import to_yaml  # pylint: disable=import-outside-toplevel
        path.write_text(to_yaml({"listeners": [{**tls.listener("127.0.0.1:2", pki.server, **more.pop("tls", {})), **more}],
                                 "replica": {"address": "127.0.0.1:1"}}))
        r = subprocess.run([env.RINGGATE, "-t", "-c", str(path)], capture_output=True, text=True, check=False)
        return r.returncode, r.stderr
    assert said()[0] == 0
    code, text = said(tls={"client_certificates": "required"})
    assert code == 2 and "listeners[0].tls.client_ca: got nothing" in text
    code, text = said(tls={"client_certificates": "required", "client_ca": pki.ca.key})
    assert code == 2 and "listeners[0].tls.client_ca" in text and "no certificates that can be read" in text
    code, text = said(redirect_https=308)
    assert code == 2 and "listeners[0].redirect_https" in text


# ---- redirection ----

@pytest.fixture(scope="module")
def redirecting(shared):
    origin = shared.origin()
    listen = [f"127.0.0.1:{env.free_port()}" for _ in range(2)]
    g = shared.gateway(origin.address, {"listeners": [{"address": listen[0], "redirect_https": 308},
                                                      {"address": listen[1], "redirect_https": 301, "redirect_port": 8443}]},
                       listen=listen, name="redirecting")
    return g, origin


@pytest.mark.parametrize("target,host,where", [
    ("/", "a.example", "https://a.example/"),
    ("/x/y?q=1&r=%20", "a.example:8080", "https://a.example/x/y?q=1&r=%20"),
    ("/x/../y", "a.example", "https://a.example/y"),
    ("/", "[::1]:80", "https://[::1]/"),
    ("/", "[::1]", "https://[::1]/"),
    ("http://b.example/z?k", "b.example", "https://b.example/z?k"),
])
def test_redirection(redirecting, target, host, where):
    g, origin = redirecting
    with Client(g.address) as c:
        for _ in range(2):  # the connection stays
            c.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            r = c.response()
            assert r.status == 308 and r.get("location") == where and r.get("content-length") == "0"


def test_redirection_elsewhere(redirecting):
    g, _ = redirecting
    with Client(g.address_of(g.listen[1])) as c:
        r = c.request(req("Content-Length: 5", body=b"abcde", target="/a"))
        assert r.status == 301 and r.get("location") == "https://test:8443/a"
    with Client(g.address) as c:
        c.send(b"GET / HTTP/1.0\r\n\r\n")
        assert c.response().status == 400
    with Client(g.address) as c:
        assert c.request(req(method="GET", target="/health")).status in (204, 503)
        c.send(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.response().status == 400
    with Client(g.address) as c:
        long = "/" + "x" * 7000
        assert c.request(req(method="GET", target=long)).get("location") == "https://test" + long


# ---- the rest ----

def test_stapled_answer(programs, pki, tmp_path):
    """An answer of the authority, made by openssl ocsp."""
    index, answer = tmp_path / "index", tmp_path / "answer"
    serial = subprocess.run(["openssl", "x509", "-in", pki.alice.cert, "-noout", "-serial"], capture_output=True, text=True, check=True).stdout
    serial = serial.strip().partition("=")[2]
    index.write_text(f"V\t401231235959Z\t\t{serial}\tunknown\t/CN=alice\n")
    subprocess.run(["openssl", "ocsp", "-index", str(index), "-CA", pki.ca.cert, "-rsigner", pki.ca.cert, "-rkey", pki.ca.key,
                    "-issuer", pki.ca.cert, "-cert", pki.alice.cert, "-respout", str(answer), "-ndays", "7"],
                   capture_output=True, check=True)
    origin = programs.origin()
    address = f"127.0.0.1:{env.free_port()}"
    item = tls.listener(address, pki.alice, pki.server)
    item["tls"]["certificates"][0]["ocsp"] = str(answer)
    g = programs.gateway(origin.address, {"listeners": [item]}, listen=[address])
    _, said = tls.s_client(g, "-status", "-tls1_3")
    assert "OCSP Response Status: successful" in said and "Cert Status: good" in said
    _, said = tls.s_client(g, "-status", "-servername", "a.example")
    assert "OCSP response: no response sent" in said
    item["tls"]["certificates"][0]["ocsp"] = pki.ca.cert
    g.write_config({**g.config, "listeners": [item]})
    status, text, _ = g.admin("POST", "/reload")
    assert status == 422 and "certificates[0].ocsp" in text and "no successful OCSP answer" in text


@pytest.mark.parametrize("mode", ["accept", "require"])
def test_proxy_header_before_tls(programs, pki, mode):
    origin = programs.origin()
    address = f"127.0.0.1:{env.free_port()}"
    item = {**tls.listener(address, pki.server), "proxy_protocol": {"mode": mode, "trusted": ["127.0.0.1"]}}
    g = programs.gateway(origin.address, {"listeners": [item]}, listen=[address])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    obj = tls.context().wrap_bio(incoming, outgoing)
    with tls.raw_socket(g.address) as s:
        def until(act):
            """What the client says goes out with what is to be said before it."""
            while True:
                try:
                    r = act()
                    s.sendall(outgoing.read())
                    return r
                except ssl.SSLWantReadError:
                    s.sendall(until.first + outgoing.read())
                    until.first = b""
                    data = s.recv(65536)
                    assert data, "closed"
                    incoming.write(data)
        until.first = b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n"
        until(obj.do_handshake)
        until(lambda: obj.write(req(method="GET", target="/inspect")))
        data = b""
        while b"\r\n\r\n" not in data or b'"fields"' not in data:
            data += until(lambda: obj.read(65536))
        assert b"192.0.2.7" in data and b'"https"' in data
    if mode == "accept":
        with TlsClient(g.address) as c:
            assert c.request(req(method="GET", target="/bytes/1")).status == 200
    with Client(g.address) as c:
        c.send(b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        r = c.response()
        assert r.status == 400 and json.loads(r.body)["reason"] == "clear-on-tls-port"


def test_workers_tell_where_records_are_made(sites):
    for w in json.loads(sites["required"].admin("GET", "/workers")[1])["workers"]:
        assert w["tls"]["records"] == "user space" and w["tls"]["kernel_has_tls"] in (True, False)
