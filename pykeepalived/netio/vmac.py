"""Making and removing the interfaces that carry virtual MAC addresses: macvlan and ipvlan above a base interface."""

from __future__ import annotations

import errno
import struct
from typing import Any, Final

import msgspec

from pykeepalived.netio import netlink
from pykeepalived.netio.links import IFF_UP, Link
from pykeepalived.netio.pyroute import ifinfmsg

_IFLA_ADDRESS: Final = 1
_IFLA_IFNAME: Final = 3
_IFLA_LINK: Final = 5
_IFLA_LINKINFO: Final = 18
_IFLA_GROUP: Final = 27
_INFO_KIND: Final = 1
_INFO_DATA: Final = 2
_IFLA_MACVLAN_MODE: Final = 1
_IFLA_IPVLAN_MODE: Final = 1
_IFLA_IPVLAN_FLAGS: Final = 2
_MACVLAN_PRIVATE: Final = 1
_IPVLAN_L2: Final = 0
_IPVLAN_FLAGS: Final = {"bridge": 0, "private": 1, "vepa": 2}
_HEAD: Final = struct.Struct("=BxHiII")
_U32: Final = struct.Struct("=I")
_U16: Final = struct.Struct("=H")


class VirtualLink(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual interface as it is wanted."""

    ifname: str
    base: str
    kind: str = "macvlan"
    mac: bytes | None = None
    """None for ipvlan, which has that of its base."""
    group: int = 0
    ipvlan_flags: str = "bridge"

    def fits(self, found: Link, base: Link) -> bool:
        """An interface that is there can serve: it stands on the base, and has the kind and the address."""
        return found.parent == base.index and found.kind == self.kind and (self.mac is None or found.mac == self.mac)


def create(requests: netlink.Requests, wanted: VirtualLink, base_index: int) -> None:
    """Make it, down. Raises OSError with the kernel's reason."""
    if wanted.kind == "macvlan":
        data = netlink.attribute(_IFLA_MACVLAN_MODE, _U32.pack(_MACVLAN_PRIVATE))
    else:
        # pyroute2 knows the mode of an ipvlan and not its flags, so the message is written here.
        flags = _IPVLAN_FLAGS[wanted.ipvlan_flags]
        data = netlink.attribute(_IFLA_IPVLAN_MODE, _U16.pack(_IPVLAN_L2))
        data += netlink.attribute(_IFLA_IPVLAN_FLAGS, _U16.pack(flags))
    kind = netlink.attribute(_INFO_KIND, wanted.kind.encode() + b"\0")
    parts = [
        _HEAD.pack(0, 0, 0, 0, 0),
        netlink.attribute(_IFLA_IFNAME, wanted.ifname.encode() + b"\0"),
        netlink.attribute(_IFLA_LINK, _U32.pack(base_index)),
        netlink.attribute(_IFLA_ADDRESS, wanted.mac) if wanted.mac is not None else b"",
        netlink.attribute(_IFLA_GROUP, _U32.pack(wanted.group)) if wanted.group else b"",
        netlink.attribute(_IFLA_LINKINFO, kind + netlink.attribute(_INFO_DATA, data)),
    ]
    _change(requests, netlink.RTM_NEWLINK, netlink.NLM_F_CREATE | netlink.NLM_F_EXCL, b"".join(parts))


def set_up(requests: netlink.Requests, index: int, *, up: bool) -> None:
    """Bring an interface up or down. Raises OSError."""
    message = ifinfmsg()
    message["index"] = index
    message["flags"] = IFF_UP if up else 0
    message["change"] = IFF_UP
    _request(requests, netlink.RTM_NEWLINK, 0, message)


def announce(requests: netlink.Requests, index: int, group: int) -> None:
    """Have the kernel send one more message about an interface that is up: its group is set to what it is."""
    message = ifinfmsg()
    message["index"] = index
    message["attrs"] = [("IFLA_GROUP", group)]
    _request(requests, netlink.RTM_NEWLINK, 0, message)


def delete(requests: netlink.Requests, index: int) -> None:
    """Remove an interface; one that is gone is no error. Raises OSError."""
    message = ifinfmsg()
    message["index"] = index
    try:
        _request(requests, netlink.RTM_DELLINK, 0, message)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def _request(requests: netlink.Requests, kind: int, flags: int, message: Any) -> None:
    _change(requests, kind, flags, netlink.body_of(message))


def _change(requests: netlink.Requests, kind: int, flags: int, body: bytes) -> None:
    for failure in requests.change([(kind, flags, body)]):
        raise OSError(failure.errno, failure.reason())
