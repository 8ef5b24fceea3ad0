"""The gateway under test: a configuration file of its own, free ports, stopped and examined at the end."""

import json
import resource
import sys

from . import env
from .process import Process
from .program import Program


def merge(base, over):
    """over laid on base, mappings member by member."""
    out = dict(base)
    for key, value in (over or {}).items():
        out[key] = merge(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def to_yaml(value, indent=0):
    """Enough YAML for our configurations."""
    pad = "  " * indent
    if isinstance(value, dict):
        lines = []
        for key, v in value.items():
            if isinstance(v, (dict, list)) and v:
                lines.append(f"{pad}{key}:\n{to_yaml(v, indent + 1)}")
            else:
                lines.append(f"{pad}{key}: {scalar(v)}\n")
        return "".join(lines)
    lines = []
    for v in value:
        if isinstance(v, dict):
            body = to_yaml(v, indent + 1)
            lines.append(f"{pad}- {body.lstrip()}")
        else:
            lines.append(f"{pad}- {scalar(v)}\n")
    return "".join(lines)


def scalar(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, (int, float)):
        return str(v)
    if v in ([], {}):
        return "[]" if v == [] else "{}"
    return json.dumps(v) if v and not v[0].isdigit() else v


def nofile_limit(n):
    """For preexec: soft and hard limit of open files."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


# Puts the descriptors where the protocol wants them, with the process id that execve keeps.
HAND_OVER = """
import os, sys
fds, names = [int(n) for n in sys.argv[1].split(",")], sys.argv[2]
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.closerange(3 + len(fds), 200)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Gateway(Program):
    def __init__(self, directory, replica=None, config=None, listen=None, flags=None, workers=1, preexec=None,
                 environment=None, name="gateway", wait=True, inherit=(), inherit_names=None):
        """
        listen: addresses; default one free loopback port. flags: given instead of a file (or with config=False beside
        nothing). The replica's health is not probed unless the configuration asks, so that scripted origins see only
        what clients sent. inherit: listening sockets to hand over (LISTEN_FDS), with their names.
        """
        super().__init__(directory, name)
        self.listen = listen or [f"127.0.0.1:{env.free_port()}"]
        self.preexec, self.environment = preexec, environment
        self.inherit, self.inherit_names = list(inherit), inherit_names
        if flags is None:
            self.config = merge({
                "workers": workers,
                "listeners": [{"address": a} for a in self.listen],
                "replica": {"address": replica, "health": {"path": "off"}, **env.REPLICA},
                "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            }, config)
            self.write_config(self.config)
            self.argv = [env.RINGGATE, "-c", self.config_path]
        else:
            self.config = None
            self.argv = [env.RINGGATE] + [f.replace("{admin}", f"127.0.0.1:{self.admin_port}") for f in flags]
        if wait:
            self.start()

    def write_config(self, config):
        super().write_config(config if isinstance(config, str) else to_yaml(config))

    def reconfigure(self, changes):
        """Writes the file anew; a reload is the caller's to ask for."""
        self.config = merge(self.config, changes)
        self.write_config(self.config)

    def spawn(self):
        argv, fds = self.argv, [s.fileno() for s in self.inherit]
        if fds:
            argv = [sys.executable, "-B", "-c", HAND_OVER, ",".join(map(str, fds)), self.inherit_names or "", *argv]
        self.process = Process(self.name, argv, self.directory, self.environment, self.preexec, fds)

    def addresses(self):
        return [self.address_of(a) for a in self.listen]

    @staticmethod
    def address_of(text):
        """What Client() takes."""
        if text.startswith("unix:"):
            return text[5:]
        host, _, port = text.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port))

    @property
    def address(self):
        return self.address_of(self.listen[0])

    @property
    def url(self):
        host, port = self.address
        return f"http://{'[' + host + ']' if ':' in host else host}:{port}"
