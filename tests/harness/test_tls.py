"""Scenarios with TLS and HTTP/2: what is asked, how it is read, and when a scenario is left out."""

import dataclasses
import re
import shutil
import ssl
import types

import pytest

import scenarios as table
from harness import abilities, cells, contenders, options, plan, scenario_report, tls
from harness.load import H2load, Order, RinggateLoad, Wrk
from harness.programs import CellFailure, Failure

SECURE = [one for one in table.SCENARIOS if contenders.mode_of(one) != "clear"]
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

H2LOAD = """starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2
finished in 3.10s, 50000.00 req/s, 60.00MB/s
requests: 150000 total, 150512 started, 150000 done, 149990 succeeded, 10 failed, 4 errored, 1 timeout
time for request:      100us     20.00ms     9.00ms      2.00ms    70.00%
"""


def asked(*arguments):
    return options.complete(options.parser().parse_args(arguments))


def named(name):
    return next(one for one in table.SCENARIOS if one.name == name)


def order_of(name):
    return plan.order_for(named(name), asked(), contenders.Contender("nginx", 2000, None), plan.Phase("peak"), None)


@pytest.fixture
def h2load(tmp_path, monkeypatch):
    program = tmp_path / "h2load"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setattr("harness.load.find_program", lambda name: str(program))
    return H2load(None, tmp_path)


def said(text):
    return types.SimpleNamespace(output=lambda: text)


# ---- the table ----

def test_the_table_has_them():
    assert {"tls-keepalive-64", "tls-handshake-full", "tls-handshake-resumed", "h2-16x32", "h2-64x8"} <= {one.name for one in SECURE}
    for scenario in SECURE:
        for label in plan.labels_of(scenario):
            assert contenders.mode_of(scenario) in contenders.KINDS[contenders.kind_of(label)].modes, (scenario.name, label)
        assert not scenario.streams or not scenario.rates, "h2load knows no open loop"


def test_modes():
    assert [contenders.mode_of(named(name)) for name in ("keepalive-64", "tls-keepalive-64", "h2-64x8", "h2-clear-16x32")] == [
        "clear", "tls", "tls", "h2c"]


# ---- configurations ----

@pytest.fixture
def field(tmp_path, monkeypatch):
    """A field whose programs need not be installed."""
    monkeypatch.setattr(contenders.Field, "binary", lambda self, label: contenders.kind_of(label))
    wanted = asked()
    wanted.descriptors = 20000
    return contenders.Field(wanted, None, None)


@needs_openssl
@pytest.mark.parametrize("scenario", [named("keepalive-64"), *SECURE], ids=lambda one: one.name)
@pytest.mark.parametrize("label", ["ringgate", "nginx", "haproxy"])
def test_configurations_are_complete(field, tmp_path, scenario, label):
    field.begin(scenario, "127.0.0.1:3", tmp_path)
    field.command_of(label, tmp_path / label, 1, 2)
    text = (tmp_path / label / contenders.KINDS[label].template).read_text()
    active = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
    assert not re.search("@[A-Z_]+@", active)
    named_once = {"ringgate": r"^ *- address:", "nginx": r"^ *listen ", "haproxy": r'^\.if streq\("(on|off)",on\)\n *bind '}[label]
    assert len(re.findall(named_once, active, re.MULTILINE)) == 1
    secret = str(tmp_path / "tls")
    assert (secret in active) == scenario.tls
    if label == "ringgate":
        assert ("alpn: [h2" in active) == bool(scenario.tls and scenario.streams)


@needs_openssl
def test_one_certificate_for_all(tmp_path):
    first = tls.certificate_in(tmp_path)
    before = first["cert"].read_bytes()
    assert tls.certificate_in(tmp_path) == first and first["cert"].read_bytes() == before
    assert first["key"].stat().st_mode & 0o077 == 0 and first["cert_and_key"].stat().st_mode & 0o077 == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(first["cert_and_key"])
    context.load_cert_chain(first["cert"], first["key"])


# ---- what is asked ----

def test_ringgate_load_is_told(tmp_path):
    class Options:
        bin = tmp_path
    program = tmp_path / "ringgate-load"
    program.write_text("")
    program.chmod(0o755)
    load = RinggateLoad(Options, tmp_path)
    joined = " ".join(map(str, load.command(order_of("tls-handshake-resumed"))))
    for part in ("--tls --tls-version 1.3 --tls-cipher TLS_AES_128_GCM_SHA256", "--per-connection", "--tls-resume"):
        assert part in joined
    assert "--tls-resume" not in load.command(order_of("tls-handshake-full"))
    assert "--tls" not in load.command(order_of("keepalive-64"))


def test_h2load_is_told(h2load):
    joined = " ".join(map(str, h2load.command(order_of("h2-16x32"))))
    for part in ("-m 32", "-c 16", "--tls13-ciphers TLS_AES_128_GCM_SHA256", "https://127.0.0.1:2000/bytes/1024"):
        assert part in joined
    assert "--h1" not in joined
    clear = " ".join(map(str, h2load.command(order_of("h2-clear-16x32"))))
    assert "http://127.0.0.1:2000" in clear and "cipher" not in clear
    assert "--h1" in h2load.command(order_of("keepalive-64"))


def test_who_can_do_what():
    streams, secure = order_of("h2-16x32"), order_of("tls-keepalive-64")
    assert [one.can(streams) for one in (RinggateLoad, Wrk, H2load)] == [False, False, True]
    assert [one.can(secure) for one in (RinggateLoad, Wrk, H2load)] == [True, False, True]
    assert "h2-16x32" in [one.name for one in asked().chosen]
    assert "h2-16x32" not in [one.name for one in asked("--load", "wrk").chosen]


def test_streams_are_always_h2loads(h2load, tmp_path):
    programs = types.SimpleNamespace(folder=tmp_path)
    work = cells.Cells(asked(), programs, None, "the usual one", print)
    assert work.generator_for(named("tls-keepalive-64")) == "the usual one"
    assert isinstance(work.generator_for(named("h2-64x8")), H2load)


# ---- what is read ----

def test_h2load_is_read(h2load):
    result = h2load.result(order_of("h2-16x32"), said(H2LOAD), 0, 2.0)
    assert result.requests == 149990 and result.rate == 50000 and result.latency_us["max"] == 20000
    assert result.errors["read"] == 4 and result.errors["status"] == 6 and result.errors["timeout"] == 1
    assert result.tls == {"version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "group": "X25519"}
    # Its warm-up is in the time that it was seen to use: 2 of 3 + 1 s.
    assert result.share == pytest.approx(0.5)


@pytest.mark.parametrize("text", [H2LOAD.replace("protocol: h2", "protocol: http/1.1"),
                                  H2LOAD.replace("Application protocol: h2\n", "")])
def test_a_server_without_http2(h2load, text):
    with pytest.raises(CellFailure, match="not on HTTP/2"):
        h2load.result(order_of("h2-16x32"), said(text), 0, 1.0)


@pytest.mark.parametrize("full, resumed, fine", [(0, 100, True), (1, 99, True), (50, 50, False), (100, 0, False), (0, 0, False)])
def test_sessions_that_are_not_resumed_are_no_result(full, resumed, fine):
    problem = tls.not_resumed({"handshakes": {"full": full, "resumed": resumed}})
    assert (problem is None) == fine


def test_the_report_says_on_what_they_agreed(scenario):
    assert scenario_report.tls_text(scenario) is None
    told = {"version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "group": "X25519"}
    for label in ("ringgate", "nginx"):
        scenario["rounds"][label]["peak"][0]["tls"] = told | {"group": "x25519"}
    assert scenario_report.tls_text(scenario) == "TLS, of everybody: TLSv1.3, TLS_AES_128_GCM_SHA256, X25519."
    scenario["rounds"]["haproxy"]["peak"][0]["tls"] = told | {"cipher": "TLS_AES_256_GCM_SHA384"}
    text = scenario_report.tls_text(scenario)
    assert "not the same for all" in text and "TLS_AES_256_GCM_SHA384, X25519: haproxy" in text


# ---- what is left out ----

def test_a_program_that_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(abilities.shutil, "which", lambda name, path: None if name == "h2load" else f"/bin/{name}")
    monkeypatch.setattr(abilities, "refusal", lambda *_: None)
    wanted = asked("--scenario", "keepalive-64,h2-16x32,tls-keepalive-64")
    abilities.check(wanted, tmp_path, print)
    assert [one.name for one in wanted.chosen] == ["keepalive-64", "tls-keepalive-64"]
    assert "h2-16x32: left out: h2load is missing: apt-get install nghttp2-client" in capsys.readouterr().out
    wanted = asked("--scenario", "h2-16x32")
    with pytest.raises(Failure, match="none of the scenarios"):
        abilities.check(wanted, tmp_path, print)


@needs_openssl
def test_a_ringgate_that_knows_no_tls(monkeypatch, tmp_path, capsys):
    """An older revision beside this one: both are asked, and what one can't is measured of none."""
    monkeypatch.setattr(abilities.shutil, "which", lambda name, path: f"/bin/{name}")
    old, new = tmp_path / "old", tmp_path / "ringgate"
    old.write_text("#!/bin/sh\n! grep -q '^    tls:' \"$2\" || { echo \"$2:8:5: got an unknown key\" >&2; exit 2; }\n")
    new.write_text("#!/bin/sh\n[ \"$3\" = -t ]\n")
    for program in (old, new):
        program.chmod(0o755)
    wanted = asked("--scenario", "tls-keepalive-64,keepalive-64", "--bin", str(tmp_path))
    wanted.descriptors = 20000
    every = wanted.chosen
    abilities.check(wanted, tmp_path, print)
    assert wanted.chosen == every
    wanted.binaries["ringgate@abc"] = str(old)
    wanted.only = ["ringgate", "ringgate@abc"]
    abilities.check(wanted, tmp_path, print)
    assert [one.name for one in wanted.chosen] == ["keepalive-64"]
    assert "left out: ringgate@abc does not take its configuration: ringgate.yaml:8:5: got an unknown key" in capsys.readouterr().out


def test_the_clear_ones_are_never_left_out(tmp_path):
    wanted = asked("--quick")
    before = wanted.chosen
    abilities.check(wanted, tmp_path, print)
    assert wanted.chosen == before and abilities.programs_for(dataclasses.replace(before[0], tls=True)) == ["openssl"]
    assert Order(1, "/", 1, 1, 1, 1, 1).is_plain()
