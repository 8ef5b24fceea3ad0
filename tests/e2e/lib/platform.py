"""The control plane under test: a data directory and free ports of its own, its API, and gateways that are connected to it."""

import http.client
import json
import os

from . import env
from .gateway import to_yaml
from .program import Program

API = "/api/v0.9"


class Refused(AssertionError):
    """The API said no."""

    def __init__(self, what, status, body):
        super().__init__(f"{what}: {status} {body}")
        self.status, self.body = status, body

    @property
    def code(self):
        return self.body.get("code")


class Platform(Program):
    def __init__(self, directory, config=None, name="platform"):
        super().__init__(directory, name)
        self.port = env.free_port()
        self.data = os.path.join(self.directory, f"{name}-data")
        self.argv = [env.PLATFORM, "-c", self.config_path]
        self.write_config(to_yaml({
            "workers": 1,
            "listeners": [{"address": f"127.0.0.1:{self.port}"}],
            "data": self.data,
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            **(config or {}),
        }))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def addresses(self):
        return [("127.0.0.1", self.port)]

    @property
    def token(self):
        with open(os.path.join(self.data, "admin.token"), encoding="utf-8") as f:
            return f.read().strip()

    # ---- the API ----

    def ask(self, method, path, body=None, headers=None, token=None):
        """(status, body as it came, headers)"""
        given = {"Authorization": f"Bearer {token or self.token}", **(headers or {})}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            given.setdefault("Content-Type", "application/json")
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=env.scaled(20))
        try:
            c.request(method, path, body=body, headers=given)
            r = c.getresponse()
            return r.status, r.read(), r.headers
        finally:
            c.close()

    def api(self, method, path, body=None):
        """The answer's JSON; what is not 2xx raises Refused."""
        status, text, _ = self.ask(method, API + path, body)
        answer = json.loads(text) if text else None
        if not 200 <= status < 300:
            raise Refused(f"{method} {path}", status, answer)
        return answer

    def create_gateway(self, name="edge"):
        """Its token."""
        self.api("POST", "/gateways", {"id": name, "displayName": name, "version": "1.2", "functionalityType": "regular"})
        return self.api("POST", f"/gateways/{name}/tokens")["token"]

    def create_api(self, name, url, context=None, operations=None, policies=()):
        operations = operations or [{"method": "GET", "path": "/*"}]
        return self.api("POST", "/rest-apis", api_body(name, url, context, operations, policies))

    def update_api(self, name, url, context=None, operations=None, policies=()):
        operations = operations or [{"method": "GET", "path": "/*"}]
        return self.api("PUT", f"/rest-apis/{name}", api_body(name, url, context, operations, policies))

    def deploy(self, name, gateway="edge", revision="rev", base="current", kind="rest-apis"):
        """The deployment's id."""
        body = {"name": revision, "base": base, "gatewayId": gateway}
        return self.api("POST", f"/{kind}/{name}/deployments", body)["deploymentId"]

    def deployment(self, name, deployment, kind="rest-apis"):
        return self.api("GET", f"/{kind}/{name}/deployments/{deployment}")

    def undeploy(self, name, deployment, gateway="edge"):
        return self.api("POST", f"/rest-apis/{name}/deployments/{deployment}/undeploy?gatewayId={gateway}")

    def restore(self, name, deployment, gateway="edge"):
        return self.api("POST", f"/rest-apis/{name}/deployments/{deployment}/restore?gatewayId={gateway}")

    def history(self, name, deployment):
        return self.api("GET", f"/rest-apis/{name}/deployments/{deployment}/events")["list"]

    def wait(self, name, deployment, status, seconds=10, kind="rest-apis"):
        """The deployment once it has that status; fails at once when it ends in another."""
        ends = {"DEPLOYED", "UNDEPLOYED", "FAILED"} - {status}

        def arrived():
            d = self.deployment(name, deployment, kind)
            if d["status"] in ends and d["status"] != first["status"]:
                raise AssertionError(f"wanted {status}: {d}")
            return d if d["status"] == status else None
        first = self.deployment(name, deployment, kind)
        return first if first["status"] == status else env.wait_until(arrived, seconds, f"{name} to be {status}")


def api_body(name, url, context, operations, policies):
    return {
        "id": name, "displayName": name, "context": context or f"/{name}", "version": "v1.0", "projectId": "default",
        "upstream": {"main": {"url": url}}, "policies": list(policies), "transport": ["http", "https"],
        "operations": [{"name": f"op{i}", "request": {"policies": [], **o}} for i, o in enumerate(operations)],
    }


def respond(text, status=200):
    """The policy that answers by itself."""
    return {"name": "respond", "version": "v1", "params": {"statusCode": status, "body": text}}
