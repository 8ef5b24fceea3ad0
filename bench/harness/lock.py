"""One run at a time on a machine: two would measure each other."""

import errno
import fcntl
import os
import pathlib
import tempfile

from .programs import Failure

NAME = "ringgate-bench.lock"


def path():
    """RINGGATE_BENCH_LOCK names another file, for runs whose figures don't matter (the harness's own tests)."""
    named = os.environ.get("RINGGATE_BENCH_LOCK")
    folder = pathlib.Path("/run/lock")
    return pathlib.Path(named) if named else (folder if folder.is_dir() else pathlib.Path(tempfile.gettempdir())) / NAME


def opened(file):
    """An existing one without O_CREAT: in a sticky folder the kernel may refuse that for somebody else's file."""
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


def take():
    """Held until the process ends, however it ends: the descriptor stays open."""
    file = path()
    try:
        descriptor = opened(file)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise Failure(f"{file}: {error.strerror}: set RINGGATE_BENCH_LOCK to a file that can be made", 2) from error
        raise Failure(f"another run measures on this machine (it holds {file}): wait until it has ended, since each would "
                      "measure the other, too", 2) from error
