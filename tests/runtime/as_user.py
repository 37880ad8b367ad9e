"""Run a program as another user with exactly these rights, as systemd does with User= and AmbientCapabilities=.

    python as_user.py UID CAPABILITY,… PROGRAM ARGUMENT…

The bounding set becomes the same, so nothing that it starts can get more; NoNewPrivileges is set, too.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

NUMBERS = {
    "chown": 0, "dac_override": 1, "kill": 5, "setgid": 6, "setuid": 7, "net_bind_service": 10, "net_admin": 12,
    "net_raw": 13, "ipc_lock": 14, "sys_chroot": 18, "sys_admin": 21, "sys_nice": 23, "sys_resource": 24,
}  # fmt: skip
PR_SET_KEEPCAPS = 8
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
LAST = 63
_VERSION_3 = 0x20080522


def mask_of(names: str) -> int:
    return sum(1 << NUMBERS[name] for name in names.split(",") if name)


def become(uid: int, mask: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int) -> None:
        if result != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    for number in range(LAST + 1):
        if not mask >> number & 1:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)  # those that this kernel does not know stay away
    check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    check(libc.capset(header, ctypes.create_string_buffer(struct.pack("=6I", low, low, low, high, high, high))))
    for number in range(LAST + 1):
        if mask >> number & 1:
            check(libc.prctl(PR_CAP_AMBIENT, 2, number, 0, 0))
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


if __name__ == "__main__":
    become(int(sys.argv[1]), mask_of(sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])
