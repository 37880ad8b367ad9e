"""Which interface an instance's adverts and addresses belong on, with and without virtual MACs.

An instance with `use_vmac` or `use_ipvlan` lives on an interface of its own above the configured one, the *base*
(keepalived-behaviour section 9). Addresses of the other family stay on the base: the virtual MAC belongs to one family.
An ipvlan has no MAC address of its own and carries the adverts only: all virtual addresses stay on the base (seen by
running 2.2.7 and 2.4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.vrrp import VirtualAddress, VrrpInstance

_OWNER: Final = 255


def own_link(config: VrrpInstance) -> str | None:
    """The interface of the instance: its virtual MAC interface, else the configured one."""
    if config.vmac is not None and config.vmac.ifname is not None:
        return config.vmac.ifname
    return config.interface


def advert_link(config: VrrpInstance) -> str | None:
    """Where adverts are sent and heard; the VRF of an instance without interface."""
    if config.interface is None:
        return config.vrf
    return config.interface if config.vmac_xmit_base else own_link(config)


def address_link(config: VrrpInstance, address: VirtualAddress, family: Family) -> str | None:
    """Where a virtual address is put; `family` is that of the instance."""
    if address.vmac_ifname is not None:
        return address.vmac_ifname
    if address.dev is not None and address.dev != config.interface:
        return address.dev
    if config.vmac is not None and (config.vmac.kind == "ipvlan" or family_of(address.prefix.address) is not family):
        return config.interface
    return own_link(config)


def virtual_links(config: VrrpInstance, addresses: Sequence[VirtualAddress]) -> tuple[str, ...]:
    """The interfaces that exist for the instance alone."""
    found: dict[str, None] = {}
    if config.vmac is not None and config.vmac.ifname is not None:
        found[config.vmac.ifname] = None
    for address in addresses:
        if address.vmac_ifname is not None:
            found[address.vmac_ifname] = None
    return tuple(found)


def rfc_mac(vrid: int, family: Family) -> bytes:
    """The virtual router MAC address (RFC 9568 section 7.3)."""
    return bytes((0, 0, 0x5E, 0, 2 if family is Family.INET6 else 1, vrid))


def blocks(config: VrrpInstance) -> bool:
    """Packets to and from its addresses are to be dropped: `no_accept`, and it does not own them."""
    return not config.accept and config.priority != _OWNER


def forwards_as_master_only(config: VrrpInstance) -> bool:
    """A BACKUP drops what is sent to its virtual MAC address and is for somebody else (RFC 9568 section 6.4.2).

    In `strict_mode` only: keepalived's BACKUP forwards it, and a network may have come to rely on that.
    """
    return config.strict and config.vmac is not None and config.vmac.kind == "macvlan"
