"""A client of the platform's API that deploys in a row over one connection, and times each until its status says DEPLOYED."""

import http.client
import json
import time

from . import env
from .platform import API, api_body


class Deployer:
    def __init__(self, platform, gateway="edge"):
        self.gateway = gateway
        self.fields = {"Authorization": f"Bearer {platform.token}", "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=env.scaled(30))

    def call(self, method, path, body=None):
        self.connection.request(method, API + path, body=None if body is None else json.dumps(body), headers=self.fields)
        r = self.connection.getresponse()
        text = r.read()
        assert r.status < 300, (method, path, r.status, text)
        return json.loads(text) if text else None

    def create(self, name, url, policies=(), operations=({"method": "GET", "path": "/*"},), context=None):
        self.call("POST", "/rest-apis", api_body(name, url, context, operations, policies))

    def update(self, name, url, policies=(), operations=({"method": "GET", "path": "/*"},), context=None):
        self.call("PUT", f"/rest-apis/{name}", api_body(name, url, context, operations, policies))

    def begin(self, name):
        """The deployment's id."""
        return self.call("POST", f"/rest-apis/{name}/deployments",
                         {"name": "rev", "base": "current", "gatewayId": self.gateway})["deploymentId"]

    def wait(self, name, deployment, seconds=30):
        deadline = time.monotonic() + env.scaled(seconds)
        while True:
            d = self.call("GET", f"/rest-apis/{name}/deployments/{deployment}")
            if d["status"] == "DEPLOYED":
                return
            assert d["status"] == "DEPLOYING", d
            assert time.monotonic() < deadline, f"{name} is still {d['status']}"
            time.sleep(0.0005)

    def deploy(self, name):
        """Seconds from before the call until the status says that it is live."""
        began = time.monotonic()
        self.wait(name, self.begin(name))
        return time.monotonic() - began

    def close(self):
        self.connection.close()
