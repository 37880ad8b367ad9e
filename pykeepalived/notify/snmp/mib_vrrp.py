"""KEEPALIVED-MIB, branch 2: instances, groups and addresses. Trackers and routing have files of their own."""

# fmt: off

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pykeepalived.model.common import Family
from pykeepalived.model.vrrp import VirtualAddress
from pykeepalived.notify.snmp.codec import Tag
from pykeepalived.notify.snmp.facts import Facts, Instance, Rows, command
from pykeepalived.notify.snmp.mib_global import ROOT
from pykeepalived.notify.snmp.syntax import (
    ADDRESS,
    ENABLED,
    FAMILY,
    INDEX,
    INT,
    INTERFACE,
    PREFIX,
    SCOPE,
    SET,
    STATE,
    TEXT,
    TRUE_FALSE,
    TRUTH,
    UNSIGNED,
    address,
    family,
    numbers,
)
from pykeepalived.notify.snmp.tree import Column, Syntax, Table
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp.facts import instance_family

VRRP: Final = (*ROOT, 2)

#: InetScopeType by the kernel's scope.
_SCOPES: Final = {254: 1, 253: 2, 200: 5, 0: 14}


def on(flag: Any) -> str:
    return "enabled" if flag else "disabled"


def state(name: str) -> str:
    """A state of ours as VrrpState has it; an instance that is held back is BACKUP to others."""
    return {"INIT": "init", "BACKUP": "backup", "STANDBY": "backup", "MASTER": "master", "FAULT": "fault"}.get(
        name, "unknown")


def scope(number: int | None) -> int | None:
    return _SCOPES.get(number or 0, number or 0)


def _groups(facts: Facts) -> Rows:
    return [((item.number,), item) for item in facts.groups]


def _members(facts: Facts) -> Rows:
    known = {item.config.name: item for item in facts.instances}
    return [
        ((group.number, number), known[name].config)
        for group in facts.groups
        for number, name in enumerate(group.config.members, 1)
        if name in known
    ]


def instances(facts: Facts) -> Rows:
    return [((item.number,), item) for item in facts.instances]


class Address:
    """An address of an instance."""

    def __init__(self, owner: Instance, config: VirtualAddress, *, advertised: bool, held: bool) -> None:
        self.owner = owner
        self.config = config
        self.advertised = advertised
        self.held = held

    @property
    def device(self) -> str:
        return self.config.dev or self.owner.config.interface or ""


def addresses(facts: Facts) -> Rows:
    found: Rows = []
    for item in facts.instances:
        held = {(entry["address"], entry["interface"]) for entry in item.status.get("addresses", ()) if entry["set"]}
        both = [(each, True) for each in item.config.addresses]
        both += [(each, False) for each in item.config.excluded_addresses]
        for number, (each, advertised) in enumerate(both, 1):
            place = (str(each.prefix), each.dev or item.config.interface)
            row = Address(item, each, advertised=advertised, held=place in held)
            found.append(((item.number, number), row))
    return found


def _all_set(item: Instance) -> str:
    every = item.status.get("addresses", ())
    return "allSet" if every and all(entry["set"] for entry in every) else "notAllSet"


def _multicast(item: Instance) -> str | None:
    if item.config.unicast_peers:
        return None
    settings = item.facts.config.globals
    built_in = settings.multicast_group6 if instance_family(item.config) is Family.INET6 else settings.multicast_group4
    return item.config.multicast_group or built_in


def _advert_interval(item: Instance) -> int:
    """Seconds of version 2, hundredths of a second of version 3."""
    unit = SECOND_US if item.config.version == 2 else SECOND_US // 100
    return item.config.advert_interval_us // unit


def _syncs(item: Instance) -> bool:
    daemon = item.facts.config.globals.sync_daemon
    return daemon is not None and daemon.instance == item.config.name


def _polled(item: Instance) -> bool:
    config = item.facts.config
    return config.poll_all_links or any(link.ifname == item.config.interface for link in config.polled_links)


_SCRIPTS: Final = ("notify_master", "notify_backup", "notify_fault", "notify_stop", "notify")


def _notifies(config: Any) -> str:
    return on(any(getattr(config, name) is not None for name in _SCRIPTS))


def _script(name: str) -> Callable[[Any], str | None]:
    return lambda item: command(getattr(item.config, name))


TABLES: Final = (
    Table(
        name="vrrpSyncGroup", oid=(*VRRP, 1, 1), rows=_groups, index=("vrrpSyncGroupIndex",), help="sync groups",
        columns=(
            Column(1, "vrrpSyncGroupIndex", INDEX, lambda r: None, "Number of the group.", "not-accessible"),
            Column(2, "vrrpSyncGroupName", TEXT, lambda r: r.config.name, "Name of the group."),
            Column(3, "vrrpSyncGroupState", STATE, lambda r: state(r.status.get("state", "INIT")),
                   "State that all members share."),
            Column(4, "vrrpSyncGroupSmtpAlert", ENABLED, lambda r: on(r.config.smtp_alert),
                   "Whether changes are worth a mail."),
            Column(5, "vrrpSyncGroupNotifyExec", ENABLED, lambda r: _notifies(r.config),
                   "Whether any script is run at changes."),
            Column(6, "vrrpSyncGroupScriptMaster", TEXT, _script("notify_master"), "Script for MASTER."),
            Column(7, "vrrpSyncGroupScriptBackup", TEXT, _script("notify_backup"), "Script for BACKUP."),
            Column(8, "vrrpSyncGroupScriptFault", TEXT, _script("notify_fault"), "Script for FAULT."),
            Column(9, "vrrpSyncGroupScript", TEXT, _script("notify"), "Script for every change."),
            Column(10, "vrrpSyncGroupTrackingWeight", ENABLED, lambda r: on(r.config.tracking_weight),
                   "Whether trackers of members may have weights."),
            Column(11, "vrrpSyncGroupScriptStop", TEXT, _script("notify_stop"), "Script for the stop."),
        ),
    ),
    Table(
        name="vrrpSyncGroupMember", oid=(*VRRP, 2, 1), rows=_members,
        index=("vrrpSyncGroupIndex", "vrrpSyncGroupMemberInstanceIndex"), help="members of sync groups",
        columns=(
            Column(1, "vrrpSyncGroupMemberInstanceIndex", INDEX, lambda r: None, "Number of the member.",
                   "not-accessible"),
            Column(2, "vrrpSyncGroupMemberName", TEXT, lambda r: r.name, "Name of the instance."),
        ),
    ),
    Table(
        name="vrrpInstance", oid=(*VRRP, 3, 1), rows=instances, index=("vrrpInstanceIndex",), help="instances",
        columns=(
            Column(1, "vrrpInstanceIndex", Syntax("Integer32 (0..2147483647)", Tag.INTEGER), lambda r: None,
                   "Number of the instance.", "not-accessible"),
            Column(2, "vrrpInstanceName", TEXT, lambda r: r.config.name, "Name of the instance."),
            Column(3, "vrrpInstanceVirtualRouterId", UNSIGNED, lambda r: r.config.vrid, "Its VRID."),
            Column(4, "vrrpInstanceState", STATE, lambda r: state(r.state), "What it is now."),
            Column(5, "vrrpInstanceInitialState", STATE, lambda r: r.config.initial_state.name.lower(),
                   "What it is to begin as."),
            Column(6, "vrrpInstanceWantedState", STATE, lambda r: state(r.status.get("wanted", "INIT")),
                   "What it is on its way to."),
            Column(7, "vrrpInstanceBasePriority", INT, lambda r: r.config.priority,
                   "The configured priority.", "read-write"),
            Column(8, "vrrpInstanceEffectivePriority", INT,
                   lambda r: r.status.get("effective_priority", r.config.priority), "Priority with all trackers."),
            Column(9, "vrrpInstanceVipsStatus", numbers(allSet=1, notAllSet=2), _all_set,
                   "Whether it holds all its addresses."),
            Column(10, "vrrpInstancePrimaryInterface", TEXT, lambda r: r.config.interface or "", "Its interface."),
            Column(11, "vrrpInstanceTrackPrimaryIf", numbers(tracked=1, notTracked=2),
                   lambda r: "tracked" if any(t.ifname == r.config.interface for t in r.config.track_interfaces)
                   else "notTracked", "Whether its interface is among those in track_interface."),
            Column(12, "vrrpInstanceAdvertisementsInt", UNSIGNED, _advert_interval,
                   "Time between adverts: seconds in version 2, hundredths of a second in version 3."),
            Column(13, "vrrpInstancePreempt", numbers(preempt=1, noPreempt=2),
                   lambda r: "noPreempt" if r.config.nopreempt else "preempt",
                   "Whether it takes over from a lower priority.", "read-write"),
            Column(14, "vrrpInstancePreemptDelay", UNSIGNED, lambda r: r.config.preempt_delay_us // SECOND_US,
                   "Seconds that it waits before it does."),
            Column(15, "vrrpInstanceAuthType", numbers(none=0, password=1, ah=2),
                   lambda r: int(r.config.authentication.type) if r.config.authentication else 0,
                   "Authentication of its adverts."),
            Column(16, "vrrpInstanceLvsSyncDaemon", ENABLED, lambda r: on(_syncs(r)),
                   "Whether it decides the role of the sync daemon.", status="deprecated"),
            Column(17, "vrrpInstanceLvsSyncInterface", TEXT,
                   lambda r: r.facts.config.globals.sync_daemon.interface if _syncs(r) else None,
                   "Interface of the sync daemon.", status="deprecated"),
            Column(18, "vrrpInstanceSyncGroup", TEXT, lambda r: r.status.get("group"), "Its sync group."),
            Column(19, "vrrpInstanceGarpDelay", UNSIGNED, lambda r: r.config.garp.delay_us // SECOND_US,
                   "Seconds until a new MASTER announces its addresses again."),
            Column(20, "vrrpInstanceSmtpAlert", ENABLED, lambda r: on(r.config.smtp_alert),
                   "Whether changes are worth a mail."),
            Column(21, "vrrpInstanceNotifyExec", ENABLED, lambda r: _notifies(r.config),
                   "Whether any script is run at changes."),
            Column(22, "vrrpInstanceScriptMaster", TEXT, _script("notify_master"), "Script for MASTER."),
            Column(23, "vrrpInstanceScriptBackup", TEXT, _script("notify_backup"), "Script for BACKUP."),
            Column(24, "vrrpInstanceScriptFault", TEXT, _script("notify_fault"), "Script for FAULT."),
            Column(25, "vrrpInstanceScriptStop", TEXT, _script("notify_stop"), "Script for the stop."),
            Column(26, "vrrpInstanceScript", TEXT, _script("notify"), "Script for every change."),
            Column(27, "vrrpInstanceAccept", TRUE_FALSE, lambda r: r.config.accept,
                   "Whether packets to its addresses are accepted here.", "read-write"),
            Column(28, "vrrpInstancePromoteSecondaries", TRUE_FALSE, lambda r: r.config.promote_secondaries,
                   "Whether the interface keeps secondary addresses when the first one goes.", "read-write"),
            Column(29, "vrrpInstanceUseLinkbeat", TRUE_FALSE, _polled,
                   "Whether its interface is polled.", "read-write"),
            Column(30, "vrrpInstanceVrrpVersion", numbers(vrrpv2=2, vrrpv3=3), lambda r: r.config.version,
                   "Version of the protocol."),
            Column(31, "vrrpInstanceScriptMstrRxLowerPri", TEXT, _script("notify_master_rx_lower_pri"),
                   "Script for adverts of a lower priority."),
            Column(32, "vrrpInstanceScriptDeleted", TEXT, _script("notify_deleted"), "Script for its removal."),
            Column(33, "vrrpInstanceNotifyDeleted", TRUE_FALSE, lambda r: r.config.use_deleted_state,
                   "Whether its removal is told as a state of its own.", "read-write"),
            Column(34, "vrrpInstanceMulticastAddressType", FAMILY, lambda r: family(_multicast(r)),
                   "The sort of its multicast group."),
            Column(35, "vrrpInstanceMulticastAddress", ADDRESS, lambda r: address(_multicast(r)),
                   "Its multicast group."),
            Column(36, "vrrpInstanceV3ChecksumAsV2", TRUTH, lambda r: r.config.v3_checksum_as_v2,
                   "Whether its checksums leave the pseudo header out."),
        ),
    ),
    Table(
        name="vrrpAddress", oid=(*VRRP, 6, 1), rows=addresses, index=("vrrpInstanceIndex", "vrrpAddressIndex"),
        help="addresses of instances",
        columns=(
            Column(1, "vrrpAddressIndex", INDEX, lambda r: None, "Number of the address.", "not-accessible"),
            Column(2, "vrrpAddressType", FAMILY, lambda r: family(r.config.prefix.address), "Sort of the address."),
            Column(3, "vrrpAddressValue", ADDRESS, lambda r: address(r.config.prefix.address), "The address."),
            Column(4, "vrrpAddressBroadcast", ADDRESS,
                   lambda r: None if ":" in r.config.prefix.address else address(r.config.broadcast or "0.0.0.0"),
                   "Its broadcast address."),
            Column(5, "vrrpAddressMask", PREFIX, lambda r: r.config.prefix.length, "Its prefix length."),
            Column(6, "vrrpAddressScope", SCOPE, lambda r: scope(r.config.scope), "How far it is valid."),
            Column(7, "vrrpAddressIfIndex", INTERFACE, lambda r: r.owner.facts.links.get(r.device),
                   "Number of its interface."),
            Column(8, "vrrpAddressIfName", TEXT, lambda r: r.device, "Name of its interface."),
            Column(9, "vrrpAddressIfAlias", TEXT, lambda r: r.config.label, "Its label."),
            Column(10, "vrrpAddressStatus", SET, lambda r: "set" if r.held else "unset", "Whether it is held now."),
            Column(11, "vrrpAddressAdvertising", numbers(advertised=1, notAdvertised=2),
                   lambda r: "advertised" if r.advertised else "notAdvertised", "Whether adverts list it."),
            Column(12, "vrrpAddressPeer", ADDRESS, lambda r: address(r.config.peer.address) if r.config.peer else None,
                   "The other end of its link."),
        ),
    ),
)
