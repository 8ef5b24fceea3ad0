"""Defects that were found once and must not come back. Each test says what went wrong."""

import signal
import socket
import threading
import time

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, Incomplete, chunked, get
from lib.gateway import nofile_limit
from lib.raw_origin import reply


def stall(gateway, ms):
    """The worker sleeps; what arrives meanwhile is found in one turn of its loop. Returns when it sleeps."""
    status, text, _ = gateway.admin("POST", f"/debug/stall?worker=0&ms={int(ms)}")
    if status == 404:
        pytest.skip("a build without RG_DEBUG_SWITCHES")
    assert status == 200, text
    time.sleep(0.05)


# ---- whole or cut ----

def test_http10_response_cut_before_its_last_bytes_were_sent(programs):
    """All of the response had been received, the client did not take its last bytes: it must not see an orderly end."""
    body = {"size": 0}
    origin = programs.raw_origin(lambda c, q: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"z" * body["size"]))
    gateway = programs.gateway(origin.address, {"timeouts": {"body_idle": env.ms(400)}})
    seen = set()
    for size in range(256 << 10, 640 << 10, 48 << 10):
        body["size"] = size
        with Client(gateway.address, receive_buffer=8192) as c:
            c.send(req(method="GET", version="HTTP/1.0"))
            env.wait_until(lambda: gateway.metrics().get("ringgate_exchanges_open") == 0, 5, "the exchange to end")
            try:
                got = len(c.response().body)
                assert got == size, f"{got} of {size} bytes looked like the whole response"
                seen.add("whole")
            except Incomplete:
                seen.add("cut")
    assert "cut" in seen, "no size was cut: the test looks at nothing"


def test_bytes_that_came_before_the_request_left_are_not_its_answer(programs):
    """A kept connection brought bytes in the very turn that gave it the next request: they were taken for the answer."""
    origin = programs.raw_origin(lambda c, q: reply(b"honest"))
    gateway = programs.gateway(origin.address)
    for method, extra, body in (("GET", (), b""), ("POST", ("Content-Length: 4",), b"data")):
        with Client(gateway.address) as c:
            assert c.request(req(method="GET")).body == b"honest"
            kept = env.wait_until(origin.open_connections, 2, "a kept connection")[-1]
            stall(gateway, 300)
            c.send(req(*extra, method=method, body=body))
            time.sleep(0.05)
            kept.sock.sendall(reply(b"poison"))
            r = c.response()
            assert r.status == 200 and r.body == b"honest", (method, r.status, r.body)
    assert gateway.metrics().get("ringgate_replica_surplus_total") >= 1


# ---- memory ----

def test_pipelining_byte_by_byte_holds_little(programs):
    """Each byte held a block of 8 KiB while a request before it was being served."""
    release = threading.Event()
    origin = programs.raw_origin(lambda c, q: (release.wait(env.scaled(20)), reply(b"ok"))[1])
    gateway = programs.gateway(origin.address)
    before = gateway.metrics().get("ringgate_buffer_bytes")
    with Client(gateway.address) as c:
        c.send(req(method="GET"))
        env.wait_until(lambda: gateway.metrics().get("ringgate_exchanges_open") == 1, 2, "the exchange")
        received = lambda: gateway.metrics().get("ringgate_client_received_bytes_total")
        base = received()
        for _ in range(1500):
            c.send(b"G")
            time.sleep(0.0003)
        env.wait_until(lambda: received() >= base + 1500, 5, "the bytes to be received")
        time.sleep(1.1 * env.SLOW)  # the gauge is set once a second
        held = gateway.metrics().get("ringgate_buffer_bytes") - before
        release.set()
        assert held <= 1 << 20, f"1500 bytes hold {held} bytes of buffers"


def test_head_larger_than_a_block_is_refused(programs):
    """limits.head_bytes above the largest block: more than the block was received without end, until the time-out."""
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"limits": {"head_bytes": "1MiB"}, "timeouts": {"client_head": "60s"}})
    with Client(gateway.address, timeout=5) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: test\r\n")
        for i in range(60):
            if not c.send(b"X-%d: %s\r\n" % (i, b"a" * 4000)):
                break
        assert c.response().status == 431
    assert get(gateway.address).status == 200


# ---- time ----

def test_long_wait_for_the_replica_is_not_the_clients(programs):
    """An answer that came after body_idle, in the turn in which limits were looked at, was taken for one that stalled."""
    origin = programs.raw_origin(lambda c, q: time.sleep(1.0) or reply(b"late"))
    gateway = programs.gateway(origin.address, {"timeouts": {"body_idle": "500ms", "response_head": "30s"}})
    with Client(gateway.address) as c:
        c.send(req(method="GET"))
        time.sleep(0.7)
        stall(gateway, 900)
        assert c.response().body == b"late"


def test_slow_replica_that_takes_an_upload_is_waited_for(programs):
    """The replica reads all the time, slowly; sends complete only now and then."""
    size = 6 << 20

    def script(connection, request):
        left = size - (len(connection.received) - connection.at)
        while left > 0:
            data = connection.sock.recv(16384)
            assert data
            left -= len(data)
            time.sleep(len(data) / (size / (5.0 * env.SLOW)))
        return reply(b"taken")
    script.before_body = True
    origin = programs.raw_origin(script, receive_buffer=16384)
    gateway = programs.gateway(origin.address, {"timeouts": {"response_head": env.ms(600), "body_idle": env.ms(600)}})
    with Client(gateway.address, timeout=30) as c:
        threading.Thread(target=c.send, args=(req(f"Content-Length: {size}", body=b"u" * size),), daemon=True).start()
        assert c.response().status == 200


# ---- ending ----

def test_drain_waits_for_descriptors(programs):
    """Connections that could not be accepted for want of descriptors were reset when the drain closed the listener."""
    release = threading.Event()
    origin = programs.raw_origin(lambda c, q: (q.target == "/wait" and release.wait(env.scaled(20)), reply(b"ok"))[1])
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": "20s", "connect": "20s"}, "limits": {"connections": 1000}},
                               preexec=nofile_limit(60))
    clients = []
    try:
        for _ in range(26):
            c = Client(gateway.address)
            c.send(req(method="GET", target="/wait"))
            clients.append(c)
            time.sleep(0.02)
        gateway.process.signal(signal.SIGTERM)
        time.sleep(0.6)
        release.set()
        statuses = [c.response().status for c in clients]  # Incomplete: reset without an answer
        assert set(statuses) == {200}, statuses
    finally:
        release.set()
        for c in clients:
            c.close()


def test_new_address_of_the_replica_while_a_connect_is_under_way(programs, tmp_path):
    """The connect was handed to the kernel after the address had changed below it, with the length of the old one."""
    first = programs.raw_origin(lambda c, q: reply(b"first"), path=str(tmp_path / "replica.sock"))
    second = programs.raw_origin(lambda c, q: reply(b"second"))
    gateway = programs.gateway(first.address)
    with Client(gateway.address) as c:
        env.wait_until(lambda: gateway.metrics().get("ringgate_connections_open") == 1, 2, "the connection")
        stall(gateway, 400)
        c.send(req(method="GET"))
        gateway.reconfigure({"replica": {"address": second.address}})
        gateway.process.signal(signal.SIGHUP)
        r = c.response()
        assert r.status == 200 and r.body in (b"first", b"second"), (r.status, r.body)
    assert get(gateway.address).body == b"second"
