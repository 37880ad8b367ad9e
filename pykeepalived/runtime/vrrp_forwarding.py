"""`strict_mode`: what is sent to the virtual MAC address of a router that is not MASTER is not forwarded.

RFC 9568 section 6.4.2 has a Backup discard such frames: a switch that has forgotten the address floods them, and every
router that forwards them sends each packet once more. The kernel forwards what any interface of its takes in, so the
setting `forwarding` of the virtual MAC interface follows the state: 0, and that of its base while the router is MASTER.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.netio import sysctls
from pykeepalived.runtime.program import Logger
from pykeepalived.vrrp.facts import instance_family
from pykeepalived.vrrp.links import forwards_as_master_only


class _Guarded(msgspec.Struct, frozen=True):
    ifname: str
    base: str
    family: int


class ForwardingGate:
    """Follows the states of the instances; those without `strict_mode` or without virtual MAC are left alone."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._guarded: dict[str, _Guarded] = {}
        """By instance."""
        self._masters: set[str] = set()

    def configure(self, config: Config) -> None:
        """The interfaces of this configuration exist now."""
        before = self._guarded
        self._guarded = {
            item.name: _Guarded(item.vmac.ifname, item.interface, 6 if instance_family(item) is Family.INET6 else 4)
            for item in config.instances
            if forwards_as_master_only(item) and item.vmac and item.vmac.ifname and item.interface
        }
        kept = {item.ifname for item in self._guarded.values()}
        for guarded in before.values():
            if guarded.ifname not in kept:
                self._set(guarded, forward=True)
        self.refresh()

    def refresh(self) -> None:
        """Interfaces may have been made anew."""
        for name, guarded in self._guarded.items():
            self._set(guarded, forward=name in self._masters)

    def open(self, instance: str) -> None:
        """It becomes MASTER."""
        self._masters.add(instance)
        if guarded := self._guarded.get(instance):
            self._set(guarded, forward=True)

    def close(self, instance: str) -> None:
        """It is no longer MASTER."""
        self._masters.discard(instance)
        if guarded := self._guarded.get(instance):
            self._set(guarded, forward=False)

    def rename(self, names: Mapping[str, str]) -> None:
        """A reload gave instances other names; the configuration has the new ones already."""
        self._masters = {names.get(name, name) for name in self._masters}
        self.refresh()

    def _set(self, guarded: _Guarded, *, forward: bool) -> None:
        key = sysctls.of_interface(guarded.family, guarded.ifname, "forwarding")
        value = sysctls.read(sysctls.of_interface(guarded.family, guarded.base, "forwarding")) if forward else "0"
        if value is None or sysctls.read(key) in {None, value}:
            return
        try:
            sysctls.write(key, value)
        except OSError as error:
            self._log.error(f"Cannot set {key.replace('/', '.')} to {value} - {error.strerror}")
