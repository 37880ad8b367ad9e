"""Everything that the VRRP process shows of itself, at one instant, and the words that all ways of showing share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from pykeepalived.model.common import Family, Script, family_of
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import FOREVER_S, VirtualAddress, VrrpInstance
from pykeepalived.netio.links import KernelAddress, Link
from pykeepalived.netio.sockets import Place
from pykeepalived.runtime.vrrp_journal import Entry
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp.facts import instance_family
from pykeepalived.vrrp.links import address_link, virtual_links
from pykeepalived.vrrp.status import GroupStatus, InstanceStats, InstanceStatus, ProcessStatus, ScriptStatus

_SCOPES: Final = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
#: Counters of the authentication extension stand between these two in keepalived 2.4.3's JSON.
_EXTENSION: Final = (
    "auth_ext_missing",
    "auth_ext_malformed",
    "auth_ext_unknown_key",
    "auth_ext_invalid_hmac",
    "auth_ext_stale",
    "auth_ext_replay",
)
_COUNTERS: Final = (
    "advert_rcvd",
    "advert_sent",
    "become_master",
    "release_master",
    "packet_len_err",
    "advert_interval_err",
    "ip_ttl_err",
    "invalid_type_rcvd",
    "addr_list_err",
    "invalid_authtype",
    "authtype_mismatch",
    "auth_failure",
    *_EXTENSION,
    "pri_zero_rcvd",
    "pri_zero_sent",
)
#: Stands where a password would: nothing writes one out (as keepalived 2.4.3).
HIDDEN: Final = "********"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown, at one instant."""

    config: Config
    instances: tuple[InstanceStatus, ...]
    groups: tuple[GroupStatus, ...]
    scripts: tuple[ScriptStatus, ...]
    processes: tuple[ProcessStatus, ...]
    files: Mapping[str, int]
    links: tuple[Link, ...]
    addresses: Mapping[str, tuple[KernelAddress, ...]] = {}
    """By interface: the addresses on it that are not virtual ones."""
    held: frozenset[Entry]
    places: Mapping[str, Place]
    """Where each instance listens."""
    descriptors: Mapping[Place, tuple[int, int]]
    baseline: Mapping[str, Mapping[str, int]]
    """Counters at the last `stats_clear`."""
    now_us: int

    def by_name(self) -> dict[str, VrrpInstance]:
        return {item.name: item for item in self.config.instances}

    def counters(self, status: InstanceStatus) -> dict[str, int]:
        """The counters of an instance since they were last cleared."""
        before = self.baseline.get(status.name, {})
        return {name: value - before.get(name, 0) for name, value in counters(status.stats).items()}

    def epoch_s(self, instant_us: int) -> float:
        """An instant of the monotonic clock as seconds since 1970."""
        return time.time() - (self.now_us - instant_us) / SECOND_US


def counters(stats: InstanceStats) -> dict[str, int]:
    """All counters by the names of keepalived.json, in its order."""
    return {name: getattr(stats, name, 0) for name in _COUNTERS}


def address_text(address: VirtualAddress, interface: str | None, *, held: bool) -> str:
    """One address as in the dumps: `10.0.0.9/24 brd 10.0.0.255 dev eth0 scope global label eth0:1 set`."""
    family = family_of(address.prefix.address)
    whole = 128 if family is Family.INET6 else 32
    alone = address.prefix.length == whole or address.peer is not None
    words = [address.prefix.address if alone else str(address.prefix)]
    if address.broadcast is not None:
        words += ["brd", address.broadcast]
    words += ["dev", interface or "none", "scope", _SCOPES.get(address.scope, str(address.scope))]
    if address.label is not None:
        words += ["label", address.label]
    if address.peer is not None:
        words += ["peer", str(address.peer)]
    flags = ("home", "mngtmpaddr", "noprefixroute", "autojoin")
    words += [name for name in flags if getattr(address, name)]
    if family is Family.INET6:
        words += [*(["-nodad"] if address.dad else []), *_lifetime_words(address)]
    if address.no_track:
        words.append("no_track")
    if address.track_group is not None:
        words += ["track_group", address.track_group]
    if held:
        words.append("set")
    return " ".join(words)


def _lifetime_words(address: VirtualAddress) -> list[str]:
    preferred_s = address.preferred_lft_s
    if preferred_s is None or preferred_s == FOREVER_S:
        if preferred_s == FOREVER_S:
            return ["preferred_lft", "forever"]
        return ["deprecated"] if address.prefix.length == 128 else ["preferred_lft", "forever"]
    return ["deprecated"] if preferred_s == 0 else ["preferred_lft", str(preferred_s)]


def address_texts(view: View, instance: VrrpInstance, addresses: Iterable[VirtualAddress]) -> list[str]:
    """The addresses of one instance, each as one line."""
    family = instance_family(instance)
    found = []
    for item in addresses:
        place = address_link(instance, item, family)
        entry = Entry(place or "", item.prefix.address, (item.peer or item.prefix).length)
        base = item.dev or instance.interface
        shown = f"{place}@{base}" if place in virtual_links(instance, (item,)) else place
        found.append(address_text(item, shown, held=entry in view.held))
    return found


def script_text(script: Script) -> str:
    return " ".join(f"'{word}'" for word in script.argv)


def number(value: float) -> int | float:
    """Whole numbers without a point, as keepalived's JSON writer prints them."""
    return int(value) if value == int(value) else round(value, 6)
