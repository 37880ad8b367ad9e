"""The virtual MAC interfaces of all instances, and the kernel settings that they need.

`apply` makes what a configuration wants, `repair` mends it after a base interface came back or somebody took something
away, `prune` removes what no instance wants any more. Interfaces that a killed process left are used again where they
fit. Settings of the host (keepalived-behaviour section 9) are put back when the last interface that needs them goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.model.common import Family, IpPrefix
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VirtualAddress, VmacSettings, VrrpInstance
from pykeepalived.netio import netlink, sysctls, vmac
from pykeepalived.netio.addresses import AddressChange, apply
from pykeepalived.netio.links import SCOPE_LINK, AddressUpdate, LinkUpdate, Monitor, Update
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_links_journal import LinksJournal, Made
from pykeepalived.vrrp.facts import all_addresses, instance_family
from pykeepalived.vrrp.links import own_link, rfc_mac

_GROUP_FILES: Final = ("/etc/iproute2/group", "/usr/share/iproute2/group", "/usr/lib/iproute2/group")
_NOT_AN_INTERFACE: Final = frozenset({"all", "default"})
_IGMP: Final = "ipv4/igmp_link_local_mcast_reports"


class Wanted(msgspec.Struct, frozen=True):
    """A virtual interface, and what is to stand on it besides virtual addresses."""

    link: vmac.VirtualLink
    instance: str
    family: Family
    source: IpPrefix | None = None
    """ipvlan: the address that adverts come from."""
    announce: bool = False
    """`netlink_notify_msg`: have the kernel tell about the finished interface once more."""


def wanted_links(config: Config) -> dict[str, Wanted]:
    """By name, in file order."""
    found: dict[str, Wanted] = {}
    for item in config.instances:
        family = instance_family(item)
        ifname = own_link(item)
        if item.vmac is not None and item.interface is not None and ifname is not None:
            found[ifname] = _of_instance(item, item.vmac, ifname, family)
        for address in all_addresses(item):
            base = address.dev or item.interface
            if address.vmac_ifname is not None and base is not None:
                mac = (item.vmac.mac if item.vmac else None) or rfc_mac(item.vrid, family)
                link = vmac.VirtualLink(ifname=address.vmac_ifname, base=base, mac=mac)
                found.setdefault(address.vmac_ifname, Wanted(link, item.name, family))
    return found


def _of_instance(item: VrrpInstance, settings: VmacSettings, ifname: str, family: Family) -> Wanted:
    assert item.interface is not None
    macvlan = settings.kind == "macvlan"
    link = vmac.VirtualLink(
        ifname=ifname,
        base=item.interface,
        kind=settings.kind,
        mac=(settings.mac or rfc_mac(item.vrid, family)) if macvlan else None,
        group=_group_number(settings.group),
        ipvlan_flags=settings.ipvlan_flags or "bridge",
    )
    return Wanted(link, item.name, family, settings.source, settings.netlink_notify)


def _group_number(name: str | None) -> int:
    if name is None:
        return 0
    if name.isdecimal():
        return int(name)
    for path in _GROUP_FILES:
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            words = line.partition("#")[0].split()
            if len(words) == 2 and words[1] == name and words[0].isdecimal():
                return int(words[0])
    return 0


class LinkKeeper:
    """Makes, mends and removes virtual interfaces, and keeps the settings."""

    def __init__(
        self, requests: netlink.Requests, monitor: Monitor, journal: LinksJournal, made: Made, log: Logger
    ) -> None:
        """`made` is what the journal says, with what dead processes left; shared with the packet filter."""
        self._requests = requests
        self._monitor = monitor
        self._journal = journal
        self._made = made
        self._log = log
        self._wanted: dict[str, Wanted] = {}
        self._seen: list[Update] = []
        self._failed: dict[str, str] = {}
        """The last reason why an interface could not be made, so that it is said once."""
        self._promoting: set[str] = set()
        self._settings = sysctls.Keeper(log.error, self._write_down)
        self._settings.adopt(made.settings)

    # ---- wishes ----

    def apply(self, config: Config) -> None:
        """Make what the configuration wants. What it no longer wants stays until `prune`."""
        before, self._wanted = self._wanted, wanted_links(config)
        self._promoting = {item.interface for item in config.instances if item.promote_secondaries and item.interface}
        self._promote(self._promoting)
        for ifname, wanted in self._wanted.items():
            if ifname in before and before[ifname].link != wanted.link:
                self._delete(ifname, before[ifname].instance)
            self._ensure(wanted)
        if config.globals.disable_local_igmp:
            self._settings.set(_IGMP, 0)
        self._link_locals()
        self._look()

    def prune(self) -> None:
        """Remove our interfaces that nobody wants, and put settings back that nothing needs."""
        for ifname in [name for name in self._made.links if name not in self._wanted]:
            self._delete(ifname, "")
        self._release_settings()
        self._write_down()

    def repair(self, updates: Sequence[Update]) -> list[Update]:
        """Interfaces changed: make again what went, bring up what can be up. Returns what that changed."""
        names = {update.name for update in updates if isinstance(update, LinkUpdate)}
        self._promote(self._promoting & names)
        if not self._wanted:
            return []
        if names & {name for item in self._wanted.values() for name in (item.link.base, item.link.ifname)}:
            self._look()  # what was reported may have changed again since
        addressed = {update.address.index for update in updates if isinstance(update, AddressUpdate)}
        touched = False
        for wanted in self._wanted.values():
            if wanted.link.base in names or wanted.link.ifname in names:
                touched |= self._ensure(wanted)
        bases = {self._index(item.link.base) for item in self._wanted.values() if item.family is Family.INET6}
        if touched or bases & addressed:
            touched |= self._link_locals()
        if touched:
            self._look()
        return self.seen()

    def wants(self, names: Set[str]) -> bool:
        """Whether one of these interfaces is a virtual one of the configuration."""
        return not names.isdisjoint(self._wanted)

    def seen(self) -> list[Update]:
        """What changed in the picture by our own looking at it, since the last call."""
        found, self._seen = self._seen, []
        return found

    def _look(self) -> None:
        self._seen += self._monitor.resynchronise()

    def close(self, *, release: bool) -> None:
        """At the end: remove everything, or leave it with its list (-V)."""
        if release:
            self._wanted, self._promoting = {}, set()
            self.prune()
            for key in list(self._settings.originals):
                self._restore(key)

    # ---- one interface ----

    def _index(self, ifname: str) -> int | None:
        link = self._monitor.link(ifname)
        return None if link is None else link.index

    def _ensure(self, wanted: Wanted) -> bool:
        """Make it or use it; True when something was changed."""
        link = wanted.link
        base, found = self._monitor.link(link.base), self._monitor.link(link.ifname)
        if base is None:
            return False
        try:
            if found is not None and not link.fits(found, base):
                if found.kind not in {"macvlan", "ipvlan"}:
                    self._say_failed(link.ifname, f"the name belongs to an interface of kind {found.kind or 'device'}")
                    return False
                vmac.delete(self._requests, found.index)
                found = None
            if found is not None and found.up:
                if link.ifname not in self._made.links:
                    self._adopted(wanted)
                return False
            if found is None:
                self._create(wanted, base.index)
            elif link.ifname not in self._made.links:
                self._adopted(wanted)
            return self._bring_up(wanted)
        except OSError as error:
            self._say_failed(link.ifname, error.strerror or str(error))
            return False

    def _create(self, wanted: Wanted, base_index: int) -> None:
        link = wanted.link
        vmac.create(self._requests, link, base_index)
        self._look()
        self._made.links.append(link.ifname)
        self._write_down()
        self._log.info(f"({wanted.instance}): Success creating {_kind(link)} interface {link.ifname}")
        self._set_up_settings(wanted)

    def _adopted(self, wanted: Wanted) -> None:
        self._log.info(f"({wanted.instance}) Found matching interface {wanted.link.ifname}")
        self._made.links.append(wanted.link.ifname)
        self._write_down()
        self._set_up_settings(wanted)

    def _bring_up(self, wanted: Wanted) -> bool:
        link = wanted.link
        base, index = self._monitor.link(link.base), self._index(link.ifname)
        if index is None or base is None:
            return False
        if not base.admin_up:
            return True  # the kernel refuses; the base's coming up brings us here again
        vmac.set_up(self._requests, index, up=True)
        self._failed.pop(link.ifname, None)
        if wanted.announce:
            vmac.announce(self._requests, index, link.group)
        if wanted.source is not None:
            self._add(link.ifname, VirtualAddress(prefix=wanted.source))
        self._look()
        return True

    def _delete(self, ifname: str, instance: str) -> None:
        index = self._index(ifname)
        try:
            if index is not None and ifname in self._made.links:
                vmac.delete(self._requests, index)
                self._log.info(f"{f'({instance}) ' if instance else ''}Success removing VMAC interface {ifname}")
                self._look()
        except OSError as error:
            self._log.error(f"Cannot remove the interface {ifname} - {error.strerror}")
        if ifname in self._made.links:
            self._made.links.remove(ifname)

    def _say_failed(self, ifname: str, reason: str) -> None:
        if self._failed.get(ifname) != reason:
            self._failed[ifname] = reason
            self._log.error(f"Cannot make the virtual MAC interface {ifname} - {reason}")

    # ---- addresses of their own ----

    def _link_locals(self) -> bool:
        """An IPv6 virtual MAC carries its base's link-local address, from which adverts come."""
        changed = False
        for wanted in self._wanted.values():
            link = wanted.link
            if wanted.family is not Family.INET6 or link.kind != "macvlan" or self._index(link.ifname) is None:
                continue
            base = [item for item in self._monitor.addresses(link.base, Family.INET6) if item.scope == SCOPE_LINK]
            own = {item.address for item in self._monitor.addresses(link.ifname, Family.INET6)}
            if base and base[0].address not in own:
                address = VirtualAddress(prefix=IpPrefix(base[0].address, 64), preferred_lft_s=0)
                changed |= self._add(link.ifname, address)
        return changed

    def _add(self, ifname: str, address: VirtualAddress) -> bool:
        try:
            refused = apply(self._requests, self._index, [AddressChange(True, ifname, address)])
        except OSError as error:
            self._log.error(f"Netlink: {error.strerror}")
            return False
        for item in refused:
            self._log.error(f"Netlink: cannot {item.change} - {item.reason}")
        return not refused

    # ---- settings ----

    def _promote(self, names: Iterable[str]) -> None:
        """`promote_secondaries`: secondary addresses outlive their primary one as long as the instance is there."""
        for name in sorted(names):
            self._settings.set(sysctls.of_interface(4, name, "promote_secondaries"), 1)

    def _set_up_settings(self, wanted: Wanted) -> None:
        link = wanted.link
        own: list[tuple[int, str, int]] = [(4, "arp_ignore", 1)]
        if link.kind != "macvlan":
            own = [(6, "disable_ipv6", 1)] if wanted.family is Family.INET else []
        elif wanted.family is Family.INET:
            own += [(4, "accept_local", 1), (4, "rp_filter", 0), (4, "promote_secondaries", 1), (6, "disable_ipv6", 1)]
            for name in ("arp_ignore", "arp_filter"):
                self._settings.set(sysctls.of_interface(4, link.base, name), 1)
            self._free_reverse_path(link.ifname)
        else:
            own.append((6, "addr_gen_mode", 1))
        if wanted.family is Family.INET and link.kind == "macvlan":
            own.insert(0, (6, "addr_gen_mode", 1))
        for family, name, value in own:
            key = sysctls.of_interface(family, link.ifname, name)
            try:
                # These go with the interface; nothing is to be put back.
                sysctls.write(key, value)
            except OSError as error:
                self._log.error(f"Cannot set {key.replace('/', '.')} to {value} - {error.strerror}")

    def _free_reverse_path(self, ifname: str) -> None:
        """The strictest of `all` and an interface's own rp_filter counts, so `all` must not forbid what a virtual MAC
        needs; every other interface keeps what it had from `all` in its own setting.
        """
        everywhere = sysctls.read("ipv4/conf/all/rp_filter")
        if everywhere in {None, "0"}:
            return
        ours = {*self._wanted, ifname}
        for path in sorted(Path("/proc/sys/net/ipv4/conf").iterdir()):
            key = sysctls.of_interface(4, path.name, "rp_filter")
            if path.name == "all" or path.name in ours or int(sysctls.read(key) or 0) >= int(everywhere or 0):
                continue
            self._set_loudly(key, int(everywhere or 0), quiet=path.name not in _NOT_AN_INTERFACE)
        self._set_loudly("ipv4/conf/all/rp_filter", 0)

    def _set_loudly(self, key: str, value: int, *, quiet: bool = False) -> None:
        before = sysctls.read(key)
        if self._settings.set(key, value) and not quiet:
            self._log.info(f"NOTICE: setting sysctl net.{key.replace('/', '.')} from {before} to {value}")

    def _release_settings(self) -> None:
        bases = {
            item.link.base
            for item in self._wanted.values()
            if item.link.kind == "macvlan" and item.family is Family.INET
        }
        for key in list(self._settings.originals):
            _, _, name, what = key.split("/") if key.count("/") == 3 else ("", "", "", key)
            needed = bool(bases) if what == "rp_filter" else name in bases
            if what == "promote_secondaries":
                needed = name in self._promoting
            if not needed and what in {"rp_filter", "arp_ignore", "arp_filter", "promote_secondaries"}:
                self._restore(key)

    def _restore(self, key: str) -> None:
        value = self._settings.restore(key)
        if value is not None and key.split("/")[-2] in _NOT_AN_INTERFACE:
            self._log.info(f"NOTICE: resetting sysctl net.{key.replace('/', '.')} to {value}")

    def _write_down(self) -> None:
        self._made.settings = dict(self._settings.originals)
        self._journal.write(self._made)


def merge(lists: Iterable[Made]) -> Made:
    """What several dead processes left, as one."""
    found = Made(boot="")
    for made in lists:
        found.links += [name for name in made.links if name not in found.links]
        for key, pair in made.settings.items():
            # The oldest value is what was there before any of them.
            found.settings.setdefault(key, pair)
        found.tables += [name for name in made.tables if name not in found.tables]
        found.iptables += made.iptables
    return found


def _kind(link: vmac.VirtualLink) -> str:
    return "VMAC" if link.kind == "macvlan" else "ipvlan"
