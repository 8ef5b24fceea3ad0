"""Definitions of artifacts, deployed to the real program: where requests go, and what is said of a definition that can't be served."""

import json

import pytest

from lib.client import Client, get
from lib.control_plane import ControlPlane
from lib.env import wait_until
from lib.raw_origin import reply


def definition(kind, name, spec):
    """spec: a value, written as the JSON that is YAML too."""
    return json.dumps({"apiVersion": "gateway.api-platform.wso2.com/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})


def echo(name):
    """An upstream that tells what it got."""
    def script(_, request):
        fields = {n: request.all(n) for n in request.names()}
        return reply(json.dumps({"at": name, "line": f"{request.method} {request.target}", "fields": fields}).encode())
    return script


class World:
    def __init__(self, programs, tmp_path):
        self.origins = {name: programs.raw_origin(echo(name)) for name in ("replica", "main", "other", "sandbox")}
        self.cp = programs.add(ControlPlane())
        self.gateway = programs.gateway(self.origins["replica"].address, workers=1, config=self.cp.configuration(tmp_path))
        self.cp.wait_connected()
        self.cp.wait_synced()

    def url(self, name, base=""):
        return f"http://{self.origins[name].address}{base}"

    def deploy(self, kind, name, spec):
        d = self.cp.deploy(definition(kind, name, spec), kind=kind)
        self.cp.wait_live(d)
        return d

    def refused(self, kind, name, spec):
        return self.cp.wait_failed(self.cp.deploy(definition(kind, name, spec), kind=kind))["errorMessage"]

    def ask(self, line, host="test", fields=()):
        """What the upstream says that it got; a number: the status of an answer that is none of an upstream's."""
        extra = "".join(f"{n}: {v}\r\n" for n, v in fields)
        with Client(self.gateway.address) as c:
            r = c.request(f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{extra}\r\n".encode(), line.split()[0])
        return json.loads(r.body) if r.status == 200 else r.status

    def where(self, line, **more):
        got = self.ask(line, **more)
        return got if isinstance(got, int) else f"{got['at']} {got['line']}"


@pytest.fixture
def world(programs, tmp_path):
    return World(programs, tmp_path)


def api(upstream, operations, **more):
    return {"displayName": "It", "version": "v1.0", "context": "/it/$version", "upstream": {"main": upstream},
            "operations": operations, **more}


def test_paths_methods_and_headers(world):
    world.deploy("RestApi", "it", api({"url": world.url("main", "/base")}, [
        {"method": "GET", "path": "/items/{id}"},
        {"method": "GET", "path": "/"},
        {"method": "*", "path": "/files/*"},
        {"match": {"method": "POST", "path": {"value": "/orders", "type": "PathPrefix"},
                   "headers": [{"name": "x-tier", "value": "gold|silver", "type": "RegularExpression"}]}},
    ]))
    assert world.where("GET /it/v1.0/items/7?x=1") == "main GET /base/items/7?x=1"
    assert world.where("GET /it/v1.0/items/") == "replica GET /it/v1.0/items/"
    assert world.where("POST /it/v1.0/items/7") == "replica POST /it/v1.0/items/7"
    assert world.where("GET /it/v1.0") == "main GET /base"
    assert world.where("GET /it/v1.0/") == "main GET /base/"
    assert world.where("PURGE /it/v1.0/files/a/b") == "main PURGE /base/files/a/b"
    assert world.where("POST /it/v1.0/orders/1", fields=[("X-Tier", "silver")]) == "main POST /base/orders/1"
    assert world.where("POST /it/v1.0/orders/1", fields=[("X-Tier", "silverish")]) == "replica POST /it/v1.0/orders/1"
    assert world.where("GET /it/v1.1/items/7") == "replica GET /it/v1.1/items/7"


def test_slashes_in_a_row_lead_past_no_policy(world):
    key = {"name": "api-key-auth", "version": "v1", "params": {"key": "x-api-key", "in": "header"}}
    rewrite = {"name": "request-rewrite", "version": "v1",
               "params": {"pathRewrite": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}}
    world.deploy("RestApi", "it", api({"url": world.url("main", "/base")}, [
        {"method": "GET", "path": "/admin/*", "policies": [key]}, {"method": "GET", "path": "/old/*", "policies": [rewrite]},
        {"method": "*", "path": "/*"}]))
    for path in ("/admin/x", "//admin/x", "/x/..//admin/x", "/admin//x", "///admin"):
        assert world.where(f"GET /it/v1.0{path}") == 401, path
    assert world.where("GET /it/v1.0//open") == "main GET /base//open"  # the upstream gets them as they came
    assert world.where("GET /it/v1.0//old//x") == "main GET /base/new//x"
    for path in ("//it/v1.0/x", "/it//v1.0/x"):
        assert world.where(f"GET {path}") == f"replica GET {path}"


def test_hosts_and_sandbox(world):
    spec = api({"url": world.url("main")}, [{"method": "GET", "path": "/a"}],
               vhosts={"main": "API.example.com; *.shop.example.com", "sandbox": "sandbox.example.com"})
    spec["upstream"]["sandbox"] = {"url": world.url("sandbox"), "hostRewrite": "manual"}
    world.deploy("RestApi", "it", spec)
    got = world.ask("GET /it/v1.0/a", host="api.example.com:8080")
    assert got["at"] == "main" and got["fields"]["host"] == [world.origins["main"].address]
    assert world.where("GET /it/v1.0/a", host="a.b.shop.example.com") == "main GET /a"
    got = world.ask("GET /it/v1.0/a", host="SANDBOX.example.com")
    assert got["at"] == "sandbox" and got["fields"]["host"][0].lower() == "sandbox.example.com"
    assert world.where("GET /it/v1.0/a", host="shop.example.com") == "replica GET /it/v1.0/a"


def test_weighted_targets(world):
    world.deploy("RestApi", "it", api({"ref": "pool"}, [{"method": "GET", "path": "/a"}], upstreamDefinitions=[
        {"name": "pool", "basePath": "/p", "upstreams": [{"url": world.url("main"), "weight": 0}, {"url": world.url("other")}]}]))
    assert {world.where("GET /it/v1.0/a") for _ in range(10)} == {"other GET /p/a"}


def test_context_of_everything(world):
    world.deploy("RestApi", "it", api({"url": world.url("main")}, [{"method": "*", "path": "/*"}], context="/"))
    assert world.where("GET /") == "main GET /"
    assert world.where("GET /api/v2/status") == "main GET /api/v2/status"


def test_an_undeployed_definition_has_no_routes(world):
    world.deploy("RestApi", "it", api({"url": world.url("main")}, [{"method": "GET", "path": "/a"}], deploymentState="undeployed"))
    assert world.where("GET /it/v1.0/a") == "replica GET /it/v1.0/a"


def test_every_problem_is_told_and_the_old_one_goes_on(world):
    d = world.deploy("RestApi", "it", api({"url": world.url("main")}, [{"method": "GET", "path": "/a"}]))
    bad = definition("RestApi", "it", api({"url": "http://169.254.169.254/latest"}, [
        {"method": "get", "path": "/a"}, {"method": "GET", "path": "a"},
        {"method": "GET", "path": "/b", "policies": [{"name": "respond", "version": "v1", "params": {"statusCode": "ok"}}]}],
        vhosts={"main": "a:1"}, policies=[{"name": "nobodys", "version": "v1"}]))
    message = world.cp.wait_failed(world.cp.deploy(bad, d.artifact))["errorMessage"]
    for part in ("spec.vhosts.main: got \"a:1\"", "spec.upstream.main.url: ", "did you mean GET?", "spec.operations[1].path: ",
                 "spec.policies[0].name: ", "spec.operations[2].policies[0].params.statusCode: "):
        assert part in message, message
    assert world.where("GET /it/v1.0/a") == "main GET /a"


@pytest.mark.parametrize("kind, spec, path", [
    ("RestApi", {"policies": [{"name": "token-based-ratelimit", "version": "v1"}]}, "spec.policies[0].name"),
    ("RestApi", {"policies": [{"name": "respond", "params": {"statusCode": "ok"}}]}, "spec.policies[0].params.statusCode"),
    ("RestApi", {"subscriptionPlans": ["gold"]}, "spec.subscriptionPlans"),
    ("LlmProxy", {"provider": {"id": "nobody"}}, "spec.provider.id"),
])
def test_what_is_not_supported_fails_by_name(world, kind, spec, path):
    message = world.refused(kind, "it", {**api({"url": world.url("main")}, [{"method": "GET", "path": "/a"}]), **spec})
    assert message.startswith(path + ": "), message


def test_two_artifacts_with_the_same_route(world):
    world.deploy("RestApi", "one", api({"url": world.url("main")}, [{"method": "GET", "path": "/items/{id}"}]))
    message = world.refused("RestApi", "two", api({"url": world.url("other")}, [{"method": "GET", "path": "/items/{name}"}]))
    assert "/it/v1.0/items/" in message, message
    assert world.where("GET /it/v1.0/items/1") == "main GET /items/1"


def test_a_definition_may_not_open_the_admin_endpoint(world):
    url = f"http://localhost:{world.gateway.admin_port}"
    message = world.refused("RestApi", "it", api({"url": url}, [{"method": "GET", "path": "/*"}]))
    assert message.startswith("spec.upstream.main.url: ") and "admin" in message, message


def test_a_secret_that_is_missing_is_named(world):
    spec = api({"url": world.url("main"), "auth": {"type": "api-key", "header": "x-key", "value": "{{ secret \"gone\" }}"}},
               [{"method": "GET", "path": "/a"}])
    assert "gone" in world.refused("RestApi", "it", spec)


def test_the_way_a_proxy_takes(world):
    provider = {"displayName": "P", "version": "v1.0", "context": "/provider", "template": "openai",
                "upstream": {"url": world.url("main", "/v1")},
                "accessControl": {"mode": "deny_all", "exceptions": [{"path": "/chat/completions", "methods": ["POST"]}]}}
    d = world.deploy("LlmProvider", "main", provider)
    world.deploy("LlmProxy", "talk", {"displayName": "T", "version": "v1.0", "context": "/talk", "provider": {"id": "main"}})
    assert world.where("POST /provider/chat/completions") == "main POST /v1/chat/completions"
    assert world.where("POST /talk/chat/completions") == "main POST /v1/chat/completions"
    for path in ("GET /provider/chat/completions", "POST /provider/files", "POST /talk/files", "GET /talk/chat/completions"):
        assert world.where(path) == 404, path
    r = get(world.gateway.address, "/provider/files")
    assert json.loads(r.body) == {"error": "Not Found"}
    # its proxies change with a provider
    provider["upstream"] = {"url": world.url("other")}
    newer = world.cp.deploy(definition("LlmProvider", "main", provider), d.artifact, kind="LlmProvider")
    world.cp.wait_live(newer)
    assert world.where("POST /talk/chat/completions") == "other POST /chat/completions"


def test_head_can_be_named_in_access_control(world):
    def provider(mode, methods):
        return {"displayName": "P", "version": "v1.0", "context": "/p", "template": "openai", "upstream": {"url": world.url("main")},
                "accessControl": {"mode": mode, "exceptions": [{"path": "/files/*", "methods": methods}]}}

    def status(method, path):
        with Client(world.gateway.address) as c:
            return c.request(f"{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode(), method).status
    d = world.deploy("LlmProvider", "main", provider("allow_all", ["HEAD"]))
    assert (status("HEAD", "/p/files/1"), status("GET", "/p/files/1"), status("HEAD", "/p/other")) == (404, 200, 200)
    for mode, methods, wanted in (("allow_all", ["GET"], (404, 404, 200)), ("deny_all", ["HEAD"], (200, 404, 404)),
                                  ("deny_all", ["GET"], (200, 200, 404))):
        newer = world.cp.deploy(definition("LlmProvider", "main", provider(mode, methods)), d.artifact, kind="LlmProvider")
        world.cp.wait_live(newer)
        assert (status("HEAD", "/p/files/1"), status("GET", "/p/files/1"), status("HEAD", "/p/other")) == wanted, (mode, methods)


def test_a_proxy_meets_its_own_policies_and_then_its_provider_s(world):
    world.cp.secrets.update({"openai-key": "sk-1", "loop": "k-loop"})
    provider = {
        "displayName": "P", "version": "v1.0", "context": "/provider", "template": "openai",
        "upstream": {"url": world.url("main", "/v1"),
                     "auth": {"type": "api-key", "header": "Authorization", "value": "Bearer {{ secret \"openai-key\" }}"}},
        "accessControl": {"mode": "allow_all", "exceptions": [{"path": "/files/*", "methods": ["GET"]}]},
        "globalPolicies": [{"name": "set-headers", "params": {"request": {"headers": [{"name": "x-by", "value": "provider"}]}}}],
        "operationPolicies": [{"name": "basic-ratelimit", "version": "v1", "paths": [
            {"path": "/limited/*", "methods": ["*"], "params": {"limits": [{"requests": 2, "duration": "1h"}]}}]}],
    }
    world.deploy("LlmProvider", "main", provider)
    world.deploy("LlmProxy", "talk", {
        "displayName": "T", "version": "v1.0", "context": "/talk",
        "provider": {"id": "main", "auth": {"type": "api-key", "header": "x-loop", "value": "{{ secret \"loop\" }}"}},
        "globalPolicies": [{"name": "set-headers", "params": {"request": {"headers": [
            {"name": "x-by", "value": "proxy"}, {"name": "x-loop", "value": "mine"}]}}}],
        "operationPolicies": [{"name": "respond", "version": "v1", "executionCondition": "\"x-stop\" in request.Headers",
                               "paths": [{"path": "/chat/*", "methods": ["POST"], "params": {"statusCode": 418}}]}],
    })
    got = world.ask("POST /talk/chat/completions")
    assert got["line"] == "POST /v1/chat/completions"
    assert got["fields"]["authorization"] == ["Bearer sk-1"]
    assert got["fields"]["x-by"] == ["provider"] and got["fields"]["x-loop"] == ["k-loop"]
    assert world.where("POST /talk/chat/completions", fields=[("X-Stop", "1")]) == 418
    r = get(world.gateway.address, "/talk/files/1")
    assert (r.status, json.loads(r.body)) == (404, {"message": "Resource not found."})
    assert world.where("DELETE /talk/files/1") == "main DELETE /v1/files/1"
    # the limits of a provider hold for all ways that lead to it
    ways = ["GET /provider/limited/a", "GET /talk/limited/a", "GET /talk/limited/a", "GET /provider/limited/a"]
    assert [world.where(w) for w in ways] == ["main GET /v1/limited/a"] * 2 + [429] * 2


def test_preflights_of_browsers(world):
    operations = [{"method": "GET", "path": "/a"}, {"method": "PUT", "path": "/a"}]
    world.deploy("RestApi", "it", api({"url": world.url("main")}, operations, policies=[
        {"name": "basic-auth", "version": "v1", "params": {"username": "u", "password": "p"}},
        {"name": "cors", "version": "v1", "params": {"allowedOrigins": ["https://x.example"], "allowedMethods": ["PUT"]}}]))
    asked = [("Origin", "https://x.example"), ("Access-Control-Request-Method", "PUT")]
    r = get(world.gateway.address, "/it/v1.0/a", asked, "OPTIONS")
    assert r.status in (200, 204) and r.get("access-control-allow-origin") == "https://x.example", r
    assert world.where("PUT /it/v1.0/a") == 401
    assert world.where("OPTIONS /it/v1.0/a") == 404


def test_keys_of_a_provider_are_for_its_proxies(world):
    provider = {"displayName": "P", "version": "v1.0", "context": "/provider", "template": "openai",
                "upstream": {"url": world.url("main")}, "accessControl": {"mode": "allow_all"},
                "globalPolicies": [{"name": "api-key-auth", "version": "v1", "params": {"key": "X-API-Key", "in": "header"}}]}
    world.cp.secrets["loop"] = "a-key-of-the-loop"
    d = world.deploy("LlmProvider", "main", provider)
    world.cp.add_key(d, "loop", "a-key-of-the-loop")
    world.deploy("LlmProxy", "talk", {
        "displayName": "T", "version": "v1.0", "context": "/talk",
        "provider": {"id": "main", "auth": {"type": "api-key", "header": "X-API-Key", "value": "{{ secret \"loop\" }}"}}})
    wait_until(lambda: world.where("GET /talk/a") == "main GET /a", 10, "the key to be known")
    assert world.where("GET /provider/a") == 401
    assert world.where("GET /provider/a", fields=[("X-API-Key", "a-key-of-the-loop")]) == "main GET /a"
    assert "x-api-key" not in world.ask("GET /talk/a")["fields"]
