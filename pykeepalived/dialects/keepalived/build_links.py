"""What has to do with interfaces themselves: names of virtual MACs, packet filter, polling, delays."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from pykeepalived.diagnostics import ExitClass, Severity
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.model import Family, VirtualAddress, VrrpInstance, family_of
from pykeepalived.model.links import FirewallSettings, InterfaceDelay, PolledLink
from pykeepalived.vrrp.facts import instance_family
from pykeepalived.vrrp.links import rfc_mac

_IFNAME_LONGEST: Final = 15
_PREFIX: Final = "vrrp"
_DEFAULT_CHAINS: Final = ("INPUT", "OUTPUT")
_DEFAULT_SETS: Final = ("keepalived", "keepalived6", "keepalived_if6")


class _Names:
    """Names of interfaces that are taken, and free ones."""

    def __init__(self, context: Context, instances: Iterable[VrrpInstance]) -> None:
        known = context.host.interfaces() or frozenset()
        self._taken = {name for name in known if not context.host.is_stacked_link(name)}
        self._taken |= {item.vmac.ifname for item in instances if item.vmac and item.vmac.ifname}

    def free(self, prefix: str, vrid: int, family: Family | None) -> str:
        """PREFIX.VRID; where that is taken, for IPv6 PREFIX6.VRID, then PREFIX1.VRID, PREFIX2.VRID and so on.

        `family` None: never PREFIX6.VRID, as ipvlans are named.
        """
        first = ["", "6"] if family is Family.INET6 else [""]
        for middle in itertools.chain(first, map(str, itertools.count(1))):
            tail = f"{middle}.{vrid}"
            name = prefix[: _IFNAME_LONGEST - len(tail)] + tail
            if name not in self._taken:
                self._taken.add(name)
                return name
        raise AssertionError("numbers do not end")


def name_vmacs(context: Context, instances: Mapping[str, VrrpInstance], root: Draft) -> dict[str, VrrpInstance]:
    """Give every virtual MAC interface its name; leave out instances whose virtual MAC another one already uses."""
    settings: Draft = root.get("globals") or Draft(None)
    prefix = str(settings.get("vmac_prefix", _PREFIX))
    names = _Names(context, instances.values())
    namer = _Namer(context, root, names, prefix, str(settings.get("vmac_addr_prefix", prefix)))
    found = {}
    for name, instance in instances.items():
        named = namer.name(instance)
        if named is not None:
            found[name] = named
    return found


class _Namer:
    def __init__(self, context: Context, root: Draft, names: _Names, prefix: str, address_prefix: str) -> None:
        self._context = context
        self._drafts: dict[str, Draft] = {draft.name: draft for draft in root.get("instances", ())}
        self._names = names
        self._prefix = prefix
        self._address_prefix = address_prefix
        self._users: dict[tuple[str, bytes], tuple[str, str]] = {}
        """By base interface and MAC address: the instance and the name of the interface."""

    def name(self, instance: VrrpInstance) -> VrrpInstance | None:
        family = instance_family(instance)
        vmac = instance.vmac
        mac = (vmac.mac if vmac else None) or rfc_mac(instance.vrid, family)
        if vmac is not None and instance.interface is not None:
            key = (instance.interface, mac)
            other = self._users.get(key) if vmac.kind == "macvlan" else None
            if other is not None:
                self._collides(instance, other[0])
                return None
            marked = family if vmac.kind == "macvlan" else None
            ifname = vmac.ifname or self._names.free(self._prefix, instance.vrid, marked)
            instance = msgspec.structs.replace(instance, vmac=msgspec.structs.replace(vmac, ifname=ifname))
            if vmac.kind == "macvlan":
                self._users[key] = (instance.name, ifname)
            elif vmac.source is not None and instance.source is None and family_of(vmac.source.address) is family:
                # An address of the other family is the interface's, and no sender of these adverts.
                instance = msgspec.structs.replace(instance, source=vmac.source.address)
        taken: list[tuple[VirtualAddress, ...]] = []
        for addresses in (instance.addresses, instance.excluded_addresses):
            placed = [self._place(instance, address, mac) for address in addresses]
            if None in placed:
                return None
            taken.append(tuple(address for address in placed if address is not None))
        return msgspec.structs.replace(instance, addresses=taken[0], excluded_addresses=taken[1])

    def _place(self, instance: VrrpInstance, address: VirtualAddress, mac: bytes) -> VirtualAddress | None:
        """The address with the name of its own virtual MAC interface; None: another instance has that MAC there."""
        family = family_of(address.prefix.address)
        base = address.dev or instance.interface
        wished = address.use_vmac or (instance.use_vmac_addr and base != instance.interface)
        if not wished or base is None or (instance.vmac is not None and base == instance.interface):
            return address
        if family is not instance_family(instance):
            return address
        user = self._users.get((base, mac))
        if user is None:
            user = (instance.name, self._names.free(self._address_prefix, instance.vrid, family))
            self._users[base, mac] = user
        if user[0] != instance.name:
            self._collides(instance, user[0])
            return None
        return msgspec.structs.replace(address, vmac_ifname=user[1])

    def _collides(self, instance: VrrpInstance, other: str) -> None:
        draft = self._drafts[instance.name]
        self._context.error(
            "duplicate-vmac",
            f"({instance.name}) needs the same virtual MAC on the same interface as ({other}), it is left out",
            draft.where.get("use_vmac", draft.statement),
            0,
            help="give it another virtual_router_id",
        )


def build_firewall(settings: Draft) -> FirewallSettings:
    """The packet filter's words; nftables wins when iptables is named as well."""
    taken: dict[str, Any] = {}
    if "nftables" in settings.values:
        taken["table"] = settings.values["nftables"] or FirewallSettings().table
    for field, word in (
        ("priority", "nftables_priority"),
        ("by_index", "nftables_ifindex"),
        ("counters", "nftables_counters"),
    ):
        if word in settings.values:
            taken[field] = settings.values[word]
    chains = settings.get("vrrp_iptables")
    if chains is not None and "nftables" not in settings.values:
        taken["chains"] = tuple(name for name in chains if name) or _DEFAULT_CHAINS
        sets = settings.get("vrrp_ipsets")
        if sets is not None and any(sets):
            first = sets[0]
            derived = (first, f"{first}6", f"{first}_if6")
            taken["sets"] = tuple(given or made for given, made in zip(sets[:3], derived, strict=True))
        elif sets is None:
            taken["sets"] = _DEFAULT_SETS
    return FirewallSettings(chosen="nftables" in settings.values or chains is not None, **taken)


def check_firewall(context: Context, settings: Draft, instances: Iterable[VrrpInstance]) -> None:
    """Say what is chosen where the file does not choose."""
    if "nftables" in settings.values and "vrrp_iptables" in settings.values:
        context.error(
            "two-firewalls",
            "nftables and vrrp_iptables are both given, vrrp_iptables is not looked at",
            settings.where["vrrp_iptables"],
            0,
        )
    elif "vrrp_ipsets" in settings.values and "vrrp_iptables" not in settings.values:
        context.warning(
            "needs-iptables", "vrrp_ipsets needs vrrp_iptables, it is not looked at", settings.where["vrrp_ipsets"], 0
        )
    del instances


def build_delays(context: Context, root: Draft, instances: Iterable[VrrpInstance]) -> tuple[InterfaceDelay, ...]:
    """`interface_up_down_delays`. One that outlasts the patience of the other routers is taken back."""
    patience_us: dict[str, int] = {}
    for item in instances:
        # One advert less than the others wait for: the last one must still get out in time.
        limit_us = item.advert_interval_us * max(1, item.down_timer_adverts - 1)
        for ifname in {item.interface, *(tracked.ifname for tracked in item.track_interfaces)} - {None}:
            assert ifname is not None
            patience_us[ifname] = min(limit_us, patience_us.get(ifname, limit_us))
    found = {}
    for entry in root.get("up_down_delays", ()):
        delay = InterfaceDelay(entry.values["interface"], entry.get("down_us", 0), entry.get("up_us", 0))
        limit_us = patience_us.get(delay.ifname, 0)
        if limit_us and max(delay.down_us, delay.up_us) >= limit_us:
            # keepalived says so in its log only.
            context.say(
                Severity.WARNING,
                "delay-too-long",
                f"the delays of `{delay.ifname}` are not below {limit_us / 1e6:g} s (adverts that may be missed, less "
                "one); they are not looked at",
                entry.statement,
                entry.places["interface"],
                exit_class=ExitClass.NONE,
            )
            delay = InterfaceDelay(delay.ifname, 0, 0)
        found[delay.ifname] = delay
    return tuple(delay for delay in found.values() if delay.down_us or delay.up_us)


def build_polled(root: Draft) -> tuple[PolledLink, ...]:
    """`linkbeat_interfaces`."""
    found = {}
    for entry in root.get("linkbeat", ()):
        found[entry.values["interface"]] = PolledLink(entry.values["interface"], entry.get("method"))
    return tuple(found.values())
