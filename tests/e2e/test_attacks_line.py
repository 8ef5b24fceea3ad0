"""Hostile input, request line, host, fields and limits."""

import re
import time

import pytest

from lib import env
from lib.attack import Lane, req
from lib.client import Client, Incomplete, chunked


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address), origin)


def get_of(*lines, **more):
    return req(*lines, method=more.pop("method", "GET"), **more)


# ---- line ends, controls, field syntax ----

LINE = {"bad-line-end"}
VALUE = {"bad-field-value"}
NAME = {"bad-field-name"}
ANY_LINE = {"bad-line-end", "bad-request-line", "bad-target", "bad-version", "bad-method", "not-http"}


@pytest.mark.parametrize("data,reasons", [
    (b"GET / HTTP/1.1\nHost: x\n\n", LINE),
    (b"GET / HTTP/1.1\nHost: x\r\n\r\n", LINE),
    (b"GET / HTTP/1.1\r\nHost: x\n\r\n", LINE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n", LINE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\n\n", LINE),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\n", LINE),
    (b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", LINE | VALUE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 5\r\n\r\n", LINE | VALUE),
    (b"GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", ANY_LINE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n", LINE | VALUE),
    (b"GET /\r/ HTTP/1.1\r\nHost: x\r\n\r\n", ANY_LINE),
    (b"GET\n/ HTTP/1.1\r\nHost: x\r\n\r\n", ANY_LINE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: a\x00b\r\n\r\n", VALUE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: a\x01b\r\n\r\n", VALUE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: a\x1bb\r\n\r\n", VALUE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: a\x7fb\r\n\r\n", VALUE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x0b\r\n\r\n", VALUE),
    (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", ANY_LINE),
    (b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", ANY_LINE),
    (b"GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", ANY_LINE),
    (b"GET /\t HTTP/1.1\r\nHost: x\r\n\r\n", ANY_LINE),
    # folding, white space
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", {"obsolete-folding"}),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", {"obsolete-folding"}),
    (b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", {"obsolete-folding", "bad-field-name"}),
    (b"GET / HTTP/1.1\r\n\tA: b\r\nHost: x\r\n\r\n", {"obsolete-folding", "bad-field-name"}),
    (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", NAME),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA\t: b\r\n\r\n", NAME),
    (b"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", NAME),
    (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", NAME),
    (b"GET / HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n", NAME | LINE),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA(b): c\r\n\r\n", NAME),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA\x00: c\r\n\r\n", NAME),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA\xe9: c\r\n\r\n", NAME),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\"A\": c\r\n\r\n", NAME),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA/b: c\r\n\r\n", NAME),
], ids=lambda v: repr(v[14:50]) if isinstance(v, bytes) else "")
def test_bad_syntax(lane, data, reasons):
    lane.refused(data, 400, reasons, method="GET")


@pytest.mark.parametrize("value", [b"caf\xc3\xa9", b"\xff\xfe", b"a\tb", b"quoted \"x\"", b"", b"  spaces  "])
def test_field_values_that_are_fine(lane, value):
    _, seen = lane.accepted(b"GET / HTTP/1.1\r\nHost: x\r\nX-Value: " + value + b"\r\n\r\n", method="GET")
    assert seen[0].get("x-value").encode("latin-1") == value.strip()


# ---- Host ----

@pytest.mark.parametrize("data,reasons", [
    (req(method="GET", host=None), {"no-host"}),
    (req("Host: test", method="GET"), {"bad-host"}),
    (req("Host: other", method="GET"), {"bad-host"}),
    (req("X: y", "host: other", method="GET"), {"bad-host"}),
    (req(method="GET", host="", target="http://test/"), {"bad-host"}),
    (req(method="GET", host="user@test"), {"bad-host"}),
    (req(method="GET", host="user:secret@test"), {"bad-host"}),
    (req(method="GET", host="te st"), {"bad-host"}),
    (req(method="GET", host="test/path"), {"bad-host"}),
    (req(method="GET", host="test?x"), {"bad-host"}),
    (req(method="GET", host="test#x"), {"bad-host"}),
    (req(method="GET", host="te\\st"), {"bad-host"}),
    (req(method="GET", host="<test>"), {"bad-host"}),
    (req(method="GET", host="test:port"), {"bad-host"}),
    (req(method="GET", host="test:99999"), {"bad-host"}),
    (req(method="GET", host="test:80:80"), {"bad-host"}),
    (req(method="GET", host="test:-1"), {"bad-host"}),
    (req(method="GET", host="[::1"), {"bad-host"}),
    (req(method="GET", host="::1"), {"bad-host"}),
    (req(method="GET", host="[zz]"), {"bad-host"}),
    (req(method="GET", host="[::1]x"), {"bad-host"}),
    (req(method="GET", host="te\xe9st"), {"bad-host"}),
    (req(method="GET", host="te%zzst"), {"bad-host", "bad-percent-escape"}),
    (req(method="GET", host="test", target="http://other/"), {"bad-host"}),
    (req(method="GET", host="test:81", target="http://test/"), {"bad-host"}),
    (req(method="GET", host="test", target="http://test:81/"), {"bad-host"}),
    (req(method="GET", host="test", target="http://user@test/"), {"bad-host", "bad-target"}),
    (req(method="GET", host="test", target="http:///x"), {"bad-host", "bad-target"}),
    (req(method="GET", host=None, target="http://test/x"), {"no-host"}),
    (req("Host: other", method="GET", version="HTTP/1.0"), {"bad-host"}),
], ids=lambda v: repr(v[:48]) if isinstance(v, bytes) else "")
def test_bad_host(lane, data, reasons):
    lane.refused(data, 400, reasons, method="GET")


@pytest.mark.parametrize("target,host,origin_target,origin_host", [
    ("/x", "test", "/x", "test"),
    ("/x", "test:8080", "/x", "test:8080"),
    ("/x", "[::1]", "/x", "[::1]"),
    ("/x", "[::1]:80", "/x", "[::1]:80"),
    ("/x", "192.0.2.1", "/x", "192.0.2.1"),
    ("http://test/x?y", "test", "/x?y", "test"),
    ("http://test", "test", "/", "test"),
    ("http://test?y", "test", "/?y", "test"),
    ("HTTP://TEST/x", "test", "/x", "test"),
    ("http://test:80/x", "test", "/x", "test"),
    ("http://test/x", "test:80", "/x", "test"),
])
def test_good_host(lane, target, host, origin_target, origin_host):
    _, seen = lane.accepted(req(method="GET", host=host, target=target), method="GET")
    assert seen[0].target == origin_target
    hosts = [re.sub(r"(?<=.):80$", "", h.lower()) if origin_host == "test" else h for h in seen[0].all("host")]
    assert hosts == [origin_host]


def test_no_host_with_http10_is_fine(lane):
    _, seen = lane.accepted(req(method="GET", host=None, version="HTTP/1.0"), method="GET", stays=False)
    assert len(seen[0].all("host")) == 1 and seen[0].get("host")


def test_empty_host_with_origin_form_is_fine(lane):
    _, seen = lane.accepted(req(method="GET", host=""), method="GET")
    assert len(seen[0].all("host")) == 1


# ---- method, version ----

@pytest.mark.parametrize("method", ["get", "Get", "pOST", "head", "options", "M" * 33, "GE(T", "G@T", "GET,", "\"GET\"", "G\xc9T", "",
                                    "G\x00T"])
def test_bad_method(lane, method):
    data = req(method=method) if method else b" / HTTP/1.1\r\nHost: x\r\n\r\n"
    lane.refused(data, 400, {"bad-method", "not-http", "bad-request-line"})


@pytest.mark.parametrize("method", ["FOO", "PROPFIND", "M-SEARCH", "foo", "X" * 32, "PATCH", "GETX", "!#$%&'*+-.^_`|~09"])
def test_unknown_methods_are_forwarded(lane, method):
    _, seen = lane.accepted(req("Content-Length: 2", method=method, body=b"hi"))
    assert seen[0].method == method


@pytest.mark.parametrize("version,status,reasons", [
    ("HTTP/2.0", {505}, {"version-not-supported"}),
    ("HTTP/3.7", {505}, {"version-not-supported"}),
    ("HTTP/0.9", {505, 400}, {"version-not-supported", "bad-version"}),
    ("http/1.1", {400, 505}, {"bad-version"}),
    ("Http/1.1", {400, 505}, {"bad-version"}),
    ("HTTP/1.10", {400, 505}, {"bad-version"}),
    ("HTTP/01.1", {400, 505}, {"bad-version"}),
    ("HTTP/1.", {400, 505}, {"bad-version"}),
    ("HTTP/1", {400, 505}, {"bad-version"}),
    ("HTTP/1,1", {400, 505}, {"bad-version"}),
    ("HTTP/+1.1", {400, 505}, {"bad-version"}),
    ("HTTP/1.1x", {400, 505}, {"bad-version"}),
    ("HTTPS/1.1", {400, 505}, {"bad-version"}),
    ("HTTP/ 1.1", {400, 505}, {"bad-version", "bad-target", "bad-request-line"}),
    ("HTTP/1.1 ", {400, 505}, {"bad-version", "bad-target", "bad-request-line"}),
    (" HTTP/1.1", {400, 505}, {"bad-version", "bad-target", "bad-request-line"}),
])
def test_bad_version(lane, version, status, reasons):
    lane.refused(req(method="GET", version=version), status, reasons, method="GET")


@pytest.mark.parametrize("version", ["HTTP/1.2", "HTTP/1.9"])
def test_later_minor_versions_count_as_11(lane, version):
    r, seen = lane.accepted(req(method="GET", version=version), method="GET")
    assert seen[0].version == "HTTP/1.1" and r.minor == 1


@pytest.mark.parametrize("data", [b"GET /\r\n\r\n", b"GET /\r\n", b"GET / \r\n\r\n", b"GET\r\n\r\n", b"/\r\n\r\n"])
def test_http09_and_half_lines(lane, data):
    lane.refused(data, {400, 505}, {"bad-version", "bad-request-line", "not-http", "bad-method", "bad-target"}, method="GET")


def test_http2_preface_where_it_is_not_spoken(programs):
    origin = programs.raw_origin()
    address = f"127.0.0.1:{env.free_port()}"
    gateway = programs.gateway(origin.address, {"listeners": [{"address": address, "http2": False}]}, listen=[address])
    Lane(gateway, origin).refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505, 400}, {"version-not-supported", "bad-target", "not-http"})


# ---- target ----

@pytest.mark.parametrize("target,reasons", [
    ("/a b", {"bad-target", "bad-version", "bad-request-line"}),
    ("/\x80", {"bad-target"}),
    ("/caf\xc3\xa9", {"bad-target"}),
    ("/\x1f", {"bad-target"}),
    ("/a#fragment", {"bad-target"}),
    ("/?q#fragment", {"bad-target"}),
    ("#", {"bad-target"}),
    ("/%", {"bad-percent-escape"}),
    ("/%4", {"bad-percent-escape"}),
    ("/%zz", {"bad-percent-escape"}),
    ("/%4g/x", {"bad-percent-escape"}),
    ("/a?q=%zz", {"bad-percent-escape"}),
    ("relative", {"bad-target"}),
    ("*", {"bad-target"}),
    ("test:80", {"bad-target"}),
    ("ftp://test/", {"bad-target"}),
    ("http:/test/", {"bad-target"}),
    ("?q", {"bad-target"}),
])
def test_bad_target(lane, target, reasons):
    lane.refused(req(method="GET", target=target), 400, reasons, method="GET")


NORMAL_FORMS = [
    ("/", "/"), ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/../../etc/passwd", "/etc/passwd"), ("/a/..", "/"), ("/a/.", "/a/"),
    ("/%2e%2e/x", "/x"), ("/a/%2E%2e/b", "/b"), ("/a/.%2e/b", "/b"), ("/a/%2e/b", "/a/b"), ("/a//b", "/a//b"), ("//a", "//a"),
    ("/a%2fb", "/a%2Fb"), ("/a%2Fb", "/a%2Fb"), ("/a/..%2fb", "/a/..%2Fb"), ("/a;b=c/d", "/a;b=c/d"), ("/a/..;/b", "/a/..;/b"),
    ("/%41%7e", "/A~"), ("/%3b", "/%3B"), ("/a%20b", "/a%20b"), ("/%c3%a9", "/%C3%A9"), ("/...", "/..."), ("/.hidden", "/.hidden"),
    ("/a?x=/../%2e&y=//", "/a?x=/../%2e&y=//"), ("/a?", "/a?"), ("/a/../?q", "/?q"), ("/%25%32%65", "/%252e"),
    ("/a/b/../../../c", "/c"), ("/a//../b", "/a/b"),
]


@pytest.mark.parametrize("target,normal", NORMAL_FORMS)
def test_normal_form_is_what_the_origin_gets(lane, target, normal):
    _, seen = lane.accepted(req(method="GET", target=target), method="GET")
    assert seen[0].target == normal


# ---- limits ----

def test_head_over_the_limit(lane):
    lane.refused(get_of(*[f"X-{i}: {'v' * 12000}" for i in range(3)]), 431, "head-too-large", method="GET")


def test_head_over_the_limit_without_end(lane):
    """Refused when the limit is passed, not when the end comes."""
    data = get_of(*[f"X-{i}: {'v' * 12000}" for i in range(3)])[:-4]
    lane.refused(data, 431, "head-too-large", method="GET")


def test_too_many_fields(lane):
    lane.refused(get_of(*[f"X-{i}: v" for i in range(100)]), 431, "too-many-fields", method="GET")


def test_as_many_fields_as_allowed(lane):
    _, seen = lane.accepted(get_of(*[f"X-{i}: v" for i in range(99)]), method="GET")
    assert sum(1 for n in seen[0].names() if re.fullmatch(r"x-\d+", n)) == 99


def test_one_field_over_the_limit(lane):
    data = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"v" * 17000 + b"\r\n\r\n"
    lane.refused(data, 431, {"field-too-large"}, method="GET")


def test_one_field_without_end(lane):
    """Refused at the latest when the limit of the whole head is reached, not when the time for it is over."""
    data = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"v" * (32 << 10)
    lane.refused(data, 431, {"field-too-large", "head-too-large"}, method="GET")


def test_field_within_the_limit(lane):
    _, seen = lane.accepted(get_of("X-Long: " + "v" * 16000), method="GET")
    assert len(seen[0].get("x-long")) == 16000


@pytest.mark.parametrize("end", [b" HTTP/1.1\r\nHost: x\r\n\r\n", b"a" * 24000], ids=["ended", "endless"])
def test_target_over_the_limit(lane, end):
    """Without an end it is noticed when the bytes have doubled since the last look."""
    lane.refused(b"GET /" + b"a" * 9000 + end, 414, "target-too-long", method="GET")


def test_target_within_the_limit(lane):
    _, seen = lane.accepted(req(method="GET", target="/" + "a" * 8000), method="GET")
    assert len(seen[0].target) == 8001


# ---- forged fields ----

def test_forged_fields_are_replaced(lane):
    forged = ["X-Forwarded-For: 192.0.2.66", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1",
              "Forwarded: for=192.0.2.66;host=evil", "X-Real-IP: 192.0.2.66", "X-Request-Id: " + "i" * 200,
              "X-Ringgate-Route: admin", "x-ringgate-anything: 1", "X-WSO2-Internal-User: root"]
    _, seen = lane.accepted(get_of(*forged), method="GET")
    q = seen[0]
    assert q.all("x-forwarded-for") == ["127.0.0.1"] and q.all("x-real-ip") == ["127.0.0.1"]
    assert q.all("x-forwarded-host") == ["test"] and q.all("x-forwarded-proto") == ["http"]
    assert q.all("x-forwarded-port") == [str(lane.gateway.address[1])]
    assert len(q.all("forwarded")) == 1 and "192.0.2.66" not in q.get("forwarded") and "evil" not in q.get("forwarded")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", q.get("x-request-id"))
    assert not [n for n in q.names() if n.startswith(("x-ringgate-", "x-wso2-internal-"))]


# ---- noise ----

@pytest.mark.parametrize("lines", [1, 2])
def test_empty_lines_before_a_request_are_skipped(lane, lines):
    lane.accepted(b"\r\n" * lines + get_of(), method="GET")


@pytest.mark.parametrize("data", [b"\r\n" * 3 + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n" * 10])
def test_more_empty_lines_are_refused(lane, data):
    lane.refused(data, 400, {"bad-request-line", "not-http", "bad-line-end"}, method="GET")


CLIENT_HELLO = bytes.fromhex("16030100f1010000ed0303") + bytes(range(32)) + b"\x20" + bytes(32) + bytes(200)


def test_tls_on_the_clear_port_is_closed(lane):
    lane.reset()
    with Client(lane.gateway.address) as c:
        start = time.monotonic()
        c.send(CLIENT_HELLO[:11])
        c.expect_end(5)
        assert time.monotonic() - start < env.at_most(1)
    lane.expect_counted({"tls-on-clear-port"})
    lane.expect_nothing_at_origin(lane.marker())


@pytest.mark.parametrize("data", [
    b"SSH-2.0-OpenSSH_9.2\r\n", b"EHLO example.com\r\n", b"HELO\r\n", b"\x00\x00\x00\x01", b"\xff\xfb\x1f\xff\xfb\x20",
    bytes(range(128, 256)), b"\x80\x2e\x01\x00\x02", b"{\"json\": true}\r\n", b"<xml/>\r\n", b"\x03\x00\x00\x13\x0e\xe0",
    b"*1\r\n$4\r\nPING\r\n",
], ids=lambda d: repr(d[:12]))
def test_noise_is_refused_within_one_read(lane, data):
    """400 or a close, at once and not after the time-out for heads."""
    lane.reset()
    with Client(lane.gateway.address, timeout=3) as c:
        c.send(data)
        try:
            r = c.response()
            lane.check_refusal_response(r, {400, 505})
            c.expect_end()
        except Incomplete:
            assert not c.buffer
    counted = env.wait_until(lane.counted, 2, "the refusal counted")
    assert sum(counted.values()) == 1
    lane.expect_nothing_at_origin(lane.marker())


def test_body_that_is_no_next_request(lane):
    """Garbage after a complete exchange is its own refusal; the first response stays whole."""
    lane.reset()
    with Client(lane.gateway.address) as c:
        c.send(req("Transfer-Encoding: chunked", body=chunked(b"hello")) + b"\x00garbage\r\n\r\n")
        assert c.response().status == 200
        lane.check_refusal_response(c.response(), {400})
        c.expect_end()
    assert [q.body for q in lane.origin.requests] == [b"hello"]


def test_connect_is_refused(lane):
    lane.refused(b"CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n", {501, 405}, "connect-refused")


# ---- the option for underscores ----

def test_underscores_when_allowed(programs):
    origin = programs.raw_origin()
    lane = Lane(programs.gateway(origin.address, {"http": {"allow_underscores": True}}), origin)
    _, seen = lane.accepted(get_of("X_Custom: 1"), method="GET")
    assert seen[0].get("x_custom") == "1"
