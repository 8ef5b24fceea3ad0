"""Fields of HTTP/2 that would read differently in the HTTP/1 behind: none of them gets there."""

import pytest

from lib.attack import Lane
from lib.h2 import PROTOCOL_ERROR, H2, request_fields


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin()
    return Lane(shared.gateway(origin.address), origin)


GOOD = request_fields("/smuggle")
BAD_FIELDS = {
    "upper-case": GOOD + [("X-Upper", "v")],
    "connection": GOOD + [("connection", "close")],
    "keep-alive": GOOD + [("keep-alive", "1")],
    "proxy-connection": GOOD + [("proxy-connection", "close")],
    "transfer-encoding": GOOD + [("transfer-encoding", "chunked")],
    "upgrade": GOOD + [("upgrade", "websocket")],
    "te": GOOD + [("te", "gzip")],
    "te-list": GOOD + [("te", "trailers, chunked")],
    "cr-lf-in-value": GOOD + [("x-a", "v\r\nx-b: w")],
    "lf-in-value": GOOD + [("x-a", "v\nx-b: w")],
    "nul-in-value": GOOD + [("x-a", "v\0w")],
    "space-before-value": GOOD + [("x-a", " v")],
    "tab-after-value": GOOD + [("x-a", "v\t")],
    "colon-in-name": GOOD + [("x:a", "v")],
    "space-in-name": GOOD + [("x a", "v")],
    "cr-lf-in-name": GOOD + [("x-a\r\nx-b", "v")],
    "empty-name": GOOD + [("", "v")],
    "non-ascii-name": GOOD + [("x-\u00e9", "v")],
    "pseudo-late": GOOD[:-1] + [("x-a", "v"), (":authority", "test")],
    "pseudo-twice": GOOD + [(":path", "/other")],
    "method-twice": GOOD + [(":method", "PUT")],
    "pseudo-unknown": GOOD + [(":proto", "x")],
    "pseudo-of-response": GOOD + [(":status", "200")],
    "protocol": GOOD + [(":protocol", "websocket")],
    "no-method": [f for f in GOOD if f[0] != ":method"],
    "no-path": [f for f in GOOD if f[0] != ":path"],
    "no-scheme": [f for f in GOOD if f[0] != ":scheme"],
    "path-empty": request_fields(""),
    "path-relative": request_fields("smuggle"),
    "path-absolute": request_fields("http://other/smuggle"),
    "path-space": request_fields("/a HTTP/1.1"),
    "path-cr-lf": request_fields("/a HTTP/1.1\r\nHost: b\r\n\r\nGET /b"),
    "path-control": request_fields("/a\x01"),
    "path-fragment": request_fields("/a#b"),
    "path-non-ascii": request_fields("/\u00e9"),
    "path-bad-escape": request_fields("/%zz"),
    "asterisk-get": request_fields("*"),
    "method-space": request_fields("/a", method="GET /x"),
    "method-empty": request_fields("/a", method=""),
    "method-lower-case": request_fields("/a", method="get"),
    "scheme-other": request_fields("/a", scheme="ftp"),
    "length-twice": GOOD + [("content-length", "0"), ("content-length", "0")],
    "length-list": GOOD + [("content-length", "5, 5")],
    "length-sign": GOOD + [("content-length", "+5")],
    "length-too-long": GOOD + [("content-length", "18446744073709551621")],
    "length-with-end": GOOD + [("content-length", "5")],
    "authority-comma": request_fields("/a", authority="a,b"),
    "authority-userinfo": request_fields("/a", authority="user@a"),
    "authority-path": request_fields("/a", authority="a/b"),
    "authority-cr-lf": request_fields("/a", authority="a\r\nx: y"),
    "authority-empty": request_fields("/a", authority=""),
    "authority-and-other-host": GOOD + [("host", "other")],
    "authority-and-other-port": GOOD + [("host", "test:81")],
    "host-twice": request_fields("/a", authority=None, more=[("host", "a"), ("host", "a")]),
    "neither-host": request_fields("/a", authority=None),
    "host-empty": request_fields("/a", authority=None, more=[("host", "")]),
    "underscore": GOOD + [("content_length", "5")],
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_fields_that_are_refused(lane, name):
    lane.reset()
    with H2(lane.gateway.address) as c:
        # As they are, not in the lower case that the encoder would give them.
        block = b"".join(literal(n, v) for n, v in BAD_FIELDS[name])
        r = c.response(c.headers(block=block))
        assert r.reset == PROTOCOL_ERROR or r.status == 400, r
        c.expect_alive()
    assert [q.target for q in lane.origin.requests] == ["/alive"]


def literal(name, value):
    """A field without Huffman code and index (RFC 7541 6.2.2)."""
    name, value = name.encode("latin-1"), value.encode("latin-1")
    assert len(name) < 127 and len(value) < 127
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


@pytest.mark.parametrize("trailer", [[(":path", "/x")], [("X-U", "v")], [("transfer-encoding", "chunked")],
                                     [("x", "v\r\nGET / HTTP/1.1")], [("connection", "close")]],
                         ids=["pseudo", "upper-case", "coding", "cr-lf", "connection"])
def test_trailers_that_are_refused(lane, trailer):
    lane.reset()
    with H2(lane.gateway.address) as c:
        stream = c.headers(request_fields("/t", method="POST"), end=False)
        c.data(stream, b"body")
        c.headers(stream=stream, block=b"".join(literal(n, v) for n, v in trailer))
        assert c.response(stream).reset == PROTOCOL_ERROR
        c.expect_alive()
    assert [q.target for q in lane.origin.complete()] == ["/alive"]


@pytest.mark.parametrize("sent,how", [(3, "short"), (7, "long"), (0, "nothing"), (3, "trailers")])
def test_length_that_differs(lane, sent, how):
    lane.reset()
    with H2(lane.gateway.address) as c:
        stream = c.headers(request_fields("/l", method="POST", more=[("content-length", "5")]), end=False)
        if sent:
            c.data(stream, b"x" * sent, end=how != "trailers")
        if how == "nothing":
            c.data(stream, b"", end=True)
        if how == "trailers":
            c.headers([("x", "y")], stream=stream)
        assert c.response(stream).reset == PROTOCOL_ERROR
        c.expect_alive()
    assert [q.target for q in lane.origin.complete() if q.target != "/l" or len(q.body) != 5] == ["/alive"]


def test_connect(lane):
    lane.reset()
    with H2(lane.gateway.address) as c:
        r = c.response(c.headers([(":method", "CONNECT"), (":authority", "a:443")], end=False))
        assert r.status == 501, r
        r = c.response(c.headers([(":method", "CONNECT"), (":authority", "a"), (":path", "/"), (":scheme", "http"),
                                  (":protocol", "connect-udp")], end=False))
        assert r.status == 501, r
        c.expect_alive()
    assert [q.target for q in lane.origin.requests] == ["/alive"]
