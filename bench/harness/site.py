"""Routes for ringgate: a platform, for each contender a gateway of its own there, and what is deployed to it.

The route of a scenario leads where the default way leads: from /bytes to /bytes of the origin, so that everybody is asked
for the same path, with routes or without.
"""

import http.client
import json
import pathlib
import re
import statistics
import tempfile
import threading
import time

from .programs import CellFailure, Failure, find_binary

API = "/api/v0.9"
CONTEXT = "/bytes"
KEY = "bench-key-0123456789abcdef0123456789abcdef"
ORIGIN = "https://app.example.com"
FIELDS = ("--header", f"X-Api-Key: {KEY}", "--header", f"Origin: {ORIGIN}")  # what requests need for the five policies
OTHERS_EACH = 100   # routes of an artifact beside the one that is asked
SECONDS = 60        # until something is deployed


def policy(name, **params):
    return {"name": name, "version": "v1", "params": params}


FIVE = (
    policy("set-headers", request={"headers": [{"name": "X-Team", "value": "edge"}]},
           response={"headers": [{"name": "X-Served-By", "value": "ringgate"}]}),
    policy("remove-headers", request={"headers": [{"name": "X-Debug"}]}, response={"headers": [{"name": "Server"}]}),
    policy("cors", allowedOrigins=[ORIGIN], allowedMethods=["GET"]),
    policy("api-key-auth", key="X-Api-Key", **{"in": "header"}),
    policy("basic-ratelimit", limits=[{"requests": 1_000_000_000, "duration": "1h"}]),
)
SETTINGS = {"route": (1, ()), "routes10000": (10_000, ()), "policies": (1, FIVE)}  # routes in all, policies on the one asked


def setting_of(label):
    """Routes and policies that the contender has; None: no routes."""
    return next((SETTINGS[name] for name in label.split("+")[1:] if name in SETTINGS), None)


class Api:
    """One connection to the platform."""

    def __init__(self, port, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        self.fields = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method, path, body=None):
        self.connection.request(method, API + path, body=body and json.dumps(body), headers=self.fields)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise CellFailure(f"the platform answered {response.status} to {method} {path}: {text[:500].decode(errors='replace')}")
        return json.loads(text) if text else None

    def put(self, method, name, context, url, policies=(), operations=("/*",)):
        path = "/rest-apis" + (f"/{name}" if method == "PUT" else "")
        self.call(method, path, {
            "id": name, "displayName": name, "context": context, "version": "v1.0", "projectId": "default",
            "upstream": {"main": {"url": url}}, "policies": list(policies),
            "operations": [{"name": f"op{i}", "request": {"method": "GET", "path": one, "policies": []}}
                           for i, one in enumerate(operations)]})

    def begin(self, name, gateway):
        path = f"/rest-apis/{name}/deployments"
        return f"{path}/{self.call('POST', path, {'name': 'bench', 'base': 'current', 'gatewayId': gateway})['deploymentId']}"

    def wait(self, deployment):
        deadline = time.monotonic() + SECONDS
        while (found := self.call("GET", deployment))["status"] != "DEPLOYED":
            if found["status"] != "DEPLOYING" or time.monotonic() > deadline:
                raise CellFailure(f"a deployment is {found['status']}: {found.get('statusReason')}")
            time.sleep(0.001)


class Events:
    """The platform's stream of events, on a connection of its own: says when a deployment is live, without being asked."""

    def __init__(self, port, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        self.connection.request("GET", f"{API}/events", headers={"Authorization": f"Bearer {token}"})
        self.stream = self.connection.getresponse()
        if self.stream.status != 200:
            raise CellFailure(f"the platform answered {self.stream.status} to GET {API}/events")

    def wait(self, deployment):
        while line := self.stream.readline():
            event = json.loads(line[6:]) if line.startswith(b"data: ") else {}
            if event.get("deploymentId") != deployment or event["status"] == "DEPLOYING":
                continue
            if event["status"] != "DEPLOYED":
                raise CellFailure(f"a deployment is {event['status']}: {event.get('errorCode')}")
            return
        raise CellFailure("the platform has ended its stream of events")

    def close(self):
        self.connection.close()


class Site:
    def __init__(self, options, programs, ports):
        self.port, self.folder = ports.take(), pathlib.Path(tempfile.mkdtemp(prefix="site-", dir=programs.folder))
        config = self.folder / "platform.yaml"
        config.write_text(f'workers: 1\nlisteners: [{{address: "127.0.0.1:{self.port}"}}]\ndata: {self.folder / "data"}\n')
        self.program = programs.start("platform", [find_binary(options.bin, "ringgate-platform"), "-c", config])
        self.wait_until_it_listens()
        self.token = (self.folder / "data" / "admin.token").read_text().strip()

    def wait_until_it_listens(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            self.program.check()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/health")
                if connection.getresponse().status == 204:
                    return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"the platform does not listen; its log: {self.program.output()[-1000:] or 'empty'}")

    @staticmethod
    def name_of(label):
        return re.sub("[^a-z0-9]+", "-", label)

    def control(self, label):
        """The gateway's options for it: one line of its configuration."""
        name = self.name_of(label)
        api = Api(self.port, self.token)
        api.call("POST", "/gateways", {"id": name, "displayName": name, "version": "1.2", "functionalityType": "regular"})
        token = self.folder / f"{name}.token"
        token.write_text(api.call("POST", f"/gateways/{name}/tokens")["token"])
        return f'control: {{url: "http://127.0.0.1:{self.port}", token_file: {token}, state_dir: {self.folder / name}}}'

    def deploy(self, label, origin):
        """Returns when all of it is live."""
        routes, policies = setting_of(label)
        gateway, api = self.name_of(label), Api(self.port, self.token)
        url, name, begun = f"http://{origin}/bytes", f"{self.name_of(label)}-asked", []
        api.put("POST", name, CONTEXT, url, policies)
        if policies:
            api.call("POST", f"/rest-apis/{name}/api-keys", {"name": "bench", "apiKey": KEY})
        begun.append(api.begin(name, gateway))
        for first in range(1, routes, OTHERS_EACH):
            other = f"{self.name_of(label)}-{first}"
            paths = [f"/r{i}/{{id}}" for i in range(first, min(first + OTHERS_EACH, routes))]
            api.put("POST", other, f"/{other}", url, (), paths)
            begun.append(api.begin(other, gateway))
        for deployment in begun:
            api.wait(deployment)


class Deploying:
    """Deploys in a row, from its making to end(): the route that is asked, each time anew."""

    def __init__(self, site, label, origin):
        self.api, self.gateway, self.url = Api(site.port, site.token), site.name_of(label), f"http://{origin}/bytes"
        self.events = Events(site.port, site.token)
        self.took, self.failure, self.ending = [], None, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        name = f"{self.gateway}-asked"
        try:
            while not self.ending:
                self.api.put("PUT", name, CONTEXT, self.url, (policy("set-headers", response={"headers": [
                    {"name": "X-Revision", "value": str(len(self.took))}]}),))
                began = time.monotonic()
                self.events.wait(self.api.begin(name, self.gateway).rpartition("/")[2])
                self.took.append(time.monotonic() - began)
        except (CellFailure, OSError, http.client.HTTPException) as failure:
            self.failure = failure

    def step(self):
        if self.failure:
            raise CellFailure(f"deploying under load: {self.failure}")

    def end(self):
        self.ending = True
        self.thread.join()
        self.events.close()

    def figures(self):
        took = sorted(self.took)
        if not took:
            return {}
        return {"deploys": len(took), "deploy_ms": statistics.median(took) * 1e3,
                "deploy_p99_ms": took[min(len(took) - 1, int(len(took) * 0.99))] * 1e3}
