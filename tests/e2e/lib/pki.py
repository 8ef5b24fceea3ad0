"""A server's certificate, and those of clients with their authorities; modules take the fixture by `pytest_plugins`."""

import types

import pytest

from lib import tls


@pytest.fixture(name="pki", scope="module")
def _pki(tmp_path_factory):
    d = tmp_path_factory.mktemp("pki")
    ca = tls.Certificate(d, "ca", common="the authority")
    other_ca = tls.Certificate(d, "other-ca", common="another authority")
    return types.SimpleNamespace(
        server=tls.Certificate(d, "server", ["a.example"]), ca=ca, other_ca=other_ca,
        alice=tls.Certificate(d, "alice", ca=ca, common="alice"),
        odd=tls.Certificate(d, "odd", ca=ca, common="o\"dd, \u00fcber; x=1"),
        mallory=tls.Certificate(d, "mallory", ca=other_ca, common="mallory"))
