"""rgctl apply against a control plane whose gateways answer what the test wants."""

import re

import pytest

from lib.mock_platform import Refusal
from lib.mocked_rgctl import FAILED, HELLO, TIMED_OUT, USAGE, write

yaml = pytest.importorskip("yaml")
pytest_plugins = ["lib.mocked_rgctl"]


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
    platform.add_gateway("edge-1", answer=("GATEWAY_PROCESSING_ERROR", (
        "spec.operations[1].policies[0].params.limits[0].requests", "got 0, wanted a whole number from 1")))
    write(rgctl, "hello.yaml", "# a comment\n---\n" + HELLO)
    r = rgctl("apply", "-f", "hello.yaml", expect=FAILED)
    assert "RestApi/hello-v1.0 FAILED on edge-1" in r.err
    col = HELLO.splitlines()[13].index("requests") + 1
    assert (f"\n  hello.yaml:16:{col}: spec.operations[1].policies[0].params.limits[0].requests: got 0, wanted a whole number "
            "from 1 (GATEWAY_PROCESSING_ERROR)") in r.err
    assert "is live" not in r.out


def test_a_place_in_a_large_file(rgctl, platform):
    """As many operations as a definition may have, which is more than a configuration has of anything."""
    platform.add_gateway("edge-1", answer=("GATEWAY_PROCESSING_ERROR", ("spec.operations[9999].method", "got FROB, wanted GET")))
    head = HELLO.partition("  operations:")[0] + "  operations:\n"
    write(rgctl, "large.yaml", head + "".join(f"    - {{method: FROB, path: /p{i}}}\n" for i in range(10000)))
    r = rgctl("apply", "-f", "large.yaml", expect=FAILED)
    assert f"  large.yaml:{head.count(chr(10)) + 10000}:8: spec.operations[9999].method: got FROB, wanted GET" in r.err, r.err


def test_each_of_several_problems_has_its_place(rgctl, platform):
    platform.add_gateway("edge-1", answer=(
        "GATEWAY_PROCESSING_ERROR",
        ("spec.version", "got \"one\", wanted a version; spec.x: is no field of it"),  # what a text holds is no matter
        ("spec.operations[1].method", "got \"spec.x\", wanted GET; did you mean GET?"),
        ("LlmProvider p: spec.upstream", "got nothing, wanted a mapping"), ("", "and 3 more")))
    write(rgctl, "hello.yaml", HELLO)
    r = rgctl("apply", "-f", "hello.yaml", expect=FAILED)
    _, *shown = r.err.splitlines()
    assert shown == ["  hello.yaml:6:3: spec.version: got \"one\", wanted a version; spec.x: is no field of it",
                     "  hello.yaml:11:7: spec.operations[1].method: got \"spec.x\", wanted GET; did you mean GET?",
                     "  hello.yaml:1:1: LlmProvider p: spec.upstream: got nothing, wanted a mapping",
                     "  hello.yaml:1:1: and 3 more (GATEWAY_PROCESSING_ERROR)"]
    [item] = rgctl("apply", "-f", "hello.yaml", "-o", "json", expect=FAILED).json()
    assert item["failed"] is True
    reason = item["gateways"][0]["reason"]
    assert reason["code"] == "GATEWAY_PROCESSING_ERROR"
    assert reason["problems"][1] == {"place": "hello.yaml:11:7", "path": "spec.operations[1].method",
                                     "message": "got \"spec.x\", wanted GET; did you mean GET?"}
    assert len(reason["problems"]) == 4 and "path" not in reason["problems"][3]


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
    platform.add_gateway("edge-2", answer=("DEPLOYMENT_TIMEOUT",))
    write(rgctl, "hello.yaml", HELLO)
    r = rgctl("apply", "hello.yaml", "-g", "edge-1,edge-2", "-o", "yaml", expect=FAILED)
    [item] = yaml.safe_load(r.out)
    assert [(g["gateway"], g["result"]) for g in item["gateways"]] == [("edge-1", "live"), ("edge-2", "failed")]
    assert item["failed"] is True and item["gateways"][1]["reason"]["code"] == "DEPLOYMENT_TIMEOUT"
    assert "reason" not in item["gateways"][0]
    assert "rgctl gateway list" in r.err


def test_what_is_not_waited_for_is_told(rgctl, platform):
    platform.add_gateway("edge-1", answer="silence")
    write(rgctl, "hello.yaml", HELLO)
    out = rgctl("apply", "hello.yaml", "--no-wait").out
    [d] = platform.deployments
    assert (f"RestApi/hello-v1.0 was asked for on edge-1 (deployment {d['deploymentId']}); "
            "rgctl deployments rest-api/hello-v1.0 shows what comes of it\n") in out


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
