"""In front of other people's servers, for other people's clients: nginx, Apache, http.server; curl, wrk, a browser."""

import hashlib
import os
import re
import shutil
import subprocess

import pytest

from lib import env, peers
from lib.attack import req
from lib.client import Client

CURL = shutil.which("curl")


@pytest.fixture(scope="module", params=list(peers.ALL))
def pair(request, shared):
    """A gateway started by flags alone, as in the first lines of the manual."""
    peer = peers.ALL[request.param](os.path.join(shared.directory, request.param))
    if peer is None:
        pytest.skip(f"{request.param} is not installed")
    shared.add(peer)
    address = f"127.0.0.1:{env.free_port()}"
    gateway = shared.gateway(listen=[address], name=f"gateway-{request.param}", flags=[
        "--workers", "2", "--listen", address, "--replica", peer.address, "--admin", "{admin}"])
    env.wait_until(lambda: gateway.admin("GET", "/ready")[0] == 200, 5, "the replica's first probe")
    gateway.peer = peer
    return gateway


def curl(*args, data=None):
    if not CURL:
        pytest.skip("curl is not installed")
    r = subprocess.run([CURL, "-sS", "--max-time", str(int(env.scaled(20))), *args], input=data, capture_output=True, check=False)
    return r


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_curl_downloads(pair, version):
    small, large = f"{pair.url}/small.txt", f"{pair.url}/large.bin"
    with open(os.path.join(pair.peer.root, "large.bin"), "rb") as f:
        wanted = hashlib.sha256(f.read()).hexdigest()
    # Several in one run: the connection is kept where the version allows it.
    r = curl(version, "-w", "%{http_code} %{num_connects}\\n", "-o", "/dev/null", small, "-o", "/dev/null", small, "-o", "/dev/null", small)
    lines = r.stdout.decode().split("\n")[:3]
    assert r.returncode == 0 and all(ln.startswith("200 ") for ln in lines), (r, lines)
    if version == "--http1.1":
        assert sum(int(ln.split()[1]) for ln in lines) == 1
    r = curl(version, large)
    assert r.returncode == 0 and hashlib.sha256(r.stdout).hexdigest() == wanted
    r = curl(version, "-I", large)
    assert r.returncode == 0 and re.search(rb"(?i)content-length: 5120000", r.stdout)
    assert curl(version, "-f", f"{pair.url}/none").returncode == 22


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
@pytest.mark.parametrize("how", ["expect", "no-expect", "stdin"])
def test_curl_uploads(pair, tmp_path, version, how):
    if not pair.peer.can_put:
        pytest.skip("this server takes no uploads")
    if how == "stdin" and version == "--http1.0":
        pytest.skip("HTTP/1.0 has no coding for a body of unknown length")
    data = os.urandom(2_000_000)
    file = tmp_path / "upload"
    file.write_bytes(data)
    name = f"{how}{version[-1]}"
    url = f"{pair.url}/put/{name}"
    args = {"expect": ["-T", str(file), "-H", "Expect: 100-continue"], "no-expect": ["-T", str(file), "-H", "Expect:"],
            "stdin": ["-T", "-"]}[how]
    r = curl(version, "-w", "%{http_code}", "-o", "/dev/null", *args, url, data=data if how == "stdin" else None)
    assert r.returncode == 0 and r.stdout in (b"200", b"201", b"204"), r
    assert pair.peer.uploaded(name) == data


def test_conditional_and_range_requests(pair):
    r = curl("-D", "-", "-o", "/dev/null", f"{pair.url}/small.txt")
    modified = re.search(rb"(?i)last-modified: ([^\r]+)", r.stdout).group(1).decode()
    r = curl("-w", "%{http_code}", "-H", f"If-Modified-Since: {modified}", f"{pair.url}/small.txt")
    assert r.stdout == b"304"
    if not pair.peer.name.startswith("python"):
        assert curl("-r", "4-7", f"{pair.url}/large.bin").stdout == b"\0\0\0\0"


def test_pipelined_requests(pair):
    with Client(pair.address) as c:
        c.send(req(method="GET", target="/small.txt") * 20)
        assert len({c.response().body for _ in range(20)}) == 1


def test_wrk_sees_no_error(pair):
    wrk = shutil.which("wrk")
    if not wrk:
        pytest.skip("wrk is not installed")
    if pair.peer.name.startswith("python"):
        pytest.skip("http.server starts a thread per connection and listens with a queue of 5")
    r = subprocess.run([wrk, "-t", "2", "-c", "32", "-d", "1s", "--timeout", "10s", f"{pair.url}/small.txt"], capture_output=True,
                       text=True, check=False)
    assert r.returncode == 0 and "Requests/sec" in r.stdout, r
    assert "Socket errors" not in r.stdout and "Non-2xx" not in r.stdout, (r.stdout, pair.metrics().refused())
    print(re.search(r"Requests/sec:.*", r.stdout).group(0))


def test_browser(pair, tmp_path):
    browser = next((shutil.which(b) for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)
    if not browser:
        pytest.skip("no Chromium is installed")
    page = os.path.join(pair.peer.root, "page.html")
    with open(page, "w", encoding="utf-8") as f:
        f.write("<!doctype html><title>t</title><p id=p>waiting</p><script>fetch('/small.txt').then(r => r.text())"
                ".then(t => { document.getElementById('p').textContent = 'fetched ' + t })</script>")
    r = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--virtual-time-budget=5000",
                        "--dump-dom", f"{pair.url}/page.html"], capture_output=True, text=True, timeout=env.scaled(60), check=False)
    assert f"fetched hello from {pair.peer.name}" in r.stdout, r.stderr[-2000:]
