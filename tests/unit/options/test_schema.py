"""The JSON Schema in docs/: it is a valid schema, takes good configurations and refuses bad ones."""
import json
import pathlib
import sys

try:
    import jsonschema
    import yaml
except ImportError as missing:
    print(f"skipped: {missing} (Debian: python3-jsonschema, python3-yaml)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Yaml12Loader(yaml.SafeLoader):
    """As the gateway reads: only true and false are truth values, so that `mode: off` is a word."""


Yaml12Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12Loader.add_implicit_resolver("tag:yaml.org,2002:bool", __import__("re").compile("^(true|false)$"), list("tf"))

GOOD = [
    "",
    "{}",
    "limits:\n",
    """
workers: auto
pin_workers: false
backlog: 100
listeners:
  - address: "[::]:80"
  - address: 8081
  - address: 127.0.0.1:8082
  - address: localhost:8083
  - address: "[fe80::1%eth0]:8084"
  - address: unix:/run/ringgate.sock
replica:
  address: http://127.0.0.1:8080
  protocol: http1
  connections: 0
  idle_timeout: 4s
  health: {path: /api/v2/status, interval: 1s, timeout: 2s, expect: ic-status, rise: 1, fall: 2}
steering: {mode: off}
admin: {address: off}
timeouts: {client_head: 10s, client_idle: 75s, body_idle: 30s, connect: 500ms, response_head: 60s, drain: 0s, tunnel_idle: 1h}
limits: {connections: 0, head_bytes: 32KiB, headers: 100, body_bytes: 64MiB, body_rate: 500}
http: {allow_underscores: true}
trusted_proxies: [10.0.0.0/8, "fd00::/8", "::1"]
health_path: off
access_log: {format: json, path: /var/log/ringgate/access.log, sample: 1}
log: {level: debug}
""",
    "replica: {address: unix:/run/replica.sock, health: {expect: 2xx}}",
    "replica: {address: 8080, health: {expect: 204, path: off}}",
    "replica: {health: {expect: 200-399}}",
    "access_log: {path: '-'}",
]

BAD = [
    "workers: 0",
    "workers: 65",
    "workers: many",
    "workers: '2'",
    "worker: 2",
    "pin_workers: yes",
    "listeners: []",
    "listeners: 80",
    "listeners: [{}]",
    "listeners: [{adress: 80}]",
    "listeners: [{address: 80, tls: {}}]",
    "listeners: [{address: 0}]",
    "listeners: [{address: 127.0.0.1}]",
    "listeners: [{address: example.org:80}]",
    "listeners: [{address: unix:relative}]",
    "listeners: [{address: 'http://127.0.0.1:80'}]",
    "replica: {protocol: h2}",
    "replica: {address: 'h2c://127.0.0.1:80/x'}",
    "replica: {address: 'https://127.0.0.1:80'}",
    "replica: {address: off}",
    "replica: {health: {expect: 6xx}}",
    "replica: {health: {expect: 99}}",
    "replica: {health: {rise: 0}}",
    "steering: {mode: fast}",
    "control: {url: tcp://x}",
    "timeouts: {connect: 10}",
    "timeouts: {connect: 10 s}",
    "timeouts: 10s",
    "limits: {head_bytes: 32K}",
    "limits: {head_bytes: 1}",
    "limits: {headers: 257}",
    "trusted_proxies: [lan]",
    "trusted_proxies: 10.0.0.0/8",
    "health_path: health",
    "health_path: '/a b'",
    "health_path: '/a#b'",
    "access_log: {path: access.log}",
    "log: {level: loud}",
    "[]",
]


def main():
    schema = json.loads((ROOT / "docs" / "ringgate.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    failures = 0
    for expected, texts in ((True, GOOD), (False, BAD)):
        for text in texts:
            errors = [e.message for e in validator.iter_errors(yaml.load(text, Loader=Yaml12Loader))]
            if (not errors) != expected:
                failures += 1
                print(f"{'refused' if expected else 'taken'}: {text!r}: {errors}")
    print(f"{len(GOOD)} good, {len(BAD)} bad, {failures} wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
