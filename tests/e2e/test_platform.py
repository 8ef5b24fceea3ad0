"""The platform's program: its API over the wire, gateways that connect, what it does with bad input, restarts and an end."""

import datetime
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading

import pytest

from lib import env, tls, websocket
from lib.fake_gateway import FakeGateway, acknowledgement
from lib.gateway import to_yaml
from lib.platform import API, Refused
from lib.process import Process


@pytest.fixture
def platform(programs):
    return programs.platform()


@pytest.fixture
def edge(platform):
    """With a gateway that is connected and an API to deploy on it."""
    platform.edge_token = platform.create_gateway()
    platform.create_api("hello", "http://127.0.0.1:9")
    with FakeGateway(platform, platform.edge_token) as gateway:
        platform.edge = gateway
        yield platform


def count(platform, result):
    return platform.metrics().get("ringgate_platform_acks_total", result=result)


def history(platform, deployment):
    return [e["toStatus"] for e in platform.history("hello", deployment)]


# ---- the API ----

def test_needs_a_token(platform):
    for headers in ({"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}, {"Authorization": ""}):
        status, body, fields = platform.ask("GET", f"{API}/gateways", headers=headers)
        assert status == 401 and json.loads(body)["code"] == "UNAUTHORIZED" and fields["WWW-Authenticate"].startswith("Bearer")
    assert os.stat(os.path.join(platform.data, "admin.token")).st_mode & 0o777 == 0o600


def test_unknown_paths_methods_and_bodies(platform):
    assert platform.ask("GET", "/internal/gateway/.well-known")[0] == 404
    status, _, fields = platform.ask("PATCH", f"{API}/gateways")
    assert status == 405 and "GET" in fields["Allow"]
    for body, code in ((b"{", 400), (b"[]", 400), (b'{"id": 1}', 400), (b"\xff", 400), (b'{"id":"edge"}' + b" " * 1_200_000, 413)):
        status, text, _ = platform.ask("POST", f"{API}/gateways", body)
        assert status == code and json.loads(text)["status"] == "error", (status, text)
    assert platform.api("GET", "/gateways")["count"] == 0


def test_definitions_are_read_as_gateways_read_them(platform):
    """What no gateway could decode is refused when it is made, with the path of the field; nothing of it is kept."""
    api = {"id": "bad", "displayName": "Bad", "version": "v1.0", "context": "/bad", "upstream": {"main": {"ref": "nowhere"}},
           "operations": [{"method": "GET", "path": "no-slash"}, {"method": 7, "path": "/"}]}
    with pytest.raises(Refused) as refused:
        platform.api("POST", "/rest-apis", api)
    fields = [e["field"] for e in refused.value.body["errors"]]
    assert refused.value.status == 400 and "spec.operations[1].method" in fields, refused.value.body
    assert platform.api("GET", "/rest-apis")["count"] == 0


def test_openapi_is_served(platform):
    status, text, fields = platform.ask("GET", f"{API}/openapi.yaml")
    assert status == 200 and "yaml" in fields["Content-Type"] and b"/rest-apis" in text


def test_events_are_streamed(edge):
    c = socket.create_connection(("127.0.0.1", edge.port))
    c.settimeout(env.scaled(10))
    c.sendall(f"GET {API}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {edge.token}\r\n\r\n".encode())
    text = b""
    while b": connected" not in text:
        text += c.recv(4096)
    assert b"text/event-stream" in text
    deployment = edge.deploy("hello")
    while deployment.encode() not in text:
        text += c.recv(4096)
    c.close()

    def seen():
        edge.deploy("hello")  # something to write: an end in one direction alone is none
        return edge.metrics().get("ringgate_platform_event_streams") == 0
    env.wait_until(seen, 5, "the stream's end to be seen", 0.1)


def test_the_head_of_the_events_holds_up_nobody(programs):
    """Neither the next who uses the connection behind the front, nor those who want a stream."""
    platform = programs.platform({"events": {"streams": 1}})
    for _ in range(3):
        status, _, fields = platform.ask("HEAD", f"{API}/events")
        assert status == 200 and fields["content-type"] == "text/event-stream"
        assert platform.ask("POST", f"{API}/events")[0] == 405
    assert platform.metrics().get("ringgate_platform_event_streams") == 0


def test_refusals_name_limit_option_and_remedy(programs):
    p = programs.platform({"events": {"streams": 1}, "websocket": {"connects_per_minute": 1}})

    def refused(method, path, status, **headers):
        got, text, fields = p.ask(method, path, headers=headers)
        assert got == status, text
        return json.loads(text)["message"], fields

    with socket.create_connection(("127.0.0.1", p.port)) as c:
        c.settimeout(env.scaled(10))
        c.sendall(f"GET {API}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {p.token}\r\n\r\n".encode())
        text = b""
        while b": connected" not in text:
            text += c.recv(4096)
        message, fields = refused("GET", f"{API}/events", 503)
        assert message.startswith("1 streams of events are open, the most that the platform's events.streams allows;")
        assert fields["Retry-After"] == "1"
    websocket = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    connect = "/api/internal/v1/ws/gateways/connect"
    assert "over WebSocket" in refused("GET", connect, 426)[0]
    refused("GET", connect, 401, **websocket)
    message, _ = refused("GET", connect, 429, **websocket)
    assert "more than 1 times in a minute" in message and "websocket.connects_per_minute" in message
    assert p.metrics().get("ringgate_platform_gateways_turned_away_total", reason="connects-per-minute") == 1
    message, _ = refused("POST", f"{API}/gateways", 415, **{"Content-Type": "text/plain"})
    assert message == 'Content-Type: got "text/plain", wanted application/json.'


def test_connects_count_against_who_connects(programs):
    """Behind a proxy that adds its client to a list, which that one may have begun itself."""
    p = programs.platform({"trusted_proxies": ["127.0.0.1"], "websocket": {"connects_per_minute": 1}})
    websocket = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    for client, status in (("192.0.2.1, 203.0.113.9", 401), ("192.0.2.2, 203.0.113.9", 429), ("192.0.2.1", 401)):
        got = p.ask("GET", "/api/internal/v1/ws/gateways/connect", headers={**websocket, "X-Forwarded-For": client})[0]
        assert got == status, client


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_stream_of_events_ends_with_its_token(edge, end):
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=env.scaled(1))
    more = {"expiresAt": soon.strftime("%Y-%m-%dT%H:%M:%S.%fZ")} if end == "expired" else {}
    made = edge.api("POST", "/tokens", {"name": "watcher", "role": "reader", **more})
    c = socket.create_connection(("127.0.0.1", edge.port))
    c.settimeout(env.scaled(10))
    c.sendall(f"GET {API}/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {made['token']}\r\n\r\n".encode())
    text = b""
    while b": connected" not in text:
        text += c.recv(4096)
    if end == "revoked":
        edge.api("DELETE", f"/tokens/{made['id']}")
    else:
        env.wait_until(lambda: edge.ask("GET", f"{API}/status", token=made["token"])[0] == 401, 5, "the token to expire")
    deployment = edge.deploy("hello")
    while more := c.recv(4096):
        text += more
    assert deployment.encode() not in text
    c.close()


# ---- gateways ----

def test_connects_and_is_told(edge):
    assert edge.edge.greeting["type"] == "connection.ack"
    deployment = edge.deploy("hello")
    event = edge.edge.event("api.deployed")
    assert event["payload"]["deploymentId"] == deployment
    edge.edge.ack(event)
    edge.wait("hello", deployment, "DEPLOYED")
    assert history(edge, deployment) == ["DEPLOYING", "DEPLOYED"]


def test_unknown_token_is_refused(platform):
    with FakeGateway(platform, "x" * 43) as stranger:
        assert stranger.status == 401
    assert platform.ask("GET", "/api/internal/v1/ws/gateways/connect")[0] == 426


def test_failed_ack_tells_the_reason(edge):
    deployment = edge.deploy("hello")
    event = edge.edge.event("api.deployed")
    edge.edge.ack(event, "failed", errorMessage="spec.policies[0]: no such policy")
    assert edge.wait("hello", deployment, "FAILED")["statusReason"] == "GATEWAY_PROCESSING_ERROR"
    assert "no such policy" in edge.history("hello", deployment)[-1]["errorMessage"]


@pytest.mark.parametrize("first", ["success", "failed"])
def test_any_instance_that_fails_fails_the_deployment(edge, first):
    """Three instances, one fails: FAILED, whichever word comes first."""
    with FakeGateway(edge, edge.edge_token, "two") as two, FakeGateway(edge, edge.edge_token, "three") as three:
        assert {"two", "three"} < set(edge.api("GET", "/gateways/edge")["instances"])
        deployment = edge.deploy("hello")
        words = ["success", "success", "failed"] if first == "success" else ["failed", "success", "success"]
        for gateway, word in zip((edge.edge, two, three), words):
            gateway.ack(gateway.event("api.deployed"), word)
        env.wait_until(lambda: count(edge, "applied") == 3, 5, "three acknowledgements")
        assert edge.deployment("hello", deployment)["status"] == "FAILED"


def test_acks_that_do_not_count(edge):
    first = edge.deploy("hello")
    old = edge.edge.event("api.deployed")
    second = edge.deploy("hello")
    new = edge.edge.event("api.deployed")
    edge.edge.ack(old)
    edge.edge.ack(new, resourceType="spaceship")
    edge.edge.ack(new, artifactId="00000000-0000-7000-8000-000000000000")
    edge.edge.ack(new, performedAt="2020-01-01T00:00:00Z")
    edge.edge.send(b"{")
    edge.edge.send({"type": "no.such.type", "payload": {}})
    edge.create_gateway("other")
    other_token = edge.api("POST", "/gateways/other/tokens")["token"]
    with FakeGateway(edge, other_token) as other:
        other.ack(new)
        env.wait_until(lambda: count(edge, "stale") + count(edge, "unknown") + count(edge, "malformed") >= 6, 5,
                       "six acknowledgements that were dropped")
    assert edge.deployment("hello", first)["status"] == "ARCHIVED"
    assert edge.deployment("hello", second)["status"] == "DEPLOYING"
    edge.edge.ack(new)
    edge.wait("hello", second, "DEPLOYED")
    edge.edge.ack(new)
    env.wait_until(lambda: count(edge, "duplicate") == 1, 5, "the duplicate to be counted")
    assert history(edge, second) == ["DEPLOYING", "DEPLOYED"]


def test_revoked_token_closes_the_connection(edge):
    token = edge.api("GET", "/gateways/edge/tokens")["list"][0]["id"]
    assert edge.ask("DELETE", f"{API}/gateways/edge/tokens/{token}")[0] == 204
    assert edge.edge.close_code() == 1008
    with FakeGateway(edge, edge.edge_token) as again:
        assert again.status == 401


def test_deleted_gateway_is_undeployed_and_left(edge):
    deployment = edge.deploy("hello")
    edge.edge.ack(edge.edge.event("api.deployed"))
    edge.wait("hello", deployment, "DEPLOYED")
    assert edge.ask("DELETE", f"{API}/gateways/edge")[0] == 204
    edge.edge.ack(edge.edge.event("api.undeployed"))
    assert edge.edge.close_code() == 1008


def test_silent_gateway_is_left(programs):
    platform = programs.platform({"websocket": {"ping_interval": "200ms", "pong_timeout": "500ms"}})
    token = platform.create_gateway()
    with FakeGateway(platform, token) as gateway:
        deadline = env.scaled(10)
        gateway.client.sock.settimeout(deadline)
        while gateway.client.sock.recv(4096):
            pass
    assert platform.metrics().get("ringgate_platform_gateways_silent_total") == 1


def test_one_gateway_leaves_room_for_others(programs):
    platform = programs.platform({"websocket": {"connections": 3}})
    one, other = platform.create_gateway("one"), platform.create_gateway("other")
    second = platform.api("POST", "/gateways/one/tokens")["token"]

    def turned_away(gateway, says, reason):
        assert gateway.greeting["type"] == "error" and says in gateway.greeting["message"]
        assert gateway.close_code() == 1013
        assert platform.metrics().get("ringgate_platform_gateways_turned_away_total", reason=reason) == 1

    with FakeGateway(platform, one), FakeGateway(platform, second) as last:
        with FakeGateway(platform, one) as more:
            turned_away(more, "of this gateway reached (2); websocket.connections_per_gateway", "connections-per-gateway")
        with FakeGateway(platform, other):
            with FakeGateway(platform, other) as more:
                turned_away(more, "limit reached (3); websocket.connections of", "connections")
        last.close()
        env.wait_until(lambda: platform.metrics().get("ringgate_platform_gateways_connected") == 1, 5, "room for one more")
        with FakeGateway(platform, one) as again:
            assert again.greeting["type"] == "connection.ack"


def test_no_ack_in_time(programs):
    platform = programs.platform({"deployments": {"timeout": {"duration": "300ms", "interval": "50ms"}}})
    token = platform.create_gateway()
    platform.create_api("hello", "http://127.0.0.1:9")
    with FakeGateway(platform, token) as gateway:
        deployment = platform.deploy("hello")
        event = gateway.event("api.deployed")
        assert platform.wait("hello", deployment, "FAILED")["statusReason"] == "DEPLOYMENT_TIMEOUT"
        gateway.ack(event)
        env.wait_until(lambda: platform.deployment("hello", deployment)["status"] == "DEPLOYED", 5, "the late success")


def test_a_gateway_that_speaks_faster_than_the_store(edge):
    """Its messages wait at its own end, not in the queue that all others share: nothing is lost, and nobody is refused."""
    deployment = edge.deploy("hello")
    ack = acknowledgement(edge.edge.event("api.deployed"), "failed")
    said = websocket.frame(websocket.TEXT, json.dumps(ack).encode())
    n = 25000  # the queue takes 10,000
    speaker = threading.Thread(target=edge.edge.client.send, args=(said * n,))
    edge.edge.client.sock.settimeout(env.scaled(60))
    speaker.start()
    while speaker.is_alive():
        assert edge.api("GET", "/gateways")["count"] == 1
    speaker.join()
    env.wait_until(lambda: count(edge, "duplicate") == n - 1, 30, "all that was said to be counted", 0.1)
    assert edge.deployment("hello", deployment)["status"] == "FAILED"
    second = edge.deploy("hello")
    edge.edge.ack(edge.edge.event("api.deployed"))
    edge.wait("hello", second, "DEPLOYED")


# ---- start and end ----

def test_end_tells_gateways(edge):
    edge.process.signal(signal.SIGTERM)
    assert edge.edge.close_code() == 1000
    edge.edge.close()
    assert edge.process.wait(10) == 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_restart_keeps_everything(programs, end):
    platform = programs.platform()
    token = platform.create_gateway()
    platform.create_api("hello", "http://127.0.0.1:9")
    deployment, admin = platform.deploy("hello"), platform.token
    platform.process.signal(end)
    platform.process.wait(10)
    platform.start()
    assert platform.token == admin
    assert platform.deployment("hello", deployment)["status"] == "DEPLOYING"
    with FakeGateway(platform, token) as gateway:
        assert gateway.greeting["type"] == "connection.ack"


def test_one_process_at_a_time(platform, tmp_path):
    second = Process("second", [env.PLATFORM, "--data", platform.data, "--listen", f"127.0.0.1:{env.free_port()}"], str(tmp_path))
    assert second.wait(10) == 1
    assert platform.data in second.log()


def test_https_with_its_own_certificate(programs, tmp_path):
    """The default listeners, in a directory of its own; skipped where their ports are taken."""
    for port in (9080, 9243):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                pytest.skip(f"port {port} is taken")
    data = str(tmp_path / "own")
    process = Process("own", [env.PLATFORM, "--data", data], str(tmp_path))
    try:
        env.wait_until(lambda: "ready" in process.log(), 15, "the platform to be ready")
        with open(os.path.join(data, "admin.token"), encoding="utf-8") as f:
            token = f.read().strip()
        out = subprocess.run(["curl", "-sS", "--cacert", os.path.join(data, "tls.crt"), "-H", f"Authorization: Bearer {token}",
                              f"https://localhost:9243{API}/gateways"], capture_output=True, text=True, check=True).stdout
        assert json.loads(out)["count"] == 0
        assert os.stat(os.path.join(data, "tls.key")).st_mode & 0o777 == 0o600
    finally:
        assert process.stop(10) == 0
        assert not process.sanitizer_reports()


def test_certificate_of_the_file(programs, tmp_path):
    own = tls.Certificate(tmp_path, "platform", ["localhost"])
    clear, secure = (f"127.0.0.1:{env.free_port()}" for _ in range(2))
    path = tmp_path / "p.yaml"
    path.write_text(to_yaml({"data": str(tmp_path / "data"), "listeners": [{"address": clear}, tls.listener(secure, own)]}))
    process = Process("own", [env.PLATFORM, "-c", str(path)], str(tmp_path))
    try:
        env.wait_until(lambda: "ready" in process.log(), 15, "the platform to be ready")
        out = subprocess.run(["curl", "-sS", "--cacert", own.cert, "--connect-to", f"::{secure}", "-o", "/dev/null",
                              "-w", "%{http_code}", f"https://localhost{API}/gateways"], capture_output=True, text=True)
        assert out.stdout == "401", out
    finally:
        assert process.stop(10) == 0


@pytest.mark.parametrize("text,wanted", [
    ("dta: /tmp\n", "did you mean data?"),
    ("deployments: {timeout: {mode: strictly}}\n", "strict"),
    ("websocket: {ping_interval: 40s, pong_timeout: 10s}\n",
     "websocket.pong_timeout: got 10s, wanted more than websocket.ping_interval, which is 40s"),
    ("data: relative\n", "data"),
    ("listeners: [{address: '127.0.0.1:1'}, {address: '127.0.0.1:1'}]\n", "each address once"),
])
def test_configuration_errors(tmp_path, text, wanted):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    r = subprocess.run([env.PLATFORM, "-t", "-c", str(path)], capture_output=True, text=True)
    assert r.returncode == 2 and wanted in r.stderr and str(path) in r.stderr, r.stderr


def test_check_of_a_good_file(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(f"data: {tmp_path}/data\nworkers: 1\n")
    r = subprocess.run([env.PLATFORM, "-t", "-c", str(path)], capture_output=True, text=True)
    assert r.returncode == 0 and "ok" in r.stdout
    assert not os.path.exists(tmp_path / "data")


def look(data):
    return subprocess.run([env.PLATFORM, "-t", "--data", str(data)], capture_output=True, text=True)


def test_check_looks_at_the_directory(tmp_path, platform):
    """-t finds what a start would, and leaves no trace."""
    r = look(tmp_path / "new")
    assert r.returncode == 0 and f"data: {tmp_path}/new: will be made by the first start" in r.stderr
    r = look(tmp_path / "no" / "where")
    assert r.returncode == 2 and f"{tmp_path}/no is missing; make that directory" in r.stderr
    (tmp_path / "file").write_text("")
    r = look(tmp_path / "file")
    assert r.returncode == 2 and "is not a directory; choose another path" in r.stderr
    before = sorted(os.listdir(platform.data))
    r = look(platform.data)  # that of one that runs
    assert (r.returncode, r.stderr) == (0, "") and sorted(os.listdir(platform.data)) == before
    (tmp_path / "bad").mkdir(mode=0o700)
    (tmp_path / "bad" / "ringgate.db").write_text("no database, but longer than the head of one " * 9)
    r = look(tmp_path / "bad")
    assert r.returncode == 2 and f"{tmp_path}/bad/ringgate.db: can't be read" in r.stderr and "restore a backup" in r.stderr
    (tmp_path / "bad" / "store.key").write_text("k")
    os.chmod(tmp_path / "bad" / "store.key", 0o644)
    r = look(tmp_path / "bad")
    assert r.returncode == 2 and f"chmod 600 {tmp_path}/bad/store.key" in r.stderr


def test_check_of_what_a_newer_version_has_written(tmp_path):
    data = tmp_path / "odd?#%25"
    data.mkdir(mode=0o700)
    with sqlite3.connect(data / "ringgate.db") as db:
        db.execute("CREATE TABLE schema_migrations (step INTEGER PRIMARY KEY, at TEXT NOT NULL)")
        db.execute("INSERT INTO schema_migrations VALUES (1000, 'x')")
    db.close()
    (data / "store.key").write_bytes(b"k" * 32)
    (data / "store.key").chmod(0o600)
    r = look(data)
    assert r.returncode == 0 and "a newer version has written it (schema 1000, this one knows " in r.stderr, r.stderr
    assert sorted(os.listdir(data)) == ["ringgate.db", "store.key"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="wants root and setpriv")
def test_check_as_somebody_else():
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        os.mkdir(f"{top}/data", 0o700)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", env.PLATFORM, "-t", "--data"]
        for data, wanted in ((f"{top}/data", f"{top}/data: can't be written"), (f"{top}/new", f"can't be made in {top}")):
            r = subprocess.run([*nobody, data], capture_output=True, text=True)
            assert r.returncode == 2 and wanted in r.stderr and "give it to the user of this program" in r.stderr, r.stderr


def test_reload_without_a_file_says_so(tmp_path):
    process = Process("bare", [env.PLATFORM, "--listen", f"unix:{tmp_path}/s", "--data", f"{tmp_path}/data"], str(tmp_path))
    try:
        env.wait_until(lambda: "ready" in process.log(), 15, "the platform to be ready")
        process.signal(signal.SIGHUP)
        env.wait_until(lambda: "ringgate-platform was started by flags alone" in process.log(), 5, "the answer to HUP")
    finally:
        process.stop()


def test_reload_tells_what_needs_a_restart(tmp_path):
    """Of the platform's own options as of its front's."""
    config = tmp_path / "platform.yaml"
    text = "listeners: [{{address: 'unix:{0}/s'}}]\ndata: {0}/{1}\nbacklog: {2}\ndeployments: {{kept: {3}}}\n"
    config.write_text(text.format(tmp_path, "data", 100, 20))
    process = Process("bare", [env.PLATFORM, "-c", str(config)], str(tmp_path))
    try:
        env.wait_until(lambda: "ready" in process.log(), 15, "the platform to be ready")
        config.write_text(text.format(tmp_path, "other", 200, 20))
        process.signal(signal.SIGHUP)
        env.wait_until(lambda: "reloaded generation=2" in process.log(), 5, "the reload")
        for kept in (f"option=data running={tmp_path}/data wanted={tmp_path}/other", "option=backlog running=100 wanted=200"):
            assert f"this option needs a restart {kept}" in process.log(), process.log()
        assert "deployments.kept" not in process.log()
    finally:
        process.stop()


def test_database_flag_is_refused():
    r = subprocess.run([env.PLATFORM, "--database", "postgresql://x"], capture_output=True, text=True)
    assert r.returncode == 2 and "--database" in r.stderr and "--data" in r.stderr


def test_api_errors_have_codes(platform):
    with pytest.raises(Refused) as refused:
        platform.deploy("nothing")
    assert refused.value.status == 404
