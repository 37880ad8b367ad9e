"""Adding and removing addresses, many in one netlink batch.

The encoder is ours for speed (see `netlink`); tests compare its bytes with what pyroute2's `ifaddrmsg` writes and
reads. An address is added with NLM_F_CREATE | NLM_F_REPLACE, so that one that is already there is no error.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.vrrp import VirtualAddress
from pykeepalived.netio import netlink

_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_LABEL: Final = 3
_IFA_BROADCAST: Final = 4
_IFA_CACHEINFO: Final = 6
_IFA_FLAGS: Final = 8
_IFA_PROTO: Final = 11

_IFA_F_NODAD: Final = 0x02
_IFA_F_HOMEADDRESS: Final = 0x10
_IFA_F_MANAGETEMPADDR: Final = 0x100
_IFA_F_NOPREFIXROUTE: Final = 0x200
_IFA_F_MCAUTOJOIN: Final = 0x400

#: The protocol number of keepalived (rt_protos), with which addresses, routes and rules are marked as its own.
PROTOCOL_KEEPALIVED: Final = 18
_FOREVER: Final = 0xFFFFFFFF

_HEAD: Final = struct.Struct("=BBBBI")
_U32: Final = struct.Struct("=I")
_CACHEINFO: Final = struct.Struct("=IIII")

#: What "no such address", "no such interface" and "already there" look like; the wish is fulfilled all the same.
_TOLERATED_ADD: Final = frozenset({errno.EEXIST})
_TOLERATED_REMOVE: Final = frozenset({errno.EADDRNOTAVAIL, errno.ENODEV})


class AddressChange(msgspec.Struct, frozen=True):
    """One address to add or to remove on an interface."""

    add: bool
    ifname: str
    address: VirtualAddress

    def __str__(self) -> str:
        return f"{'add' if self.add else 'remove'} {self.address.prefix} {'to' if self.add else 'from'} {self.ifname}"


class Refused(msgspec.Struct, frozen=True):
    """A change that was not made, and why, in words."""

    change: AddressChange
    reason: str


def encode(address: VirtualAddress, ifindex: int) -> bytes:
    """The body of RTM_NEWADDR for an address: header and attributes."""
    family = family_of(address.prefix.address)
    local = socket.inet_pton(family, address.prefix.address)
    head = _HEAD.pack(family, address.prefix.length, 0, address.scope, ifindex)
    remote = socket.inet_pton(family_of(address.peer.address), address.peer.address) if address.peer else local
    if address.peer is not None:
        # With a peer, the prefix length belongs to the peer (rtnetlink(7): IFA_ADDRESS is the prefix address).
        head = _HEAD.pack(family, address.peer.length, 0, address.scope, ifindex)
    parts = [head, netlink.attribute(_IFA_LOCAL, local), netlink.attribute(_IFA_ADDRESS, remote)]
    if family is Family.INET:
        if address.label:
            parts.append(netlink.attribute(_IFA_LABEL, address.label.encode()[:15] + b"\0"))
        if address.broadcast:
            parts.append(netlink.attribute(_IFA_BROADCAST, _broadcast(address)))
    flags = _flags(address)
    if flags:
        parts.append(netlink.attribute(_IFA_FLAGS, _U32.pack(flags)))
    preferred_s = _preferred_s(address, family)
    if preferred_s is not None:
        parts.append(netlink.attribute(_IFA_CACHEINFO, _CACHEINFO.pack(preferred_s, _FOREVER, 0, 0)))
    parts.append(netlink.attribute(_IFA_PROTO, bytes([PROTOCOL_KEEPALIVED])))
    return b"".join(parts)


def encode_removal(address: VirtualAddress, ifindex: int) -> bytes:
    """The body of RTM_DELADDR. Only what names the address: a label or broadcast would make the kernel look for it."""
    family = family_of(address.prefix.address)
    local = socket.inet_pton(family, address.prefix.address)
    if address.peer is None:
        return _HEAD.pack(family, address.prefix.length, 0, 0, ifindex) + netlink.attribute(_IFA_LOCAL, local)
    remote = socket.inet_pton(family, address.peer.address)
    head = _HEAD.pack(family, address.peer.length, 0, 0, ifindex)
    return head + netlink.attribute(_IFA_LOCAL, local) + netlink.attribute(_IFA_ADDRESS, remote)


def _broadcast(address: VirtualAddress) -> bytes:
    """`brd +` and `brd -` set the host bits of the prefix to one or zero, as in ip-address(8)."""
    assert address.broadcast is not None
    if address.broadcast not in {"+", "-"}:
        return socket.inet_pton(socket.AF_INET, address.broadcast)
    number = int.from_bytes(socket.inet_pton(socket.AF_INET, address.prefix.address), "big")
    host = (1 << (32 - address.prefix.length)) - 1
    return (number | host if address.broadcast == "+" else number & ~host).to_bytes(4, "big")


def _flags(address: VirtualAddress) -> int:
    wishes = (
        (address.home, _IFA_F_HOMEADDRESS),
        (not address.dad and family_of(address.prefix.address) is Family.INET6, _IFA_F_NODAD),
        (address.mngtmpaddr, _IFA_F_MANAGETEMPADDR),
        (address.noprefixroute, _IFA_F_NOPREFIXROUTE),
        (address.autojoin, _IFA_F_MCAUTOJOIN),
    )
    return sum(flag for wished, flag in wishes if wished)


def _preferred_s(address: VirtualAddress, family: Family) -> int | None:
    """None for ever. An IPv6 /128 is deprecated at once, never chosen as source (keepalived-behaviour section 9)."""
    if address.preferred_lft_s is not None:
        return address.preferred_lft_s
    return 0 if family is Family.INET6 and address.prefix.length == 128 else None


def apply(
    requests: netlink.Requests, index_of: Callable[[str], int | None], changes: Sequence[AddressChange]
) -> list[Refused]:
    """Make the changes in their order, in one batch, and name every one that was not made.

    `index_of` looks an interface up by its name. Adding what is there and removing what is not are no refusals, and
    neither is removing from an interface that is gone. Raises OSError when netlink itself fails.
    """
    refused: list[Refused] = []
    batch: list[tuple[int, int, bytes]] = []
    sent: list[AddressChange] = []
    for change in changes:
        index = index_of(change.ifname)
        if index is None:
            if change.add:
                refused.append(Refused(change, f"no interface {change.ifname}"))
            continue
        if change.add:
            flags = netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE
            batch.append((netlink.RTM_NEWADDR, flags, encode(change.address, index)))
        else:
            batch.append((netlink.RTM_DELADDR, 0, encode_removal(change.address, index)))
        sent.append(change)
    for failure in requests.change(batch):
        change = sent[failure.index]
        if failure.errno not in (_TOLERATED_ADD if change.add else _TOLERATED_REMOVE):
            refused.append(Refused(change, failure.reason()))
    return refused
