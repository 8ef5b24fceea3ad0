#!/usr/bin/env python3
"""
Holds N idle keep-alive connections, each after one request, in a process of its own; says "ready" or what went wrong, and
ends when its standard input does. Usage: idle_clients.py HOST PORT N PATH
"""

import resource
import socket
import sys


def main():
    host, port, n, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    request = f"GET {path} HTTP/1.1\r\nHost: idle\r\n\r\n".encode()
    sockets = []
    for start in range(0, n, 100):
        batch = []
        for _ in range(min(100, n - start)):
            s = socket.create_connection((host, port), 20)
            s.sendall(request)
            batch.append(s)
        for s in batch:
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
    print("ready", flush=True)
    sys.stdin.read()


main()
