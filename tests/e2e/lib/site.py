"""A platform, a gateway that it controls, and the replica that gets what no route takes."""

import os

from . import env
from .client import get
from .gateway import merge
from .platform import respond

# After a platform's end the gateway is back within the patience of a test.
SOON_BACK = {"control": {"reconnect_initial": "20ms", "reconnect_max": "200ms"}}


class Site:
    """more: of the gateway, as Programs.gateway takes it."""

    def __init__(self, programs, config=None, workers=2, **more):
        self.programs = programs
        self.replica = programs.raw_origin()
        self.platform = programs.platform(config)
        self.token = self.platform.create_gateway()
        more["config"] = merge(SOON_BACK, more.get("config"))
        self.gateway = programs.connected_gateway(self.platform, self.token, replica=self.replica.address, workers=workers, **more)
        self.wait_connected()

    def wait_connected(self, n=1, seconds=10):
        def connected():
            try:
                return self.platform.metrics().get("ringgate_platform_gateways_connected") == n
            except OSError:
                return False
        env.wait_until(connected, seconds, f"{n} gateways to be connected")

    def another_gateway(self, **more):
        """One more instance of the same gateway."""
        return self.programs.connected_gateway(self.platform, self.token, replica=self.replica.address, config=SOON_BACK, **more)

    def body(self, path="/hello/x", gateway=None):
        return get((gateway or self.gateway).address, path).body

    def create(self, name="hello", text="one", **more):
        self.platform.create_api(name, self.replica_url, policies=[respond(text)], **more)

    def update(self, name="hello", text="two", **more):
        self.platform.update_api(name, self.replica_url, policies=[respond(text)], **more)

    def live(self, name="hello", **more):
        """Deployed, and DEPLOYED."""
        d = self.platform.deploy(name, **more)
        self.platform.wait(name, d, "DEPLOYED", 20, **{k: v for k, v in more.items() if k == "kind"})
        return d

    @property
    def token_file(self):
        return os.path.join(self.gateway.directory, f"{self.gateway.name}.token")

    @property
    def replica_url(self):
        return f"http://{self.replica.address}"
