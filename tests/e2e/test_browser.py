"""
A browser in front: Chromium, without a window. A page with many images and a WebSocket comes through one connection of HTTP/2
over TLS; the page itself tells what it has seen.
"""

import json
import shutil
import signal
import threading

import pytest

from lib import env, tls
from lib.process import Process
from lib.raw_origin import Answer, reply
from lib.websocket import CLOSE, frame, frames_of, switching

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (package chromium, 400 MB, so that ./dev does not install it)")

IMAGES = 100
PAGE = b"""<!DOCTYPE html><title>x</title><body><script>
const seen = {loaded: 0, failed: 0}, images = %d;
function tell() {
  const entries = performance.getEntriesByType("resource").filter(e => e.name.includes("/image/"));
  seen.protocols = [...new Set(entries.map(e => e.nextHopProtocol))];
  seen.entries = entries.length;
  seen.page = performance.getEntriesByType("navigation")[0].nextHopProtocol;
  fetch("/report", {method: "POST", body: JSON.stringify(seen)});
}
function speak() {
  const socket = new WebSocket("wss://" + location.host + "/chat");
  socket.onopen = () => socket.send("hello");
  socket.onmessage = e => { seen.message = e.data; socket.close(1000); };
  socket.onerror = () => { seen.error = true; };
  socket.onclose = e => { seen.closed = e.code; tell(); };
}
function one(ok) {
  seen[ok ? "loaded" : "failed"]++;
  if (seen.loaded + seen.failed == images)
    speak();
}
performance.setResourceTimingBufferSize(2 * images);
for (let i = 0; i < images; i++) {
  const image = new Image();
  image.onload = () => one(true);
  image.onerror = () => one(false);
  image.src = "/image/" + i + ".svg";
  document.body.append(image);
}
</script>""" % IMAGES
IMAGE = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><!-- %s --></svg>'


class Pages:
    """The script of an origin; report: what the page has told, once it has."""

    def __init__(self):
        self.report, self.has_told = None, threading.Event()

    def __call__(self, connection, request):
        if request.target == "/chat":
            return echo_once(connection, request)
        if request.target == "/report":
            self.report = json.loads(request.body)
            self.has_told.set()
            return reply(b"")
        if request.target.startswith("/image/"):
            return reply(IMAGE % (request.target.encode() * 200), fields=[("Content-Type", "image/svg+xml")])
        return reply(PAGE, fields=[("Content-Type", "text/html")])


def echo_once(connection, request):
    """Sends the text back, then the close; a server's frames have no mask."""
    connection.send(switching(request))
    connection.at = start = len(connection.received)
    sent = 0
    while True:
        connection.fill()
        frames, _ = frames_of(bytes(connection.received[start:]))
        for opcode, payload in frames[sent:]:
            connection.send(frame(opcode, payload, masked=False))
            if opcode == CLOSE:
                return Answer(b"", "close")
        sent = len(frames)


class Chromium(Process):
    def __init__(self, directory, url):
        super().__init__("chromium", [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
            "--no-proxy-server", "--ignore-certificate-errors", f"--user-data-dir={directory}/profile", url], str(directory))


def test_a_page_with_many_images_and_a_websocket(programs, tmp_path):
    pages = Pages()
    certificate = tls.Certificate(tmp_path, "page", names=["localhost"])
    log = tmp_path / "access.log"
    port = env.free_port()
    gateway = programs.gateway(programs.raw_origin(pages).address, {
        "listeners": [tls.listener(f"127.0.0.1:{port}", certificate)], "access_log": {"path": str(log)}},
        listen=[f"127.0.0.1:{port}"])
    browser = Chromium(tmp_path, f"https://localhost:{port}/")
    try:
        assert pages.has_told.wait(env.scaled(60)), browser.log()[-3000:]
        env.wait_until(lambda: '"/chat"' in log.read_text(), 10, "the record of the tunnel")
    finally:
        browser.signal(signal.SIGTERM)  # which ends its other processes, too
        browser.wait()
    seen = pages.report
    assert (seen["loaded"], seen["failed"], seen["entries"]) == (IMAGES, 0, IMAGES), seen
    assert seen["protocols"] == ["h2"] and seen["page"] == "h2", seen
    assert (seen.get("message"), seen.get("closed")) == ("hello", 1000) and "error" not in seen, seen
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert {r["protocol"] for r in records} == {"HTTP/2.0"}
    ours = [r for r in records if r["target"].startswith(("/image/", "/chat"))]
    assert len(ours) == IMAGES + 1 and len({r["client_port"] for r in ours}) == 1, "the WebSocket has a connection of its own"
    assert gateway.metrics().get("ringgate_tunnels_total") == 1
