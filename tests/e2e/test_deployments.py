"""Deployments from the platform's API to every worker and back: what the status says is what a request gets."""

import signal

import pytest

from lib import env
from lib.deployments import control
from lib.load import Loader
from lib.site import Site

pytestmark = pytest.mark.skipif(not env.PLATFORM, reason="PLATFORM_BIN does not name a program")

QUICK = {"deployments": {"timeout": {"duration": "600ms", "interval": "100ms"}}}


@pytest.fixture
def site(programs):
    return Site(programs)


def statuses(events):
    return [e["toStatus"] for e in events]


def test_deploy(site):
    site.create()
    assert site.body() == b"ok"
    d = site.platform.deploy("hello")
    site.platform.wait("hello", d, "DEPLOYED")
    assert site.body() == b"one"
    assert site.body("/other") == b"ok"
    assert statuses(site.platform.history("hello", d)) == ["DEPLOYING", "DEPLOYED"]
    named = control(site.gateway)["connection"]["instance"]  # the one that answered, by its own name
    assert site.platform.history("hello", d)[-1]["instance"] == named
    assert [a["instance"] for a in site.platform.deployment("hello", d)["acks"]] == [named]


def test_undeploy(site):
    site.create()
    d = site.platform.deploy("hello")
    site.platform.wait("hello", d, "DEPLOYED")
    site.platform.undeploy("hello", d)
    site.platform.wait("hello", d, "UNDEPLOYED")
    assert site.body() == b"ok"
    site.platform.restore("hello", d)
    site.platform.wait("hello", d, "DEPLOYED")
    assert site.body() == b"one"


def test_new_deployment_takes_the_place_of_the_old(site):
    site.create()
    first = site.platform.deploy("hello")
    site.platform.wait("hello", first, "DEPLOYED")
    site.update()
    second = site.platform.deploy("hello")
    site.platform.wait("hello", second, "DEPLOYED")
    assert site.body() == b"two"
    assert site.platform.deployment("hello", first)["status"] == "ARCHIVED"
    back = site.platform.deploy("hello", base=first)
    site.platform.wait("hello", back, "DEPLOYED")
    assert site.body() == b"one"


def test_gateway_that_does_not_answer(programs):
    """The sweeper says so; when the gateway wakes, its late success counts."""
    site = Site(programs, QUICK)
    site.create()
    site.gateway.process.signal(signal.SIGSTOP)
    try:
        d = site.platform.deploy("hello")
        failed = site.platform.wait("hello", d, "FAILED")
        assert failed["statusReason"] == "DEPLOYMENT_TIMEOUT"
    finally:
        site.gateway.process.signal(signal.SIGCONT)
    env.wait_until(lambda: site.platform.deployment("hello", d)["status"] == "DEPLOYED", 10, "the late success")
    assert site.body() == b"one"


def test_failing_deployment_leaves_the_old_one_alone(site):
    site.create()
    first = site.platform.deploy("hello")
    site.platform.wait("hello", first, "DEPLOYED")
    loader = Loader(site.gateway.address, 8, path="/hello/x")
    try:
        bad = {"name": "set-headers", "version": "v1", "params": {"request": {"headers": [{"name": "a b", "value": "x"}]}}}
        site.platform.update_api("hello", site.replica_url, policies=[bad])
        second = site.platform.deploy("hello")
        failed = site.platform.wait("hello", second, "FAILED")
        assert site.body() == b"one"
    finally:
        result = loader.stop()
    assert result["failed"] == 0 and result["ok"] > 0, result
    reason = site.platform.history("hello", second)[-1]
    assert failed["statusReason"] == "GATEWAY_PROCESSING_ERROR", failed
    assert "policies[0].params.request.headers[0].name" in reason["errorMessage"], reason
    assert "a b" in reason["errorMessage"]


def test_gateway_dies_before_it_acknowledges(site):
    """What it missed it learns when it is back, and says so."""
    site.create()
    site.gateway.process.signal(signal.SIGSTOP)
    d = site.platform.deploy("hello")
    site.gateway.process.kill()
    assert site.platform.deployment("hello", d)["status"] == "DEPLOYING"
    site.gateway.start()
    site.platform.wait("hello", d, "DEPLOYED", 20)
    assert site.body() == b"one"


def test_second_deployment_while_the_first_is_under_way(site):
    site.create()
    site.gateway.process.signal(signal.SIGSTOP)
    try:
        first = site.platform.deploy("hello")
        site.update()
        second = site.platform.deploy("hello")
    finally:
        site.gateway.process.signal(signal.SIGCONT)
    site.platform.wait("hello", second, "DEPLOYED")
    assert site.platform.deployment("hello", first)["status"] == "ARCHIVED"
    assert site.body() == b"two"


def test_gateway_without_its_platform(site):
    """It goes on, also after a kill, with what was last good; what it missed comes with the platform."""
    site.create()
    first = site.platform.deploy("hello")
    site.platform.wait("hello", first, "DEPLOYED")
    site.platform.kill()
    site.gateway.process.kill()
    site.gateway.start()
    assert site.body() == b"one"
    site.platform.start()
    site.update()
    second = site.platform.deploy("hello")
    site.platform.wait("hello", second, "DEPLOYED", 20)
    assert site.body() == b"two"


def test_gateway_that_comes_later_gets_all(programs):
    site = Site(programs)
    for name in ("a", "b", "c"):
        site.create(name, name)
        site.platform.wait(name, site.platform.deploy(name), "DEPLOYED")
    site.gateway.stop()
    site.update("b", "B")
    site.platform.wait("b", site.platform.deploy("b"), "DEPLOYING")
    other = site.programs.connected_gateway(site.platform, site.token, replica=site.replica.address)
    env.wait_until(lambda: site.body("/c/x", other) == b"c", 20, "all deployments on the new instance")
    env.wait_until(lambda: site.body("/b/x", other) == b"B", 20, "the new one, too")


def test_token_is_revoked(site):
    tokens = site.platform.api("GET", "/gateways/edge/tokens")["list"]
    status, _, _ = site.platform.ask("DELETE", f"/api/v0.9/gateways/edge/tokens/{tokens[0]['id']}")
    assert status == 204
    site.wait_connected(0)
    assert site.body() == b"ok"
