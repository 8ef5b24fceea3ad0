#!/usr/bin/env python3
"""
Holds N idle keep-alive connections, each after one request, in a process of its own; says "ready" or what went wrong, and
ends when its standard input does. Usage: idle_clients.py HOST PORT N PATH [h2] [tls1.2 | tls1.3]
Over TLS the first handshake is a full one, and nearly all others resume its session.
"""

import resource
import socket
import ssl
import subprocess
import sys


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def h2_request(path):
    """The preface, SETTINGS, and a GET with fields that stay in HPACK's table."""
    fields = [(b"\x44", path.encode()), (b"\x41", b"idle"), (b"\x7a", b"Mozilla/5.0 (idle client; one of ten thousand)"),
              (b"\x53", b"text/html,application/xhtml+xml"), (b"\x51", b"en-US,en;q=0.5")]
    block = b"\x82\x86" + b"".join(name + bytes([len(v)]) + v for name, v in fields)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(4, 1, 0) + frame(1, 5, 1, block)


def read_h2(s):
    """To the end of the stream; False when the connection ends before."""
    data = b""
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
            piece = s.recv(65536)
            if not piece:
                return False
            data += piece
        if data[3] in (0, 1) and data[4] & 1:
            return True
        data = data[9 + int.from_bytes(data[:3], "big"):]


def tls_context(version, h2):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    ctx.minimum_version = ctx.maximum_version = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}[version]
    ctx.set_alpn_protocols(["h2" if h2 else "http/1.1"])
    return ctx


def main():
    host, port, n, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    h2 = "h2" in sys.argv[5:]
    tls = [word for word in sys.argv[5:] if word.startswith("tls")]
    ctx, session = tls_context(tls[0], h2) if tls else None, None
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    request = h2_request(path) if h2 else f"GET {path} HTTP/1.1\r\nHost: idle\r\n\r\n".encode()
    sockets = []
    for start in range(0, n, 100):
        batch = []
        for _ in range(min(100, n - start)):
            s = socket.create_connection((host, port), 20)
            if ctx:
                s = ctx.wrap_socket(s, server_hostname="a.example", session=session)
            s.sendall(request)
            batch.append(s)
        for s in batch:
            if h2:
                if not read_h2(s):
                    print(f"closed after {len(sockets)} connections", flush=True)
                    return
                continue
            data = b""
            while b"\r\n\r\n" not in data:
                piece = s.recv(65536)
                if not piece:
                    print(f"closed after {len(sockets)} connections", flush=True)
                    return
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += s.recv(65536)
            if not head.startswith(b"HTTP/1.1 200"):
                print(f"got {head[:60]!r}", flush=True)
                return
        sockets += batch
        session = session or (batch[0].session if ctx else None)  # with the response came the ticket
    print("ready", flush=True)
    sys.stdin.read()


class IdleClients:
    """N of them, in so many processes, from "with" to its end."""

    def __init__(self, gateway, n, *how, processes=1, path="/bytes/100"):
        self.argv = [[sys.executable, "-B", __file__, *map(str, gateway.address), str(n // processes), path, *how]] * processes
        self.processes = []

    def __enter__(self):
        self.processes = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                          for argv in self.argv]
        words = [p.stdout.readline().strip() for p in self.processes]
        if set(words) != {"ready"}:
            self.__exit__()
            raise AssertionError(f"idle clients: {words}")
        return self

    def __exit__(self, *_):
        for p in self.processes:
            p.communicate()


if __name__ == "__main__":
    main()
