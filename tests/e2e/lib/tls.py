"""TLS for the tests: certificates made by openssl(1) once a run, clients of Python's ssl, curl and openssl s_client."""

import base64
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import textwrap
import time

import pytest

from . import env
from .client import Client


class Certificate:
    def __init__(self, directory, name, names=None, kind="ec", days=30, ca=None, common=None):
        """A self-signed one, or one signed by ca."""
        if not shutil.which("openssl"):
            pytest.skip("openssl is not installed: no certificates")
        base = os.path.join(str(directory), name)
        self.cert, self.key, self.ca = base + ".crt", base + ".key", ca
        algorithm = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}[kind]
        argv = ["openssl", "req", "-x509", *algorithm, "-nodes", "-keyout", self.key, "-out", self.cert,
                "-days", str(days), "-subj", f"/CN={common or name}"]
        if names:
            argv += ["-addext", "subjectAltName=" + ",".join(f"DNS:{n}" for n in names)]
        if ca:
            argv += ["-CA", ca.cert, "-CAkey", ca.key, "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run(argv, check=True, capture_output=True)

    def expire(self):
        """The same, over as soon as it is made: openssl(1) of OpenSSL 3.5 makes none that was over before."""
        request = self.cert + ".csr"
        subprocess.run(["openssl", "req", "-new", "-key", self.key, "-subj", "/CN=old", "-out", request], check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-req", "-in", request, "-key", self.key, "-days", "0", "-out", self.cert],
                       check=True, capture_output=True)
        return self

    @property
    def pair(self):
        return {"cert": self.cert, "key": self.key}


def listener(address, *certificates, **more):
    """An item of `listeners`."""
    return {"address": address, "tls": {"certificates": [c.pair for c in certificates], **more}}


def context(version=None, alpn=None, verify=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = verify is not None
    ctx.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    if verify:
        ctx.load_verify_locations(verify.cert)
    if version:
        ctx.minimum_version = ctx.maximum_version = version
    if alpn:
        ctx.set_alpn_protocols(alpn)
    return ctx


class TlsClient(Client):
    """lib.client.Client over TLS. session: to be resumed, with the same context."""

    def __init__(self, address, name=None, ctx=None, session=None, **more):
        super().__init__(address, **more)
        self.context = ctx or context()
        self.raw = self.sock
        try:
            self.sock = self.context.wrap_socket(self.raw, server_hostname=name, session=session,
                                                 suppress_ragged_eofs=False)
        except BaseException:
            self.raw.close()
            raise
        self.clean_end = False

    def _fill(self):
        try:
            more = super()._fill()
        except ssl.SSLEOFError:  # FIN without close_notify
            self.eof = self.was_reset = True
            return False
        if self.eof and not self.was_reset:
            self.clean_end = True
        return more

    def exchange(self, data, timeout=30.0):
        """Sends and receives at once, until the response to it is whole (Python's TLS sockets are not for two threads)."""
        deadline = time.monotonic() + env.scaled(timeout)
        self.sock.setblocking(False)
        at = 0
        while at < len(data) and time.monotonic() < deadline:
            idle = True
            try:
                at += self.sock.send(data[at:at + 16384])
                idle = False
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            try:
                self.buffer += self.sock.recv(65536)
                idle = False
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            if idle:
                select.select([self.sock], [], [], 0.01)
        self.sock.settimeout(env.scaled(10))
        assert at == len(data), f"only {at} bytes were taken"
        return self.response()

    @property
    def certificate(self):
        """In DER."""
        return self.sock.getpeercert(binary_form=True)


def der(certificate):
    with open(certificate.cert, encoding="ascii") as f:
        return ssl.PEM_cert_to_DER_cert(f.read())


def curl(gateway, path, *flags, name=None, data=None):
    """(status, body)."""
    host, port = gateway.address
    url = f"https://{name or host}:{port}{path}"
    argv = ["curl", "-sk", "--max-time", str(env.scaled(20)), "-w", "\\n%{http_code}", *flags, url]
    if name:
        argv[1:1] = ["--resolve", f"{name}:{port}:{host}"]
    r = subprocess.run(argv, input=data, capture_output=True, check=False)
    body, _, status = r.stdout.rpartition(b"\n")
    return int(status), body


def s_client(gateway, *flags, send=b"", timeout=20):
    """What openssl s_client says, with its exit status."""
    host, port = gateway.address
    r = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", *flags], input=send, capture_output=True,
                       timeout=env.scaled(timeout), check=False)
    return r.returncode, (r.stdout + r.stderr).decode("utf-8", "replace")


def damage_ticket(path):
    """Changes a byte of the ticket within a session that s_client has written."""
    with open(path, encoding="ascii") as f:
        lines = f.read().splitlines()
    data = bytearray(base64.b64decode("".join(lines[1:-1])))
    # [10] EXPLICIT OCTET STRING, with the lengths that belong together
    at = next(m.end() for m in re.finditer(rb"\xaa\x81(.)\x04\x81(.)", data, re.DOTALL) if m[1][0] == m[2][0] + 3)
    data[at + 60] ^= 1
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join([lines[0], *textwrap.wrap(base64.b64encode(data).decode(), 64), lines[-1], ""]))


def raw_socket(address, timeout=10.0):
    s = socket.create_connection(address, env.scaled(timeout))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def client_hello(name="a.example"):
    """The first flight of a client, as bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    obj = context().wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        obj.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
