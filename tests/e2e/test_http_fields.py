"""What is forwarded: hop-by-hop removal, forwarding fields, request ids, trace context; untrusted and trusted peers."""

import re

import pytest

from lib.attack import Lane, req
from lib.client import Client, get
from lib.raw_origin import reply

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRACE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module", params=["untrusted", "trusted"])
def both(request, tmp_path_factory, shared):
    origin = shared.raw_origin()
    config = {"trusted_proxies": ["127.0.0.0/8"]} if request.param == "trusted" else {}
    gateway = shared.gateway(origin.address, config, name=f"gateway-{request.param}")
    lane = Lane(gateway, origin)
    lane.trusted = request.param == "trusted"
    return lane


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address, name="gateway-plain"), origin)


def send(lane, *lines, **more):
    lane.reset()
    more.setdefault("method", "GET")
    with Client(lane.gateway.address) as c:
        r = c.request(req(*lines, **more))
    assert r.status == 200, r
    return lane.origin.last(), r


def test_hop_by_hop_fields_are_removed(lane):
    q, _ = send(lane, "Connection: x-one, X-Two ,keep-alive", "X-One: 1", "X-Two: 2", "X-Three: 3", "Keep-Alive: timeout=5",
                "Proxy-Connection: keep-alive", "TE: trailers, deflate", "Trailer: X-T", "Upgrade: foo")
    assert not {"connection", "x-one", "x-two", "keep-alive", "proxy-connection", "te", "upgrade"} & set(q.names()), q
    assert q.get("x-three") == "3" and q.get("trailer") == "X-T"


def test_the_origin_is_told_who_takes_trailers(lane):
    """Some send trailers to nobody else."""
    q, _ = send(lane, "TE: trailers, deflate", "Connection: TE")
    assert q.all("te") == ["trailers"] and q.all("connection") == ["TE"]


def test_fields_keep_order_spelling_and_repetition(lane):
    q, _ = send(lane, "X-b: 1", "Accept: a", "X-B: 2", "x-A: 3", "Accept: b")
    kept = [(n, v) for n, v in q.fields if n.lower() in ("x-a", "x-b", "accept")]
    assert kept == [("X-b", "1"), ("Accept", "a"), ("X-B", "2"), ("x-A", "3"), ("Accept", "b")]


@pytest.mark.parametrize("line", ["Authorization: Basic eDp5", "Cookie: a=b; c=d", "Range: bytes=0-5", "If-None-Match: \"x\"",
                                  "Accept-Encoding: gzip, br", "User-Agent: t/1", "Referer: http://x/", "Origin: http://x",
                                  "Content-Type: text/plain", "Cache-Control: no-cache", "Max-Forwards: 5"])
def test_end_to_end_fields_pass_untouched(lane, line):
    q, _ = send(lane, line)
    name, value = line.split(": ", 1)
    assert q.all(name) == [value]


def test_forwarding_fields_are_made(lane):
    q, _ = send(lane, host="example.com:8080")
    port = lane.gateway.address[1]
    assert q.all("x-forwarded-for") == ["127.0.0.1"]
    assert q.all("x-forwarded-host") == ["example.com:8080"]
    assert q.all("x-forwarded-proto") == ["http"]
    assert q.all("x-forwarded-port") == [str(port)]
    assert q.all("host") == ["example.com:8080"]
    elements = dict(p.split("=", 1) for p in q.get("forwarded").split(";"))
    assert elements["for"] == "127.0.0.1" and elements["proto"] == "http" and elements["host"] == '"example.com:8080"'


def test_forwarded_quotes_ipv6(programs):
    origin = programs.raw_origin()
    from lib import env  # the port is chosen here
    gateway = programs.gateway(origin.address, listen=[f"[::1]:{env.free_port()}"])
    assert get(gateway.address).status == 200
    q = origin.last()
    assert q.get("x-forwarded-for") == "::1" and q.get("x-real-ip") == "::1"
    assert 'for="[::1]"' in q.get("forwarded")


def test_peer_of_a_dual_stack_listener_is_ipv4_text(programs):
    origin = programs.raw_origin()
    from lib import env
    port = env.free_port()
    gateway = programs.gateway(origin.address, listen=[f"[::]:{port}"])
    assert get(("127.0.0.1", port)).status == 200
    assert origin.last().get("x-forwarded-for") == "127.0.0.1"
    assert get(gateway.address).status == 200
    assert origin.last().get("x-forwarded-for") == "::1"


def test_clients_own_forwarding_fields(both):
    q, _ = send(both, "X-Forwarded-For: 192.0.2.1, 192.0.2.2", "X-Forwarded-Host: public", "X-Forwarded-Proto: https",
                "X-Forwarded-Port: 443", "Forwarded: for=192.0.2.1;proto=https", "X-Real-IP: 192.0.2.1")
    if both.trusted:
        assert ", ".join(q.all("x-forwarded-for")) == "192.0.2.1, 192.0.2.2, 127.0.0.1"
        assert q.all("x-forwarded-host") == ["public"] and q.all("x-forwarded-proto") == ["https"]
        assert q.all("x-forwarded-port") == ["443"] and q.all("x-real-ip") == ["192.0.2.1"]
        forwarded = ", ".join(q.all("forwarded"))
        assert forwarded.startswith("for=192.0.2.1;proto=https, ") and "for=127.0.0.1" in forwarded
    else:
        assert q.all("x-forwarded-for") == ["127.0.0.1"] and q.all("x-forwarded-proto") == ["http"]
        assert q.all("x-real-ip") == ["127.0.0.1"] and q.all("x-forwarded-host") == ["test"]
        assert "192.0.2.1" not in str(q.fields) and "public" not in str(q.fields)


def test_trusted_means_the_given_addresses_only(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"trusted_proxies": ["127.0.0.2/32"]})
    for source, trusted in (("127.0.0.2", True), ("127.0.0.3", False)):
        with Client(gateway.address, source=source) as c:
            c.request(req("X-Forwarded-For: 192.0.2.1", method="GET"))
        wanted = f"192.0.2.1, {source}" if trusted else source
        assert ", ".join(origin.last().all("x-forwarded-for")) == wanted


def test_via(lane):
    q, r = send(lane, "Via: 1.1 front")
    assert re.fullmatch(r"1\.1 front, 1\.1 ringgate", ", ".join(q.all("via")))
    assert "ringgate" in r.get("via")
    q, _ = send(lane, version="HTTP/1.0")
    assert q.get("via") == "1.0 ringgate"


def test_request_id_is_made(lane):
    q, r = send(lane)
    assert UUID7.fullmatch(q.get("x-request-id")) and len(q.all("x-request-id")) == 1
    assert r.get("x-request-id") == q.get("x-request-id")
    other, _ = send(lane)
    assert other.get("x-request-id") != q.get("x-request-id")


@pytest.mark.parametrize("value", ["abc-123", "a" * 128])
def test_request_id_of_the_client(both, value):
    q, r = send(both, f"X-Request-Id: {value}")
    if both.trusted:
        assert q.all("x-request-id") == [value] and r.get("x-request-id") == value
    else:
        assert UUID7.fullmatch(q.get("x-request-id"))


@pytest.mark.parametrize("value", ["a" * 129, ""])
def test_request_id_that_can_not_be_kept(both, value):
    q, _ = send(both, f"X-Request-Id: {value}")
    assert len(q.all("x-request-id")) == 1 and UUID7.fullmatch(q.get("x-request-id"))


def test_traceparent_is_made(lane):
    q, _ = send(lane)
    m = TRACE.fullmatch(q.get("traceparent"))
    assert m and int(m.group(1), 16) and int(m.group(2), 16)


def test_traceparent_is_passed_on_with_our_own_parent(lane):
    q, _ = send(lane, f"traceparent: {PARENT}", "tracestate: a=b")
    m = TRACE.fullmatch(q.get("traceparent"))
    assert len(q.all("traceparent")) == 1 and m.group(1) == PARENT[3:35] and m.group(3) == "01"
    assert m.group(2) != PARENT[36:52]
    assert q.get("tracestate") == "a=b"


@pytest.mark.parametrize("value", [
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "garbage", PARENT + "-extra", "",
])
def test_bad_traceparent_is_replaced(lane, value):
    q, _ = send(lane, f"traceparent: {value}", "tracestate: a=b")
    m = TRACE.fullmatch(q.get("traceparent"))
    assert len(q.all("traceparent")) == 1 and m and m.group(1) != PARENT[3:35]
    assert "tracestate" not in q.names()


def test_two_traceparents_are_replaced_by_one(lane):
    q, _ = send(lane, f"traceparent: {PARENT}", f"traceparent: {PARENT}")
    assert len(q.all("traceparent")) == 1


@pytest.mark.parametrize("name", ["x-ringgate-route", "X-WSO2-Internal-User", "X-RINGGATE-X"])
def test_internal_names_of_clients_are_removed(lane, name):
    q, _ = send(lane, f"{name}: 1")
    assert name.lower() not in q.names()


def test_our_own_fields_of_the_origins_response(lane):
    lane.reset(lambda c, q: reply(fields=[("X-Request-Id", "from-origin"), ("Via", "1.0 back")]))
    r = get(lane.gateway.address)
    assert len(r.all("x-request-id")) == 1
    assert ", ".join(r.all("via")) == "1.0 back, 1.1 ringgate"


def test_refusals_tell_their_reason_and_request_id(lane):
    import json
    lane.reset()
    with Client(lane.gateway.address) as c:
        r = c.request(req("Content-Length: x"))
    body = json.loads(r.body)
    assert r.get("content-type") == "application/json" and body["status"] == 400 and body["reason"] == "bad-content-length"
    assert body["message"] and r.get("cache-control") == "no-store"
