"""The harness itself, in a tiny configuration, against the programs of this build (BENCH_BIN)."""

import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from rows import BENCH

BIN = pathlib.Path(os.environ.get("BENCH_BIN", BENCH.parent / "build/release/bin"))
PROGRAMS = ("ringgate", "ringgate-origin", "ringgate-load")
TINY = ["--scenario", "keepalive-64", "--rounds", "1", "--seconds", "0.3", "--warmup", "0.1", "--only", "ringgate,direct"]


@pytest.fixture
def harness(tmp_path):
    """Starts it as ./dev bench does, with a folder of its own for what it starts, by which leftovers are found."""
    if not all((BIN / name).exists() for name in PROGRAMS):
        pytest.skip(f"not all programs are in {BIN}")
    scratch = tmp_path / "t"
    scratch.mkdir()

    def start(*arguments, path=os.environ["PATH"]):
        more = [] if os.geteuid() == 0 else ["--congestion", "system"]
        return subprocess.Popen([sys.executable, "-m", "harness", "--bin", BIN, "--report", tmp_path / "report", *arguments, *more],
                                env={**os.environ, "PYTHONPATH": str(BENCH), "PATH": path, "TMPDIR": str(scratch),
                                     "RINGGATE_BENCH_LOCK": str(tmp_path / "lock")},
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    start.report, start.scratch = tmp_path / "report", scratch
    return start


def left_over(scratch):
    """Processes whose command names the folder: the gateway's configuration and the origin's socket are in it."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(scratch).encode() in command and b"harness" not in command:
                found.append(command.replace(b"\0", b" ").decode())
    return found


def test_a_tiny_run(harness):
    process = harness(*TINY)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert "this takes about" in out and "keepalive-64" in out
    results = json.loads((harness.report / "results.json").read_text())
    rounds = results["scenarios"][0]["rounds"]
    assert set(rounds) == {"ringgate", "direct"} and set(rounds["ringgate"]) == {"peak", "50%", "80%"}
    peak = rounds["ringgate"]["peak"][0]
    assert peak["requests"] > 100 and peak["failed"] == 0 and peak["pss_kib"] > 500
    assert 0 < peak["enters"] < 5 and 1 < peak["cpu_us"] < 10000
    half = rounds["ringgate"]["50%"][0]
    assert 0 < half["latency_us"]["p50"] <= half["latency_us"]["p99"] <= half["latency_us"]["max"]
    assert (harness.report / half["hgrm"]).stat().st_size > 0
    assert "The generator's own peak" in (harness.report / "report.md").read_text()
    assert (harness.report / "results.csv").read_text().count("\n") == 1 + 2 + 2
    assert not left_over(harness.scratch) and not list(harness.scratch.iterdir())


def test_a_second_run_joins_the_first(harness):
    for scenario in ("keepalive-64", "empty"):
        process = harness(*TINY, "--scenario", scenario, "--append", "--no-latency")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    results = json.loads((harness.report / "results.json").read_text())
    assert [one["name"] for one in results["scenarios"]] == ["keepalive-64", "empty"]
    assert all(one["run"]["commit"] for one in results["scenarios"])


def test_two_runs_at_once(harness, tmp_path):
    with open(tmp_path / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = harness(*TINY)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2 and "another run measures" in err


def test_a_peer_that_can_not_start_does_not_end_the_run(harness, tmp_path):
    """HAProxy is a program here that ends at once; its cells failed, the others have their figures."""
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "haproxy").write_text("#!/bin/sh\necho no such luck\nexit 3\n")
    (folder / "haproxy").chmod(0o755)
    process = harness(*TINY, "--no-latency", "--only", "ringgate,haproxy", path=f"{folder}:{os.environ['PATH']}")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "not measured: keepalive-64, haproxy, peak" in out and "no such luck" in out, out + err
    rounds = json.loads((harness.report / "results.json").read_text())["scenarios"][0]["rounds"]
    assert rounds["ringgate"]["peak"][0]["rate"] > 0 and "status 3" in rounds["haproxy"]["peak"][0]["problem"]


@pytest.mark.skipif(not (BIN / "ringgate-platform").exists(), reason="ringgate-platform is not built")
def test_routes_policies_and_deployments(harness):
    """Gateways that a platform gives their routes; the policies let the load in, and deployments under it fail nothing."""
    process = harness(*TINY, "--only", "ringgate", "--scenario", "policies,deploys")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    scenarios = json.loads((harness.report / "results.json").read_text())["scenarios"]
    rounds = {one["name"]: one["rounds"] for one in scenarios}
    assert set(rounds["policies"]) == {"ringgate", "ringgate+route", "ringgate+policies"}
    assert all(phases["peak"][0]["requests"] > 0 and phases["peak"][0]["failed"] == 0 for phases in rounds["policies"].values())
    under_load = rounds["deploys"]["ringgate+route"]["disturbed"][0]
    assert under_load["failed"] == 0 and under_load["deploys"] > 0
    assert 0 < under_load["deploy_ms"] <= under_load["deploy_p99_ms"]
    assert not left_over(harness.scratch)


@pytest.mark.skipif(not shutil.which("h2load"), reason="h2load is not installed")
def test_h2load_finds_about_the_same_peak(harness):
    """Two generators, one origin: a harness that misreads one of them would be off by a factor."""
    rates = {}
    for load in ("ringgate", "h2load"):
        process = harness(*TINY, "--only", "direct", "--no-latency", "--seconds", "1", "--load", load)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        results = json.loads((harness.report / "results.json").read_text())
        rates[load] = results["scenarios"][0]["rounds"]["direct"]["peak"][0]["rate"]
    assert 0.2 < rates["h2load"] / rates["ringgate"] < 2, rates


@pytest.mark.skipif(not all(map(shutil.which, ("nginx", "haproxy", "openssl", "h2load", "curl"))),
                    reason="nginx, HAProxy, openssl, h2load or curl is missing")
def test_tls_and_http2(harness):
    """Everybody's configuration of every mode, HTTP/2 over TLS included."""
    names = ("tls-handshake-resumed", "h2-64x8", "h2-clear-16x32")
    process = harness(*TINY, "--no-latency", "--only", "ringgate,nginx,haproxy", "--scenario", ",".join(names))
    out, err = process.communicate(timeout=150)
    assert process.returncode == 0, out + err
    results = json.loads((harness.report / "results.json").read_text())
    rows = {one["name"]: {label: phases["peak"][0] for label, phases in one["rounds"].items()} for one in results["scenarios"]}
    assert tuple(rows) == names and all(set(one) - {"ringgate+sockmap"} == {"ringgate", "nginx", "haproxy"} for one in rows.values())
    assert all(row["requests"] > 0 and row["failed"] == 0 for one in rows.values() for row in one.values())
    agreed = {row["tls"] and row["tls"]["cipher"] for one in rows.values() for row in one.values()}
    assert agreed == {"TLS_AES_128_GCM_SHA256", None} and not rows["h2-clear-16x32"]["nginx"]["tls"]
    assert (harness.report / "report.md").read_text().count("TLS, of everybody: TLSv1.3") == 2


@pytest.mark.skipif(not all(map(shutil.which, ("nginx", "haproxy", "h2load", "curl"))), reason="nginx, HAProxy, h2load or curl is missing")
def test_http2_to_the_replica(harness):
    process = harness(*TINY, "--only", "ringgate", "--scenario", "h2c-haproxy-64,h2c-haproxy-16x32,h2c-nginx-16x32")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    for scenario in json.loads((harness.report / "results.json").read_text())["scenarios"]:
        rounds = scenario["rounds"]
        assert set(rounds) == {"ringgate", "ringgate+h2c"}
        assert all(phases["peak"][0]["requests"] > 0 and phases["peak"][0]["failed"] == 0 for phases in rounds.values())
    assert not left_over(harness.scratch)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupt_leaves_nothing_behind(harness, how):
    """CTRL-C, and a terminal that is gone."""
    process = harness(*TINY, "--seconds", "30")
    deadline = time.monotonic() + 20
    while not any("ringgate-origin" in one for one in left_over(harness.scratch)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(how)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "interrupted" in err
    assert not left_over(harness.scratch) and not list(harness.scratch.iterdir())


def test_a_program_that_is_missing(harness, tmp_path):
    process = harness(*TINY, "--bin", str(tmp_path))
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2 and "ringgate" in err and "./dev build release" in err


def test_a_wrong_scenario(harness):
    process = harness("--scenario", "nonsense")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2 and "there are: keepalive-64" in err


@pytest.fixture
def in_reach():
    """Copies of the harness and of its programs where anybody may use them: a clone of root's lies behind /root, which is closed."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shutil.copytree(BENCH, folder, ignore=shutil.ignore_patterns("__pycache__", "report"), dirs_exist_ok=True)
        folder.chmod(0o755)
        for program in PROGRAMS:
            shutil.copy(BIN / program, folder)
        (folder / "lock").touch()
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give up rights")
def test_without_root(harness, in_reach):
    process = subprocess.run([sys.executable, "-m", "harness", "--bin", in_reach, *TINY, "--report", harness.report],
                             env={**os.environ, "PYTHONPATH": str(in_reach), "RINGGATE_BENCH_LOCK": str(in_reach / "lock")},
                             cwd=in_reach, capture_output=True, text=True, user=65534, timeout=20)
    assert process.returncode == 2 and "run as root" in process.stderr and "--congestion system" in process.stderr, process.stderr
