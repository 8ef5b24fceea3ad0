"""What scenarios with TLS have in common: one certificate, made for the run, and one version and cipher, which the load
asks for, so that everybody does the same work whatever his defaults are."""

import shutil
import ssl
import subprocess

from .programs import Failure, SYSTEM_PATH

VERSION, CIPHER = "1.3", "TLS_AES_128_GCM_SHA256"
NAME = "bench.ringgate.test"
NO_CERTIFICATE = {"cert": "", "key": "", "cert_and_key": ""}
RESUMED_LEAST = 0.99  # of the handshakes of a scenario in which sessions are offered


def certificate_in(folder):
    """Placeholders with the paths of a self-signed one (ECDSA P-256), made once; HAProxy wants it and its key in one file."""
    cert, key, both = folder / "tls.crt", folder / "tls.key", folder / "tls.pem"
    if not both.exists():
        make_certificate(cert, key)
        both.touch(0o600)
        both.write_bytes(cert.read_bytes() + key.read_bytes())
    return {"cert": cert, "key": key, "cert_and_key": both}


def make_certificate(cert, key):
    program = shutil.which("openssl", path=SYSTEM_PATH)
    if not program:
        raise Failure("openssl is missing: apt-get install openssl", 2)
    done = subprocess.run([program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                           "-days", "30", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1",
                           "-keyout", key, "-out", cert], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"openssl made no certificate: {done.stderr.strip()[-500:]}")


def client_context():
    """For the harness's own requests; whose certificate it is does not matter on the loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def agreed(row):
    """Version, cipher and group of a measurement; None in the clear. OpenSSL and h2load spell groups differently."""
    told = row.get("tls")
    return (told["version"], told["cipher"], told["group"].upper()) if told else None


def not_resumed(told):
    """What is wrong when sessions were offered and not taken; None when all is well."""
    full, resumed = told["handshakes"]["full"], told["handshakes"]["resumed"]
    if resumed >= RESUMED_LEAST * (full + resumed) and resumed:
        return None
    return f"{full} of {full + resumed} handshakes were full ones, although a session was offered"
