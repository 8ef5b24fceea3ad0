"""Stops one worker for a while, as a virtual CPU that its host takes away does: the kernel's tracing stop, the same for
a thread of ringgate or HAProxy as for a process of nginx, in the builds that are measured."""

import ctypes
import os
import pathlib

from .programs import Failure

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # __WALL: threads, too
WORKER_THREADS = {"ringgate": "rg-worker-", "haproxy": "haproxy", "floor": ""}


def ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) != 0:
        raise Failure(f"can't stop thread {thread}: {os.strerror(ctypes.get_errno())}; the scenario needs root (CAP_SYS_PTRACE)")


def worker_of(kind, pids):
    """A thread that serves clients: of nginx the last process, of the others a thread that is not the main one."""
    if kind == "nginx":
        return pids[-1]
    start = WORKER_THREADS[kind]
    threads = [int(entry.name) for entry in pathlib.Path(f"/proc/{pids[0]}/task").iterdir()
               if entry.name != str(pids[0]) and (entry / "comm").read_text().startswith(start)]
    if not threads:
        raise Failure(f"{kind} has no worker thread to stop: the scenario needs --workers 2 or more")
    return max(threads)


class Freeze:
    """One worker, stopped from start() to end()."""

    def __init__(self, kind, pids):
        self.thread = worker_of(kind, pids)
        self.stopped = False

    def start(self):
        ptrace(PTRACE_SEIZE, self.thread)
        ptrace(PTRACE_INTERRUPT, self.thread)
        os.waitpid(self.thread, WALL)
        self.stopped = True

    def end(self):
        if self.stopped:
            self.stopped = False
            ptrace(PTRACE_DETACH, self.thread)
