"""Clients as persistence sees them: an address, or the network that it belongs to."""

from __future__ import annotations

from typing import Final

from pykeepalived.dataplane.nft_names import type_of
from pykeepalived.lvs.table import Service
from pykeepalived.model.common import Family

#: Clients that one destination remembers for persistence.
CLIENTS_LIMIT: Final = 262_144


def clients_set(family: Family) -> str:
    return f"{{ type {type_of(family)}; flags dynamic,timeout; size {CLIENTS_LIMIT}; }}"


def client_of(family: Family, service: Service) -> str:
    """The expression for the client of a packet."""
    prefix = service.persistence_prefix
    if family is Family.INET6:
        if prefix is None:
            return "ip6 saddr"
        mask = (1 << 128) - (1 << (128 - prefix))
        groups = ":".join(f"{mask >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
        return f"ip6 saddr & {groups}"
    if prefix is None:
        return "ip saddr"
    mask = (1 << 32) - (1 << (32 - prefix))
    return "ip saddr & " + ".".join(str(mask >> shift & 0xFF) for shift in (24, 16, 8, 0))
