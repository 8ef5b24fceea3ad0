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
from lib.raw_origin import Answer, Held, reply


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
            stall(gateway, 1000)
            c.send(req(*extra, method=method, body=body))
            time.sleep(0.05)
            kept.sock.sendall(reply(b"poison"))
            r = c.response()
            assert r.status == 200 and r.body == b"honest", (method, r.status, r.body)
    assert gateway.metrics().get("ringgate_replica_surplus_total") >= 1


# ---- threads ----

def test_descriptor_numbers_that_go_from_thread_to_thread(programs):
    """ThreadSanitizer does not see what the ring opens and closes: it took a number used again by another thread for a race."""
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"replica": {"idle_connections": 0}}, workers=2)

    def use(path):
        for _ in range(30):
            assert get(gateway.address, path).status == 200
    threads = [threading.Thread(target=use, args=(f"/bytes/{size}",)) for size in (10, 10, 400_000, 400_000)]
    for t in threads:
        t.start()
    for _ in range(30):
        gateway.metrics()
    for t in threads:
        t.join()


# ---- memory ----

def test_pipelining_byte_by_byte_holds_little(programs):
    """Each byte held a block of 8 KiB while a request before it was being served."""
    slow = Held(target=None)
    origin = programs.raw_origin(slow)
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
        slow.release()
        assert held <= 1 << 20, f"1500 bytes hold {held} bytes of buffers"


def test_largest_head_limit_is_kept(programs):
    """limits.head_bytes at its maximum: a head beyond it was once received without end, until the time-out."""
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"limits": {"head_bytes": "48KiB"}, "timeouts": {"client_head": "60s"}})
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
    gateway = programs.gateway(origin.address, {"timeouts": {"response_head": env.ms(1200), "body_idle": env.ms(1200)}})
    with Client(gateway.address, timeout=30) as c:
        threading.Thread(target=c.send, args=(req(f"Content-Length: {size}", body=b"u" * size),), daemon=True).start()
        assert c.response().status == 200


# ---- ending ----

def test_drain_waits_for_descriptors(programs):
    """Connections that could not be accepted for want of descriptors were reset when the drain closed the listener."""
    slow = Held("/wait")
    origin = programs.raw_origin(slow)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": "60s", "connect": "60s"}, "limits": {"connections": 1000}},
                               preexec=nofile_limit(60))
    clients = []
    try:
        for _ in range(26):
            c = Client(gateway.address, timeout=30)  # none is reset; how soon a busy machine serves it is not asked
            c.send(req(method="GET", target="/wait"))
            clients.append(c)
            time.sleep(0.02)
        gateway.process.signal(signal.SIGTERM)
        time.sleep(0.6)
        slow.release()
        statuses = [c.response().status for c in clients]  # Incomplete: reset without an answer
        assert set(statuses) == {200}, statuses
    finally:
        slow.release()
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
        generation = gateway.metrics().get("ringgate_config_generation")
        gateway.reconfigure({"replica": {"address": second.address}})
        gateway.process.signal(signal.SIGHUP)
        r = c.response()
        assert r.status == 200 and r.body in (b"first", b"second"), (r.status, r.body)
        gateway.wait_metric(generation + 1, "ringgate_config_generation")
    assert get(gateway.address).body == b"second"


# ---- buffers short ----

def test_pipelined_bytes_do_not_keep_the_replicas_answers_out(programs):
    """Clients that wait for answers held all blocks with their next requests: no answer could be received any more."""
    slow = Held("/wait")
    origin = programs.raw_origin(slow)
    gateway = programs.gateway(origin.address, {"limits": {"buffer_bytes": "1MiB"}})
    clients = [Client(gateway.address, timeout=10) for _ in range(30)]
    for c in clients:
        c.send(req(method="GET", target="/wait"))
    env.wait_until(lambda: gateway.metrics().get("ringgate_exchanges_open") >= 10, 3, "exchanges")
    for c in clients:
        c.sock.setblocking(False)
        try:
            c.sock.send(req(method="GET") * 2000)
        except BlockingIOError:
            pass
        c.sock.settimeout(env.scaled(10))
    env.wait_until(lambda: gateway.metrics().get("ringgate_buffers_exhausted_total") > 0, 3, "want of buffers")
    slow.release()
    start = time.monotonic()
    statuses = [c.response().status for c in clients]
    assert statuses.count(200) >= 10 and set(statuses) <= {200, 503}, statuses
    assert time.monotonic() - start < env.at_most(3)
    for c in clients:
        c.close()
    gateway.wait_metric(0, "ringgate_exchanges_open")


def test_slow_heads_make_room_for_others(programs):
    """Clients that never finish their heads held all blocks until timeouts.client_head; nobody else was served."""
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"limits": {"buffer_bytes": "1MiB"}, "timeouts": {"client_head": "60s"}})
    slow = [Client(gateway.address) for _ in range(400)]
    for c in slow:
        c.send(b"G")
    for _ in range(10):
        start = time.monotonic()
        assert get(gateway.address).status == 200
        assert time.monotonic() - start < env.at_most(1)
    assert gateway.metrics().refused().get("out-of-buffers", 0) >= 1
    for c in slow:
        c.close()
    gateway.wait_metric(0, "ringgate_connections_open")
    assert gateway.process.cpu_share(0.3) < 0.2


def test_least_buffers_still_serve_large_heads_and_trailers(programs):
    """With limits.buffer_bytes at its least there was never a large block: large heads and trailers always failed."""
    big = ("X-Big", "b" * 12_000)
    origin = programs.raw_origin(lambda c, q: reply(fields=[big]))
    gateway = programs.gateway(origin.address, {"limits": {"buffer_bytes": "1MiB"}})
    with Client(gateway.address) as c:
        for _ in range(20):
            r = c.request(req("X-Mine: " + "m" * 12_000, "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"))
            assert r.status == 200 and r.get("x-big") == big[1]
    assert len(origin.last().get("x-mine")) == 12_000 and origin.last().trailers == [("X-T", "1")]


# ---- refusals ----

@pytest.mark.parametrize("data,status", [
    (b"HEAD / HTTP/1.1\r\nHost: test\r\nBad Name: x\r\n\r\n", 400),
    (b"HEAD / HTTP/1.1\r\nHost: test\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    (b"HEAD / HTTP/2.0\r\nHost: test\r\n\r\n", 505),
])
def test_malformed_head_request_is_refused_without_a_body(programs, data, status):
    """The refusal of a HEAD request whose fields were malformed came with a body."""
    gateway = programs.gateway(programs.raw_origin().address)
    with Client(gateway.address) as c:
        r = c.request(data, "HEAD")
        assert r.status == status and r.says_close and int(r.get("content-length")) > 0
        c.expect_end()


def test_http10_client_that_ended_its_side_sees_a_cut_response_as_cut(programs):
    """It left its upload unfinished; the response that was under way ended in order, as if that had been all of it."""
    rest = threading.Event()

    def script(connection, _request):
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)
        rest.wait(env.scaled(10))
        return Answer(b"y" * 1000, then="close")
    script.before_body = True
    gateway = programs.gateway(programs.raw_origin(script).address)
    with Client(gateway.address) as c:
        c.send(req("Content-Length: 100", body=b"half", version="HTTP/1.0"))
        c.head()
        c.sock.shutdown(socket.SHUT_WR)
        while c._fill():
            pass
        assert c.was_reset, f"an orderly end after {len(c.buffer)} bytes of 2000"
    rest.set()


# ---- forwarding fields ----

def test_client_of_a_unix_socket_has_no_address(programs, tmp_path):
    """It was passed on as "X-Forwarded-For: unix", which no parser of addresses takes."""
    origin = programs.raw_origin()
    path = tmp_path / "in.sock"
    gateway = programs.gateway(origin.address, listen=[f"unix:{path}"])
    with Client(str(path)) as c:
        assert c.request(req(method="GET")).status == 200
    q = origin.last()
    assert "x-forwarded-for" not in q.names() and "x-real-ip" not in q.names()
    assert "for=unknown" in q.get("forwarded")
    gateway.stop()
