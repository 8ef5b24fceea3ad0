"""Who is compared: one row of KINDS each, a readable configuration in bench/peers, and settings that scenarios ask for.

A contender is written `kind`, or `kind+setting` for one that differs in a setting: `ringgate+hash`, `nginx+log`.

A scenario has a mode: "clear", "tls" (where HTTP/2 is offered beside HTTP/1) or "h2c" (HTTP/2 in the clear). Lines of a
configuration that begin with `#tls#` and the like are comments but in that mode; `#alpn#` are those that name HTTP/2 over TLS.
"""

import dataclasses
import http.client
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from . import machine, site, tls
from .programs import CellFailure, Failure, SYSTEM_PATH, find_binary, find_program, knows, version_of

PEER_FOLDER = pathlib.Path(__file__).resolve().parent.parent / "peers"
LOG_NAME = "access.log"
MODES = ("clear", "tls", "h2c")


@dataclasses.dataclass(frozen=True)
class Kind:
    title: str
    template: str = ""            # in bench/peers; without one everything is in the command
    command: tuple = ()           # after the program; {conf}, {dir}, {listen}, {replica}, {workers}, {congestion} are filled in
    version: tuple = ("-v",)
    ours: bool = False            # in the folder of the build, not installed
    settings: dict = dataclasses.field(default_factory=dict)  # setting -> placeholders that it changes
    defaults: dict = dataclasses.field(default_factory=dict)
    unix: str = "unix:{}"         # how it writes the address of a UNIX socket
    modes: tuple = ("clear",)     # which its configuration has


def nginx_like_log():
    return {"log": {"log": "{dir}/" + LOG_NAME + " json buffer=64k flush=1s"}}


KINDS = {
    "ringgate": Kind("ringgate", "ringgate.yaml", ("-c", "{conf}"), ("--version",), ours=True,
                     defaults={"steering": "", "log": '"off"', "sockmap": ""},  # older versions don't know that option
                     modes=MODES,
                     settings={"log": {"log": "{dir}/" + LOG_NAME},
                               **{mode: {"steering": f"steering: {{{{mode: {mode}}}}}"} for mode in ("near", "load", "hash", "off")},
                               "sockmap": {"sockmap": "\n  sockmap: auto"}, "h2c": {"replica": "h2c://{h2c}"},
                               **{name: {} for name in site.SETTINGS}}),
    "nginx": Kind("nginx", "nginx.conf", ("-e", "{dir}/error.log", "-c", "{conf}"), defaults={"log": "off"},
                  settings=nginx_like_log(), modes=MODES),
    "haproxy": Kind("HAProxy", "haproxy.cfg", ("-db", "-f", "{conf}"), defaults={"log": "off"}, unix="unix@{}",
                    settings={"log": {"log": "on"}}, modes=MODES),
    "envoy": Kind("Envoy", "envoy.yaml", ("--concurrency", "{workers}", "--log-level", "warning", "--disable-hot-restart",
                                          "-c", "{conf}"), ("--version",)),
    "h2o": Kind("h2o", "h2o.conf", ("-c", "{conf}"), unix="[unix:{}]"),
    "caddy": Kind("Caddy", "Caddyfile", ("run", "--adapter", "caddyfile", "--config", "{conf}"), ("version",),
                  unix="unix/{}"),
    "floor": Kind("floor", "", ("--listen", "{listen}", "--replica", "{replica}", "--workers", "{workers}",
                                "--congestion", "{congestion}"), ours=True),
    "direct": Kind("origin alone", ours=True),
}
BINARIES = {"ringgate": "ringgate", "floor": "ringgate-floor", "direct": "ringgate-origin"}
CLIENTS = 0.6                                # of a process's descriptors, the rest is for the other side: few are active
# What stands in for the origin where HTTP/2 to the replica is measured: configuration, arguments.
OTHER_REPLICAS = {"nginx": ("replica-nginx.conf", ("-e", "{dir}/error.log", "-c", "{conf}")),
                  "haproxy": ("replica-haproxy.cfg", ("-db", "-f", "{conf}"))}

PEERS = ("nginx", "haproxy")                 # the best peer is one of these
OPTIONAL_PEERS = ("envoy", "h2o", "caddy")   # measured where a scenario has no settings that only the others know
ENVOY_ADDRESS = {"tcp": "socket_address: {{ address: 127.0.0.1, port_value: {} }}", "unix": "pipe: {{ path: {} }}"}


def mode_of(scenario):
    return "tls" if scenario.tls else "h2c" if scenario.streams else "clear"


def kind_of(label):
    return label.split("+")[0].split("@")[0]


def user():
    """Of nginx's workers."""
    return "root" if os.geteuid() == 0 else "nobody"


def fields_of(scenario):
    """Of the requests that the load sends, for those that the harness sends itself."""
    lines = [value for name, value in zip(scenario.load, scenario.load[1:]) if name == "--header"]
    return dict(line.split(": ", 1) for line in lines)


def check_label(label):
    name, *settings = label.split("+")
    kind = KINDS.get(name.split("@")[0])
    if kind is None:
        raise Failure(f"contender {label!r}: wanted one of {', '.join(KINDS)}", 2)
    for setting in settings:
        if setting not in kind.settings:
            known = ", ".join(kind.settings) or "none"
            raise Failure(f"contender {label!r}: {name} has no setting {setting!r}, only: {known}", 2)


def installed_optional_peers():
    return [name for name in OPTIONAL_PEERS if shutil.which(name, path=SYSTEM_PATH)]


def fill(template, values, marks=()):
    """Every @NAME@ outside of comments must have a value; lines with one of the marks are no comments."""
    text = (PEER_FOLDER / template).read_text()
    for mark in marks:
        text = re.sub(f"^#{mark}#", "", text, flags=re.MULTILINE)
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    left = re.search(r"^[^#\n]*(@[A-Z_]+@)", text, re.MULTILINE)
    if left:
        raise Failure(f"bench/peers/{template}: nothing to put for {left.group(1)}", 2)
    return text


@dataclasses.dataclass
class Contender:
    """One that runs: where it is asked, and which process it is."""

    label: str
    port: int
    program: object
    admin: int | None = None
    log: pathlib.Path | None = None
    log_is_cut: bool = False
    pids: tuple = ()
    mode: str = "clear"
    fields: dict = dataclasses.field(default_factory=dict)  # of every request

    @property
    def kind(self):
        return kind_of(self.label)

    def get(self, target):
        if self.mode == "h2c":
            return self.get_by_curl(target)
        connection = (http.client.HTTPSConnection("127.0.0.1", self.port, timeout=2, context=tls.client_context())
                      if self.mode == "tls" else http.client.HTTPConnection("127.0.0.1", self.port, timeout=2))
        try:
            connection.request("GET", target, headers=self.fields)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def get_by_curl(self, target):
        """HTTP/2 that begins without being asked for: some speak nothing else on such a port."""
        done = subprocess.run(["curl", "--silent", "--http2-prior-knowledge", "--max-time", "2", "--write-out", "%{http_code}",
                               f"http://127.0.0.1:{self.port}{target}"], capture_output=True)
        if done.returncode != 0:
            raise OSError(f"curl ended with status {done.returncode}")
        return int(done.stdout[-3:]), done.stdout[:-3]

    def response_bytes(self, target):
        """Of the whole response to a request on a kept connection, head included."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as sock:
            sock.sendall(f"GET {target} HTTP/1.1\r\nHost: origin\r\n\r\n".encode())
            text = b""
            while b"\r\n\r\n" not in text:
                block = sock.recv(65536)
                if not block:
                    raise Failure(f"the origin ended the connection in the head of {target}")
                text += block
        head = text[:text.index(b"\r\n\r\n") + 4]
        body = re.search(rb"^content-length:\s*(\d+)", head, re.IGNORECASE | re.MULTILINE)
        if not body:
            raise Failure(f"the origin's answer to {target} has no Content-Length")
        return len(head) + int(body.group(1))

    def metrics(self):
        """Sums of ringgate's counters over their labels; of others nothing."""
        if self.admin is None:
            return {}
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=2)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            connection.close()
        except (OSError, http.client.HTTPException):
            return {}
        sums = {}
        for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? ([0-9.e+]+)$", text, re.MULTILINE):
            sums[name] = sums.get(name, 0.0) + float(value)
        return sums

    def wait_until_it_answers(self, target, expected):
        deadline = time.monotonic() + 10
        problem = "no answer"
        while time.monotonic() < deadline:
            self.program.check(CellFailure)
            try:
                status, body = self.get(target)
                if status == 200 and (expected is None or body == expected):
                    # Workers are processes of some: from here on they are known.
                    self.pids = tuple(machine.family(self.program.pid))
                    return body
                problem = f"status {status}, {len(body)} bytes"
            except (OSError, http.client.HTTPException) as error:
                problem = str(error)
            time.sleep(0.05)
        raise CellFailure(f"{self.label} does not pass {target} on: {problem}; its log: {self.program.output()[-1000:] or 'empty'}")


class Field:
    """The origin and the contenders of one scenario, all running; only one of them gets load at a time."""

    def __init__(self, options, programs, ports):
        self.options, self.programs, self.ports = options, programs, ports
        self.contenders = []
        self.absent = {}           # label -> why it does not take part
        self.h2c = "127.0.0.1:3"   # where the replica speaks HTTP/2, in scenarios in which it does
        self.site = None           # what gives routes to those that have some
        self.response_bytes = None  # with it the floor shares its connections to the replica

    def begin(self, scenario, replica, folder):
        """What configurations are made of."""
        self.scenario, self.replica, self.mode = scenario, replica, mode_of(scenario)
        self.certificate = tls.certificate_in(folder) if scenario.tls else tls.NO_CERTIFICATE

    def start(self, scenario, labels):
        target = scenario.path if scenario.path.startswith("/bytes") else "/bytes/64"
        origin_port, origin_path = self.ports.take(), self.programs.folder / f"origin-{len(self.programs.running)}.sock"
        self.begin(scenario, str(origin_path) if scenario.replica == "unix" else f"127.0.0.1:{origin_port}",
                   self.programs.folder)
        command = self.other_replica(scenario.replica, origin_port) if scenario.replica in OTHER_REPLICAS else [
            self.binary("direct"), "--listen", f"127.0.0.1:{origin_port}", "--listen", f"unix:{origin_path}",
            "--threads", self.options.origin_threads, "--quiet"]
        self.origin = Contender("direct", origin_port, self.programs.start("origin", command))
        expected = self.origin.wait_until_it_answers(target, None)
        self.response_bytes = self.origin.response_bytes(target) if scenario.active else None
        for label in labels:
            contender = self.origin if label == "direct" else self.start_proxy(label)
            try:
                if contender is not self.origin and site.setting_of(label):
                    self.site.deploy(label, self.replica)
                contender.wait_until_it_answers(target, expected)
                self.contenders.append(contender)
            except CellFailure as failure:
                self.absent[label] = str(failure)
                self.programs.stop(contender.program)

    def other_replica(self, kind, port):
        folder, h2c = pathlib.Path(tempfile.mkdtemp(prefix="replica-", dir=self.programs.folder)), self.ports.take()
        self.h2c = f"127.0.0.1:{h2c}"
        template, arguments = OTHER_REPLICAS[kind]
        text = fill(template, {"dir": folder, "port": port, "h2c": h2c, "threads": self.options.origin_threads,
                               "descriptors": self.options.descriptors, "body": "x" * 1024, "user": user()})
        (folder / template).write_text(text)
        return [find_program(kind), *(part.format(dir=folder, conf=folder / template) for part in arguments)]

    def binary(self, label):
        kind = kind_of(label)
        if label.split("+")[0] in self.options.binaries:  # another revision of ours
            return self.options.binaries[label.split("+")[0]]
        return find_binary(self.options.bin, BINARIES[kind]) if KINDS[kind].ours else find_program(kind)

    def start_proxy(self, label):
        folder = self.programs.folder / label
        port, admin = self.ports.take(), self.ports.take()
        program = self.programs.start(label, self.command_of(label, folder, port, admin))
        ours = kind_of(label) == "ringgate"
        return Contender(label, port, program, admin if ours else None, self.log_of(label, folder, program), mode=self.mode,
                         fields=fields_of(self.scenario))

    def command_of(self, label, folder, port, admin):
        """Writes its configuration, too."""
        kind = KINDS[kind_of(label)]
        folder.mkdir(exist_ok=True)
        values = {"dir": folder, "port": port, "admin": admin, "listen": f"127.0.0.1:{port}",
                  "replica": self.replica_for(kind), "workers": self.options.workers,
                  "bodies": "on" if self.scenario.body else "off", "tls": "on" if self.mode == "tls" else "off",
                  "user": user(), "h2c": self.h2c, "conf": folder / kind.template, **self.certificate,
                  "descriptors": self.options.descriptors, "clients": int(self.options.descriptors * CLIENTS),
                  "congestion": self.options.congestion if self.options.isolated else machine.system_congestion()}
        values["health"] = "\n  health: {expect: 2xx}" if self.scenario.replica in OTHER_REPLICAS else ""
        values["control"] = self.control_of(label)
        values.update(settings_of(label, kind, values))
        if kind.template:
            marks = (self.mode, "alpn") if self.scenario.streams and self.scenario.tls else (self.mode,)
            (folder / kind.template).write_text(fill(kind.template, values, marks))
        command = [self.binary(label), *(part.format(**values) for part in kind.command)]
        if self.response_bytes and label == "floor" and floor_shares(self.options):
            command += ["--response-bytes", self.response_bytes]
        return command

    def control_of(self, label):
        if not site.setting_of(label) or not self.programs:
            return ""
        self.site = self.site or site.Site(self.options, self.programs, self.ports)
        return self.site.control(label)

    def replica_for(self, kind):
        is_unix = self.replica.startswith("/")
        if kind.template == "envoy.yaml":
            return ENVOY_ADDRESS["unix" if is_unix else "tcp"].format(self.replica if is_unix else self.replica.split(":")[1])
        return kind.unix.format(self.replica) if is_unix else self.replica

    @staticmethod
    def log_of(label, folder, program):
        """HAProxy's goes to its standard output: a file here, so that no log daemon takes CPU time."""
        if "log" not in label.split("+"):
            return None
        return program.log if kind_of(label) == "haproxy" else folder / LOG_NAME

    def stop(self):
        for contender in reversed(self.contenders):
            if contender is not self.origin:
                self.programs.stop(contender.program)
        self.programs.stop(self.origin.program)
        if self.site:
            self.programs.stop(self.site.program)
        self.contenders.clear()


def floor_shares(options):
    """Whether the floor can share its connections to the replica; since then it also has blocks that fit bodies."""
    return knows(find_binary(options.bin, BINARIES["floor"]), "--response-bytes")


def settings_of(label, kind, values):
    found = dict(kind.defaults)
    for setting in label.split("+")[1:]:
        found.update(kind.settings[setting])
    return {name: text.format(**values) for name, text in found.items()}


def versions(labels, folder):
    """Of everything that took part."""
    found = {}
    for name in dict.fromkeys(kind_of(label) for label in labels):
        kind = KINDS[name]
        if name in ("floor", "direct"):
            continue  # built from the same commit as ringgate
        program = find_binary(folder, BINARIES[name]) if kind.ours else find_program(name)
        found[name] = version_of([program, *kind.version])
    return found


def check_unix_path(folder):
    """A UNIX socket's path has 107 bytes at most; a long TMPDIR must not show as a failure to connect."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.bind(str(folder / "origin-00.sock"))
        except OSError as error:
            raise Failure(f"{folder}: no UNIX socket there ({error}): set TMPDIR to a shorter path", 2) from error
    (folder / "origin-00.sock").unlink()
