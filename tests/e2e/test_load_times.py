"""
The load generator proves itself: a stall shows in its percentiles, a rate is kept, and others measure the same. Alone on the
machine.
"""

import re
import shutil
import signal
import subprocess
import time

import pytest

from lib import env
from lib.generator import end, measure, needs_program, short, start

pytestmark = needs_program
timing = pytest.mark.skipif(bool(env.SANITIZER), reason="figures under a sanitizer say nothing")


@timing
@pytest.mark.parametrize("flags", [[], ["--threads", 2], ["--skew", "3:80"]])
def test_rate_is_kept(programs, flags):
    origin = programs.origin("--quiet")
    r = measure(origin.address, "--rate", 4000, "--duration", 2, "--warmup", 0.3, *flags)
    assert r["mode"] == "open" and r["target_rate"] == 4000
    assert abs(r["rate"] / 4000 - 1) < 0.02, r
    assert r["behind"]["max_us"] < 500000


@timing
def test_skew_is_kept_in_a_closed_loop(programs):
    origin = programs.origin("--quiet")
    measure(origin.address, *short("--connections", 8, "--skew", "1:75"))
    of = [e["connection"] for e in origin.stats()["recent"] if e["line"].startswith("GET /bytes")]
    share = max(of.count(c) for c in set(of)) / len(of)
    assert 0.65 < share < 0.85, share


def heavy_ones(origin, seed):
    """Which of 16 connections, counted from the first one opened, asked most of the latest requests."""
    end(start(origin.address, *short("--connections", 16, "--skew", "4:95", "--seed", seed)))
    of = [e["connection"] for e in origin.stats()["recent"] if e["line"].startswith("GET /bytes")]
    first = max(set(of), key=of.count)
    last_run = sorted(c for c in set(of) if abs(c - first) < 16)
    often = [c for c in last_run if of.count(c) > 2 * len(of) / 16]
    return [b - a for a, b in zip(often, often[1:])], len(often)


def test_the_seed_chooses_the_heavy_connections(programs):
    """Not the first ones opened: a server that deals connections out in turn would have them spread for nothing."""
    found = []
    for seed in (1, 1, 2, 3):
        found.append(heavy_ones(programs.origin("--quiet", "--threads", "1"), seed))
    assert all(count == 4 for _gaps, count in found), found
    assert found[0] == found[1] and len({tuple(gaps) for gaps, _count in found}) > 1, found


def test_the_counted_time_is_told(programs):
    origin = programs.origin("--quiet")
    before = time.monotonic_ns()
    r = measure(origin.address, "--duration", 0.5, "--warmup", 0.4, "--rate", 100)
    assert before + 400e6 <= r["begin_ns"] < r["end_ns"] <= time.monotonic_ns()
    assert abs((r["end_ns"] - r["begin_ns"]) / 1e9 - r["seconds"]) < 1e-3
    assert r["seed"] == 1
    late = r["behind"]
    assert 0 < late["p50_us"] <= late["p99_us"] <= late["p999_us"] <= late["max_us"], late


def stopped(origin, after, seconds, *flags):
    """A run at 400/s in which the origin stands still for some seconds."""
    p = start(origin.address, "--rate", 400, "--connections", 20, *flags)
    time.sleep(after)
    origin.process.signal(signal.SIGSTOP)
    time.sleep(seconds)
    origin.process.signal(signal.SIGCONT)
    return end(p)["backlog"]


def test_a_backlog_is_told(programs):
    """What became due while the origin stood still, at either border of the counted time, is not lost between them."""
    origin = programs.origin("--quiet")
    at_begin = stopped(origin, 1.0, 1.0, "--warmup", 1.5, "--duration", 2)
    assert 60 < at_begin["begin"] < 400 and at_begin["end"] < 40, at_begin
    at_end = stopped(origin, 1.0, 1.2, "--warmup", 0.2, "--duration", 1.5)
    assert at_end["begin"] < 40 and 60 < at_end["end"] < 400, at_end


def stalled(origin, *flags):
    """One second in which the origin does nothing, in a run of four."""
    p = start(origin.address, "--duration", 4, "--warmup", 0.2, "--connections", 20, *flags)
    time.sleep(1.5)
    origin.process.signal(signal.SIGSTOP)
    time.sleep(1)
    origin.process.signal(signal.SIGCONT)
    return end(p)


def test_a_stall_shows_in_an_open_loop(programs):
    """A quarter of the requests were due in the stall and waited up to a second; none is left out."""
    r = stalled(programs.origin("--quiet"), "--rate", 400)
    assert sum(r["errors"].values()) == 0
    assert abs(r["rate"] / 400 - 1) < 0.02, r
    assert 900e3 < r["latency_us"]["max"] < env.scaled(1.6) * 1e6
    assert r["latency_us"]["p99"] > 850e3, r
    assert r["latency_us"]["p90"] > 450e3, r
    assert r["latency_us"]["p50"] < 100e3, r
    # It was the origin, not the generator.
    assert r["behind"]["max_us"] < env.scaled(300e3), r


@timing
def test_a_stall_hardly_shows_in_a_closed_loop(programs):
    """Why the open loop exists: each of 20 connections has one slow request, which p99 does not see."""
    r = stalled(programs.origin("--quiet"))
    assert r["latency_us"]["max"] > 900e3
    assert r["latency_us"]["p99"] < 100e3, r


@timing
def test_latency_is_what_the_origin_adds(programs):
    origin = programs.origin("--quiet")
    for flags in ([], ["--per-connection"], ["--rate", 100]):
        r = measure(origin.address, *short("--path", "/bytes/10?delay=40", "--connections", 8, *flags))
        # The origin counts whole milliseconds.
        assert 39e3 <= r["latency_us"]["min"] and r["latency_us"]["p50"] < 60e3, r
    r = measure(origin.address, *short("--connections", 8, "--think", 50))
    assert 100 < r["rate"] <= 161, r


def test_slow_reader(programs):
    origin = programs.origin("--quiet")
    for path in ("/bytes/1000000", "/bytes/1000000?chunked=1"):
        r = measure(origin.address, "--connections", 4, "--read-rate", 200000, "--path", path, "--duration", 3,
                    "--warmup", 0.5)
        assert abs(r["bytes_in"] / r["seconds"] / 800000 - 1) < 0.1, r
        assert sum(r["errors"].values()) == 0


def test_slow_reader_gets_every_byte(programs):
    origin = programs.origin("--quiet")
    r = measure(origin.address, *short("--duration", 2, "--connections", 4, "--read-rate", 100000, "--path",
                                       "/bytes/30000"))
    assert sum(r["errors"].values()) == 0
    assert 20 <= r["requests"] <= 30, r
    assert r["latency_us"]["p50"] > 200e3, r


@timing
@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed (package wrk)")
def test_agrees_with_wrk(programs):
    """The origin waits 4 ms before each answer, so that it sets the pace and neither of the two clients, side by side."""
    origin = programs.origin("--quiet")
    path, rates, medians = "/bytes/1024?delay=4", [], []
    for _ in range(3):
        ours = start(origin.address, "--path", path, "--connections", 32, "--duration", 2, "--warmup", 0.2)
        w = subprocess.run(["wrk", "-t1", "-c32", "-d2s", "--latency", f"http://{origin.address}{path}"], check=True,
                           capture_output=True, text=True, timeout=30).stdout
        r = end(ours)
        rates.append(r["rate"] / float(re.search(r"Requests/sec: +([\d.]+)", w).group(1)))
        medians.append(r["latency_us"]["p50"] / 1e3 / float(re.search(r"50% +([\d.]+)ms", w).group(1)))
    assert 0.9 < sorted(rates)[1] < 1.1, rates
    assert 0.9 < sorted(medians)[1] < 1.1, medians
