"""Deployments by the hundred, to thousands of gateways, beside thousands of routes. Bounds of time are those of a busy machine."""

import threading

import pytest

from lib import env
from lib.client import Client, get
from lib.deployer import Deployer
from lib.fleet import Fleet
from lib.load import Loader
from lib.platform import respond

pytestmark = pytest.mark.skipif(not env.PLATFORM, reason="PLATFORM_BIN does not name a program")

FLEET = 500 if env.SANITIZER else 2000
ARTIFACTS, ROUTES = (20, 100) if env.SANITIZER else (100, 100)


class Site:
    def __init__(self, programs):
        self.origin = programs.raw_origin()
        self.platform = programs.platform()
        self.gateway = programs.connected_gateway(self.platform, self.platform.create_gateway(), replica=self.origin.address,
                                                  workers=2)
        env.wait_until(lambda: self.platform.metrics().get("ringgate_platform_gateways_connected") == 1, 10, "the gateway")
        self.url = f"http://{self.origin.address}"
        self.deployer = Deployer(self.platform)

    def clients(self, n):
        return [Client(self.gateway.address, env.scaled(10)) for _ in range(n)]


def ask(client, path):
    return client.request(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())


@pytest.fixture
def site(programs):
    s = Site(programs)
    yield s
    s.deployer.close()


def test_a_route_that_flips_under_load(site):
    """Once the status says DEPLOYED, no connection gets the old answer any more, and no request fails."""
    d = site.deployer
    d.create("flip", site.url, [respond("0")])
    d.deploy("flip")
    clients = site.clients(16)
    loader = Loader(site.gateway.address, 64, path="/flip/x")
    try:
        for i in range(1, 101):
            d.update("flip", site.url, [respond(str(i))])
            d.deploy("flip")
            for c in clients:
                assert ask(c, "/flip/x").body == str(i).encode()
    finally:
        result = loader.stop()
        for c in clients:
            c.close()
    assert result["failed"] == 0 and result["ok"] > 100, result


def deploy_many(site, artifacts, routes):
    """With some calls at once, as they share commits."""
    failures = []

    def work(share):
        d = Deployer(site.platform)
        try:
            for i in range(share, artifacts, 4):
                operations = [{"method": "GET", "path": f"/r{k}/{{id}}"} for k in range(routes)]
                d.create(f"api{i}", site.url, [respond(str(i))], operations)
                begun = d.begin(f"api{i}")
            d.wait(f"api{i}", begun, 60)
        except Exception as e:  # pylint: disable=broad-except
            failures.append(e)
        finally:
            d.close()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]


def add_route(site, number):
    """Seconds until it is live."""
    name = f"new{number}"
    site.deployer.create(name, site.url, [respond(name)])
    took = site.deployer.deploy(name)
    assert get(site.gateway.address, f"/{name}/x").body == name.encode()
    return took


def test_a_route_beside_10000(site):
    deploy_many(site, ARTIFACTS, ROUTES)
    for i in (0, ARTIFACTS - 1):
        assert get(site.gateway.address, f"/api{i}/r{ROUTES - 1}/7").body == str(i).encode()
    numbers = iter(range(10))
    assert env.best_of(10, lambda: add_route(site, next(numbers))) < env.scaled(0.05)


def test_what_a_deployment_does_not_touch(site):
    """Neither the connections of other routes, on both sides, nor what is left of their limits."""
    d = site.deployer
    limit = {"name": "basic-ratelimit", "version": "v1", "params": {"limits": [{"requests": 20, "duration": "1h"}]}}
    d.create("kept", site.url, [limit])
    d.deploy("kept")
    client = site.clients(1)[0]
    try:
        assert ask(client, "/kept/x").status == 200
        for i in range(19):
            add_route(site, i)
            assert ask(client, "/kept/x").status == 200, i
        assert ask(client, "/kept/x").status == 429
        d.deploy("kept")  # nor does its own, where the limit stays as it is
        assert ask(client, "/kept/x").status == 429
        assert len(site.origin.connections) == 1
    finally:
        client.close()


def test_a_fleet_of_instances(programs):
    """One deployment reaches all instances of a gateway, and is live when the last one has said so."""
    platform = programs.platform({"websocket": {"connects_per_minute": 1000000}})
    fleet = programs.add(Fleet(platform, platform.create_gateway(), FLEET))
    assert platform.metrics().get("ringgate_platform_gateways_connected") == FLEET
    deployer = Deployer(platform)
    deployer.create("wide", "http://127.0.0.1:1")

    def broadcast():
        deployment = deployer.begin("wide")
        took = fleet.wait_acknowledged(deployment)
        deployer.wait("wide", deployment)
        return took
    assert env.best_of(3, broadcast) < env.scaled(2)
    deployer.close()
    if not env.SANITIZER:
        assert platform.process.peak_rss_bytes() < 300e6
