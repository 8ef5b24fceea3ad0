"""The project's own scripted origin (bench/origin), for load and for large bodies."""

import http.client
import json
import os

from . import env
from .client import is_open_to
from .process import Process, StartError


class Origin:
    def __init__(self, directory, *flags, path=None, port=None, name="origin"):
        self.port = None if path else (port or env.free_port())
        self.address = f"unix:{path}" if path else f"127.0.0.1:{self.port}"
        self.path = path
        self.process = Process(name, [env.ORIGIN, "--listen", self.address, *flags], str(directory))

        def up():
            if not self.process.is_running():
                raise StartError(f"origin ended:\n{self.process.log()[-2000:]}")
            return is_open_to(path if path else ("127.0.0.1", self.port))
        env.wait_until(up, 10, "origin to listen", 0.02)

    def ask(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=env.scaled(10))
        try:
            c.request(method, path, body=body)
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def health(self, status):
        """Going down, a thread of it cuts what it has not heard yet, too: then the question is put again."""
        def is_told():
            try:
                return self.ask("PUT", f"/control/health?status={status}")
            except ConnectionError:
                return None
        code, body = env.wait_until(is_told, 10, f"the origin to be told that it is {status}")
        assert (code, body.decode()) == (200, status + "\n")

    def stats(self):
        return json.loads(self.ask("GET", "/stats")[1])

    def stop(self):
        if self.process.is_running():
            self.process.popen.terminate()
        try:
            self.process.popen.wait(timeout=env.scaled(5))
        except Exception:  # pylint: disable=broad-except
            self.process.kill()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)
