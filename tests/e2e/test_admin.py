"""The admin endpoints, the metrics and the access log."""

import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, chunked, get
from lib.gateway import nofile_limit
from lib.prom import Metrics
from lib.raw_origin import Answer, reply


@pytest.fixture(scope="module")
def gateway(shared):
    origin = shared.raw_origin()
    return shared.gateway(origin.address, workers=2)


# ---- endpoints ----

@pytest.mark.parametrize("path", ["/live", "/ready", "/config", "/workers"])
def test_json_endpoints(gateway, path):
    status, text, headers = gateway.admin("GET", path)
    assert status == 200 and headers["content-type"].startswith("application/json"), (status, text)
    assert isinstance(json.loads(text), dict)
    status, text, headers = gateway.admin("HEAD", path)
    assert status == 200 and text == ""


@pytest.mark.parametrize("method,path,allow", [("POST", "/live", "GET"), ("DELETE", "/metrics", "GET"), ("GET", "/drain", "POST"),
                                               ("GET", "/reload", "POST"), ("POST", "/log-level", "PUT")])
def test_wrong_methods(gateway, method, path, allow):
    status, text, headers = gateway.admin(method, path)
    assert status == 405 and allow in headers["allow"]
    assert json.loads(text)["message"] == f"got {method}, wanted {headers['allow']} for {path}"
    assert gateway.process.is_running()


def test_unknown_paths(gateway):
    status, text, _ = gateway.admin("GET", "/nothing")
    assert status == 404
    assert json.loads(text)["message"].startswith("got /nothing, wanted one of /live, ") and "/control" in text
    assert gateway.admin("GET", "/metrics/")[0] == 404


def test_config_is_the_live_snapshot(gateway):
    config = json.loads(gateway.admin("GET", "/config")[1])
    assert config["replica"]["address"] == gateway.config["replica"]["address"]
    assert [ln["address"] for ln in config["listeners"]] == gateway.listen
    assert config["limits"]["headers"] == 100


def test_workers_endpoint(gateway):
    for _ in range(10):
        assert get(gateway.address, "/x").status == 200
    rows = json.loads(gateway.admin("GET", "/workers")[1])["workers"]
    assert [r["worker"] for r in rows] == [0, 1]
    assert sum(r["steering"]["accepted"] for r in rows) == gateway.metrics().get("ringgate_connections_accepted_total")
    assert all(not r["ended"] and not r["hung"] for r in rows)


def test_orders_from_web_pages_are_refused(gateway):
    assert gateway.admin("POST", "/drain", headers={"Origin": "http://evil.example"})[0] == 403
    assert gateway.process.is_running() and gateway.admin("GET", "/ready")[0] == 200


def test_web_pages_read_nothing(gateway):
    """A page can make its own name lead to this machine (DNS rebinding), but not make a browser send an address as Host."""
    status, text, _ = gateway.admin("GET", "/config", headers={"Host": "evil.example"})
    assert status == 421 and "evil.example" in text and "localhost" in text
    for host in ("localhost:9901", "127.0.0.1", "[::1]:9901"):
        assert gateway.admin("GET", "/config", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n", b"GET /live HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
                                  b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
                                  b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                                  b"GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_hostile_admin_clients(gateway, data):
    with Client(("127.0.0.1", gateway.admin_port), timeout=5) as c:
        c.send(data)
        c.sock.shutdown(socket.SHUT_WR)
        try:
            r = c.response()
            assert 400 <= r.status < 600
        except Exception:  # pylint: disable=broad-except
            assert c.eof
    assert gateway.admin("GET", "/live")[0] == 200


def test_slow_admin_clients_hold_up_nobody(gateway):
    slow = [Client(("127.0.0.1", gateway.admin_port)) for _ in range(20)]
    for c in slow:
        c.send(b"GET /metrics HTTP/1.1\r\nHo")
    assert gateway.admin("GET", "/live")[0] == 200
    assert get(gateway.address, "/x").status == 200
    for c in slow:
        c.close()


def test_log_level(gateway):
    status, text, _ = gateway.admin("PUT", "/log-level", body="debug")
    assert status == 200 and "debug" in text
    assert "debug" in gateway.admin("GET", "/log-level")[1]
    status, text, _ = gateway.admin("PUT", "/log-level", body="loud")
    assert status == 422 and json.loads(text)["message"] == 'got "loud" as the body, wanted error, warn, info or debug'
    assert gateway.admin("PUT", "/log-level", body="info")[0] == 200


def test_ready_follows_the_replica(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"replica": {"health": {"path": "/api/v2/status", "interval": env.ms(100)}}})

    def ready():
        return gateway.admin("GET", "/ready")[0] == 200
    env.wait_until(ready, 2, "/ready after the first probe")
    origin.health("unhealthy")
    env.wait_until(lambda: not ready(), 2, "/ready to fall")
    text = gateway.admin("GET", "/ready")[1]
    assert "replica" in text and gateway.admin("GET", "/live")[0] == 200
    origin.health("healthy")
    env.wait_until(ready, 2, "/ready to return")
    gateway.process.signal(signal.SIGTERM)
    assert gateway.process.wait(5) == 0


def test_admin_off(programs):
    origin = programs.raw_origin()
    gateway = programs.prepared_gateway(origin.address, {"admin": {"address": "off"}})
    gateway._admin_is_up = lambda: True
    gateway.start()
    assert get(gateway.address, "/x").status == 200
    with pytest.raises(OSError):
        gateway.admin("GET", "/live")


def test_health_path(programs):
    origin = programs.raw_origin(lambda c, q: reply(b"from the origin"))
    gateway = programs.gateway(origin.address, {"health_path": "/up"})
    assert get(gateway.address, "/up").status == 204
    assert get(gateway.address, "/up?x=y").status == 204
    assert get(gateway.address, "/health").body == b"from the origin"
    gateway.reconfigure({"health_path": "off"})
    assert gateway.admin("POST", "/reload")[0] == 200
    env.wait_until(lambda: get(gateway.address, "/up").body == b"from the origin", 2, "the health path to be off")


def test_health_refusal_is_like_the_others(programs, tmp_path):
    """What /health says while the gateway is not ready: a documented reason, with a message and the request's id."""
    log = Log(tmp_path / "access.log")
    gateway = programs.gateway(f"127.0.0.1:{env.free_port()}", {
        "replica": {"health": {"path": "/api/v2/status", "interval": env.ms(100)}}, "access_log": {"path": str(log.path)}})
    gateway.wait_metric(0, "ringgate_replica_up")
    env.wait_until(lambda: get(gateway.address, "/health").status == 503, 2, "/health to tell of the replica")
    with Client(gateway.address) as c:
        r = c.request(req("X-Request-Id: mine-1234", method="GET", target="/health"))
        assert r.status == 503 and r.get("retry-after") and r.get("content-type") == "application/json"
        body = json.loads(r.body)
        assert (body["status"], body["reason"]) == (503, "not-ready") and body["message"] and body["request_id"]
        head = c.request(req(method="HEAD", target="/health"), "HEAD")
        assert head.status == 503 and head.body == b"", "the connection stays usable"
    assert gateway.metrics().refused()["not-ready"] >= 2
    env.wait_until(lambda: len(log.lines()) >= 2, 2, "access records")
    assert log.lines()[-1]["reason"] == "not-ready" and log.lines()[-1]["request_id"]
    with open(os.path.join(os.path.dirname(__file__), "../../docs/METRICS.md"), encoding="utf-8") as f:
        assert "`not-ready`" in f.read()


# ---- when the traffic has taken everything ----

class Crowd:
    """A gateway with few descriptors (80, of which 5 are kept), and clients that hold and want all others."""

    def __init__(self, programs, config=None):
        self.release = threading.Event()
        origin = programs.raw_origin(self._answer)
        self.gateway = programs.gateway(origin.address, dict({"timeouts": {"connect": "30s"}}, **(config or {})), workers=2,
                                        preexec=nofile_limit(80))
        self.clients = []

    def _answer(self, _connection, request):
        if request.target == "/wait":
            self.release.wait(env.scaled(30))
        return reply(b"ok")

    def __enter__(self):
        for _ in range(120):
            c = Client(self.gateway.address)
            c.send(req(method="GET", target="/wait"))
            self.clients.append(c)
        time.sleep(0.3 * env.SLOW)
        return self

    def __exit__(self, *_):
        self.release.set()
        for c in self.clients:
            c.close()


def test_answers_while_clients_hold_all_descriptors(programs):
    """The endpoint could not accept any more, at the very moment when one wants to know what goes on."""
    with Crowd(programs) as crowd:
        gateway, took = crowd.gateway, []
        for i in range(25):
            for path in ("/live", "/ready", "/metrics", "/workers"):
                start = time.monotonic()
                status, text, _ = gateway.admin("GET", path)
                took.append(time.monotonic() - start)
                assert status == 200, (i, path, status)
                if path == "/metrics":
                    m = Metrics(text)
                    assert m.get("ringgate_descriptors_exhausted_total") > 0
                    assert m.get("process_max_fds") == 80 and m.get("process_resident_memory_bytes") > 0
                    held = m.get("process_open_fds")
        assert held >= 60, f"{held} of 80 descriptors are open: nothing is short"
        took.sort()
        assert took[len(took) // 2] < env.scaled(0.1) and took[-1] < env.at_most(0.5), took[-10:]
        gateway.reconfigure({"limits": {"headers": 77}})
        status, text, _ = gateway.admin("POST", "/reload")
        assert status == 200 and "limits.headers" in text, text
        # Those that only hold a connection don't keep others out.
        idle = [socket.create_connection(("127.0.0.1", gateway.admin_port)) for _ in range(40)]
        env.wait_until(lambda: gateway.admin("GET", "/live")[0] == 200, 5, "/live beside idle connections")
        for s in idle:
            s.close()
    # Connections that waited in the queue are accepted now, and shed while descriptors are still short.
    env.wait_until(lambda: gateway.metrics().get("ringgate_connections_accepted_total") >= len(crowd.clients), 10,
                   "the queue to empty")
    gateway.wait_metric(0, "ringgate_connections_open", 10)
    assert get(gateway.address, "/x").status == 200


def test_the_admin_endpoint_leaves_some_of_the_reserve(programs, tmp_path):
    """Requests that never end took every descriptor that is kept: no reload, no health check, no log file any more."""
    log = tmp_path / "access.log"
    health = {"replica": {"health": {"path": "/up", "interval": env.ms(100)}}}
    with Crowd(programs, health) as crowd:
        gateway = crowd.gateway
        slow = [socket.create_connection(("127.0.0.1", gateway.admin_port)) for _ in range(10)]
        for s in slow:
            s.sendall(b"GET /live HTTP/1.1\r\n")
        time.sleep(0.3 * env.SLOW)
        # The file is read, and the log is opened, though no descriptor is free.
        gateway.reconfigure({"access_log": {"path": str(log)}})
        gateway.process.signal(signal.SIGHUP)
        env.wait_until(lambda: "reloaded generation=2" in gateway.log(), 3, "the reload")
        env.wait_until(log.exists, 1, "the access log")
        log.rename(tmp_path / "access.log.1")
        gateway.process.signal(signal.SIGUSR1)
        env.wait_until(log.exists, 3, "the access log to be opened again")
        assert "can't open" not in gateway.log() and "can't be checked" not in gateway.log(), gateway.log()
        for s in slow:
            s.close()
        env.wait_until(lambda: gateway.admin("GET", "/live")[0] == 200, 5, "/live")


# ---- metrics ----

COUNTERS = ["connections_accepted", "requests", "client_received_bytes", "client_sent_bytes", "replica_received_bytes",
            "replica_sent_bytes", "replica_connects", "replica_connections_reused", "requests_refused", "ring_enters"]


def test_metrics_format_and_families(gateway):
    _, text, headers = gateway.admin("GET", "/metrics")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    m = gateway.metrics()  # parsed strictly
    for name in COUNTERS:
        assert m.families[f"ringgate_{name}_total"].type == "counter", name
    for name in ("ringgate_connections_open", "ringgate_exchanges_open", "ringgate_replica_up", "ringgate_workers"):
        assert m.families[name].type == "gauge"
    for name in ("ringgate_request_duration_seconds", "ringgate_replica_connect_duration_seconds"):
        assert m.families[name].type == "histogram"
    assert "ringgate_build_info" in m.families and "process_resident_memory_bytes" in m.families
    for family in m.families.values():
        if not family.name.startswith("process_"):
            assert family.name.startswith("ringgate_")
        if family.type == "counter":
            assert family.name.endswith("_total")


def test_open_metrics(gateway):
    _, text, headers = gateway.admin("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert headers["content-type"].startswith("application/openmetrics-text") and text.endswith("# EOF\n")
    assert re.search(r"^# TYPE ringgate_requests counter$", text, re.M)
    assert re.search(r'^ringgate_requests_total\{code="2xx"\} \d+', text, re.M)


def test_counters_count(programs):
    origin = programs.raw_origin(lambda c, q: reply(b"x" * 1000, "404 Not Found" if q.target == "/404" else "200 OK"))
    gateway = programs.gateway(origin.address)
    with Client(gateway.address) as c:
        for _ in range(3):
            c.request(req("Content-Length: 500", body=b"u" * 500))
        c.request(req(method="GET", target="/404"))
        c.request(b"GET / HTTP/1.1\r\n\r\n")
    # An exchange is counted when its last byte is sent, which the client may learn first.
    gateway.wait_metric(2, "ringgate_requests_total", code="4xx")
    m = gateway.metrics()
    assert m.get("ringgate_requests_total", code="2xx") == 3
    assert m.get("ringgate_requests_total", code="4xx") == 2
    assert m.get("ringgate_connections_accepted_total") >= 1
    assert m.get("ringgate_replica_connections_reused_total") == 3
    assert m.get("ringgate_replica_connects_total", result="ok") == 1
    assert m.get("ringgate_request_duration_seconds_count") >= 4
    assert m.get("ringgate_client_received_bytes_total") >= 1500
    assert m.get("ringgate_client_sent_bytes_total") >= 4000
    assert m.get("ringgate_replica_received_bytes_total") == sum(len(reply(b"x" * 1000, s)) for s in ["200 OK"] * 3 + ["404 Not Found"])
    assert m.get("ringgate_replica_sent_bytes_total") == len(origin.received())
    assert m.refused() == {"no-host": 1}


def test_request_durations(programs):
    origin = programs.origin()
    gateway = programs.gateway(origin.address)
    assert get(gateway.address, "/bytes/10?delay=200").status == 200
    gateway.wait_metric(1, "ringgate_request_duration_seconds_count")
    m = gateway.metrics()
    assert m.get("ringgate_request_duration_seconds_count") == 1
    assert 0.2 <= m.get("ringgate_request_duration_seconds_sum") < env.scaled(0.4)
    assert m.get("ringgate_request_duration_seconds_bucket", le="0.1") == 0
    assert m.get("ringgate_replica_first_byte_duration_seconds_sum") >= 0.19


# ---- access log ----

class Log:
    def __init__(self, path):
        self.path = path

    def lines(self):
        try:
            with open(self.path, "rb") as f:
                raw = f.read()
        except FileNotFoundError:
            return []
        return [json.loads(ln.decode("utf-8")) for ln in raw.split(b"\n")[:-1]]

    def wait(self, n):
        return env.wait_until(lambda: len(self.lines()) >= n and self.lines(), 3, f"{n} access records in {self.path}", 0.02)


def test_one_record_per_exchange(programs, tmp_path):
    log = Log(tmp_path / "access.log")

    def script(_connection, request):
        if request.target == "/broken":
            return Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", "close")
        return reply(b"x" * 1000)
    origin = programs.raw_origin(script)
    gateway = programs.gateway(origin.address, {"access_log": {"format": "json", "path": str(log.path)}})
    exchanges = 0
    with Client(gateway.address) as c:
        port = c.sock.getsockname()[1]
        c.request(req("User-Agent: agent \"quoted\"", "Referer: http://ref/", "Content-Length: 5", body=b"hello", target="/a?b=c"))
        c.request(req("Transfer-Encoding: chunked", body=chunked(b"hello", b"world")))
        c.request(req(method="HEAD"), "HEAD")
        c.request(b"GET /bad HTTP/1.1\r\n\r\n")
        exchanges += 4
    with Client(gateway.address) as c:
        c.send(req(method="GET", target="/broken"))
        try:
            c.response()
        except Exception:  # pylint: disable=broad-except
            pass
        exchanges += 1
    for data in (b"GET /second HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GARBAGE\r\n\r\n"):
        with Client(gateway.address) as c:
            c.send(data)
            c.sock.settimeout(env.scaled(2))
            while c._fill():
                pass
        exchanges += 1
    assert get(gateway.address, "/health").status == 204
    exchanges += 1
    records = log.wait(exchanges)
    gateway.stop()
    records = log.lines()
    assert len(records) == exchanges, [r.get("target") for r in records]
    first = records[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first["time"])
    assert (first["method"], first["target"], first["protocol"], first["host"]) == ("POST", "/a?b=c", "HTTP/1.1", "test")
    assert (first["client"], first["client_port"], first["status"]) == ("127.0.0.1", port, 200)
    assert first["complete"] is True and first["user_agent"] == 'agent "quoted"' and first["referer"] == "http://ref/"
    assert first["bytes_in"] == 5 and first["bytes_out"] == 1000 and first["reused"] is False
    assert first["request_id"] == origin.requests[0].get("x-request-id")
    assert first["traceparent"][3:35] == origin.requests[0].get("traceparent")[3:35]
    assert 0 <= first["replica_duration"] <= first["duration"] < 5
    assert records[1]["bytes_in"] == 10 and records[1]["reused"] is True
    assert records[2]["method"] == "HEAD" and records[2]["bytes_out"] == 0
    assert records[3]["status"] == 400 and records[3]["reason"] == "no-host"
    assert records[4]["complete"] is False and records[4]["reason"] == "replica-closed"
    assert records[5]["reason"] == "bad-host" and records[6]["status"] == 400
    assert records[7]["reason"] == "handled-by-gateway" and records[7]["status"] == 204


def test_hostile_text_is_valid_json(programs, tmp_path):
    log = Log(tmp_path / "access.log")
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"access_log": {"path": str(log.path)}})
    with Client(gateway.address) as c:
        c.request(b"GET /%22x%22%0a HTTP/1.1\r\nHost: test\r\nUser-Agent: \xff\xfe\"\\ \xc3\xa9\t\r\nReferer: {\"a\":1}\r\n\r\n")
        c.request(req("User-Agent: " + "u" * 15000, method="GET"))
    records = log.wait(2)
    assert "é" in records[0]["user_agent"] and records[0]["referer"] == '{"a":1}'
    assert 1000 <= len(records[1]["user_agent"]) <= 15000


def test_reopen_and_rotation(programs, tmp_path):
    log, old = Log(tmp_path / "access.log"), Log(tmp_path / "access.log.1")
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"access_log": {"path": str(log.path)}})
    assert get(gateway.address, "/one").status == 200
    log.wait(1)
    os.rename(log.path, old.path)
    gateway.process.signal(signal.SIGUSR1)
    env.wait_until(lambda: os.path.exists(log.path), 2, "the log to be opened anew")
    assert get(gateway.address, "/two").status == 200
    assert [r["target"] for r in log.wait(1)] == ["/two"]
    assert [r["target"] for r in old.lines()] == ["/one"]


def test_sampling(programs, tmp_path):
    log = Log(tmp_path / "access.log")
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"access_log": {"path": str(log.path), "sample": 5}})
    with Client(gateway.address) as c:
        for _ in range(50):
            c.request(req(method="GET"))
    gateway.stop()
    assert len(log.lines()) == 10


def test_log_to_standard_output(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"access_log": {"path": "-"}})
    assert get(gateway.address, "/stdout").status == 200
    gateway.stop()
    assert json.loads(gateway.process.output().strip())["target"] == "/stdout"


def test_records_are_not_lost_at_the_end(programs, tmp_path):
    log = Log(tmp_path / "access.log")
    origin = programs.origin()
    gateway = programs.gateway(origin.address, {"access_log": {"path": str(log.path)}}, workers=2)
    n = 500
    with Client(gateway.address) as c:
        c.send(b"".join(req(method="GET", target=f"/bytes/{i}") for i in range(n)))
        for _ in range(n):
            assert c.response().status == 200
    gateway.stop()
    records = log.lines()
    assert [r["target"] for r in records] == [f"/bytes/{i}" for i in range(n)]
    assert len({r["request_id"] for r in records}) == n


def test_unwritable_log_does_not_stop_service(programs, tmp_path):
    """A directory that vanished: counted, served all the same."""
    directory = tmp_path / "logs"
    directory.mkdir()
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"access_log": {"path": str(directory / "access.log")}})
    assert get(gateway.address, "/one").status == 200
    Log(directory / "access.log").wait(1)
    os.unlink(directory / "access.log")
    directory.rmdir()
    gateway.process.signal(signal.SIGUSR1)
    for _ in range(5):
        assert get(gateway.address, "/x").status == 200
    env.wait_until(lambda: gateway.metrics().get("ringgate_access_log_write_failures_total") >= 1, 3, "lost records to be counted")
    directory.mkdir()
    gateway.process.signal(signal.SIGUSR1)
    env.wait_until(lambda: get(gateway.address, "/back").status == 200 and
                   any(r["target"] == "/back" for r in Log(directory / "access.log").lines()), 5, "the log to work again", 0.1)
