"""rgctl with the real platform and a real gateway: the way of a new user, from nothing to a deployed API and back."""

import json
import os
import subprocess

import pytest

from lib import env
from lib.client import get
from lib.process import SANITIZER_REPORT

pytestmark = pytest.mark.skipif(not (env.PLATFORM and env.RGCTL), reason="PLATFORM_BIN or RGCTL_BIN names no program")

DONE, FAILED, USAGE, TIMED_OUT = range(4)
EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "examples")


class Site:
    def __init__(self, programs):
        self.programs = programs
        self.directory = str(programs.directory)
        self.replica = programs.origin()
        self.platform = programs.platform()
        self.gateway = None

    def rgctl(self, *words, expect=DONE, text=""):
        given = {**os.environ, "RINGGATE_PLATFORM": self.platform.url, "RINGGATE_TOKEN": self.platform.token,
                 "ASAN_OPTIONS": "detect_leaks=1:exitcode=99", "UBSAN_OPTIONS": "exitcode=99"}
        done = subprocess.run([env.RGCTL, *words], input=text, capture_output=True, text=True, cwd=self.directory, env=given,
                              timeout=env.scaled(60), check=False)
        assert not SANITIZER_REPORT.findall(done.stderr), done.stderr
        assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def rgctl_json(self, *words):
        return json.loads(self.rgctl(*words, "-o", "json").stdout)

    def connect(self):
        self.rgctl("gateway", "create", "edge-1")
        token = self.rgctl("token", "create", "edge-1").stdout.strip()
        self.gateway = self.programs.connected_gateway(self.platform, token, replica=self.replica.address, workers=2)
        env.wait_until(lambda: self.rgctl_json("gateway", "list")[0]["isActive"], 15, "the gateway to be connected")

    def example(self, name):
        """A file of docs/examples, with the test's own replica behind it."""
        with open(os.path.join(EXAMPLES, name), encoding="utf-8") as f:
            text = f.read()
        return self.file(name, text.replace("http://127.0.0.1:8000", f"http://{self.replica.address}"))

    def file(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as f:
            f.write(text)
        return name

    def status(self, path):
        return get(self.gateway.address, path).status


@pytest.fixture(name="site")
def _site(programs):
    s = Site(programs)
    s.connect()
    return s


def test_from_nothing_to_a_deployed_api_a_failed_one_and_back(site):
    assert "is live on edge-1" in site.rgctl("apply", "-f", site.example("hello.yaml")).stdout
    first = get(site.gateway.address, "/hello/inspect")
    assert first.status == 200 and json.loads(first.body)["target"] == "/inspect"
    broken = site.rgctl("apply", "-f", site.example("broken.yaml"), expect=FAILED)
    assert "RestApi/hello FAILED on edge-1" in broken.stderr
    place = next(line for line in broken.stderr.splitlines() if line.startswith("  broken.yaml:"))
    with open(os.path.join(site.directory, "broken.yaml"), encoding="utf-8") as f:
        named = f.read().splitlines()[int(place.split(":")[1]) - 1]
    assert '"x deployed by"' in named  # the line that is at fault
    assert place.count("spec.policies[0]") == 1 and "GATEWAY_PROCESSING_ERROR" in place
    assert site.status("/hello/inspect") == 200  # what was live is live
    statuses = [(d["status"], d["live"]) for d in site.rgctl_json("deployments", "rest-api/hello")]
    assert statuses == [("FAILED", False), ("ARCHIVED", True)]
    head, *rows = site.rgctl("deployments", "rest-api/hello").stdout.splitlines()
    lives = [row[head.index("LIVE"):].split()[0] for row in rows]
    assert lives == ["no", "yes"]  # which one answers is seen at a glance
    site.rgctl("restore", "rest-api/hello")
    assert site.status("/hello/inspect") == 200
    site.rgctl("undeploy", "rest-api/hello")
    assert site.status("/hello/inspect") == site.status("/elsewhere")  # the replica's answer to what it does not know
    history = [e["toStatus"] for e in site.rgctl_json("history", "rest-api/hello")]
    assert history == ["DEPLOYING", "DEPLOYED", "DEPLOYING", "FAILED", "DEPLOYING", "DEPLOYED", "UNDEPLOYING", "UNDEPLOYED"]
    site.rgctl("delete", "rest-api/hello")
    assert site.rgctl("get", "rest-apis").stdout == "No rest-apis.\n"


def test_nothing_to_do_a_second_time(site):
    name = site.example("hello.yaml")
    site.rgctl("apply", name)
    [item] = site.rgctl_json("apply", name)
    assert item["action"] == "unchanged" and item["gateways"][0]["result"] == "live"
    assert len(site.rgctl_json("deployments", "rest-api/hello")) == 1


def test_what_the_platform_refuses_is_shown_in_the_file(site):
    text = "kind: RestApi\nmetadata: {name: bad}\nspec:\n  displayName: Bad\n  version: v1.0\n  context: /bad\n  frob: 1\n"
    r = site.rgctl("apply", "-f", "-", text=text, expect=FAILED)
    assert "can't create RestApi/bad (VALIDATION_FAILED, 400):" in r.stderr
    assert "  standard input:7:3: spec.frob: got an unknown key" in r.stderr
    assert "  standard input:3:1: spec.operations: " in r.stderr
    text = text.replace("frob: 1", "frob: 1\n  resilience: 7")
    [error] = json.loads(site.rgctl("apply", "-f", "-", "-o", "json", text=text, expect=FAILED).stderr)["errors"]
    assert {p["path"] for p in error["problems"]} == {
        "spec.upstream", "spec.operations", "spec.frob", "spec.resilience"}  # whatever stage finds it
    r = site.rgctl("undeploy", "rest-api/bad", "--gateway", "nowhere", expect=FAILED)
    assert r.stderr == ('rgctl: can\'t undeploy RestApi/bad: There is no REST API "bad". (REST_API_NOT_FOUND, 404)\n'
                        "  rgctl list rest-apis shows those there are\n")


def test_providers_and_proxies_with_a_secret(site):
    site.rgctl("secret", "set", "acme-key", "-f", "-", text="sk-1\n")
    text = f"""
kind: LlmProxy
metadata: {{name: chat}}
spec: {{displayName: Chat, version: v1.0, context: /chat, provider: {{id: acme}}}}
---
kind: LlmProvider
metadata: {{name: acme}}
spec:
  displayName: Acme
  version: v1.0
  template: openai
  context: /acme
  upstream: {{url: "http://{site.replica.address}", auth: {{type: api-key, header: x-key, value: '{{{{ secret "acme-key" }}}}'}}}}
  accessControl: {{mode: allow_all}}
"""
    done = site.rgctl("apply", "-f", "-", text=text)
    assert done.stdout.index("LlmProvider/acme is live") < done.stdout.index("LlmProxy/chat created")
    assert site.status("/acme/inspect") == 200
    assert "unchanged" in site.rgctl("apply", "-f", "-", "--dry-run", text=text).stdout
    assert "replaced" in site.rgctl("secret", "set", "acme-key", "-f", "-", text="sk-2\n").stdout
    assert [i["gateways"][0]["todo"] for i in site.rgctl_json("apply", "--dry-run", "-f", site.file("llm.yaml", text))] == ["deploy", "none"]
    assert '"sk-1"' in get(site.gateway.address, "/chat/inspect").body.decode()
    site.rgctl("apply", "-f", "llm.yaml")
    assert '"sk-2"' in get(site.gateway.address, "/chat/inspect").body.decode()
    assert [i["gateways"][0]["todo"] for i in site.rgctl_json("apply", "--dry-run", "-f", "llm.yaml")] == ["none", "none"]
    r = site.rgctl("delete", "llm-provider/acme", expect=FAILED)
    assert "409" in r.stderr
    r = site.rgctl("secret", "delete", "acme-key", expect=FAILED)
    assert 'The LLM provider "acme", deployed on the gateway "edge-1", names the secret "acme-key"; undeploy it' in r.stderr
    r = site.rgctl("undeploy", "llm-provider/acme", expect=FAILED)  # what the proxy serves would go with it
    assert 'The LLM proxy "chat" leads through it' in r.stderr and "ARTIFACT_IN_USE" in r.stderr
    assert site.status("/chat/inspect") == 200
    gone = text.replace("id: acme}}", "id: acme}, deploymentState: undeployed}").replace("displayName: Acme", "displayName: Acme\n  deploymentState: undeployed")
    done = site.rgctl("apply", "-f", "-", text=gone)
    assert done.stdout.index("LlmProxy/chat is no longer served") < done.stdout.index("LlmProvider/acme is no longer served")
    assert site.status("/chat/inspect") == site.status("/acme/inspect") == site.status("/elsewhere")


def test_what_is_got_can_be_applied(site):
    """As users of kubectl expect; a value that is not shown stays what it is."""
    site.rgctl("apply", "-f", "-", text=f"""kind: LlmProvider
metadata: {{name: acme, labels: {{team: a}}}}
spec:
  displayName: Acme
  version: "1.10"
  template: openai
  context: /acme
  upstream: {{url: "http://{site.replica.address}", auth: {{type: api-key, header: x-key, value: sk-1}}}}
  accessControl: {{mode: allow_all}}
---
kind: RestApi
metadata: {{name: hello}}
spec: {{displayName: Hello, version: v1.0, context: /hello, upstream: {{main: {{url: "http://{site.replica.address}"}}}}, operations: [{{method: GET, path: /*}}]}}
""")
    for form in ("yaml", "json"):
        for name in ("rest-api/hello", "gateway/edge-1"):
            text = site.rgctl("get", name, "-o", form).stdout
            assert [i["action"] for i in site.rgctl_json("apply", "-f", site.file("got.yaml", text))] == ["unchanged"], text
    text = site.rgctl("get", "llm-provider/acme").stdout
    assert "sk-1" not in text and "team: a" in text
    assert "LlmProvider/acme is live" in site.rgctl("apply", "-f", site.file("got.yaml", text.replace("Acme", "Acme Inc"))).stdout
    assert '"sk-1"' in get(site.gateway.address, "/acme/inspect").body.decode()
    assert site.rgctl("get", "llm-provider/acme").stdout.count("displayName: Acme Inc") == 1


def test_secrets_that_are_missing_are_shown_in_the_file(site):
    text = f"""kind: LlmProvider
metadata: {{name: acme}}
spec:
  displayName: Acme
  version: v1.0
  template: openai
  context: /acme
  upstream:
    url: "http://{site.replica.address}"
    auth: {{type: api-key, header: x-key, value: '{{{{ secret "nobody-has-it" }}}}'}}
  accessControl: {{mode: allow_all}}
  globalPolicies:
    - {{name: set-headers, version: v1, params: {{request: {{headers: [{{name: x, value: '{{{{ secret "nor-this" }}}}'}}]}}}}}}
"""
    r = site.rgctl("apply", "-f", site.file("acme.yaml", text), expect=FAILED)
    place = next(line for line in r.stderr.splitlines() if line.startswith("  acme.yaml:"))
    assert place.startswith('  acme.yaml:10:') and 'spec.upstream.auth.value: got the secret "nobody-has-it"' in place, r.stderr
    assert "set it there" in place
    value = json.loads(site.rgctl("apply", "-f", "acme.yaml", "-o", "json", expect=FAILED).stderr)
    [error] = value["errors"]
    assert error["code"] == "GATEWAY_PROCESSING_ERROR"
    assert [(p["place"], p["path"]) for p in error["problems"]] == [
        ("acme.yaml:10:42", "spec.upstream.auth.value"),
        ("acme.yaml:13:79", "spec.globalPolicies[0].params.request.headers[0].value")], error


def test_events_tokens_and_keys_of_the_real_platform(site):
    events = subprocess.Popen([env.RGCTL, "events", "-n", "2", "-o", "json", "--platform", site.platform.url],
                              env={**os.environ, "RINGGATE_TOKEN": site.platform.token}, stdout=subprocess.PIPE, text=True)
    try:
        env.wait_until(lambda: site.platform.metrics().get("ringgate_platform_event_streams") == 1, 15, "the stream to begin")
        site.rgctl("apply", site.example("hello.yaml"))
        out, _ = events.communicate(timeout=env.scaled(20))
    finally:
        events.kill()
        events.wait()
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["DEPLOYING", "DEPLOYED"]
    assert events.returncode == 0
    assert len(site.rgctl("api-key", "create", "rest-api/hello", "ci", "--expires", "24h").stdout.strip()) >= 16
    assert [k["name"] for k in site.rgctl_json("api-key", "list", "rest-api/hello")] == ["ci"]
    site.rgctl("api-key", "revoke", "rest-api/hello", "ci")
    site.rgctl("token", "create", "edge-1")
    assert "GATEWAY_TOKEN_LIMIT_REACHED, 409" in site.rgctl("token", "create", "edge-1", expect=FAILED).stderr
    site.rgctl("token", "revoke", "edge-1", site.rgctl_json("token", "list", "edge-1")[1]["id"])
    reader = site.rgctl("access-token", "create", "reader", "--role", "reader").stdout.strip()
    given = {**os.environ, "RINGGATE_PLATFORM": site.platform.url, "RINGGATE_TOKEN": reader}
    assert subprocess.run([env.RGCTL, "get", "rest-apis"], env=given, check=False, capture_output=True).returncode == DONE
    denied = subprocess.run([env.RGCTL, "delete", "rest-api/hello"], env=given, check=False, capture_output=True, text=True)
    assert denied.returncode == FAILED
    assert 'The token "reader" has the role reader; this takes one with the role operator. (FORBIDDEN, 403)' in denied.stderr


def test_an_unreachable_gateway_times_out_and_converges_later(site):
    site.rgctl("gateway", "create", "edge-2")
    r = site.rgctl("apply", site.example("hello.yaml"), "-g", "edge-1,edge-2", "--timeout", "2s", expect=TIMED_OUT)
    assert "RestApi/hello is live on edge-1" in r.stdout
    assert "deploy to edge-2 (not connected now)" in r.stdout and "is edge-2 connected?" in r.stderr
    token = site.rgctl("token", "create", "edge-2").stdout.strip()
    other = site.programs.connected_gateway(site.platform, token, replica=site.replica.address, workers=1)
    site.rgctl("apply", "hello.yaml", "-g", "edge-2", "--timeout", "30s")
    assert get(other.address, "/hello/inspect").status == 200
