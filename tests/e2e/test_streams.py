"""
Long streams: Server-Sent Events and messages both ways over plain HTTP. They live as long as they move, nothing in them waits for
what comes after it, and they count as load for steering.

Nothing here measures time: each event is sent only when the one before it was seen at the other end. Whoever holds an event back
until more has come is found out by silence.
"""

import json
import queue
import threading

import pytest

from lib import env, tls
from lib.attack import Lane, req
from lib.client import Client, Incomplete
from lib.h2 import H2, Response
from lib.raw_origin import Answer, reply

IDLE = 700  # ms


@pytest.fixture(scope="module")
def lane(shared, tmp_path_factory):
    certificate = tls.Certificate(tmp_path_factory.mktemp("certs"), "a", ["a.example"])
    clear, secure = f"127.0.0.1:{env.free_port()}", f"127.0.0.1:{env.free_port()}"
    origin = shared.raw_origin()
    gateway = shared.gateway(origin.address, {
        "listeners": [{"address": clear}, tls.listener(secure, certificate)],
        "timeouts": {"body_idle": env.ms(IDLE), "client_idle": env.ms(IDLE), "client_head": env.ms(IDLE)}},
        listen=[clear, secure])
    return Lane(gateway, origin)


class Stream:
    """An origin that sends one event whenever it is asked to, and ends when it is asked for None."""

    def __init__(self, lane, head, chunked, before_body=False):
        self.orders, self.head, self.chunked, self.before_body = queue.Queue(), head, chunked, before_body
        lane.reset(self)

    def __call__(self, connection, request):
        if request.target.startswith("/marker"):
            return reply()
        connection.send(self.head)
        while True:
            event = self.orders.get(timeout=env.scaled(20))
            if event is None:
                break
            connection.send(b"%x\r\n%s\r\n" % (len(event), event) if self.chunked else event)
        if self.chunked:
            connection.send(b"0\r\n\r\n")
        return Answer(b"", "keep" if self.chunked else "close")

    def send(self, event):
        self.orders.put(event)


EVENTS = [b"data: %d\n\n" % i for i in range(200)] + [b"data: " + b"x" * 9000 + b"\n\n", b"data: " + b"y" * 70_000 + b"\n\n", b":\n\n"]
HEADS = {
    "chunked": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    "until-end": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % sum(map(len, EVENTS)),
}


def event_by_event(client, stream, framing):
    """The head comes before any event, and each event before the next one is sent."""
    head = client.head()
    assert head.status == 200 and head.get("content-type") == "text/event-stream"
    for event in EVENTS:
        stream.send(event)
        got = []
        if framing == "chunked":
            while sum(map(len, got)) < len(event):  # a large one may come in several chunks
                size = int(client._until(b"\r\n"), 16)
                client._exactly(size, got.append)
                assert client._until(b"\r\n") == b"\r\n"
        else:
            client._exactly(len(event), got.append)
        assert b"".join(got) == event
    stream.send(None)


@pytest.mark.parametrize("secure", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("how", HEADS)
def test_events_one_by_one(lane, how, secure):
    stream = Stream(lane, HEADS[how], how == "chunked")
    address = lane.gateway.address_of(lane.gateway.listen[int(secure)])
    with (tls.TlsClient(address) if secure else Client(address)) as c:
        c.send(req(method="GET", target="/events"))
        event_by_event(c, stream, "length" if how == "length" else "chunked")
        if how != "length":
            assert c._until(b"0\r\n\r\n") == b"0\r\n\r\n"


def test_events_one_by_one_over_http2(lane):
    stream = Stream(lane, HEADS["chunked"], True)
    with H2(lane.gateway.address) as c:
        s = c.get("/events")
        r = c.responses.setdefault(s, Response())
        c.until(lambda: r.fields is not None)
        assert r.status == 200
        at = 0
        for event in EVENTS:
            stream.send(event)
            at += len(event)
            assert c.until(lambda n=at: len(r.body) >= n)
            assert r.body.endswith(event)
        stream.send(None)
        assert c.response(s).complete and r.body == b"".join(EVENTS)


def test_events_one_by_one_for_http10(lane):
    stream = Stream(lane, HEADS["chunked"], True)
    with Client(lane.gateway.address) as c:
        c.send(req(method="GET", target="/events", version="HTTP/1.0"))
        event_by_event(c, stream, "plain")
        c.expect_end()


def test_a_request_body_piece_by_piece(lane):
    """Client streaming: each piece is at the origin before the next one is sent."""
    pieces = queue.Queue()

    def script(connection, request):
        if request.target.startswith("/marker"):
            return reply()
        seen = bytes(connection.received[connection.at:])  # the first piece may have come with the head
        pieces.put(seen)
        while not seen.endswith(b"0\r\n\r\n"):
            seen += connection.fill()
            pieces.put(seen)
        connection.at = len(connection.received)
        return reply(b"%d" % len(seen))
    script.before_body = True
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req("Transfer-Encoding: chunked"))
        sent = b""
        for i in range(100):
            piece = b"%x\r\nmessage %3d\r\n" % (11, i)
            sent += piece
            c.send(piece)
            seen = pieces.get(timeout=env.scaled(5))
            while len(seen) < len(sent):
                seen = pieces.get(timeout=env.scaled(5))
            assert seen == sent
        c.send(b"0\r\n\r\n")
        assert c.response().status == 200


def test_messages_both_ways(lane):
    """A conversation over HTTP/1: every message is answered while the request goes on, for longer than either may be silent alone."""
    def script(connection, _request):
        connection.send(HEADS["chunked"])
        seen = b""
        while b"0\r\n\r\n" not in seen:
            data = connection.fill()
            seen += data
            connection.send(b"%x\r\n%s\r\n" % (len(data), data))
        connection.at = len(connection.received)
        connection.send(b"0\r\n\r\n")
        return None
    script.before_body = True
    lane.reset(script)
    with Client(lane.gateway.address) as c:
        c.send(req("Transfer-Encoding: chunked"))
        assert c.head().status == 200
        for i in range(100):
            piece = b"%x\r\nmessage %3d\r\n" % (11, i)
            c.send(piece)
            got = []
            while sum(map(len, got)) < len(piece):
                c._exactly(int(c._until(b"\r\n"), 16), got.append)
                c._until(b"\r\n")
            assert b"".join(got) == piece
        c.send(b"0\r\n\r\n")
        assert c._until(b"0\r\n\r\n")


# ---- how long ----

def test_a_stream_lives_while_it_moves(lane):
    """Several times the idle time, with never so much of it between two events; on the other side nothing is said at all."""
    stream = Stream(lane, HEADS["chunked"], True)
    pause = threading.Event()
    with Client(lane.gateway.address) as c:
        c.send(req(method="GET", target="/events"))
        assert c.head().status == 200
        for _ in range(12):
            pause.wait(env.scaled(IDLE / 1000 / 4))
            stream.send(b"data: tick\n\n")
            c._until(b"tick\n\n\r\n")
        stream.send(None)
        assert c._until(b"0\r\n\r\n") == b"0\r\n\r\n"


def test_a_silent_stream_is_cut(lane):
    stream = Stream(lane, HEADS["chunked"], True)
    with Client(lane.gateway.address) as c:
        c.send(req(method="GET", target="/events"))
        assert c.head().status == 200
        stream.send(b"data: last\n\n")
        c._until(b"last\n\n\r\n")
        with pytest.raises(Incomplete):
            c._until(b"0\r\n\r\n")
    lane.expect_counted({"replica-body-timeout"})
    stream.send(None)


def test_a_request_that_goes_on_lives_by_the_response(lane):
    """The client has said all it had to say for now; what it is told keeps both alive."""
    stream = Stream(lane, HEADS["chunked"], True, before_body=True)
    pause = threading.Event()
    try:
        with Client(lane.gateway.address) as c:
            c.send(req("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"))
            assert c.head().status == 200
            for _ in range(8):
                pause.wait(env.scaled(IDLE / 1000 / 3))
                stream.send(b"data: tick\n\n")
                c._until(b"tick\n\n\r\n")
            # Silence on both sides ends it all the same.
            with pytest.raises(Incomplete):
                c._until(b"0\r\n\r\n")
    finally:
        stream.send(None)
    assert lane.counted().keys() <= {"body-timeout", "replica-body-timeout"}


# ---- what they weigh ----

def test_streams_count_as_load(programs):
    """
    One worker has the streams alone. Were only connections counted, new ones would go to both as soon as the other has as many.
    """
    def script(connection, request):
        if request.target != "/events":
            return reply()
        connection.send(HEADS["chunked"])
        connection.wait_gone()
        return Answer(b"", "close")
    by_load_alone = {"steering": {"mode": "load"}}
    gateway = programs.gateway(programs.raw_origin(script).address, by_load_alone, workers=2)

    def rows():
        return [w["steering"] for w in json.loads(gateway.admin("GET", "/workers")[1])["workers"]]

    def column(name):
        return [r[name] for r in rows()]
    if not rows()[0]["active"]:
        pytest.skip("no steering here (root or CAP_BPF)")
    clients, streams = [Client(gateway.address) for _ in range(16)], 0
    try:
        for c in list(clients):
            c.send(req(method="GET", target="/events"))
            assert c.head().status == 200
            env.wait_until(lambda n=streams + 1: sum(column("requests")) == n, 5, "the stream to be counted")
            if column("requests")[0] > streams:
                streams += 1
            else:  # of the wrong worker; an end in order would still let it listen
                c.reset()
                clients.remove(c)
                env.wait_until(lambda n=streams: column("requests") == [n, 0], 5, "its end")
        env.wait_until(lambda: column("open") == [streams, 0], 5, "the streams alone")
        assert streams >= 4
        for _ in range(2 * streams - 2):
            clients.append(Client(gateway.address))
            assert clients[-1].request(req(method="GET")).status == 200
            env.wait_until(lambda: sum(column("requests")) == streams, 5, "only the streams to be left")
        assert column("open") == [streams, 2 * streams - 2]
    finally:
        for c in clients:
            c.reset()
    gateway.wait_metric(0, "ringgate_exchanges_open")
    env.wait_until(lambda: column("requests") == [0, 0], 5, "nothing to be counted any more")
