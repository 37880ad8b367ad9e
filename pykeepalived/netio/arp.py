"""A packet socket for whole Ethernet frames: gratuitous ARP and unsolicited neighbour advertisements."""

from __future__ import annotations

import socket


class FrameSender:
    """Sends ready frames out of an interface. It binds to no protocol, so it never receives anything."""

    def __init__(self) -> None:
        """Raises OSError without the right to open a packet socket."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)

    def send(self, ifname: str, frame: bytes) -> None:
        """Raises OSError (no such interface, interface down, queue full)."""
        self._socket.sendto(frame, (ifname, 0))

    def close(self) -> None:
        self._socket.close()
