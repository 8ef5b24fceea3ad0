"""rgctl's commands, but for apply, against a control plane whose gateways answer what the test wants; what goes wrong; help."""

import json
import os
import pty
import re
import subprocess

import pytest

from lib.env import RGCTL, free_port, scaled, wait_until
from lib.mock_platform import TOKEN, MockPlatform, Refusal
from lib.mocked_rgctl import DONE, FAILED, HELLO, TIMED_OUT, USAGE, write
from lib.tls import Certificate

yaml = pytest.importorskip("yaml")
pytest_plugins = ["lib.mocked_rgctl"]


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
    assert "RestApi/hello-v1.0 is not deployed on any gateway" in rgctl("undeploy", "rest-api/hello-v1.0", expect=FAILED).err
    assert "DEPLOYED on edge-1" in rgctl("restore", "rest-api/hello-v1.0").out
    history = rgctl("history", "rest-api/hello-v1.0").out.splitlines()
    assert len({line.index(line.split()[4]) for line in history}) == 1  # columns
    assert [line.split()[3] for line in history] == ["DEPLOYING", "DEPLOYED", "UNDEPLOYING", "UNDEPLOYED", "DEPLOYING", "DEPLOYED"]
    status = rgctl("status").out
    assert f"Platform {platform.url}: ready, version 0.1-mock" in status and "Gateways: 1 of 1 connected" in status
    rgctl("delete", "rest-api/hello-v1.0")
    rgctl("gateway", "delete", "edge-1")
    assert rgctl("gateway", "list").out == "No gateways.\n"


def test_undeploy_and_restore_tell_programs_and_those_who_do_not_wait(rgctl, platform):
    platform.add_gateway("edge-1")
    platform.polls_before_ack = 1
    rgctl("apply", "-f", "-", text=HELLO)
    [d] = platform.deployments
    gone = rgctl("undeploy", "rest-api/hello-v1.0", "-o", "json").json()
    assert (gone["deploymentId"], gone["gatewayId"], gone["status"]) == (d["deploymentId"], "edge-1", "UNDEPLOYED")
    r = rgctl("restore", "rest-api/hello-v1.0", "--no-wait")
    assert r.out == (f"RestApi/hello-v1.0 DEPLOYING on edge-1 (deployment {d['deploymentId']}); "
                     "rgctl deployments rest-api/hello-v1.0 shows what comes of it\n")
    assert rgctl("undeploy", "rest-api/hello-v1.0", "--no-wait", "-o", "json").json()["status"] == "UNDEPLOYING"
    platform.settle(platform.deployments[0])
    platform.answers["edge-1"] = "silence"
    r = rgctl("restore", "rest-api/hello-v1.0", "--timeout", "100ms", "-o", "yaml", expect=TIMED_OUT)
    assert yaml.safe_load(r.out)["status"] == "DEPLOYING"


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
    platform.answers["edge-1"] = ("GATEWAY_PROCESSING_ERROR", ("spec.policies[0].name", "no such policy"))
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
    platform.answers["edge-1"] = ("GATEWAY_PROCESSING_ERROR", ("spec.policies[0].name", "no such policy"))
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
             "errorMessage": "spec.policies[0].name: no such policy",
             "errors": [{"field": "spec.policies[0].name", "message": "no such policy"}], "timestamp": "2026-08-22T09:15:04.1Z"}
    platform.stream = b": hello\n\ndata: " + json.dumps(event).encode() + b"\n\nevent: other\ndata: plain\r\n\r\n"
    platform.stream += b'data: {"type": "gateway.connected", "gatewayId": "edge-1", "timestamp": "2026-08-22T09:15:05Z"}\n\n'
    first, second, third = rgctl("events", "--count", "3").out.splitlines()
    assert third == "2026-08-22T09:15:05Z      gateway.connected  edge-1"
    assert first == ("2026-08-22T09:15:04.1Z    deployment.status  RestApi/hello  FAILED on edge-1  0199c1d3-02b4  "
                     "GATEWAY_PROCESSING_ERROR  spec.policies[0].name: no such policy")
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
    for text, got in (("\n", "nothing"), ("x" * 65537, "more bytes"), ("a\0b", "a zero byte")):
        r = rgctl("secret", "set", "a", "-f", "-", text=text, expect=USAGE)
        assert r.err == f"rgctl: standard input: got {got}, wanted a secret, text of 1 to 65536 bytes\n"
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
    g = programs.gateway(replica.address, {"replica": {"health": {"path": "/api/v2/status"}}}, workers=2)
    r = rgctl("status", "--admin", g.admin_port, expect=DONE)
    assert r.out.startswith(f"Gateway 127.0.0.1:{g.admin_port}: ready\nReplica: healthy\n")
    table = [line.split() for line in r.out.splitlines()[3:]]
    assert table[0][0] == "WORKER" and [row[0] for row in table[1:]] == ["0", "1"], r.out
    told = rgctl("status", "--admin", g.admin_port, "-o", "json").json()
    assert told["ready"] is True and told["reasons"] == [] and told["replica"] == "healthy"
    assert [w["worker"] for w in told["workers"]] == [0, 1]


def test_admin_endpoint_of_a_gateway_that_is_not_ready(rgctl, programs):
    g = programs.gateway(f"127.0.0.1:{free_port()}", {"replica": {"health": {"path": "/", "interval": "100ms", "fall": 1}}})
    r = wait_until(lambda: (r := rgctl("status", "--admin", g.admin_port, expect=FAILED)) and "replica-down" in r.out and r)
    assert re.search(r": not ready \(replica-down\)\nReplica: down \(can't connect: .+\)\n", r.out), r.out
    told = rgctl("status", "--admin", g.admin_port, "-o", "json", expect=FAILED).json()
    assert told["ready"] is False and told["reasons"] == ["replica-down"] and told["detail"].startswith("can't connect")


def test_admin_endpoint_that_is_not_there(rgctl):
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
