"""What the kernel reports of itself on a route netlink socket: read in bursts, with the news that reports were lost."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Final

from pykeepalived.netio import netlink

_RECEIVE_BYTES: Final = 64 * 1024
#: Datagrams taken per wake-up, so that a storm of reports lets adverts through.
_BURST: Final = 64
#: A queue is thrown away up to this many datagrams.
_DISCARD: Final = 4096


class Reports:
    """A subscription to multicast groups of route netlink."""

    def __init__(self, groups: int, buffer_bytes: int) -> None:
        """`groups`: a mask of RTMGRP bits; `buffer_bytes`: what may wait to be read. Raises OSError."""
        self.socket: socket.socket = netlink.open_socket(groups, buffer_bytes)
        self.socket.setblocking(False)

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        self.socket.close()

    def burst(self) -> Iterator[bytes | None]:
        """Datagrams that wait, one burst at most; None: some were lost. Raises OSError."""
        for _ in range(_BURST):
            try:
                data = self.socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield None
            else:
                yield data

    def discard(self) -> None:
        """Throw away what waits. Raises OSError."""
        for _ in range(_DISCARD):
            try:
                self.socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
