"""HTTP/2 over TLS, agreed on by ALPN."""

import json
import shutil
import subprocess

import pytest

from lib import env, tls
from lib.h2 import H2, request_fields
from lib.tls import TlsClient


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return tls.Certificate(tmp_path_factory.mktemp("certs"), "ec", ["a.example"])


def tls_gateway(programs, certificate, alpn=None, **more):
    origin, address = programs.origin(), f"127.0.0.1:{env.free_port()}"
    item = {**tls.listener(address, certificate, **({"alpn": alpn} if alpn else {})), **more}
    return programs.gateway(origin.address, {"listeners": [item]}, listen=[address])


@pytest.fixture(scope="module")
def gateway(shared, certificate):
    return tls_gateway(shared, certificate)


def test_requests(gateway):
    with H2(gateway.address, ssl=tls.context(alpn=["h2", "http/1.1"])) as c:
        assert c.sock.selected_alpn_protocol() == "h2"
        for i in (10, 1000, 300000):
            r = c.ask(f"/bytes/{i}", scheme="https")
            assert r.status == 200 and len(r.body) == i and r.complete
        fields = json.loads(c.ask("/inspect", scheme="https").body)["fields"]
        assert ["X-Forwarded-Proto", "https"] in fields
        stream = c.headers(request_fields("/echo", method="POST", scheme="https"), end=False)
        c.data(stream, b"over both", end=True)
        assert c.response(stream).body == b"over both"


def test_streams_beside_each_other(gateway):
    with H2(gateway.address, ssl=tls.context(alpn=["h2"]), window=1 << 24) as c:
        streams = [c.get(f"/bytes/{n}", scheme="https") for n in (100000, 10, 50000, 1) * 10]
        for stream, n in zip(streams, (100000, 10, 50000, 1) * 10):
            assert len(c.response(stream).body) == n


@pytest.mark.parametrize("alpn", [["http/1.1"], None], ids=["http/1.1", "none"])
def test_preface_without_agreement(gateway, alpn):
    with H2(gateway.address, ssl=tls.context(alpn=alpn)) as c:
        assert c.sock.recv(100).startswith(b"HTTP/1.1 ")


def test_agreement_without_preface(gateway):
    with H2(gateway.address, opens=False, ssl=tls.context(alpn=["h2"])) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b"x" * 100)
        assert c.connection_error() != 0 and not c.responses
    gateway.wait_metric(0, "ringgate_http2_connections_open")


def test_the_listener_says_what_may_be_agreed_on(programs, certificate):
    for more, agreed in (({"http2": False}, "http/1.1"), ({"alpn": ["http/1.1"]}, "http/1.1"),
                         ({"alpn": ["http/1.1", "h2"]}, "http/1.1"), ({"alpn": ["h2"]}, "h2")):
        g = tls_gateway(programs, certificate, **more)
        with TlsClient(g.address, ctx=tls.context(alpn=["h2", "http/1.1"])) as c:
            assert c.sock.selected_alpn_protocol() == agreed, more


def test_curl(gateway):
    curl = shutil.which("curl")
    if not curl or "HTTP2" not in subprocess.run([curl, "-V"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("no curl with HTTP/2")
    url = f"https://127.0.0.1:{gateway.address[1]}/bytes/1000000"
    out = subprocess.run([curl, "-sSk", "--http2", "-w", "%{stderr}%{http_version}", url], capture_output=True, check=True,
                         timeout=env.scaled(20))
    assert len(out.stdout) == 1000000 and out.stderr == b"2"
