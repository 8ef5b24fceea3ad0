"""rgctl as programs use it (-o json, -o yaml): each command has a result, what goes wrong is one object on standard error."""

import json
import re

import pytest

from lib.env import free_port
from lib.mock_platform import Refusal
from lib.mocked_rgctl import DONE, FAILED, HELLO, TIMED_OUT, USAGE, write

yaml = pytest.importorskip("yaml")
pytest_plugins = ["lib.mocked_rgctl"]

TEXT_ALONE = {"completion", "help"}
NAME = "rest-api/hello-v1.0"


def has(value, **members):
    assert {k: value.get(k) for k in members} == members


def some(rows, **members):
    assert isinstance(rows, list) and rows
    has(rows[0], **members)


# Command, its words, and what its result has to say; in an order in which each finds what it needs.
COMMANDS = [
    ("gateway create", ["edge-1"], lambda v: has(v, id="edge-1")),
    ("gateway list", [], lambda v: some(v, id="edge-1")),
    ("status", [], lambda v: some(v["gateways"], id="edge-1")),
    ("token create", ["edge-1"], lambda v: has(v, token="secret-1")),
    ("token list", ["edge-1"], lambda v: some(v, status="active")),
    ("apply", ["-f", "hello.yaml"], lambda v: some(v, kind="RestApi", name="hello-v1.0", action="create", failed=False)),
    ("get", [NAME], lambda v: has(v, kind="RestApi")),
    ("list", ["rest-apis"], lambda v: some(v, id="hello-v1.0")),
    ("deployments", [NAME], lambda v: some(v, status="DEPLOYED")),
    ("undeploy", [NAME], lambda v: has(v, status="UNDEPLOYED")),
    ("restore", [NAME], lambda v: has(v, status="DEPLOYED")),
    ("history", [NAME], lambda v: some(v, event="DEPLOY")),
    ("api-key create", [NAME, "ci"], lambda v: has(v, apiKey="key-of-ci")),
    ("api-key list", [NAME], lambda v: some(v, name="ci")),
    ("api-key revoke", [NAME, "ci"],
     lambda v: has(v, kind="ApiKey", artifact="RestApi/hello-v1.0", name="ci", result="revoked")),
    ("secret set", ["key", "-f", "hello.yaml"], lambda v: has(v, kind="Secret", name="key", result="created")),
    ("secret set", ["key", "-f", "hello.yaml"], lambda v: has(v, kind="Secret", name="key", result="replaced")),
    ("secret list", [], lambda v: some(v, id="key")),
    ("secret delete", ["key"], lambda v: has(v, kind="Secret", name="key", result="deleted")),
    ("access-token create", ["ci"], lambda v: has(v, token="new-token")),
    ("access-token list", [], lambda v: some(v, id="t-ci")),
    ("access-token revoke", ["t-ci"], lambda v: has(v, kind="AccessToken", id="t-ci", result="revoked")),
    ("events", ["-n", "1"], lambda v: has(v, type="other")),
    ("delete", [NAME], lambda v: has(v, kind="RestApi", name="hello-v1.0", result="deleted")),
    ("token revoke", ["edge-1", "{token}"], lambda v: has(v, kind="GatewayToken", gateway="edge-1", result="revoked")),
    ("gateway delete", ["edge-1"], lambda v: has(v, kind="Gateway", name="edge-1", result="deleted")),
]


def command_names(rgctl):
    text = rgctl("--help").out.split("Commands:\n")[1].split("\n\n")[0]
    return {re.match(r"  ((?:[a-z-]+ ?)+)", line).group(1).strip() for line in text.splitlines()}


def trouble(r, outcome="failed"):
    """The object on standard error."""
    value = json.loads(r.err)
    assert value["outcome"] == outcome and value["exitStatus"] == r.status
    return value


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_every_command_has_a_result(rgctl, platform, form):
    platform.stream = b"event: other\ndata: plain\n\n"
    write(rgctl, "hello.yaml", HELLO)
    for name, words, is_good in COMMANDS:
        words = [platform.tokens["edge-1"][0]["id"] if w == "{token}" else w for w in words]
        r = rgctl(*name.split(), *words, "-o", form)
        assert r.err == "", name
        is_good(yaml.safe_load(r.out) if form == "yaml" else json.loads(r.out))
    assert {name for name, _, _ in COMMANDS} | TEXT_ALONE == command_names(rgctl)


def test_every_command_tells_programs_why_it_failed(rgctl):
    write(rgctl, "hello.yaml", HELLO)
    for name, words, _ in COMMANDS:
        r = rgctl(*name.split(), *words, "-o", "json", env={"RINGGATE_TOKEN": "wrong"}, expect=FAILED)
        [error] = trouble(r)["errors"]
        has(error, httpStatus=401, code="UNAUTHORIZED")
        assert "refused the token" in error["message"] and r.out == "", name


def test_every_command_tells_programs_that_it_was_called_wrongly(rgctl, platform):
    for name in command_names(rgctl) - {"help"}:
        for words in (["a", "b", "c", "d"] if name != "apply" else ["-f", "none.yaml"], ["--frob"]):
            r = rgctl("-o", "json", *name.split(), *words, expect=USAGE)
            assert trouble(r, "usage")["errors"] and r.out == "", name
    assert not platform.requests


def test_wrong_command_lines(rgctl):
    r = rgctl("aply", "--outptu", "x", "-o", "json", expect=USAGE)
    assert trouble(r, "usage")["errors"] == [
        {"message": "--outptu: got an unknown flag, wanted one of those that --help lists; did you mean --output?"}]
    [error] = trouble(rgctl("aply", "-o", "json", expect=USAGE), "usage")["errors"]
    assert "did you mean \"apply\"?" in error["message"]
    for words in ([], ["token"], ["token", "frob"]):
        [error] = trouble(rgctl(*words, "-o", "json", expect=USAGE), "usage")["errors"]
        assert "wanted one that rgctl --help lists" in error["message"]
    assert "rgctl: --output: got \"xml\"" in rgctl("status", "-o", "xml", expect=USAGE).err


def test_wrong_files_have_places(rgctl, platform):
    write(rgctl, "bad.yaml", "kind: RestApy\nmetadata: {name: a}\nspec: {}\n---\nkind: RestApi\nmetadata: {}\nspec: {}\n")
    first, second = trouble(rgctl("apply", "bad.yaml", "-o", "json", expect=USAGE), "usage")["errors"]
    has(first, place="bad.yaml:1:1", path="kind")
    assert first["message"].startswith("got \"RestApy\", wanted Gateway, RestApi")
    has(second, place="bad.yaml:6:1", path="metadata.name", message="got nothing, wanted a name, as hello-v1.0")
    assert not platform.requests


def test_what_the_platform_refuses(rgctl, platform):
    platform.add_gateway("edge-1")
    platform.refusals["POST", "/rest-apis"] = Refusal(
        400, "VALIDATION_FAILED", "The REST API is not valid.", [{"field": "operations[1].method", "message": "got \"POST\""}])
    write(rgctl, "hello.yaml", HELLO)
    r = rgctl("apply", "hello.yaml", "-o", "json", expect=FAILED)
    [error] = trouble(r)["errors"]
    assert error == {"message": "can't create RestApi/hello-v1.0 (VALIDATION_FAILED, 400)", "httpStatus": 400,
                     "code": "VALIDATION_FAILED",
                     "problems": [{"message": "got \"POST\"", "place": "hello.yaml:11:7", "path": "spec.operations[1].method"}]}
    [item] = r.json()
    assert item["failed"] is True and item["reason"] == error and item["gateways"][0]["result"] == "failed"
    platform.refusals["GET", "/gateways"] = Refusal(500, "INTERNAL_ERROR", "Bad \033[31m.", None)
    platform.refusals["GET", "/gateways"].body["trackingId"] = "t-1"
    [error] = trouble(rgctl("gateway", "list", "-o", "json", expect=FAILED))["errors"]
    has(error, httpStatus=500, code="INTERNAL_ERROR", trackingId="t-1")


def test_what_a_gateway_refuses(rgctl, platform):
    platform.add_gateway("edge-1")
    rgctl("apply", "-f", "-", text=HELLO)
    rgctl("undeploy", NAME)
    platform.answers["edge-1"] = ("GATEWAY_PROCESSING_ERROR", ("spec.policies[0].name", "no such policy"))
    r = rgctl("restore", NAME, "-o", "json", expect=FAILED)
    [error] = trouble(r)["errors"]
    has(error, code="GATEWAY_PROCESSING_ERROR")
    assert r.json()["status"] == "FAILED"


def test_a_timeout(rgctl, platform):
    platform.add_gateway("edge-1", answer="silence")
    r = rgctl("apply", "-f", "-", "--timeout", "100ms", "-o", "json", text=HELLO, expect=TIMED_OUT)
    [error] = trouble(r, "timed out")["errors"]
    assert "is still DEPLOYING on edge-1" in error["message"] and "rgctl gateway list" in error["details"][0]
    assert r.json()[0]["gateways"][0]["result"] == "timed out"


def test_a_platform_that_is_not_there(rgctl):
    r = rgctl("gateway", "list", "--platform", f"http://127.0.0.1:{free_port()}", "-o", "json", expect=FAILED)
    [error] = trouble(r)["errors"]
    assert "can't be reached" in error["message"]
    value = yaml.safe_load(rgctl("gateway", "list", "--platform", "http://host.invalid", "-o", "yaml", expect=FAILED).err)
    assert len(value["errors"]) == 1 and "can be read on the way" in value["warnings"][0]


def test_a_name_that_is_no_text(rgctl):
    r = rgctl("get", b"rest-api/caf\xe9".decode("utf-8", "surrogateescape"), "-o", "json", expect=FAILED)
    assert "caf?" in trouble(r)["errors"][0]["message"]
    assert rgctl("gateway", "list", "-o", "json", expect=DONE).json() == []
