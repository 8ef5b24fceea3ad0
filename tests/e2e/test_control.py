"""Deployments over the control connection: what is pushed becomes live on every worker, or says why not."""

import json

import pytest

from lib.client import get
from lib.control_plane import ControlPlane, rest_api
from lib.raw_origin import reply


@pytest.fixture
def cp(programs):
    return programs.add(ControlPlane())


class Service:
    """An upstream that answers with what it was asked for, so that an answer tells which deployment led there."""

    def __init__(self, programs):
        self.origin = programs.raw_origin(lambda _, request: reply(request.target[1:].encode()))

    def api(self, name, context, base, **more):
        return rest_api(name, context, f"http://{self.origin.address}/{base}", **more)


@pytest.fixture
def service(programs):
    return Service(programs)


def start(programs, cp, tmp_path, **more):
    origin = programs.raw_origin(lambda _, request: reply(b"replica"))
    g = programs.gateway(origin.address, workers=2, config=cp.configuration(tmp_path, **more))
    return g


@pytest.fixture
def gateway(programs, cp, tmp_path):
    g = start(programs, cp, tmp_path)
    cp.wait_connected()
    cp.wait_synced()
    return g


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


def test_a_deployment_becomes_live_and_goes(cp, gateway, service):
    d = cp.deploy(service.api("hello", "/hello", "one"))
    cp.wait_live(d)
    assert body(gateway, "/hello/x") == "one/x"
    assert artifact(gateway, d)["state"] == "deployed" and artifact(gateway, d)["deploymentId"] == d.deployment
    newer = cp.deploy(service.api("hello", "/hello", "two"), d.artifact)
    cp.wait_live(newer)
    assert body(gateway, "/hello/x") == "two/x"
    gone = cp.undeploy(newer)
    cp.wait_live(gone)
    assert body(gateway, "/hello/x") == "replica"
    assert artifact(gateway, d)["state"] == "undeployed"
