"""Notifications: which event of the daemon is which trap of which MIB, and what it carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pykeepalived.model.agents import AgentSettings
from pykeepalived.notify.snmp import (
    mib_check,
    mib_global,
    mib_rfc2787,
    mib_rfc6527,
    mib_servers,
    mib_vrrp,
)
from pykeepalived.notify.snmp.codec import Oid, Tag, VarBind
from pykeepalived.notify.snmp.facts import Facts, Service
from pykeepalived.notify.snmp.syntax import address
from pykeepalived.notify.snmp.tree import Column, Table, bind

Trap = tuple[Oid, list[VarBind]]

TRAP_OID: Final = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
GROUP_CHANGED: Final = (*mib_vrrp.VRRP, 10, 0, 1)
INSTANCE_CHANGED: Final = (*mib_vrrp.VRRP, 10, 0, 2)
SERVER_CHANGED: Final = (*mib_check.CHECK, 5, 0, 1)
QUORUM_CHANGED: Final = (*mib_check.CHECK, 5, 0, 2)
NEW_MASTER: Final = (*mib_rfc2787.ROOT, 0, 1)
NEW_MASTER_3: Final = (*mib_rfc6527.ROOT, 0, 1)
AUTH_FAILURE: Final = (*mib_rfc2787.ROOT, 0, 2)
PROTO_ERROR: Final = (*mib_rfc6527.ROOT, 0, 2)
#: Refusals of authentication by name, and what RFC 2787 calls them; breaches of the protocol as RFC 6527 calls them.
_AUTH_ERRORS: Final = {
    "auth-type-invalid": "invalidAuthType",
    "auth-type-mismatch": "authTypeMismatch",
    "auth-failure": "authFailure",
    "ah-malformed": "authFailure",
    "ah-replay": "authFailure",
}
_PROTO_ERRORS: Final = {"ttl": "ipTtlError", "version": "versionError", "checksum": "checksumError"}

_STATES: Final = {"STOP": "shutdown", "DELETED": "deleted", "STANDBY": "backup"}


def _columns(tables: tuple[Table, ...]) -> dict[str, tuple[Oid, Column]]:
    return {column.name: ((*table.oid, column.number), column) for table in tables for column in table.columns}


_KNOWN: Final = {
    **_columns(mib_global.TABLES),
    **_columns(mib_vrrp.TABLES),
    **_columns(mib_check.TABLES),
    **_columns(mib_servers.TABLES),
    **_columns(mib_rfc2787.TABLES),
    **_columns(mib_rfc6527.TABLES),
}


def _value(name: str, row: Any, value: Any = None, *, index: Oid = ()) -> VarBind:
    """An object of a trap. keepalived's own traps name columns without an index, as the original's do."""
    prefix, column = _KNOWN[name]
    found = column.read(row) if value is None else value
    if found is None:
        return VarBind((*prefix, *index), Tag.NULL)
    return bind((*prefix, *index), column, found)


def traps(event: Mapping[str, Any], facts: Facts, settings: AgentSettings) -> list[Trap]:
    """What an event of `keepalivedctl events` is worth."""
    match event["event"]:
        case "vrrp-state" if event["kind"] == "GROUP":
            return _group(event, facts) if settings.enable_snmp_vrrp else []
        case "vrrp-state":
            return _instance(event, facts, settings)
        case "packet-refused":
            return _refused(event, facts, settings)
        case "real-server":
            return _server(event, facts) if settings.enable_snmp_checker else []
        case "virtual-server":
            return _quorum(event, facts) if settings.enable_snmp_checker else []
    return []


def _state(word: str) -> str:
    return _STATES.get(word) or mib_vrrp.state(word)


def _router(facts: Facts) -> VarBind:
    return _value("routerId", facts, index=(0,))


def _group(event: Mapping[str, Any], facts: Facts) -> list[Trap]:
    return [
        (
            GROUP_CHANGED,
            [
                _value("vrrpSyncGroupName", None, event["name"]),
                _value("vrrpSyncGroupState", None, _state(event["state"])),
                _router(facts),
            ],
        )
    ]


def _instance(event: Mapping[str, Any], facts: Facts, settings: AgentSettings) -> list[Trap]:
    item = next((each for each in facts.instances if each.config.name == event["name"]), None)
    if item is not None:
        # The facts may be of a moment before.
        item = msgspec.structs.replace(item, status={**item.status, "state": event["state"]})
    found: list[Trap] = []
    if settings.enable_snmp_vrrp:
        binds = [
            _value("vrrpInstanceName", None, event["name"]),
            _value("vrrpInstanceState", None, _state(event["state"])),
        ]
        if item is not None:
            binds.append(_value("vrrpInstanceInitialState", item))
        found.append((INSTANCE_CHANGED, [*binds, _router(facts)]))
    if event["state"] != "MASTER" or item is None or item.index is None:
        return found
    if settings.enable_snmp_rfcv2 and item.config.version == 2:
        place = (item.index, item.config.vrid)
        found.append((NEW_MASTER, [_value("vrrpOperMasterIpAddr", item, index=place)]))
    if settings.enable_snmp_rfcv3:
        place_3 = mib_rfc6527.index(item)
        binds = [
            _value("vrrpv3OperationsMasterIpAddr", item, index=place_3),
            _value("vrrpv3StatisticsNewMasterReason", item, index=place_3),
        ]
        found.append((NEW_MASTER_3, binds))
    return found


def _refused(event: Mapping[str, Any], facts: Facts, settings: AgentSettings) -> list[Trap]:
    item = next((each for each in facts.instances if each.config.name == event["instance"]), None)
    if item is None or item.index is None:
        return []
    kind = _AUTH_ERRORS.get(event["reason"])
    # RFC 2787 knows version 2 and IPv4 alone.
    if kind is not None and settings.enable_snmp_rfcv2 and item.config.version == 2 and ":" not in event["source"]:
        source = _value("vrrpTrapPacketSrc", None, address(event["source"]), index=(0,))
        return [(AUTH_FAILURE, [source, _value("vrrpTrapAuthErrorType", None, kind, index=(0,))])]
    error = _PROTO_ERRORS.get(event["reason"])
    if error is None or not settings.enable_snmp_rfcv3:
        return []
    place = mib_rfc6527.index(item)
    return [(PROTO_ERROR, [_value("vrrpv3StatisticsProtoErrReason", item, error, index=place)])]


def _service(facts: Facts, key: str) -> Service | None:
    return next((item for item in facts.services if item.status.get("key") == key), None)


def _identity(service: Service) -> list[VarBind]:
    return [
        _value("virtualServerType", service),
        *(
            _value(name, service)
            for name in ("virtualServerNameOfGroup", "virtualServerFwMark", "virtualServerAddrType",
                         "virtualServerAddress", "virtualServerPort")
            if _KNOWN[name][1].read(service) is not None
        ),
        _value("virtualServerProtocol", service),
    ]  # fmt: skip


def _server(event: Mapping[str, Any], facts: Facts) -> list[Trap]:
    service = _service(facts, event["service"])
    if service is None:
        return []
    for server in facts.servers:
        if server.service is service and server.status.get("name") == event["server"]:
            binds = [
                _value("realServerAddrType", server),
                _value("realServerAddress", server),
                _value("realServerPort", server),
                _value("realServerStatus", server, "alive" if event["state"] == "UP" else "dead"),
                *_identity(service),
                _value("virtualServerRealServersUp", service),
                _value("virtualServerRealServersTotal", service),
                _router(facts),
            ]
            return [(SERVER_CHANGED, binds)]
    return []


def _quorum(event: Mapping[str, Any], facts: Facts) -> list[Trap]:
    service = _service(facts, event["service"])
    if service is None:
        return []
    word = {"UP": "met", "DOWN": "notMet"}.get(event["state"], "shutdown")
    binds = [
        *_identity(service),
        _value("virtualServerQuorumStatus", service, word),
        _value("virtualServerQuorum", service),
        _value("virtualServerRealServersUp", service),
        _value("virtualServerRealServersTotal", service),
        _router(facts),
    ]
    return [(QUORUM_CHANGED, binds)]
