"""A filter of system calls, as containers have: chosen calls return an errno."""

import ctypes
import os
import struct

# The same numbers on every architecture.
IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER = 425, 426, 427

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
RETURN_ALLOW, RETURN_ERRNO = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def forbid(calls, errno):
    """For preexec: this process and what it executes get errno for these calls."""
    code = [(LOAD_WORD, 0, 0, 0)]
    for number in calls:
        code += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, RETURN_ERRNO | errno)]
    code.append((RETURN, 0, 0, RETURN_ALLOW))
    text = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    libc = ctypes.CDLL(None, use_errno=True)

    def install():
        program = _Program(len(code), text)
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    return install
