#!/usr/bin/env python3
"""
A closed-loop client as a process of its own: keeps N keep-alive connections busy with GETs until it is told to stop (a byte
or the end of its standard input). Only a refused connect is tried again; everything else that is not a complete 200 is a failure.
Prints one JSON object. Usage: load.py HOST PORT CONNECTIONS PATH
"""

import errno
import json
import selectors
import socket
import subprocess
import sys
import time


class Slot:
    __slots__ = ("sock", "buffer", "need", "state", "close", "done")

    def __init__(self):
        self.sock, self.buffer, self.state, self.done = None, b"", "new", 0


class Load:
    def __init__(self, host, port, connections, path):
        self.address = (host, port)
        self.request = f"GET {path} HTTP/1.1\r\nHost: load\r\n\r\n".encode()
        self.selector = selectors.DefaultSelector()
        self.slots = [Slot() for _ in range(connections)]
        self.waiting = []  # slots whose connect was refused
        self.ok = self.refused = self.connects = 0
        self.failures = []
        self.stopping = False

    def connect(self, slot):
        slot.sock = socket.socket()
        slot.sock.setblocking(False)
        slot.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        slot.buffer, slot.state = b"", "connecting"
        r = slot.sock.connect_ex(self.address)
        if r == errno.ECONNREFUSED:
            self.retry(slot)
            return
        self.selector.register(slot.sock, selectors.EVENT_WRITE, slot)

    def drop(self, slot):
        try:
            self.selector.unregister(slot.sock)
        except (KeyError, ValueError):
            pass
        slot.sock.close()
        slot.sock = None

    def retry(self, slot):
        self.refused += 1
        self.drop(slot)
        self.waiting.append(slot)

    def fail(self, slot, why):
        self.failures.append(f"{why} state={slot.state} done={slot.done} buffer={slot.buffer[:80]!r}")
        self.drop(slot)
        self.waiting.append(slot)

    def send(self, slot):
        slot.state, slot.buffer = "waiting", b""
        try:
            n = slot.sock.send(self.request)
        except OSError as e:
            self.fail(slot, f"send: {e!r}")
            return
        if n != len(self.request):
            self.fail(slot, "short send")
            return
        self.selector.modify(slot.sock, selectors.EVENT_READ, slot)

    def on_connected(self, slot):
        error = slot.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error == errno.ECONNREFUSED:
            self.retry(slot)
        elif error:
            self.fail(slot, f"connect: {errno.errorcode.get(error, error)}")
        else:
            self.connects += 1
            slot.done = 0
            self.send(slot)

    def on_readable(self, slot):
        try:
            data = slot.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as e:
            self.fail(slot, f"receive: {e!r}")
            return
        if not data:
            self.fail(slot, "closed before the response")
            return
        slot.buffer += data
        end = slot.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = slot.buffer[:end].lower()
        if not head.startswith(b"http/1.1 200 "):
            self.fail(slot, "not a 200")
            return
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17:].split(b"\r\n", 1)[0])
        if len(slot.buffer) < end + 4 + length:
            return
        if len(slot.buffer) > end + 4 + length:
            self.fail(slot, "surplus bytes")
            return
        self.ok += 1
        slot.done += 1
        if b"\r\nconnection: close" in head:
            self.drop(slot)
            self.waiting.append(slot)
        elif self.stopping:
            self.drop(slot)
        else:
            self.send(slot)

    def run(self):
        sys.stdin = sys.stdin.detach()
        self.selector.register(0, selectors.EVENT_READ, None)
        self.waiting = list(self.slots)
        deadline = None
        while True:
            if not self.stopping:
                pending, self.waiting = self.waiting, []
                for slot in pending:
                    self.connect(slot)
            for key, _ in self.selector.select(0.005 if self.waiting else 0.05):
                slot = key.data
                if slot is None:
                    self.stopping, deadline = True, time.monotonic() + 10
                    self.selector.unregister(0)
                elif slot.state == "connecting":
                    self.on_connected(slot)
                else:
                    self.on_readable(slot)
            if self.stopping:
                for slot in self.slots:
                    if slot.sock is not None and slot.state == "connecting":
                        self.drop(slot)
                if all(s.sock is None for s in self.slots):
                    break
                if time.monotonic() > deadline:
                    self.failures.append("a response never came")
                    break
        print(json.dumps({"ok": self.ok, "refused": self.refused, "connects": self.connects,
                          "failures": self.failures[:20], "failed": len(self.failures)}))


class Loader:
    """The process, from the tests' side."""

    def __init__(self, address, connections=64, path="/bytes/100"):
        self.popen = subprocess.Popen([sys.executable, "-B", __file__, address[0], str(address[1]), str(connections), path],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        out, _ = self.popen.communicate("x", timeout=30)
        return json.loads(out)

    def kill(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


if __name__ == "__main__":
    Load(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]).run()
