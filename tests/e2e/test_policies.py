"""Policies of deployed APIs, as clients and origins see them."""

import hashlib
import json
import threading

import pytest

from lib import env
from lib.attack import req
from lib.client import Client
from lib.h2 import H2
from lib.raw_origin import reply
from lib.routed import Routed

KEY = "a-key-that-is-good"


@pytest.fixture
def gateway(programs, tmp_path):
    """With an access log, two workers, and an origin that answers with the head it got."""
    origin = programs.raw_origin(lambda c, r: reply(r.head, fields=[("Server", "inner")]))
    g = Routed(tmp_path, origin.address, {"access_log": {"path": str(tmp_path / "access.log")}}, workers=2)
    g.origin, g.access_log = origin, tmp_path / "access.log"
    programs.started.append(g)
    return g.start()


def definition(origin, policies, operations=None, context="/shop"):
    """JSON is YAML."""
    return json.dumps({
        "apiVersion": "gateway.api-platform.wso2.com/v1", "kind": "RestApi", "metadata": {"name": "shop-v1.0"},
        "spec": {"displayName": "Shop", "version": "v1.0", "context": context,
                 "upstream": {"main": {"url": f"http://{origin.address}/base"}},
                 "policies": policies,
                 "operations": operations or [{"method": m, "path": "/*"} for m in ("GET", "POST", "OPTIONS")]}})


def policy(name, condition=None, **params):
    p = {"name": name, "version": "v1", "params": params}
    return p | {"executionCondition": condition} if condition else p


def headers(**sides):
    return {side: {"headers": [{"name": n, "value": v} for n, v in fields.items()]} for side, fields in sides.items()}


def deploy(gateway, policies, operations=None):
    keys = {"good": hashlib.sha256(KEY.encode()).hexdigest()}
    gateway.deploy({"artifact": definition(gateway.origin, policies, operations), "keys": keys})


def ask(client, path, *lines, method="GET", body=b""):
    length = (f"Content-Length: {len(body)}",) if body else ()
    return client.request(req(*lines, *length, target=path, method=method, body=body))


def records(gateway, n):
    def read():
        with open(gateway.access_log, encoding="utf-8") as f:
            return [json.loads(line) for line in f]
    env.wait_until(lambda: len(read()) >= n, 10, f"{n} access records")
    return read()


# ---- edits ----

def test_headers_path_and_host_of_the_upstreams_request(gateway):
    deploy(gateway, [
        policy("set-headers", **headers(request={"X-Stage": "prod", "x-gone": "soon"}, response={"X-Front": "here"})),
        policy("remove-headers", request={"headers": [{"name": "X-Gone"}, {"name": "Cookie"}]},
               response={"headers": [{"name": "server"}]}),
        policy("host-rewrite", host="inner.example"),
        policy("request-rewrite", pathRewrite={"type": "ReplaceFullPath", "replaceFullPath": "/other"},
               queryRewrite={"rules": [{"action": "Add", "name": "q", "value": "a b"}]})])
    with Client(gateway.address) as c:
        r = ask(c, "/shop/items?x=1", "Cookie: c", "x-stage: forged", "Accept: a")
    head = r.body.decode()
    assert head.startswith("GET /base/other?x=1&q=a%20b HTTP/1.1\r\nHost: inner.example\r\n"), head
    assert "\r\nX-Stage: prod\r\n" in head and "forged" not in head and "gone" not in head.lower()
    assert "Cookie" not in head and "\r\nAccept: a\r\n" in head
    assert "\r\nX-Forwarded-Host: test\r\n" in head
    assert (r.get("x-front"), r.get("server")) == ("here", None)


def test_a_client_cannot_take_back_what_a_policy_adds(gateway):
    """By naming it in Connection, as an option of its own hop."""
    deploy(gateway, [policy("set-headers", **headers(request={"X-Stage": "prod"}))])
    with Client(gateway.address) as c:
        head = ask(c, "/shop/a", "Connection: x-stage, x-mine", "x-stage: forged", "x-mine: 1").body.decode()
    assert "\r\nX-Stage: prod\r\n" in head and "forged" not in head and "x-mine" not in head


def test_method_is_rewritten_and_the_body_stays(gateway):
    deploy(gateway, [policy("request-rewrite", methodRewrite="PUT")])
    with Client(gateway.address) as c:
        assert ask(c, "/shop/a", method="POST", body=b"hello").body.startswith(b"PUT /base/a HTTP/1.1\r\n")
        assert gateway.origin.requests[-1].body == b"hello"


def test_conditions_on_request_and_response(gateway):
    deploy(gateway, [policy("set-headers", 'request.Headers["x-debug"][0] == "1"', **headers(request={"X-Q": "1"})),
                     policy("set-headers", "response.ResponseStatus == 200 && request.Path.endsWith('/b')",
                            **headers(response={"X-R": "1"}))])
    with Client(gateway.address) as c:
        for path, line, q, r in (("/shop/a", "x-debug: 1", True, False), ("/shop/b", "x-debug: 2", False, True)):
            got = ask(c, path, line)
            assert (b"\r\nX-Q: 1\r\n" in got.body, got.get("x-r") == "1") == (q, r)


# ---- answers ----

def test_api_key(gateway):
    deploy(gateway, [policy("cors", allowedOrigins=["https://a.example"]),
                     policy("api-key-auth", key="X-API-Key", **{"in": "header"})])
    with Client(gateway.address) as c:
        r = ask(c, "/shop/a", "Origin: https://a.example")
        assert (r.status, r.get("www-authenticate"), r.get("content-type")) == (401, "ApiKey", "application/json")
        assert json.loads(r.body)["error"] == "Unauthorized"
        assert r.get("access-control-allow-origin") == "https://a.example" and r.get("vary") == "Origin"
        assert not r.says_close
        # A body that came with the head is passed over; the connection goes on.
        assert ask(c, "/shop/a", method="POST", body=b"x" * 100).status == 401
        ok = ask(c, "/shop/a", f"x-api-key: {KEY}")
        assert ok.status == 200 and KEY.encode() not in ok.body and b"x-api-key" not in ok.body.lower()
    assert len(gateway.origin.requests) == 1
    log = records(gateway, 3)
    assert [(x["status"], x["reason"], x.get("policy")) for x in log] == [
        (401, "policy", "api-key-auth"), (401, "policy", "api-key-auth"), (200, "none", None)]
    gateway.wait_metric(2, "ringgate_policy_answers_total")


def test_pipelined_requests_are_answered_in_order(gateway):
    deploy(gateway, [policy("respond", "request.Path.endsWith('/own')", statusCode=418, body="teapot",
                            headers=[{"name": "Cache-Control", "value": "max-age=60"}])])
    with Client(gateway.address) as c:
        c.send(b"".join(req(target=f"/shop/{p}", method="GET") for p in ("own", "a", "own", "own", "b")))
        got = [c.response() for _ in range(5)]
    assert [r.status for r in got] == [418, 200, 418, 418, 200]
    assert got[0].body == b"teapot" and got[0].all("cache-control") == ["max-age=60"]
    assert got[0].get("content-type") == "text/plain; charset=utf-8"


def test_preflight_and_redirect(gateway):
    deploy(gateway, [policy("cors", allowedOrigins=["https://*.example"], allowedMethods=["PUT"], allowCredentials=True),
                     policy("redirect", "request.Path == '/shop/old'", statusCode=308,
                            path={"mode": "full", "value": "/new"})])
    with Client(gateway.address) as c:
        r = ask(c, "/shop/a", "Origin: https://w.example", "Access-Control-Request-Method: PUT", method="OPTIONS")
        assert (r.status, r.get("access-control-allow-origin")) == (204, "https://w.example")
        assert (r.get("access-control-allow-credentials"), r.get("access-control-allow-methods")) == ("true", "PUT")
        r = ask(c, "/shop/old?x=1")
        assert (r.status, r.get("location"), r.body) == (308, "http://test/shop/new?x=1", b"")


def test_failures_of_the_upstream_have_the_fields_too(programs, gateway):
    """A browser tells a script nothing of a 502 without CORS."""
    gateway.origin.script = lambda c, r: b"nonsense\r\n\r\n"
    deploy(gateway, [policy("cors", allowedOrigins=["*"])])
    with Client(gateway.address) as c:
        r = ask(c, "/shop/a", "Origin: https://a.example")
    assert (r.status, r.get("access-control-allow-origin")) == (502, "*")


def test_rate_limit_is_exact_over_workers(gateway):
    deploy(gateway, [policy("basic-ratelimit", limits=[{"requests": 40, "duration": "24h"}])])
    statuses, lock = [], threading.Lock()

    def client():
        for _ in range(4):
            with Client(gateway.address) as c:
                mine = [ask(c, "/shop/a") for _ in range(5)]
            with lock:
                statuses.extend(mine)
    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(r.status for r in statuses) == [200] * 40 + [429] * 40
    refused = next(r for r in statuses if r.status == 429)
    assert (refused.get("ratelimit-limit"), refused.get("ratelimit-remaining")) == ("40", "0")
    assert 0 < int(refused.get("retry-after")) <= 86400 // 40
    assert json.loads(refused.body)["error"] == "Too Many Requests"
    assert {r.get("ratelimit-remaining") for r in statuses if r.status == 200} == {str(n) for n in range(40)}


def test_limits_of_an_api_and_of_an_operation(gateway):
    """The API's is one for all its operations, an operation's is its own."""
    def limit(n):
        return policy("basic-ratelimit", limits=[{"requests": n, "duration": "24h"}])
    deploy(gateway, [limit(3)], [{"method": "GET", "path": "/a", "policies": [limit(1)]}, {"method": "GET", "path": "/b"}])
    with Client(gateway.address) as c:
        assert [ask(c, f"/shop/{p}").status for p in "aabbb"] == [200, 429, 200, 429, 429]


def test_clients_behind_a_trusted_proxy_are_told_apart(programs, gateway):
    gateway.reconfigure({"trusted_proxies": ["127.0.0.1"]})
    gateway.admin("POST", "/reload")
    deploy(gateway, [policy("advanced-ratelimit", quotas=[{"limits": [{"limit": 1, "duration": "24h"}]}],
                            keyExtraction=[{"type": "ip"}])])
    with Client(gateway.address) as c:
        def from_(*clients):
            return [ask(c, "/shop/a", f"X-Forwarded-For: {x}").status for x in clients]
        # The last element is what the proxy has seen; what is before it anybody may have written.
        assert from_("192.0.2.1", "192.0.2.2", "192.0.2.9, 192.0.2.1", "192.0.2.1,192.0.2.3") == [200, 200, 429, 200]


# ---- HTTP/2 ----

def test_http2_clients_see_the_same(gateway):
    deploy(gateway, [policy("set-headers", **headers(request={"X-Stage": "prod"}, response={"X-Front": "here"})),
                     policy("remove-headers", response={"headers": [{"name": "Server"}]}),
                     policy("api-key-auth", key="k", **{"in": "query"})])
    with H2(gateway.address) as c:
        r = c.ask("/shop/a")
        assert (r.status, r.get("www-authenticate"), r.get("x-front")) == (401, "ApiKey", "here")
        assert json.loads(bytes(r.body))["error"] == "Unauthorized"
        r = c.ask(f"/shop/a?k={KEY}&x=1")
        assert (r.status, r.get("x-front"), r.get("server")) == (200, "here", None)
        head = bytes(r.body).decode()
        assert head.startswith("GET /base/a?x=1 HTTP/1.1\r\n") and "\r\nX-Stage: prod\r\n" in head


# ---- what is refused ----

@pytest.mark.parametrize("bad,path,says", [
    (policy("jwt-auth"), "spec.policies[0].name", "'jwt-auth' is not supported"),
    (policy("set-headers", **headers(request={"Content-Length": "1"})),
     "spec.policies[0].params.request.headers[0].name", "where the message ends"),
    (policy("set-headers", **headers(request={"x-a": "b\r\nTransfer-Encoding: chunked"})),
     "spec.policies[0].params.request.headers[0].value", "control byte"),
    (policy("respond", "request.Body == 'x'", statusCode=200), "spec.policies[0].executionCondition", "request.Body"),
    (policy("basic-ratelimit", limits=[{"requests": 0, "duration": "1s"}]),
     "spec.policies[0].params.limits[0].requests", "0"),
    (policy("basic-ratelimit", limit=3), "spec.policies[0].params.limit", "limits"),
])
def test_a_bad_policy_fails_the_deployment(gateway, bad, path, says):
    deploy(gateway, [policy("respond", statusCode=204)])
    why = gateway.refused({"artifact": definition(gateway.origin, [bad])})
    assert path in why and says in why, why
    with Client(gateway.address) as c:
        assert ask(c, "/shop/a").status == 204
