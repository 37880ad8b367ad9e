"""Address lines: from entries to `VirtualAddress`."""

from __future__ import annotations

import socket
from typing import Any

import msgspec

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Entry
from pykeepalived.model import Family, IpPrefix, VirtualAddress, family_of
from pykeepalived.model.vrrp import FOREVER_S

_FLAGS = ("home", "dad", "mngtmpaddr", "noprefixroute", "autojoin", "no_track", "use_vmac")


def broadcast_of(prefix: IpPrefix, ones: bool) -> str:
    number = int.from_bytes(socket.inet_pton(socket.AF_INET, prefix.address), "big")
    hosts = (1 << (32 - prefix.length)) - 1
    number = number | hosts if ones else number & ~hosts
    return socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big"))


def build_address(context: Context, entry: Entry) -> VirtualAddress:
    prefix: IpPrefix = entry.values["prefix"]
    six = family_of(prefix.address) is Family.INET6
    taken: dict[str, Any] = {name: True for name in _FLAGS if entry.get(name)}
    broadcast = entry.get("broadcast")
    if broadcast is not None and six:
        context.error("wrong-family", "an IPv6 address has no broadcast address", entry.statement)
        broadcast = None
    if broadcast in ("+", "-"):
        broadcast = broadcast_of(prefix, broadcast == "+")
    label = entry.get("label")
    if label is not None and six:
        context.error(
            "wrong-family", "an IPv6 address has no label", entry.statement, entry.places["label"], help="leave it out"
        )
        label = None
    peer = entry.get("peer")
    if peer is not None and family_of(peer.address) is not family_of(prefix.address):
        context.error("wrong-family", "the peer is of the other family", entry.statement, entry.places["peer"])
        peer = None
    scope = entry.get("scope", 0)
    if scope and six:
        context.error("wrong-family", "an IPv6 address has no scope", entry.statement, entry.places["scope"])
        scope = 0
    life = entry.get("preferred_lft_s")
    if life == 0 and not six:
        life = None  # keepalived says nothing to the kernel then
    return VirtualAddress(
        prefix=prefix,
        dev=entry.get("dev"),
        scope=scope,
        broadcast=broadcast,
        label=label,
        peer=peer,
        preferred_lft_s=_life(life, prefix),
        track_group=entry.get("track_group"),
        **taken,
    )


def with_device(address: VirtualAddress, default: str) -> VirtualAddress:
    """A static address without `dev` belongs on `default_interface`."""
    return address if address.dev else msgspec.structs.replace(address, dev=default)


def _life(life_s: int | None, prefix: IpPrefix) -> int | None:
    """`forever` (-1 here) differs from nothing said only for an IPv6 /128."""
    if life_s == -1:
        return FOREVER_S if prefix.length == 128 else None
    return life_s
