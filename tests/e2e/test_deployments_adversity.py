"""What goes wrong around deployments: a clear error, nothing lost, and what the status says is what a request gets."""

import concurrent.futures
import json
import os
import signal
import subprocess

import pytest

from lib import env
from lib.client import Client, get
from lib.deployments import control
from lib.fake_gateway import FakeGateway
from lib.platform import API, Refused, respond
from lib.raw_origin import reply
from lib.site import Site

pytestmark = pytest.mark.skipif(not env.PLATFORM, reason="PLATFORM_BIN does not name a program")


@pytest.fixture
def site(programs):
    return Site(programs)


def sequence(site, name, deployment):
    return [e["toStatus"] for e in site.platform.history(name, deployment)]


# ---- acknowledgements ----

def test_instants_are_compared_not_texts(programs):
    """performedAt comes with its trailing zeros trimmed; gateways that write the same instant otherwise are understood."""
    platform = programs.platform()
    token = platform.create_gateway()
    platform.create_api("hello", "http://127.0.0.1:9")
    with FakeGateway(platform, token) as gateway:
        for _ in range(500):
            deployment = platform.deploy("hello")
            event = gateway.event("api.deployed")
            at = event["payload"]["performedAt"]
            fraction = at.rstrip("Z").partition(".")[2]
            assert at.endswith("Z") and not fraction.endswith("0") and len(fraction) <= 3, at
            if len(fraction) < 3:
                break
        second = at.rstrip("Z").partition(".")[0]
        gateway.ack(event, performedAt=f"{second}.{int(fraction.ljust(3, '0') or 0) ^ 1:03}Z")  # another instant
        gateway.ack(event, performedAt=f"{second}.{fraction.ljust(9, '0')}+00:00")
        platform.wait("hello", deployment, "DEPLOYED")
        assert platform.metrics().get("ringgate_platform_acks_total", result="stale") == 1
        assert platform.deployment("hello", deployment)["performedAt"] == at


# ---- the platform ----

def test_platform_is_killed_in_the_middle(site):
    """Between the event and the acknowledgement: both ends know afterwards."""
    site.create()
    first = site.live()
    site.update()
    site.gateway.process.signal(signal.SIGSTOP)
    try:
        second = site.platform.deploy("hello")
        site.platform.kill()
    finally:
        site.gateway.process.signal(signal.SIGCONT)
    env.wait_until(lambda: site.body() == b"two" or not site.gateway.metrics().get("ringgate_control_connected"), 10,
                   "the gateway to see that its platform is gone")
    site.platform.start()
    site.platform.wait("hello", second, "DEPLOYED", 20)
    assert site.body() == b"two"
    assert site.platform.deployment("hello", first)["status"] == "ARCHIVED"
    assert sequence(site, "hello", second) == ["DEPLOYING", "DEPLOYED"]


def test_undeployed_while_the_gateway_was_away(site):
    """It comes back, knows nothing of what was never live there, and says so: nothing waits for ever."""
    site.create()
    site.gateway.process.signal(signal.SIGSTOP)
    d = site.platform.deploy("hello")
    site.gateway.process.kill()
    site.platform.undeploy("hello", d)
    site.gateway.start()
    site.platform.wait("hello", d, "UNDEPLOYED", 20)
    assert site.body() == b"ok"


def test_failed_deployment_is_undeployed_with_the_one_that_went_on(site):
    site.create()
    site.live()
    bad = {"name": "set-headers", "version": "v1", "params": {"request": {"headers": [{"name": "a b", "value": "x"}]}}}
    site.platform.update_api("hello", site.replica_url, policies=[bad])
    d = site.platform.deploy("hello")
    site.platform.wait("hello", d, "FAILED")
    assert site.body() == b"one"
    site.platform.undeploy("hello", d)
    site.platform.wait("hello", d, "UNDEPLOYED")
    assert site.body() == b"ok"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB where the platform keeps its data; skipped without the right to mount."""
    data = tmp_path / "platform1-data"
    data.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", data], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"can't mount: {mounted.stderr.strip()}")
    yield data
    subprocess.run(["umount", "-l", data], check=True)


def fill(path):
    """The rest of the file system, to the last byte."""
    with open(path, "wb", buffering=0) as f:
        for size in (65536, 4096, 512, 1):
            try:
                while f.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


def test_disk_is_full(small_disk, programs):
    """Writing is refused with a code, reading goes on; an acknowledgement that could not be kept is not lost."""
    site = Site(programs)
    assert site.platform.data == str(small_disk)
    site.create()
    first = site.live()
    site.update()
    site.gateway.process.signal(signal.SIGSTOP)
    try:
        second = site.platform.deploy("hello")
        fill(small_disk / "filler")
        refused = []
        for i in range(2000):  # the database has pages of its own to use up
            try:
                site.platform.create_api(f"more-{i}", site.replica_url, policies=[respond("x" * 500 * (i % 40))])
            except Refused as e:  # by a statement, or only by the commit
                refused.append((e.status, e.code))
                if len(refused) == 40:
                    break
        assert len(refused) == 40 and set(refused) == {(507, "STORAGE_FULL")}, refused
        assert site.platform.deployment("hello", second)["status"] == "DEPLOYING"
    finally:
        site.gateway.process.signal(signal.SIGCONT)
    env.wait_until(lambda: site.body() == b"two", 10, "the deployment to be live, whether that can be kept or not")
    assert site.platform.metrics().get("ringgate_platform_store_full_total") > 0
    os.unlink(small_disk / "filler")
    site.platform.wait("hello", second, "DEPLOYED", 20)
    assert site.platform.deployment("hello", first)["status"] == "ARCHIVED"
    site.update(text="three")
    site.live()
    assert site.body() == b"three"


def test_definition_of_ten_megabytes(site):
    """The API takes a megabyte: it says so, and nothing else suffers."""
    site.create()
    site.live()
    operations = [{"method": "GET", "path": f"/{i:06}/{'x' * 480}"} for i in range(20000)]
    with pytest.raises(Refused) as refused:
        site.platform.create_api("large", site.replica_url, operations=operations)
    assert refused.value.status == 413 and "too large" in refused.value.body["message"], refused.value
    assert site.body() == b"one"
    site.update()
    site.live()
    assert site.body() == b"two"


# ---- gateways and tokens ----

def test_gateway_is_deleted_while_it_serves(site):
    site.create()
    site.live()
    assert site.body() == b"one"
    assert site.platform.ask("DELETE", f"{API}/gateways/edge")[0] == 204
    env.wait_until(lambda: site.body() == b"ok", 10, "what was deployed to be taken off")
    site.wait_connected(0)
    with pytest.raises(Refused) as refused:
        site.platform.deploy("hello")
    assert refused.value.code == "GATEWAY_NOT_FOUND"
    token = site.platform.create_gateway()  # the name is free
    with open(site.token_file, "w", encoding="utf-8") as f:
        f.write(token + "\n")
    d = site.platform.deploy("hello")
    site.gateway.stop()
    site.gateway.start()
    site.platform.wait("hello", d, "DEPLOYED", 20)
    assert site.body() == b"one"


def test_gateway_is_deleted_while_it_is_away(site):
    site.create()
    site.live()
    site.gateway.process.kill()
    assert site.platform.ask("DELETE", f"{API}/gateways/edge")[0] == 204
    site.gateway.start()
    env.wait_until(lambda: site.body() == b"ok", 10, "what was deployed to be taken off")
    site.wait_connected(0)


def test_revoked_token_is_replaced(site):
    """Without a token it serves on; with a new one in its file it is back, and learns what it missed."""
    site.create()
    site.live()
    old = site.platform.api("GET", "/gateways/edge/tokens")["list"][0]["id"]
    assert site.platform.ask("DELETE", f"{API}/gateways/edge/tokens/{old}")[0] == 204
    site.wait_connected(0)
    site.update()
    d = site.platform.deploy("hello")
    assert site.body() == b"one"
    assert site.platform.deployment("hello", d)["status"] == "DEPLOYING"
    token = site.platform.api("POST", "/gateways/edge/tokens")["token"]
    with open(site.token_file, "w", encoding="utf-8") as f:
        f.write(token + "\n")
    site.gateway.process.kill()  # a refused token is tried again only after minutes
    site.gateway.start()
    site.platform.wait("hello", d, "DEPLOYED", 20)
    assert site.body() == b"two"


# ---- many at once ----

def test_burst_of_events(site):
    """1,000 deployments wait for a gateway; all become live, in few snapshots."""
    n = 1000 if env.SLOW == 1 else 300
    names = [f"api-{i}" for i in range(n)]

    def deploy(name):
        site.create(name, name)
        return site.platform.deploy(name)
    before = site.gateway.metrics().get("ringgate_routes_generation")
    site.gateway.process.signal(signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(deploy, names))
    finally:
        site.gateway.process.signal(signal.SIGCONT)
    env.wait_until(lambda: site.platform.api("GET", "/status")["deployments"].get("DEPLOYED") == n, 60, f"{n} deployments", 0.1)
    assert site.gateway.metrics().get("ringgate_routes_generation") - before < n / 10
    for name in names[:: n // 20]:
        assert site.body(f"/{name}/x") == name.encode()


# ---- several instances ----

def test_one_of_three_instances_lacks_a_variable(programs):
    """FAILED, with the instance and what it lacks; the two others serve. When it is back with the variable, all is well."""
    site = Site(programs, environment={"SHOP_REGION": "north"})
    east = site.another_gateway(environment={"SHOP_REGION": "east"})
    poor = site.another_gateway()
    site.wait_connected(3)
    site.platform.create_api("hello", site.replica_url, policies=[respond("region {{ env \"SHOP_REGION\" }}")])
    d = site.platform.deploy("hello")
    env.wait_until(lambda: len(site.platform.deployment("hello", d)["acks"]) == 3, 10, "three acknowledgements")
    failed = site.platform.deployment("hello", d)
    assert failed["status"] == "FAILED" and "SHOP_REGION" in failed["statusMessage"], failed
    assert sorted(a["status"] for a in failed["acks"]) == ["failed", "success", "success"]
    culprit = next(a["instance"] for a in failed["acks"] if a["status"] == "failed")
    assert culprit == control(poor)["connection"]["instance"] and culprit in site.platform.api("GET", "/gateways/edge")["instances"]
    assert next(e for e in site.platform.history("hello", d) if e["toStatus"] == "FAILED")["instance"] == culprit
    assert (site.body(gateway=site.gateway), site.body(gateway=east), site.body(gateway=poor)) == (b"region north", b"region east", b"ok")
    poor.stop()
    poor.environment = {"SHOP_REGION": "west"}
    poor.start()
    site.platform.wait("hello", d, "DEPLOYED")
    assert sequence(site, "hello", d)[-2:] == ["FAILED", "DEPLOYED"]
    assert [site.body(gateway=g) for g in (site.gateway, east, poor)] == [b"region north", b"region east", b"region west"]


def test_instance_that_hangs_is_given_up(programs):
    """It holds the deployment up until its connection is given up; when it wakes it catches up."""
    site = Site(programs, {"websocket": {"ping_interval": env.ms(200), "pong_timeout": env.ms(600)}})
    hung = site.another_gateway()
    site.wait_connected(2)
    site.create()
    hung.process.signal(signal.SIGSTOP)
    try:
        d = site.platform.deploy("hello")
        env.wait_until(lambda: site.platform.deployment("hello", d)["acks"], 10, "the other instance's acknowledgement")
        site.platform.wait("hello", d, "DEPLOYED", 10)
        assert site.body() == b"one"
        assert site.platform.metrics().get("ringgate_platform_gateways_silent_total") >= 1
    finally:
        hung.process.signal(signal.SIGCONT)
    env.wait_until(lambda: site.body(gateway=hung) == b"one", 10, "the instance that is back to serve it")
    site.wait_connected(2)  # it may have had to find out that it was given up
    site.update()
    site.live()
    assert (site.body(), site.body(gateway=hung)) == (b"two", b"two")


def test_lenient_platform_takes_silence_for_consent(programs):
    """For a fleet whose gateways do not acknowledge yet."""
    platform = programs.platform({"deployments": {"timeout": {"duration": "200ms", "interval": "50ms", "mode": "lenient"}}})
    token = platform.create_gateway()
    platform.create_api("hello", "http://127.0.0.1:9")
    with FakeGateway(platform, token) as mute:
        d = platform.deploy("hello")
        mute.event("api.deployed")
        platform.wait("hello", d, "DEPLOYED")
        assert platform.history("hello", d)[-1]["event"] == "TIMEOUT"
        platform.undeploy("hello", d)
        platform.wait("hello", d, "UNDEPLOYED")


# ---- keys, providers and proxies ----

def status_with_key(site, key=None, path="/hello/x"):
    return get(site.gateway.address, path, [("X-API-Key", key)] if key else []).status


def wait_status(site, status, key):
    env.wait_until(lambda: status_with_key(site, key) == status, 10, f"{status} with that key")


def test_api_keys_take_effect(site):
    auth = {"name": "api-key-auth", "version": "v1", "params": {"key": "X-API-Key", "in": "header"}}
    site.platform.create_api("hello", site.replica_url, policies=[auth])
    early = site.platform.api("POST", "/rest-apis/hello/api-keys", {"name": "early"})["apiKey"]
    site.live()
    wait_status(site, 200, early)
    assert status_with_key(site) == 401 and status_with_key(site, "x" * 40) == 401
    late = site.platform.api("POST", "/rest-apis/hello/api-keys", {"name": "late"})["apiKey"]
    wait_status(site, 200, late)
    newer = site.platform.api("PUT", "/rest-apis/hello/api-keys/late", {"name": "late"})["apiKey"]
    wait_status(site, 200, newer)
    assert status_with_key(site, late) == 401
    assert site.platform.ask("DELETE", f"{API}/rest-apis/hello/api-keys/early")[0] == 204
    wait_status(site, 401, early)
    site.gateway.process.kill()
    site.gateway.start()
    wait_status(site, 200, newer)  # what was not on the disk yet comes with the connect
    wait_status(site, 401, early)


def test_key_that_is_revoked_while_the_gateway_is_away(site):
    auth = {"name": "api-key-auth", "version": "v1", "params": {"key": "X-API-Key", "in": "header"}}
    site.platform.create_api("hello", site.replica_url, policies=[auth])
    key = site.platform.api("POST", "/rest-apis/hello/api-keys", {"name": "one"})["apiKey"]
    site.live()
    wait_status(site, 200, key)
    site.gateway.process.kill()
    assert site.platform.ask("DELETE", f"{API}/rest-apis/hello/api-keys/one")[0] == 204
    other = site.platform.api("POST", "/rest-apis/hello/api-keys", {"name": "two"})["apiKey"]
    site.gateway.start()
    wait_status(site, 401, key)
    wait_status(site, 200, other)


def test_provider_and_proxy(programs):
    """An upstream that wants a key which nobody but the platform knows, reached through a provider and its proxy."""
    site = Site(programs)
    model = programs.raw_origin(lambda _, r: reply(json.dumps({
        "line": r.line, "authorization": r.get("authorization"), "loop": r.get("x-loop")}).encode()))
    site.platform.api("POST", "/secrets", {"id": "model-key", "displayName": "Model key", "value": "sk-secret"})
    provider = {
        "id": "acme", "displayName": "Acme", "version": "v1.0", "context": "/acme", "template": "openai",
        "upstream": {"url": f"http://{model.address}/v1",
                     "auth": {"type": "api-key", "header": "Authorization", "value": "Bearer {{ secret \"model-key\" }}"}},
        "accessControl": {"mode": "deny_all", "exceptions": [{"path": "/chat/completions", "methods": ["POST"]}]},
    }
    site.platform.api("POST", "/llm-providers", provider)
    site.live("acme", kind="llm-providers")
    proxy = {"id": "chat", "displayName": "Chat", "version": "v1.0", "context": "/chat", "projectId": "default",
             "provider": {"id": "acme", "auth": {"type": "api-key", "header": "x-loop", "value": "inner"}}}
    site.platform.api("POST", "/llm-proxies", proxy)
    chat = site.live("chat", kind="llm-proxies")

    def ask(line, body=b""):
        with Client(site.gateway.address) as c:
            return c.request(f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body, line.split()[0])
    for path in ("/acme", "/chat"):
        seen = json.loads(ask(f"POST {path}/chat/completions", b"{}").body)
        assert seen["line"] == "POST /v1/chat/completions HTTP/1.1" and seen["authorization"] == "Bearer sk-secret", seen
        assert ask(f"GET {path}/models").status == 404
    assert seen["loop"] == "inner"
    assert "sk-secret" not in json.dumps(site.platform.api("GET", "/llm-providers/acme")) + site.gateway.log() + site.platform.log()
    # what changes at the provider changes for its proxy
    provider["accessControl"]["exceptions"].append({"path": "/models", "methods": ["GET"]})
    site.platform.api("PUT", "/llm-providers/acme", provider)
    p = site.live("acme", kind="llm-providers")
    assert json.loads(ask("GET /chat/models").body)["line"] == "GET /v1/models HTTP/1.1"
    # a provider stays as long as a proxy leads through it
    undeploy = lambda kind, name, d: site.platform.api("POST", f"/{kind}/{name}/deployments/{d}/undeploy?gatewayId=edge")
    with pytest.raises(Refused) as refused:
        undeploy("llm-providers", "acme", p)
    assert refused.value.code == "ARTIFACT_IN_USE" and "chat" in refused.value.body["message"], refused.value
    for kind, name, d in (("llm-proxies", "chat", chat), ("llm-providers", "acme", p)):
        undeploy(kind, name, d)
        site.platform.wait(name, d, "UNDEPLOYED", kind=kind)
    assert ask("GET /acme/models").body == b"ok" and ask("POST /chat/chat/completions", b"{}").body == b"ok"
