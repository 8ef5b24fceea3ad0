"""What is measured, and what is to be reached. A new scenario is an entry of SCENARIOS; a new goal one of TARGETS."""

import dataclasses

from harness import site

KIB, MIB = 1024, 1024 * 1024
PROXIES = ("ringgate", "nginx", "haproxy", "others", "floor")  # others: Envoy, h2o, Caddy where they are installed
SECURE = ("ringgate", "nginx", "haproxy")                      # whose configurations have TLS and HTTP/2
ALL = (*PROXIES, "direct")                                     # direct: the origin alone, the ceiling


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    path: str = "/bytes/1024"
    connections: int = 64
    active: int | None = None       # of the connections that many send, the others stay open; None: all
    threads: int = 1                # of the load generator
    load: tuple = ()                # more options of ringgate-load
    body: int = 0                   # bytes of a body, up or down: rates are then shown in bytes, too
    contenders: tuple = ALL         # `kind` or `kind+setting`: bench/harness/contenders.py has the settings
    replica: str = "tcp"            # or unix: how everybody reaches the origin; nginx, haproxy: that is it, and speaks HTTP/2, too
    rates: tuple = ()               # open loop, as shares of the best peer's peak: latencies are measured there
    disturb: str | tuple = ()       # "freeze" stops a worker, "deploys" deploys the route anew all the time, a tuple is
                                    # more options of the load: measured at rates[0],
    quick: bool = False             # beside a calm run at the same rate
    least_seconds: float = 0        # of counted load, where what happens in it takes time
    floor_is_alike: bool = True     # whether the floor does no other work than the proxies; otherwise no ratio to it
    tls: bool = False               # between load and contenders
    streams: int = 0                # HTTP/2 (by h2load) with so many requests at a time on each connection; 0: HTTP/1.1


LATENCIES = (0.5, 0.8)
HALF = (0.5,)  # of bodies: at 80 % the CPUs are full with copying, and latencies are those of a queue
QUARTER = (0.25,)  # a request costs more than at the peak: half of that and a fifth for deploys are more than there is

SCENARIOS = (
    Scenario("keepalive-64", "1 KiB, 64 connections", rates=LATENCIES, quick=True),
    Scenario("keepalive-256", "1 KiB, 256 connections", connections=256, rates=LATENCIES),
    Scenario("keepalive-1024", "1 KiB, 1,024 connections", connections=1024, rates=LATENCIES),
    Scenario("keepalive-10000", "1 KiB, 10,000 connections, 64 of them active", connections=10000, active=64,
             rates=LATENCIES),
    Scenario("keepalive-1", "1 KiB, one connection", connections=1, rates=LATENCIES),
    Scenario("empty", "no body, 64 connections", path="/bytes/0", rates=LATENCIES),
    Scenario("unix-64", "1 KiB, 64 connections, UNIX socket to the replica", replica="unix", rates=LATENCIES),
    Scenario("sockmap-64", "1 KiB, 64 connections, ringgate also with replica.sockmap",
             contenders=("ringgate", "ringgate+sockmap", "nginx", "haproxy", "floor", "direct"), rates=LATENCIES),
    Scenario("per-connection", "1 KiB, a connection for each request, 64 at a time", load=("--per-connection",), threads=2,
             # The floor can't reuse connections to a replica that closes them, as these requests ask it to.
             rates=LATENCIES, quick=True, floor_is_alike=False),
    Scenario("body-16k", "16 KiB, 64 connections", path="/bytes/16384", body=16 * KIB, rates=LATENCIES),
    Scenario("body-256k", "256 KiB down, 16 connections", path="/bytes/262144", connections=16, body=256 * KIB,
             rates=HALF, quick=True),
    Scenario("body-8m", "8 MiB down, 16 connections", path="/bytes/8388608", connections=16, body=8 * MIB, rates=HALF),
    Scenario("upload-256k", "256 KiB up, 16 connections", path="/sink?hash=0", connections=16, body=256 * KIB,
             load=("--method", "PUT", "--body-bytes", str(256 * KIB)), rates=HALF),
    Scenario("upload-8m", "8 MiB up, 16 connections", path="/sink?hash=0", connections=16, body=8 * MIB,
             load=("--method", "PUT", "--body-bytes", str(8 * MIB)), rates=HALF),
    Scenario("access-log", "1 KiB, 64 connections, access log in JSON on and off", rates=LATENCIES,
             contenders=("ringgate", "ringgate+log", "nginx", "nginx+log", "haproxy", "haproxy+log", "direct")),
    Scenario("skew", "1 KiB, 64 connections of which 8 do 80 % of the work; steering by near, load, hash, off",
             contenders=("ringgate+near", "ringgate+load", "ringgate+hash", "ringgate+off", "nginx", "haproxy", "direct"),
             rates=(0.5,), disturb=("--skew", "8:80")),
    Scenario("stalled-worker", "a connection for each request, one worker stopped for 1 s; steering by near, load, hash, off",
             contenders=("ringgate+near", "ringgate+load", "ringgate+hash", "ringgate+off", "nginx", "haproxy", "direct"),
             # Many, because a connection that hangs delays the later requests of its own schedule, too: with 512 each of them
             # spoiled thirteen, and those made in the milliseconds until a stall shows decided the p99.
             connections=2048, threads=2, load=("--per-connection",), rates=(0.3,), disturb="freeze",
             least_seconds=3),
    Scenario("tls-keepalive-64", "TLS 1.3, 1 KiB, 64 connections", tls=True, contenders=SECURE, rates=HALF),
    Scenario("tls-handshake-full", "TLS 1.3, a full handshake (ECDSA P-256) for each request, 64 at a time", tls=True,
             contenders=SECURE, load=("--per-connection",), threads=2),
    Scenario("tls-handshake-resumed", "TLS 1.3, a resumed handshake for each request, 64 at a time", tls=True,
             contenders=SECURE, load=("--per-connection", "--tls-resume"), threads=2),
    *(Scenario(f"h2-{connections}x{streams}", f"HTTP/2 over TLS 1.3, 1 KiB, {connections} connections with {streams} streams, "
               "ringgate also with replica.sockmap", tls=True, contenders=(*SECURE, "ringgate+sockmap"),
               connections=connections, streams=streams) for connections, streams in ((16, 32), (64, 8))),
    Scenario("h2-clear-16x32", "HTTP/2 in the clear, 1 KiB, 16 connections with 32 streams", contenders=SECURE,
             connections=16, streams=32),
    Scenario("websocket-64", "WebSocket, messages of 128 bytes and their echo, 64 connections", path="/ws",
             load=("--websocket", "128"), contenders=("ringgate", "haproxy", "direct"), rates=HALF),
    Scenario("h2c-haproxy-64", "1 KiB, 64 connections, to HAProxy as the replica by HTTP/1 and by HTTP/2 (h2c)",
             contenders=("ringgate", "ringgate+h2c"), replica="haproxy"),
    *(Scenario(f"h2c-{replica.lower()}-16x32", "HTTP/2 in the clear, 1 KiB, 16 connections with 32 streams, to "
               f"{replica} as the replica by HTTP/1 and by HTTP/2 (h2c)", contenders=("ringgate", "ringgate+h2c"),
               connections=16, streams=32, replica=replica.lower()) for replica in ("HAProxy", "nginx")),
    Scenario("routes", "1 KiB, 64 connections; ringgate also with one route to the origin, and with 10,000",
             contenders=("ringgate", "ringgate+route", "ringgate+routes10000", "nginx", "haproxy", "direct"), rates=HALF),
    Scenario("policies", "1 KiB, 64 connections, a route without and with five policies: fields set and removed, CORS, API "
             "key, limit", contenders=("ringgate", "ringgate+route", "ringgate+policies"), load=site.FIELDS, rates=HALF),
    Scenario("deploys", "1 KiB, 64 connections on a route that is deployed anew all the time", contenders=("ringgate+route",),
             rates=QUARTER, disturb="deploys", least_seconds=1),
)


@dataclasses.dataclass(frozen=True)
class Target:
    """A figure of one contender, divided by that of another, and the bound of the quotient."""

    text: str
    scenario: str
    figure: str                     # rate, mib_s, cpu_us, cpu_us_mib, p99_us, p999_us, pss_kib; log_lost: a count, divided by nothing
    bound: float
    at_least: bool = False          # otherwise at most
    phase: str = "peak"
    contender: str = "ringgate"
    against: str = "best peer"      # the one against which it looks worst; a contender; "calm": itself, undisturbed;
                                    # "the clock": a duration by itself, divided by nothing;
                                    # "scenario NAME": itself, there; "nothing"


def keepalive_targets(scenario, what, rate, cpu):
    return (Target(f"{what}: requests/s", scenario, "rate", rate, at_least=True),
            Target(f"{what}: CPU a request", scenario, "cpu_us", cpu))


def protocol_targets(scenario, what, rate, unit="requests/s"):
    return (Target(f"{what}: {unit}", scenario, "rate", rate, at_least=True),
            Target(f"{what}: CPU a request, below both", scenario, "cpu_us", 1.0))


def body_targets(scenario, what):
    return (Target(f"{what}: bytes/s", scenario, "mib_s", 1.15, at_least=True),
            Target(f"{what}: CPU a byte, below both", scenario, "cpu_us_mib", 1.0))


def latency_targets(scenario, what):
    return tuple(Target(f"{what}: {name} at 50 % of the best peer's peak", scenario, figure, 0.8, phase="50%")
                 for name, figure in (("p99", "p99_us"), ("p99.9", "p999_us")))


TARGETS = (
    *keepalive_targets("keepalive-64", "64 connections", 1.55, 0.55),
    Target("64 connections: requests/s of the floor's", "keepalive-64", "rate", 0.92, at_least=True, against="floor"),
    *keepalive_targets("keepalive-256", "256 connections", 1.55, 0.55),
    Target("256 connections: requests/s of the floor's", "keepalive-256", "rate", 0.92, at_least=True, against="floor"),
    *keepalive_targets("keepalive-1024", "1,024 connections", 1.7, 0.45),
    Target("UNIX socket to the replica: requests/s", "unix-64", "rate", 1.7, at_least=True),
    Target("connection per request: requests/s", "per-connection", "rate", 1.4, at_least=True),
    *body_targets("body-256k", "256 KiB down"),
    *body_targets("body-8m", "8 MiB down"),
    *body_targets("upload-256k", "256 KiB up"),
    *body_targets("upload-8m", "8 MiB up"),
    Target("memory with 8 MiB down, of that with 256 KiB", "body-8m", "pss_kib", 1.25, against="scenario body-256k"),
    Target("memory with 8 MiB up, of that with 256 KiB", "upload-8m", "pss_kib", 1.25, against="scenario upload-256k"),
    *latency_targets("keepalive-64", "64 connections"),
    *latency_targets("keepalive-256", "256 connections"),
    *latency_targets("keepalive-1024", "1,024 connections"),
    *latency_targets("unix-64", "UNIX socket to the replica"),
    *latency_targets("per-connection", "connection per request"),
    Target("access log on: requests/s of those without", "access-log", "rate", 0.94, at_least=True,
           contender="ringgate+log", against="ringgate"),
    Target("access log on: records lost and not counted", "access-log", "log_lost", 0, contender="ringgate+log",
           against="nothing"),
    Target("skewed load: p99 of the calm run's", "skew", "p99_us", 1.5, phase="disturbed", contender="ringgate+near",
           against="calm"),
    Target("stalled worker: p99 of the calm run's", "stalled-worker", "p99_us", 1.5, phase="disturbed",
           contender="ringgate+near", against="calm"),
    *protocol_targets("tls-keepalive-64", "TLS 1.3, 64 connections", 1.45),
    *protocol_targets("tls-handshake-full", "TLS 1.3, full handshakes", 1.05, "handshakes/s"),
    *protocol_targets("tls-handshake-resumed", "TLS 1.3, resumed handshakes", 1.2, "handshakes/s"),
    *protocol_targets("h2-16x32", "HTTP/2, 16 connections with 32 streams", 1.45),
    *protocol_targets("h2-64x8", "HTTP/2, 64 connections with 8 streams", 1.45),
    Target("WebSocket: messages/s", "websocket-64", "rate", 1.1, at_least=True),
    Target("WebSocket: CPU a message", "websocket-64", "cpu_us", 0.9),
    *(Target(f"HTTP/2 to the replica ({scenario}): requests/s of those by HTTP/1", scenario, "rate", 1.1, at_least=True,
             contender="ringgate+h2c", against="ringgate")
      for scenario in ("h2c-haproxy-64", "h2c-haproxy-16x32", "h2c-nginx-16x32")),
    Target("10,000 routes: requests/s of those with one", "routes", "rate", 0.97, at_least=True,
           contender="ringgate+routes10000", against="ringgate+route"),
    Target("five policies: requests/s of those without", "policies", "rate", 0.88, at_least=True,
           contender="ringgate+policies", against="ringgate+route"),
    Target("deploys under load: p99 of the calm run's", "deploys", "p99_us", 1.2, phase="disturbed",
           contender="ringgate+route", against="calm"),
    Target("deploys under load: POST to DEPLOYED, median in ms", "deploys", "deploy_ms", 20, phase="disturbed",
           contender="ringgate+route", against="the clock"),
    Target("deploys under load: POST to DEPLOYED, p99 in ms", "deploys", "deploy_p99_ms", 100, phase="disturbed",
           contender="ringgate+route", against="the clock"),
)
