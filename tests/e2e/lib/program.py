"""What the gateway and the platform have in common as programs under test: a file, an admin endpoint, a checked end."""

import http.client
import os

from . import env
from .client import is_open_to
from .process import Process, StartError
from .prom import Metrics


class Program:
    """
    A process with a configuration file of its own and an admin endpoint on a free port. Who derives from it says by
    which command it runs (argv) and where it listens (addresses).
    """

    def __init__(self, directory, name):
        self.directory, self.name = str(directory), name
        self.admin_port = env.free_port()
        self.config_path = os.path.join(self.directory, f"{name}.yaml")
        self.argv = []
        self.process = None
        self.expected_exit = 0

    def write_config(self, text):
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(text)

    # ---- start ----

    def addresses(self):
        """Those that are open once it serves."""
        raise NotImplementedError

    def spawn(self):
        self.process = Process(self.name, self.argv, self.directory)

    def start(self):
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if not self.process.is_running():
                raise StartError(f"{self.name} ended with status {self.process.popen.returncode}:\n{self.log()[-4000:]}")
            return all(is_open_to(a) for a in self.addresses()) and self._admin_is_up()
        env.wait_until(ready, 15, f"{self.name} to listen\n{self.log()[-2000:]}", 0.02)

    def _admin_is_up(self):
        """Not the listening socket of a killed one, which outlives it for a moment."""
        try:
            return self.admin("GET", "/live")[0] == 200
        except OSError:
            return False

    # ---- admin ----

    def admin(self, method, path, body=None, headers=None):
        """(status, body text, headers) of an admin request."""
        c = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=env.scaled(10))
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return r.status, r.read().decode("utf-8"), r.headers
        except http.client.HTTPException as e:
            raise OSError(f"admin: {e!r}") from e
        finally:
            c.close()

    def metrics(self):
        status, text, _ = self.admin("GET", "/metrics")
        assert status == 200, (status, text)
        return Metrics(text)

    def wait_metric(self, value, name, seconds=5.0, **labels):
        env.wait_until(lambda: self.metrics().get(name, **labels) == value, seconds, f"{name}{labels} = {value}", 0.02)

    # ---- end ----

    def rss_bytes(self):
        return self.process.rss_bytes()

    def log(self):
        return self.process.log() if self.process else ""

    def stop(self, seconds=15.0):
        """TERM, then the checks that every program must pass: exit status 0, no sanitizer report."""
        if self.process is None:
            return
        status = self.process.stop(seconds) if self.process.is_running() else self.process.popen.returncode
        reports = self.process.sanitizer_reports()
        assert not reports, f"sanitizer reports: {reports}\n{self.log()[-12000:]}"
        assert status == self.expected_exit, f"{self.name} ended with status {status}\n{self.log()[-4000:]}"

    def kill(self):
        if self.process:
            self.process.kill()
