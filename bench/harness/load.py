"""What asks: ringgate-load, or wrk and h2load as a cross-check. Whichever it is, the result reads the same."""

import dataclasses
import json
import re

from . import tls
from .programs import CellFailure, find_binary, find_program, knows

ERRORS = ("connect", "read", "write", "status", "timeout", "protocol")
REQUEST_TIMEOUT = 10  # seconds; also how long a load may go on after its time

# Only done() is defined, so wrk's Lua costs nothing per request.
WRK_REPORT = """
done = function(summary, latency, requests)
  io.write(string.format('\\nREPORT {"requests": %d, "duration_us": %d, "connect": %d, "read": %d, "write": %d, ' ..
    '"status": %d, "timeout": %d, "bytes": %d, "p50": %d, "p90": %d, "p99": %d, "p999": %d, "max": %d}\\n',
    summary.requests, summary.duration, summary.errors.connect, summary.errors.read, summary.errors.write,
    summary.errors.status, summary.errors.timeout, summary.bytes, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency:percentile(99.9), latency.max))
end
"""


@dataclasses.dataclass(frozen=True)
class Order:
    """What to send for how long; without a rate as fast as answers come (closed loop)."""

    port: int
    path: str
    connections: int
    active: int
    threads: int
    seconds: float
    warmup: float
    rate: float | None = None
    options: tuple = ()
    seed: int = 1                  # of the schedule's phases and the choice of the busy connections
    tls: bool = False
    streams: int = 0               # HTTP/2, so many requests at a time on each connection; 0: HTTP/1.1

    def is_plain(self):
        return self.rate is None and not self.options and self.active == self.connections


@dataclasses.dataclass
class Result:
    requests: int
    rate: float
    seconds: float
    errors: dict
    latency_us: dict
    share: float | None = None     # of the CPU time that its threads could have had
    behind: dict | None = None     # open loop: how late it was through its own fault
    hgrm: str | None = None
    bytes: int | None = None       # both ways, in the counted time
    begin: float | None = None     # the counted time, by CLOCK_MONOTONIC
    end: float | None = None
    backlog: dict | None = None    # open loop: requests due and not answered, at its begin and end
    reconnects: int | None = None  # kept connections that the server closed between two requests
    tls: dict | None = None        # version, cipher, group, and the handshakes of the counted time where they are known

    def failed(self):
        return sum(self.errors.values())


class RinggateLoad:
    name = "ringgate-load"

    def __init__(self, options, folder):
        self.program = find_binary(options.bin, "ringgate-load")
        self.folder = folder
        self.has_seeds = knows(self.program, "--seed")

    @staticmethod
    def can(order):
        return not order.streams

    def command(self, order):
        command = [self.program, "--connect", f"127.0.0.1:{order.port}", "--path", order.path,
                   "--connections", order.connections, "--threads", order.threads, "--duration", f"{order.seconds:g}",
                   "--warmup", f"{order.warmup:g}", "--timeout", REQUEST_TIMEOUT,
                   "--json", self.folder / "load.json", "--hgrm", self.folder / "load.hgrm", "--quiet", *order.options]
        if order.active != order.connections:
            command += ["--active", order.active]
        if order.rate is not None:
            command += ["--rate", f"{order.rate:.0f}"]
        if self.has_seeds:
            command += ["--seed", order.seed]
        if order.tls:
            command += ["--tls", "--tls-version", tls.VERSION, "--tls-cipher", tls.CIPHER]
        return command

    def result(self, order, program, status, usage):
        if status not in (0, 1):
            raise CellFailure(f"ringgate-load ended with status {status}: {program.output()[-1000:] or 'no output'}")
        told = json.loads((self.folder / "load.json").read_text())
        errors = {kind: told["errors"].get(kind, 0) for kind in ERRORS}
        problem = tls.not_resumed(told["tls"]) if "--tls-resume" in order.options else None
        if problem:
            raise CellFailure(problem)
        hgrm = (self.folder / "load.hgrm").read_text()
        return Result(told["requests"], told["rate"], told["seconds"], errors, told["latency_us"],
                      told["cpu"]["share"], told.get("behind"), hgrm, told["bytes_in"] + told["bytes_out"],
                      seconds_of(told.get("begin_ns")), seconds_of(told.get("end_ns")), told.get("backlog"),
                      told.get("reconnects"), told.get("tls"))


def seconds_of(nanoseconds):
    return nanoseconds / 1e9 if nanoseconds else None


class Wrk:
    name = "wrk"

    def __init__(self, options, folder):
        self.program = find_program("wrk")
        self.script = folder / "report.lua"
        self.script.write_text(WRK_REPORT)

    @staticmethod
    def can(order):
        return order.is_plain() and not order.tls and not order.streams

    def command(self, order):
        threads = min(order.threads, order.connections)
        seconds = max(1, round(order.seconds))  # whole ones are all it knows
        return [self.program, "-t", threads, "-c", order.connections, "-d", f"{seconds}s", "--timeout",
                f"{REQUEST_TIMEOUT}s", "-s", self.script, f"http://127.0.0.1:{order.port}{order.path}"]

    def result(self, order, program, status, usage):
        found = re.search(r"^REPORT (\{.*\})$", program.output(), re.MULTILINE)
        if status != 0 or not found:
            raise CellFailure(f"wrk ended with status {status}: {program.output()[-500:]}")
        told = json.loads(found.group(1))
        seconds = told["duration_us"] / 1e6
        latency = {name: told[name] for name in ("p50", "p90", "p99", "p999", "max")}
        return Result(told["requests"], told["requests"] / seconds, seconds, {kind: told.get(kind, 0) for kind in ERRORS},
                      latency, share=usage / (order.threads * seconds), bytes=told["bytes"])


def in_ms(seconds):
    """As h2load takes fractions."""
    return f"{seconds * 1000:.0f}ms"


class H2load:
    name = "h2load"
    UNITS = {"us": 1, "ms": 1e3, "s": 1e6}

    def __init__(self, options, folder):
        self.program = find_program("h2load")

    @staticmethod
    def can(order):
        return order.is_plain()

    def command(self, order):
        protocol = ["-m", order.streams] if order.streams else ["--h1"]
        scheme = "https" if order.tls else "http"
        return [self.program, *protocol, "-t", min(order.threads, order.connections), "-c", order.connections,
                "-D", in_ms(order.seconds), "--warm-up-time", in_ms(self.warmup(order)), "-T", REQUEST_TIMEOUT,
                *(["--tls13-ciphers", tls.CIPHER] if order.tls else []), f"{scheme}://127.0.0.1:{order.port}{order.path}"]

    @staticmethod
    def warmup(order):
        return max(0.1, order.warmup)

    @staticmethod
    def agreed(order, text):
        """What h2load says of TLS; it falls back to HTTP/1.1 where a server wants that, which is another scenario."""
        def told(name):
            found = re.search(rf"^{name}: (?:ECDH )?(\S+)", text, re.MULTILINE)
            return found.group(1) if found else "unknown"
        if order.streams and told("Application protocol") not in ("h2", "h2c"):
            raise CellFailure(f"h2load and the server agreed on {told('Application protocol')}, not on HTTP/2")
        return {"version": told("TLS Protocol"), "cipher": told("Cipher"), "group": told("Server Temp Key")} if order.tls else None

    def result(self, order, program, status, usage):
        text = program.output()
        rate = re.search(r"finished in .*?, ([0-9.]+) req/s", text)
        count = re.search(r"requests: .*? (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
        times = re.search(r"time for request:\s+\S+\s+([0-9.]+)(us|ms|s)\s+([0-9.]+)(us|ms|s)", text)
        if status != 0 or not rate or not count or not times:
            raise CellFailure(f"h2load ended with status {status}: {text[-500:]}")
        succeeded, failed, errored, timeout = map(int, count.groups())
        errors = dict.fromkeys(ERRORS, 0) | {"status": failed - errored, "read": errored, "timeout": timeout}
        latency = {"max": float(times.group(1)) * self.UNITS[times.group(2)],
                   "mean": float(times.group(3)) * self.UNITS[times.group(4)]}
        return Result(succeeded, float(rate.group(1)), order.seconds, errors, latency,
                      share=usage / (order.threads * (order.seconds + self.warmup(order))), tls=self.agreed(order, text))


LOADS = {one.name: one for one in (RinggateLoad, Wrk, H2load)} | {"ringgate": RinggateLoad}


def per_thread_limit(result):
    """Whether its threads had no time left."""
    return result.share is not None and result.share >= 0.9
