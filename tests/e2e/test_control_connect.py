"""The control connection comes and goes, the gateway with its state directory too: what is live stays, what changed is caught up with."""

import random
import threading
import time

import pytest

from lib import env
from lib.client import Client, get
from lib.control_plane import ControlPlane, server_context
from lib.deployments import artifact, body, control, restart, start
from lib.tls import Certificate

pytest_plugins = ["lib.deployments"]


def state_file(tmp_path, d):
    return tmp_path / "state" / f"{d.artifact}.deployment"


# ---- the control plane goes and comes ----

def test_every_connect_catches_up(cp, gateway, service):
    stays, changes, goes, deleted, exists = ds = [cp.deploy(service.api(n, f"/{n}", n), n) for n in "abcde"]
    for d in ds:
        cp.wait_live(d)
    cp.stop()
    env.wait_until(lambda: control(gateway)["connection"]["state"] != "connected", 5, "the gateway to notice")
    assert body(gateway, "/b/x") == "b/x"  # it serves on
    changed = cp.deploy(service.api("b", "/b", "b2"), "b", push=False)
    gone = cp.undeploy(goes, push=False)
    new = cp.deploy(service.api("f", "/f", "f"), "f", push=False)
    for d in (deleted, exists):
        cp.delete(d, push=False)
    cp.known.add(exists.artifact)
    asked = len(cp.asked(f"/apis/{stays.artifact}"))
    cp.acks.clear()
    cp.start()
    for d in (changed, gone, new):
        cp.wait_live(d)
    env.wait_until(lambda: artifact(gateway, deleted) is None, 5, "what is gone to be forgotten")
    assert [body(gateway, f"/{n}/x") for n in "abcdef"] == ["a/x", "b2/x", "replica", "replica", "e/x", "f/x"]
    assert len(cp.asked(f"/apis/{stays.artifact}")) == asked
    assert gateway.metrics().get("ringgate_control_connected") == 1


def test_an_acknowledgement_that_was_lost_is_repeated(cp, gateway, service):
    d = cp.deploy(service.api("a", "/a", "one"), "a")
    cp.wait_live(d)
    cp.acks.clear()
    cp.drop_all()  # the control plane may have died before it read it
    cp.wait_live(d)
    assert len(cp.asked("/apis/a")) == 1  # nothing was fetched again


def test_an_undeployment_of_what_was_missed(cp, gateway, service):
    """Pushed before the gateway knows what it missed: it believes it, rather than finding that another deployment is live."""
    d = cp.deploy(service.api("a", "/a", "one"), "a")
    cp.wait_live(d)
    compare = threading.Event()
    cp.fault("/deployments", lambda _: compare.wait(env.scaled(20)) and None)
    missed = cp.deploy(service.api("a", "/a", "two"), "a", push=False)
    asked = len(cp.asked("/deployments"))
    cp.drop_all()
    env.wait_until(lambda: len(cp.asked("/deployments")) > asked, 10, "the gateway to begin to compare")
    gone = cp.undeploy(missed)
    cp.wait_live(gone)
    compare.set()
    assert body(gateway, "/a/x") == "replica"


def test_what_is_gone_and_never_was_there(cp, gateway):
    """Deployed and taken back while the gateway was away: the control plane waits to hear that it is gone."""
    cp.stop()
    gone = cp.undeploy(cp.deploy("", "a", push=False), push=False)
    old = cp.undeploy(cp.deploy("", "b", push=False), push=False)
    old.performed_at = "2020-01-01T00:00:00Z"  # nobody waits for that any more
    cp.start()
    cp.wait_live(gone)
    cp.wait_synced()
    assert not cp.acks_of(old)


def test_a_sync_that_fails_is_tried_again(cp, programs, service, tmp_path):
    d = cp.deploy(service.api("a", "/a", "one"), push=False)
    cp.fault("/deployments", *[(500, {})] * 3)
    g = start(programs, cp, tmp_path)
    cp.wait_live(d, 30)
    assert g.metrics().get("ringgate_control_sync_failures_total") == 1


def test_nothing_is_removed_when_it_cannot_be_asked(cp, gateway, service):
    d = cp.deploy(service.api("a", "/a", "one"))
    cp.wait_live(d)
    cp.delete(d, push=False)
    cp.fault("/artifacts/exists", *[(500, {})] * 3)
    synced = len(cp.asked("/llm-proxies/api-keys"))
    cp.drop_all()
    env.wait_until(lambda: len(cp.asked("/llm-proxies/api-keys")) > synced, 20, "the comparison to end")
    assert body(gateway, "/a/x") == "one/x"


def test_a_new_token_is_tried_at_once(programs, cp, service, tmp_path):
    """Who was refused waits long, but not for what somebody has just put right."""
    config = cp.configuration(tmp_path)
    config["control"].update(reconnect_initial="1h", reconnect_max="24h")
    (tmp_path / "token").write_text("another\n")
    g = programs.gateway(service.origin.address, config=config)
    env.wait_until(lambda: control(g)["connection"]["state"] == "waiting", 10, "the refusal")
    (tmp_path / "token").write_text(cp.token)
    cp.wait_connected()
    assert g.metrics().get("ringgate_control_connects_total", result="refused") == 1


def test_a_platform_that_does_not_know_us(programs, cp, service, tmp_path):
    config = cp.configuration(tmp_path)
    (tmp_path / "token").write_text("another\n")
    g = programs.gateway(service.origin.address, config=config)
    env.wait_until(lambda: g.metrics().get("ringgate_control_connects_total", result="refused") >= 2, 10, "two refusals")
    shown = control(g)["connection"]
    assert "401" in shown["reason"] and "control.token_file" in shown["reason"]
    assert g.process.is_running() and body(g, "/x") == "x"
    (tmp_path / "token").write_text(cp.token)  # it is read again at every connect
    cp.wait_connected()


@pytest.mark.parametrize("answer", [(404, {}), (500, {}), (200, {"x": 1}), (101, b"")])
def test_answers_that_are_no_websocket(programs, cp, tmp_path, answer):
    cp.fault("/ws/gateways/connect", answer, answer)
    start(programs, cp, tmp_path, wait=False)
    cp.wait_connected()


def test_http_to_a_port_of_https(programs, cp, service, tmp_path):
    """It answers 400, as every server does that has the two on different ports."""
    cp.fault("/ws/gateways/connect", (400, {}))
    config = cp.configuration(tmp_path)
    config["control"].update(reconnect_initial="1h", reconnect_max="24h")
    g = programs.gateway(service.origin.address, config=config)
    shown = env.wait_until(lambda: control(g)["connection"]["reason"], 10, "the refusal")
    assert "answered 400" in shown and "speak https? Then it is wss://" in shown, shown


def test_no_greeting_no_connection(programs, cp, tmp_path):
    cp.greets = False
    g = start(programs, cp, tmp_path, wait=False)
    env.wait_until(lambda: "no connection.ack came" in g.log(), 20, "the gateway to give up")
    cp.greets = True
    cp.wait_synced(20)


def test_what_breaks_the_protocol_ends_the_connection(cp, gateway):
    for raw in (b"\x91\x00", b"\x81\x81abcd\x00", b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", b"\x81\x02\xff\xff"):
        connection = cp.wait_connected()[0]
        connection.sock.sendall(raw)
        env.wait_until(lambda c=connection: not c.open, 10, f"the connection to end after {raw!r}")
    cp.wait_connected()


# ---- TLS ----

@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("ca"), "authority")


def tls_plane(programs, authority, tmp_path, name="localhost"):
    cert = Certificate(tmp_path, "platform", [name], ca=authority)
    return programs.add(ControlPlane(tls=server_context(cert.cert, cert.key), host="localhost"))


def test_a_certificate_is_verified(programs, authority, tmp_path):
    cp = tls_plane(programs, authority, tmp_path)
    g = start(programs, cp, tmp_path, wait=False)
    env.wait_until(lambda: g.metrics().get("ringgate_control_connects_total", result="failed") >= 2, 10, "two tries")
    reason = control(g)["connection"]["reason"]
    assert "certificate" in reason.lower() and "control.ca_file" in reason and cp.requests == []


def test_a_certificate_of_a_named_authority(programs, authority, service, tmp_path):
    cp = tls_plane(programs, authority, tmp_path)
    g = start(programs, cp, tmp_path, ca_file=authority.cert)
    d = cp.deploy(service.api("a", "/a", "one"))
    cp.wait_live(d)
    assert body(g, "/a/x") == "one/x"


def test_a_certificate_for_another_name(programs, authority, tmp_path):
    cp = tls_plane(programs, authority, tmp_path, "elsewhere.example")
    g = start(programs, cp, tmp_path, wait=False, ca_file=authority.cert)
    env.wait_until(lambda: g.metrics().get("ringgate_control_connects_total", result="failed") >= 2, 10, "two tries")
    assert cp.requests == []


def test_verification_may_be_waived(programs, authority, tmp_path):
    cp = tls_plane(programs, authority, tmp_path)
    g = start(programs, cp, tmp_path, insecure_skip_verify=True)
    assert "insecure_skip_verify" in g.log()


# ---- the gateway goes and comes ----

def test_a_start_without_the_control_plane(cp, gateway, service, tmp_path):
    kept, gone = cp.deploy(service.api("a", "/a", "one")), cp.deploy(service.api("b", "/b", "two"))
    cp.wait_live(kept)
    cp.wait_live(gone)
    cp.wait_live(cp.undeploy(gone))
    cp.add_key(kept, "ci", "secret-key")
    env.wait_until(lambda: (tmp_path / "state" / "keys.json").exists(), 5, "the key to be saved")
    cp.stop()
    gateway.stop()
    restart(gateway)
    assert body(gateway, "/a/x") == "one/x" and body(gateway, "/b/x") == "replica"
    assert artifact(gateway, kept)["apiKeys"] == 1
    assert "secret-key" not in (tmp_path / "state" / "keys.json").read_text()
    cp.acks.clear()
    cp.start()
    cp.wait_live(kept)  # it is recent: the control plane may wait for it


def test_a_successor_begins_while_the_old_one_drains(programs, cp, gateway, service, tmp_path):
    d = cp.deploy(service.api("a", "/a", "one"))
    cp.wait_live(d)
    with Client(gateway.address) as slow:
        slow.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
        gateway.wait_metric(1, "ringgate_exchanges_open")
        gateway.admin("POST", "/drain")
        successor = start(programs, cp, tmp_path, "successor", wait=False)
        assert body(successor, "/a/x") == "one/x"
        slow.send(b"67890")
        assert slow.response("POST").status == 200
    gateway.process.popen.wait(env.scaled(10))


def test_damaged_files_are_set_aside(cp, gateway, service, tmp_path):
    bad, good = cp.deploy(service.api("a", "/a", "one")), cp.deploy(service.api("b", "/b", "two"))
    cp.wait_live(bad)
    cp.wait_live(good)
    gateway.stop()
    file = state_file(tmp_path, bad)
    file.write_bytes(file.read_bytes()[:-5])
    cp.stop()
    cp.acks.clear()
    restart(gateway)
    assert body(gateway, "/b/x") == "two/x" and body(gateway, "/a/x") == "replica"
    assert "is damaged" in gateway.log() and file.with_name(file.name + ".damaged").exists()
    cp.start()
    cp.wait_live(bad)  # the control plane still has it
    assert body(gateway, "/a/x") == "one/x"


def test_what_cannot_be_served_at_a_start_is_brought_anew(cp, gateway, service, tmp_path):
    cp.secrets["s"] = "value"
    policy = "  policies: [{name: set-headers, version: v1, params: {request: {headers: [{name: x-s, value: '{{ secret \"s\" }}'}]}}}]\n"
    d = cp.deploy(service.api("a", "/a", "one", policies=policy))
    cp.wait_live(d)
    env.wait_until(lambda: (tmp_path / "state" / "secrets.json").exists(), 5, "the secret to be saved")
    gateway.stop()
    (tmp_path / "state" / "secrets.json").unlink()
    cp.stop()
    cp.acks.clear()
    restart(gateway)
    assert artifact(gateway, d)["state"] == "not served" and "secret" in artifact(gateway, d)["failure"]
    cp.start()
    cp.wait_live(d)
    assert body(gateway, "/a/x") == "one/x"


def test_killed_between_event_and_acknowledgement(cp, gateway, service):
    held = threading.Event()
    cp.fault("/apis/a", lambda h: held.wait(env.scaled(20)) and None)
    d = cp.deploy(service.api("a", "/a", "one"), "a")
    env.wait_until(lambda: cp.asked("/apis/a"), 5, "the fetch")
    gateway.process.kill()
    held.set()
    restart(gateway)
    cp.wait_live(d)
    assert body(gateway, "/a/x") == "one/x"


def test_killed_at_any_moment(cp, gateway, service):
    """What is acknowledged is served after the next start, without the control plane; and then it converges."""
    rng, acked = random.Random(1), {}
    for round_ in range(6):
        ds = [cp.deploy(service.api(f"a{i}", f"/a{i}", f"r{round_}-{i}"), f"a{i}") for i in range(6)]
        time.sleep(rng.random() * 0.03 * env.SLOW)
        gateway.process.kill()
        for d in ds:
            if any(a["status"] == "success" for a in cp.acks_of(d)):
                acked[d.artifact] = round_
        cp.stop()
        restart(gateway)
        for i in range(6):
            got = body(gateway, f"/a{i}/x")
            served = int(got.split("-")[0][1:]) if got.startswith("r") and got != "replica" else -1
            assert served >= acked.get(f"a{i}", -1), (got, acked)
        cp.start()
        for d in ds:
            cp.wait_live(d)
            acked[d.artifact] = round_
            assert body(gateway, f"/{d.artifact}/x") == f"r{round_}-{d.artifact[1:]}/x"


# ---- API keys ----

def test_api_keys_come_and_go(cp, gateway, service):
    policy = "  policies: [{name: api-key-auth, version: v1, params: {key: x-api-key, in: header}}]\n"
    d = cp.deploy(service.api("a", "/a", "one", policies=policy), "a", push=False)
    cp.add_key(d, "first", "key-one", push=False)
    cp.drop_all()
    cp.wait_live(d)
    keys = lambda n: env.wait_until(lambda: artifact(gateway, d)["apiKeys"] == n, 10, f"{n} keys")
    keys(1)

    def status(key):
        return get(gateway.address, "/a/x", [("x-api-key", key)]).status
    assert (status("key-one"), status("key-two")) == (200, 401)
    cp.add_key(d, "second", "key-two")
    keys(2)
    assert (status("key-one"), status("key-two")) == (200, 200)
    cp.push("apikey.updated", {"apiId": "a", "keyName": "second", "apiKeyHashes": '{"sha256":"' + "0" * 64 + '"}'})
    keys(2)
    assert (status("key-one"), status("key-two")) == (200, 401)
    cp.revoke_key(d, "first")
    keys(1)
    assert status("key-one") == 401
    cp.push("apikey.revoked", {"apiId": "unknown", "keyName": "first"})
    cp.revoke_key(d, "second", push=False)
    cp.drop_all()
    keys(0)
    assert [a["artifactId"] for a in control(gateway)["artifacts"]] == ["a"]


@pytest.mark.parametrize("expires_at", ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.0004Z", "2001-01-01T00:00:00Z", "soon", "", 4102444800, {}])
def test_a_key_whose_end_is_past_or_not_known_lets_nobody_in(cp, gateway, service, expires_at):
    """Neither by an event nor by the list at a connect."""
    policy = "  policies: [{name: api-key-auth, version: v1, params: {key: x-api-key, in: header}}]\n"
    d = cp.deploy(service.api("a", "/a", "one", policies=policy), "a")
    cp.wait_live(d)
    cp.add_key(d, "bad", "key-one", expires_at=expires_at)
    cp.add_key(d, "good", "key-two")

    def status(key):
        return get(gateway.address, "/a/x", [("x-api-key", key)]).status
    env.wait_until(lambda: status("key-two") == 200, 10, "the keys to be known")
    assert status("key-one") == 401
    asked = len(cp.asked("/apis/api-keys"))
    cp.drop_all()
    env.wait_until(lambda: len(cp.asked("/apis/api-keys")) > asked, 10, "the list to be asked for")
    cp.add_key(d, "more", "key-three")
    env.wait_until(lambda: status("key-three") == 200, 10, "the list to be taken")
    assert status("key-one") == 401


def test_a_burst_of_keys_holds_up_nothing(cp, gateway, service):
    """As after each deployment of an API that has many: each key costs the same, however many there are."""
    policy = "  policies: [{name: api-key-auth, version: v1, params: {key: x-api-key, in: header}}]\n"
    d = cp.deploy(service.api("a", "/a", "one", policies=policy), "a")
    cp.wait_live(d)
    for i in range(6000):
        cp.add_key(d, f"k{i}", f"key-{i}")
    cp.revoke_key(d, "k7")
    other = cp.deploy(service.api("b", "/b", "two"), "b")
    cp.wait_live(other)
    assert artifact(gateway, d)["apiKeys"] == 5999
    assert [get(gateway.address, "/a/x", [("x-api-key", f"key-{i}")]).status for i in (0, 7, 5999)] == [200, 401, 200]


def test_a_key_that_is_revoked_while_the_list_is_on_its_way(cp, gateway, service):
    policy = "  policies: [{name: api-key-auth, version: v1, params: {key: x-api-key, in: header}}]\n"
    d = cp.deploy(service.api("a", "/a", "one", policies=policy), "a")
    cp.wait_live(d)
    cp.add_key(d, "first", "key-one")

    def status(key):
        return get(gateway.address, "/a/x", [("x-api-key", key)]).status
    env.wait_until(lambda: status("key-one") == 200, 10, "the key to be known")

    def older_list(_handler):
        """Written down before what happens now, received after it."""
        listed = list(cp.keys["RestApi"])
        cp.revoke_key(d, "first")
        cp.add_key(d, "second", "key-two")
        env.wait_until(lambda: (status("key-one"), status("key-two")) == (401, 200), 10, "the events to be taken")
        return 200, listed
    asked = len(cp.asked("/apis/api-keys"))
    cp.fault("/apis/api-keys", older_list)
    cp.drop_all()
    env.wait_until(lambda: len(cp.asked("/apis/api-keys")) >= asked + 2, 10, "the list to be asked for once more")
    env.wait_until(lambda: (status("key-one"), status("key-two")) == (401, 200), 10, "the keys as they are")
