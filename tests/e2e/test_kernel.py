"""What the kernel refuses: the start fails at once and names cause and remedy, or goes on and says what is lost."""

import errno
import os

import pytest

from lib import env, seccomp
from lib.client import get
from lib.nobody import become_nobody, program_in_reach
from lib.process import StartError

SETUP, ENTER, REGISTER = seccomp.IO_URING_SETUP, seccomp.IO_URING_ENTER, seccomp.IO_URING_REGISTER
DISABLED = "/proc/sys/kernel/io_uring_disabled"


def log_of_a_failed_start(programs, preexec=None):
    """By flags: whoever preexec turns the process into may not read the test's files."""
    origin = programs.raw_origin()
    address = f"127.0.0.1:{env.free_port()}"
    gateway = programs.prepared_gateway(listen=[address], preexec=preexec, flags=[
        "--workers", "2", "--listen", address, "--replica", origin.address, "--admin", "{admin}"])
    gateway.expected_exit = 1
    with pytest.raises(StartError):
        gateway.start()
    assert gateway.process.wait() == 1
    lines = [line for line in gateway.log().splitlines() if "io_uring" in line]
    assert len(lines) == 1, "the cause is said once, not by each worker:\n" + gateway.log()
    return lines[0]


# Profiles answer the one or the other; one may also have forgotten one of the three calls.
@pytest.mark.parametrize("calls,number", [
    ([SETUP, ENTER, REGISTER], errno.EPERM),
    ([SETUP, ENTER, REGISTER], errno.ENOSYS),
    ([ENTER], errno.EPERM),
    ([ENTER], errno.ENOSYS),
    ([REGISTER], errno.EPERM),
    ([REGISTER], errno.ENOSYS),
])
def test_io_uring_forbidden_by_a_container(programs, calls, number):
    line = log_of_a_failed_start(programs, seccomp.forbid(calls, number))
    assert "seccomp" in line and all(f"io_uring_{call}" in line for call in ("setup", "enter", "register"))


def test_kernel_without_what_is_needed(programs):
    line = log_of_a_failed_start(programs, seccomp.forbid([SETUP], errno.EINVAL))
    assert os.uname().release in line and "6.1 or newer" in line


@pytest.fixture
def disabled():
    """Sets kernel.io_uring_disabled and puts it back. It is the whole machine's: only where that is ours (./dev kernel)."""
    if not os.environ.get("RINGGATE_OWN_MACHINE"):
        pytest.skip("changes a setting of the whole machine: ./dev kernel does it in one of its own")
    if not os.path.exists(DISABLED):
        pytest.skip("this kernel has no kernel.io_uring_disabled (before 6.6)")

    def put(value):
        with open(DISABLED, "w", encoding="ascii") as f:
            f.write(str(value))

    yield put
    put(0)


def test_io_uring_switched_off(programs, disabled):
    disabled(2)
    assert "kernel.io_uring_disabled is 2" in log_of_a_failed_start(programs)


def test_io_uring_for_administrators_only(programs, disabled):
    disabled(1)
    with program_in_reach():
        line = log_of_a_failed_start(programs, become_nobody)
    assert "kernel.io_uring_disabled is 1" in line and "kernel.io_uring_group" in line
    origin = programs.raw_origin()
    assert get(programs.gateway(origin.address).address).status == 200 # root may


def test_kernel_is_named(programs):
    origin = programs.raw_origin()
    gateway = programs.gateway(origin.address)
    assert f"kernel={os.uname().release}" in gateway.log()
    assert f'kernel="{os.uname().release}"' in gateway.admin("GET", "/metrics")[1]
