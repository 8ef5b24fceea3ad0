"""
Conformance with RFC 9113 and RFC 7541, case by case in the order of the documents: what a frame in the wrong place, of the
wrong size or with wrong values must lead to. `connection` cases end with GOAWAY and the error code named, `stream` cases
with RST_STREAM (or with a connection error, which RFC 9113 5.4.2 always allows), the others go on.
"""

import struct

import pytest

from lib.attack import Lane
from lib.h2 import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENABLE_PUSH, Ended,
                    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, H2, HEADER_TABLE_SIZE, HEADERS, INITIAL_WINDOW_SIZE,
                    MAX_FRAME_SIZE, NO_ERROR, PADDED, PING, PREFACE, PRIORITY, PRIORITY_FLAG, PROTOCOL_ERROR, PUSH_PROMISE,
                    RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, frame, request_fields)
from lib.raw_origin import Gone, reply


def script(connection, request):
    if request.target == "/hang":
        connection.wait_gone()
        raise Gone
    return reply(b"0123456789" if request.method != "HEAD" else b"")


@pytest.fixture(scope="module")
def lane(shared):
    origin = shared.raw_origin(script)
    return Lane(shared.gateway(origin.address, {"limits": {"stream_resets": 10000}}), origin)


def post(c, path="/", **more):
    return c.headers(request_fields(path, method="POST", **more), end=False)


def closed_stream(c):
    """A stream that has ended on both sides, and of which the answer was read."""
    stream = c.get("/")
    assert c.response(stream).complete
    return stream


def half_closed_stream(c):
    """The client has ended its side; the response is not there yet."""
    stream = c.get("/hang")
    c.ping()
    return stream


# ---- connection errors: (what is sent, allowed codes) ----

def u32(n):
    return struct.pack(">I", n)


CONNECTION_ERRORS = {
    # 4.2 frame size
    "4.2-data-larger-than-allowed": (lambda c: c.data(post(c), b"x" * 16385), {FRAME_SIZE_ERROR}),
    "4.2-head-larger-than-allowed": (lambda c: c.frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\0" * 16385),
                                     {FRAME_SIZE_ERROR}),
    "4.2-settings-larger-than-allowed": (lambda c: c.frame(SETTINGS, 0, 0, b"\0" * 16386), {FRAME_SIZE_ERROR}),
    # 4.3 field compression
    "4.3-invalid-block": (lambda c: c.headers(block=b"\xff\xff\xff\xff\xff\xff"), {COMPRESSION_ERROR}),
    "4.3-other-frame-within-a-head": (lambda c: (c.frame(HEADERS, 0, 1, c.block(request_fields())),
                                                 c.frame(PRIORITY, 0, 1, b"\0\0\0\0\1")), {PROTOCOL_ERROR}),
    "4.3-other-stream-within-a-head": (lambda c: (c.frame(HEADERS, 0, 1, c.block(request_fields())),
                                                  c.frame(CONTINUATION, END_HEADERS, 3, b"")), {PROTOCOL_ERROR}),
    "4.3-data-within-a-head": (lambda c: (c.frame(HEADERS, 0, 1, c.block(request_fields())),
                                          c.data(1, b"x")), {PROTOCOL_ERROR}),
    # 5.1 stream states: idle
    "5.1-data-on-idle": (lambda c: c.data(1, b"x"), {PROTOCOL_ERROR, STREAM_CLOSED}),
    "5.1-reset-on-idle": (lambda c: c.reset(1), {PROTOCOL_ERROR}),
    "5.1-window-on-idle": (lambda c: c.window(1, 100), {PROTOCOL_ERROR}),
    "5.1-continuation-on-idle": (lambda c: c.frame(CONTINUATION, END_HEADERS, 1, c.block(request_fields())),
                                 {PROTOCOL_ERROR}),
    # 5.1 closed: after END_STREAM both ways
    "5.1-head-on-closed": (lambda c: c.headers(stream=closed_stream(c)), {STREAM_CLOSED, PROTOCOL_ERROR}),
    "5.1-continuation-on-closed": (lambda c: c.frame(CONTINUATION, END_HEADERS, closed_stream(c), b"\x82"),
                                   {PROTOCOL_ERROR, STREAM_CLOSED}),
    # 5.1.1 stream identifiers
    "5.1.1-even-number": (lambda c: c.headers(stream=2), {PROTOCOL_ERROR}),
    "5.1.1-number-going-back": (lambda c: (c.headers(stream=5), c.headers(stream=3)), {PROTOCOL_ERROR, STREAM_CLOSED}),
    # 5.4.1: after an error nothing is served
    "5.4.1-goaway-then-close": (lambda c: c.frame(PING, 0, 0, b"1234"), {FRAME_SIZE_ERROR}),
    # 6.1 DATA
    "6.1-data-on-stream-0": (lambda c: c.data(0, b"x"), {PROTOCOL_ERROR}),
    "6.1-padding-longer-than-frame": (lambda c: c.frame(DATA, PADDED | END_STREAM, post(c), b"\x06abcde"),
                                      {PROTOCOL_ERROR}),
    # 6.2 HEADERS
    "6.2-head-on-stream-0": (lambda c: c.frame(HEADERS, END_HEADERS | END_STREAM, 0, c.block(request_fields())),
                             {PROTOCOL_ERROR}),
    "6.2-padding-longer-than-frame": (lambda c: c.frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + b"\x82"),
                                      {PROTOCOL_ERROR}),
    # 6.3 PRIORITY
    "6.3-priority-on-stream-0": (lambda c: c.frame(PRIORITY, 0, 0, b"\0\0\0\1\1"), {PROTOCOL_ERROR}),
    # 6.4 RST_STREAM
    "6.4-reset-on-stream-0": (lambda c: c.reset(0), {PROTOCOL_ERROR}),
    "6.4-reset-of-wrong-size": (lambda c: c.frame(RST_STREAM, 0, post(c), b"\0\0\0"), {FRAME_SIZE_ERROR}),
    # 6.5 SETTINGS
    "6.5-ack-with-payload": (lambda c: c.frame(SETTINGS, ACK, 0, b"\0\1\0\0\0\0"), {FRAME_SIZE_ERROR}),
    "6.5-settings-on-a-stream": (lambda c: c.frame(SETTINGS, 0, 1, b""), {PROTOCOL_ERROR}),
    "6.5-settings-of-wrong-size": (lambda c: c.frame(SETTINGS, 0, 0, b"\0\3\0"), {FRAME_SIZE_ERROR}),
    "6.5.2-push-neither-0-nor-1": (lambda c: c.send(c.settings_frame([(ENABLE_PUSH, 2)])), {PROTOCOL_ERROR}),
    "6.5.2-window-too-large": (lambda c: c.send(c.settings_frame([(INITIAL_WINDOW_SIZE, 1 << 31)])),
                               {FLOW_CONTROL_ERROR}),
    "6.5.2-frame-size-too-small": (lambda c: c.send(c.settings_frame([(MAX_FRAME_SIZE, 16383)])), {PROTOCOL_ERROR}),
    "6.5.2-frame-size-too-large": (lambda c: c.send(c.settings_frame([(MAX_FRAME_SIZE, 1 << 24)])), {PROTOCOL_ERROR}),
    # 6.6 PUSH_PROMISE is not for clients
    "6.6-push-from-a-client": (lambda c: c.frame(PUSH_PROMISE, END_HEADERS, post(c), u32(2) + b"\x82"), {PROTOCOL_ERROR}),
    # 6.7 PING
    "6.7-ping-on-a-stream": (lambda c: c.frame(PING, 0, 1, b"12345678"), {PROTOCOL_ERROR}),
    "6.7-ping-of-wrong-size": (lambda c: c.frame(PING, 0, 0, b"123456"), {FRAME_SIZE_ERROR}),
    # 6.8 GOAWAY
    "6.8-goaway-on-a-stream": (lambda c: c.frame(GOAWAY, 0, 1, u32(0) + u32(0)), {PROTOCOL_ERROR}),
    "6.8-goaway-of-wrong-size": (lambda c: c.frame(GOAWAY, 0, 0, u32(0)), {FRAME_SIZE_ERROR}),
    # 6.9 WINDOW_UPDATE
    "6.9-window-of-0": (lambda c: c.window(0, 0), {PROTOCOL_ERROR}),
    "6.9-window-of-wrong-size": (lambda c: c.frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), {FRAME_SIZE_ERROR}),
    "6.9.1-window-overflow": (lambda c: (c.window(0, 0x7fffffff), c.window(0, 0x7fffffff)), {FLOW_CONTROL_ERROR}),
    # 6.10 CONTINUATION
    "6.10-continuation-on-stream-0": (lambda c: (c.frame(HEADERS, END_STREAM, 1, c.block(request_fields())),
                                                 c.frame(CONTINUATION, END_HEADERS, 0, b"")), {PROTOCOL_ERROR}),
    "6.10-continuation-after-end": (lambda c: c.frame(CONTINUATION, END_HEADERS, c.get("/hang"), b""), {PROTOCOL_ERROR}),
    "6.10-continuation-after-continuation-with-end": (
        lambda c: (c.frame(HEADERS, END_STREAM, 1, c.block(request_fields("/hang"))), c.frame(CONTINUATION, END_HEADERS, 1, b""),
                   c.frame(CONTINUATION, END_HEADERS, 1, b"")), {PROTOCOL_ERROR}),
    "6.10-continuation-after-data": (lambda c: c_after_data(c), {PROTOCOL_ERROR}),
    # RFC 7541
    "7541-2.3.3-index-beyond-the-table": (lambda c: c.headers(block=c.block(request_fields()) + b"\xc6"),
                                          {COMPRESSION_ERROR}),
    "7541-4.2-update-after-a-field": (lambda c: c.headers(block=c.block(request_fields()) + b"\x20"),
                                      {COMPRESSION_ERROR}),
    "7541-5.2-padding-longer-than-7-bits": (lambda c: c.headers(block=b"\0\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
                                            {COMPRESSION_ERROR}),
    "7541-5.2-padding-of-zeros": (lambda c: c.headers(block=b"\0\x85\xf2\xb2\x4a\x87\x00\x83\x49\x50\x90"),
                                  {COMPRESSION_ERROR}),
    "7541-5.2-eos-in-a-string": (lambda c: c.headers(block=b"\0\x85\xf2\xb2\x4a\x84\xff\x87\xff\xff\xff\xfa\x84\xff\xff"),
                                 {COMPRESSION_ERROR}),
    "7541-6.1-index-0": (lambda c: c.headers(block=c.block(request_fields()) + b"\x80"), {COMPRESSION_ERROR}),
    "7541-6.3-update-over-the-setting": (lambda c: c.headers(block=b"\x3f\xe1\xff\x03" + c.block(request_fields())),
                                         {COMPRESSION_ERROR}),
}


def c_after_data(c):
    stream = post(c, "/hang")
    c.data(stream, b"x")
    c.frame(CONTINUATION, END_HEADERS, stream, b"")


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_connection_errors(lane, name):
    act, codes = CONNECTION_ERRORS[name]
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        c.ping()
        try:
            act(c)
        except Ended:
            pass
        assert c.connection_error() in codes, c.goaways
    lane.gateway.wait_metric(0, "ringgate_exchanges_open")


# ---- stream errors: (what is sent; returns the stream), allowed codes ----

def twice_ended(c):
    stream = half_closed_stream(c)
    c.data(stream, b"x", end=True)
    return stream


def head_on_half_closed(c):
    stream = half_closed_stream(c)
    c.headers(stream=stream)
    return stream


def data_after_reset(c):
    stream = post(c, "/hang")
    c.reset(stream)
    c.data(stream, b"x")
    c.expect_alive()  # what was on its way when the reset was sent is ignored
    return None


def window_of_0(c):
    stream = post(c, "/hang")
    c.window(stream, 0)
    return stream


def window_overflow(c):
    stream = post(c, "/hang")
    c.window(stream, 0x7fffffff)
    return stream


def window_overflow_by_settings(c):
    stream = post(c, "/hang")
    c.window(stream, 0x7fffffff - 65535)
    c.send(c.settings_frame([(INITIAL_WINDOW_SIZE, 0x7fffffff)]))
    return stream


def priority_of_wrong_size(c):
    stream = post(c, "/hang")
    c.frame(PRIORITY, 0, stream, b"\0\0\0\1")
    return stream


def second_head_without_end(c):
    stream = post(c, "/hang")
    c.headers([("x", "y")], end=False, stream=stream)
    return stream


def length_and_less(c):
    stream = post(c, more=[("content-length", "2")])
    c.data(stream, b"x", end=True)
    return stream


def length_and_more_in_several(c):
    stream = post(c, more=[("content-length", "1")])
    # At once: the first is all of the body, and the answer to it could come before the second.
    c.send(frame(DATA, 0, stream, b"x") + frame(DATA, END_STREAM, stream, b"x"))
    return stream


STREAM_ERRORS = {
    "5.1-data-on-half-closed": (twice_ended, {STREAM_CLOSED}),
    "5.1-head-on-half-closed": (head_on_half_closed, {STREAM_CLOSED, PROTOCOL_ERROR}),
    "5.1-data-after-reset": (data_after_reset, set()),
    "5.3.2-priority-of-wrong-size": (priority_of_wrong_size, {FRAME_SIZE_ERROR}),
    "6.9-window-of-0": (window_of_0, {PROTOCOL_ERROR}),
    "6.9.1-window-overflow": (window_overflow, {FLOW_CONTROL_ERROR}),
    "6.9.2-window-overflow-by-settings": (window_overflow_by_settings, {FLOW_CONTROL_ERROR}),  # nghttp2 resets the stream
    "8.1-second-head-without-end": (second_head_without_end, {PROTOCOL_ERROR}),
    "8.1.1-length-and-less": (length_and_less, {PROTOCOL_ERROR}),
    "8.1.1-length-and-more": (length_and_more_in_several, {PROTOCOL_ERROR}),
}


@pytest.mark.parametrize("name", STREAM_ERRORS)
def test_stream_errors(lane, name):
    act, codes = STREAM_ERRORS[name]
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        c.ping()
        stream = act(c)
        if stream:
            r = c.response(stream)
            assert r.reset in codes or r.goaway in codes, r
            if r.goaway is None:
                c.expect_alive()
    lane.gateway.wait_metric(0, "ringgate_exchanges_open")


# ---- what must be borne ----

def test_3_4_empty_settings_and_pings_at_once(lane):
    lane.reset(script)
    with H2(lane.gateway.address, opens=False) as c:
        c.send(PREFACE + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, b"at once!") +
               frame(HEADERS, END_HEADERS | END_STREAM, 1, c.block(request_fields())))
        assert c.next_frame().kind == SETTINGS, "SETTINGS must come first"
        assert c.response(1).status == 200


def test_4_1_unknown_frames_flags_and_reserved_bits(lane):
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        c.frame(0x16, 0xff, 0, b"unknown")
        c.frame(0x16, 0, 1, b"unknown")
        c.frame(PING, 0xfe, 0, b"flags!!!")
        assert c.wait(PING, ACK).payload == b"flags!!!"
        c.send(frame(PING, 0, 0x80000000, b"reserved"))
        assert c.wait(PING, ACK).payload == b"reserved"
        c.expect_alive()


def test_5_5_unknown_frame_within_a_head(lane):
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        c.ping()
        c.frame(HEADERS, END_STREAM, 1, c.block(request_fields()))
        try:
            c.frame(0x16, 0, 0, b"unknown")
        except Ended:
            pass
        assert c.connection_error() == PROTOCOL_ERROR


def test_5_1_frames_after_reset_are_borne(lane):
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = post(c, "/hang")
        c.reset(stream)
        c.window(stream, 100)
        c.frame(PRIORITY, 0, stream, b"\0\0\0\0\1")
        c.expect_alive()


def test_5_1_window_and_reset_on_closed_are_borne(lane):
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = closed_stream(c)
        c.window(stream, 100)
        c.reset(stream)
        c.frame(PRIORITY, 0, stream, b"\0\0\0\0\1")
        c.expect_alive()


def test_5_1_data_on_closed_is_ignored(lane):
    """Who keeps no closed streams can't know why it comes (5.1 lets it be ignored for a while); it counts for the window."""
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = closed_stream(c)
        lane.origin.forget()
        for _ in range(100):
            c.data(stream, b"x" * 16000)
        c.expect_alive()
    assert [q.target for q in lane.origin.requests] == ["/alive"]


def test_5_3_priority_on_idle_and_in_a_head(lane):
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        c.frame(PRIORITY, 0, 101, b"\0\0\0\0\1")
        stream = c.new_id()
        c.frame(HEADERS, END_HEADERS | END_STREAM | PRIORITY_FLAG, stream, b"\x80\0\0\0\x10" + c.block(request_fields()))
        assert c.response(stream).status == 200


def test_6_1_and_6_2_padding(lane):
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = c.new_id()
        block = c.block(request_fields("/", method="POST"))
        c.frame(HEADERS, END_HEADERS | PADDED | PRIORITY_FLAG, stream, b"\x04" + b"\0\0\0\0\x10" + block + b"\0" * 4)
        c.frame(DATA, PADDED, stream, b"\0" + b"abc")
        c.frame(DATA, PADDED | END_STREAM, stream, b"\xff" + b"\0" * 255)
        assert c.response(stream).status == 200
    assert lane.origin.last().body == b"abc"


def test_6_5_settings_are_acknowledged_and_unknown_ones_borne(lane):
    lane.reset(script)
    with H2(lane.gateway.address, settings=[(0xff, 1), (ENABLE_PUSH, 0), (HEADER_TABLE_SIZE, 0), (MAX_FRAME_SIZE, 65536)]) as c:
        c.wait(SETTINGS, ACK)
        c.expect_alive()


def test_6_5_3_settings_count_from_their_ack(lane):
    lane.reset(lambda *_: reply(b"x" * 100))
    with H2(lane.gateway.address, settings=[(INITIAL_WINDOW_SIZE, 1)]) as c:
        c.auto_window = False
        stream = c.get("/")
        c.until(lambda: stream in c.responses and c.responses[stream].body)
        assert c.responses[stream].body == b"x"
        c.send(c.settings_frame([(INITIAL_WINDOW_SIZE, 3)]))
        c.until(lambda: len(c.responses[stream].body) >= 3)
        assert c.responses[stream].body == b"xxx"
        c.send(c.settings_frame([(INITIAL_WINDOW_SIZE, 0)]))  # 6.9.2: below zero now
        c.wait(SETTINGS, ACK)
        c.window(stream, 2)
        c.ping()
        assert c.responses[stream].body == b"xxx"
        c.window(stream, 2)
        c.until(lambda: len(c.responses[stream].body) >= 4)
        assert c.responses[stream].body == b"xxxx"
        c.window(stream, 1000)
        assert c.response(stream).body == b"x" * 100


def test_6_9_window_of_the_connection(lane):
    lane.reset(lambda *_: reply(b"x" * 100000))
    with H2(lane.gateway.address, settings=[(INITIAL_WINDOW_SIZE, 1 << 20)]) as c:
        c.auto_window = False
        stream = c.get("/")
        c.until(lambda: stream in c.responses and len(c.responses[stream].body) >= 65535)
        c.ping()
        assert len(c.responses[stream].body) == 65535
        c.window(0, 1 << 20)
        assert len(c.response(stream).body) == 100000


def test_6_7_ping_is_answered_with_its_payload(lane):
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        c.ping(b"\x00\xff\x80seven")
        c.frame(PING, ACK, 0, b"unasked!")
        c.expect_alive()


def test_6_8_goaway_of_the_client(lane):
    """What is open is served, then the connection ends in order."""
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        stream = post(c)
        c.frame(GOAWAY, 0, 0, u32(0) + u32(NO_ERROR) + b"bye")
        c.data(stream, b"x", end=True)
        assert c.response(stream).status == 200


def test_6_10_head_in_many_pieces(lane):
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        c.ping()
        block = c.block(request_fields("/pieces"))
        cut = len(block) // 4
        c.frame(HEADERS, END_STREAM, 1, block[:cut])
        c.frame(CONTINUATION, 0, 1, block[cut:2 * cut])
        c.frame(CONTINUATION, 0, 1, b"")
        c.frame(CONTINUATION, END_HEADERS, 1, block[2 * cut:])
        assert c.response(1).status == 200


def test_7541_all_ways_to_write_a_field(lane):
    """Indexed, literal with, without and never indexed, names from either table, with and without Huffman code."""
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        huffman = b"\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"  # RFC 7541 C.4.3
        block = (b"\x82\x86\x84" + b"\x41\x0fwww.example.com" + b"\x58\x08no-cache" + b"\x40\x0acustom-key\x01a" +
                 b"\x00\x03x-a\x01b" + b"\x10\x03x-c\x01d" + b"\xbe" + b"\x7e\x01e" + huffman)
        assert c.response(c.headers(block=block)).status == 200
        q = lane.origin.last()
        assert q.all("custom-key") == ["a", "a", "e", "custom-value"]
        assert (q.get("host"), q.get("cache-control"), q.get("x-a"), q.get("x-c")) == ("www.example.com", "no-cache", "b", "d")


def test_7541_table_sizes(lane):
    """Updates at the start of a block, two at most useful ones, down to 0 and up again."""
    lane.reset(script)
    with H2(lane.gateway.address) as c:
        for update in (b"\x20", b"\x20\x3f\xe1\x1f", b"\x3f\xe1\x1f", b"\x20"):
            plain = b"\x82\x86\x84" + b"\x01\x01h"
            assert c.response(c.headers(block=update + plain)).status == 200
