"""Interfaces and addresses as the kernel reports them.

`Monitor` keeps a picture of links and addresses: from a dump at the start, from events afterwards, and from a dump
again when events were lost (ENOBUFS). What changed comes out as values; who caused it does not matter here, because a
picture that is right cannot be fooled by the order of events: an address is lost when it is not in the kernel, and not
because somebody once sent a message about it.

pyroute2 carries socket, dumps and messages. Addresses alone are read by a few lines of ours, put into pyroute2's
reader: a failover of 200 instances is told to us again by as many events, and they take 3 µs each that way and 40 µs
in `ifaddrmsg` (measured).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.netio import netlink
from pykeepalived.netio.pyroute import ifaddrmsg, ifinfmsg
from pykeepalived.netio.reports import Reports
from pykeepalived.reactor.buffers import follow_words

_RTMGRP_LINK: Final = 0x1
_RTMGRP_IPV4_IFADDR: Final = 0x10
_RTMGRP_IPV6_IFADDR: Final = 0x100

IFF_UP: Final = 0x1
IFF_RUNNING: Final = 0x40
IFF_BROADCAST: Final = 0x2
IFF_LOOPBACK: Final = 0x8
IFF_POINTOPOINT: Final = 0x10
IFF_NOARP: Final = 0x80
IFF_MULTICAST: Final = 0x1000
_LASTING: Final = IFF_BROADCAST | IFF_LOOPBACK | IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_LABEL: Final = 3
_IFA_FLAGS: Final = 8
IFA_F_SECONDARY: Final = 0x01
IFA_F_OPTIMISTIC: Final = 0x04
IFA_F_DADFAILED: Final = 0x08
IFA_F_TENTATIVE: Final = 0x40
_AF_UNSPEC: Final = 0

_HEADER_BYTES: Final = 16
_ADDRESS: Final = struct.Struct("=BBBBI")
_U32: Final = struct.Struct("=I")

_RECEIVE_BUFFER: Final = 8 << 20
SCOPE_LINK: Final = 253


class Link(msgspec.Struct, frozen=True):
    """An interface. `up` means IFF_UP and IFF_RUNNING (keepalived-behaviour section 8)."""

    index: int
    name: str
    up: bool
    mac: bytes
    mtu: int
    kind: str = ""
    """What it was made as: `veth`, `macvlan`, `ipvlan`, `vrf`, ...; empty for a device."""
    parent: int | None = None
    """Index of the interface that it stands on."""
    master: int | None = None
    """Index of the bridge, bond or VRF that it belongs to."""
    admin_up: bool = False
    """IFF_UP alone."""
    table: int | None = None
    """The routing table of a VRF."""
    hardware: int = 0
    """What kind of device it is (linux/if_arp.h)."""
    flags: int = 0
    """Those of its flags that do not change with its state: IFF_BROADCAST and the others named above."""
    broadcast: bytes = b""
    """Its address for all others."""
    group: int = 0
    mode: str = ""
    """Of a macvlan: private, vepa, bridge, passthru or source."""


class KernelAddress(msgspec.Struct, frozen=True):
    """An address in the kernel."""

    index: int
    address: str
    length: int
    scope: int
    flags: int
    label: str = ""

    @property
    def tentative(self) -> bool:
        """Duplicate address detection has not finished, and until then the address may not be used."""
        return self.flags & (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC | IFA_F_DADFAILED) == IFA_F_TENTATIVE

    @property
    def family(self) -> Family:
        return Family.INET6 if ":" in self.address else Family.INET


class LinkUpdate(msgspec.Struct, frozen=True):
    """An interface appeared, changed or went; `new` None: it is gone (or has another name now)."""

    name: str
    old: Link | None
    new: Link | None


class AddressUpdate(msgspec.Struct, frozen=True):
    """An address came or went."""

    address: KernelAddress
    present: bool


Update = LinkUpdate | AddressUpdate


def parse_link(message: Any) -> Link | None:
    """What one of pyroute2's `ifinfmsg` says; None for what is no whole link (bridge ports have their own)."""
    name = message.get("ifname")
    if message["family"] != _AF_UNSPEC or not name:
        return None
    flags = message["flags"]
    return Link(
        index=message["index"],
        name=name,
        up=flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING,
        mac=_mac(message.get("address")),
        mtu=message.get("mtu") or 1500,
        kind=message.get(("linkinfo", "kind")) or "",
        parent=message.get("link"),
        master=message.get("master"),
        admin_up=bool(flags & IFF_UP),
        table=message.get(("linkinfo", "data", "vrf_table")),
        hardware=message["ifi_type"],
        flags=flags & _LASTING,
        broadcast=_mac(message.get("broadcast")),
        group=message.get("group") or 0,
        mode=str(message.get(("linkinfo", "data", "macvlan_mode")) or ""),
    )


def _mac(text: object) -> bytes:
    """Tunnels without a hardware address have none, or an IP address in its place."""
    try:
        return bytes.fromhex(str(text or "").replace(":", ""))
    except ValueError:
        return b""


def parse_address(body: memoryview) -> KernelAddress | None:
    """Read the body of RTM_NEWADDR or RTM_DELADDR; None for other families."""
    if len(body) < _ADDRESS.size:
        return None
    family, length, flags, scope, index = _ADDRESS.unpack_from(body)
    size = {socket.AF_INET: 4, socket.AF_INET6: 16}.get(family)
    found = netlink.attributes(body, _ADDRESS.size)
    # IFA_LOCAL is the address, IFA_ADDRESS the other end of a point-to-point link; plain IPv6 has only the latter.
    raw = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS))
    if size is None or raw is None or len(raw) != size:
        return None
    wide = found.get(_IFA_FLAGS)
    return KernelAddress(
        index=index,
        address=socket.inet_ntop(family, bytes(raw)),
        length=length,
        scope=scope,
        flags=_U32.unpack_from(wide)[0] if wide is not None and len(wide) == 4 else flags,
        label=bytes(found.get(_IFA_LABEL, b"")).rstrip(b"\0").decode("utf-8", "replace"),
    )


class Reader(netlink.Messages):
    """pyroute2's reader; an address comes as a `KernelAddress` under the key "address"."""

    def get_parser(self, key: int, flags: int, sequence_number: int) -> Callable[[bytes, int, int], Any]:
        if key in (netlink.RTM_NEWADDR, netlink.RTM_DELADDR):
            return partial(self._address, {"type": key, "flags": flags, "sequence_number": sequence_number})
        parser: Callable[[bytes, int, int], Any] = super().get_parser(key, flags, sequence_number)
        return parser

    @staticmethod
    def _address(header: dict[str, int], data: bytes, offset: int, length: int) -> dict[str, Any]:
        body = memoryview(data)[offset + _HEADER_BYTES : offset + length]
        return {"header": header, "address": parse_address(body)}


class Monitor:
    """The picture. `read` when `fileno()` is readable, or at any time to be up to date."""

    def __init__(self, requests: netlink.Requests) -> None:
        """Subscribes first and dumps afterwards, so that nothing falls between. Raises OSError."""
        self._requests = requests
        groups = _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR
        self._reports = Reports(groups, _RECEIVE_BUFFER)
        self._reader = Reader()
        self._links: dict[int, Link] = {}
        self._names: dict[str, Link] = {}
        self._addresses: dict[int, dict[tuple[str, int], KernelAddress]] = {}
        self.overruns = 0
        self.resynchronise()

    def fileno(self) -> int:
        return self._reports.fileno()

    def close(self) -> None:
        self._reports.close()

    def set_buffer(self, size: int | None, *, force: bool) -> None:
        """`vrrp_netlink_monitor_rcv_bufs`: bytes, None for our own size; see `reactor.buffers`."""
        follow_words(self._reports.socket, _RECEIVE_BUFFER, size, force=force)

    # ---- the picture ----

    def link(self, name: str) -> Link | None:
        return self._names.get(name)

    def link_by_index(self, index: int) -> Link | None:
        return self._links.get(index)

    def links(self) -> list[Link]:
        return list(self._links.values())

    def has_address(self, ifname: str, address: str, length: int) -> bool:
        link = self._names.get(ifname)
        return link is not None and (address, length) in self._addresses.get(link.index, {})

    def addresses(self, ifname: str, family: Family) -> list[KernelAddress]:
        """Addresses of an interface in the kernel's order (IPv4: primary ones stand before their secondaries)."""
        link = self._names.get(ifname)
        if link is None:
            return []
        return [item for item in self._addresses.get(link.index, {}).values() if item.family == family]

    def is_tentative(self, address: str, ifname: str | None) -> bool:
        """Whether this address may not be used yet: on that interface, or wherever it is if it is not there."""
        every = [(index, item) for index, known in self._addresses.items() for item in known.values()]
        found = [(index, item.tentative) for index, item in every if item.address == address]
        link = self._names.get(ifname) if ifname is not None else None
        there = [tentative for index, tentative in found if link is not None and index == link.index]
        there = there or [tentative for _, tentative in found]
        return bool(there) and all(there)

    def interface_with(self, address: str) -> str | None:
        """The name of the first interface that has this address."""
        for index, found in self._addresses.items():
            if index in self._links and any(item.address == address for item in found.values()):
                return self._links[index].name
        return None

    # ---- changes ----

    def read(self) -> list[Update]:
        """Take in what the kernel has reported, at most one burst; returns what changed in the picture."""
        updates: list[Update] = []
        for data in self._reports.burst():
            try:
                messages = None if data is None else netlink.decode(self._reader, data)
            except OSError:
                messages = None
            if messages is None:
                # Something is lost: a dump tells what is so now.
                self.overruns += 1
                updates += self.resynchronise()
                break
            for message in messages:
                updates += self._take(message)
        return updates

    def _take(self, message: Any) -> list[Update]:
        kind = message["header"]["type"]
        if kind in (netlink.RTM_NEWLINK, netlink.RTM_DELLINK):
            link = parse_link(message)
            return [] if link is None else self._take_link(link, kind == netlink.RTM_NEWLINK)
        if kind in (netlink.RTM_NEWADDR, netlink.RTM_DELADDR):
            address = message["address"]
            return [] if address is None else self._take_address(address, kind == netlink.RTM_NEWADDR)
        return []

    def _take_link(self, link: Link, present: bool) -> list[Update]:
        old = self._links.get(link.index)
        if present and old == link:
            return []
        updates: list[Update] = []
        if old is not None:
            del self._links[old.index]
            if not present:
                self._addresses.pop(old.index, None)
            if self._names.get(old.name) is old:
                del self._names[old.name]
            if not present or old.name != link.name:
                updates.append(LinkUpdate(old.name, old, None))
        if not present:
            return updates
        renamed = old is not None and old.name != link.name
        self._links[link.index] = link
        self._names[link.name] = link
        updates.append(LinkUpdate(link.name, None if renamed else old, link))
        return updates

    def _take_address(self, address: KernelAddress, present: bool) -> list[Update]:
        known = self._addresses.setdefault(address.index, {})
        key = (address.address, address.length)
        old = known.get(key)
        if present:
            known[key] = address
            return [] if old == address else [AddressUpdate(address, True)]
        if old is None:
            return []
        del known[key]
        if not known:
            del self._addresses[address.index]
        return [AddressUpdate(old, False)]

    def resynchronise(self) -> list[Update]:
        """Dump everything and make the picture equal to it; returns what changed. Raises OSError."""
        # Events that are still queued are older than the dump, and some of their kin may be lost: they would spoil it.
        self._reports.discard()
        links = [parse_link(item) for item in self._requests.dump(netlink.RTM_GETLINK, ifinfmsg())]
        found = self._requests.dump(netlink.RTM_GETADDR, ifaddrmsg(), self._reader)
        addresses = [item["address"] for item in found]
        updates: list[Update] = []
        present = {item.index: item for item in links if item is not None}
        for link in [link for link in self._links.values() if link.index not in present]:
            updates += self._take_link(link, False)
        for link in present.values():
            updates += self._take_link(link, True)
        fresh: dict[int, dict[tuple[str, int], KernelAddress]] = {}
        for item in addresses:
            if item is not None:
                fresh.setdefault(item.index, {})[(item.address, item.length)] = item
        # The order of the kernel's list is what "first address" means, so the dump's order is kept as it is.
        before, self._addresses = self._addresses, fresh
        updates += _differences(before, fresh)
        return updates


def _differences(
    before: dict[int, dict[tuple[str, int], KernelAddress]], after: dict[int, dict[tuple[str, int], KernelAddress]]
) -> list[Update]:
    gone = [
        AddressUpdate(item, False)
        for index, known in before.items()
        for key, item in known.items()
        if key not in after.get(index, {})
    ]
    come = [
        AddressUpdate(item, True)
        for index, known in after.items()
        for key, item in known.items()
        if before.get(index, {}).get(key) != item
    ]
    return [*gone, *come]
