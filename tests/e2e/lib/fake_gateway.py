"""A gateway as the platform sees it: a WebSocket that acknowledges what a test tells it to."""

import json

from . import env, websocket
from .client import Client

CONNECT = "/api/internal/v1/ws/gateways/connect"


def acknowledgement(event, status="success", **changes):
    payload = {"deploymentId": event["payload"]["deploymentId"], "artifactId": event["payload"]["apiId"],
               "resourceType": "api", "action": "undeploy" if event["type"].endswith("undeployed") else "deploy",
               "status": status, "performedAt": event["payload"]["performedAt"]}
    if status == "failed":
        payload["errorCode"] = "GATEWAY_PROCESSING_ERROR"
    return {"type": "deployment.ack", "payload": {**payload, **changes}}


class FakeGateway:
    def __init__(self, platform, token, instance=None):
        self.client = Client(("127.0.0.1", platform.port), env.scaled(10))
        fields = websocket.HANDSHAKE + [f"api-key: {token}"] + ([f"gateway-instance: {instance}"] if instance else [])
        self.client.send("\r\n".join([f"GET {CONNECT} HTTP/1.1", "Host: platform", *fields, "", ""]).encode())
        head = self.client._until(b"\r\n\r\n")
        self.status = int(head.split(b" ")[1])
        self.greeting = self.message() if self.status == 101 else None

    def frame(self):
        """The next frame that is no ping; those are answered."""
        while True:
            opcode, payload = websocket.read_frame(self.client)
            if opcode != websocket.PING:
                return opcode, payload
            self.client.send(websocket.frame(websocket.PONG, payload))

    def message(self):
        opcode, payload = self.frame()
        assert opcode == websocket.TEXT, (opcode, payload)
        return json.loads(payload)

    def event(self, kind):
        """The next event of that type; others are passed over."""
        while True:
            m = self.message()
            if m["type"] == kind:
                return m

    def close_code(self):
        while True:
            opcode, payload = self.frame()
            if opcode == websocket.CLOSE:
                return int.from_bytes(payload[:2], "big")

    def send(self, message):
        text = message if isinstance(message, (bytes, str)) else json.dumps(message)
        self.client.send(websocket.frame(websocket.TEXT, text.encode() if isinstance(text, str) else text))

    def ack(self, event, status="success", **changes):
        self.send(acknowledgement(event, status, **changes))

    def close(self):
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
