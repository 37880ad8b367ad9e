"""One step of reading a stream that does not wait."""

from __future__ import annotations

import socket
from collections.abc import Callable


def receive(sock: socket.socket, size: int, lost: Callable[[str], None], *, ended: str) -> bytes:
    """What is there now; empty: nothing, or the connection is over and `lost` has been told why."""
    try:
        data = sock.recv(size)
    except BlockingIOError:
        return b""
    except OSError as error:
        lost(error.strerror or str(error))
        return b""
    if not data:
        lost(ended)
    return data
