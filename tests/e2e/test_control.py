"""Deployments over the control connection: what is pushed becomes live on every worker, or says why not."""

import io
import random
import tarfile
import threading

from lib import env
from lib.control_plane import zipped
from lib.deployments import artifact, body, control, published

pytest_plugins = ["lib.deployments"]

PROXY = ("apiVersion: gateway.api-platform.wso2.com/v1\nkind: LlmProxy\nmetadata: {name: chat}\nspec: {displayName: Chat, "
         "version: v1.0, context: /chat, provider: {id: llm}}\n")

# ---- what goes well ----


def test_a_deployment_becomes_live_and_goes(cp, gateway, service):
    d = cp.deploy(service.api("hello", "/hello", "one"))
    cp.wait_live(d)
    assert body(gateway, "/hello/x") == "one/x"
    assert artifact(gateway, d)["state"] == "deployed" and artifact(gateway, d)["deploymentId"] == d.deployment
    newer = cp.deploy(service.api("hello", "/hello", "two"), d.artifact)
    cp.wait_live(newer)
    assert body(gateway, "/hello/x") == "two/x"
    gone = cp.undeploy(newer)
    cp.wait_live(gone)
    assert body(gateway, "/hello/x") == "replica"
    assert artifact(gateway, d)["state"] == "undeployed"
    again = cp.deploy(service.api("hello", "/hello", "three"), d.artifact)
    cp.wait_live(again)
    assert body(gateway, "/hello/x") == "three/x"
    cp.delete(again)
    env.wait_until(lambda: artifact(gateway, d) is None, 5, "the artifact to be forgotten")
    assert body(gateway, "/hello/x") == "replica"
    assert len(cp.acks) == 4


def test_many_at_once_are_few_snapshots(cp, gateway, service):
    before = published(gateway)
    ds = [cp.deploy(service.api(f"a{i}", f"/a{i}", str(i))) for i in range(300)]
    for d in ds:
        cp.wait_live(d, 30)
    assert [body(gateway, f"/a{i}/x") for i in (0, 150, 299)] == ["0/x", "150/x", "299/x"]
    assert published(gateway) - before < 100
    assert cp.asked("/deployments/fetch-batch")
    assert len(control(gateway)["artifacts"]) == 300 and gateway.metrics().get("ringgate_deployments_total", result="deployed") == 300


def test_what_a_batch_does_not_bring_is_fetched_alone(cp, gateway, service):
    hold = threading.Event()
    cp.fault("/apis/first", lambda h: hold.wait(env.scaled(10)) and None)
    first = cp.deploy(service.api("first", "/first", "first"), "first")
    def incomplete(handler):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            text = service.api("a0", "/a0", "0").encode()
            info = tarfile.TarInfo("d0/api-a0.yaml")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
        return 200, out.getvalue(), "application/x-tar+gzip"
    cp.fault("/deployments/fetch-batch", incomplete, (500, {}), (500, {}), (500, {}))
    ds = [cp.deploy(service.api(f"a{i}", f"/a{i}", str(i)), f"a{i}", deployment=f"d{i}") for i in range(8)]
    for d in ds:
        cp.wait_live(d)
    hold.set()
    cp.wait_live(first)
    assert [body(gateway, f"/a{i}/x") for i in range(8)] == [f"{i}/x" for i in range(8)]
    assert len(cp.asked("/apis/a7")) <= 1


def test_a_large_definition(cp, gateway, service):
    rows = [("GET", f"/{i:05}/{random.randbytes(450).hex()}") for i in range(9000)]
    d = cp.deploy(service.api("large", "/large", "l", operations=rows))
    assert len(d.text) > 8 << 20
    cp.wait_live(d, 60)
    assert body(gateway, "/large" + rows[8999][1]) == "l" + rows[8999][1]


# ---- order and identity ----

def test_older_events_are_stale(cp, gateway, service):
    d = cp.deploy(service.api("a", "/a", "new"), "a", performed_at="2026-08-22T09:15:04.1Z")
    cp.wait_live(d)
    for at in ("2026-08-22T09:15:04.1Z", "2026-08-22T09:15:04.100Z", "2026-08-22T11:15:04.1+02:00", "2026-08-22T09:15:04.099Z"):
        cp.push("api.deployed", {"apiId": "a", "deploymentId": "other", "performedAt": at})
        cp.push("api.undeployed", {"apiId": "a", "deploymentId": d.deployment, "performedAt": at})
    gateway.wait_metric(8, "ringgate_deployments_total", result="stale")
    assert body(gateway, "/a/x") == "new/x" and len(cp.acks) == 1


def test_a_newer_order_wins_while_the_older_is_fetched(cp, gateway, service):
    hold = threading.Event()
    cp.fault("/apis/a", lambda h: hold.wait(env.scaled(20)) and (200, zipped([("a.yaml", service.api("a", "/a", "old"))]), "application/zip"))
    older = cp.deploy(service.api("a", "/a", "old"), "a")
    env.wait_until(lambda: cp.asked("/apis/a"), 5, "the older one to be fetched")
    newer = cp.deploy(service.api("a", "/a", "new"), "a")
    cp.wait_live(newer)
    hold.set()
    gateway.wait_metric(1, "ringgate_deployments_total", result="superseded")
    assert body(gateway, "/a/x") == "new/x" and cp.acks_of(older) == []


def test_reading_never_waits_for_fetching(cp, gateway, service):
    hold = threading.Event()
    cp.fault("/apis/slow", lambda h: hold.wait(env.scaled(20)) and None)
    slow = cp.deploy(service.api("slow", "/slow", "slow"), "slow")
    env.wait_until(lambda: cp.asked("/apis/slow"), 5, "the slow one to be fetched")
    connection = cp.open_connections[0]
    pongs = connection.pongs
    connection.send_frame(9, b"x")
    env.wait_until(lambda: connection.pongs > pongs, 5, "a pong")
    quick = cp.deploy(service.api("quick", "/quick", "quick"))
    cp.wait_live(quick)
    assert cp.acks_of(slow) == []
    hold.set()
    cp.wait_live(slow)


def test_undeployments_of_what_is_not_there(cp, gateway, service):
    d = cp.deploy(service.api("a", "/a", "one"), "a", push=False)
    cp.deployments.clear()
    cp.wait_live(cp.undeploy(d))  # unknown here: that is what is wanted
    d = cp.deploy(service.api("b", "/b", "one"), "b")
    cp.wait_live(d)
    other = cp.undeploy(d, push=False)
    other.deployment = "another"
    cp.announce(other)
    ack = cp.wait_failed(other)
    assert ack["errorCode"] == "DEPLOYMENT_ID_MISMATCH" and d.deployment in ack["errorMessage"]
    assert body(gateway, "/b/x") == "one/x"
    # what failed is what the control plane last wanted: it may be taken back
    failed = cp.deploy("kind: RestApi\n", "b")
    cp.wait_failed(failed)
    cp.wait_live(cp.undeploy(failed))
    assert body(gateway, "/b/x") == "replica"


def test_kinds_and_events_that_are_not_for_us(cp, gateway):
    d = cp.deploy("kind: Mcp\n", kind="Mcp")
    ack = cp.wait_failed(d)
    assert ack["errorCode"] == "GATEWAY_PROCESSING_ERROR" and "Mcp" in ack["errorMessage"] and "not supported" in ack["errorMessage"]
    for message in (b"no json", b"[]", b"{}", b'{"type":"api.deployed"}', b'{"type":"api.deployed","payload":{"apiId":"../../etc"}}',
                    b'{"type":"subscription.created","payload":{}}', b'{"type":"something.new"}'):
        cp.open_connections[0].send(message)
    cp.wait_live(cp.undeploy(d))
    assert len(cp.open_connections) == 1 and len(cp.acks) == 2


# ---- what fails ----

def test_a_failure_changes_nothing_and_says_why(cp, gateway, service):
    good = cp.deploy(service.api("a", "/a", "good"), "a")
    cp.wait_live(good)
    before = published(gateway)
    bad = cp.deploy(service.api("a", "/a", "bad", policies="  policies: [{name: no-such-policy, version: v1}]\n"), "a")
    ack = cp.wait_failed(bad)
    assert ack["errorCode"] == "GATEWAY_PROCESSING_ERROR" and "spec.policies[0]" in ack["errorMessage"], ack
    assert "no-such-policy" in ack["errorMessage"]
    assert body(gateway, "/a/x") == "good/x" and published(gateway) == before
    shown = artifact(gateway, good)
    assert shown["deploymentId"] == good.deployment and "no-such-policy" in shown["failure"]
    gateway.wait_metric(1, "ringgate_deployments_total", result="failed")


def test_two_artifacts_that_want_the_same_requests(cp, gateway, service):
    first = cp.deploy(service.api("first", "/same", "first"))
    cp.wait_live(first)
    second = cp.deploy(service.api("second", "/same", "second"))
    message = cp.wait_failed(second)["errorMessage"]
    assert message.startswith("spec.context: its route ") and 'of RestApi "first"; give one of them another' in message, message
    assert body(gateway, "/same/x") == "first/x"


BAD_ARCHIVES = {
    "garbage": (b"not a zip", "archive"),
    "empty": (zipped([]), "archive"),
    "two": (zipped([("a.yaml", "x: 1"), ("b.yaml", "x: 2")]), "archive"),
    "traversal": (zipped([("../../etc/passwd.yaml", "x: 1")]), "archive"),
    "bomb": (zipped([("a.yaml", "x" * (200 << 20))]), "archive"),
    "aliases": (zipped([("a.yaml", "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n"
                                                               for i in range(1, 12)))]), "keys and values"),
    "other-kind": (zipped([("a.yaml", PROXY)]), "wanted RestApi"),
    "binary": (zipped([("a.yaml", b"\xff\xfe\x00\xd8")]), "line 1"),
}


def test_archives_that_are_none(cp, gateway, service):
    for name, (content, says) in BAD_ARCHIVES.items():
        assert says in cp.wait_failed(cp.deploy(content, "bad"))["errorMessage"], name
    cp.wait_live(cp.deploy(service.api("good", "/good", "good"), "bad"))


def test_fetches_are_tried_again(cp, gateway, service):
    cp.fault("/apis/a", (503, {"message": "later"}), (500, {}))
    cp.fault("/apis/b", *[(500, {"code": 500, "message": "Internal", "description": "out of order"})] * 3)
    cp.fault("/apis/c", (404, {"code": 404, "message": "Not Found", "description": "No active deployment"}))
    again, broken, gone = (cp.deploy(service.api(n, f"/{n}", n), n) for n in "abc")
    assert "No active deployment" in cp.wait_failed(gone)["errorMessage"]
    assert "out of order" in cp.wait_failed(broken)["errorMessage"]
    cp.wait_live(again)
    assert [len(cp.asked(f"/apis/{n}")) for n in "abc"] == [3, 3, 1]


def test_secrets(cp, gateway, service):
    text = service.api("a", "/a", "one", policies="  policies: [{name: set-headers, version: v1, params: {request: {headers: "
                       "[{name: x-key, value: '{{ secret \"the-key\" }}'}]}}}]\n")
    ack = cp.wait_failed(cp.deploy(text, "a"))
    assert "the-key" in ack["errorMessage"]
    cp.secrets["the-key"] = "hunter2"
    cp.wait_live(cp.deploy(text, "a"))
    assert "hunter2" not in gateway.log() and "hunter2" not in gateway.admin("GET", "/control")[1]


def test_llm_proxies_follow_their_provider(cp, gateway, service):
    proxy = cp.deploy(PROXY, "proxy", "LlmProxy")
    assert "llm" in cp.wait_failed(proxy)["errorMessage"]

    def provider(base):
        return (f"apiVersion: gateway.api-platform.wso2.com/v1\nkind: LlmProvider\nmetadata: {{name: llm}}\nspec:\n  displayName: L\n"
                f"  version: v1.0\n  context: /llm\n  template: openai\n  upstream: {{url: 'http://{service.origin.address}/{base}'}}\n"
                f"  accessControl: {{mode: allow_all}}\n")
    one = cp.deploy(provider("one"), "llm", "LlmProvider", push=False)
    proxy = cp.deploy(proxy.text, "proxy", "LlmProxy", push=False)
    cp.drop_all()  # the sync brings both, the provider first
    cp.wait_live(one)
    cp.wait_live(proxy)
    assert body(gateway, "/chat/x") == "one/x"
    cp.wait_live(cp.deploy(provider("two"), "llm", "LlmProvider"))
    assert body(gateway, "/chat/x") == "two/x"  # it was compiled anew
    cp.wait_live(cp.undeploy(cp.deployments["llm"]))
    assert artifact(gateway, proxy)["state"] == "not served"
    cp.wait_live(cp.deploy(provider("three"), "llm", "LlmProvider"))
    assert body(gateway, "/chat/x") == "three/x"


# ---- beside deployments ----

def test_the_manifest_names_all_policies(cp, gateway):
    manifest = env.wait_until(lambda: cp.manifests, 5, "the manifest")[0]
    assert manifest["functionalityType"] == "regular" and manifest["version"]
    policies = {p["name"]: p for p in manifest["policies"]}
    assert {"set-headers", "respond", "cors", "api-key-auth", "basic-ratelimit"} <= set(policies)
    limits = policies["basic-ratelimit"]["parameters"]["properties"]["limits"]
    assert limits["type"] == "array" and limits["items"]["properties"]["requests"]["type"] == "integer"


def test_without_a_control_plane_there_is_none(programs):
    g = programs.gateway(programs.raw_origin().address)
    assert control(g) == {"enabled": False}


def test_a_state_directory_is_for_one_gateway(programs, cp, gateway, tmp_path):
    second = programs.prepared_gateway(programs.raw_origin().address, cp.configuration(tmp_path))
    second.expected_exit = 2
    second.spawn()
    assert second.process.popen.wait(env.scaled(10)) == 2
    assert "in use by another process" in second.log()


def test_a_disk_that_cannot_be_written(cp, gateway, service, tmp_path):
    (tmp_path / "state" / "a.deployment.new").mkdir()
    d = cp.deploy(service.api("a", "/a", "one"), "a")
    cp.wait_live(d)  # it is live, whatever the disk says
    gateway.wait_metric(1, "ringgate_state_write_failures_total")
    assert not artifact(gateway, d)["saved"] and "a.deployment" in control(gateway)["stateDirectory"]["error"]
    (tmp_path / "state" / "a.deployment.new").rmdir()
    cp.wait_live(cp.deploy(service.api("a", "/a", "two"), "a"))
    assert artifact(gateway, d)["saved"] and control(gateway)["stateDirectory"]["error"] is None
