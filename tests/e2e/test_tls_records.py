"""
A client that has the keys and breaks the rules of records, against sessions of ours and, where it asks for small records, against
those that OpenSSL keeps: what becomes of it is the same.
"""

import os
import socket

import pytest

pytest.importorskip("cryptography", reason="python3-cryptography is not installed: records of TLS are not made by hand")

from lib import env, tls
from lib.attack import req
from lib.raw_tls import ALERT, CHANGE_CIPHER, CLOSE_NOTIFY, DATA, HANDSHAKE, RawTls, message, whole

OURS, LIBRARY = 0, 4  # RawTls.fragment
CLOSE, UNEXPECTED, BAD_MAC, OVERFLOW, ILLEGAL, DECODE, INTERNAL, NO_RENEGOTIATION = 0, 10, 20, 22, 47, 50, 80, 100
SERVED = "served"
ASK = req("Connection: close", method="GET", target="/bytes/5")
SUITES_13, SUITES_12 = ["aes128", "aes256", "chacha"], ["aes128-12", "aes256-12", "chacha-12"]


@pytest.fixture(scope="module")
def gateway(shared, tmp_path_factory):
    certificate = tls.Certificate(tmp_path_factory.mktemp("certs"), "ec", ["a.example"])
    address = f"127.0.0.1:{env.free_port()}"
    return shared.gateway(shared.origin().address, {"listeners": [tls.listener(address, certificate)]}, listen=[address])


def what_became(c):
    data, alert = c.outcome()
    if data:
        assert data.startswith(b"HTTP/1.1 200") and alert == CLOSE, (data, alert)
        return SERVED
    return alert


def update(c, request=0, *, cut=None, obey=True):
    msg = message(24, bytes([request]))
    out = c.seal(HANDSHAKE, msg) if cut is None else c.seal(HANDSHAKE, msg[:cut]) + c.seal(HANDSHAKE, msg[cut:])
    if obey:
        c.update()
    return out


# What is sent, and what becomes of it: a request follows where it is served. Two outcomes: ours, and that of OpenSSL, a set where its
# versions differ.
ROWS_13 = {
    "a request": (lambda c: b"", SERVED),
    "a byte in each record": (lambda c: b"".join(c.seal(DATA, ASK[i:i + 1]) for i in range(len(ASK))), SERVED),
    "padded": (lambda c: c.seal(DATA, b"", 500) + c.seal(DATA, b"", 1), SERVED),
    "empty records": (lambda c: b"".join(c.seal(DATA, b"") for _ in range(30)), SERVED),
    "too many empty records": (lambda c: b"".join(c.seal(DATA, b"") for _ in range(33)), UNEXPECTED),
    "padding alone": (lambda c: c.seal(None, bytes(10)), UNEXPECTED),
    "one zero": (lambda c: c.seal(None, b"\0"), UNEXPECTED),
    "heartbeat": (lambda c: c.seal(24, b"\1\0\1x"), UNEXPECTED),
    "empty handshake": (lambda c: c.seal(HANDSHAKE, b""), UNEXPECTED),
    "empty alert": (lambda c: c.seal(ALERT, b""), UNEXPECTED),
    "half an alert": (lambda c: c.seal(ALERT, b"\1"), (DECODE, UNEXPECTED)),
    "two alerts in one": (lambda c: c.seal(ALERT, CLOSE_NOTIFY * 2), (DECODE, UNEXPECTED)),
    "user_canceled": (lambda c: c.seal(ALERT, b"\1\x5a"), SERVED),
    "user_canceled and the end": (lambda c: c.seal(ALERT, b"\1\x5a") + c.seal(ALERT, CLOSE_NOTIFY), (CLOSE, {CLOSE, None})),
    "the end as if it were fatal": (lambda c: c.seal(ALERT, b"\2\0"), CLOSE),
    "data after the end": (lambda c: c.seal(ALERT, CLOSE_NOTIFY) + c.seal(DATA, ASK), CLOSE),
    "a fatal alert": (lambda c: c.seal(ALERT, b"\2\x28"), None),
    "a warning": (lambda c: c.seal(ALERT, b"\1\x29"), None),
    "CCS": (lambda c: b"\x14\x03\x03\x00\x01\x01", UNEXPECTED),
    "CCS, sealed": (lambda c: c.seal(CHANGE_CIPHER, b"\1"), UNEXPECTED),
    "an alert in the clear": (lambda c: b"\x15\x03\x03\x00\x02\x01\x00", UNEXPECTED),
    "a handshake in the clear": (lambda c: b"\x16\x03\x03\x00\x05\x18\0\0\1\0", UNEXPECTED),
    "noise": (lambda c: b"\x17\x03\x03\x00\x40" + os.urandom(64), BAD_MAC),
    "a record twice": (lambda c: 2 * c.seal(DATA, b"GET"), BAD_MAC),
    "a record left out": (lambda c: (c.seal(DATA, b"GET"), c.seal(DATA, b"GET"))[1], BAD_MAC),
    "too long for its header": (lambda c: b"\x17\x03\x03\x41\x01", OVERFLOW),
    "ClientHello": (lambda c: c.seal(HANDSHAKE, c.hello()), UNEXPECTED),
    "NewSessionTicket": (lambda c: c.seal(HANDSHAKE, message(4, bytes(40))), UNEXPECTED),
    "Certificate": (lambda c: c.seal(HANDSHAKE, message(11, bytes(4))), UNEXPECTED),
    "CertificateRequest": (lambda c: c.seal(HANDSHAKE, message(13, bytes(9))), UNEXPECTED),
    "Finished": (lambda c: c.seal(HANDSHAKE, message(20, bytes(32))), UNEXPECTED),
    "HelloRequest": (lambda c: c.seal(HANDSHAKE, message(0, b"")), UNEXPECTED),
    "EndOfEarlyData": (lambda c: c.seal(HANDSHAKE, message(5, b"")), UNEXPECTED),
    "new keys": (update, SERVED),
    "new keys at the edge of data": (lambda c: c.seal(DATA, ASK[:9]) + update(c) + c.seal(DATA, ASK[9:]), SERVED),
    "new keys for both": (lambda c: update(c, 1), SERVED),
    "new keys for both, asked for often": (lambda c: b"".join(update(c, 1) for _ in range(20)), SERVED),
    "new keys without end": (lambda c: b"".join(update(c) for _ in range(33)), (UNEXPECTED, SERVED)),
    "new keys in two records": (lambda c: update(c, cut=2), SERVED),
    "new keys, not used": (lambda c: update(c, obey=False) + c.seal(DATA, ASK), BAD_MAC),
    "new keys, used too early": (lambda c: (c.update(), c.seal(DATA, ASK))[1], BAD_MAC),
    "data within new keys": (lambda c: c.seal(HANDSHAKE, b"\x18\0") + c.seal(DATA, ASK), UNEXPECTED),
    "the end within new keys": (lambda c: c.seal(HANDSHAKE, b"\x18\0") + c.seal(ALERT, CLOSE_NOTIFY), UNEXPECTED),
    "new keys, twice in one record": (lambda c: c.seal(HANDSHAKE, 2 * message(24, b"\0")), UNEXPECTED),
    "new keys and half of others": (lambda c: c.seal(HANDSHAKE, message(24, b"\0") + b"\x18"), UNEXPECTED),
    "new keys, neither way": (lambda c: c.seal(HANDSHAKE, message(24, b"\2")), ILLEGAL),
    "new keys, no word": (lambda c: c.seal(HANDSHAKE, message(24, b"")), DECODE),
    "new keys, two words": (lambda c: c.seal(HANDSHAKE, message(24, b"\0\0")), (DECODE, ILLEGAL)),
}
ROWS_12 = {
    "a request": (lambda c: b"", SERVED),
    "a byte in each record": (lambda c: b"".join(c.seal(DATA, ASK[i:i + 1]) for i in range(len(ASK))), SERVED),
    "empty records": (lambda c: b"".join(c.seal(DATA, b"") for _ in range(30)), SERVED),
    "too many empty records": (lambda c: b"".join(c.seal(DATA, b"") for _ in range(33)), UNEXPECTED),
    "heartbeat": (lambda c: c.seal(24, b"\1\0\1x"), UNEXPECTED),
    "CCS": (lambda c: c.seal(CHANGE_CIPHER, b"\1"), UNEXPECTED),
    "empty handshake": (lambda c: c.seal(HANDSHAKE, b""), (UNEXPECTED, SERVED)),
    "empty alert": (lambda c: c.seal(ALERT, b""), UNEXPECTED),
    "half an alert": (lambda c: c.seal(ALERT, b"\1"), (DECODE, UNEXPECTED)),
    "a warning": (lambda c: c.seal(ALERT, b"\1\x5a"), SERVED),
    "warnings": (lambda c: b"".join(c.seal(ALERT, b"\1\x5a") for _ in range(33)), UNEXPECTED),
    "a fatal alert": (lambda c: c.seal(ALERT, b"\2\x28"), None),
    "the end": (lambda c: c.seal(ALERT, CLOSE_NOTIFY) + c.seal(DATA, ASK), CLOSE),
    "ClientHello": (lambda c: c.seal(HANDSHAKE, c.hello()), NO_RENEGOTIATION),
    "Finished": (lambda c: c.seal(HANDSHAKE, message(20, bytes(12))), UNEXPECTED),
    "NewSessionTicket": (lambda c: c.seal(HANDSHAKE, message(4, bytes(40))), UNEXPECTED),
    "noise": (lambda c: b"\x17\x03\x03\x00\x40" + os.urandom(64), BAD_MAC),
    "in the clear": (lambda c: b"\x17\x03\x03\x00\x03GET", (BAD_MAC, {BAD_MAC, INTERNAL})),
    "a record twice": (lambda c: 2 * c.seal(DATA, b"GET"), BAD_MAC),
    "a record left out": (lambda c: (c.seal(DATA, b"GET"), c.seal(DATA, b"GET"))[1], BAD_MAC),
    "another type": (lambda c: (lambda r: b"\x15" + r[1:])(c.seal(DATA, ASK)), BAD_MAC),
    "too long for its header": (lambda c: b"\x17\x03\x03\x48\x01", OVERFLOW),
}


@pytest.mark.parametrize("fragment", [OURS, LIBRARY], ids=["ours", "library"])
@pytest.mark.parametrize("suite,rows,name", [("aes128", ROWS_13, n) for n in ROWS_13] + [("aes256-12", ROWS_12, n) for n in ROWS_12])
def test_what_becomes_of(gateway, suite, rows, name, fragment):
    make, expected = rows[name]
    if isinstance(expected, tuple):
        expected = expected[fragment != OURS]
    with RawTls(gateway.address, suite, fragment) as c:
        c.settle()
        sent = make(c)
        c.send(sent + c.seal(DATA, ASK) if expected == SERVED and "in each record" not in name else sent)
        assert what_became(c) in (expected if isinstance(expected, set) else {expected})
        assert bool(c.updates) == ("both" in name)
        assert fragment != OURS or c.updates < 2, "however often it was asked"


# ---- the end of the handshake ----

BOTH = pytest.mark.parametrize("fragment", [OURS, LIBRARY], ids=["ours", "library"])
ALL = pytest.mark.parametrize("suite", SUITES_13 + SUITES_12)


def in_bytes(finished, keys):
    return b"".join(keys.seal(HANDSHAKE, finished[i:i + 1]) for i in range(len(finished)))


@BOTH
@pytest.mark.parametrize("suite,extended", [(s, True) for s in SUITES_13 + SUITES_12] + [(s, False) for s in SUITES_12])
def test_finished_in_pieces(gateway, suite, fragment, extended):
    """In TLS 1.2 each of its records has a number of the keys that data is sealed with."""
    with RawTls(gateway.address, suite, fragment, extended, finish=in_bytes) as c:
        c.send(c.seal(DATA, ASK))
        assert what_became(c) == SERVED


@BOTH
@pytest.mark.parametrize("suite", SUITES_13)
def test_a_hello_that_is_asked_for_again(gateway, suite, fragment):
    with RawTls(gateway.address, suite, fragment, retry=True, more=lambda c: c.seal(DATA, ASK)) as c:
        assert what_became(c) == SERVED


@BOTH
@pytest.mark.parametrize("suite", SUITES_12)
def test_a_warning_before_finished(gateway, suite, fragment):
    with pytest.raises(AssertionError, match="no handshake"):
        RawTls(gateway.address, suite, fragment, finish=lambda f, k: k.seal(ALERT, b"\1\x5a") + whole(f, k))


@BOTH
@ALL
def test_a_request_with_finished(gateway, suite, fragment):
    """In one segment; and a second one behind it, the end of which comes later."""
    first = req(method="GET", target="/bytes/1")
    more = {}

    def records(c):
        whole_one = c.seal(DATA, first)
        more["rest"] = c.seal(DATA, ASK)
        return whole_one + more["rest"][:7]
    with RawTls(gateway.address, suite, fragment, more=records) as c:
        c.send(more["rest"][7:])
        data, alert = c.outcome()
        assert data.count(b"HTTP/1.1 200") == 2 and alert == CLOSE
        assert c.tickets == (2 if suite in SUITES_13 else 0)


@BOTH
def test_nothing_is_served_before_finished(gateway, fragment):
    before = gateway.metrics().sum("ringgate_requests_total")
    with RawTls(gateway.address, "aes128", fragment, finish=lambda f, k: k.seal(DATA, ASK) + whole(f, k)) as c:
        assert c.outcome() == (b"", UNEXPECTED)
    with RawTls(gateway.address, "aes128", fragment, finish=lambda f, k: b"", more=lambda c: c.seal(DATA, ASK)) as c:
        assert c.outcome() == (b"", BAD_MAC)
    with RawTls(gateway.address, "aes128", fragment, finish=lambda f, k: whole(f[:-1] + bytes([f[-1] ^ 1]), k), more=lambda c: c.seal(DATA, ASK)) as c:
        assert c.outcome() == (b"", 51)
    for finish in (lambda f, k: k.seal(DATA, ASK) + whole(f, k), lambda f, k: whole(f[:-1] + bytes([f[-1] ^ 1]), k) + k.seal(DATA, ASK)):
        with pytest.raises(AssertionError, match="no handshake"):
            RawTls(gateway.address, "aes128-12", fragment, finish=finish)
    assert gateway.metrics().sum("ringgate_requests_total") == before


@BOTH
def test_keys_change_at_the_end_of_finished(gateway, fragment):
    with RawTls(gateway.address, "aes128", fragment, finish=lambda f, k: k.seal(HANDSHAKE, f + message(24, b"\0"))) as c:
        assert c.outcome() == (b"", UNEXPECTED)


# ---- damage ----

@pytest.mark.parametrize("suite", ["aes128", "chacha", "aes256-12", "chacha-12"])
def test_no_byte_of_a_record_says_what_was_wrong(gateway, suite):
    for at in range(5, 5 + 8 + 3 + 1 + 16):
        with RawTls(gateway.address, suite) as c:
            c.settle()
            record = bytearray(c.seal(DATA, b"GET", 7))
            if at < len(record):
                record[at] ^= 1 << at % 8
                c.send(bytes(record))
                assert c.outcome() == (b"", BAD_MAC), at


@pytest.mark.parametrize("suite", ["aes128", "aes128-12"])
def test_a_record_that_ends_before_its_end(gateway, suite):
    record = {"n": 2}
    at = 0
    while at < record["n"]:
        with RawTls(gateway.address, suite) as c:
            c.settle()
            data = c.seal(DATA, b"GET / HTTP/1.1\r\n")
            record["n"] = len(data)
            c.send(data[:at])
            c.sock.shutdown(socket.SHUT_WR)
            data, alert = c.outcome()
            assert data == b"" and alert in (None, CLOSE)
        at += 1


def test_padding_to_the_limit(gateway):
    """2^14 bytes, their type included: RFC 8446 5.4 lets padding add nothing to that."""
    for n, expected in ((16384 - len(ASK), SERVED), (16385 - len(ASK), OVERFLOW)):
        with RawTls(gateway.address) as c:
            c.settle()
            c.send(c.seal(DATA, ASK, n))
            assert what_became(c) == expected


# ---- many ----

@pytest.mark.skipif(bool(env.SANITIZER), reason="memory of a sanitizer's build says nothing")
def test_records_that_never_end_cost_what_they_have_sent(gateway):
    n, each = 300, 6 * 1024 + 16384 + 512
    head = req("Content-Length: 16000", target="/sink")
    body = bytes(16000)
    clients, rests = [], []
    for _ in range(3):  # what the first ones cost is not theirs
        with RawTls(gateway.address) as c:
            c.settle()
    before = gateway.rss_bytes()
    for _ in range(n):
        c = RawTls(gateway.address)
        c.settle()
        record = c.seal(DATA, head + body[:16384 - len(head)])
        c.send(record[:-1])
        clients.append(c)
        rests.append(record[-1:] + c.seal(DATA, body[16384 - len(head):]))
    assert gateway.metrics().get("ringgate_tls_connections_open") >= n
    cost = (gateway.rss_bytes() - before) / n
    for c, rest in zip(clients, rests):
        c.send(rest)
    for c in clients:
        kind, content = c.receive()
        assert kind == DATA and content.startswith(b"HTTP/1.1 200")
        c.sock.close()
    assert cost < each, f"{cost:.0f} bytes for each"
