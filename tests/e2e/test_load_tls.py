"""
TLS of the load generator: what it counts is what a server of Python's has seen, handshakes are as they were ordered, and
failures are found and named.
"""

import json
import shutil
import socket
import ssl
import subprocess

import pytest

from lib import env
from lib.generator import LOAD, end, measure, needs_program, short, start
from lib.raw_origin import Answer, reply
from lib.tls_origin import TlsOrigin

pytestmark = [needs_program,
              pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed: no certificates")]

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def origin(programs, tmp_path):
    def make(*args, **more):
        return programs.add(TlsOrigin(tmp_path, *args, **more))
    return make


def each(_connection, request):
    """As a server does that closes first when it is asked to."""
    close = request.get("connection") == "close"
    return Answer(reply(b"x" * 1000, connection="close" if close else None), "close" if close else "keep")


def saw_all(server, result):
    """What was on its way at the end may have come too late to be answered."""
    least = result["requests"] + result["warmup_requests"]
    return result["requests"] > 0 and least <= len(server.complete()) <= least + result["unfinished"]


def handshakes(result):
    return result["tls"]["handshakes"]["full"], result["tls"]["handshakes"]["resumed"]


# ---- what is agreed on ----

@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_kept_connections(origin, version):
    server = origin()
    r = measure(server.address, *short("--tls", "--tls-version", version, "--connections", 8, "--duration", 0.4))
    assert saw_all(server, r) and sum(r["errors"].values()) == 0
    # They were made before the counted time, and all at once.
    assert len(server.greeted()) == 8 and handshakes(r) == (0, 0) and r["tls"]["version"] == f"TLSv{version}"
    assert {(c.version, c.cipher) for c in server.greeted()} == {(f"TLSv{version}", r["tls"]["cipher"])}
    assert {(c.name, c.protocol, c.resumed) for c in server.greeted()} == {(None, "http/1.1", False)}


@pytest.mark.parametrize("version, cipher", [("1.3", "TLS_CHACHA20_POLY1305_SHA256"), ("1.3", "TLS_AES_128_GCM_SHA256"),
                                             ("1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")])
def test_cipher_and_name(origin, version, cipher):
    server = origin()
    r = measure(server.address, *short("--tls", "--tls-version", version, "--tls-cipher", cipher, "--sni", "a.example",
                                       "--connections", 2, "--duration", 0.1))
    assert r["tls"]["cipher"] == cipher and r["tls"]["version"] == f"TLSv{version}"
    assert {(c.cipher, c.name) for c in server.greeted()} == {(cipher, "a.example")}


# ---- handshakes ----

@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_every_handshake_is_a_full_one(origin, version):
    server = origin(each)
    r = measure(server.address, *short("--tls", "--tls-version", version, "--per-connection", "--connections", 4,
                                       "--duration", 0.5))
    full, resumed = handshakes(r)
    assert saw_all(server, r) and sum(r["errors"].values()) == 0
    assert resumed == 0 and not any(c.resumed for c in server.greeted())
    # The first connections were open before; their number is that by which the counts may differ at either end.
    assert abs(full - r["requests"]) <= 4
    latency = r["tls"]["full_latency_us"]
    assert 0 < latency["p50"] <= latency["max"] <= r["latency_us"]["max"]


@pytest.mark.parametrize("version, threads", [("1.2", 1), ("1.3", 1), ("1.3", 2)])
def test_sessions_are_resumed(origin, version, threads):
    server = origin(each)
    r = measure(server.address, *short("--tls", "--tls-version", version, "--tls-resume", "--per-connection", "--connections", 4,
                                       "--threads", threads, "--duration", 0.5))
    full, resumed = handshakes(r)
    assert resumed > 0 and full == 0 and sum(r["errors"].values()) == 0
    # Each connection had one to begin with.
    assert sum(not c.resumed for c in server.greeted()) == 4
    assert sum(c.resumed for c in server.greeted()) >= resumed
    assert r["tls"]["resumed_latency_us"]["p50"] > 0


def test_a_server_without_sessions(origin):
    server = origin(each)
    server.context.options |= ssl.OP_NO_TICKET
    server.context.num_tickets = 0
    r = measure(server.address, *short("--tls", "--tls-resume", "--per-connection", "--connections", 2, "--duration", 0.3))
    assert handshakes(r)[0] > 0 and handshakes(r)[1] == 0 and sum(r["errors"].values()) == 0


# ---- bytes ----

@pytest.mark.parametrize("size", [0, 16384, 16385, 1000000])
@pytest.mark.parametrize("chunked", [False, True])
def test_uploads_arrive(origin, size, chunked):
    server = origin()
    flags = ["--chunked-upload"] if chunked else []
    r = measure(server.address, *short("--tls", "--duration", 0.2, "--connections", 1, "--body-bytes", size, "--path", "/up", *flags))
    got = server.complete()
    expected = b"".join(b"%015x\n" % at for at in range(0, size + 16, 16))[:size]
    assert r["requests"] > 0 and len(got) >= r["requests"] and sum(r["errors"].values()) == 0
    assert all(g.body == expected for g in got)


@pytest.mark.parametrize("fields, body, then", [
    (b"Content-Length: 500000\r\n\r\n", b"x" * 500000, "keep"),
    (b"Transfer-Encoding: chunked\r\n\r\n", b"9000\r\n" + b"y" * 0x9000 + b"\r\n0\r\n\r\n", "keep"),
    (b"\r\n", b"z" * 100000, "close"),
], ids=["length", "chunked", "to the end"])
def test_bodies_are_read(origin, fields, body, then):
    server = origin(lambda _c, _r: Answer(OK + fields + body, then))
    r = measure(server.address, *short("--tls", "--connections", 2, "--rate", 20, "--duration", 0.5))
    assert r["requests"] >= 3 and sum(r["errors"].values()) == 0, r
    # Of HTTP, not of TLS.
    whole = len(OK + fields + body)
    assert (r["requests"] - 2) * whole <= r["bytes_in"] <= (r["requests"] + 2) * whole


def test_slow_reader(origin):
    server = origin(lambda _c, _r: Answer(OK + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3000000))
    p = start(server.address, "--tls", "--connections", 1, "--duration", 1, "--warmup", 0, "--read-rate", 400000, "--timeout", 30)
    r = end(p)
    assert 100000 < r["bytes_in"] < 600000 and r["unfinished"] == 1, r


# ---- failures ----

def test_a_server_without_tls(programs):
    err = measure(programs.origin("--quiet").address, *short("--tls"), code=3)
    assert "no connection could be opened: wrong version number" in err


def test_a_server_of_another_version(origin):
    err = measure(origin(version=VERSIONS["1.2"]).address, *short("--tls"), code=3)
    assert "no connection could be opened: tlsv1 alert protocol version" in err


def test_a_server_that_never_answers(programs):
    def silent(connection, _request):
        connection.wait_gone()
    silent.before_body = True
    err = measure(programs.raw_origin(silent).address, *short("--tls", "--timeout", 0.2, "--connections", 2), code=3)
    assert "no connection could be opened: Connection timed out" in err


def test_a_server_that_ends_the_handshake(programs):
    origin = programs.raw_origin()
    origin._serve = lambda connection: connection.finish("close")
    err = measure(origin.address, *short("--tls", "--timeout", 1, "--connections", 2), code=3)
    assert "no connection could be opened: closed within the handshake" in err


@pytest.mark.parametrize("answer, kind, said", [
    (Answer(OK + b"\r\nsome", "cut"), "read", "closed within a response"),
    (Answer(OK + b"Content-Length: 50\r\n\r\nsome", "close"), "read", "closed within a response"),
    (Answer(OK + b"Content-Length: 50\r\n\r\nsome", "rst"), "read", "reset"),
    (Answer(OK + b"Content-Length: 3\r\n\r\nfour"), "protocol", "bytes after the response"),
    (Answer(b""), "timeout", "no response"),
])
def test_failures_are_named(origin, programs, answer, kind, said):
    """Every other request fails: the rest is measured, and the connection is opened again."""
    turn = iter(range(10 ** 9))
    server = origin(lambda _c, _r: answer if next(turn) % 2 else reply())
    r = subprocess.run([LOAD, "--connect", server.address, "--tls", "--duration", "0.8", "--warmup", "0", "--timeout", "0.2",
                        "--connections", "1", "--rate", "20", "--json", "r.json"], capture_output=True, text=True, check=False,
                       timeout=env.scaled(20), cwd=programs.directory)
    assert r.returncode == 1, r
    result = json.loads((programs.directory / "r.json").read_text())
    assert result["requests"] >= 2 and [k for k, n in result["errors"].items() if n] == [kind], result
    assert f"{kind} {result['errors'][kind]} (first: " in r.stdout and said in r.stdout, r.stdout
    assert "TLSv1.3" in r.stdout


def test_records_that_were_tampered_with(origin):
    def tamper(connection, _request):
        socket.socket.send(connection.sock, b"\x17\x03\x03\x00\x20" + b"\0" * 32)
        return Answer(reply())
    r = measure(origin(tamper).address, *short("--tls", "--connections", 1, "--rate", 20, "--duration", 0.5), code=1)
    assert r["requests"] == 0 and r["errors"]["protocol"] >= 1 and sum(r["errors"].values()) == r["errors"]["protocol"]
