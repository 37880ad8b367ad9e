"""Receive buffers of sockets, as the words `..._rcv_bufs` and `..._rcv_bufs_force` say.

Without a word a buffer is ours: large, and beyond the system's limit (`net.core.rmem_max`) where our rights allow it,
so that nothing is lost while hundreds of addresses change at once. A size in the file is taken as it stands, up to the
system's limit; with `_force` beyond it, as in keepalived.
"""

from __future__ import annotations

import socket
from typing import Final

SO_RCVBUFFORCE: Final = 33
#: Larger than any that a kernel grants; SO_RCVBUF takes a signed number.
_MAXIMUM: Final = (1 << 31) - 1


def set_receive_buffer(sock: socket.socket, size: int, *, force: bool = True) -> None:
    """Ask for `size` bytes. With `force` beyond the system's limit, where we may. Never raises."""
    options = [SO_RCVBUFFORCE, socket.SO_RCVBUF] if force else [socket.SO_RCVBUF]
    for option in options:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, min(size, _MAXIMUM))
        except OSError:
            continue
        return


def follow_words(sock: socket.socket, ours: int, wanted: int | None, *, force: bool) -> None:
    """Make the buffer what the file wants (None: nothing, so `ours`). Never raises."""
    if wanted is None:
        set_receive_buffer(sock, ours)
    else:
        set_receive_buffer(sock, wanted, force=force)
