"""Whether an interface hears the network: asks its neighbours something and takes any frame as the answer.

A switch port that still learns (IEEE 802.1D) forwards nothing, in neither direction, though its link is up. What comes
through it then is the bridge's own talk only, to the group addresses 01:80:c2:00:00:0X, and that does not count.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Final

_ALL_PROTOCOLS: Final = 0x0003
_PACKET_OUTGOING: Final = 4
_BRIDGE_GROUP: Final = bytes.fromhex("0180c20000")
_HEAD_BYTES: Final = 14
_BURST: Final = 64


class Listener:
    """One interface, from the first `ask` until `close`."""

    def __init__(self, ifname: str) -> None:
        """Raises OSError: no such interface, or no right to open a packet socket."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        self._mac = b""
        try:
            self._socket.bind((ifname, _ALL_PROTOCOLS))
            self._mac = self._socket.getsockname()[4]
        except OSError:
            self._socket.close()
            raise
        self.heard = False

    def listen(self) -> bool:
        """Whether something was heard by now. Reads at most one burst. Raises OSError (the interface went down)."""
        for _ in range(_BURST):
            if self.heard:
                break
            try:
                head, sender = self._socket.recvfrom(_HEAD_BYTES)
            except BlockingIOError:
                break
            own = sender[2] == _PACKET_OUTGOING or head[6:12] == self._mac
            self.heard = not own and not head.startswith(_BRIDGE_GROUP)
        return self.heard

    def ask(self, source: str | None, link_local: str | None, targets: Iterable[str]) -> None:
        """Send the probes: who has `targets` (IPv4, asked from `source`), and an echo to all nodes from `link_local`.

        Raises OSError.
        """
        if len(self._mac) != 6:
            return
        from pykeepalived.netio.frames.neighbour_layers import arp_request, echo_to_all_nodes  # noqa: PLC0415 (scapy)

        frames = [] if source is None else [arp_request(self._mac, source, target) for target in targets]
        frames += [] if link_local is None else [echo_to_all_nodes(self._mac, link_local)]
        for frame in frames:
            self._socket.send(bytes(frame))

    def close(self) -> None:
        self._socket.close()
