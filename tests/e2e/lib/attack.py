"""
One attack at a time: a gateway with one worker and a recording origin. Each check looks at three things: what the client
gets, whether the connection stays, and what the origin saw; and that exactly the expected reason was counted.
"""

import itertools

from . import env
from .client import Client, Incomplete, get
from .raw_origin import default_script

_numbers = itertools.count()


def req(*lines, body=b"", method="POST", target="/attack", version="HTTP/1.1", host="test"):
    """A request of raw lines (bytes or text) with a request line and a Host before them."""
    raw = [f"{method} {target} {version}".encode("latin-1")]
    if host is not None:
        raw.append(b"Host: " + host.encode("latin-1"))
    raw += [ln if isinstance(ln, bytes) else ln.encode("latin-1") for ln in lines]
    return b"\r\n".join(raw) + b"\r\n\r\n" + body


class Lane:
    def __init__(self, gateway, origin):
        self.gateway, self.origin = gateway, origin

    def reset(self, script=default_script):
        """Nothing of an earlier check is under way, nothing is recorded."""
        metrics = self.gateway.metrics()
        if metrics.get("ringgate_exchanges_open"):
            self.gateway.wait_metric(0, "ringgate_exchanges_open")
            metrics = self.gateway.metrics()
        self.origin.script = script
        self.origin.forget()
        self._before = metrics.refused()

    def counted(self):
        """Refusals by reason since the reset."""
        now = self.gateway.metrics().refused()
        return {k: int(v - self._before.get(k, 0)) for k, v in now.items() if v != self._before.get(k, 0)}

    def expect_counted(self, reasons):
        """Exactly one refusal, for one of these reasons."""
        counted = env.wait_until(self.counted, 3, f"a refusal counted as one of {sorted(reasons)}")
        assert len(counted) == 1 and list(counted.values()) == [1], f"counted {counted}, wanted one of {sorted(reasons)}"
        assert set(counted) <= set(reasons), f"counted {counted}, wanted one of {sorted(reasons)}"

    def marker(self):
        """An honest request afterwards: the gateway still serves, and all that came before has been dealt with."""
        path = f"/marker-{next(_numbers)}"
        r = get(self.gateway.address, path)
        assert r.status == 200, f"an honest request after the attack got {r}"
        return path

    def check_refusal_response(self, r, statuses, method="GET"):
        assert r.status in statuses, f"got {r.status} {r.body[:200]!r}, wanted {sorted(statuses)}"
        assert r.says_close, f"no Connection: close in {r.raw_head!r}"
        if method != "HEAD":
            assert 0 < len(r.body) <= 1024, f"body of a refusal has {len(r.body)} bytes"

    def expect_nothing_at_origin(self, path):
        seen = [q for q in self.origin.requests]
        assert [q.target for q in seen] == [path], f"the origin saw {seen}"
        assert self.origin.received() == b"".join(q.head + q.raw_body for q in seen), "stray bytes at the origin"

    def expect_broken_off_at_origin(self, path):
        """The head may have gone out before the fault came; then that connection was ended, incomplete, never reused."""
        complete = [q.target for q in self.origin.complete()]
        assert complete == [path], f"complete requests at the origin: {self.origin.complete()}"
        for c in list(self.origin.connections):
            if any(not q.complete for q in c.requests):
                env.wait_until(lambda c=c: c.ended, 2, "the end of the broken-off connection at the origin")
                assert len(c.requests) == 1, f"reused after a broken request: {c.requests}"

    def refused(self, data, statuses, reasons, origin="nothing", method="POST", script=default_script):
        """The bytes get a refusal with close, one count of the reason, and no complete request at the origin."""
        statuses = {statuses} if isinstance(statuses, int) else set(statuses)
        reasons = {reasons} if isinstance(reasons, str) else set(reasons)
        self.reset(script)
        with Client(self.gateway.address) as c:
            c.send(data)
            r = c.response(method)
            self.check_refusal_response(r, statuses, method)
            c.expect_end()
        self.expect_counted(reasons)
        path = self.marker()
        if origin == "nothing":
            self.expect_nothing_at_origin(path)
        else:
            self.expect_broken_off_at_origin(path)
        return r

    def accepted(self, data, method="POST", status=200, requests=1, script=default_script, stays=True):
        """The bytes are served; returns (last response, requests that the origin saw)."""
        self.reset(script)
        with Client(self.gateway.address) as c:
            c.send(data)
            for _ in range(requests):
                r = c.response(method)
                assert r.status == status, f"got {r} {r.body[:200]!r}, wanted {status}"
            if stays:
                assert not r.says_close, f"unexpected Connection: close in {r.raw_head!r}"
                after = c.request(b"GET /after HTTP/1.1\r\nHost: test\r\n\r\n")
                assert after.status == 200, f"the connection is out of step: {after}"
            else:
                c.expect_end()
        seen = self.origin.requests[:]
        if stays:
            assert seen[-1].target == "/after" and seen[-1].method == "GET", f"the origin saw {seen}"
            seen = seen[:-1]
        assert len(seen) == requests and all(q.complete for q in seen), f"the origin saw {seen}"
        assert self.counted() == {}, f"counted as refused: {self.counted()}"
        return r, seen

    def ends_without_service(self, data, statuses, half_close=False):
        """Sent, then the client leaves: no response, or one of these; nothing complete reaches the origin."""
        self.reset()
        with Client(self.gateway.address) as c:
            c.send(data)
            if half_close:
                c.sock.shutdown(1)
                try:
                    r = c.response()
                    assert r.status in statuses, r
                    c.expect_end()
                except Incomplete:
                    assert not c.buffer
        self.expect_broken_off_at_origin(self.marker())
