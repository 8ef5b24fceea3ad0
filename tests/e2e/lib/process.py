"""Programs under test: started with their output kept in files, stopped by process id, looked at through /proc."""

import os
import re
import signal
import subprocess
import time

from .env import scaled

SANITIZER_REPORT = re.compile(
    r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer")


class StartError(Exception):
    """The program ended instead of serving."""


class Process:
    """One child process. Its standard error is the log that a failing test prints."""

    def __init__(self, name, argv, directory, env=None, preexec=None, pass_fds=()):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.out_path = os.path.join(directory, f"{name}.out")
        self.err_path = os.path.join(directory, f"{name}.err")
        full_env = dict(os.environ)
        full_env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
        full_env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:exitcode=99")
        full_env.setdefault("TSAN_OPTIONS", "halt_on_error=0:exitcode=99")
        full_env.update(env or {})
        # Appending: the log of a program that is started again in the same directory stays whole.
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=full_env,
                                          preexec_fn=preexec, pass_fds=pass_fds)

    @property
    def pid(self):
        return self.popen.pid

    def log(self):
        with open(self.err_path, "r", encoding="utf-8", errors="replace") as f:
            return f.read()

    def output(self):
        with open(self.out_path, "r", encoding="utf-8", errors="replace") as f:
            return f.read()

    def is_running(self):
        return self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds=10.0):
        """Exit status; the process is killed and the test fails when it does not end in time."""
        try:
            return self.popen.wait(timeout=scaled(seconds))
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.name} (pid {self.pid}) did not end within {scaled(seconds):.1f} s\n"
                                 f"{self.log()[-4000:]}") from None

    def stop(self, seconds=10.0):
        if self.is_running():
            self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        if self.is_running():
            self.popen.kill()
        self.popen.wait()

    def sanitizer_reports(self):
        return SANITIZER_REPORT.findall(self.log())

    # ---- /proc ----

    def expects(self, number):
        """The signal has a handler, or is blocked to be read: its default action is not taken."""
        masks = 0
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as f:
            for line in f:
                if line.startswith(("SigCgt:", "SigBlk:")):
                    masks |= int(line.split()[1], 16)
        return bool(masks >> (number - 1) & 1)

    def _status_kib(self, key):
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as f:
            for line in f:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        raise KeyError(key)

    def rss_bytes(self):
        return self._status_kib("VmRSS") * 1024

    def peak_rss_bytes(self):
        return self._status_kib("VmHWM") * 1024

    def reset_peak_rss(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as f:
            f.write("5")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_share(self, seconds):
        """CPU time used per second of wall clock over a stretch of time."""
        cpu, wall = self.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu_seconds() - cpu) / (time.monotonic() - wall)

    def is_asleep(self):
        """No thread runs or could run: however slow the machine, nothing is under way in the process."""
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{thread}/stat", encoding="ascii", errors="replace") as f:
                    if f.read().rsplit(")", 1)[1].split()[0] != "S":
                        return False
            except FileNotFoundError:
                pass
        return True

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
