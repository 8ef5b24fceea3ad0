"""Hostile input, framing: differences that request smugglers live on are refused, counted, and never reach the origin."""

import pytest

from lib import env
from lib.attack import Lane, req
from lib.client import Client, Incomplete, chunked
from lib.raw_origin import reply

BAD_CL = {"bad-content-length"}
BAD_TE = {"bad-transfer-encoding"}
TE_ANY = {"bad-transfer-encoding", "unknown-transfer-coding"}
BODY_LIMIT = 256 * 1024


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    gateway = shared.gateway(origin.address, {"limits": {"body_bytes": BODY_LIMIT}})
    return Lane(gateway, origin)


# ---- two lengths, two framings ----

@pytest.mark.parametrize("lines", [
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Transfer-Encoding: chunked", "Content-Length: 0"],
    ["content-length: 5", "TRANSFER-ENCODING: Chunked"],
    ["Content-Length: 5", "X: y", "Transfer-Encoding: identity"],
], ids=["cl-te", "te-cl", "te-cl0", "case", "identity"])
def test_content_length_with_transfer_encoding(lane, lines):
    lane.refused(req(*lines, body=b"0\r\n\r\n"), {400, 501}, {"length-and-coding"} | TE_ANY)


@pytest.mark.parametrize("body", [b"", chunked(b"hello"), b"5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_content_length_with_chunked_whatever_follows(lane, body):
    lane.refused(req("Content-Length: 5", "Transfer-Encoding: chunked", body=body), 400, "length-and-coding")


@pytest.mark.parametrize("lines", [
    ["Content-Length: 5", "Content-Length: 6"],
    ["Content-Length: 5", "Content-Length: 5"],
    ["Content-Length: 5", "X: y", "content-length: 5"],
    ["Content-Length: 5, 5"],
    ["Content-Length: 5,6"],
    ["Content-Length: +5"],
    ["Content-Length: -1"],
    ["Content-Length: -0"],
    ["Content-Length: 0x5"],
    ["Content-Length: 5 5"],
    ["Content-Length: 1\t0"],
    ["Content-Length:"],
    ["Content-Length:   "],
    ["Content-Length: 5;"],
    ["Content-Length: 5.0"],
    ["Content-Length: 5e0"],
    ["Content-Length: five"],
    ["Content-Length: \"5\""],
    ["Content-Length: 00000000000000000005"],
    ["Content-Length: 12345678901234567890"],
    ["Content-Length: 18446744073709551615"],
    ["Content-Length: 18446744073709551621"],
    ["Content-Length: 99999999999999999999999999"],
    [b"Content-Length: \xd9\xa5"],
])
def test_bad_content_length(lane, lines):
    lane.refused(req(*lines, body=b"hello"), 400, BAD_CL)


def test_content_length_of_19_digits_is_a_number_over_the_limit(lane):
    lane.refused(req("Content-Length: 9223372036854775807", body=b"x"), 413, "body-too-large")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_bad_content_length_with_any_method(lane, method):
    lane.refused(req("Content-Length: 5", "Content-Length: 6", method=method, body=b"hello"), 400, BAD_CL, method=method)


# ---- look-alikes ----

@pytest.mark.parametrize("name", ["Transfer_Encoding", "Content_Length", "transfer_encoding", "X_Custom", "_", "Content_length",
                                  "HOST_"])
def test_names_with_underscore_never_reach_the_origin(lane, name):
    lane.refused(req(f"{name}: 5", method="GET"), 400, {"underscore-in-field-name"}, method="GET")


@pytest.mark.parametrize("name", ["Content.Length", "Transfer.Encoding", "Content-Length-", "-Content-Length", "Content--Length"])
def test_look_alikes_of_other_spelling_are_not_framing(lane, name):
    r, seen = lane.accepted(req(f"{name}: 5", method="GET"), method="GET")
    assert r.status == 200
    assert "content-length" not in seen[0].names() and "transfer-encoding" not in seen[0].names()


# ---- Transfer-Encoding that is not exactly chunked ----

@pytest.mark.parametrize("line,statuses,reasons", [
    ("Transfer-Encoding: xchunked", {400, 501}, TE_ANY),
    ("Transfer-Encoding: chunkedx", {400, 501}, TE_ANY),
    ("Transfer-Encoding: chunked, identity", {400}, TE_ANY),
    ("Transfer-Encoding: identity, chunked", {400, 501}, TE_ANY),
    ("Transfer-Encoding: identity", {400, 501}, TE_ANY),
    ("Transfer-Encoding: gzip", {501}, {"unknown-transfer-coding"}),
    ("Transfer-Encoding: gzip, chunked", {501}, {"unknown-transfer-coding"}),
    ("Transfer-Encoding: deflate", {501}, {"unknown-transfer-coding"}),
    ("Transfer-Encoding: chunked, gzip", {400, 501}, TE_ANY),
    ("Transfer-Encoding: chunked, chunked", {400}, BAD_TE),
    ("Transfer-Encoding: chunked,chunked", {400}, BAD_TE),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", {400}, BAD_TE),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", {400, 501}, TE_ANY),
    ("Transfer-Encoding: chunked\r\nX: y\r\ntransfer-encoding: x", {400, 501}, TE_ANY),
    ("Transfer-Encoding: chun\tked", {400}, BAD_TE),
    ("Transfer-Encoding: chunked\t,", {400}, BAD_TE),
    ("Transfer-Encoding: ,chunked", {400}, BAD_TE),
    ("Transfer-Encoding: \x0bchunked", {400}, BAD_TE | {"bad-field-value"}),
    ("Transfer-Encoding: chunked\x0b", {400}, BAD_TE | {"bad-field-value"}),
    ("Transfer-Encoding: \x0cchunked", {400}, BAD_TE | {"bad-field-value"}),
    ("Transfer-Encoding: \"chunked\"", {400}, BAD_TE),
    ("Transfer-Encoding: 'chunked'", {400, 501}, TE_ANY),
    ("Transfer-Encoding: chunked;a=b", {400}, BAD_TE),
    ("Transfer-Encoding: chunked foo", {400}, BAD_TE),
    ("Transfer-Encoding:", {400}, BAD_TE),
    ("Transfer-Encoding: chunked\x00", {400}, BAD_TE | {"bad-field-value"}),
    ("Transfer-Encoding: \xa0chunked", {400, 501}, TE_ANY),
    ("Transfer-Encoding:\r\n chunked", {400}, {"obsolete-folding"}),
    ("X: y\r\n Transfer-Encoding: chunked", {400}, {"obsolete-folding"}),
    ("Transfer-Encoding : chunked", {400}, {"bad-field-name"}),
    ("Transfer-Encoding\t: chunked", {400}, {"bad-field-name"}),
    ("Transfer Encoding: chunked", {400}, {"bad-field-name"}),
    (" Transfer-Encoding: chunked", {400}, {"obsolete-folding", "bad-field-name"}),
])
def test_transfer_encoding_must_be_chunked(lane, line, statuses, reasons):
    lane.refused(req(line, body=b"5\r\nhello\r\n0\r\n\r\n"), statuses, reasons)


def test_tab_before_chunked_is_refused_or_only_white_space(lane):
    lane.reset()
    with Client(lane.gateway.address) as c:
        r = c.request(req("Transfer-Encoding:\tchunked", body=chunked(b"hello")))
    assert r.status in (200, 400)
    if r.status == 200:
        assert lane.origin.last().body == b"hello" and lane.origin.last().all("transfer-encoding") == ["chunked"]


def test_chunked_in_any_case_is_chunked(lane):
    _, seen = lane.accepted(req("Transfer-Encoding: ChUnKeD", body=chunked(b"hello")))
    assert seen[0].body == b"hello" and seen[0].all("transfer-encoding") == ["chunked"]


@pytest.mark.parametrize("coding", ["chunked", "gzip", "identity", "chunked, identity"])
@pytest.mark.parametrize("more", [[], ["Connection: keep-alive"], ["Content-Length: 3"]], ids=["plain", "keep", "length"])
def test_transfer_encoding_in_http10(lane, coding, more):
    lane.refused(req(f"Transfer-Encoding: {coding}", *more, version="HTTP/1.0", body=b"0\r\n\r\n"), {400, 501},
                 {"coding-in-http10", "length-and-coding"} | TE_ANY)


# ---- chunks ----

OVER_4K = b"5" + b";" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n"
MANY_EXTENSIONS = b"".join(b"1;" + b"e" * 100 + b"\r\nx\r\n" for _ in range(50)) + b"0\r\n\r\n"


@pytest.mark.parametrize("body,reasons", [
    (b"\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b";ext\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"0x5\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"+5\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"-5\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b" 5\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"5 5\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"g\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"5,\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"5\x00\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"10000000000000005\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"5\nhello\r\n0\r\n\r\n", {"bad-chunk", "bad-line-end"}),
    (b"5\r\nhello\n0\r\n\r\n", {"bad-chunk", "bad-line-end"}),
    (b"5\r\nhello0\r\n\r\n", {"bad-chunk"}),
    (b"5\r\nhelloworld\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"5\rhello\r\n0\r\n\r\n", {"bad-chunk", "bad-line-end"}),
    (b"5\r\r\nhello\r\n0\r\n\r\n", {"bad-chunk", "bad-line-end"}),
    (b"5;a=\x00\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"5;a=\x7f\r\nhello\r\n0\r\n\r\n", {"bad-chunk"}),
    (b"5;a\nb\r\nhello\r\n0\r\n\r\n", {"bad-chunk", "bad-line-end"}),
    (b"5;a\rb\r\nhello\r\n0\r\n\r\n", {"bad-chunk", "bad-line-end"}),
    (b"5\r\nhello\r\n0\r\n\n", {"bad-chunk", "bad-line-end", "bad-trailer"}),
    (b"5\r\nhello\r\n0\n\r\n", {"bad-chunk", "bad-line-end", "bad-trailer"}),
    (b"5\r\nhello\r\n-0\r\n\r\n", {"bad-chunk"}),
    (OVER_4K, {"chunk-overhead", "bad-chunk"}),
    (MANY_EXTENSIONS, {"chunk-overhead"}),
    (b"0" * 5000 + b"5\r\nhello\r\n0\r\n\r\n", {"chunk-overhead", "bad-chunk"}),
], ids=lambda v: repr(v[:24]) if isinstance(v, bytes) else "")
@pytest.mark.parametrize("split", [False, True], ids=["with-head", "after-head"])
def test_bad_chunk(lane, body, reasons, split):
    head = req("Transfer-Encoding: chunked")
    if not split:
        lane.refused(head + body, 400, reasons, origin="incomplete")
        return
    lane.reset()
    with Client(lane.gateway.address) as c:
        c.send(head + b"3\r\nabc\r\n")
        lane.origin.wait_requests(1)
        c.send(body)
        r = c.response()
        lane.check_refusal_response(r, {400})
        c.expect_end()
    lane.expect_counted(reasons)
    lane.expect_broken_off_at_origin(lane.marker())


def test_smuggled_request_after_a_bad_chunk_is_not_served(lane):
    lane.refused(req("Transfer-Encoding: chunked", body=b"5\r\nhelloX\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"),
                 400, "bad-chunk", origin="incomplete")


def test_extensions_are_not_forwarded(lane):
    _, seen = lane.accepted(req("Transfer-Encoding: chunked",
                                body=b'5;name=value;q="a;b"\r\nhello\r\n1;x\r\n!\r\n0;last\r\n\r\n'))
    assert seen[0].body == b"hello!"
    for word in (b"name", b"value", b";", b"last"):
        assert word not in seen[0].raw_body


@pytest.mark.parametrize("size", [b"5", b"05", b"0000005"])
def test_leading_zeros_of_a_chunk_size(lane, size):
    _, seen = lane.accepted(req("Transfer-Encoding: chunked", body=size + b"\r\nhello\r\n0\r\n\r\n"))
    assert seen[0].body == b"hello"


# ---- trailers ----

@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Host", "Authorization", "Cookie", "Content-Type",
                                  "Content-Encoding", "Content-Range", "Connection", "Trailer", "TE", "Upgrade",
                                  "X-Forwarded-For", "Forwarded", "Expect", "Set-Cookie", "Cache-Control", "X-Request-Id"])
def test_forbidden_trailers_are_dropped(lane, name):
    trailers = f"{name}: 7\r\nX-Sum: good\r\n".encode()
    _, seen = lane.accepted(req("Transfer-Encoding: chunked", "Trailer: X-Sum", body=chunked(b"hello", trailers=trailers)))
    assert seen[0].body == b"hello"
    assert [n.lower() for n, _ in seen[0].trailers] in (["x-sum"], []), seen[0].trailers


def test_allowed_trailers_are_forwarded(lane):
    trailers = b"X-Sum: good\r\nServer-Timing: a;dur=1\r\n"
    _, seen = lane.accepted(req("Transfer-Encoding: chunked", body=chunked(b"hello", trailers=trailers)))
    assert [(n.lower(), v) for n, v in seen[0].trailers] == [("x-sum", "good"), ("server-timing", "a;dur=1")]


@pytest.mark.parametrize("trailer", [
    b"no colon\r\n", b"a b: c\r\n", b": c\r\n", b" folded: c\r\n", b"X: a\r\n folded\r\n", b"X: a\nY: b\r\n", b"X: a\rb\r\n",
    b"X: a\x00b\r\n", b"X: a\x01\r\n", b"X : a\r\n", b"X\x80: a\r\n", b"X: \x7f\r\n",
])
def test_malformed_trailer(lane, trailer):
    lane.refused(req("Transfer-Encoding: chunked", body=chunked(b"hello", trailers=trailer)), 400,
                 {"bad-trailer", "bad-line-end", "bad-field-name", "bad-field-value", "obsolete-folding"}, origin="incomplete")


def test_trailer_over_the_limit(lane):
    trailers = b"".join(b"X-%d: %s\r\n" % (i, b"t" * 500) for i in range(40))
    lane.refused(req("Transfer-Encoding: chunked", body=chunked(b"hello", trailers=trailers)), 431,
                 {"trailer-too-large", "too-many-fields", "field-too-large"}, origin="incomplete")


# ---- what belongs to the connection, what to the body ----

def test_data_after_a_request_on_a_closing_connection_is_ignored(lane):
    data = req("Connection: close", method="GET") + b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
    lane.accepted(data, method="GET", stays=False)


def test_data_after_a_http10_request_is_ignored(lane):
    data = req(method="GET", version="HTTP/1.0") + b"GET /second HTTP/1.0\r\nHost: x\r\n\r\n"
    lane.accepted(data, method="GET", stays=False)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND"])
def test_body_with_any_method_keeps_its_framing(lane, method):
    script = lambda c, q: reply(b"" if q.method == "HEAD" else b"ok")
    _, seen = lane.accepted(req("Content-Length: 5", method=method, body=b"hello"), method=method, script=script)
    assert seen[0].method == method and seen[0].body == b"hello" and seen[0].all("content-length") == ["5"]
    assert "transfer-encoding" not in seen[0].names()
    _, seen = lane.accepted(req("Transfer-Encoding: chunked", method=method, body=chunked(b"hello")), method=method, script=script)
    assert seen[0].body == b"hello" and seen[0].all("transfer-encoding") == ["chunked"]
    assert "content-length" not in seen[0].names()


def test_content_length_zero_is_kept(lane):
    _, seen = lane.accepted(req("Content-Length: 0"))
    assert seen[0].all("content-length") == ["0"]


@pytest.mark.parametrize("lines,body", [(["Content-Length: 5"], b"hello"), (["Transfer-Encoding: chunked"], chunked(b"hello"))])
def test_trace_with_a_body(lane, lines, body):
    lane.refused(req(*lines, method="TRACE", body=body), 400, "body-with-trace")


def test_request_inside_a_declared_length_belongs_to_the_body(lane):
    inner = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    _, seen = lane.accepted(req(f"Content-Length: {len(inner)}", body=inner))
    assert seen[0].body == inner
    _, seen = lane.accepted(req("Transfer-Encoding: chunked", body=chunked(inner)))
    assert seen[0].body == inner


@pytest.mark.parametrize("half_close", [False, True], ids=["close", "half-close"])
@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: x\r\n",
    b"GET /",
    req("Content-Length: 10", body=b"hello"),
    req("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
    req("Transfer-Encoding: chunked", body=b"5\r\nhel"),
    req("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n"),
    req("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\nX: y\r\n"),
], ids=["head", "line", "length", "chunks", "in-chunk", "last-chunk", "trailer"])
def test_unfinished_request(lane, data, half_close):
    lane.ends_without_service(data, {400, 408}, half_close)


# ---- Expect, Connection, Upgrade ----

@pytest.mark.parametrize("value", ["200-ok", "100-continue, other", "other, 100-continue", "100-continue=1", "101-continue", ""])
def test_unknown_expectation(lane, value):
    lane.refused(req(f"Expect: {value}", "Content-Length: 5", body=b"hello"), 417, "bad-expect")


def test_expect_continue_of_http10_is_ignored(lane):
    r, seen = lane.accepted(req("Expect: 100-continue", "Content-Length: 5", version="HTTP/1.0", body=b"hello"), stays=False)
    assert r.interim == [] and seen[0].body == b"hello" and "expect" not in seen[0].names()


@pytest.mark.parametrize("option", ["content-length", "host", "transfer-encoding", "authorization", "cookie", "close, Host",
                                    "keep-alive, Content-Length", "Content-Type", "x-forwarded-for", "Forwarded", "traceparent",
                                    "Cache-Control", "X-Real-IP", "expect", "content-encoding"])
def test_connection_may_not_name_what_must_reach_the_origin(lane, option):
    lane.refused(req(f"Connection: {option}", "Content-Length: 5", "Authorization: Bearer x", body=b"hello"), 400,
                 "bad-connection-option")


def test_forbidden_connection_option_in_a_second_line(lane):
    lane.refused(req("Connection: keep-alive", "Connection: authorization", "Authorization: Bearer x", method="GET"), 400,
                 "bad-connection-option", method="GET")


@pytest.mark.parametrize("lines", [
    ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"],
    ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
    ["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"],
    ["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="],
    ["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
    ["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
    ["Connection: upgrade", "Upgrade: TLS/1.0"],
    ["Connection: upgrade", "Upgrade: foo/2, bar"],
], ids=["h2c", "no-connection", "short-key", "bad-key", "no-key", "no-version", "tls", "unknown"])
def test_other_upgrades_are_plain_requests(lane, lines):
    r, seen = lane.accepted(req(*lines, method="GET"), method="GET")
    assert r.status == 200
    for name in ("upgrade", "http2-settings", "connection"):
        assert name not in seen[0].names(), seen[0]


def test_websocket_by_http10_is_a_plain_request(lane):
    lines = ["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    _, seen = lane.accepted(req(*lines, method="GET", version="HTTP/1.0"), method="GET", stays=False)
    assert "upgrade" not in seen[0].names()


WEBSOCKET = ["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]


@pytest.mark.parametrize("lines,body", [
    (WEBSOCKET + ["Content-Length: 5"], b"hello"),
    (WEBSOCKET + ["Transfer-Encoding: chunked"], chunked(b"hello")),
    (["Connection: upgrade", "Upgrade: websocket", "Content-Length: 5"], b"hello"),
], ids=["length", "chunked", "no-key"])
def test_body_with_an_upgrade(lane, lines, body):
    lane.refused(req(*lines, method="GET", body=body), 400, "body-with-upgrade", method="GET")


@pytest.mark.parametrize("lines,body", [(["Content-Length: 5"], b"hello"), (["Transfer-Encoding: chunked"], chunked(b"hello"))],
                         ids=["length", "chunked"])
def test_body_with_another_upgrade_is_a_plain_request(lane, lines, body):
    """Clients that would like HTTP/2 ask for it with whatever request comes first (Java's HttpClient)."""
    _, seen = lane.accepted(req("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB", *lines,
                                body=body))
    assert seen[0].body == b"hello" and not {"upgrade", "http2-settings", "connection"} & set(seen[0].names()), seen[0]


def test_bytes_before_a_101_stay_a_framed_request(lane):
    """The origin does not switch: what the client sent early is the next request, parsed as one."""
    _, seen = lane.accepted(req(*WEBSOCKET, method="GET", target="/ws") + b"GET /second HTTP/1.1\r\nHost: test\r\n\r\n",
                            method="GET", requests=2)
    assert [q.target for q in seen] == ["/ws", "/second"]


def test_early_garbage_before_a_101_never_reaches_the_origin(lane):
    lane.reset()
    with Client(lane.gateway.address) as c:
        c.send(req(*WEBSOCKET, method="GET", target="/ws") + b"\x81\x85abcdefghi\r\n\r\n")
        assert c.response().status == 200
        r = c.response()
        lane.check_refusal_response(r, {400})
        c.expect_end()
    assert b"abcdefghi" not in lane.origin.received()


def test_http10_request_body_never_ends_with_the_connection(lane):
    """Without a length a request has no body, whatever its version: the rest is not passed on."""
    lane.reset()
    with Client(lane.gateway.address) as c:
        c.send(req(version="HTTP/1.0") + b"this is no body")
        c.sock.shutdown(1)
        try:
            assert c.response().status in (200, 400)
        except Incomplete:
            pass
    path = lane.marker()
    assert b"no body" not in lane.origin.received()
    assert lane.origin.requests[-1].target == path


# ---- bodies over the limit ----

def test_announced_body_over_the_limit(lane):
    lane.refused(req(f"Content-Length: {BODY_LIMIT + 1}", body=b"x" * 1000), 413, "body-too-large")


def test_announced_body_over_the_limit_with_expect_gets_no_100(lane):
    r = lane.refused(req(f"Content-Length: {BODY_LIMIT + 1}", "Expect: 100-continue"), 413, "body-too-large")
    assert r.interim == []


def test_announced_body_at_the_limit_passes(lane):
    _, seen = lane.accepted(req(f"Content-Length: {BODY_LIMIT}", body=b"x" * BODY_LIMIT))
    assert len(seen[0].body) == BODY_LIMIT


def test_streamed_body_over_the_limit(lane):
    body = b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(BODY_LIMIT // 4096 + 40)) + b"0\r\n\r\n"
    lane.refused(req("Transfer-Encoding: chunked", body=body), 413, "body-too-large", origin="incomplete")
    env.wait_until(lambda: all(c.ended or c.requests[-1].complete for c in lane.origin.connections if c.requests), 2,
                   "the upstream to be broken off")
