"""Configuration: checking, errors, flags, reload, listeners, worker counts."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading

import pytest

from lib import env
from lib.attack import req
from lib.client import Client, get, is_open_to
from lib.raw_origin import reply
from lib.tls import Certificate

ERROR = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+):(?P<col>\d+): (?P<path>[\w\[\].]+): got .+, wanted .+$")

GOOD = """\
workers: auto
listeners:
  - address: "[::]:80"
  - address: 127.0.0.1:8081
replica:
  address: unix:/run/replica.sock
  protocol: http1
  health: {path: /api/v2/status, interval: 1s, timeout: 2s, expect: ic-status, rise: 1, fall: 2}
steering: {mode: load}
admin: {address: "127.0.0.1:9901"}
timeouts: {client_head: 10s, client_idle: 75s, body_idle: 30s, connect: 5s, response_head: 60s, drain: 30s}
limits: {connections: 0, head_bytes: 32KiB, headers: 100, body_bytes: 64MiB}
access_log: {format: json, path: /var/log/ringgate/access.log, sample: 1}
"""


def run(*args, timeout=10):
    return subprocess.run([env.RINGGATE, *map(str, args)], capture_output=True, text=True, timeout=env.scaled(timeout),
                          stdin=subprocess.DEVNULL, check=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "ringgate.yaml"

    def write(text):
        path.write_text(text, encoding="utf-8")
        return path
    return write


def errors_of(result):
    lines = [ln for ln in result.stderr.splitlines() if re.match(r"^[^ ]+:\d+:\d+: ", ln)]
    return [ERROR.match(ln) or pytest.fail(f"not in the form of an error: {ln!r}") for ln in lines]


# ---- checking ----

@pytest.mark.parametrize("first,second,told", [("[::]:18080", "127.0.0.1:18080", True), ("127.0.0.1:18080", "0.0.0.0:18080", True),
                                               ("127.0.0.1:18080", "127.0.0.2:18080", False),
                                               ("[::]:18080", "127.0.0.1:18081", False)])
def test_listeners_that_overlap_are_warned_of(file, first, second, told):
    """No error: they may be inherited. But without that the start would fail."""
    path = file(f'listeners: [{{address: "{first}"}}, {{address: "{second}"}}]\nreplica: {{address: "127.0.0.1:1"}}\n')
    r = run("-t", "-c", path)
    assert r.returncode == 0, r
    assert ("warning: listeners: " in r.stderr and first in r.stderr and second in r.stderr) if told else not r.stderr, r.stderr
    r = run("-t", "--listen", first, "--listen", second, "--replica", "127.0.0.1:1")
    assert r.returncode == 0 and ("--listen" in r.stderr) == told, r

def test_good_file(file):
    r = run("-t", "-c", file(GOOD))
    assert r.returncode == 0, r.stderr


def test_check_does_not_touch_anything(file, tmp_path):
    """-t neither binds nor writes."""
    port = env.free_port()
    with socket.create_server(("127.0.0.1", port)):
        r = run("-t", "-c", file(f"listeners: [{{address: '127.0.0.1:{port}'}}]\nreplica: {{address: '127.0.0.1:1'}}\n"
                                 f"access_log: {{path: {tmp_path}/access.log}}\n"))
    assert r.returncode == 0, r.stderr
    assert not (tmp_path / "access.log").exists()


def test_all_errors_at_once_in_order(file):
    path = file("""\
workers: 0
listeners:
  - adress: 127.0.0.1:80
replica:
  address: 127.0.0.1:1
  protcol: http1
steering: {mode: fast}
timeouts:
  drain: 30
limits:
  headers: many
""")
    r = run("-t", "-c", path)
    assert r.returncode == 2
    errors = errors_of(r)
    assert [(int(e["line"]), e["path"]) for e in errors if e["path"] != "listeners[0].address"] == [
        (1, "workers"), (3, "listeners[0].adress"), (6, "replica.protcol"), (7, "steering.mode"), (9, "timeouts.drain"),
        (11, "limits.headers")]
    assert all(e["file"] == str(path) for e in errors)
    text = r.stderr
    assert "did you mean address?" in text and "did you mean protocol?" in text
    assert [int(e["line"]) for e in errors] == sorted(int(e["line"]) for e in errors)


@pytest.mark.parametrize("text,line,col,path", [
    ("replica: {address: '127.0.0.1:1'}\nworker: 2\n", 2, 1, "worker"),
    ("replica: {address: '127.0.0.1:1'}\nworkers: two\n", 2, 10, "workers"),
    ("replica: {address: '127.0.0.1:1'}\nworkers: [1]\n", 2, 10, "workers"),
    ("replica: {address: '127.0.0.1:1'}\nlimits:\n  head_bytes: 1KiB\n", 3, 15, "limits.head_bytes"),
    ("replica: {address: '127.0.0.1:1'}\nlimits:\n  head_bytes: 32KB\n", 3, 15, "limits.head_bytes"),
    ("replica: {address: '127.0.0.1:99999'}\n", 1, 20, "replica.address"),
    ("replica: {address: 'nowhere'}\n", 1, 20, "replica.address"),
    ("replica: {address: '127.0.0.1:1'}\ntimeouts: {drain: soon}\n", 2, 19, "timeouts.drain"),
    ("replica: {address: '127.0.0.1:1'}\ntrusted_proxies: [10.0.0.0/33]\n", 2, 19, "trusted_proxies[0]"),
    ("replica:\n  address: '127.0.0.1:1'\n  address: '127.0.0.1:2'\n", 3, 3, "replica.address"),
])
def test_single_errors(file, text, line, col, path):
    r = run("-t", "-c", file(text))
    assert r.returncode == 2, r
    e, = errors_of(r)
    assert (int(e["line"]), int(e["col"]), e["path"]) == (line, col, path)


@pytest.mark.parametrize("text", ["workers: {\n", "\t- x\n", "a: b: c\n", "%YAML 3.0\n---\nx\n", "- list\n", "text\n",
                                  "workers: &a 1\nbacklog: *a\nreplica: {address: '127.0.0.1:1'}\n",
                                  "--- {replica: {address: '127.0.0.1:1'}}\n--- {}\n", ""])
def test_what_is_no_configuration(file, text):
    r = run("-t", "-c", file(text))
    assert r.returncode == 2 and r.stderr.strip(), r


@pytest.mark.parametrize("text,says", [
    ("replica:\n  address: [::1]:80\n", 'needs quotes, like "[::]:80"'),
    ("trusted_proxies: [10.0.0.0/8, ::1]\n", 'needs quotes, like "[::]:80"'),
    ("replica:\n  address:127.0.0.1:1\n", "did you mean address, a colon and a blank?"),
])
def test_slips_of_yaml(file, text, says):
    r = run("-t", "-c", file(text))
    assert r.returncode == 2 and says in r.stderr, r.stderr


@pytest.mark.parametrize("text", ["timeouts: {client_head: 0}", "limits: {buffer_bytes: 64KB}", "limits: {head_bytes: 64k}",
                                  "listeners: [{address: 8443, tls: true}]"])
def test_what_would_be_refused_as_well_is_not_suggested(file, text):
    r = run("-t", "-c", file(f"replica: {{address: '127.0.0.1:1'}}\n{text}\n"))
    assert r.returncode == 2 and "did you mean" not in r.stderr, r.stderr


@pytest.mark.parametrize("directory,says", [("nowhere/state", "can't make"), ("file", "choose a directory"), (".", None), ("new", None)])
def test_the_state_directory_is_looked_at(file, tmp_path, directory, says):
    """As a start would find it, which is nothing to fail for: it may be made before, or by others."""
    (tmp_path / "token").write_text("t")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "file").write_text("")
    flags = ["--control", "http://127.0.0.1:1", "--token-file", tmp_path / "token"]
    r = run("-t", "-c", file("replica: {address: '127.0.0.1:1'}\n"), *flags, "--state-dir", tmp_path / directory)
    assert r.returncode == 0 and not (tmp_path / "new").exists(), r
    assert ("warning: control.state_dir: " in r.stderr and says in r.stderr) if says else not r.stderr, r.stderr
    if says:
        r = run("--replica", "127.0.0.1:1", *flags, "--state-dir", tmp_path / directory)
        assert r.returncode == 2 and "control.state_dir: " in r.stderr and says in r.stderr, r.stderr


def test_what_is_missing_in_a_section_is_told_once_and_there(file, tmp_path):
    c = Certificate(tmp_path, "localhost")
    r = run("-t", "-c", file(f"replica: {{address: '127.0.0.1:1'}}\nlisteners:\n  - address: 8443\n    tls:\n"
                             f"      certificates: [{{cert: {c.cert}, key: {c.key}}}]\n      client_certificates: required\n"))
    e, = errors_of(r)
    assert r.returncode == 2 and (int(e["line"]), e["path"]) == (5, "listeners[0].tls.client_ca"), r.stderr


def test_a_private_key_that_all_may_read_is_warned_of(file, tmp_path):
    c = Certificate(tmp_path, "localhost")
    text = file(f"replica: {{address: '127.0.0.1:1'}}\n"
                f"listeners: [{{address: 8443, tls: {{certificates: [{{cert: {c.cert}, key: {c.key}}}]}}}}]\n")
    for mode, told in ((0o640, False), (0o644, True)):
        os.chmod(c.key, mode)
        r = run("-t", "-c", text)
        assert r.returncode == 0 and (f"certificates[0].key: all users may use {c.key}" in r.stderr) is told, r.stderr


def test_an_error_names_the_flag_that_it_came_by(tmp_path):
    r = run("-t", "--replica", "127.0.0.1:1", "--control", "http://127.0.0.1:1", "--token-file", tmp_path / "none")
    assert r.returncode == 2 and r.stderr.startswith(f"--token-file: got {tmp_path}/none, which can't be read"), r.stderr
    r = run("-t", "-c", "")
    assert r.returncode == 2 and r.stderr == '--config: got "", wanted the name of a file\n', r.stderr


@pytest.mark.parametrize("token,says", [(None, "No such file"), ("", "is empty"), ("two words", "white space"), ("x" * 5000, "longer")],
                         ids=["missing", "empty", "spaces", "long"])
def test_a_token_that_is_none(file, tmp_path, token, says):
    path = tmp_path / "token"
    if token is not None:
        path.write_text(token)
    text = file(f"replica: {{address: '127.0.0.1:1'}}\ncontrol: {{url: 'wss://p.example', token_file: {path}}}\n")
    r = run("-t", "-c", text)
    assert r.returncode == 2 and f"{text}:2:" in r.stderr and f"control.token_file: got {path}, which" in r.stderr and says in r.stderr


def test_what_of_a_control_plane_should_not_be(file, tmp_path):
    (tmp_path / "token").write_text("a-token\n")
    (tmp_path / "token").chmod(0o600)
    for url, more, says in (("ws://p.example", "", "in the clear"), ("wss://p.example", ", insecure_skip_verify: true", "insecure_skip_verify"),
                            ("ws://127.0.0.1", "", ""), ("https://p.example", "", "")):
        r = run("-t", "-c", file(f"replica: {{address: '127.0.0.1:1'}}\ncontrol: {{url: '{url}', token_file: {tmp_path}/token{more}}}\n"))
        assert r.returncode == 0 and ("warning" in r.stderr) is bool(says) and says in r.stderr, r
    (tmp_path / "token").chmod(0o644)
    r = run("-t", "-c", file(f"replica: {{address: '127.0.0.1:1'}}\ncontrol: {{url: 'wss://p.example', token_file: {tmp_path}/token}}\n"))
    assert r.returncode == 0 and "warning" in r.stderr and f"chmod 600 {tmp_path}/token" in r.stderr, r


def test_not_supported_is_not_unknown(file):
    r = run("-t", "-c", file("listeners: [{address: '[::]:443', tls: {certificates: [], min_version: 1.1}}]\n"
                             "replica: {address: '127.0.0.1:1'}\n"))
    assert r.returncode == 2
    assert "listeners[0].tls.min_version" in r.stderr and "support" in r.stderr
    r = run("--replica", "https://127.0.0.1:1", "-t")
    assert r.returncode == 2 and "https" in r.stderr


def test_address_and_protocol_must_agree(file):
    text = "replica: {address: 'h2c://127.0.0.1:1', protocol: %s}\n"
    r = run("-t", "-c", file(text % "http1"))
    assert r.returncode == 2 and "1:51: replica.protocol: got \"http1\", wanted h2c, as replica.address says" in r.stderr
    assert run("-t", "-c", file(text % "h2c")).returncode == 0
    assert run("-t", "-c", file("replica: {address: '127.0.0.1:1', protocol: http1}\n"), "--replica",
               "h2c://127.0.0.1:2").returncode == 0


def test_missing_file_and_missing_replica(file, tmp_path):
    r = run("-t", "-c", tmp_path / "none.yaml")
    assert r.returncode == 2 and "none.yaml" in r.stderr
    r = run("--listen", "127.0.0.1:1", "--admin", "off")
    assert r.returncode == 2 and "--replica" in r.stderr
    r = run("-t", "-c", file("workers: 1\n"))
    assert r.returncode == 2 and "--replica" in r.stderr and "replica.address" in r.stderr


@pytest.mark.parametrize("args", [["--lisen", "80"], ["--unknown"], ["-x"], ["--listen"], ["--workers", "0"], ["--workers", "x"],
                                  ["--listen", "nowhere:80"], ["--listen", "127.0.0.1:0x50"], ["extra"], ["--lis", "127.0.0.1:1"],
                                  ["--replica", "127.0.0.1:2"], ["--admin", "off"]])
def test_bad_flags(args):
    r = run(*(["--replica", "127.0.0.1:1", "--admin", "off", "--listen", f"127.0.0.1:{env.free_port()}"] + args))
    assert r.returncode == 2 and r.stderr.strip(), r
    assert args[0].lstrip("-") in r.stderr


@pytest.mark.parametrize("flags, refused, named", [
    (["--listen", "127.0.0.1:1", "--replica", "127.0.0.1:1"], "--replica", "--listen"),
    (["--replica", "127.0.0.1:80"], "--replica", "default listener"),
    (["--listen", "127.0.0.1:1", "--replica", "2", "--admin", "127.0.0.1:1"], "--admin", "--listen"),
    (["--listen", "9901", "--replica", "2"], "--admin", "--listen"),
])
@pytest.mark.parametrize("check", [["-t"], []])
def test_addresses_that_meet_by_flags(flags, refused, named, check):
    """A loop, or the admin endpoint where clients connect: refused by -t and at the start, naming both."""
    r = run(*flags, *check)
    assert r.returncode == 2
    assert r.stderr.startswith(f"{refused}: got ") and named in r.stderr, r.stderr


@pytest.mark.parametrize("check", [["-t"], []])
def test_addresses_that_meet_in_the_file(file, check):
    r = run("-c", file("listeners: [{address: 127.0.0.1:1}, {address: 127.0.0.1:2}]\n"
                       "replica: {address: 127.0.0.1:2}\nadmin: {address: 127.0.0.1:1}\n"), *check)
    assert r.returncode == 2
    replica, admin = errors_of(r)
    assert replica["path"] == "replica.address" and "listeners[1].address" in replica[0]
    assert admin["path"] == "admin.address" and "listeners[0].address" in admin[0]


def test_version_and_help():
    r = run("-V")
    assert r.returncode == 0 and re.search(r"\d+\.\d+\.\d+", r.stdout)
    for flag in ("-h", "--help"):
        r = run(flag)
        assert r.returncode == 0 and all(f in r.stdout for f in ("--listen", "--replica", "--workers", "--admin"))


# ---- starting ----

def test_flags_alone(programs):
    origin = programs.raw_origin()
    address = f"127.0.0.1:{env.free_port()}"
    gateway = programs.gateway(listen=[address], flags=["--workers", "2", "--listen", address, "--replica", origin.address,
                                                        "--admin", "{admin}"])
    assert get(gateway.address, "/x").status == 200


def test_signals_that_have_nothing_to_do_say_so(programs):
    """HUP without a file, USR1 without an access log: what happened, and what to do."""
    origin = programs.raw_origin()
    address = f"127.0.0.1:{env.free_port()}"
    gateway = programs.gateway(listen=[address], flags=["--workers", "1", "--listen", address, "--replica", origin.address,
                                                        "--admin", "{admin}"])
    if os.path.exists("/etc/ringgate/ringgate.yaml"):
        pytest.skip("this machine has a configuration of its own")
    gateway.process.signal(signal.SIGHUP)
    env.wait_until(lambda: "started by flags alone" in gateway.log(), 3, "the answer to HUP")
    gateway.process.signal(signal.SIGUSR1)
    env.wait_until(lambda: "the access log is off" in gateway.log(), 3, "the answer to USR1")
    status, text, _ = gateway.admin("POST", "/reload")
    assert status == 409 and "started by flags alone" in json.loads(text)["errors"][0]
    assert gateway.metrics().get("ringgate_config_last_reload_successful") == 1
    assert get(gateway.address, "/x").status == 200


def test_flags_win_over_the_file(programs):
    good, bad = programs.raw_origin(lambda c, q: reply(b"good")), programs.raw_origin(lambda c, q: reply(b"bad"))
    address = f"127.0.0.1:{env.free_port()}"
    gateway = programs.prepared_gateway(bad.address, {"workers": 1}, listen=[address])
    gateway.argv += ["--replica", good.address, "--workers", "2"]
    gateway.start()
    assert get(gateway.address, "/x").body == b"good"
    config = json.loads(gateway.admin("GET", "/config")[1])
    assert "2" in str(config["workers"])
    # A reload reads the file again, and the flags still win.
    gateway.process.signal(signal.SIGHUP)
    gateway.wait_metric(2, "ringgate_config_generation")
    assert get(gateway.address, "/x").body == b"good"


def test_port_taken(programs):
    origin = programs.raw_origin()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        r = run("--listen", f"127.0.0.1:{port}", "--replica", origin.address, "--admin", "off")
        assert r.returncode not in (0, None) and r.returncode > 0
        assert f"--listen: can't bind 127.0.0.1:{port}" in r.stderr and "in use" in r.stderr and "ss -ltnp" in r.stderr
        admin = f"127.0.0.1:{port}"
        r = run("--listen", f"127.0.0.1:{env.free_port()}", "--replica", origin.address, "--admin", admin)
        assert r.returncode == 2 and f"--admin: can't bind {admin}" in r.stderr


def test_a_second_gateway_does_not_share_the_port(programs):
    """SO_REUSEPORT is for the workers of one process; an operator who starts two by mistake is told."""
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address)
    try:
        r = run("--listen", gateway.listen[0], "--replica", origin.address, "--admin", "off", timeout=4)
    except subprocess.TimeoutExpired as e:
        pytest.fail(f"the second gateway serves the same port: {e}")
    assert r.returncode > 0 and "in use" in r.stderr
    assert get(gateway.address, "/x").status == 200


def test_privileged_path_of_a_unix_listener(programs, tmp_path):
    path = str(tmp_path / "front.sock")
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, listen=[f"unix:{path}"])
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    with Client(path) as c:
        assert c.request(req(method="GET")).status == 200
    q = origin.last()
    assert "x-forwarded-port" not in q.names()
    gateway.stop()
    assert not os.path.exists(path), "the socket file is left behind"


def test_stale_unix_listener_is_replaced_a_live_one_is_not(programs, tmp_path):
    path = str(tmp_path / "front.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, listen=[f"unix:{path}"])
    r = run("--listen", f"unix:{path}", "--replica", origin.address, "--admin", "off")
    assert r.returncode > 0 and path in r.stderr and "ss -lxp" in r.stderr
    with Client(path) as c:
        assert c.request(req(method="GET")).status == 200
    assert gateway.process.is_running()


def test_several_listeners(programs, tmp_path):
    origin = programs.raw_origin()
    ports = [env.free_port() for _ in range(3)]
    listen = [f"127.0.0.1:{ports[0]}", f"[::1]:{ports[1]}", f"unix:{tmp_path}/l.sock", f"[::]:{ports[2]}"]
    gateway = programs.gateway(origin.address, listen=listen, workers=2)
    for address in [gateway.address_of(a) for a in listen] + [("127.0.0.1", ports[2])]:
        assert get(address, "/x").status == 200
    assert not is_open_to(("::1", ports[0]))
    for port in ports[:2]:
        assert any(q.get("x-forwarded-port") == str(port) for q in origin.requests)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_worker_counts(programs, workers):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, {"steering": {"mode": "load"}}, workers=workers)  # evenly: all get some
    assert gateway.metrics().get("ringgate_workers") == workers
    rows = json.loads(gateway.admin("GET", "/workers")[1])["workers"]
    assert len(rows) == workers
    results = []

    def one():
        try:
            with Client(gateway.address) as c:
                results.append([c.request(req(method="GET")).status for _ in range(3)])
        except Exception as e:  # pylint: disable=broad-except
            results.append(e)
    threads = [threading.Thread(target=one) for _ in range(60)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [[200] * 3] * 60
    rows = json.loads(gateway.admin("GET", "/workers")[1])["workers"]
    accepted = [r["steering"]["accepted"] for r in rows]
    assert all(n > 0 for n in accepted) and sum(accepted) >= 60, accepted


# ---- reload ----

def reload_by(gateway, how):
    generation = gateway.metrics().get("ringgate_config_generation")
    if how == "hup":
        gateway.process.signal(signal.SIGHUP)
    else:
        assert gateway.admin("POST", "/reload")[0] == 200
    gateway.wait_metric(generation + 1, "ringgate_config_generation")


@pytest.mark.parametrize("how", ["hup", "admin"])
def test_reload_applies(programs, how):
    one, two = programs.raw_origin(lambda c, q: reply(b"one")), programs.raw_origin(lambda c, q: reply(b"two"))
    gateway = programs.gateway(one.address, workers=2)
    with Client(gateway.address) as kept:
        assert kept.request(req(method="GET")).body == b"one"
        gateway.reconfigure({"replica": {"address": two.address}, "limits": {"body_bytes": "1KiB"}})
        reload_by(gateway, how)
        env.wait_until(lambda: get(gateway.address, "/x").body == b"two", 2, "the new replica")
        # The connection stays and gets the new settings with its next request.
        assert kept.request(req(method="GET")).body == b"two"
        assert kept.request(req("Content-Length: 2000", body=b"x" * 2000)).status == 413
    assert two.address in gateway.admin("GET", "/config")[1]
    assert gateway.metrics().get("ringgate_config_last_reload_successful") == 1


def test_reload_keeps_what_can_not_be_applied_and_says_so(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address, workers=1)
    port = env.free_port()
    gateway.reconfigure({"workers": 2, "listeners": [{"address": f"127.0.0.1:{port}"}], "limits": {"body_bytes": 10}})
    reload_by(gateway, "hup")
    assert not is_open_to(("127.0.0.1", port))
    assert gateway.metrics().get("ringgate_workers") == 1
    with Client(gateway.address) as c:
        assert c.request(req("Content-Length: 11", body=b"x" * 11)).status == 413
    log = gateway.log()
    for option, running, wanted in (("workers", "1", "2"), ("listeners", gateway.listen[0], f"127.0.0.1:{port}")):
        assert re.search(rf"{option}.*{re.escape(running)}.*{re.escape(wanted)}", log), f"{option} is not reported:\n{log}"


def test_bad_reload_changes_nothing(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address)
    config = gateway.admin("GET", "/config")[1]
    gateway.write_config("workers: many\nreplcia: {}\n")
    gateway.process.signal(signal.SIGHUP)
    gateway.wait_metric(1, "ringgate_config_reload_failures_total")
    assert gateway.admin("GET", "/config")[1] == config
    assert gateway.metrics().get("ringgate_config_last_reload_successful") == 0
    assert get(gateway.address, "/x").status == 200
    log = gateway.log()
    assert ":1:10: workers: got" in log and "replcia" in log and "did you mean replica?" in log
    status, text, _ = gateway.admin("POST", "/reload")
    assert status == 422 and "workers" in text
    os.unlink(gateway.config_path)
    assert gateway.admin("POST", "/reload")[0] == 422
    assert get(gateway.address, "/x").status == 200
    gateway.reconfigure({})
    reload_by(gateway, "hup")
    assert gateway.metrics().get("ringgate_config_last_reload_successful") == 1


def test_reload_under_load_loses_nothing(programs):
    """Settings are switched between loop turns: not one request fails, and old settings are let go."""
    origin = programs.origin()
    gateway = programs.gateway(origin.address, workers=2)
    failures, stop = [], threading.Event()

    def load():
        try:
            with Client(gateway.address) as c:
                while not stop.is_set():
                    r = c.request(req(method="GET", target="/bytes/100"))
                    if r.status != 200:
                        failures.append(r)
        except Exception as e:  # pylint: disable=broad-except
            failures.append(e)
    threads = [threading.Thread(target=load) for _ in range(8)]
    for t in threads:
        t.start()
    for i in range(20):
        gateway.reconfigure({"limits": {"body_bytes": 1000 + i}})
        reload_by(gateway, "admin")
    stop.set()
    for t in threads:
        t.join()
    assert not failures, failures[:3]
