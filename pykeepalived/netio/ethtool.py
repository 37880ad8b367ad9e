"""Asking an interface for its link, for drivers that report changes late or never (`linkbeat_interfaces`)."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from typing import Final

_SIOCGIFFLAGS: Final = 0x8913
_SIOCETHTOOL: Final = 0x8946
_SIOCGMIIPHY: Final = 0x8947
_SIOCGMIIREG: Final = 0x8948
_ETHTOOL_GLINK: Final = 0x0A
_IFF_RUNNING: Final = 0x40
#: Basic mode status register and its link bit (IEEE 802.3 clause 22).
_BMSR: Final = 1
_BMSR_LINK: Final = 0x04
#: The order in which an interface is tried when the file names no method.
METHODS: Final = ("MII", "ETHTOOL", "IOCTL")


class LinkProbe:
    """Asks by ioctl, through one socket."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def close(self) -> None:
        self._socket.close()

    def choose(self, ifname: str, method: str | None) -> str | None:
        """The method that the interface answers: the one named, else the first that works; None: none of them."""
        for name in dict.fromkeys((method or METHODS[0], *METHODS)):
            if self.link(ifname, name) is not None:
                return name
        return None

    def link(self, ifname: str, method: str) -> bool | None:
        """Whether there is a link; None when the interface does not answer this method."""
        try:
            name = ifname.encode()
            match method:
                case "MII":
                    return self._mii(name)
                case "ETHTOOL":
                    answer = array.array("B", struct.pack("=II", _ETHTOOL_GLINK, 0))
                    fcntl.ioctl(self._socket, _SIOCETHTOOL, struct.pack("16sQ16x", name, answer.buffer_info()[0]))
                    return bool(struct.unpack("=II", answer.tobytes())[1])
                case _:
                    done = fcntl.ioctl(self._socket, _SIOCGIFFLAGS, struct.pack("16sH22x", name, 0))
                    return bool(struct.unpack("16sH22x", done)[1] & _IFF_RUNNING)
        except OSError:
            return None

    def _mii(self, name: bytes) -> bool:
        done = fcntl.ioctl(self._socket, _SIOCGMIIPHY, struct.pack("16sHHHH16x", name, 0, 0, 0, 0))
        phy = struct.unpack("16sHHHH16x", done)[1]
        value = 0
        for _ in range(2):  # the bit remembers a loss until it is read
            request = struct.pack("16sHHHH16x", name, phy, _BMSR, 0, 0)
            value = struct.unpack("16sHHHH16x", fcntl.ioctl(self._socket, _SIOCGMIIREG, request))[4]
        return bool(value & _BMSR_LINK)
