"""vrrp_instance: from drafts to `VrrpInstance`, with defaults, inheritance and the checks between words."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pykeepalived.diagnostics import ExitClass, Label
from pykeepalived.dialects.keepalived.build_trackers import Trackers
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.routing import RoutingLines
from pykeepalived.dialects.keepalived.scripts import Scripts
from pykeepalived.dialects.keepalived.vrrp_address_lines import AddressLines
from pykeepalived.dialects.keepalived.vrrp_parts import (
    build_authentication,
    build_garp,
    build_hmac,
    build_peers,
    build_vmac,
)
from pykeepalived.dialects.keepalived.vrrp_strict import apply_strict
from pykeepalived.model import (
    AuthType,
    Family,
    VmacSettings,
    VrrpInstance,
    VrrpState,
)
from pykeepalived.units import CENTISECOND_US, SECOND_US, format_seconds

_OWNER: Final = 255
_LONGEST_V3_US: Final = 40_950_000
_SCRIPTS: Final = (
    "notify_master", "notify_backup", "notify_fault", "notify_stop", "notify", "notify_deleted",
    "notify_master_rx_lower_pri",
)  # fmt: skip
_PLAIN: Final = (
    "source", "multicast_group", "unicast_ttl", "unicast_fault_no_peer", "native_ipv6", "dont_track_primary",
    "track_src_ip", "promote_secondaries", "on_loss", "kernel_rx_buf_size", "use_vmac_addr", "vmac_xmit_base",
    "vrf", "debug",
)  # fmt: skip
#: Words that take their default from global_defs, with the built-in one.
_INHERITED: Final = {
    "check_unicast_src": False, "lower_prio_no_advert": False, "higher_prio_send_advert": None,
    "owner_ignore_adverts": False, "skip_check_adv_addr": False, "v3_checksum_as_v2": False, "strict": False,
    "notify_priority_changes": False, "down_timer_adverts": 3,
}  # fmt: skip


class InstanceBuilder:
    """Builds all instances of one load."""

    def __init__(self, context: Context, settings: Draft, scripts: Scripts, trackers: Trackers) -> None:
        self._context = context
        self._settings = settings
        self._scripts = scripts
        self._trackers = trackers
        dynamic = "dynamic_interfaces" in settings.values
        self._lines = AddressLines(context, dynamic=dynamic)
        self._routing = RoutingLines(context, frozenset(), dynamic=dynamic)
        self._vmac_names: dict[str, Draft] = {}
        self._routers: dict[tuple[str | None, int, Family], list[tuple[Draft, VrrpInstance]]] = {}

    def build(self, draft: Draft) -> VrrpInstance | None:
        """One instance; None when it cannot run, which is reported."""
        if not self._can_run(draft):
            self._look_at_rest(draft)
            return None
        name, context = draft.name, self._context
        values: dict[str, Any] = {field: draft.values[field] for field in _PLAIN if field in draft.values}
        for field, built_in in _INHERITED.items():
            values[field] = draft.get(field, self._settings.get(field, built_in))
        family = self._lines.family(draft)
        self._lines.check_family(draft, family, values)
        values["version"] = self._version(draft, family)
        peers = build_peers(context, draft, family)
        values |= {"unicast_peers": peers, "unicast_without_peers": "unicast_peers" in draft.values and not peers}
        addresses, excluded = self._lines.addresses(draft, family)
        if not self._lines.enough_addresses(draft, addresses, excluded, values):
            return None
        values |= {"addresses": addresses, "excluded_addresses": excluded}
        values["routes"] = self._routing.routes(draft.get("routes", ()))
        values["rules"] = self._routing.rules(draft.get("rules", ()))
        values |= self._priority(draft)
        values |= self._preemption(draft, values)
        values["advert_interval_us"] = self._advert_interval(draft, values["version"])
        hmac = build_hmac(context, draft)
        values["auth_hmac"] = hmac
        values["authentication"] = build_authentication(context, draft, values["version"], hmac is not None)
        self._check_state_with_ah(draft, values)
        values["garp"] = build_garp(context, draft, self._settings)
        values["vmac"] = self._own_name(draft, build_vmac(context, draft, family))
        values |= self._odd_words(draft, values)
        for entry in draft.get("track_interface", ()):
            self._lines.check_device(draft, entry, "name")
        values |= self._trackers.references(draft, f"({name})")
        self._drop_own_interface(draft, values)
        values |= {field: self._scripts.resolve(draft.get(field)) for field in _SCRIPTS}
        values["use_deleted_state"] = "notify_deleted" in draft.values
        alert = self._settings.get("smtp_alert_vrrp", self._settings.get("smtp_alert", False))
        values["smtp_alert"] = draft.get("smtp_alert", alert)
        if values["strict"] and not apply_strict(context, draft, values, family):
            return None
        instance = VrrpInstance(name=name, vrid=draft.values["vrid"], interface=draft.get("interface"), **values)
        self._check_unique(draft, instance, family)
        return instance

    def _can_run(self, draft: Draft) -> bool:
        """Whether it has what no instance can do without: a place to run, and a VRID; what is wrong is reported."""
        name = draft.name
        context = self._context
        for field in ("interface", "vrf"):
            self._lines.check_interface(draft, field)
        if draft.get("interface") == "lo":
            context.error(
                "loopback-interface",
                f"({name}) VRRP does not run on the loopback interface, the instance is left out",
                draft.where["interface"],
                1,
            )
            return False
        if "interface" in draft.values and "vrf" in draft.values:
            context.error(
                "interface-and-vrf", f"({name}) has an interface, vrf is not looked at", draft.where["vrf"], 0
            )
            del draft.values["vrf"]
        if "interface" not in draft.values and not ("vrf" in draft.values or "unicast_peers" in draft.values):
            context.error(
                "missing-interface", f"({name}) has no `interface`, it is left out", draft.statement, 1,
                help="write `interface NAME`",
            )  # fmt: skip
            return False
        if "vrid" not in draft.values:
            if "vrid" not in draft.refused:
                context.error(
                    "missing-vrid", f"({name}) has no usable `virtual_router_id`, it is left out", draft.statement, 1,
                    help="write `virtual_router_id NUMBER`, 1 to 255",
                )  # fmt: skip
            return False
        return True

    def _look_at_rest(self, draft: Draft) -> None:
        """Of an instance that is left out the interfaces and scripts count all the same."""
        for entry in (*draft.get("addresses", ()), *draft.get("excluded_addresses", ())):
            self._lines.check_device(draft, entry)
        for entry in draft.get("track_interface", ()):
            self._lines.check_device(draft, entry, "name")
        for field in _SCRIPTS:
            self._scripts.resolve(draft.get(field))

    # ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _version(self, draft: Draft, family: Family) -> int:
        version = int(draft.get("version", self._settings.get("version", 2)))
        if family is Family.INET:
            return version
        if draft.get("version") == 2:
            self._context.error(
                "wrong-version",
                f"({draft.name}) VRRPv2 knows IPv4 only, version 3 is taken",
                draft.where["version"],
                1,
                help="write `version 3`",
            )
        return 3

    def _priority(self, draft: Draft) -> dict[str, Any]:
        state = draft.get("initial_state", VrrpState.BACKUP)
        # `state MASTER` owns the addresses unless a priority is named, be it a wrong one.
        default = _OWNER if state is VrrpState.MASTER and "priority" not in draft.refused else 100
        return {"initial_state": state, "priority": draft.get("priority", default)}

    def _check_state_with_ah(self, draft: Draft, values: dict[str, Any]) -> None:
        """An AH master that starts over would send sequence numbers that its peers have seen; only an owner may."""
        authentication = values["authentication"]
        if authentication is None or authentication.type is not AuthType.AH:
            return
        if values["initial_state"] is VrrpState.MASTER and values["priority"] != _OWNER:
            self._context.error(
                "master-with-ah",
                f"({draft.name}) state MASTER does not go with AH authentication, BACKUP is taken",
                draft.where["initial_state"],
                1,
                help="write `state BACKUP`",
            )
            values["initial_state"] = VrrpState.BACKUP

    def _preemption(self, draft: Draft, values: dict[str, Any]) -> dict[str, Any]:
        context = self._context
        nopreempt = draft.get("preempt", True) is False
        delay_us = draft.get("preempt_delay_us", 0)
        master = values["initial_state"] is VrrpState.MASTER
        if nopreempt and values["priority"] == _OWNER:
            context.warning(
                "nopreempt-useless", f"({draft.name}) nopreempt does not go with priority 255, it is not looked at",
                draft.where["preempt"], 0,
            )  # fmt: skip
            nopreempt = False
        elif nopreempt and master:
            context.warning(
                "nopreempt-useless", f"({draft.name}) nopreempt does not work with state MASTER, it is not looked at",
                draft.where["preempt"], 0, help="write `state BACKUP`",
            )  # fmt: skip
            nopreempt = False
        if delay_us and nopreempt:
            context.warning(
                "preempt-delay-useless", f"({draft.name}) preempt_delay does not go with nopreempt and is ignored",
                draft.where["preempt_delay_us"], 0,
            )  # fmt: skip
            delay_us = 0
        elif delay_us and (master or values["priority"] == _OWNER):
            context.warning(
                "preempt-delay-useless",
                f"({draft.name}) preempt_delay does not work with state MASTER or priority 255, it is not looked at",
                draft.where["preempt_delay_us"], 0,
            )  # fmt: skip
            delay_us = 0
        sync_us = self._preempt_after_sync(draft, nopreempt or master or values["priority"] == _OWNER)
        return {"nopreempt": nopreempt, "preempt_delay_us": delay_us, "preempt_after_sync_us": sync_us}

    def _preempt_after_sync(self, draft: Draft, useless: bool) -> int:
        sync_us = int(draft.get("preempt_after_sync_us", 0))
        if sync_us and useless:
            self._context.warning(
                "preempt-after-sync-useless",
                f"({draft.name}) preempt_after_sync does not go with nopreempt, state MASTER or priority 255 and is "
                "ignored",
                draft.where["preempt_after_sync_us"], 0, help="write `state BACKUP` and a priority below 255",
            )  # fmt: skip
            return 0
        return sync_us

    def _advert_interval(self, draft: Draft, version: int) -> int:
        interval_us = int(draft.get("advert_interval_us", SECOND_US))
        if version == 2:
            taken = max(1, (interval_us + SECOND_US // 2) // SECOND_US) * SECOND_US
        else:
            taken = min(_LONGEST_V3_US, max(1, (interval_us + CENTISECOND_US // 2) // CENTISECOND_US) * CENTISECOND_US)
        if taken != interval_us:
            unit = "whole seconds" if version == 2 else "hundredths of a second up to 40.95"
            self._context.warning(
                "advert-interval-rounded",
                f"({draft.name}) VRRPv{version} sends {unit}, {format_seconds(taken)} s is taken",
                draft.where["advert_interval_us"],
                1,
            )
        return taken

    def _odd_words(self, draft: Draft, values: dict[str, Any]) -> dict[str, Any]:
        """Words whose value has a meaning of its own when it is missing, or goes together with others."""
        taken: dict[str, Any] = {}
        if "use_vmac" in draft.values and "unicast_peers" in draft.values:
            taken["vmac_xmit_base"] = True
        if "use_vmac" in draft.values and draft.get("promote_secondaries"):
            self._context.warning(
                "vmac-promotes",
                f"({draft.name}) a virtual MAC promotes secondary addresses anyway, the word is not looked at",
                draft.where["promote_secondaries"],
                0,
                help="leave it out",
            )
            taken["promote_secondaries"] = False
        if "old_unicast_checksum" in draft.values:
            taken["old_unicast_checksum"] = draft.values["old_unicast_checksum"] or "always"
        if "accept" in draft.values:
            taken["accept"] = draft.values["accept"]
        if "timer_expired_backup" in draft.values:
            if draft.get("preempt", True):
                self._context.warning(
                    "timer-expired-useless",
                    f"({draft.name}) timer_expired_backup needs nopreempt, it is not looked at",
                    draft.where["timer_expired_backup"],
                    0,
                )
            else:
                taken["timer_expired_backup"] = draft.values["timer_expired_backup"] or 254
        if values["priority"] != _OWNER:
            if draft.get("owner_ignore_adverts"):
                self._context.warning(
                    "owner-only", f"({draft.name}) owner_ignore_adverts belongs to priority 255, it is not looked at",
                    draft.where["owner_ignore_adverts"], 0,
                )  # fmt: skip
            taken["owner_ignore_adverts"] = False
        if draft.where.get("skip_check_adv_addr") is not None:
            # keepalived-behaviour 16 number 4: the value in an instance is ignored, any use switches it on.
            taken["skip_check_adv_addr"] = True
        return taken

    def _drop_own_interface(self, draft: Draft, values: dict[str, Any]) -> None:
        """An instance tracks its own interface anyway, unless dont_track_primary, and keepalived drops the line."""
        for entry in draft.get("track_interface", ()):
            if entry.values["name"] == draft.get("interface"):
                self._context.warning(
                    "own-interface",
                    f"({draft.name}) tracks its own interface anyway, the line is not looked at",
                    entry.statement,
                    entry.places["name"],
                    help="leave it out, or write `dont_track_primary`",
                )
        values["track_interfaces"] = tuple(
            tracked for tracked in values["track_interfaces"] if tracked.ifname != draft.get("interface")
        )

    def _own_name(self, draft: Draft, vmac: VmacSettings | None) -> VmacSettings | None:
        """The name of a virtual MAC interface belongs to the first instance that gives it."""
        if vmac is None or vmac.ifname is None:
            return vmac
        first = self._vmac_names.setdefault(vmac.ifname, draft)
        if first is draft:
            return vmac
        assert first.statement is not None
        self._context.error(
            "vmac-name-taken",
            f"({draft.name}) the interface name `{vmac.ifname}` belongs to ({first.name}), it is not used here",
            draft.where["use_vmac" if vmac.kind == "macvlan" else "use_ipvlan"],
            1,
            secondary=(Label(first.statement.span(), "the first one"),),
            help="give it a name of its own, or none",
        )
        return msgspec.structs.replace(vmac, ifname=None)

    def _check_unique(self, draft: Draft, instance: VrrpInstance, family: Family) -> None:
        """Two instances may share a VRID on an interface when groups, senders or peers tell their adverts apart."""
        if instance.unicast_peers and instance.interface is None:
            return
        others = self._routers.setdefault((instance.interface, instance.vrid, family), [])
        first = next((other for other, taken in others if _same_adverts(taken, instance)), None)
        others.append((draft, instance))
        if first is None:
            return
        ipv = 4 if family is Family.INET else 6
        self._context.error(
            "duplicate-vrid",
            f"({first.name}) and ({draft.name}) both use VRID {instance.vrid} with IPv{ipv} on {instance.interface}",
            draft.where["vrid"],
            1,
            secondary=(Label(first.where["vrid"].span(1), "the first one"),),
            exit_class=ExitClass.GENERAL,
        )


def _same_adverts(one: VrrpInstance, other: VrrpInstance) -> bool:
    """Whether the two could not tell each other's adverts from their own peers'."""
    if bool(one.unicast_peers) is not bool(other.unicast_peers):
        return False
    if not one.unicast_peers:
        return one.multicast_group == other.multicast_group
    peers = {peer.address for peer in one.unicast_peers} & {peer.address for peer in other.unicast_peers}
    return one.source == other.source and bool(peers)
