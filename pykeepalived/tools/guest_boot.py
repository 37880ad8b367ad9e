"""Starts a User Mode Linux kernel on processors whose register state is larger than it knows. Run as a script.

User Mode Linux keeps the floating point and vector registers of its processes with ptrace's XSTATE requests, in a
buffer whose size is fixed when it is compiled (2696 bytes: up to AVX-512 and protection keys). The host's kernel takes
the state back only in its full size. On a processor with more (AMX: 11008 bytes) the first process of the guest dies:
"ptrace set fp regs failed, errno = 14". Where that is so, a seccomp filter lets the XSTATE requests fail, and the
guest kernel then uses the older FPREGS requests, which every processor has. They carry the SSE registers only, so
programs in the guest must leave AVX alone; the settings for that are in `guest.py`.

    python guest_boot.py linux.uml ARGUMENT...

A library that GUEST_PRELOAD names is loaded into the guest's kernel program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys

_PTRACE_TRACEME, _PTRACE_GETREGSET, _PTRACE_SETREGSET = 0, 0x4204, 0x4205
_NT_X86_XSTATE = 0x202
_BUFFER_OF_THE_GUEST = 2696
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_PR_SET_PDEATHSIG = 1


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _FilterProgram(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def register_state_bytes() -> int:
    """The size of the register state that ptrace hands out here; 0 when it cannot be told."""
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    library.ptrace.restype = ctypes.c_long
    child = os.fork()
    if child == 0:
        library.ptrace(_PTRACE_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    try:
        os.waitpid(child, 0)
        room = ctypes.create_string_buffer(1 << 16)
        vector = _Iovec(ctypes.cast(room, ctypes.c_void_p), len(room))
        failed = library.ptrace(_PTRACE_GETREGSET, child, _NT_X86_XSTATE, ctypes.byref(vector))
        return 0 if failed else int(vector.length)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def refuse_xstate_requests() -> None:
    """From here on, in this process and its children, ptrace's REGSET requests answer EINVAL."""

    def step(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    load, equal, answer = 0x20, 0x15, 0x06
    allow, invalid = 0x7FFF0000, 0x00050000 | 22
    program = b"".join(
        (
            step(load, 0, 0, 4),  # the architecture,
            step(equal, 0, 6, 0xC000003E),  # x86-64,
            step(load, 0, 0, 0),  # the system call,
            step(equal, 0, 4, 101),  # ptrace,
            step(load, 0, 0, 16),  # its first argument
            step(equal, 1, 0, _PTRACE_GETREGSET),
            step(equal, 0, 1, _PTRACE_SETREGSET),
            step(answer, 0, 0, invalid),
            step(answer, 0, 0, allow),
        )
    )
    library = ctypes.CDLL(None, use_errno=True)
    whole = _FilterProgram(len(program) // 8, program)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or library.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(whole), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp")


def die_with_the_parent() -> None:
    """Whoever started the guest may be killed, by a time limit for example; the guest then ends, too."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def stay_on_one_processor() -> None:
    """The guest is one processor, but two processes that hand over to each other at every system call. Where the two
    are on different processors, that costs several times as much, most of all on a busy machine."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[os.getpid() % len(allowed)]})


def main() -> None:
    die_with_the_parent()
    stay_on_one_processor()
    if register_state_bytes() > _BUFFER_OF_THE_GUEST:
        refuse_xstate_requests()
    if preload := os.environ.get("GUEST_PRELOAD"):
        os.environ["LD_PRELOAD"] = preload
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
