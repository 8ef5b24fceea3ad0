"""
A client of TLS that makes its records by itself, so that it can break the rules: the handshake of TLS 1.3 and 1.2 (X25519,
AEAD), and then any record, whole or in pieces. It checks no certificate.
"""

import hashlib
import hmac
import os
import socket
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import env

CHANGE_CIPHER, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
HELLO, TICKET, FINISHED, KEY_UPDATE = 1, 4, 20, 24
CLOSE_NOTIFY = b"\x01\x00"

# cipher: its number, its hash, the bytes of its key, and what it is
SUITES = {
    "aes128": (0x1301, "sha256", 16, AESGCM), "aes256": (0x1302, "sha384", 32, AESGCM),
    "chacha": (0x1303, "sha256", 32, ChaCha20Poly1305),
    "aes128-12": (0xC02B, "sha256", 16, AESGCM), "aes256-12": (0xC02C, "sha384", 32, AESGCM),
    "chacha-12": (0xCCA9, "sha256", 32, ChaCha20Poly1305),
}


def u8(data):
    return bytes([len(data)]) + data


def u16(data):
    return struct.pack(">H", len(data)) + data


def extension(number, data):
    return struct.pack(">H", number) + u16(data)


def message(kind, data):
    return bytes([kind]) + len(data).to_bytes(3, "big") + data


class Keys:
    """One direction: a key, its nonce, the number of the next record."""

    def __init__(self, client, key, iv, secret=b""):
        self.is_13, self.secret, self.sequence, self.iv = client.is_13, secret, 0, iv
        self.explicit = not self.is_13 and client.aead is AESGCM
        self.aead = client.aead(key)

    def nonce(self, explicit):
        if self.explicit:
            return self.iv + explicit
        return bytes(a ^ b for a, b in zip(self.iv, self.sequence.to_bytes(12, "big")))

    def seal(self, kind, data, padding=0):
        """A record. In TLS 1.3, kind None: data has the type and padding in it."""
        explicit = self.sequence.to_bytes(8, "big") if self.explicit else b""
        if self.is_13:
            inner = data if kind is None else data + bytes([kind]) + bytes(padding)
            header = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16)
            aad = header
        else:
            inner = data
            header = struct.pack(">BHH", kind, 0x0303, len(inner) + len(explicit) + 16)
            aad = struct.pack(">QBHH", self.sequence, kind, 0x0303, len(inner))
        text = self.aead.encrypt(self.nonce(explicit), inner, aad)
        self.sequence += 1
        return header + explicit + text

    def open(self, header, data):
        """(type, content)"""
        explicit, text = (data[:8], data[8:]) if self.explicit else (b"", data)
        if self.is_13:
            aad = header
        else:
            aad = struct.pack(">Q", self.sequence) + header[:3] + struct.pack(">H", len(text) - 16)
        inner = self.aead.decrypt(self.nonce(explicit), text, aad)
        self.sequence += 1
        if not self.is_13:
            return header[0], inner
        inner = inner.rstrip(b"\0")
        return inner[-1], inner[:-1]


class RawTls:
    """Its handshake is done when it is there. fragment: asks for records of 2^(8 + fragment) bytes at most, which makes the
    gateway leave them to OpenSSL. retry: sends no key share at first. finish(finished, keys) may change the records of the last flight; more: sent with them."""

    def __init__(self, address, suite="aes128", fragment=0, extended=True, finish=None, more=None, retry=False):
        number, self.hash, self.key_len, self.aead = SUITES[suite]
        self.is_13, self.extended, self.fragment = number < 0x2000, extended, fragment
        self.number, self.transcript, self.tickets, self.updates = number, b"", 0, 0
        self.buffer, self.messages, self.wrote, self.read = b"", b"", None, None
        self.finish, self.more = finish or whole, more
        self.sock = socket.create_connection(address, env.scaled(10))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.private = X25519PrivateKey.generate()
        self.random, self.session = os.urandom(32), os.urandom(32)
        self.say(self.hello(not retry), 0x0301)
        (self.shake_13 if self.is_13 else self.shake_12)()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # ---- bytes ----

    def send(self, data):
        self.sock.sendall(data)

    def record(self):
        """(header, body); None at the end."""
        while len(self.buffer) < 5 or len(self.buffer) < 5 + int.from_bytes(self.buffer[3:5], "big"):
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.buffer += more
        n = 5 + int.from_bytes(self.buffer[3:5], "big")
        header, body, self.buffer = self.buffer[:5], self.buffer[5:n], self.buffer[n:]
        return header, body

    def seal(self, kind, data, padding=0):
        return self.wrote.seal(kind, data, padding)

    def receive(self):
        """(type, content) of the next record; None at the end."""
        r = self.record()
        return r and (self.read.open(*r) if self.read else (r[0][0], r[1]))

    def obey(self, content):
        """What the server may say at any time: tickets are counted, new keys taken."""
        if content[0] == TICKET:
            self.tickets += 1
        elif content[0] == KEY_UPDATE:
            self.updates += 1
            self.read = self.next_keys(self.read)

    def settle(self, tickets=2):
        """What it sends from here on comes after the gateway has seen its Finished."""
        while self.is_13 and self.tickets < tickets:
            kind, content = self.receive()
            assert kind == HANDSHAKE
            self.obey(content)

    def outcome(self):
        """What became of it: (data, alert); alert None: the end came without one."""
        data = b""
        while True:
            r = self.receive()
            if r is None or r[0] == ALERT:
                return data, r and r[1][1]
            if r[0] == HANDSHAKE:
                self.obey(r[1])
            else:
                data += r[1]

    # ---- handshake ----

    def say(self, msg, version=0x0303):
        self.transcript += msg
        self.send(struct.pack(">BH", HANDSHAKE, version) + u16(msg))

    def hear(self):
        """The next message of the handshake."""
        while len(self.messages) < 4 or len(self.messages) < 4 + int.from_bytes(self.messages[1:4], "big"):
            r = self.receive()
            assert r and r[0] in (HANDSHAKE, CHANGE_CIPHER), f"no handshake: {r}"
            if r[0] == CHANGE_CIPHER and not self.is_13:
                self.read = self.server_keys
            if r[0] == HANDSHAKE:
                self.messages += r[1]
        n = 4 + int.from_bytes(self.messages[1:4], "big")
        msg, self.messages = self.messages[:n], self.messages[n:]
        return msg

    def hello(self, has_share=True):
        share = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        ext = extension(0, u16(b"\0" + u16(b"a.example"))) + extension(10, u16(struct.pack(">HH", 29, 23)))
        ext += extension(11, b"\x01\x00") + extension(13, u16(bytes.fromhex("040308040401")))
        if self.fragment:
            ext += extension(1, bytes([self.fragment]))
        if self.is_13:
            ext += extension(43, u8(b"\x03\x04")) + extension(51, u16(b"\x00\x1d" + u16(share) if has_share else b""))
        elif self.extended:
            ext += extension(23, b"")
        session = self.session if self.is_13 else b""
        return message(HELLO, b"\x03\x03" + self.random + u8(session) + u16(struct.pack(">H", self.number)) + b"\x01\x00" + u16(ext))

    def digest(self):
        return hashlib.new(self.hash, self.transcript).digest()

    def expand(self, secret, label, context, n):
        info = struct.pack(">H", n) + u8(b"tls13 " + label) + u8(context) + b"\x01"
        return hmac.new(secret, info, self.hash).digest()[:n]

    def derive(self, secret, label, context):
        return self.expand(secret, label, context, hashlib.new(self.hash).digest_size)

    def keys_13(self, secret):
        return Keys(self, self.expand(secret, b"key", b"", self.key_len), self.expand(secret, b"iv", b"", 12), secret)

    def next_keys(self, keys):
        return self.keys_13(self.derive(keys.secret, b"traffic upd", b""))

    def update(self):
        """The keys that follow a KeyUpdate of ours."""
        self.wrote = self.next_keys(self.wrote)

    def shake_13(self):
        hello = self.hear()
        if hello[6:38] == hashlib.sha256(b"HelloRetryRequest").digest():
            self.transcript = message(254, self.digest()) + hello
            self.say(self.hello())
            hello = self.hear()
        self.transcript += hello
        at = hello.index(b"\x00\x33\x00\x24\x00\x1d\x00\x20") + 8
        shared = self.private.exchange(X25519PublicKey.from_public_bytes(hello[at:at + 32]))
        size = hashlib.new(self.hash).digest_size
        none = hashlib.new(self.hash).digest()
        early = hmac.new(bytes(size), bytes(size), self.hash).digest()
        shaking = hmac.new(self.derive(early, b"derived", none), shared, self.hash).digest()
        client = self.derive(shaking, b"c hs traffic", self.digest())
        self.read = self.keys_13(self.derive(shaking, b"s hs traffic", self.digest()))
        while True:
            r = self.record()
            assert r, "closed in the handshake"
            if r[0][0] == CHANGE_CIPHER:
                continue
            kind, content = self.read.open(*r)
            assert kind == HANDSHAKE, f"no handshake: {content!r}"
            self.messages += content
            if self.all_heard():
                break
        master = hmac.new(self.derive(shaking, b"derived", none), bytes(size), self.hash).digest()
        self.read = self.keys_13(self.derive(master, b"s ap traffic", self.digest()))
        verify = hmac.new(self.expand(client, b"finished", b"", size), self.digest(), self.hash).digest()
        application = self.keys_13(self.derive(master, b"c ap traffic", self.digest()))
        self.last_flight(b"", self.keys_13(client), message(FINISHED, verify), application)

    def all_heard(self):
        """The server's last flight, to its Finished."""
        while len(self.messages) >= 4:
            n = 4 + int.from_bytes(self.messages[1:4], "big")
            if len(self.messages) < n:
                return False
            last = self.messages[0] == FINISHED
            self.transcript += self.messages[:n]
            self.messages = self.messages[n:]
            if last:
                return True
        return False

    def last_flight(self, before, keys, finished, after):
        """finish() says what the record of it becomes."""
        flight = before + self.finish(finished, keys)
        self.wrote = after or keys
        self.send(flight + (self.more(self) if self.more else b""))

    def prf(self, secret, label, seed, n):
        seed, a, out = label + seed, label + seed, b""
        while len(out) < n:
            a = hmac.new(secret, a, self.hash).digest()
            out += hmac.new(secret, a + seed, self.hash).digest()
        return out[:n]

    def shake_12(self):
        share = server_random = None
        while True:
            msg = self.hear()
            self.transcript += msg
            if msg[0] == 2:
                server_random = msg[6:38]
            elif msg[0] == 12:
                share = msg[8:40]
            elif msg[0] == 14:
                break
        ours = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.say(message(16, u8(ours)))
        shared = self.private.exchange(X25519PublicKey.from_public_bytes(share))
        seed = (b"extended master secret", self.digest()) if self.extended else (b"master secret", self.random + server_random)
        master = self.prf(shared, *seed, 48)
        iv = 4 if self.aead is AESGCM else 12
        block = self.prf(master, b"key expansion", server_random + self.random, 2 * (self.key_len + iv))
        k = self.key_len
        client, self.server_keys = Keys(self, block[:k], block[2 * k:2 * k + iv]), Keys(self, block[k:2 * k], block[2 * k + iv:])
        finished = message(FINISHED, self.prf(master, b"client finished", self.digest(), 12))
        self.last_flight(b"\x14\x03\x03\x00\x01\x01", client, finished, None)
        self.transcript += finished
        msg = self.hear()
        if msg[0] == TICKET:
            self.tickets += 1
            self.transcript += msg
            msg = self.hear()
        assert msg == message(FINISHED, self.prf(master, b"server finished", self.digest(), 12))


def whole(finished, keys):
    """finish of RawTls: one record."""
    return keys.seal(HANDSHAKE, finished)
