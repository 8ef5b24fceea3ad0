"""What the scripted origin tells of itself: statistics, and the health that tests switch."""

import signal

import pytest

from lib import env

pytest_plugins = ["lib.bare_origin"]


BAD_REQUESTS = [
    b"garbage\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nb : c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nb: c\rd\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nb: c\0d\r\n\r\n",
    b"GET /# HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
    b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
]


@pytest.mark.parametrize("data", BAD_REQUESTS, ids=range(len(BAD_REQUESTS)))
def test_malformed_requests_are_refused_and_recorded(origin, data):
    with origin.connect() as connection:
        connection.send(data)
        assert connection.response().status == 400
        assert connection.rest() == b""
    assert origin.stats()["malformed"] == 1


def test_stats_count_everything_but_control(origin):
    before = origin.stats()
    assert (before["requests"], before["recent"]) == (0, [])
    origin.ask("/api/v2/status")
    origin.ask("/bytes/1")
    origin.ask("/nowhere")
    with origin.connect() as connection:
        connection.send(b"POST /sink?never= HTTP/1.1\r\nHost: o\r\nContent-Length: 9\r\n\r\nhalf")
    with origin.connect() as connection:
        connection.send(b"GET /half HTTP/1.1\r\nHo")
    env.wait_until(lambda: origin.stats()["truncated"] == 2)
    stats = origin.stats()
    assert (stats["requests"], stats["status_requests"]) == (3, 1)
    assert stats["prefixes"]["other"] == stats["prefixes"]["/bytes/"] == stats["prefixes"]["/sink"] == 1
    assert [(entry["line"].split("?")[0], entry["complete"], entry["body_bytes"]) for entry in stats["recent"]] == [
        ("GET /bytes/1 HTTP/1.1", True, 0), ("GET /nowhere HTTP/1.1", True, 0), ("POST /sink", False, 4)]
    assert origin.ask("/stats", "DELETE").status == 200
    assert origin.stats()["requests"] == 0


def cbor(data, at=0):
    """One item: just the types that a replica's status uses."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info >= 24:
        size = 1 << (info - 24)
        info, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major == 0:
        return info, at
    if major in (2, 3):
        value = data[at:at + info]
        return (value.decode() if major == 3 else value), at + info
    if major == 6:
        assert info == 55799
        return cbor(data, at)
    assert major == 5
    members = {}
    for _ in range(info):
        key, at = cbor(data, at)
        members[key], at = cbor(data, at)
    return members, at


def replica_health(origin):
    answer = origin.ask("/api/v2/status")
    assert (answer.status, answer.field("content-type")) == (200, "application/cbor")
    assert answer.body[:3] == b"\xd9\xd9\xf7"
    members, end = cbor(answer.body)
    assert end == len(answer.body)
    assert len(members["root_key"]) == 133 and isinstance(members["impl_version"], str)
    return members["replica_health_status"]


def test_health_switch(origin):
    assert replica_health(origin) == "healthy"
    for state in ("unhealthy", "waiting_for_certified_state", "healthy"):
        assert origin.ask("/control/health?status=" + state, "PUT").body.decode() == state + "\n"
        assert replica_health(origin) == state
    assert origin.ask("/control/health?status=odd", "PUT").status == 400


def test_down_closes_connections_and_answers_nothing(origin):
    with origin.connect() as idle, origin.connect() as busy:
        idle.request("/bytes/1")
        idle.response()
        busy.request("/bytes/1?delay=60000")
        env.wait_until(lambda: origin.stats()["requests"] == 2)
        origin.ask("/control/health?status=down", "PUT")
        assert idle.rest() == b""
        assert busy.rest() == b""
    with origin.connect() as connection:
        try:
            connection.request("/bytes/1")
            assert connection.rest() == b""
        except (ConnectionResetError, BrokenPipeError):
            pass  # it had closed before the request came
    origin.ask("/control/health?status=healthy", "PUT")
    assert origin.ask("/bytes/1").status == 200


def health_in_stats(origin):
    """None when going down has just closed the connection that asks."""
    try:
        return origin.stats()["health"]
    except (ConnectionError, AssertionError):
        return None


def test_signals_switch_health(start):
    origin = start()
    origin.process.send_signal(signal.SIGUSR1)
    env.wait_until(lambda: replica_health(origin) == "unhealthy")
    origin.process.send_signal(signal.SIGUSR1)
    env.wait_until(lambda: replica_health(origin) == "healthy")
    origin.process.send_signal(signal.SIGUSR2)
    env.wait_until(lambda: health_in_stats(origin) == "down")
    origin.process.send_signal(signal.SIGUSR2)
    env.wait_until(lambda: health_in_stats(origin) == "healthy")
    assert replica_health(origin) == "healthy"
