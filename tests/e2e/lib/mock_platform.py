"""
A control plane's public API, as far as rgctl uses it: resources, deployments with their transitions, tokens, keys,
events. What its gateways answer to a deployment is said by the test.
"""

import datetime
import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse
import uuid

BASE = "/api/v0.9"
TOKEN = "mock-admin-token"
KINDS = ("rest-apis", "llm-provider-templates", "llm-providers", "llm-proxies")


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Refusal(Exception):
    def __init__(self, status, code, message, errors=None):
        super().__init__(message)
        self.status = status
        self.body = {"status": "error", "code": code, "message": message, **({"errors": errors} if errors else {})}


class MockPlatform:
    """
    answers[gateway] is what it makes of a deployment: "success", "silence" or (code, (field, message)...).
    refusals[(method, path)] is answered instead of anything else; page bounds the pages of lists.
    """

    def __init__(self, certificate=None):
        self.lock = threading.RLock()
        self.gateways, self.answers, self.refusals = {}, {}, {}
        self.things = {kind: {} for kind in KINDS}
        self.deployments = []  # the newest first
        self.tokens, self.keys, self.requests = {}, {}, []
        self.secrets, self.access = {}, {}
        self.polls_before_ack = 2
        self.outage = 0  # so many looks at a deployment are answered 503
        self.page = 100
        self.endless = False  # its lists are
        self.stream = b""
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert, certificate.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def add_gateway(self, name, connected=True, answer="success"):
        self.gateways[name] = {"id": name, "displayName": name, "isActive": connected, "createdAt": now()}
        self.answers[name] = answer

    def called(self, method, pattern):
        """The bodies of calls whose path matches."""
        return [body for m, path, body in self.requests if m == method and re.fullmatch(pattern, path)]

    # ---- the API ----

    def call(self, method, path, query, body):
        if (method, path) in self.refusals:
            raise self.refusals[method, path]
        parts = [urllib.parse.unquote(p) for p in path.strip("/").split("/")]
        if parts == ["status"]:
            return 200, {"version": "0.1-mock", "deployments": {"DEPLOYED": 1}}
        if parts[0] == "gateways":
            return self.call_gateways(method, parts[1:], query, body)
        if parts[0] == "secrets":
            return self.call_things(method, self.secrets, parts[1:], query, body)
        if parts[0] == "tokens":
            status, answer = self.call_things(method, self.access, parts[1:], query, body and {**body, "id": "t-" + body["name"]})
            return status, {**answer, "token": "new-token"} if status == 201 else answer
        if parts[0] not in self.things:
            raise Refusal(404, "NOT_FOUND", "There is no such resource.")
        if len(parts) > 2 and parts[2] == "deployments":
            return self.call_deployments(method, parts[0], parts[1], parts[3:], query, body)
        if len(parts) > 2 and parts[2] == "api-keys":
            return self.call_keys(method, tuple(parts[:2]), parts[3:], query, body)
        return self.call_things(method, self.things[parts[0]], parts[1:], query, body)

    def list(self, rows, query):
        limit, offset = min(int(query.get("limit", 20)), self.page), int(query.get("offset", 0))
        page = rows[offset:offset + limit]
        if self.endless:
            page, rows = [{"id": "one"}] * 40000, range(10**12)
        return 200, {"count": len(page), "list": page, "pagination": {"total": len(rows), "offset": offset, "limit": limit}}

    def call_things(self, method, things, rest, query, body):
        if not rest:
            if method == "GET":
                return self.list(list(things.values()), query)
            if body["id"] in things:
                raise Refusal(409, "CONFLICT", f"{body['id']} exists.")
            things[body["id"]] = {**body, "createdAt": now(), "updatedAt": now(), "uuid": str(uuid.uuid4())}
            return 201, things[body["id"]]
        if rest[0] not in things:
            raise Refusal(404, "NOT_FOUND", f"There is no {rest[0]}.")
        if method == "PUT":
            things[rest[0]] = {**body, "createdAt": things[rest[0]]["createdAt"], "updatedAt": now()}
        if method == "DELETE":
            del things[rest[0]]
            return 204, None
        return 200, things[rest[0]]

    def call_gateways(self, method, rest, query, body):
        if len(rest) < 2:
            status, answer = self.call_things(method, self.gateways, rest, query, body)
            if status == 201:
                answer["isActive"] = True
                self.answers.setdefault(body["id"], "success")
            return status, answer
        if rest[0] not in self.gateways:
            raise Refusal(404, "GATEWAY_NOT_FOUND", f"There is no gateway {rest[0]}.")
        tokens = self.tokens.setdefault(rest[0], [])
        if method == "POST":
            if sum(t["status"] == "active" for t in tokens) == 2:
                raise Refusal(409, "GATEWAY_TOKEN_LIMIT_REACHED", "The gateway has two active tokens.")
            tokens.append({"id": str(uuid.uuid4()), "status": "active", "createdAt": now()})
            return 201, {**tokens[-1], "token": f"secret-{len(tokens)}", "message": "Keep it."}
        if method == "DELETE":
            for t in tokens:
                if t["id"] == rest[2]:
                    t.update(status="revoked", revokedAt=now())
            return 204, None
        return self.list(tokens, query)

    def call_keys(self, method, owner, rest, query, body):
        keys = self.keys.setdefault(owner, {})
        if method == "POST":
            keys[body["name"]] = {**body, "maskedApiKey": "***abcde", "status": "active", "createdAt": now()}
            return 201, {**keys[body["name"]], "apiKey": "key-of-" + body["name"]}
        if method == "DELETE":
            if rest[0] not in keys:
                raise Refusal(404, "NOT_FOUND", f"There is no key {rest[0]}.")
            del keys[rest[0]]
            return 204, None
        return self.list(list(keys.values()), query)

    # ---- deployments ----

    def shown(self, d):
        current = next(x for x in self.deployments if x["_of"] == d["_of"] and x["gatewayId"] == d["gatewayId"] and x["_current"])
        row = {k: v for k, v in d.items() if not k.startswith("_")}
        return row if d is current else {**row, "status": "ARCHIVED"}

    def begin(self, d, status):
        for other in self.deployments:
            if other["_of"] == d["_of"] and other["gatewayId"] == d["gatewayId"]:
                other["_current"] = other is d
        for member in ("statusReason", "statusMessage", "statusErrors"):
            d.pop(member, None)
        d.update(status=status, _polls=self.polls_before_ack, updatedAt=now())
        d["_events"].append({"at": now(), "event": "DEPLOY" if status == "DEPLOYING" else "UNDEPLOY", "toStatus": status,
                             "actor": "admin"})

    def settle(self, d):
        """The gateway's acknowledgement comes after a number of polls."""
        if d["status"] not in ("DEPLOYING", "UNDEPLOYING"):
            return
        d["_polls"] -= 1
        answer = self.answers[d["gatewayId"]]
        if d["_polls"] > 0 or answer == "silence":
            return
        if answer == "success":
            d["status"] = d["status"].replace("ING", "ED")
            d["_events"].append({"at": now(), "event": "ACK", "toStatus": d["status"], "actor": "gateway", "instance": "i-1"})
            return
        code, *problems = answer
        errors = [{"field": field, "message": message} for field, message in problems]
        text = "; ".join(f"{field}: {message}" for field, message in problems)
        d["status"] = "FAILED"
        d.update(statusReason=code, **({"statusMessage": text, "statusErrors": errors} if errors else {}))
        d["_events"].append({"at": now(), "event": "ACK_FAILED", "toStatus": "FAILED", "actor": "gateway", "errorCode": code,
                             "errorMessage": text, "errors": errors})

    def call_deployments(self, method, kind, name, rest, query, body):
        if name not in self.things[kind]:
            raise Refusal(404, "NOT_FOUND", f"There is no {name}.")
        mine = [d for d in self.deployments if d["_of"] == (kind, name)]
        if not rest and method == "POST":
            if body["gatewayId"] not in self.gateways:
                raise Refusal(404, "GATEWAY_NOT_FOUND", f"There is no gateway {body['gatewayId']}.")
            d = {"deploymentId": str(uuid.uuid4()), "name": body["name"], "gatewayId": body["gatewayId"],
                 "createdAt": now(), "_of": (kind, name), "_events": [], "_current": True}
            self.deployments.insert(0, d)
            self.begin(d, "DEPLOYING")
            return 201, self.shown(d)
        if not rest:
            rows = [self.shown(d) for d in mine if d["gatewayId"] == query.get("gatewayId", d["gatewayId"])]
            return self.list([d for d in rows if d["status"] == query.get("status", d["status"])], query)
        d = next((d for d in mine if d["deploymentId"] == rest[0]), None)
        if d is None:
            raise Refusal(404, "DEPLOYMENT_NOT_FOUND", "There is no such deployment.")
        if len(rest) == 1:
            if self.outage > 0:
                self.outage -= 1
                raise Refusal(503, "UNAVAILABLE", "Not now.")
            self.settle(d)
            return 200, self.shown(d)
        if rest[1] == "events":
            return self.list(d["_events"], query)
        if rest[1] == "undeploy" and self.shown(d)["status"] not in ("DEPLOYED", "DEPLOYING", "FAILED"):
            raise Refusal(409, "DEPLOYMENT_NOT_ACTIVE", "The deployment is not active.")
        self.begin(d, "UNDEPLOYING" if rest[1] == "undeploy" else "DEPLOYING")
        return 200, self.shown(d)

    # ---- HTTP ----

    def _handler(platform):  # pylint: disable=no-self-argument
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece
            disable_nagle_algorithm = True

            def log_message(self, *args):
                pass

            def answer(self, status, body, content_type="application/json"):
                data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                if data:
                    self.send_header("Content-Type", content_type)
                if status != 204:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def events(self):
                """All that there is, in small pieces, then nothing more until the client goes."""
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                try:
                    for i in range(0, len(platform.stream), 7):
                        self.wfile.write(platform.stream[i:i + 7])
                        self.wfile.flush()
                    while True:
                        time.sleep(0.05)
                        self.wfile.write(b": still here\n\n")
                        self.wfile.flush()
                except OSError:
                    self.close_connection = True

            def handle_call(self):
                url = urllib.parse.urlsplit(self.path)
                data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    return self.answer(401, {"status": "error", "code": "UNAUTHORIZED", "message": "No."})
                path = url.path.removeprefix(BASE)
                body = json.loads(data) if data else None
                if path == "/events":
                    return self.events()
                with platform.lock:
                    platform.requests.append((self.command, path, body))
                    try:
                        status, answer = platform.call(self.command, path, dict(urllib.parse.parse_qsl(url.query)), body)
                    except Refusal as r:
                        status, answer = r.status, r.body
                return self.answer(status, answer)

            do_GET = do_POST = do_PUT = do_DELETE = handle_call

        return Handler
