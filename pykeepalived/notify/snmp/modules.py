"""Which tables belong to which MIB, and which words of the configuration ask for them."""

from __future__ import annotations

from typing import Final

import msgspec

from pykeepalived.model.agents import AgentSettings
from pykeepalived.notify.snmp import (
    mib_check,
    mib_global,
    mib_rfc2787,
    mib_rfc6527,
    mib_routes,
    mib_servers,
    mib_trackers,
    mib_vrrp,
)
from pykeepalived.notify.snmp.codec import Oid
from pykeepalived.notify.snmp.tree import Table


class Module(msgspec.Struct, frozen=True):
    """A subtree that is registered with the master agent as one, and its tables."""

    name: str
    subtree: Oid
    tables: tuple[Table, ...]


GLOBAL: Final = Module("KEEPALIVED-MIB", (*mib_global.ROOT, 1), mib_global.TABLES)
VRRP: Final = Module("KEEPALIVED-MIB", mib_vrrp.VRRP, (*mib_vrrp.TABLES, *mib_trackers.TABLES, *mib_routes.TABLES))
CHECK: Final = Module("KEEPALIVED-MIB", mib_check.CHECK, (*mib_check.TABLES, *mib_servers.TABLES))
RFC2787: Final = Module("VRRP-MIB", mib_rfc2787.ROOT, mib_rfc2787.TABLES)
RFC6527: Final = Module("VRRPV3-MIB", mib_rfc6527.ROOT, mib_rfc6527.TABLES)


def served(settings: AgentSettings) -> tuple[Module, ...]:
    """What the words of global_defs ask for."""
    found = []
    if settings.enable_snmp_vrrp or settings.enable_snmp_checker:
        found.append(GLOBAL)
    if settings.enable_snmp_vrrp:
        found.append(VRRP)
    if settings.enable_snmp_checker:
        found.append(CHECK)
    if settings.enable_snmp_rfcv2:
        found.append(RFC2787)
    if settings.enable_snmp_rfcv3:
        found.append(RFC6527)
    return tuple(found)
