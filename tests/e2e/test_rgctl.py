"""rgctl against a control plane whose gateways answer what the test wants."""

import json
import os
import pty
import re
import subprocess

import pytest

from lib.env import RGCTL, free_port, scaled
from lib.mock_platform import TOKEN, MockPlatform, Refusal
from lib.process import SANITIZER_REPORT
from lib.tls import Certificate

yaml = pytest.importorskip("yaml")

DONE, FAILED, USAGE, TIMED_OUT = range(4)

HELLO = """\
apiVersion: gateway.api-platform.wso2.com/v1
kind: RestApi
metadata: {name: hello-v1.0}
spec:
  displayName: Hello
  version: v1.0
  context: /hello
  upstream: {main: {url: "http://127.0.0.1:9000"}}
  operations:
    - {method: GET, path: /greet}
    - method: POST
      path: /greet
      policies:
        - {name: basic-ratelimit, version: v1, params: {limits: [{requests: 0, duration: 1m}]}}
"""


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)


@pytest.fixture(name="platform")
def _platform():
    p = MockPlatform()
    yield p
    p.stop()


@pytest.fixture(name="rgctl")
def _rgctl(platform, tmp_path):
    def run(*words, expect=DONE, text=None, env=None):
        environment = {"PATH": os.environ["PATH"], "RINGGATE_PLATFORM": platform.url, "RINGGATE_TOKEN": TOKEN,
                       "ASAN_OPTIONS": "detect_leaks=1:exitcode=99", "UBSAN_OPTIONS": "exitcode=99", **(env or {})}
        environment = {k: v for k, v in environment.items() if v is not None}
        r = Result(subprocess.run([RGCTL, *map(str, words)], input=text or "", capture_output=True, text=True, cwd=tmp_path,
                                  env=environment, timeout=scaled(30), check=False))
        assert not SANITIZER_REPORT.findall(r.err), r.err
        assert r.status == expect, f"{words}: {r.status}\n{r.out}{r.err}"
        return r

    run.directory = tmp_path
    return run


def write(rgctl, name, text):
    path = rgctl.directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return name


# ---- apply ----

def test_apply_creates_deploys_waits_and_then_finds_nothing_to_do(rgctl, platform):
    platform.add_gateway("edge-1")
    write(rgctl, "hello.yaml", HELLO)
    r = rgctl("apply", "-f", "hello.yaml")
    assert re.search(r"^ +create +RestApi/hello-v1.0: deploy to edge-1$", r.out, re.M)
    assert re.search(r"^RestApi/hello-v1.0 is live on edge-1 \(\d+ ms, deployment [0-9a-f-]{36}\)$", r.out, re.M)
    [body] = platform.called("POST", "/rest-apis")
    assert body["id"] == "hello-v1.0" and body["context"] == "/hello" and body["projectId"] == "default"
    assert body["operations"][0] == {"method": "GET", "path": "/greet"}
    r = rgctl("apply", "hello.yaml")
    assert re.search(r"^ +unchanged +RestApi/hello-v1.0: live on edge-1$", r.out, re.M)
    assert len(platform.deployments) == 1
    write(rgctl, "hello.yaml", HELLO.replace("/greet}", "/welcome}"))
    r = rgctl("apply", "hello.yaml")
    assert re.search(r"^ +update +RestApi/hello-v1.0: deploy to edge-1$", r.out, re.M)
    assert len(platform.called("PUT", "/rest-apis/hello-v1.0")) == 1 and len(platform.deployments) == 2


def test_what_is_taken_out_of_a_file_is_a_change(rgctl, platform):
    platform.add_gateway("edge-1")
    write(rgctl, "hello.yaml", HELLO + "  resilience: {timeout: 30s}\n")
    rgctl("apply", "hello.yaml")
    write(rgctl, "hello.yaml", HELLO)
    assert " update " in rgctl("apply", "hello.yaml").out
    assert "resilience" not in platform.things["rest-apis"]["hello-v1.0"]


def test_a_failure_is_shown_with_its_place_in_the_file(rgctl, platform):
    platform.add_gateway("edge-1", answer=("GATEWAY_PROCESSING_ERROR", "got 0, wanted a whole number from 1",
                                           "spec.operations[1].policies[0].params.limits[0].requests"))
    write(rgctl, "hello.yaml", "# a comment\n---\n" + HELLO)
    r = rgctl("apply", "-f", "hello.yaml", expect=FAILED)
    assert "RestApi/hello-v1.0 FAILED on edge-1" in r.err
    col = HELLO.splitlines()[13].index("requests") + 1
    assert (f"\n  hello.yaml:16:{col}: spec.operations[1].policies[0].params.limits[0].requests: got 0, wanted a whole number "
            "from 1 (GATEWAY_PROCESSING_ERROR)") in r.err
    assert "is live" not in r.out


def test_refused_bodies_are_shown_with_their_places(rgctl, platform):
    platform.add_gateway("edge-1")
    platform.refusals["POST", "/rest-apis"] = Refusal(
        400, "REST_API_VALIDATION_FAILED", "The REST API is not valid.",
        [{"field": "operations[1].method", "message": "got \"POST\", wanted nothing of the kind"},
         {"field": "id", "message": "is taken"}])
    write(rgctl, "hello.yaml", HELLO)
    r = rgctl("apply", "hello.yaml", expect=FAILED)
    assert "rgctl: can't create RestApi/hello-v1.0 (REST_API_VALIDATION_FAILED, 400):\n" in r.err
    assert "hello.yaml:11:7: spec.operations[1].method: got \"POST\"" in r.err
    assert "hello.yaml:3:12: metadata.name: is taken" in r.err
    assert not platform.deployments


def test_times_out_with_a_status_of_its_own(rgctl, platform):
    platform.add_gateway("edge-1", connected=False, answer="silence")
    write(rgctl, "hello.yaml", HELLO)
    r = rgctl("apply", "hello.yaml", "--timeout", "200ms", expect=TIMED_OUT)
    assert "deploy to edge-1 (not connected now)" in r.out
    assert "still DEPLOYING on edge-1" in r.err and "\n  is edge-1 connected? rgctl gateway list; what came of it: rgctl deployments rest-api/hello-v1.0\n" in r.err
    [item] = rgctl("apply", "hello.yaml", "--no-wait", "-o", "json").json()
    assert item["gateways"][0]["result"] == "requested"
    assert len(platform.deployments) == 1  # an equal one is on its way


def test_waiting_survives_a_restart_of_the_platform(rgctl, platform):
    platform.add_gateway("edge-1")
    platform.polls_before_ack, platform.outage = 4, 3
    assert "is live on edge-1" in rgctl("apply", "-f", "-", text=HELLO).out
    assert platform.outage == 0
    platform.answers["edge-1"], platform.outage = "silence", 10000
    r = rgctl("apply", "-f", "-", "--timeout", "300ms", text=HELLO.replace("/greet}", "/new}"), expect=TIMED_OUT)
    assert "the platform answered 503" in r.err and "is still not known to be done on edge-1" in r.err


def test_dry_run_changes_nothing(rgctl, platform):
    platform.add_gateway("edge-1")
    write(rgctl, "hello.yaml", HELLO)
    assert "create" in rgctl("apply", "hello.yaml", "--dry-run").out
    plan = rgctl("apply", "hello.yaml", "--dry-run", "-o", "json").json()
    assert plan == [{"kind": "RestApi", "name": "hello-v1.0", "action": "create",
                     "gateways": [{"gateway": "edge-1", "todo": "deploy"}]}]
    assert {m for m, _, _ in platform.requests} == {"GET"}


def test_machines_get_the_outcome_as_a_value(rgctl, platform):
    platform.add_gateway("edge-1")
    platform.add_gateway("edge-2", answer=("DEPLOYMENT_TIMEOUT", "", ""))
    write(rgctl, "hello.yaml", HELLO)
    r = rgctl("apply", "hello.yaml", "-g", "edge-1,edge-2", "-o", "yaml", expect=FAILED)
    [item] = yaml.safe_load(r.out)
    assert [(g["gateway"], g["result"]) for g in item["gateways"]] == [("edge-1", "live"), ("edge-2", "failed")]
    assert "rgctl gateway list" in r.err


def test_the_gateway_is_said_or_the_only_one(rgctl, platform):
    write(rgctl, "hello.yaml", HELLO)
    r = rgctl("apply", "hello.yaml", expect=USAGE)
    assert "the platform knows none yet" in r.err and "rgctl gateway create" in r.err
    platform.add_gateway("edge-1")
    platform.add_gateway("edge-2")
    r = rgctl("apply", "hello.yaml", expect=USAGE)
    assert "hello.yaml:3:1: RestApi/hello-v1.0: no gateway is named; the platform knows edge-1, edge-2" in r.err
    r = rgctl("apply", "hello.yaml", "--gateway", "edge-3", expect=USAGE)
    assert 'there is no gateway "edge-3"' in r.err
    assert not platform.called("POST", ".*")
    rgctl("apply", "hello.yaml", "--gateway", "edge-2")
    write(rgctl, "label.yaml", HELLO.replace("{name: hello-v1.0}", "{name: b, labels: {gateway: edge-1}}"))
    write(rgctl, "note.yaml", HELLO.replace("{name: hello-v1.0}", "{name: c, annotations: {ringgate/gateway: 'edge-1, edge-2'}}"))
    rgctl("apply", "label.yaml", "note.yaml")
    assert [d["gatewayId"] for d in reversed(platform.deployments)] == ["edge-2", "edge-1", "edge-1", "edge-2"]


def test_directories_standard_input_and_the_order_of_kinds(rgctl, platform):
    proxy = "kind: LlmProxy\nmetadata: {name: chat}\nspec: {displayName: Chat, version: 1.10, context: /chat, provider: {id: acme}}\n"
    provider = ("kind: LlmProvider\nmetadata: {name: acme}\nspec: {displayName: Acme, version: v1.0, template: openai, "
                "upstream: {url: 'http://127.0.0.1:1'}, accessControl: {mode: allow_all}}\n")
    write(rgctl, "deploy/1.yaml", proxy + "---\n" + provider)
    write(rgctl, "deploy/2.yml", "type: gateway\nname: edge-9\ndomain: example.com\n")
    write(rgctl, "deploy/notes.txt", "not: [yaml")
    rgctl("apply", "-f", "deploy")
    posts = [path for method, path, _ in platform.requests if method == "POST"]
    assert posts == ["/gateways", "/llm-providers", "/llm-providers/acme/deployments", "/llm-proxies",
                     "/llm-proxies/chat/deployments"]
    assert platform.gateways["edge-9"]["endpoints"] == ["https://example.com"]
    assert platform.things["llm-proxies"]["chat"]["version"] == "1.10"
    rgctl("apply", "-f", "-", text=HELLO)
    assert "hello-v1.0" in platform.things["rest-apis"]


def test_a_file_can_take_an_artifact_off(rgctl, platform):
    platform.add_gateway("edge-1")
    write(rgctl, "hello.yaml", HELLO)
    rgctl("apply", "hello.yaml")
    write(rgctl, "hello.yaml", HELLO + "  deploymentState: undeployed\n")
    assert "is no longer served by edge-1" in rgctl("apply", "hello.yaml").out
    assert platform.deployments[0]["status"] == "UNDEPLOYED"
    assert "not on edge-1" in rgctl("apply", "hello.yaml").out


@pytest.mark.parametrize("text, message", [
    ("kind: RestApy\nmetadata: {name: a}\nspec: {}\n", "bad.yaml:1:1: kind: got \"RestApy\", wanted Gateway, RestApi, "
     "LlmProviderTemplate, LlmProvider or LlmProxy; did you mean RestApi?"),
    ("kind: RestApi\nmetadata: {nam: a}\nspec: {}\n", "bad.yaml:2:1: metadata.name: got nothing, wanted a name"),
    ("kind: RestApi\nmetadata: {name: a}\n", "bad.yaml:1:1: spec: got nothing, wanted a mapping"),
    ("\n\n---\n- a\n", "bad.yaml:4:1: got a list, wanted a mapping with kind, metadata and spec"),
    ("type: gateway\nname: a\nreplicas: 3\n", "bad.yaml:3:1: replicas: got a member that this version does not support"),
    ("type: gateway\nname: a\nfrob: 3\n", "bad.yaml:3:1: frob: got an unknown key"),
    ("# nothing\n---\n", "bad.yaml: got no document"),
    ("a: 1\n---\nb: [1\n", "bad.yaml:"),
    (HELLO + "---\n" + HELLO, "got RestApi/hello-v1.0 again, first at bad.yaml:1:1, wanted each thing described once"),
    ("kind: RestApi\nmetadata: {name: a}\nspec: {x: 1, x: 2}\n", "bad.yaml:3:"),
    ("a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(f"{n}: &{n} [{', '.join([f'*{m}'] * 9)}]\n"
                                                    for m, n in zip("abcdefgh", "bcdefghi")), "bad.yaml:"),
])
def test_wrong_files_change_nothing(rgctl, platform, text, message):
    write(rgctl, "bad.yaml", text)
    r = rgctl("apply", "bad.yaml", expect=USAGE)
    assert message in r.err
    assert not platform.requests


def test_missing_files(rgctl, platform):
    assert "can't read no.yaml: No such file or directory" in rgctl("apply", "-f", "no.yaml", expect=USAGE).err
    (rgctl.directory / "empty").mkdir()
    assert "no *.yaml or *.yml in this directory" in rgctl("apply", "empty", expect=USAGE).err
    assert "got no file" in rgctl("apply", expect=USAGE).err
    assert not platform.requests


# ---- the other commands ----

def test_from_nothing_to_a_deployed_api_and_back(rgctl, platform):
    assert "rgctl token create edge-1" in rgctl("gateway", "create", "edge-1", "--display-name", "Edge 1").out
    token = rgctl("token", "create", "edge-1")
    assert token.out == "secret-1\n" and "not shown again" in token.err
    rgctl("token", "create", "edge-1")
    r = rgctl("token", "create", "edge-1", expect=FAILED)
    assert "GATEWAY_TOKEN_LIMIT_REACHED, 409" in r.err
    [first, _] = rgctl("token", "list", "edge-1", "-o", "json").json()
    rgctl("token", "revoke", "edge-1", first["id"])
    assert "revoked" in rgctl("token", "list", "edge-1").out
    rgctl("apply", "-f", "-", text=HELLO)
    table = rgctl("deployments", "rest-api/hello-v1.0").out.splitlines()
    assert table[0].split()[:5] == ["DEPLOYMENT", "NAME", "GATEWAY", "STATUS", "LIVE"] and " DEPLOYED " in table[1]
    assert "\033" not in table[1]
    assert "hello-v1.0" in rgctl("get", "RestApi").out
    assert yaml.safe_load(rgctl("get", "rest-api/hello-v1.0").out)["spec"]["displayName"] == "Hello"
    assert rgctl("list", "rest-apis", "-o", "json").json()[0]["id"] == "hello-v1.0"
    assert "UNDEPLOYED on edge-1" in rgctl("undeploy", "rest-apis", "hello-v1.0").out
    assert "is not deployed there" in rgctl("undeploy", "rest-api/hello-v1.0", expect=FAILED).err
    assert "DEPLOYED on edge-1" in rgctl("restore", "rest-api/hello-v1.0").out
    history = rgctl("history", "rest-api/hello-v1.0").out.splitlines()
    assert [line.split()[3] for line in history] == ["DEPLOYING", "DEPLOYED", "UNDEPLOYING", "UNDEPLOYED", "DEPLOYING", "DEPLOYED"]
    status = rgctl("status").out
    assert f"Platform {platform.url}: ready, version 0.1-mock" in status and "Gateways: 1 of 1 connected" in status
    rgctl("delete", "rest-api/hello-v1.0")
    rgctl("gateway", "delete", "edge-1")
    assert rgctl("gateway", "list").out == "No gateways.\n"


def test_restore_takes_the_one_before_or_the_one_that_is_named(rgctl, platform):
    platform.add_gateway("edge-1")
    for path in "abc":
        rgctl("apply", "-f", "-", text=HELLO.replace("/greet}", f"/{path}}}"))
    c, b, a = (d["deploymentId"] for d in platform.deployments)
    rgctl("restore", "rest-api/hello-v1.0")
    assert b in rgctl("deployments", "rest-api/hello-v1.0", "--status", "DEPLOYED").out
    rgctl("restore", "rest-api/hello-v1.0", a[:13])
    assert rgctl("deployments", "rest-api/hello-v1.0", "--status", "DEPLOYED", "-o", "json").json()[0]["deploymentId"] == a
    assert "has no deployment" in rgctl("restore", "rest-api/hello-v1.0", "nonsense", expect=FAILED).err
    times = [event["at"] for event in rgctl("history", "rest-api/hello-v1.0", "-o", "json").json()]
    assert len(times) == 10 and times == sorted(times)
    r = rgctl("history", "rest-api/hello-v1.0", c[:13], "-o", "json").json()
    assert {event["deploymentId"] for event in r} == {c}


def test_restore_passes_over_what_was_never_live(rgctl, platform):
    platform.add_gateway("edge-1")
    rgctl("apply", "-f", "-", text=HELLO)
    platform.answers["edge-1"] = ("GATEWAY_PROCESSING_ERROR", "no such policy", "spec.policies[0].name")
    rgctl("apply", "-f", "-", text=HELLO.replace("/greet}", "/broken}"), expect=FAILED)
    platform.answers["edge-1"] = "success"
    rgctl("undeploy", "rest-api/hello-v1.0")
    broken, good = (d["deploymentId"] for d in platform.deployments)
    assert good in rgctl("restore", "rest-api/hello-v1.0").out
    assert broken in rgctl("restore", "rest-api/hello-v1.0", broken).out  # it is asked for by name


def test_failures_of_restore_are_explained(rgctl, platform):
    platform.add_gateway("edge-1")
    rgctl("apply", "-f", "-", text=HELLO)
    rgctl("undeploy", "rest-api/hello-v1.0")
    platform.answers["edge-1"] = ("GATEWAY_PROCESSING_ERROR", "no such policy", "spec.policies[0].name")
    r = rgctl("restore", "rest-api/hello-v1.0", expect=FAILED)
    assert "FAILED on edge-1" in r.err and "spec.policies[0].name: no such policy (GATEWAY_PROCESSING_ERROR)" in r.err
    platform.answers["edge-1"] = "silence"
    assert "still UNDEPLOYING" in rgctl("undeploy", "rest-api/hello-v1.0", "--timeout", "100ms", expect=TIMED_OUT).err


def test_api_keys(rgctl, platform):
    platform.add_gateway("edge-1")
    rgctl("apply", "-f", "-", text=HELLO)
    r = rgctl("api-key", "create", "rest-api/hello-v1.0", "ci", "--expires", "24h")
    assert r.out == "key-of-ci\n"
    [body] = platform.called("POST", ".*/api-keys")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", body["expiresAt"])
    assert "***abcde" in rgctl("api-key", "list", "rest-api/hello-v1.0").out
    rgctl("api-key", "revoke", "rest-api/hello-v1.0", "ci")
    assert "404" in rgctl("api-key", "revoke", "rest-api/hello-v1.0", "ci", expect=FAILED).err
    assert "wanted a duration" in rgctl("api-key", "create", "rest-api/x", "ci", "--expires", "soon", expect=USAGE).err


def test_lists_of_several_pages(rgctl, platform):
    platform.page = 7
    for i in range(30):
        platform.add_gateway(f"edge-{i:02}")
    assert [g["id"] for g in rgctl("gateway", "list", "-o", "json").json()] == [f"edge-{i:02}" for i in range(30)]


def test_events_are_followed(rgctl, platform):
    event = {"type": "deployment.status", "kind": "RestApi", "artifactId": "hello", "gatewayId": "edge-1",
             "deploymentId": "0199c1d3-02b4-7e0a", "status": "FAILED", "errorCode": "GATEWAY_PROCESSING_ERROR",
             "errorMessage": "spec.policies[0].name: no such policy", "fieldPath": "spec.policies[0].name", "timestamp": "2026-08-22T09:15:04.1Z"}
    platform.stream = b": hello\n\ndata: " + json.dumps(event).encode() + b"\n\nevent: other\ndata: plain\r\n\r\n"
    first, second = rgctl("events", "--count", "2").out.splitlines()
    assert first == ("2026-08-22T09:15:04.1Z    deployment.status  RestApi/hello  FAILED on edge-1  0199c1d3-02b4  "
                     "GATEWAY_PROCESSING_ERROR  spec.policies[0].name  no such policy")
    assert "other" in second
    first, second = rgctl("events", "-n", "2", "-o", "json").out.splitlines()
    assert json.loads(first) == event
    assert json.loads(second) == {"type": "other", "data": "plain"}
    rgctl("events", "--timeout", "300ms", expect=TIMED_OUT)
    assert "--count: got \"x\"" in rgctl("events", "--count", "x", expect=USAGE).err


def test_secrets_and_access_tokens(rgctl, platform):
    write(rgctl, "key", "sk-1234\n")
    assert "created" in rgctl("secret", "set", "openai-key", "-f", "key").out
    assert platform.secrets["openai-key"]["value"] == "sk-1234"
    assert "replaced" in rgctl("secret", "set", "openai-key", "-f", "-", text="sk-5").out
    assert platform.secrets["openai-key"]["value"] == "sk-5"
    assert "openai-key" in rgctl("secret", "list").out and "sk-5" not in rgctl("secret", "list", "-o", "table").out
    rgctl("secret", "delete", "openai-key")
    assert rgctl("secret", "list").out == "No secrets.\n"
    assert "wanted one with the secret" in rgctl("secret", "set", "a", expect=USAGE).err
    assert "wanted a secret" in rgctl("secret", "set", "a", "-f", "-", text="\n", expect=USAGE).err
    assert rgctl("access-token", "create", "ci", "--role", "reader", "--expires", "1h").out == "new-token\n"
    assert platform.access["t-ci"]["role"] == "reader" and "expiresAt" in platform.access["t-ci"]
    assert "t-ci" in rgctl("access-token", "list").out
    rgctl("access-token", "revoke", "t-ci")
    assert rgctl("access-token", "list").out == "No tokens.\n"


@pytest.mark.parametrize("no_color, coloured", [(None, True), ("", True), ("1", False)])
def test_colours_on_a_terminal_only(platform, no_color, coloured):
    platform.add_gateway("edge-1")
    ours, theirs = pty.openpty()
    env = {"RINGGATE_PLATFORM": platform.url, "RINGGATE_TOKEN": TOKEN, "TERM": "xterm"}
    if no_color is not None:
        env["NO_COLOR"] = no_color
    done = subprocess.run([RGCTL, "status"], stdout=theirs, stderr=subprocess.PIPE, env=env, timeout=scaled(30), check=True)
    text = os.read(ours, 4096)
    os.close(ours)
    os.close(theirs)
    assert (b"\033[32mready\033[0m" in text) is coloured and done.stderr == b""


def test_admin_endpoint_of_a_gateway(rgctl, programs):
    replica = programs.origin()
    g = programs.gateway(replica.address)
    r = rgctl("status", "--admin", g.admin_port, expect=DONE)
    assert "ready" in r.out and "Workers: " in r.out
    assert rgctl("status", "--admin", g.admin_port, "-o", "json").json()["ready"] is True
    port = free_port()
    r = rgctl("status", "--admin", port, expect=FAILED)
    assert "can't be reached" in r.err and "admin.address" in r.err and "RINGGATE_PLATFORM" not in r.err
    assert "--admin: got \"here\"" in rgctl("status", "--admin", "here", expect=USAGE).err


# ---- what goes wrong ----

def test_a_platform_that_is_not_there(rgctl):
    port = free_port()
    r = rgctl("get", "rest-apis", "--platform", f"http://127.0.0.1:{port}", expect=FAILED)
    assert f"http://127.0.0.1:{port} can't be reached" in r.err and "RINGGATE_PLATFORM" in r.err
    r = rgctl("get", "rest-apis", "--platform", "http://no.such.host.invalid", expect=FAILED)
    assert "name that can't be resolved" in r.err
    assert "wanted http://HOST" in rgctl("get", "rest-apis", "--platform", "ftp://x", expect=USAGE).err


def test_tokens_come_from_a_file_or_the_environment(rgctl, platform):
    write(rgctl, "token", f"  {TOKEN}\n")
    rgctl("gateway", "list", "--token-file", "token", env={"RINGGATE_TOKEN": "wrong"})
    r = rgctl("gateway", "list", env={"RINGGATE_TOKEN": "wrong"}, expect=FAILED)
    assert "refused the token of RINGGATE_TOKEN" in r.err
    r = rgctl("gateway", "list", env={"RINGGATE_TOKEN": None}, expect=FAILED)
    assert "wants a token" in r.err and "--token-file" in r.err
    assert "can't read none" in rgctl("gateway", "list", "--token-file", "none", expect=USAGE).err
    write(rgctl, "two", "a\r\nX-Evil: b")
    assert "blanks or control characters" in rgctl("gateway", "list", "--token-file", "two", expect=USAGE).err
    write(rgctl, "empty", "\n")
    assert "empty is empty" in rgctl("gateway", "list", "--token-file", "empty", expect=USAGE).err
    assert all(body is None for _, _, body in platform.requests)


def test_a_token_is_not_sent_in_the_clear_without_a_word(rgctl):
    r = rgctl("gateway", "list", "--platform", "http://host.invalid", expect=FAILED)
    assert "can be read on the way" in r.err
    assert "can be read" not in rgctl("gateway", "list").err


def test_this_machine_is_not_behind_a_proxy(rgctl):
    proxy = {"http_proxy": f"http://127.0.0.1:{free_port()}"}
    rgctl("gateway", "list", env=proxy)
    r = rgctl("gateway", "list", "--platform", "http://host.invalid", env=proxy, expect=FAILED)
    assert "can't be reached" in r.err


def test_certificates_are_verified(rgctl, tmp_path):
    certificate = Certificate(tmp_path, "platform", names=["localhost"])
    p = MockPlatform(certificate)
    try:
        r = rgctl("gateway", "list", "--platform", p.url, expect=FAILED)
        assert "certificate that is not trusted" in r.err and "--ca-file" in r.err
        r = rgctl("gateway", "list", "--platform", p.url, "--ca-file", certificate.cert, expect=FAILED)
        assert "not trusted" in r.err  # another host
        named = p.url.replace("127.0.0.1", "localhost")
        rgctl("gateway", "list", "--platform", named, "--ca-file", certificate.cert)
        rgctl("gateway", "list", "--platform", p.url, "--insecure")
        assert "--ca-file" in rgctl("gateway", "list", "--platform", named, "--ca-file", "/none", expect=FAILED).err
        r = rgctl("gateway", "list", "--platform", p.url.replace("https", "http"), expect=FAILED)
        assert p.url.replace("https", "http") in r.err
    finally:
        p.stop()


def test_answers_that_are_no_platforms(rgctl, platform):
    r = rgctl("get", "rest-api/none", expect=FAILED)
    assert "can't get RestApi/none: There is no none. (NOT_FOUND, 404)" in r.err
    platform.refusals["GET", "/gateways"] = Refusal(503, "", "")
    assert "answered 503, not as a platform does" in rgctl("gateway", "list", expect=FAILED).err
    platform.refusals["GET", "/gateways"] = Refusal(500, "INTERNAL_ERROR", "bad \033[31mred\u009b1m\r\n day")
    r = rgctl("gateway", "list", expect=FAILED)
    assert "\033" not in r.err and "\u009b" not in r.err and "bad ?[31mred?1m?" in r.err
    del platform.refusals["GET", "/gateways"]
    platform.add_gateway("edge\033[2J")
    write(rgctl, "hello.yaml", HELLO)
    assert "deploy to edge?[2J\n" in rgctl("apply", "--dry-run", "hello.yaml").out


def test_a_list_without_an_end(rgctl, platform):
    platform.endless = True
    assert "can't list gateways: the platform lists 1000000000000 of them" in rgctl("gateway", "list", expect=FAILED).err


def test_command_lines_that_are_wrong(rgctl, platform):
    assert "did you mean \"apply\"?" in rgctl("aply", expect=USAGE).err
    assert "did you mean \"token create\"?" in rgctl("token", "craete", "x", expect=USAGE).err
    assert "did you mean --gateway?" in rgctl("apply", "--gatewya", "x", expect=USAGE).err
    assert '--gateway: got a flag that "rgctl events" does not have' in rgctl("events", "-g", "x", expect=USAGE).err
    assert "did you mean rest-apis?" in rgctl("get", "rest-apsi", expect=USAGE).err
    assert "too few operands, wanted: rgctl token create GATEWAY" in rgctl("token", "create", expect=USAGE).err
    assert "too many operands" in rgctl("status", "now", expect=USAGE).err
    assert "wanted table, json or yaml" in rgctl("status", "-o", "xml", expect=USAGE).err
    assert "like 90s or 5m" in rgctl("apply", "x", "--timeout", "1", expect=USAGE).err
    assert "gateways are not deployed" in rgctl("deployments", "gateway/a", expect=USAGE).err
    assert "without a name" in rgctl("delete", "rest-api", expect=USAGE).err
    assert "token revoke" in rgctl("token", expect=USAGE).err
    assert "Commands:" in rgctl(expect=USAGE).err
    assert not platform.requests


# ---- help ----

def command_names(rgctl):
    text = rgctl("--help").out.split("Commands:\n")[1].split("\n\n")[0]
    return [re.match(r"  ((?:[a-z-]+ ?)+)", line).group(1).strip() for line in text.splitlines()]


def test_every_command_has_help_with_an_example(rgctl):
    names = command_names(rgctl)
    assert len(names) >= 20 and "apply" in names and "api-key create" in names
    for name in names:
        text = rgctl(*name.split(), "--help").out
        assert text.startswith(f"Usage: rgctl {name}") and "Examples:\n  " in text
        assert text == rgctl("help", *name.split()).out
    assert "token revoke" in rgctl("token", "--help").out
    assert re.fullmatch(r"rgctl \d+\.\d+\.\d+\n", rgctl("--version").out)


def test_bash_completes(rgctl):
    script = write(rgctl, "completion.bash", rgctl("completion").out)

    def complete(*words):
        argv = " ".join(f"'{w}'" for w in words)
        command = (f"source {script}; COMP_WORDS=({argv}); COMP_CWORD={len(words) - 1}; _rgctl; "
                   "printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=rgctl.directory, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    assert complete("rgctl", "ap") == ["apply", "api-key"]
    assert complete("rgctl", "token", "") == ["create", "list", "revoke"]
    assert complete("rgctl", "get", "rest") == ["rest-apis"]
    assert complete("rgctl", "apply", "--ti") == ["--timeout"]
    assert complete("rgctl", "token", "create", "--d") == []
    assert complete("rgctl", "gateway", "create", "--d") == ["--display-name", "--description"]
    assert complete("rgctl", "status", "-o", "") == ["table", "json", "yaml"]
    assert "completion.bash" in complete("rgctl", "apply", "-f", "comp")
    assert complete("rgctl", "apply", "--timeout", "") == []
