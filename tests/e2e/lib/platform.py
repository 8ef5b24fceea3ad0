"""The control plane under test: a data directory and free ports of its own, its API, and gateways that are connected to it."""

import http.client
import json
import os

from . import env
from .client import is_open_to
from .gateway import to_yaml
from .process import Process, StartError
from .prom import Metrics

API = "/api/v0.9"


class Refused(AssertionError):
    """The API said no."""

    def __init__(self, what, status, body):
        super().__init__(f"{what}: {status} {body}")
        self.status, self.body = status, body

    @property
    def code(self):
        return self.body.get("code")


class Platform:
    def __init__(self, directory, config=None, name="platform"):
        self.directory, self.name = str(directory), name
        self.port, self.admin_port = env.free_port(), env.free_port()
        self.data = os.path.join(self.directory, f"{name}-data")
        self.config_path = os.path.join(self.directory, f"{name}.yaml")
        self.argv = [env.PLATFORM, "-c", self.config_path]
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(to_yaml({
                "workers": 1,
                "listeners": [{"address": f"127.0.0.1:{self.port}"}],
                "data": self.data,
                "admin": {"address": f"127.0.0.1:{self.admin_port}"},
                **(config or {}),
            }))
        self.process = None
        self.expected_exit = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.process = Process(self.name, self.argv, self.directory)

        def up():
            if not self.process.is_running():
                raise StartError(f"the platform ended with status {self.process.popen.returncode}:\n{self.log()[-4000:]}")
            return is_open_to(("127.0.0.1", self.port)) and self._is_live()
        env.wait_until(up, 15, f"{self.name} to listen", 0.02)
        return self

    def _is_live(self):
        """Not the listening socket of a killed one, which outlives it for a moment."""
        try:
            return self.ask_admin("/live")[0] == 200
        except OSError:
            return False

    def ask_admin(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=env.scaled(10))
        try:
            c.request("GET", path)
            r = c.getresponse()
            return r.status, r.read().decode()
        except http.client.HTTPException as e:
            raise OSError(f"admin: {e!r}") from e
        finally:
            c.close()

    @property
    def token(self):
        with open(os.path.join(self.data, "admin.token"), encoding="utf-8") as f:
            return f.read().strip()

    def log(self):
        return self.process.log() if self.process else ""

    def stop(self, seconds=15.0):
        if self.process is None:
            return
        status = self.process.stop(seconds) if self.process.is_running() else self.process.popen.returncode
        reports = self.process.sanitizer_reports()
        assert not reports, f"sanitizer reports: {reports}\n{self.log()[-12000:]}"
        assert status == self.expected_exit, f"{self.name} ended with status {status}\n{self.log()[-4000:]}"

    def kill(self):
        if self.process:
            self.process.kill()

    def metrics(self):
        return Metrics(self.ask_admin("/metrics")[1])

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
