"""Processes that a run starts. Each is ended by its process id, whatever happens; none outlives the run."""

import ctypes
import os
import select
import shutil
import signal
import subprocess

SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "h2load": "nghttp2-client", "curl": "curl",
            "openssl": "openssl"}
PR_SET_PDEATHSIG = 1


class Failure(Exception):
    """The run can't go on; the text is for the user."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


class CellFailure(Failure):
    """One figure can't be had; the others can."""


def find_program(name):
    path = shutil.which(name, path=SYSTEM_PATH)
    if not path:
        raise Failure(f"{name} is missing: apt-get install {PACKAGES.get(name, name)}", 2)
    return path


def find_binary(folder, target):
    path = folder / target
    if not os.access(path, os.X_OK):
        raise Failure(f"{path} is missing: ./dev build release makes it, --bin DIR names another folder", 2)
    return str(path)


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Program:
    """One process that this run started, with its log."""

    def __init__(self, name, command, folder):
        self.name = name
        self.log = folder / f"{name}.log"
        # Appending, so that a log can be cut while its writer goes on.
        # Some write to their user's home: here that is the run's folder.
        home = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
        with open(self.log, "ab") as log:
            # Its own session: CTRL-C reaches the harness alone, which then ends the rest in order.
            self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=os.environ | home, start_new_session=True,
                                            preexec_fn=die_with_parent)
        self.pidfd = os.pidfd_open(self.process.pid)

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        return self.log.read_text(errors="replace").strip()

    def ended(self, seconds=0):
        """Whether it ends within that time; returns at once when it does."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def check(self, kind=Failure):
        if self.ended():
            status = self.process.wait()
            raise kind(f"{self.name} ended with status {status}: {self.output()[-2000:] or 'no output'}")

    def stop(self):
        if self.pidfd < 0:
            return
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.pidfd)
        self.pidfd = -1


class Programs:
    """Everything that runs at the moment; leaving the block ends it, the last started first."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, name, command):
        program = Program(name, command, self.folder)
        self.running.append(program)
        return program

    def stop(self, program):
        program.stop()
        self.running.remove(program)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # An impatient second CTRL-C must not leave programs behind.
        before = [(one, signal.signal(one, signal.SIG_IGN)) for one in (signal.SIGINT, signal.SIGTERM)]
        for program in reversed(self.running):
            program.stop()
        self.running.clear()
        for one, handler in before:
            signal.signal(one, handler)


def knows(program, option):
    """Whether its --help names the option: programs of another revision may lack the latest ones."""
    try:
        done = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return f"{option} " in done.stdout + done.stderr


def version_of(command):
    """The first line in which a program says its version; nginx writes it to standard error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    text = (done.stdout + done.stderr).strip()
    return text.split("\n")[0].strip() if text else "unknown"
