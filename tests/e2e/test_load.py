"""
The load generator proves itself: what it counts is what the origin has seen, failures are found and named. No gateway takes
part. What it times is in test_load_times.py.
"""

import json
import re
import subprocess
import time

import pytest

from lib import env
from lib.generator import LOAD, end, measure, needs_program, short, start
from lib.raw_origin import Answer, Gone, reply

pytestmark = needs_program


def pattern(n):
    return b"".join(b"%015x\n" % at for at in range(0, n + 16, 16))[:n]


# ---- the command line ----

@pytest.mark.parametrize("flags, said", [
    ([], "--connect is missing"),
    (["--connect", "localhost:80"], "--connect: got 'localhost:80'"),
    (["--connect", "127.0.0.1"], "--connect: got '127.0.0.1'"),
    (["--connect", "127.0.0.1:99999"], "--connect"),
    (["--connect", "unix:"], "--connect"),
    (["--connect", "127.0.0.1:1", "--connections", "0"], "--connections: got '0', wanted a whole number from 1"),
    (["--connect", "127.0.0.1:1", "--connections", "12x"], "--connections: got '12x'"),
    (["--connect", "127.0.0.1:1", "--connections", "1000000"], "ulimit -n"),
    (["--connect", "127.0.0.1:1", "--rate", "-5"], "--rate: got '-5'"),
    (["--connect", "127.0.0.1:1", "--rate", "nan"], "--rate"),
    (["--connect", "127.0.0.1:1", "--duration", "0"], "--duration: got '0'"),
    (["--connect", "127.0.0.1:1", "--path", "bytes"], "--path: got 'bytes'"),
    (["--connect", "127.0.0.1:1", "--path", "/a b"], "--path"),
    (["--connect", "127.0.0.1:1", "--method", "get"], "--method: got 'get'"),
    (["--connect", "127.0.0.1:1", "--header", "no colon"], "--header: got 'no colon'"),
    (["--connect", "127.0.0.1:1", "--header", "A: b\r\nC: d"], "--header"),
    (["--connect", "127.0.0.1:1", "--header", "Content-Length: 5"], "--body-bytes sets it"),
    (["--connect", "127.0.0.1:1", "--header", "hOST: x"], "--host sets it"),
    (["--connect", "127.0.0.1:1", "--skew", "5"], "--skew: got '5'"),
    (["--connect", "127.0.0.1:1", "--seed", "-1"], "--seed: got '-1'"),
    (["--connect", "127.0.0.1:1", "--skew", "64:50"], "--skew: its connections must be fewer"),
    (["--connect", "127.0.0.1:1", "--skew", "1:50", "--threads", "2"], "--skew: its connections must be at least"),
    (["--connect", "127.0.0.1:1", "--active", "65"], "--active is more than --connections"),
    (["--connect", "127.0.0.1:1", "--threads", "3", "--connections", "2"], "--threads is more than"),
    (["--connect", "127.0.0.1:1", "--rate", "10", "--think", "5"], "--rate and --think exclude"),
    (["--connect", "127.0.0.1:1", "--chunked-upload"], "--chunked-upload needs --body-bytes"),
    (["--connect", "127.0.0.1:1", "--websocket", "65536"], "--websocket: got '65536'"),
    (["--connect", "127.0.0.1:1", "--websocket", "5", "--per-connection"], "--websocket excludes"),
    (["--connect", "127.0.0.1:1", "--congestion", "nonesuch"], "--congestion: got 'nonesuch'"),
    (["--connect", "127.0.0.1:1", "--tls-version", "1.3"], "need --tls"),
    (["--connect", "127.0.0.1:1", "--sni", "a.example"], "need --tls"),
    (["--connect", "127.0.0.1:1", "--tls", "--tls-version", "1.1"], "--tls-version: got '1.1', wanted 1.2 or 1.3"),
    (["--connect", "127.0.0.1:1", "--tls", "--tls-cipher", "nonesuch"], "--tls-cipher: got 'nonesuch'"),
    (["--connect", "127.0.0.1:1", "--tls", "--tls-version", "1.2", "--tls-cipher", "TLS_NONESUCH"], "a cipher of that version"),
    (["--connect", "127.0.0.1:1", "--nonesuch"], "nonesuch"),
    (["--connect", "127.0.0.1:1", "stray"], "got 'stray'"),
])
def test_wrong_usage(flags, said):
    r = subprocess.run([LOAD, *flags], capture_output=True, text=True, timeout=env.scaled(10), check=False)
    assert r.returncode == 2, r
    assert said in r.stderr and r.stdout == "", r


def test_help_names_every_flag():
    r = subprocess.run([LOAD, "--help"], capture_output=True, text=True, timeout=env.scaled(10), check=False)
    assert r.returncode == 0
    for flag in ("connect path connections active threads rate duration warmup per-connection think method body-bytes "
                 "chunked-upload read-rate skew seed timeout host header hgrm json quiet congestion tls tls-version tls-cipher "
                 "tls-resume sni websocket").split():
        assert f"--{flag} " in r.stdout, flag


def test_nobody_listens(tmp_path):
    for address in (f"127.0.0.1:{env.free_port()}", f"unix:{tmp_path}/none"):
        begin = time.monotonic()
        err = measure(address, code=3)
        assert address in err and "is the server listening there?" in err
        assert time.monotonic() - begin < env.scaled(5)


# ---- counts ----

@pytest.mark.parametrize("flags", [
    ["--connections", 1],
    ["--connections", 16],
    ["--connections", 16, "--threads", 2],
    ["--connections", 16, "--per-connection"],
    ["--connections", 16, "--per-connection", "--threads", 2],
    ["--connections", 16, "--per-connection", "--body-bytes", 5000, "--path", "/sink"],
    ["--connections", 16, "--rate", 500],
    ["--connections", 16, "--rate", 300, "--per-connection"],
    ["--connections", 16, "--active", 4, "--think", 5],
    ["--connections", 16, "--skew", "2:75"],
    ["--connections", 16, "--skew", "2:75", "--per-connection"],
    ["--connections", 16, "--method", "HEAD"],
    ["--connections", 4, "--path", "/bytes/200000"],
    ["--connections", 4, "--path", "/bytes/200000?chunked=1"],
    ["--connections", 4, "--path", "/bytes/100?eof=1"],
    ["--connections", 4, "--path", "/bytes/100?early=2&trailers=1&chunked=1"],
    ["--connections", 4, "--path", "/bytes/0?status=204"],
    ["--connections", 4, "--path", "/sink", "--body-bytes", 300000],
    ["--connections", 4, "--path", "/sink", "--body-bytes", 300000, "--chunked-upload"],
])
def test_counts_agree_with_the_origin(programs, flags):
    origin = programs.origin("--threads", "1", "--quiet")
    r = measure(origin.address, "--duration", 0.6, "--warmup", 0.2, *flags)
    seen = origin.stats()
    assert r["requests"] > 0 and sum(r["errors"].values()) == 0
    assert seen["requests"] == r["requests"] + r["warmup_requests"] + r["unfinished"]
    assert seen["malformed"] == seen["truncated"] == seen["aborted"] == 0
    assert r["latency_us"]["min"] <= r["latency_us"]["p50"] <= r["latency_us"]["p99"] <= r["latency_us"]["max"]


@pytest.mark.parametrize("flags", [[], ["--rate", 500], ["--threads", 2, "--think", 2], ["--skew", "2:75"]])
@pytest.mark.parametrize("size", [0, 125, 126, 65535])
def test_websocket(programs, size, flags):
    """Each message comes back whole; what is asked for is a WebSocket once for each connection."""
    origin = programs.origin("--threads", "1", "--quiet")
    r = measure(origin.address, "--path", "/ws", "--websocket", size, "--connections", 8, "--duration", 0.3, "--warmup", 0.1,
                *flags)
    assert r["requests"] > 0 and sum(r["errors"].values()) == 0 and r["reconnects"] == 0
    assert r["bytes_in"] >= (r["requests"] - 8) * size  # some began before the counted time
    assert origin.stats()["requests"] == 8


def test_no_websocket_there(programs):
    r = measure(programs.origin("--quiet").address, *short("--websocket", 5, "--connections", 1), code=1)
    assert r["requests"] == 0 and r["errors"]["status"] > 0


def test_unix_socket(programs, tmp_path):
    origin = programs.origin("--quiet", path=f"{tmp_path}/o.sock")
    for flags in ([], ["--per-connection"], ["--path", "/bytes/1000000", "--connections", 4]):
        r = measure(origin.address, *short(*flags))
        assert r["requests"] > 0 and sum(r["errors"].values()) == 0


def test_bytes_are_counted(programs):
    origin = programs.origin("--quiet")
    r = measure(origin.address, *short("--path", "/bytes/300000", "--connections", 2, "--rate", 20))
    assert r["requests"] * 300000 <= r["bytes_in"] <= (r["requests"] + 2) * 301000


def test_connection_per_request(programs):
    origin = programs.origin("--quiet")
    r = measure(origin.address, *short("--per-connection", "--connections", 8))
    accepted = origin.stats()["connections"]["accepted"]
    # Each has its own connection; the ones open at the end, the wait for listening and /stats come on top.
    assert 0 <= accepted - r["requests"] <= 32
    assert 0 < r["connect_latency_us"]["p50"] < r["latency_us"]["max"]


def test_idle_connections_stay_open(programs):
    origin = programs.origin("--quiet")
    p = start(origin.address, "--connections", 2000, "--active", 10, "--duration", env.scaled(2), "--warmup", 0.2)
    env.wait_until(lambda: origin.stats()["connections"]["open"] > 2000, 10, "2000 connections", 0.1)
    r = end(p)
    assert r["connections"] == 2000 and r["active"] == 10 and r["requests"] > 0 and r["reconnects"] == 0
    seen = {e["connection"] for e in origin.stats()["recent"]}
    assert len(seen) <= 10 + 1


def test_ten_thousand_connections_are_paced(programs):
    origin = programs.origin("--quiet")
    r = measure(origin.address, *short("--connections", 9000, "--active", 100))
    assert sum(r["errors"].values()) == 0 and r["requests"] > 100


def test_server_closes_kept_connections(programs):
    origin = programs.origin("--quiet", "--max-requests", "5")
    r = measure(origin.address, *short("--connections", 4, "--rate", 200))
    assert r["requests"] > 150 and sum(r["errors"].values()) == 0, r


def test_server_closes_kept_connections_unannounced(programs):
    origin = programs.origin("--quiet", "--max-requests", "5", "--silent-close")

    def run():
        p = start(origin.address, *short("--connections", 4, "--rate", 200))
        out, err = p.communicate(timeout=env.scaled(20))
        r = json.loads(out)
        # A request that is sent in the moment the server closes fails, and only that is an error.
        assert p.returncode == (1 if r["errors"]["read"] else 0), (r, err)
        assert r["errors"]["read"] == sum(r["errors"].values()) <= r["reconnects"], r
        assert r["reconnects"] > 20, r
        return r
    # Where requests are late, the next one is always sent in that moment: a busy machine may make it so in one run.
    for _ in range(5):
        r = run()
        if r["errors"]["read"] < 10 and r["requests"] > 150:
            break
    assert r["errors"]["read"] < 10 and r["requests"] > 150, r


# ---- what is sent ----

@pytest.mark.parametrize("size", [0, 1, 16, 40000, 1000000])
@pytest.mark.parametrize("chunked", [False, True])
def test_uploads_arrive(programs, size, chunked):
    origin = programs.raw_origin()
    flags = ["--chunked-upload"] if chunked else []
    r = measure(origin.address, *short("--duration", 0.2, "--connections", 1, "--body-bytes", size, "--path", "/up", *flags))
    got = origin.complete()
    assert r["requests"] > 0 and len(got) >= r["requests"]
    assert all(g.method == "POST" and g.body == pattern(size) for g in got)
    assert bool(got[0].get("transfer-encoding")) == chunked
    assert got[0].get("content-length") == (None if chunked else str(size))


def test_head_of_the_request(programs):
    origin = programs.raw_origin()
    measure(origin.address, *short("--duration", 0.1, "--connections", 1, "--host", "a.example", "--header", "X-A: 1",
                                   "--header", "X-B: two words", "--method", "DELETE", "--path", "/x?y=z",
                                   "--per-connection"))
    r = origin.last()
    assert r.line == "DELETE /x?y=z HTTP/1.1"
    assert r.fields == [("Host", "a.example"), ("X-A", "1"), ("X-B", "two words"), ("Connection", "close")]


# ---- failures ----

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("answer, kind, said", [
    (Answer(reply(status="503 No")), "status", "5xx"),
    (Answer(reply(status="404 No")), "status", "4xx"),
    (Answer(b"SSH-2.0-x\r\n"), "protocol", "no HTTP/1 status line"),
    (Answer(OK + b"Content-Length: 3\r\n\r\nfour"), "protocol", "bytes after the response"),
    (Answer(OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nfour"), "protocol", "two different values"),
    (Answer(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nfour\r\n0\r\n\r\n"), "protocol", "longer than its size"),
    (Answer(OK + b"Content-Length: 5\r\n\r\nfour", "close"), "read", "closed within a response"),
    (Answer(OK + b"Content-Length: 5\r\n\r\nfour", "rst"), "read", "reset"),
    (Answer(b"", "close"), "read", "closed unasked"),
    (Answer(b""), "timeout", "no response"),
    (Answer(OK + b"Content-Length: 5\r\n\r\nfour"), "timeout", "a response stopped"),
])
def test_failures_are_named(programs, answer, kind, said):
    """Every other request fails: the rest is measured, and the connection goes on."""
    turn = iter(range(10 ** 9))
    origin = programs.raw_origin(lambda _c, _r: answer if next(turn) % 2 else reply())
    command = [LOAD, "--connect", origin.address, "--duration", "1.5", "--warmup", "0", "--timeout", "0.2",
               "--connections", "1", "--rate", "20"]
    r = subprocess.run([*command, "--json", f"{origin.port}.json"], capture_output=True, text=True, check=False,
                       timeout=env.scaled(20), cwd=programs.directory)
    assert r.returncode == 1, r
    result = json.loads((programs.directory / f"{origin.port}.json").read_text())
    assert result["requests"] >= 2, result
    assert [k for k, n in result["errors"].items() if n] == [kind], result
    assert f"{kind} {result['errors'][kind]} (first: " in r.stdout and said in r.stdout, r.stdout


def test_server_that_goes_and_comes_back(programs):
    origin = programs.origin("--quiet")
    port = origin.port
    p = start(origin.address, "--duration", env.scaled(4), "--warmup", 0, "--connections", 4, "--rate", 200)
    env.wait_until(lambda: origin.stats()["requests"] > 20, 5, "requests")
    origin.stop()
    time.sleep(0.3)
    again = programs.origin("--quiet", port=port)
    env.wait_until(lambda: again.stats()["requests"] > 50, 5, "requests at the new origin")
    r = end(p, 1)
    assert r["errors"]["connect"] > 0
    assert r["latency_us"]["max"] > 200e3


def test_early_answer_to_an_upload(programs):
    def refuse(connection, _request):
        connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.finish("close")
        raise Gone
    refuse.before_body = True
    origin = programs.raw_origin(refuse)
    r = measure(origin.address, *short("--connections", 1, "--body-bytes", 20000000, "--duration", 0.5), code=1)
    assert r["requests"] == 0 and r["errors"]["status"] > 0 and r["errors"]["protocol"] == 0, r


# ---- what is written ----

def test_files(programs, tmp_path):
    origin = programs.origin("--quiet")
    json_path, hgrm_path = tmp_path / "r.json", tmp_path / "r.hgrm"
    r = subprocess.run([LOAD, "--connect", origin.address, "--duration", "0.5", "--warmup", "0", "--quiet", "--json",
                        json_path, "--hgrm", hgrm_path], capture_output=True, text=True, check=False,
                       timeout=env.scaled(20))
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    result = json.loads(json_path.read_text())
    rows = [line.split() for line in hgrm_path.read_text().splitlines()[2:] if not line.startswith("#")]
    assert all(len(row) == 4 for row in rows[:-1]) and len(rows[-1]) == 3
    assert int(rows[-1][2]) == result["requests"]
    assert abs(float(rows[-1][0]) - result["latency_us"]["max"] / 1e3) < 0.001
    assert [float(row[0]) for row in rows] == sorted(float(row[0]) for row in rows)
    half = next(row for row in rows if float(row[1]) >= 0.5)
    assert abs(float(half[0]) * 1e3 / result["latency_us"]["p50"] - 1) < 0.02
    assert re.search(r"^#\[Max +=.*Total count +=", hgrm_path.read_text(), re.M)


def test_file_that_can_not_be_written(programs):
    origin = programs.origin("--quiet")
    r = subprocess.run([LOAD, "--connect", origin.address, "--duration", "0.1", "--warmup", "0", "--hgrm", "/nowhere/x"],
                       capture_output=True, text=True, check=False, timeout=env.scaled(20))
    assert r.returncode == 1 and "--hgrm /nowhere/x: No such file or directory" in r.stderr
