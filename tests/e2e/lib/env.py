"""The environment of a test run: programs, pace, ports, waiting for conditions. No sleep where a condition belongs."""

import os
import random
import socket
import time

RINGGATE = os.environ.get("RINGGATE_BIN", "")
ORIGIN = os.environ.get("ORIGIN_BIN", "")
ROUTED = os.environ.get("ROUTED_BIN", "")
PLATFORM = os.environ.get("PLATFORM_BIN", "")
RGCTL = os.environ.get("RGCTL_BIN", "")
SANITIZER = os.environ.get("RINGGATE_SANITIZER", "")

# How much slower than a plain build on an idle machine this run may be: deadlines and configured time-outs grow with it.
SLOW = float(os.environ.get("RINGGATE_TEST_SLOW", "1"))

# Options of the replica with which a whole module is run once more: see CMakeLists.txt.
REPLICA = {"sockmap": "auto"} if os.environ.get("RINGGATE_TEST_SOCKMAP") else {}

_random = random.Random(os.getpid() ^ time.monotonic_ns())


def scaled(seconds):
    """A deadline for this run."""
    return seconds * SLOW


def at_most(seconds):
    """
    The bound of a duration that the test itself measures, where what must not happen instead takes far longer: the test
    may be put aside by a busy machine at any moment, which is no fault of the gateway.
    """
    return scaled(seconds) + 2.0


def best_of(n, measure):
    """The shortest of n durations, for bounds too tight for at_most: what the machine does to one of them is not counted."""
    return min(measure() for _ in range(n))


def one_within(bound, measure, tries=10):
    """Whether one of some durations is below the bound: like best_of, but measures only as often as the machine asks for."""
    return any(measure() < bound for _ in range(tries))


def ms(value):
    """A configured time-out, grown like the deadlines."""
    return f"{int(value * SLOW)}ms"


class Ports:
    """
    Ports of the loopback, outside the range that the kernel gives to clients. Several test runs live side by side, and a
    program binds its port a while after it was chosen: so each run leases blocks that are no other run's. A lease is a
    bound socket, which goes with the process, in the network namespace in which the ports are.
    """

    FIRST, BLOCK, BLOCKS = 12000, 100, 200

    def __init__(self):
        self.leases = []
        self.free = []

    def lease(self):
        for block in _random.sample(range(self.BLOCKS), self.BLOCKS):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                s.bind(f"\0ringgate-test-ports-{block}")
            except OSError:
                s.close()
                continue
            self.leases.append(s)
            first = self.FIRST + block * self.BLOCK
            return list(range(first, first + self.BLOCK))
        raise RuntimeError(f"all {self.BLOCKS} blocks of ports are leased: {len(self.leases)} by this run")

    def take(self):
        """Each port once: what held it before may still have connections there."""
        while True:
            self.free = self.free or self.lease()
            port = self.free.pop()
            if is_bindable(port):
                return port


def is_bindable(port):
    try:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")):
            with socket.socket(family) as s:
                if family == socket.AF_INET6:
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                s.bind((host, port))
        return True
    except OSError:
        return False


_ports = Ports()


def free_port():
    """A port that nobody listens on and that no other test run will choose."""
    return _ports.take()


def wait_until(condition, seconds=5.0, what="condition", interval=0.01):
    """Polls until condition() is truthy and returns its value; fails after the (scaled) deadline."""
    deadline = time.monotonic() + scaled(seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {scaled(seconds):.1f} s (last value: {value!r})")
        time.sleep(interval)
