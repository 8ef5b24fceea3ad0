"""The PROXY protocol as proxies speak it: headers made by hand, and Debian's HAProxy and nginx in front of the gateway."""

import os
import shutil
import socket
import struct

from . import env
from .client import is_open_to
from .process import Process

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source="192.0.2.1", destination="192.0.2.2", source_port=4660, destination_port=8443):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def v2(source="192.0.2.1", destination="192.0.2.2", source_port=4660, destination_port=8443, extensions=b"", command=0x21):
    if source is None:
        family, addresses = 0x00, b""
    elif source.startswith("/"):
        family, addresses = 0x31, source.encode().ljust(108, b"\0") + destination.encode().ljust(108, b"\0")
    else:
        family, kind = (0x21, socket.AF_INET6) if ":" in source else (0x11, socket.AF_INET)
        addresses = (socket.inet_pton(kind, source) + socket.inet_pton(kind, destination) +
                     struct.pack(">HH", source_port, destination_port))
    body = addresses + extensions
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(body)) + body


def extension(kind, value):
    return bytes([kind]) + struct.pack(">H", len(value)) + value


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def with_checksum(header):
    """The header with a checksum behind its other extensions."""
    size = struct.unpack(">H", header[14:16])[0] + 7
    header = header[:14] + struct.pack(">H", size) + header[16:] + extension(3, b"\0\0\0\0")
    return header[:-4] + struct.pack(">I", crc32c(header))


HAPROXY = """
global
  maxconn 200
defaults
  mode {mode}
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s {target} {options}
"""

NGINX = """
worker_processes 1; daemon off; master_process off; pid {dir}/nginx.pid; error_log stderr warn;
events {{ worker_connections 200; }}
stream {{
  server {{ listen 127.0.0.1:{port}; proxy_pass {target}; proxy_protocol on; }}
}}
"""


class Proxy:
    """A running proxy on a port of its own."""

    def __init__(self, directory, name, argv_of):
        self.name, self.port = name, env.free_port()
        self.dir = os.path.join(str(directory), name)
        os.makedirs(self.dir)
        self.process = Process(name, argv_of(self), self.dir)

        def up():
            assert self.process.is_running(), f"{name} ended:\n{self.process.log()}"
            return is_open_to(("127.0.0.1", self.port))
        env.wait_until(up, 10, f"{name} to listen", 0.05)

    def write(self, file, text):
        path = os.path.join(self.dir, file)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def stop(self):
        self.process.kill()


def haproxy(directory, target, options, mode="http", name="haproxy"):
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not program:
        return None
    return Proxy(directory, name, lambda p: [program, "-db", "-f", p.write("haproxy.cfg", HAPROXY.format(
        port=p.port, target=target, options=options, mode=mode))])


def nginx(directory, target):
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"
    if not program or not os.path.exists(module):
        return None

    def argv(p):
        text = f"load_module {module};" + ("user root;" if os.getuid() == 0 else "")
        return [program, "-e", os.path.join(p.dir, "start.log"), "-p", p.dir, "-c",
                p.write("nginx.conf", text + NGINX.format(dir=p.dir, port=p.port, target=target))]
    return Proxy(directory, "nginx-stream", argv)
