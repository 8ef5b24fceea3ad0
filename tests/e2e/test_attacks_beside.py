"""
Honest clients beside an attack: while one client floods, resets, stalls or shakes hands without end, requests of others on
the same worker are answered in time, over kept and over new connections; afterwards nothing of the attack is left.
"""

import os
import socket
import ssl
import statistics
import threading
import time

import pytest

from lib import env, tls
from lib.attack import req
from lib.client import Client, get
from lib.h2 import (CONTINUATION, END_HEADERS, Ended, H2, HEADERS, INITIAL_WINDOW_SIZE, PING, frame,
                    request_fields)
from lib.raw_origin import Gone, reply
from lib.tls import TlsClient

PROBES = 12
BIG = 1 << 20


def script(connection, request):
    if request.target == "/hang":
        connection.wait_gone()
        raise Gone
    return reply(b"x" * BIG if request.target == "/big" else b"ok")


@pytest.fixture(scope="module")
def site(shared):
    certificate = tls.Certificate(shared.directory, "beside", ["a.example"])
    clear, secure, proxied = (f"127.0.0.1:{env.free_port()}" for _ in range(3))
    items = [{"address": clear}, tls.listener(secure, certificate),
             {"address": proxied, "proxy_protocol": {"mode": "require", "trusted": ["127.0.0.1"]}}]

    class Site:
        origin = shared.raw_origin(script)
        gateway = shared.gateway(origin.address, {"listeners": items, "timeouts": {"client_head": env.ms(1500),
                                                                                  "body_idle": env.ms(1500)}},
                                 listen=[clear, secure, proxied])
        clear_address, tls_address, proxy_address = (("127.0.0.1", int(a.rpartition(":")[2])) for a in (clear, secure, proxied))
    return Site


# ---- attacks: each goes on until it is told to stop, and returns how much of it there was ----

def again_and_again(one):
    """A connection after the other, as the gateway ends them."""
    def attack(site, stop):
        n = 0
        while not stop.is_set():
            try:
                one(site, stop)
            except (Ended, OSError):
                pass
            n += 1
        return n
    attack.__name__ = one.__name__
    return attack


@again_and_again
def rapid_reset(site, stop):
    with H2(site.clear_address) as c:
        while not stop.is_set():
            c.reset(c.get("/hang"))


@again_and_again
def ping_flood(site, stop):
    with H2(site.clear_address) as c:
        while not stop.is_set():
            c.send(frame(PING, 0, 0, b"12345678") * 50)


@again_and_again
def settings_flood(site, stop):
    with H2(site.clear_address) as c:
        while not stop.is_set():
            c.send(c.settings_frame([(INITIAL_WINDOW_SIZE, 65535)]) * 50)


@again_and_again
def continuation_flood(site, stop):
    with H2(site.clear_address) as c:
        stream = c.new_id()
        c.frame(HEADERS, 0, stream, c.block(request_fields()))
        while not stop.is_set():
            c.send(frame(CONTINUATION, 0, stream, b"") * 50)


@again_and_again
def hpack_bomb(site, _stop):
    with H2(site.clear_address) as c:
        block = c.block(request_fields()) + b"\x40\x01b" + b"\x7f\xa1\x1e" + b"v" * 4000
        stream = c.new_id()
        c.frame(HEADERS, 0, stream, block)
        c.frame(CONTINUATION, END_HEADERS, stream, b"\xbe" * 16000)
        c.connection_error()


@again_and_again
def tables_that_churn(site, stop):
    """Each head puts more into the table of fields than it holds."""
    with H2(site.clear_address) as c:
        while not stop.is_set():
            more = [(f"x-{c.new_id()}-{i}", "v" * 900) for i in range(8)]
            assert c.response(c.headers(request_fields("/", more=more))).status == 200


@again_and_again
def windows_of_zero(site, stop):
    with H2(site.clear_address, settings=[(INITIAL_WINDOW_SIZE, 0)]) as c:
        for _ in range(50):
            c.get("/big")
        c.ping()
        stop.wait(0.2)


@again_and_again
def noise(site, _stop):
    with socket.create_connection(site.clear_address, timeout=env.scaled(5)) as s:
        s.sendall(b"\x16\x03\x01" + os.urandom(5000))
        s.recv(100)


@again_and_again
def requests_never_read(site, stop):
    with socket.create_connection(site.clear_address, timeout=0.2) as s:
        while not stop.is_set():
            s.sendall(req(method="GET", target="/big") * 20)


@again_and_again
def heads_without_end(site, stop):
    socks = [socket.create_connection(site.clear_address) for _ in range(100)]
    for s in socks:
        s.sendall(b"GET / HTTP/1.1\r\nHost: te")
    stop.wait(0.2)
    for s in socks:
        s.close()


@again_and_again
def handshakes_left_halfway(site, _stop):
    """The gateway has signed, which is the dear part, when the client leaves."""
    hello = tls.client_hello()
    socks = [tls.raw_socket(site.tls_address) for _ in range(20)]
    for s in socks:
        s.sendall(hello)
    for s in socks:
        s.recv(1)
        s.close()


@again_and_again
def full_handshakes(site, _stop):
    with TlsClient(site.tls_address, ctx=tls.context(ssl.TLSVersion.TLSv1_3)):
        pass


@again_and_again
def proxy_headers_cut(site, _stop):
    with socket.create_connection(site.proxy_address, timeout=env.scaled(5)) as s:
        s.sendall(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" + bytes(5000))
        s.recv(1)


ATTACKS = [rapid_reset, ping_flood, settings_flood, continuation_flood, hpack_bomb, tables_that_churn, windows_of_zero, noise,
           requests_never_read, heads_without_end, handshakes_left_halfway, full_handshakes, proxy_headers_cut]


def probe(kept, address):
    """The longer of two honest requests: on a connection that is kept, and on a new one."""
    def timed(ask):
        start = time.monotonic()
        assert ask().status == 200
        return time.monotonic() - start
    return max(timed(lambda: kept.request(req(method="GET", target="/honest"))), timed(lambda: get(address, "/honest")))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__)
def test_others_are_served(site, attack):
    before, stop, rounds = site.gateway.rss_bytes(), threading.Event(), []
    threads = [threading.Thread(target=lambda: rounds.append(attack(site, stop))) for _ in range(2)]
    with Client(site.clear_address) as kept:
        assert kept.request(req(method="GET")).status == 200
        for t in threads:
            t.start()
        try:
            took = []
            for _ in range(PROBES):
                took.append(probe(kept, site.clear_address))
                time.sleep(0.03)
            grown = site.gateway.rss_bytes() - before
        finally:
            stop.set()
            for t in threads:
                t.join()
    assert len(rounds) == 2 and min(rounds) > 0, "the attack itself broke"
    assert statistics.median(took) < env.scaled(0.5) and max(took) < env.at_most(0.5), took
    assert grown < 96 << 20 or env.SANITIZER, f"{grown} bytes"  # limits.buffer_bytes, and then some
    for gauge in ("ringgate_exchanges_open", "ringgate_connections_open", "ringgate_http2_connections_open",
                  "ringgate_tls_connections_open"):
        site.gateway.wait_metric(0, gauge, 15)
