"""rgctl, run beside a control plane whose gateways answer what the test wants; modules take the fixtures by `pytest_plugins`."""

import json
import os
import subprocess

import pytest

from lib.env import RGCTL, scaled
from lib.mock_platform import TOKEN, MockPlatform
from lib.process import SANITIZER_REPORT

DONE, FAILED, USAGE, TIMED_OUT = range(4)

HELLO = """\
apiVersion: gateway.api-platform.wso2.com/v1
kind: RestApi
metadata: {name: hello-v1.0}
spec:
  displayName: Hello
  version: v1.0
  context: /hello
  upstream: {main: {url: "http://127.0.0.1:9000"}}
  operations:
    - {method: GET, path: /greet}
    - method: POST
      path: /greet
      policies:
        - {name: basic-ratelimit, version: v1, params: {limits: [{requests: 0, duration: 1m}]}}
"""


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)


@pytest.fixture(name="platform")
def _platform():
    p = MockPlatform()
    yield p
    p.stop()


@pytest.fixture(name="rgctl")
def _rgctl(platform, tmp_path):
    def run(*words, expect=DONE, text=None, env=None):
        environment = {"PATH": os.environ["PATH"], "RINGGATE_PLATFORM": platform.url, "RINGGATE_TOKEN": TOKEN,
                       "ASAN_OPTIONS": "detect_leaks=1:exitcode=99", "UBSAN_OPTIONS": "exitcode=99", **(env or {})}
        environment = {k: v for k, v in environment.items() if v is not None}
        r = Result(subprocess.run([RGCTL, *map(str, words)], input=text or "", capture_output=True, text=True, cwd=tmp_path,
                                  env=environment, timeout=scaled(30), check=False))
        assert not SANITIZER_REPORT.findall(r.err), r.err
        assert r.status == expect, f"{words}: {r.status}\n{r.out}{r.err}"
        return r

    run.directory = tmp_path
    return run


def write(rgctl, name, text):
    path = rgctl.directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return name
