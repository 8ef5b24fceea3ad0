"""
The platform and the two instances of a gateway are killed at random moments while APIs are deployed, undeployed and
restored. What was answered is there afterwards, the status converges to what is served, and the database is whole.

RINGGATE_TEST_KILLS: how often (15). RINGGATE_TEST_SEED: of the moments; printed when the test fails.
"""

import concurrent.futures
import http.client
import json
import os
import random
import shutil
import sqlite3
import threading
import time

import pytest

from lib import env
from lib.platform import Refused
from lib.site import Site

pytestmark = pytest.mark.skipif(not env.PLATFORM, reason="PLATFORM_BIN does not name a program")

KILLS = int(os.environ.get("RINGGATE_TEST_KILLS", "15"))
SEED = int(os.environ.get("RINGGATE_TEST_SEED", "1"))
APIS = 6
REMEMBERED = 700  # of each API: what the platform keeps, less those that it did not get to answer

# Everything is kept, and nothing fails for its age: what does not converge is found.
CONFIG = {"deployments": {"kept": 1000, "timeout": {"duration": "30m"}}}


class Api:
    """One API and whoever deploys it, one operation after the other. A deployment's name is what it answers."""

    def __init__(self, site, name, rng):
        self.site, self.name, self.rng = site, name, rng
        self.version = 0
        self.answered = {}  # deployments that the platform has said yes to: id, name
        self.last = None    # the last operation that was answered: (deployment, what is wanted)
        self.unsure = False  # one that was not answered came after it
        site.create(name, "none")

    def deploy(self):
        self.version += 1
        text = f"{self.name}-{self.version}"
        self.site.update(self.name, text)
        deployment = self.site.platform.deploy(self.name, revision=text)
        self.answered[deployment] = text
        if len(self.answered) > REMEMBERED:
            del self.answered[min(self.answered)]  # ids grow with time
        return deployment, "DEPLOYED"

    def undeploy(self):
        if not self.last:
            return None
        self.site.platform.undeploy(self.name, self.last[0])
        return self.last[0], "UNDEPLOYED"

    def restore(self):
        if not self.answered:
            return None
        deployment = self.rng.choice(list(self.answered))
        self.site.platform.restore(self.name, deployment)
        return deployment, "DEPLOYED"

    def step(self):
        """false: the platform is away."""
        act = self.rng.choices([self.deploy, self.undeploy, self.restore], [6, 2, 2])[0]
        try:
            done = act()
        except Refused as e:
            assert e.status == 409, e  # restored what is live, or undeployed what is not
            return True
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            self.unsure = True
            return False
        if done:
            self.last, self.unsure = done, False
        return True

    def rows(self):
        """All its deployments, by id."""
        rows, total = {}, 1
        while len(rows) < total:
            page = self.site.platform.api("GET", f"/rest-apis/{self.name}/deployments?limit=100&offset={len(rows)}")
            rows.update({d["deploymentId"]: d for d in page["list"]})
            total = page["pagination"]["total"]
        return rows

    @staticmethod
    def current(rows):
        """The one deployment that no other has replaced; None: none."""
        rows = [d for d in rows.values() if d["status"] != "ARCHIVED"]
        assert len(rows) <= 1, rows
        return rows[0] if rows else None

    def settled(self):
        path = f"/rest-apis/{self.name}/deployments?status="
        return not any(self.site.platform.api("GET", path + status)["count"] for status in ("DEPLOYING", "UNDEPLOYING"))

    def check(self):
        rows = self.rows()
        d = self.current(rows)
        wanted = b"ok"
        if d:
            assert d["status"] in ("DEPLOYED", "UNDEPLOYED") and d["status"] == d["statusDesired"], d
            wanted = d["name"].encode() if d["status"] == "DEPLOYED" else b"ok"
        for gateway in self.site.gateways:  # one that comes later than the other acknowledges nothing new
            env.wait_until(lambda g=gateway: self.site.body(f"/{self.name}/x", g) == wanted, 10, f"{gateway.name} to serve {wanted}: {d}")
        if self.last and not self.unsure:
            assert d and (d["deploymentId"], d["status"]) == self.last, (d, self.last)
        assert {i: rows[i]["name"] for i in self.answered if i in rows} == self.answered, "an answered deployment is lost"


class Workload:
    """Deploys in threads until it is stopped."""

    def __init__(self, apis):
        self.stopping = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        self.done = [self.pool.submit(self._run, apis[i::2]) for i in range(2)]

    def _run(self, apis):
        while not self.stopping.is_set():
            for api in apis:
                if not api.step():
                    time.sleep(0.01)

    def stop(self):
        self.stopping.set()
        for d in self.done:
            d.result()
        self.pool.shutdown()


def check_database(site, directory):
    """Of a copy, as the kill has left it: nobody repairs it first."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(site.platform.data, directory, ignore=shutil.ignore_patterns("lock"))
    with sqlite3.connect(os.path.join(directory, "ringgate.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert not db.execute("PRAGMA foreign_key_check").fetchall()


def choose(rng, site):
    """One, two, or all."""
    programs = [site.platform, *site.gateways]
    return rng.sample(programs, rng.choices([1, 2, 3], [4, 2, 1])[0])


def kill(site, victims, rng, directory):
    """In their order, with a moment between; started again in another."""
    for victim in victims:
        victim.kill()
        time.sleep(rng.random() * 0.02)
    if site.platform in victims:
        check_database(site, directory)
    for victim in rng.sample(victims, len(victims)):
        victim.start()


def test_killed_at_random_moments(programs, tmp_path):
    rng = random.Random(SEED)
    site = Site(programs, CONFIG)
    site.gateways = [site.gateway, site.another_gateway(workers=1)]
    apis = [Api(site, f"api-{i}", random.Random(rng.random())) for i in range(APIS)]
    for round_ in range(KILLS):
        victims = choose(rng, site)
        workload = Workload(apis)
        try:
            time.sleep(rng.random() * 0.15 * env.SLOW)
            kill(site, victims, rng, tmp_path / "copy")
            time.sleep(rng.random() * 0.05 * env.SLOW)
        finally:
            workload.stop()
        what = f"round {round_} of seed {SEED}, killed {[v.name for v in victims]}"
        env.wait_until(lambda: all(a.settled() for a in apis), 20, f"all deployments to settle after {what}", 0.03)
        try:
            for a in apis:
                a.check()
        except AssertionError as e:
            raise AssertionError(f"{what}: {e}") from e
    assert sum(len(a.answered) for a in apis) > KILLS, "too little was deployed to tell anything"
    site.platform.stop()
    check_database(site, tmp_path / "copy")
