"""The access log: what a record says of answers that the gateway gives itself, and what happens when it can't be written."""

import json
import os
import resource
import socket
import subprocess
import threading
import time

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, get
from lib.raw_origin import Held


def records(path):
    try:
        with open(path, encoding="utf-8") as f:
            return [json.loads(line) for line in f.read().splitlines()]
    except FileNotFoundError:
        return []


class Logged:
    """A gateway with an access log, and the records of single requests."""

    def __init__(self, programs, origin, **config):
        self.path = os.path.join(programs.directory, "access.log")
        self.gateway = programs.gateway(origin.address, {"access_log": {"path": self.path}, **config})
        self.seen = 0

    def record_of(self, data, method="GET"):
        """(response, record) of one request on a connection of its own."""
        with Client(self.gateway.address) as c:
            r = c.request(data, method)
        rows = env.wait_until(lambda: records(self.path)[self.seen:], 3, "the access record")
        assert len(rows) == 1, rows
        self.seen += 1
        return r, rows[0]


@pytest.fixture
def logged(programs):
    return Logged(programs, programs.raw_origin())


# ---- answers of the gateway's own ----

def test_bytes_of_own_answers(logged):
    for data, method in ((req(method="GET", version="HTTP/1.7x"), "GET"), (req("Content-Length: x"), "POST"),
                         (req("Expect: other", method="GET"), "GET"), (req("Expect: other", method="HEAD"), "HEAD"),
                         (req(method="GET", target="/health"), "GET"), (req(method="GET"), "GET")):
        r, record = logged.record_of(data, method)
        assert record["bytes_out"] == len(r.body), (r, record)
        assert record["complete"] is True
        assert record["status"] == r.status
    assert r.body == b"ok" and record["bytes_out"] == 2


def test_bytes_of_an_answer_for_a_replica_that_is_gone(programs):
    origin = programs.raw_origin()
    logged = Logged(programs, origin)
    origin.close()
    r, record = logged.record_of(req(method="GET"))
    assert r.status in (502, 503) and len(r.body) > 0 and record["bytes_out"] == len(r.body)


@pytest.mark.parametrize("data,target", [
    (b"GET /first HTTP/1.1\nHost: secret.example\nAuthorization: Basic c2VjcmV0\n\n", "GET /first HTTP/1.1"),
    (b"GET /first HTTP/1.1\r\nHost: secret.example\nX: y\r\n\r\n", "GET /first HTTP/1.1"),
    (b"GET /a\nb HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a"),
    (b"\r\nGET /\x01 HTTP/1.1\r\nHost: secret.example\r\n\r\n", "GET /\x01 HTTP/1.1"),
    (b"nonsense\r\n\r\n", "nonsense"),
], ids=["lf", "second-line", "lf-in-target", "empty-line", "nonsense"])
def test_target_of_a_malformed_head_is_its_first_line(logged, data, target):
    r, record = logged.record_of(data)
    assert r.status == 400 and record["status"] == 400
    assert record["target"] == target
    assert "secret" not in json.dumps(record)


def test_malformed_heads_have_a_request_id(logged):
    """In the field, in the body, and in the record: the same one, and another each time."""
    seen = set()
    for data in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\nHost: x\n\n", b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
                 req("X: " + "y" * 100_000, method="GET"), req("Content-Length: x")):
        r, record = logged.record_of(data)
        assert r.status >= 400
        request_id = r.get("x-request-id")
        assert request_id and len(request_id) == 36, r
        assert json.loads(r.body)["request_id"] == request_id == record["request_id"]
        seen.add(request_id)
    assert len(seen) == 5


def test_head_that_never_comes_has_a_request_id(programs):
    logged = Logged(programs, programs.raw_origin(), timeouts={"client_head": "100ms"})
    r, record = logged.record_of(b"GET / HT")
    assert r.status == 408 and r.get("x-request-id") == record["request_id"] == json.loads(r.body)["request_id"]


def test_connect_is_recorded_with_its_host(logged):
    r, record = logged.record_of(b"CONNECT inner.example:443 HTTP/1.1\r\nHost: inner.example\r\n\r\n")
    assert r.status == 501 and record["reason"] == "connect-refused"
    assert record["host"] == "inner.example:443" and record["target"] == "inner.example:443"


# ---- a log that can't be written ----

def lines_of(gateway, part):
    return [ln for ln in gateway.log().splitlines() if part in ln]


def lost(gateway):
    return gateway.metrics().get("ringgate_access_log_write_failures_total")


def test_path_that_cant_be_opened(programs, tmp_path):
    """Said once, with what to do; again when it works, with how many records were lost; counted all the time."""
    directory = tmp_path / "missing"
    path = directory / "access.log"
    gateway = programs.gateway(programs.raw_origin().address, {"access_log": {"path": str(path)}})
    for _ in range(3):
        assert get(gateway.address).status == 200
    env.wait_until(lambda: lost(gateway) == 3, 3, "three records to be counted as lost")
    said = lines_of(gateway, "are being lost")
    assert len(said) == 1, gateway.log()
    assert " error " in said[0] and str(path) in said[0] and "No such file or directory" in said[0]
    assert f"create the directory {directory}" in said[0], said
    directory.mkdir()
    assert get(gateway.address).status == 200
    env.wait_until(lambda: records(path), 3, "a record")
    again = env.wait_until(lambda: lines_of(gateway, "written again"), 3, "the line")
    assert len(again) == 1 and "lost=3" in again[0] and str(path) in again[0]
    assert len(lines_of(gateway, "are being lost")) == 1
    assert lost(gateway) == 3


def test_path_given_up_tells_what_was_lost(programs, tmp_path):
    """By a reload that names another one, and by the end of the process."""
    good = tmp_path / "access.log"
    gateway = programs.gateway(programs.raw_origin().address, {"access_log": {"path": str(tmp_path / "missing" / "a.log")}})
    assert get(gateway.address).status == 200
    env.wait_until(lambda: lost(gateway) == 1, 3, "the record to be counted as lost")
    gateway.reconfigure({"access_log": {"path": str(good)}})
    assert gateway.admin("POST", "/reload")[0] == 200
    said = env.wait_until(lambda: lines_of(gateway, "given up"), 3, "the line")
    assert "lost=1" in said[0] and "missing/a.log" in said[0]
    assert get(gateway.address).status == 200
    env.wait_until(lambda: records(good), 3, "a record in the other file")
    gateway.reconfigure({"access_log": {"path": "/dev/full"}})
    assert gateway.admin("POST", "/reload")[0] == 200
    assert get(gateway.address).status == 200
    env.wait_until(lambda: lost(gateway) == 2, 3, "the next record to be counted as lost")
    gateway.stop()
    said = lines_of(gateway, "given up")
    assert len(said) == 2 and "lost=1" in said[1] and "/dev/full" in said[1], said


def test_full_disk(programs):
    """/dev/full is what a full file system is."""
    gateway = programs.gateway(programs.raw_origin().address, {"access_log": {"path": "/dev/full"}})
    for _ in range(5):
        assert get(gateway.address).status == 200
    env.wait_until(lambda: lost(gateway) == 5, 3, "five records to be counted as lost")
    said = lines_of(gateway, "are being lost")
    assert len(said) == 1 and "No space left on device" in said[0] and "free space" in said[0], gateway.log()


def test_a_limit_of_the_size_of_files(programs, tmp_path):
    """LimitFSIZE= of systemd: a signal that would end the process, unless it is asked not to."""
    path = tmp_path / "access.log"
    limit = 200_000

    def preexec():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    gateway = programs.gateway(programs.raw_origin().address, {"access_log": {"path": str(path)}}, preexec=preexec)
    for _ in range(100):
        assert get(gateway.address, "/" + "x" * 4000).status == 200
    env.wait_until(lambda: lost(gateway) > 0, 3, "records to be lost")
    said = lines_of(gateway, "are being lost")
    assert len(said) == 1 and "File too large" in said[0] and "rotate it" in said[0], gateway.log()
    assert path.stat().st_size <= limit
    path.rename(tmp_path / "access.log.1")
    env.wait_until(lambda: get(gateway.address).status == 200 and path.exists() and records(path), 5, "records in the next file")
    assert lines_of(gateway, "written again"), gateway.log()


def test_check_of_the_configuration_looks_at_the_path(programs, tmp_path):
    good, missing = tmp_path / "access.log", tmp_path / "missing" / "access.log"
    for path, says in ((good, None), (missing, str(missing.parent)), (tmp_path, "is a directory"), ("-", None)):
        gateway = programs.prepared_gateway("127.0.0.1:1", {"access_log": {"path": str(path)}})
        r = subprocess.run([*gateway.argv, "-t"], capture_output=True, text=True, timeout=30, check=False)
        assert r.returncode == 0, r
        if says is None:
            assert r.stderr == "", r.stderr
        else:
            assert "warning" in r.stderr and says in r.stderr and "access_log.path" in r.stderr, r.stderr
        assert not good.exists(), "a check must not create the file"


# ---- the replica ----

def test_replica_that_accepts_and_closes(programs):
    """Nothing was said that could be framed wrongly: it closed."""
    def leave(listener):
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=leave, args=(listener,), daemon=True).start()

        class Origin:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
        logged = Logged(programs, Origin)
        for _ in range(20):
            r, record = logged.record_of(req(method="GET"))
            assert r.status == 502 and record["reason"] == "replica-closed", record
        listener.shutdown(socket.SHUT_RDWR)
    assert set(logged.gateway.metrics().refused()) == {"replica-closed"}


def test_replica_found_down_by_requests_says_why(programs):
    address = f"127.0.0.1:{env.free_port()}"
    gateway = programs.gateway(address, {"replica": {"health": {"fall": 3}}})
    for _ in range(3):
        assert get(gateway.address).status == 503
    said = env.wait_until(lambda: lines_of(gateway, "the replica is down"), 3, "the line")
    assert "3 connects in a row failed: Connection refused" in said[0] and address in said[0], said
    env.wait_until(lambda: lines_of(gateway, "not ready reasons=replica-down"), 3, "what follows from it")
    log = gateway.log()
    assert log.index("the replica is down") < log.index("not ready reasons="), log


def test_more_connections_to_the_replica_serve_those_who_wait_at_once(programs):
    """All of them are in use for seconds: only the reload can let the others go on."""
    held = Held("/wait", seconds=30)
    origin = programs.raw_origin(held)
    gateway = programs.gateway(origin.address, {"replica": {"connections": 2}, "timeouts": {"connect": "30s"}})
    clients = [Client(gateway.address) for _ in range(12)]
    try:
        for c in clients:
            c.send(req(method="GET", target="/wait"))
        gateway.wait_metric(12, "ringgate_exchanges_open")
        origin.wait_requests(2)
        gateway.reconfigure({"replica": {"connections": 20}})
        start = time.monotonic()
        status, text, _ = gateway.admin("POST", "/reload")
        assert status == 200, text
        origin.wait_requests(12)
        # One a second was what the tick let through.
        assert time.monotonic() - start < env.at_most(0.2)
    finally:
        held.release()
        for c in clients:
            assert c.response().status == 200
            c.close()
