"""What tests of deployments share: a gateway beneath a control plane, upstreams that tell which deployment led to them."""

import json

import pytest

from .client import get
from .control_plane import ControlPlane, rest_api
from .raw_origin import reply


class Service:
    """An upstream that answers with what it was asked for, so that an answer tells which deployment led there."""

    def __init__(self, programs):
        self.origin = programs.raw_origin(lambda _, request: reply(request.target[1:].encode()))

    def api(self, name, context, base, **more):
        return rest_api(name, context, f"http://{self.origin.address}/{base}", **more)


@pytest.fixture
def cp(programs):
    return programs.add(ControlPlane())


@pytest.fixture
def service(programs):
    return Service(programs)


def start(programs, cp, tmp_path, name="gateway", wait=True, **more):
    """A gateway with two workers in front of a replica that answers "replica"."""
    origin = programs.raw_origin(lambda _, request: reply(b"replica"))
    g = programs.gateway(origin.address, workers=2, name=name, config={**cp.configuration(tmp_path, **more), "timeouts": {"drain_idle": "0s"}})
    if wait:
        cp.wait_connected()
        cp.wait_synced()
    return g


@pytest.fixture
def gateway(programs, cp, tmp_path):
    return start(programs, cp, tmp_path)


def restart(gateway):
    """After kill -9, say."""
    gateway.spawn()
    gateway.wait_ready()


def control(gateway):
    status, text, _ = gateway.admin("GET", "/control")
    assert status == 200
    return json.loads(text)


def body(gateway, path):
    r = get(gateway.address, path)
    assert r.status == 200, r
    return r.body.decode()


def artifact(gateway, d):
    return next((a for a in control(gateway)["artifacts"] if a["artifactId"] == d.artifact), None)


def published(gateway):
    return control(gateway)["routes"]["generation"]
