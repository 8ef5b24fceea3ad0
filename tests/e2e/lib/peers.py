"""Other people's servers as replicas: Debian's nginx and Apache, Python's http.server; each in a directory of its own."""

import os
import shutil
import sys
import tempfile

from . import env
from .client import is_open_to
from .process import Process

NGINX = """
worker_processes 1; daemon off; master_process off; pid {dir}/nginx.pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 1000000; client_max_body_size 200m; client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  types {{ text/plain txt; text/html html; }}
  server {{
    listen 127.0.0.1:{port};
    root {root};
    location /put/ {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""

APACHE = """
ServerRoot {dir}
ServerName localhost
PidFile {dir}/apache.pid
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule dav_module /usr/lib/apache2/modules/mod_dav.so
LoadModule dav_fs_module /usr/lib/apache2/modules/mod_dav_fs.so
LoadModule setenvif_module /usr/lib/apache2/modules/mod_setenvif.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
TypesConfig /dev/null
AddType text/html .html
AddType text/plain .txt
ErrorLog {dir}/error.log
DocumentRoot {root}
DavLockDB {dir}/DavLock
KeepAlive On
MaxKeepAliveRequests 0
User {user}
Group {group}
<Directory {root}>
  AllowOverride None
  Require all granted
</Directory>
<Directory {root}/put>
  Dav On
</Directory>
"""


class Peer:
    """A running server with /small.txt, /large.bin below its root, and /put/ for uploads where it can."""

    can_put = True

    def __init__(self, directory, name, argv_of, own_environment=None):
        self.name = name
        self.port = env.free_port()
        self.dir = os.path.join(str(directory), name) if directory else tempfile.mkdtemp(prefix=f"ringgate-{name}-")
        self.is_temporary = not directory
        self.root = os.path.join(self.dir, "www")
        os.makedirs(os.path.join(self.root, "put"))
        with open(os.path.join(self.root, "small.txt"), "wb") as f:
            f.write(b"hello from " + name.encode() + b"\n")
        with open(os.path.join(self.root, "large.bin"), "wb") as f:
            for i in range(5000):
                f.write(i.to_bytes(4, "big") * 256)
        self.process = Process(name, argv_of(self), self.dir, own_environment)

        def up():
            assert self.process.is_running(), f"{name} ended:\n{self.process.log()}"
            return is_open_to(("127.0.0.1", self.port))
        env.wait_until(up, 10, f"{name} to listen", 0.05)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def uploaded(self, file):
        with open(os.path.join(self.root, "put", file), "rb") as f:
            return f.read()

    def stop(self):
        if self.process.is_running():
            self.process.popen.terminate()
        try:
            self.process.popen.wait(timeout=env.scaled(10))
        except Exception:  # pylint: disable=broad-except
            self.process.kill()
        if self.is_temporary:
            shutil.rmtree(self.dir, ignore_errors=True)


def _write(peer, file, text):
    path = os.path.join(peer.dir, file)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def nginx(directory):
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not program:
        return None
    def argv(peer):
        os.chmod(os.path.join(peer.root, "put"), 0o777)
        text = NGINX.format(dir=peer.dir, root=peer.root, port=peer.port)
        if os.getuid() == 0:
            text = "user root;" + text
        return [program, "-e", os.path.join(peer.dir, "start.log"), "-p", peer.dir, "-c", _write(peer, "nginx.conf", text)]
    return Peer(directory, "nginx", argv)


def apache(_directory):
    """Its children are another user, who may not enter the directories of pytest: it gets one of its own."""
    program = shutil.which("apache2") or shutil.which("apache2", path="/usr/sbin")
    if not program:
        return None
    def argv(peer):
        user, group = ("www-data", "www-data") if os.getuid() == 0 else (f"#{os.getuid()}", f"#{os.getgid()}")
        text = APACHE.format(dir=peer.dir, root=peer.root, port=peer.port, user=user, group=group)
        os.chmod(peer.root, 0o755)
        for p in (peer.dir, os.path.join(peer.root, "put")):
            os.chmod(p, 0o777)
        return [program, "-f", _write(peer, "apache.conf", text), "-D", "FOREGROUND"]
    return Peer(None, "apache", argv)


def python(directory):
    def argv(peer):
        return [sys.executable, "-B", "-m", "http.server", str(peer.port), "--bind", "127.0.0.1", "--directory", peer.root,
                "--protocol", "HTTP/1.1"]
    peer = Peer(directory, "python", argv)
    peer.can_put = False
    return peer


def python10(directory):
    """As it is by default: HTTP/1.0, ends each response with the connection."""
    def argv(peer):
        return [sys.executable, "-B", "-m", "http.server", str(peer.port), "--bind", "127.0.0.1", "--directory", peer.root]
    peer = Peer(directory, "python10", argv)
    peer.can_put = False
    return peer


ALL = {"nginx": nginx, "apache": apache, "python": python, "python10": python10}
