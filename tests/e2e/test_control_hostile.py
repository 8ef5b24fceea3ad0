"""A control plane that means harm: archives that grow, lead elsewhere or never end cost little, and what is good beside them is live."""

import gzip
import io
import json
import os
import tarfile
import zipfile

from lib import env
from lib.control_plane import zipped
from lib.deployments import body

pytest_plugins = ["lib.deployments"]

N = 8  # deployments at once, so that most of them are fetched together


def archive(members):
    """members: (name, bytes) or tarfile.TarInfo of something that is no file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for m in members:
            if isinstance(m, tarfile.TarInfo):
                tar.addfile(m)
                continue
            info = tarfile.TarInfo(m[0])
            info.size = len(m[1])
            tar.addfile(info, io.BytesIO(m[1]))
    return out.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


# What comes instead of the definitions of d-0 to d-7, which are of a0 to a7.
BATCHES = {
    "traversal": lambda d, text: archive([(f"{d}-{i}/../../../../escaped-{i}.yaml", text) for i in range(N)]),
    "absolute": lambda d, text: archive([(f"/escaped-{i}/api-a{i}.yaml", text) for i in range(N)]),
    "links": lambda d, text: archive([link(f"{d}-{i}/api-a{i}.yaml", "/etc/passwd") for i in range(N)]),
    "hard links": lambda d, text: archive([link(f"{d}-{i}/api-a{i}.yaml", "/etc/passwd", tarfile.LNKTYPE) for i in range(N)]),
    "devices": lambda d, text: archive([link(f"{d}-{i}/api-a{i}.yaml", "", tarfile.CHRTYPE) for i in range(N)]),
    "of others": lambda d, text: archive([(f"{d}-{i}/api-a{i + 1}.yaml", text) for i in range(N)]),
    "names without end": lambda d, text: archive([(f"{d}-0/" + "x" * 5000 + ".yaml", text)]),
    "bomb": lambda d, text: archive([(f"{d}-0/api-a0.yaml", b"x" * (64 << 20))]),
    "many": lambda d, text: archive([(f"e{i}/api-a{i}.yaml", b"") for i in range(5000)]),
    "cut": lambda d, text: archive([(f"{d}-{i}/api-a{i}.yaml", text) for i in range(N)])[:-40],
    "no archive": lambda d, text: gzip.compress(b"\0" * 100000),
    "no gzip": lambda d, text: b"PK\3\4" + b"\0" * 1000,
}


def test_batches_that_are_none(cp, gateway, service, tmp_path):
    """What they do not bring is fetched alone, and nothing of them gets anywhere."""
    for at, (kind, make) in enumerate(BATCHES.items()):
        bad, asked = make(f"d{at}", service.api("evil", "/evil", "evil").encode()), len(cp.asked("/deployments/fetch-batch"))
        cp.fault("/deployments/fetch-batch", *[(200, bad, "application/x-tar+gzip")] * 3)
        ds = [cp.deploy(service.api(f"a{i}", f"/a{i}", f"{at}-{i}"), f"a{i}", deployment=f"d{at}-{i}", push=False) for i in range(N)]
        cp.drop_all()  # they are brought at the next connect
        for d in ds:
            cp.wait_live(d)
        assert len(cp.asked("/deployments/fetch-batch")) > asked, f"{kind}: there was no batch"
        assert [body(gateway, f"/a{i}/x") for i in range(N)] == [f"{at}-{i}/x" for i in range(N)], kind
        assert body(gateway, "/evil/x") == "replica", kind
        assert not [n for n in os.listdir("/") + os.listdir(tmp_path) + os.listdir(tmp_path / "state") if "escaped" in n], kind


def nested(levels):
    """YAML whose aliases stand for 9 ** levels values."""
    rows = ["a0: &a0 [1, 1]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(rows) + "\n"


def stored(name, text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        z.writestr(name, text)
    return out.getvalue()


def limited(operations, quotas, limits):
    """A definition with so many limits by client, each of which may count tens of thousands."""
    durations = [{"limit": 1, "duration": f"{i + 1}m"} for i in range(limits)]
    params = {"quotas": [{"limits": durations}] * quotas, "keyExtraction": [{"type": "ip"}]}
    policies = [{"name": "advanced-ratelimit", "version": "v1", "params": params}]
    return json.dumps({
        "apiVersion": "gateway.api-platform.wso2.com/v1", "kind": "RestApi", "metadata": {"name": "limited"},
        "spec": {"displayName": "x", "version": "v1.0", "context": "/limited",
                 "upstream": {"main": {"url": "http://127.0.0.1:1"}},
                 "operations": [{"method": "GET", "path": f"/{i}", "policies": policies} for i in range(operations)]}})


DEFINITIONS = {
    "zip bomb": lambda: zipped([("a.yaml", b"x" * (300 << 20))]),
    "aliases": lambda: zipped([("a.yaml", nested(12))]),
    "depth": lambda: zipped([("a.yaml", "[" * 500000)]),
    "one long string": lambda: stored("a.yaml", "a: " + "x" * (15 << 20)),
    "many keys": lambda: zipped([("a.yaml", "".join(f"k{i}: 1\n" for i in range(1000000)))]),
    "too large": lambda: stored("a.yaml", os.urandom(20 << 20)),
    "rate limits": lambda: stored("a.yaml", limited(300, 10, 10)),
}


def test_definitions_that_grow(cp, gateway, service):
    """They fail by their size, soon, and memory stays in bounds."""
    good = cp.deploy(service.api("good", "/good", "good"), "good")
    cp.wait_live(good)
    for kind, make in DEFINITIONS.items():
        content = make()
        gateway.process.reset_peak_rss()
        before = gateway.process.rss_bytes()
        cp.wait_failed(cp.deploy(content, "bad"))
        grown = gateway.process.peak_rss_bytes() - before
        assert env.SANITIZER or grown < 160 << 20, f"{kind}: {grown >> 20} MiB, where a definition has at most 16"
        assert body(gateway, "/good/x") == "good/x"
    cp.wait_live(cp.deploy(service.api("bad", "/bad", "better"), "bad"))
    assert body(gateway, "/bad/x") == "better/x"


def test_rate_limits_take_memory_as_they_count(cp, gateway):
    """Nearly as many as there may be, each with a table of a mebibyte."""
    gateway.process.reset_peak_rss()
    before = gateway.process.rss_bytes()
    definition = stored("a.yaml", limited(100, 2, 5))
    cp.wait_live(cp.deploy(definition, "limited"))
    cp.wait_live(cp.deploy(definition, "limited"))  # they go on
    grown = gateway.process.peak_rss_bytes() - before
    assert env.SANITIZER or grown < 100 << 20, f"{grown >> 20} MiB for 1,000 tables in which nobody is counted"
    ack = cp.wait_failed(cp.deploy(stored("a.yaml", limited(101, 2, 5)), "limited"))
    assert "spec.operations[100].policies[0]" in ack["errorMessage"] and "1000 by client" in ack["errorMessage"], ack


def test_artifacts_without_number(cp, gateway, service):
    """What is one too many is refused, by name; what is known is served, and what the control plane does not know any more makes room."""
    good = cp.deploy(service.api("good", "/good", "good"), "good")
    cp.wait_live(good)
    hashes = json.dumps({"sha256": "0" * 64})
    for i in range(20000):  # each makes an artifact known, before it is deployed
        cp.push("apikey.created", {"apiId": f"k{i}", "name": "k", "apiKeyHashes": hashes})
    more = cp.deploy(service.api("more", "/more", "more"), "more")
    ack = cp.wait_failed(more, env.scaled(30))
    assert ack["errorCode"] == "GATEWAY_PROCESSING_ERROR"
    assert "knows 20000 artifacts, and takes at most 20000; delete some" in ack["errorMessage"]
    assert body(gateway, "/good/x") == "good/x" and body(gateway, "/more/x") == "replica"
    cp.wait_live(cp.deploy(service.api("good", "/good", "better"), "good"))
    assert body(gateway, "/good/x") == "better/x"
    cp.drop_all()  # what is known here is compared, and the artifacts of those keys do not exist
    env.wait_until(lambda: "removed=19999" in gateway.log(), env.scaled(30), "room for others")
    cp.wait_live(cp.deploy(service.api("more", "/more", "more"), "more"))
    assert body(gateway, "/more/x") == "more/x"
