"""
A control plane that a test plays: the internal API and the WebSocket that gateways connect to, on one port. Everything that
came is recorded, every answer can be replaced, delayed or broken.
"""

import collections
import datetime
import hashlib
import io
import json
import socket
import ssl
import tarfile
import threading
import time
import uuid
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import env
from .websocket import CLOSE, PING, TEXT, accept_of, frame, frames_of

BASE = "/api/internal/v1"
IDS_MAX = 1000  # in one request, as the platform has it
CONNECT = BASE + "/ws/gateways/connect"
PONG = 10

# kind: type of its events, member with its id, path, name in archives
KINDS = {
    "RestApi": ("api", "apiId", "apis", "api"),
    "LlmProvider": ("llmprovider", "providerId", "llm-providers", "llm-provider"),
    "LlmProxy": ("llmproxy", "proxyId", "llm-proxies", "llm-proxy"),
    "Mcp": ("mcpproxy", "proxyId", "mcp-proxies", "mcp-proxy"),
}


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in members:
            z.writestr(name, text)
    return out.getvalue()


class Deployment:
    def __init__(self, kind, artifact, deployment, state, performed_at, text):
        self.kind, self.artifact, self.deployment, self.state, self.performed_at, self.text = (
            kind, artifact, deployment, state, performed_at, text)


class Connection:
    """One gateway's WebSocket, seen from the control plane."""

    def __init__(self, sock):
        self.sock, self.lock, self.open = sock, threading.Lock(), True
        self.pongs = 0

    def send_frame(self, opcode, payload=b""):
        with self.lock:
            try:
                self.sock.sendall(frame(opcode, payload, masked=False))
            except OSError:
                self.open = False

    def send(self, message):
        self.send_frame(TEXT, message if isinstance(message, bytes) else json.dumps(message).encode())

    def drop(self):
        """Without a word."""
        self.open = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass

    def answer(self, status, body=b"", content_type="application/json", headers=()):
        body = json.dumps(body).encode() if not isinstance(body, bytes) else body
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def handle_any(self):
        cp = self.server.control_plane
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        path = self.path[len(cp.prefix):] if self.path.startswith(cp.prefix) else self.path
        with cp.lock:
            cp.requests.append((self.command, path, dict(self.headers.items()), body))
            faults = cp.faults.get(path)
            fault = faults.popleft() if faults else None
        if self.headers.get("api-key") != cp.token:
            return self.answer(401, {"code": 401, "message": "Unauthorized", "description": "Invalid or expired API key"})
        if fault is not None:
            fault = fault(self) if callable(fault) else fault
            if fault is not None:
                return self.answer(*fault)
        if path == CONNECT:
            return cp.serve_websocket(self)
        return cp.serve(self, path[len(BASE):], body)

    do_GET = do_POST = handle_any  # noqa: N815


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # gateways are killed in the middle of requests


class ControlPlane:
    """token: what gateways must show. tls: an ssl.SSLContext of a server. ping: seconds between pings."""

    def __init__(self, token="a-token", tls=None, ping=20.0, prefix="", host="127.0.0.1"):
        self.token, self.tls, self.ping, self.prefix, self.host = token, tls, ping, prefix, host
        self.gateway_id = str(uuid.uuid4())
        self.lock = threading.RLock()
        self.deployments = {}  # by artifact
        self.known = set()     # artifacts that exist beside those
        self.keys = {kind: [] for kind in KINDS}
        self.secrets = {}
        self.requests, self.acks, self.manifests, self.connections = [], [], [], []
        self.faults = {}
        self.greets = True
        self.port = env.free_port()
        self._last_ms = 0
        self.server = None
        self.start()

    # ---- running ----

    def start(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.control_plane = self
        if self.tls:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Nobody listens any more, and nobody is connected."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        self.drop_all()

    close = stop

    @property
    def url(self):
        return f"{'wss' if self.tls else 'ws'}://{self.host}:{self.port}{self.prefix}"

    def configuration(self, directory, **more):
        """The section `control` of a gateway in this directory."""
        token = directory / "token"
        token.write_text(self.token + "\n")
        return {"control": {"url": self.url, "token_file": str(token), "state_dir": str(directory / "state"),
                            "reconnect_initial": "50ms", "reconnect_max": "200ms", **more}}

    def fault(self, path, *answers):
        """The next requests for this path below the internal API get these: (status, body, type) or a function of the handler
        that returns one, or None to go on as usual."""
        with self.lock:
            self.faults.setdefault(BASE + path, collections.deque()).extend(answers)

    def asked(self, path):
        with self.lock:
            return [r for r in self.requests if r[1] == BASE + path]

    # ---- the WebSocket ----

    def serve_websocket(self, handler):
        sock = handler.connection
        handler.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            b"Sec-WebSocket-Accept: " + accept_of(handler.headers["Sec-WebSocket-Key"]).encode() + b"\r\n\r\n")
        connection = Connection(sock)
        # Whoever is greeted may act on it at once, so that nothing is pushed between the greeting and the list: it would be lost.
        with self.lock:
            if self.greets:
                connection.send({"type": "connection.ack", "gatewayId": self.gateway_id, "connectionId": str(uuid.uuid4()),
                                 "timestamp": self.now()})
            self.connections.append(connection)
        threading.Thread(target=self._ping, args=(connection,), daemon=True).start()
        self._read(connection)
        handler.close_connection = True

    def _ping(self, connection):
        while connection.open:
            connection.send_frame(PING)
            end = time.monotonic() + self.ping
            while connection.open and time.monotonic() < end:
                time.sleep(min(0.1, self.ping))

    def _read(self, connection):
        data = b""
        connection.sock.settimeout(None)
        while connection.open:
            try:
                more = connection.sock.recv(65536)
            except OSError:
                break
            if not more:
                break
            frames, data = frames_of(data + more)
            for opcode, payload in frames:
                self._take(connection, opcode, payload)
        connection.open = False

    def _take(self, connection, opcode, payload):
        if opcode == TEXT:
            message = json.loads(payload)
            with self.lock:
                self.acks.append(message)
        elif opcode == PONG:
            connection.pongs += 1
        elif opcode == CLOSE:
            connection.send_frame(CLOSE, payload)
            connection.open = False

    @property
    def open_connections(self):
        with self.lock:
            return [c for c in self.connections if c.open]

    def wait_connected(self, n=1, seconds=10):
        return env.wait_until(lambda: self.open_connections[:n] if len(self.open_connections) >= n else None, seconds,
                              f"{n} gateways to connect")

    def wait_synced(self, seconds=10):
        """The gateway has asked for everything that it asks for when it connects."""
        env.wait_until(lambda: self.asked("/llm-proxies/api-keys"), seconds, "the gateway to compare deployments")

    def drop_all(self):
        for c in self.open_connections:
            c.drop()

    def push(self, type_, payload, **more):
        message = {"type": type_, "payload": payload, "timestamp": self.now(), "correlationId": str(uuid.uuid4()), **more}
        for c in self.open_connections:
            c.send(message)
        return message

    # ---- deployments ----

    @staticmethod
    def now():
        return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def instant(self):
        """A performedAt that is newer than all before, with its zeros trimmed."""
        with self.lock:
            self._last_ms = max(self._last_ms + 1, int(time.time() * 1000))
            at = datetime.datetime.fromtimestamp(self._last_ms / 1000, datetime.timezone.utc)
            text = at.strftime("%Y-%m-%dT%H:%M:%S") + f".{self._last_ms % 1000:03}"
            return text.rstrip("0").rstrip(".") + "Z"

    def deploy(self, text, artifact=None, kind="RestApi", push=True, performed_at=None, deployment=None):
        d = Deployment(kind, artifact or str(uuid.uuid4()), deployment or str(uuid.uuid4()), "DEPLOYED",
                       performed_at or self.instant(), text)
        with self.lock:
            self.deployments[d.artifact] = d
        if push:
            self.announce(d)
        return d

    def undeploy(self, d, push=True):
        d = Deployment(d.kind, d.artifact, d.deployment, "UNDEPLOYED", self.instant(), d.text)
        with self.lock:
            self.deployments[d.artifact] = d
        if push:
            self.announce(d)
        return d

    def announce(self, d):
        resource, member, _, _ = KINDS[d.kind]
        verb = "deployed" if d.state == "DEPLOYED" else "undeployed"
        return self.push(f"{resource}.{verb}", {member: d.artifact, "deploymentId": d.deployment, "performedAt": d.performed_at})

    def delete(self, d, push=True):
        resource, member, _, _ = KINDS[d.kind]
        with self.lock:
            self.deployments.pop(d.artifact, None)
        if push:
            self.push(f"{resource}.deleted", {member: d.artifact})

    def acks_of(self, d):
        with self.lock:
            return [a["payload"] for a in self.acks if a["type"] == "deployment.ack" and
                    a["payload"]["artifactId"] == d.artifact and a["payload"]["performedAt"] == d.performed_at]

    def wait_ack(self, d, seconds=15):
        ack = env.wait_until(lambda: self.acks_of(d), seconds, f"an acknowledgement of {d.kind} {d.artifact}")[-1]
        assert ack["deploymentId"] == d.deployment and ack["resourceType"] == KINDS[d.kind][0], ack
        assert ack["action"] == ("deploy" if d.state == "DEPLOYED" else "undeploy"), ack
        assert ("errorCode" in ack) is (ack["status"] == "failed"), ack
        return ack

    def wait_live(self, d, seconds=15):
        ack = self.wait_ack(d, seconds)
        assert ack["status"] == "success", ack

    def wait_failed(self, d, seconds=15):
        ack = self.wait_ack(d, seconds)
        assert ack["status"] == "failed" and ack["errorCode"] and 0 < len(ack["errorMessage"].encode()) <= 2048, ack
        return ack

    def add_key(self, d, name, key, push=True, expires_at=None):
        sha256 = hashlib.sha256(key.encode()).hexdigest()
        entry = {"uuid": str(uuid.uuid4()), "name": name, "maskedApiKey": "***" + key[-5:], "apiKeyHashes": {"sha256": sha256},
                 "artifactUuid": d.artifact, "status": "active", "expiresAt": expires_at}
        with self.lock:
            self.keys[d.kind].append(entry)
        if push:
            self.push("apikey.created", {"uuid": entry["uuid"], "apiId": d.artifact, "name": name, "expiresAt": expires_at,
                                         "apiKeyHashes": json.dumps({"sha256": sha256}), "maskedApiKey": entry["maskedApiKey"]})

    def revoke_key(self, d, name, push=True):
        with self.lock:
            self.keys[d.kind] = [k for k in self.keys[d.kind] if (k["artifactUuid"], k["name"]) != (d.artifact, name)]
        if push:
            self.push("apikey.revoked", {"apiId": d.artifact, "keyName": name})

    # ---- the internal API ----

    def serve(self, handler, path, body):
        with self.lock:
            deployments = list(self.deployments.values())
        if path == "/deployments":
            rows = [{"artifactId": d.artifact, "deploymentId": d.deployment, "kind": d.kind, "state": d.state,
                     "deployedAt": d.performed_at, "etag": str(uuid.uuid4())} for d in deployments]
            return handler.answer(200, {"deployments": rows})
        if path == "/deployments/fetch-batch":
            return self._serve_batch(handler, body)
        if path == "/artifacts/exists":
            ids, here = json.loads(body)["artifactIds"], {d.artifact for d in deployments} | self.known
            if len(ids) > IDS_MAX:
                return handler.answer(400, {"error": f"artifactIds: got {len(ids)} ids, {IDS_MAX} are the most"})
            return handler.answer(200, {"artifacts": [{"artifactId": i, "exists": i in here} for i in ids]})
        if path == f"/gateways/{self.gateway_id}/manifest":
            self.manifests.append(json.loads(body))
            return handler.answer(204)
        if path.startswith("/secrets/"):
            return self._serve_secret(handler, path.split("/")[2])
        for kind, (_, _, collection, _) in KINDS.items():
            if path == f"/{collection}/api-keys":
                return handler.answer(200, self.keys[kind])
            if path.startswith(f"/{collection}/"):
                return self._serve_one(handler, kind, path.split("/")[2])
        return handler.answer(404, {"code": 404, "message": "Not Found", "description": path})

    def _serve_one(self, handler, kind, artifact):
        d = self.deployments.get(artifact)
        if not d or d.kind != kind or d.state != "DEPLOYED":
            return handler.answer(404, {"code": 404, "message": "Not Found",
                                        "description": "No active deployment found for this API on this gateway"})
        name = f"{KINDS[kind][3]}-{artifact}"
        body = d.text if isinstance(d.text, bytes) else zipped([(name + ".yaml", d.text)])
        return handler.answer(200, body, "application/zip", [("Content-Disposition", f'attachment; filename="{name}.zip"')])

    def _serve_batch(self, handler, body):
        if handler.headers.get("Accept") != "application/x-tar+gzip":
            return handler.answer(406, {"code": 406, "message": "Not Acceptable"})
        wanted, out = json.loads(body)["deploymentIds"], io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
            for d in list(self.deployments.values()):
                if d.deployment in wanted and isinstance(d.text, str):
                    data = d.text.encode()
                    info = tarfile.TarInfo(f"{d.deployment}/{KINDS[d.kind][3]}-{d.artifact}.yaml")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        return handler.answer(200, out.getvalue(), "application/x-tar+gzip")

    def _serve_secret(self, handler, handle):
        if handle not in self.secrets:
            return handler.answer(404, {"code": 404, "message": "Not Found", "description": "no such secret"})
        return handler.answer(200, {"value": self.secrets[handle]})


def server_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def rest_api(name, context, upstream, operations=(("GET", "/*"),), policies="", version="v1.0", vhost=None):
    """A definition with one upstream."""
    vhosts = f"  vhosts: {{main: \"{vhost}\"}}\n" if vhost else ""
    rows = "".join(f"    - {{method: {m}, path: \"{p}\"}}\n" for m, p in operations)
    return (f"apiVersion: gateway.api-platform.wso2.com/v1\nkind: RestApi\nmetadata: {{name: {name}}}\nspec:\n"
            f"  displayName: {name}\n  version: {version}\n  context: {context}\n{vhosts}"
            f"  upstream: {{main: {{url: \"{upstream}\"}}}}\n{policies}  operations:\n{rows}")
