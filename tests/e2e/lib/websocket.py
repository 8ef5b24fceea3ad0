"""WebSocket (RFC 6455) by hand: the handshake, frames of both ends, and origins that speak it."""

import base64
import hashlib
import os

from .raw_origin import Answer, Gone, reply

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = ["Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}",
             "Sec-WebSocket-Protocol: chat"]
CLOSE, PING, PONG, TEXT, BINARY = 8, 9, 10, 1, 2
GOING_AWAY = (1001).to_bytes(2, "big")


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def switching(request):
    return (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
            accept_of(request.get("sec-websocket-key")).encode() + b"\r\n\r\n")


def echo_tunnel(connection, request):
    """Switches, then sends back every byte, as long as there are any."""
    if request.target.startswith("/marker"):
        return reply()
    connection.send(switching(request))
    connection.at = len(connection.received)
    try:
        while True:
            connection.send(connection.fill())
    except Gone:
        return Answer(b"", "close")


def frame(opcode, payload, masked=True, final=True):
    mask = os.urandom(4) if masked else b""
    n, bit = len(payload), 0x80 if masked else 0
    length = (bytes([bit | n]) if n < 126 else bytes([bit | 126]) + n.to_bytes(2, "big") if n < 65536
              else bytes([bit | 127]) + n.to_bytes(8, "big"))
    data = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if masked else payload
    return bytes([(0x80 if final else 0) | opcode]) + length + mask + data


def read_frame(c, final=True):
    """(opcode, payload) of the next frame of a server; of a strict client, so anything odd fails."""
    def exactly(n):
        parts = []
        c._exactly(n, parts.append)
        return b"".join(parts)
    first, second = exactly(2)
    assert first & 0x70 == 0 and not second & 0x80, (first, second)
    assert bool(first & 0x80) is final, first
    n = second & 0x7f
    if n == 126:
        n = int.from_bytes(exactly(2), "big")
    elif n == 127:
        n = int.from_bytes(exactly(8), "big")
    return first & 0xf, exactly(n)


def frames_of(data):
    """All frames of a client's bytes, unmasked: (opcode, payload); and what is left of the last one."""
    out = []
    while len(data) >= 2:
        first, second = data[:2]
        n, at = second & 0x7f, 2
        if n == 126:
            n, at = int.from_bytes(data[2:4], "big"), 4
        elif n == 127:
            n, at = int.from_bytes(data[2:10], "big"), 10
        mask = data[at:at + 4] if second & 0x80 else None
        at += 4 if mask else 0
        if len(data) < at + n:
            break
        payload = data[at:at + n]
        out.append((first & 0xf, bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if mask else payload))
        data = data[at + n:]
    return out, data
