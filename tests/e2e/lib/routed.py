"""A gateway whose routes come out of a file (tests/e2e/routed), and the pieces of what it is given."""

import json
import os

from . import env
from .gateway import Gateway


def target(address, weight=1, tls=False, host=None):
    """address: that of an origin, "host:port" or "unix:/path". host: a name for the same place."""
    if address.startswith("unix:"):
        return {"host": address[5:], "port": 0, "tls": tls, "weight": weight}
    of, _, port = address.rpartition(":")
    return {"host": host or of.strip("[]"), "port": int(port), "tls": tls, "weight": weight}


def unit(path, *targets, handle=None, route=None, **upstream):
    """An upstream with these targets, and a route to it for what is below the path."""
    return {"handle": handle or path.strip("/"), "upstreams": [{"targets": list(targets), **upstream}],
            "routes": [{"path": path, "upstream": 0, **(route or {})}]}


class Routed(Gateway):
    def __init__(self, directory, replica, config=None, environment=None, hosts=None, **more):
        """hosts: names with the addresses that they have instead of what the system's hosts file says; needs root."""
        self.routes_path = os.path.join(str(directory), "routes.json")
        self.revision = 0
        super().__init__(directory, replica, config, wait=False,
                         environment={"RINGGATE_ROUTES": self.routes_path, **(environment or {})}, **more)
        self.argv[0] = env.ROUTED
        if hosts:
            self.argv = self._with_hosts(hosts) + self.argv

    def _with_hosts(self, hosts):
        path = os.path.join(self.directory, "hosts")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(f"{address} {name}\n" for name, addresses in hosts.items() for address in addresses)
        return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', path]

    def deploy(self, *units):
        """Returns when every worker has it."""
        self.revision += 1
        self._write({"revision": self.revision, "units": list(units)})
        env.wait_until(lambda: self._read("live") == str(self.revision) or self._read("error"), 10, "the routes to be live")
        assert not self._read("error"), self._read("error")

    def refused(self, *units):
        """What is wrong with them."""
        self._write({"revision": 0, "units": list(units)})
        env.wait_until(lambda: self._read("error"), 10, "the routes to be refused")
        return self._read("error")

    def _write(self, what):
        with open(self.routes_path + "~", "w", encoding="ascii") as f:
            json.dump(what, f)
        os.rename(self.routes_path + "~", self.routes_path)

    def _read(self, suffix):
        try:
            with open(f"{self.routes_path}.{suffix}", encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""
