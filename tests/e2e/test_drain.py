"""Leaving well: TERM finishes what runs, within its deadline, and clients notice nothing but refused connects."""

import signal
import threading
import time

import pytest

from lib import env, websocket
from lib.attack import req
from lib.client import Client, Incomplete, elapsed, is_open_to
from lib.load import Loader
from lib.raw_origin import Answer, stall_in_the_middle

ROUNDS = 20 if not env.SANITIZER else 6


def until_draining(gateway):
    """The order has been taken. (A connect would wait: handshakes are not completed any more.)"""
    gateway.wait_metric(1, "ringgate_draining", 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_restarts_under_load_lose_nothing(programs, workers):
    origin = programs.origin()
    # A client that thinks for longer than drain_idle may lose its next request, which is no fault: slow machines get more.
    timeouts = {"drain": env.ms(10000), "drain_idle": env.ms(1000)}
    gateway = programs.gateway(origin.address, {"timeouts": timeouts}, workers=workers)
    loader = Loader(gateway.address, 64)
    slowest = 0.0
    try:
        for i in range(ROUNDS if workers == 2 else ROUNDS // 4):
            before = gateway.metrics().get("ringgate_requests_total", code="2xx")
            env.wait_until(lambda: gateway.metrics().get("ringgate_requests_total", code="2xx") > before + 200, 10,
                           f"load to flow before restart {i}", 0.02)
            start = time.monotonic()
            gateway.stop()
            slowest = max(slowest, elapsed(start))
            gateway.start()
        result = loader.stop()
    finally:
        loader.kill()
    print(result, f"slowest drain {slowest:.3f} s")
    assert result["failed"] == 0, result
    assert result["ok"] > 64 * ROUNDS // 4
    assert slowest < env.scaled(4), f"a drain took {slowest:.2f} s although no request is slow"


def test_request_in_progress_is_finished(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": env.ms(8000)}})
    with Client(gateway.address) as waiting, Client(gateway.address) as streaming, Client(gateway.address) as uploading:
        waiting.send(req(method="GET", target=f"/bytes/1000?delay={int(2500 * env.SLOW)}"))
        streaming.send(req(method="GET", target=f"/bytes/20000?drip=1000/{int(125 * env.SLOW)}&chunked=1"))
        uploading.send(req("Content-Length: 10", target="/sink", body=b"hello"))
        streaming.head()
        env.wait_until(lambda: gateway.metrics().get("ringgate_exchanges_open") == 3, 2, "three exchanges")
        gateway.process.signal(signal.SIGTERM)
        until_draining(gateway)
        assert gateway.process.is_running()
        uploading.send(b"world")
        r = uploading.response()
        assert r.status == 200 and b"10" in r.body and r.says_close
        r = waiting.response()
        assert len(r.body) == 1000 and r.says_close
        waiting.expect_end()
        assert streaming._until(b"0\r\n\r\n").endswith(b"0\r\n\r\n")
        streaming.expect_end()
    assert gateway.process.wait(3) == 0
    assert "drain" in gateway.log()


def test_admin_tells_that_it_drains(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        c.send(req(method="GET", target=f"/bytes/10?delay={int(2500 * env.SLOW)}"))
        env.wait_until(lambda: gateway.metrics().get("ringgate_exchanges_open") == 1, 2, "the exchange")
        assert gateway.admin("POST", "/drain")[0] in (200, 202)
        until_draining(gateway)
        status, text, _ = gateway.admin("GET", "/ready")
        assert status == 503 and "drain" in text
        assert gateway.admin("GET", "/live")[0] == 200
        assert gateway.metrics().get("ringgate_draining") == 1
        env.wait_until(lambda: not is_open_to(gateway.address, 0.3), 2, "the listening socket to be closed")
        assert c.response().status == 200
    assert gateway.process.wait(5) == 0


def test_idle_connections_are_closed(programs):
    """Kept for drain_idle, so that a request on its way is answered, then closed without a word."""
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain_idle": env.ms(1500), "drain": "30s"}})
    idle, late = Client(gateway.address), Client(gateway.address)
    for c in (idle, late):
        assert c.request(req(method="GET")).status == 200
    start = time.monotonic()
    gateway.process.signal(signal.SIGTERM)
    until_draining(gateway)
    r = late.request(req(method="GET", target="/late"))
    assert r.status == 200 and r.says_close
    late.expect_end()
    idle.expect_end()
    assert elapsed(start) >= env.scaled(1.5) * 0.8
    assert gateway.process.wait(5) == 0
    assert elapsed(start) < env.at_most(3)
    assert [q.target for q in origin.requests][-1] == "/late"


def test_connections_without_a_request_do_not_hold_it_up(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain_idle": env.ms(300), "drain": "20s"}})
    silent = [Client(gateway.address) for _ in range(10)]
    env.wait_until(lambda: gateway.metrics().get("ringgate_connections_open") >= 10, 3, "ten connections")
    start = time.monotonic()
    gateway.process.signal(signal.SIGTERM)
    assert gateway.process.wait(5) == 0
    assert elapsed(start) < env.at_most(2)
    for c in silent:
        c.expect_end()


def test_deadline_is_kept(programs):
    origin = programs.raw_origin(stall_in_the_middle)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": env.ms(700)}}, workers=2)
    with Client(gateway.address) as c:
        c.send(req(method="GET"))
        c.head()
        start = time.monotonic()
        gateway.process.signal(signal.SIGTERM)
        assert gateway.process.wait(5) == 0
        assert env.scaled(0.65) <= elapsed(start) <= env.at_most(1), elapsed(start)
        with pytest.raises(Incomplete):
            c._exactly(100, lambda piece: None)
    origin.wait_all_ended()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_at_once(programs, first):
    def script(connection, _request):
        connection.wait_gone()
        return Answer(b"", "close")
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": "30s"}})
    with Client(gateway.address) as c:
        c.send(req(method="GET"))
        origin.wait_requests(1)
        gateway.process.signal(first)
        until_draining(gateway)
        assert gateway.process.is_running()
        start = time.monotonic()
        gateway.process.signal(signal.SIGTERM)
        # What status a cut-short drain has is the program's choice; that it ends at once is not.
        gateway.expected_exit = gateway.process.wait(5)
        assert elapsed(start) < env.at_most(1)
        assert gateway.expected_exit >= 0, "killed by the signal instead of ending by itself"


def test_waiting_connections_are_served(programs):
    """Connects that succeeded before the drain count as accepted: each gets its answer."""
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"timeouts": {"drain_idle": env.ms(5000)}}, workers=2)
    results, go = [], threading.Event()

    def one():
        try:
            with Client(gateway.address) as c:
                go.wait()
                r = c.request(req(method="GET"))
                results.append(r.status)
        except Exception as e:  # pylint: disable=broad-except
            results.append(e)
    threads = [threading.Thread(target=one) for _ in range(50)]
    for t in threads:
        t.start()
    gateway.wait_metric(50, "ringgate_connections_open")  # those of the start are closed
    gateway.process.signal(signal.SIGTERM)
    go.set()
    for t in threads:
        t.join()
    assert results == [200] * 50
    assert gateway.process.wait(5) == 0


def test_tunnel_does_not_outlive_the_deadline(programs):
    origin = programs.raw_origin(websocket.echo_tunnel)
    gateway = programs.gateway(origin.address, {"timeouts": {"drain": env.ms(800)}})
    with Client(gateway.address) as c:
        assert c.request(req(*websocket.HANDSHAKE, method="GET")).status == 101
        gateway.process.signal(signal.SIGTERM)
        c.send(b"ping")
        got = []
        c._exactly(4, got.append)
        start = time.monotonic()
        assert gateway.process.wait(5) == 0
        assert elapsed(start) <= env.at_most(1)
        c.expect_end()


def test_early_term(programs):
    """TERM right after the start is a clean end too."""
    origin = programs.raw_origin()
    for delay in (0.0, 0.005, 0.02, 0.05, None):
        gateway = programs.prepared_gateway(origin.address)
        gateway.spawn()
        if delay is None:
            env.wait_until(lambda: gateway.process.expects(signal.SIGTERM), 15, "the signal to be expected", 0.001)
        else:
            time.sleep(delay * env.SLOW)
        # Before it could see to that, the signal's own default ends it.
        expected = gateway.process.expects(signal.SIGTERM)
        gateway.process.signal(signal.SIGTERM)
        status = gateway.process.wait(5)
        assert status == 0 or (status == -signal.SIGTERM and not expected), f"after {delay} s: {status}\n{gateway.log()}"
        gateway.expected_exit = status


def test_drain_with_a_dead_replica(programs):
    gateway = programs.gateway(f"127.0.0.1:{env.free_port()}", {"replica": {"health": {"path": "/x", "interval": "50ms"}}})
    start = time.monotonic()
    gateway.stop()
    assert elapsed(start) < env.at_most(1)


