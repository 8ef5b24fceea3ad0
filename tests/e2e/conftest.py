"""
Fixtures of the end-to-end suite: programs under test, started on free ports of the loopback and stopped by process id.

RINGGATE_BIN and ORIGIN_BIN name the programs; RINGGATE_TEST_SLOW stretches every time-out (sanitizer builds);
RINGGATE_SANITIZER tells which sanitizer the programs were built with.
"""

import os

import pytest

# Before the modules that name them as their plug-ins import them.
pytest.register_assert_rewrite("lib.bare_origin", "lib.control_plane", "lib.deployments", "lib.h2c_lane", "lib.mocked_rgctl")

from lib import env
from lib.gateway import Gateway, merge
from lib.origin import Origin
from lib.platform import Platform
from lib.raw_origin import RawOrigin


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes seconds by its nature")


def pytest_collection_modifyitems(items):
    if not env.RINGGATE or not os.access(env.RINGGATE, os.X_OK):
        skip = pytest.mark.skip(reason="RINGGATE_BIN does not name a program")
        for item in items:
            item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failing test shows the logs of its programs."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for stash in _programs_of(item):
            text = stash.log() if hasattr(stash, "log") else ""
            if text:
                report.sections.append((f"log of {stash.name}", text[-6000:]))


def _programs_of(item):
    found = []
    for value in getattr(item, "funcargs", {}).values():
        if isinstance(value, Programs):
            found += [p for p in value.started if isinstance(p, (Gateway, Platform))]
        elif isinstance(value, Gateway):
            found.append(value)
        elif isinstance(getattr(value, "gateway", None), Gateway):
            found.append(value.gateway)
    return list(dict.fromkeys(found))


class Programs:
    """Starts gateways and origins and stops them in reverse; the checks at a gateway's end count as the test's."""

    def __init__(self, directory):
        self.directory = directory
        self.started = []

    def gateway(self, replica=None, config=None, **more):
        more.setdefault("name", f"gateway{len(self.started)}")
        g = Gateway(self.directory, replica, config, wait=False, **more)
        self.started.append(g)
        return g.start()

    def prepared_gateway(self, replica=None, config=None, **more):
        """Configuration written, not started."""
        more.setdefault("name", f"gateway{len(self.started)}")
        g = Gateway(self.directory, replica, config, wait=False, **more)
        self.started.append(g)
        return g

    def origin(self, *flags, **more):
        more.setdefault("name", f"origin{len(self.started)}")
        o = Origin(self.directory, *flags, **more)
        self.started.append(o)
        return o

    def platform(self, config=None, **more):
        more.setdefault("name", f"platform{len(self.started)}")
        p = Platform(self.directory, config, **more)
        self.started.append(p)
        return p.start()

    def connected_gateway(self, platform, token, config=None, replica="127.0.0.1:1", **more):
        """A gateway under that control plane."""
        name = more.setdefault("name", f"gateway{len(self.started)}")
        token_file = os.path.join(str(self.directory), f"{name}.token")
        with open(token_file, "w", encoding="utf-8") as f:
            f.write(token + "\n")
        control = {"url": platform.url, "token_file": token_file,
                   "state_dir": os.path.join(str(self.directory), f"{name}.state")}
        return self.gateway(replica, merge({"control": control}, config), **more)

    def raw_origin(self, *args, **more):
        o = RawOrigin(*args, **more)
        self.started.append(o)
        return o

    def add(self, process):
        """Another program (a peer) that has stop()."""
        self.started.append(process)
        return process

    def stop_all(self):
        errors = []
        # Gateways first: their origins must not vanish below them while they are examined.
        for kind in (True, False):
            for p in reversed(self.started):
                if isinstance(p, (Gateway, Platform)) is not kind:
                    continue
                try:
                    p.stop() if hasattr(p, "stop") else p.close()
                except Exception as e:  # pylint: disable=broad-except
                    errors.append(e)
                    if isinstance(p, (Gateway, Platform)):
                        p.kill()
        self.started = []
        if errors:
            raise errors[0]


@pytest.fixture
def programs(tmp_path):
    p = Programs(tmp_path)
    yield p
    p.stop_all()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The same for a whole module."""
    p = Programs(tmp_path_factory.mktemp("shared"))
    yield p
    p.stop_all()
