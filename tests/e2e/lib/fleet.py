#!/usr/bin/env python3
"""
Many gateways in one process, as their platform sees them: each a WebSocket that greets, answers pings and acknowledges at
once whatever it is told to deploy. Says "ready" when all are connected; for each deployment, when the last one has
acknowledged it, a line "ID SECONDS" since its first event came; ends with its standard input.
Usage: fleet.py PORT N, the token in the variable FLEET_TOKEN
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib import websocket
from lib.fake_gateway import CONNECT, acknowledgement

AT_ONCE = 100  # handshakes


class Gateway(asyncio.Protocol):
    def __init__(self, fleet, number):
        self.fleet, self.number = fleet, number
        self.data, self.open = b"", False
        self.greeted = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        fields = [*websocket.HANDSHAKE, f"api-key: {self.fleet.token}", f"x-ringgate-instance: fleet-{self.number}"]
        transport.write("\r\n".join([f"GET {CONNECT} HTTP/1.1", "Host: platform", *fields, "", ""]).encode())

    def data_received(self, data):
        self.data += data
        if not self.open and not self.take_head():
            return
        frames, self.data = websocket.frames_of(self.data)
        for opcode, payload in frames:
            self.take_frame(opcode, payload)

    def take_head(self):
        head, end, rest = self.data.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 101 "):
            self.fail(f"was answered {head[:200]!r}")
            return False
        self.open, self.data = True, rest
        return True

    def take_frame(self, opcode, payload):
        if opcode == websocket.PING:
            self.transport.write(websocket.frame(websocket.PONG, payload))
        elif opcode == websocket.CLOSE:
            self.fail(f"was closed: {payload!r}")
        else:
            self.take_event(json.loads(payload))

    def take_event(self, event):
        if event["type"] == "connection.ack":
            self.greeted.set_result(True)
        elif event["type"].endswith(".deployed"):
            self.fleet.told(event["payload"]["deploymentId"])
            self.transport.write(websocket.frame(websocket.TEXT, json.dumps(acknowledgement(event)).encode()))
            self.fleet.acknowledged(event["payload"]["deploymentId"])

    def fail(self, why):
        print(f"gateway {self.number} {why}", flush=True)
        os._exit(1)

    def connection_lost(self, exc):
        if not self.fleet.ending:
            self.fail(f"lost its connection: {exc!r}")


class Gateways:
    def __init__(self, port, n, token):
        self.port, self.n, self.token = port, n, token
        self.first, self.acks = {}, {}
        self.ending = False

    def told(self, deployment):
        self.first.setdefault(deployment, time.monotonic())

    def acknowledged(self, deployment):
        self.acks[deployment] = self.acks.get(deployment, 0) + 1
        if self.acks[deployment] == self.n:
            print(deployment, time.monotonic() - self.first[deployment], flush=True)

    async def connect(self, number, turns):
        async with turns:
            loop = asyncio.get_running_loop()
            _, gateway = await loop.create_connection(lambda: Gateway(self, number), "127.0.0.1", self.port)
            await gateway.greeted

    async def run(self):
        turns = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self.connect(i, turns) for i in range(self.n)))
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        self.ending = True


class Fleet:
    """The process, from the tests' side."""

    def __init__(self, platform, token, n):
        self.popen = subprocess.Popen([sys.executable, "-B", __file__, str(platform.port), str(n)], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "FLEET_TOKEN": token})
        line = self.popen.stdout.readline().strip()
        assert line == "ready", line

    def wait_acknowledged(self, deployment):
        """Seconds from the first that was told to the last that answered."""
        line = self.popen.stdout.readline().split()
        assert line[:1] == [deployment], line
        return float(line[1])

    def stop(self):
        if self.popen.poll() is None:
            self.popen.communicate("", timeout=30)


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(Gateways(int(sys.argv[1]), int(sys.argv[2]), os.environ["FLEET_TOKEN"]).run())


if __name__ == "__main__":
    main()
