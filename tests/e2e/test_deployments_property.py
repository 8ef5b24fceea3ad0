"""
Random sequences of deployments, undeployments, restorations, disconnects, kills and time-outs against the real programs:
after each step the status converges, and what it says is what a request gets.

Derandomized: every run does the same. RINGGATE_TEST_EXAMPLES: more sequences, drawn at random.
"""

import os
import signal

import pytest

from lib import env
from lib.platform import Refused, respond
from lib.site import Site

hypothesis = pytest.importorskip("hypothesis", reason="python3-hypothesis is not installed")

from hypothesis import strategies as st  # noqa: E402
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test  # noqa: E402

pytestmark = pytest.mark.skipif(not env.PLATFORM, reason="PLATFORM_BIN does not name a program")

EXAMPLES = int(os.environ.get("RINGGATE_TEST_EXAMPLES", "0"))
NAMES = ("a", "b")
REPLICA = "ok"

# Shorter than a paused gateway is waited for. A deployment of a gateway that is merely slow may fail for its time, too: its
# late success counts.
CONFIG = {"deployments": {"timeout": {"duration": env.ms(400), "interval": "50ms"}}}

BAD = {"name": "set-headers", "version": "v1", "params": {"request": {"headers": [{"name": "a b", "value": "x"}]}}}


class Model:
    """Of one API: what was deployed, what is wanted, and what may be served."""

    def __init__(self, name):
        self.name = name
        self.texts = {}        # by deployment; None: it can't be served
        self.current = None
        self.wanted = "NONE"   # DEPLOYED or UNDEPLOYED
        self.may_serve = {REPLICA}

    def begin(self, deployment, wanted):
        self.current, self.wanted = deployment, wanted
        text = self.texts[deployment] if wanted == "DEPLOYED" else REPLICA
        if text is not None:
            self.may_serve.add(text)  # on its way: if the next one fails, either may be what went on

    @property
    def text(self):
        return self.texts[self.current] if self.wanted == "DEPLOYED" else REPLICA

    @property
    def end(self):
        """What the status has to say in the end."""
        return "FAILED" if self.text is None else self.wanted


class Machine(RuleBasedStateMachine):
    site = None
    serial = 0

    def __init__(self):
        super().__init__()
        Machine.serial += 1
        self.platform, self.gateway = self.site.platform, self.site.gateway
        self.state = "runs"  # of the gateway: runs, paused or dead
        self.version = 0
        self.apis = {n: Model(f"{n}-{Machine.serial}") for n in NAMES}
        for api in self.apis.values():
            self.site.create(api.name, "none")

    # ---- what operators do ----

    def deploy(self, api, text, policies):
        self.platform.update_api(api.name, self.site.replica_url, policies=policies)
        deployment = self.platform.deploy(api.name)
        api.texts[deployment] = text
        api.begin(deployment, "DEPLOYED")

    @rule(name=st.sampled_from(NAMES))
    def deploy_good(self, name):
        self.version += 1
        text = f"{name}{self.version}"
        self.deploy(self.apis[name], text, [respond(text)])

    @rule(name=st.sampled_from(NAMES))
    def deploy_bad(self, name):
        self.deploy(self.apis[name], None, [BAD])

    @rule(name=st.sampled_from(NAMES))
    def undeploy(self, name):
        api = self.apis[name]
        if api.current is None:
            return
        status = self.platform.deployment(api.name, api.current)["status"]
        try:
            self.platform.undeploy(api.name, api.current)
            api.begin(api.current, "UNDEPLOYED")
        except Refused as e:
            assert e.code == "DEPLOYMENT_NOT_ACTIVE" and api.wanted == "UNDEPLOYED", (e, status)

    @rule(name=st.sampled_from(NAMES), choice=st.integers(0, 5))
    def restore(self, name, choice):
        api = self.apis[name]
        if not api.texts:
            return
        deployment = list(api.texts)[choice % len(api.texts)]
        try:
            self.platform.restore(api.name, deployment)
            api.begin(deployment, "DEPLOYED")
        except Refused as e:
            assert e.code == "DEPLOYMENT_RESTORE_CONFLICT" and (api.current, api.wanted) == (deployment, "DEPLOYED"), e

    @rule(name=st.sampled_from(NAMES))
    def deploy_and_think_better_of_it(self, name):
        self.deploy_good(name)
        self.undeploy(name)

    # ---- what happens to programs ----

    @precondition(lambda self: self.state == "runs")
    @rule()
    def pause_gateway(self):
        self.gateway.process.signal(signal.SIGSTOP)
        self.state = "paused"

    @precondition(lambda self: self.state != "dead")
    @rule()
    def kill_gateway(self):
        self.gateway.kill()
        self.state = "dead"

    @precondition(lambda self: self.state != "runs")
    @rule()
    def gateway_is_back(self):
        if self.state == "paused":
            self.gateway.process.signal(signal.SIGCONT)
        else:
            self.gateway.start()
        self.state = "runs"

    @precondition(lambda self: self.state != "runs")
    @rule()
    def time_runs_out(self):
        """What a gateway that is not there has not acknowledged fails, for that reason."""
        for api in self.apis.values():
            env.wait_until(lambda api=api: self.status(api) not in ("DEPLOYING", "UNDEPLOYING"), 10, f"{api.name} to time out")

    @rule()
    def kill_platform(self):
        self.platform.kill()
        self.platform.start()

    # ---- what holds after each step ----

    def status(self, api):
        return self.platform.deployment(api.name, api.current)["status"] if api.current else "NONE"

    def served(self, api):
        return self.site.body(f"/{api.name}/x").decode()

    def look(self, api):
        return self.status(api), self.served(api)

    def is_right(self, api):
        status, text = self.look(api)
        return status == api.end and text in (api.may_serve if api.text is None else {api.text})

    @invariant()
    def the_status_says_what_is_served(self):
        if self.state != "runs":
            return
        for api in self.apis.values():
            if api.current is None:
                assert self.served(api) == REPLICA
                continue
            try:
                env.wait_until(lambda api=api: self.is_right(api), 15, "convergence")
            except AssertionError:
                raise AssertionError(f"{api.name}: (status, served) is {self.look(api)}, wanted {api.end} and {api.text or api.may_serve}: "
                                     f"{self.platform.history(api.name, api.current)}") from None
            api.may_serve = {self.served(api)}

    @invariant()
    def only_one_deployment_counts(self):
        for api in self.apis.values():
            for deployment in api.texts:
                status = self.platform.deployment(api.name, deployment)["status"]
                assert (status == "ARCHIVED") is (deployment != api.current), (api.name, deployment, status)

    def teardown(self):
        if self.state != "runs":
            self.gateway_is_back()
        for api in self.apis.values():
            self.platform.api("DELETE", f"/rest-apis/{api.name}")
        for api in self.apis.values():
            env.wait_until(lambda api=api: self.served(api) == REPLICA, 15, f"{api.name}, which was deleted, to be taken off")


def test_any_sequence_converges(programs):
    Machine.site = Site(programs, CONFIG)
    settings = hypothesis.settings(
        max_examples=EXAMPLES or 20, stateful_step_count=15, derandomize=not EXAMPLES, deadline=None, database=None,
        phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck), print_blob=True)
    try:
        run_state_machine_as_test(Machine, settings=settings)
    finally:
        Machine.site = None
