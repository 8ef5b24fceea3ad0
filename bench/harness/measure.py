"""One contender under load for a while: one row of figures.

CPU times are read twenty times a second while the load runs, and figures come from the inner nine tenths of the counted
time, as the load tells it: connecting, warming up and closing are outside.
"""

import os
import time

from . import load, machine
from .freeze import Freeze
from .programs import CellFailure
from .site import Deploying

STEP = 0.05             # seconds between two looks
EDGE = 0.05             # of the counted time, left out on both sides
IDLE = 0.05             # share of all CPUs: with more of it left, a generator without time was the limit
OVERTIME = load.REQUEST_TIMEOUT + 20
FREEZE_SECONDS = 1.0


class Samples:
    """Counters over time, all growing; read in between by interpolation."""

    def __init__(self, groups):
        self.groups = groups  # name -> process ids
        self.rows = []

    def take(self):
        row = {"at": time.monotonic(), "idle": machine.idle_seconds()}
        for name, pids in self.groups.items():
            row[f"{name}_user"], row[f"{name}_system"] = machine.cpu_seconds(pids)
        self.rows.append(row)

    def value(self, name, at):
        before = self.rows[0]
        for row in self.rows:
            if row["at"] >= at:
                if row["at"] == before["at"]:
                    return row[name]
                share = (at - before["at"]) / (row["at"] - before["at"])
                return before[name] + share * (row[name] - before[name])
            before = row
        return before[name]

    def used(self, name, start, end):
        """CPUs in use over that time: 0.5 is half of one."""
        start, end = max(start, self.rows[0]["at"]), min(end, self.rows[-1]["at"])
        if end <= start:
            return 0.0
        return (self.value(name, end) - self.value(name, start)) / (end - start)


class Disturbance:
    """Stops a worker in the middle of the counted time, once; the scenario's least duration leaves room for it."""

    def __init__(self, contender, order):
        self.freeze = Freeze(contender.kind, contender.pids)
        begin = time.monotonic() + order.warmup + order.seconds / 3
        self.times = [begin, begin + FREEZE_SECONDS]
        self.began = self.stopped_seconds = None

    def step(self):
        if self.times and time.monotonic() >= self.times[0]:
            self.times.pop(0)
            if self.times:
                self.freeze.start()
                self.began = time.monotonic()
            else:
                self.end()

    def figures(self):
        return {"stopped_seconds": self.stopped_seconds}

    def end(self):
        self.freeze.end()
        if self.began is not None and self.stopped_seconds is None:
            self.stopped_seconds = time.monotonic() - self.began


class AccessLog:
    """What was written during one run, then cut, so that hours of records don't fill the disk."""

    def __init__(self, contender):
        self.contender, self.path = contender, contender.log
        if self.path:
            self.cut_start()
        self.before = contender.metrics() if self.path else {}

    def count(self):
        """Records written, and of ringgate what should have been written and what it counted as dropped."""
        if not self.path:
            return None
        self.wait_until_written()
        with open(self.path, "rb") as file:
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        os.truncate(self.path, 0)
        now, found = self.contender.metrics(), {"written": lines}
        if now:
            grown = {name: now.get(name, 0) - self.before.get(name, 0) for name in now}
            found["requests"] = int(grown.get("ringgate_requests_total", 0))
            found["dropped"] = int(grown.get("ringgate_access_log_dropped_total", 0))
            found["lost"] = found["requests"] - found["dropped"] - lines
        return found

    def cut_start(self):
        """Records of requests before the first measurement; later ones begin with what count() left."""
        if not self.contender.log_is_cut:
            self.wait_until_written()
            os.truncate(self.path, 0)
            self.contender.log_is_cut = True

    def wait_until_written(self):
        """Writers have buffers: until the file has stood still for longer than nginx keeps one (flush=1s)."""
        size, since, deadline = -1, 0.0, time.monotonic() + 10
        while time.monotonic() < deadline:
            now = self.path.stat().st_size
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > 1.2:
                return
            time.sleep(STEP)


def run_load(generator, programs, order, samples, disturbance):
    """Runs the load to its end; returns the program's status, the time of its end and the memory meanwhile."""
    memory, next_memory = 0, time.monotonic() + order.warmup + order.seconds / 2
    deadline = time.monotonic() + order.warmup + order.seconds + OVERTIME
    program = programs.start("load", generator.command(order))
    samples.groups["load"] = [program.pid]
    try:
        while not program.ended(STEP):
            samples.take()
            if disturbance:
                disturbance.step()
            if time.monotonic() >= next_memory:
                memory = max(memory, machine.memory_kib(samples.groups["proxy"]))
                next_memory += 1
            if time.monotonic() > deadline:
                raise CellFailure(f"the load did not end {OVERTIME} s after its time")
        end = time.monotonic()
        return program, program.process.wait(), end, memory
    finally:
        if disturbance:
            disturbance.end()
        programs.stop(program)


def check_alive(field, contender):
    """Without the origin there is no scenario; without one contender, the others."""
    field.origin.program.check()
    contender.program.check(CellFailure)


def disturbance_of(kind, field, contender, order):
    """None: nothing, or more options of the load."""
    if kind == "freeze":
        return Disturbance(contender, order)
    return Deploying(field.site, contender.label, field.replica) if kind == "deploys" else None


def measure(options, programs, field, contender, order, generator, disturb=""):
    direct = contender is field.origin
    check_alive(field, contender)
    samples = Samples({"proxy": contender.pids, "origin": () if direct else field.origin.pids, "load": ()})
    log, before = AccessLog(contender), contender.metrics()
    (programs.folder / "load.log").unlink(missing_ok=True)
    samples.take()
    disturbance = disturbance_of(disturb, field, contender, order)
    usage = os.times()
    program, status, end, memory = run_load(generator, programs, order, samples, disturbance)
    now = os.times()
    usage = now.children_user + now.children_system - usage.children_user - usage.children_system
    check_alive(field, contender)
    told = generator.result(order, program, status, usage)
    if told.requests == 0:
        raise CellFailure(f"{contender.label} answered no request; errors: {told.errors}")
    row = figures(told, samples, end)
    row.update(enters=enters(before, contender.metrics()), pss_kib=memory or machine.memory_kib(contender.pids),
               log=log.count(), **(disturbance.figures() if disturbance else {}))
    return row, told.hgrm


def window(told, end):
    """The inner part of the counted time; a load that doesn't tell it is taken to have ended with its process."""
    begin, end = (told.begin, told.end) if told.begin and told.end else (end - told.seconds, end)
    edge = (end - begin) * EDGE
    return begin + edge, end - edge


def figures(told, samples, end):
    start, end = window(told, end)
    used = {name: samples.used(name, start, end) for name in samples.rows[0] if name != "at"}
    cpus, proxy = os.cpu_count(), used["proxy_user"] + used["proxy_system"]
    origin, generator = used["origin_user"] + used["origin_system"], used["load_user"] + used["load_system"]
    idle = used["idle"] / cpus
    mib_s = told.bytes / told.seconds / 1048576 if told.bytes else None
    return {
        "requests": told.requests, "rate": told.rate, "errors": told.errors, "failed": told.failed(),
        "reconnects": told.reconnects, "latency_us": told.latency_us,
        "cpu_us": proxy / told.rate * 1e6,
        "user_us": used["proxy_user"] / told.rate * 1e6,
        "system_us": used["proxy_system"] / told.rate * 1e6,
        "mib_s": mib_s, "cpu_us_mib": proxy / mib_s * 1e6 if mib_s else None,
        "proxy_cpus": proxy, "load_share": told.share, "load_cpu_us": generator / told.rate * 1e6,
        "origin_cpu_us": origin / told.rate * 1e6,
        # Below zero when the accounts don't add up: seen, not hidden.
        "idle": idle, "others": 1 - idle - (proxy + origin + generator) / cpus,
        "tls": told.tls, "behind": told.behind, "backlog": told.backlog, "saturated": load.per_thread_limit(told) and idle > IDLE,
    }


def enters(before, after):
    """io_uring_enter calls a request, by ringgate's own counters; of others nothing is known."""
    requests = after.get("ringgate_requests_total", 0) - before.get("ringgate_requests_total", 0)
    calls = after.get("ringgate_ring_enters_total", 0) - before.get("ringgate_ring_enters_total", 0)
    return calls / requests if requests > 0 else None
