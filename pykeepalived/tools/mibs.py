"""Writes the MIB modules from the tables that answer: `python -m pykeepalived.tools.mibs [DIRECTORY]`.

Names, numbers and types are those that management stations know; every sentence in the modules is a table's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.notify.snmp import modules, syntax
from pykeepalived.notify.snmp.codec import Oid
from pykeepalived.notify.snmp.tree import Column, Syntax, Table

DIRECTORY: Final = Path("contrib/snmp")

_IMPORTS: Final = {
    "SNMPv2-SMI": ("MODULE-IDENTITY", "OBJECT-TYPE", "NOTIFICATION-TYPE", "Integer32", "Unsigned32", "Counter32",
                   "Counter64", "Gauge32", "TimeTicks", "IpAddress", "enterprises", "mib-2"),
    "SNMPv2-TC": ("TEXTUAL-CONVENTION", "DisplayString", "TruthValue", "MacAddress", "RowStatus", "TimeStamp",
                  "TimeInterval"),
    "INET-ADDRESS-MIB": ("InetAddressType", "InetAddress", "InetPortNumber", "InetAddressPrefixLength",
                         "InetScopeType"),
    "IF-MIB": ("InterfaceIndex", "ifIndex"),
}  # fmt: skip


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """What one module has besides its tables."""

    name: str
    tables: tuple[Table, ...]
    nodes: tuple[tuple[str, str, int], ...]
    """Name, parent and number of nodes without a value; the first is the module itself."""
    conventions: tuple[tuple[str, str], ...] = ()
    notifications: tuple[tuple[str, str, int, tuple[str, ...], str], ...] = ()
    help: str


def _words(kind: Syntax) -> str:
    return "INTEGER { " + ", ".join(f"{word}({number})" for word, number in kind.words.items()) + " }"


KEEPALIVED: Final = Text(
    name="KEEPALIVED-MIB",
    tables=(*modules.GLOBAL.tables, *modules.VRRP.tables, *modules.CHECK.tables),
    nodes=(
        ("keepalived", "project", 5), ("debian", "enterprises", 9586), ("project", "debian", 100),
        ("global", "keepalived", 1), ("mail", "global", 3), ("vrrp", "keepalived", 2), ("check", "keepalived", 3),
        ("vrrpTrap", "vrrp", 10), ("vrrpTraps", "vrrpTrap", 0), ("checkTrap", "check", 5),
        ("checkTraps", "checkTrap", 0), ("lvsSyncDaemon", "check", 6), ("lvsTimeouts", "check", 7),
    ),
    conventions=(
        *(
            (kind.text, _words(kind))
            for kind in (syntax.STATE, syntax.ROUTE_TYPE, syntax.RULE_ACTION, syntax.PREFERENCE, syntax.ENCAPSULATION)
        ),
        ("Realm", "Unsigned32 (1..65535)"),
    ),
    notifications=(
        ("vrrpSyncGroupStateChange", "vrrpTraps", 1, ("vrrpSyncGroupName", "vrrpSyncGroupState", "routerId"),
         "A sync group has changed its state."),
        ("vrrpInstanceStateChange", "vrrpTraps", 2,
         ("vrrpInstanceName", "vrrpInstanceState", "vrrpInstanceInitialState", "routerId"),
         "An instance has changed its state."),
        ("realServerStateChange", "checkTraps", 1,
         ("realServerAddrType", "realServerAddress", "realServerPort", "realServerStatus", "virtualServerType",
          "virtualServerProtocol", "virtualServerRealServersUp", "virtualServerRealServersTotal", "routerId"),
         "A real server has died or come back; what the virtual server is known by is added."),
        ("virtualServerQuorumStateChange", "checkTraps", 2,
         ("virtualServerType", "virtualServerProtocol", "virtualServerQuorumStatus", "virtualServerQuorum",
          "virtualServerRealServersUp", "virtualServerRealServersTotal", "routerId"),
         "A virtual server has lost or regained its quorum; what it is known by is added."),
    ),
    help="VRRP, health checks and load balancing of keepalived and pykeepalived.",
)  # fmt: skip
VRRP: Final = Text(
    name="VRRP-MIB",
    tables=modules.RFC2787.tables,
    nodes=(("vrrpMIB", "mib-2", 68), ("vrrpNotifications", "vrrpMIB", 0), ("vrrpOperations", "vrrpMIB", 1),
           ("vrrpStatistics", "vrrpMIB", 2)),
    conventions=(("VrId", "Integer32 (1..255)"),),
    notifications=(
        ("vrrpTrapNewMaster", "vrrpNotifications", 1, ("vrrpOperMasterIpAddr",), "This router has become master."),
        ("vrrpTrapAuthFailure", "vrrpNotifications", 2, ("vrrpTrapPacketSrc", "vrrpTrapAuthErrorType"),
         "A packet without the right authentication came; one a second is told of for each virtual router."),
    ),
    help="Virtual routers of VRRP version 2: the objects of RFC 2787 that are served here.",
)  # fmt: skip
VRRPV3: Final = Text(
    name="VRRPV3-MIB",
    tables=modules.RFC6527.tables,
    nodes=(("vrrpv3MIB", "mib-2", 207), ("vrrpv3Notifications", "vrrpv3MIB", 0), ("vrrpv3Objects", "vrrpv3MIB", 1),
           ("vrrpv3Operations", "vrrpv3Objects", 1), ("vrrpv3Statistics", "vrrpv3Objects", 2)),
    conventions=(("Vrrpv3VrIdTC", "Integer32 (1..255)"),),
    notifications=(
        ("vrrpv3NewMaster", "vrrpv3Notifications", 1,
         ("vrrpv3OperationsMasterIpAddr", "vrrpv3StatisticsNewMasterReason"), "This router has become master."),
        ("vrrpv3ProtoError", "vrrpv3Notifications", 2, ("vrrpv3StatisticsProtoErrReason",),
         "A packet that breaks the protocol came; one a second is told of for each virtual router."),
    ),
    help="Virtual routers of VRRP over IPv4 and IPv6: the objects of RFC 6527 that are served here.",
)  # fmt: skip
MODULES: Final = (KEEPALIVED, VRRP, VRRPV3)


def module(text: Text) -> str:
    """One module."""
    return "\n".join(_lines(text)) + "\n"


def _lines(text: Text) -> Iterator[str]:
    body = [*_body(text)]
    used = set(re.findall(r"[A-Za-z][\w-]*", "\n".join(body)))
    yield f"{text.name} DEFINITIONS ::= BEGIN"
    yield ""
    yield "IMPORTS"
    sources = [(source, [name for name in names if name in used]) for source, names in _IMPORTS.items()]
    wanted = [f"    {', '.join(names)}\n        FROM {source}" for source, names in sources if names]
    yield "\n".join(wanted) + ";"
    yield from body
    yield "END"


def _body(text: Text) -> Iterator[str]:
    (name, parent, number), *nodes = text.nodes
    yield ""
    yield f"{name} MODULE-IDENTITY"
    yield '    LAST-UPDATED "202611210000Z"'
    yield '    ORGANIZATION "pykeepalived"'
    yield '    CONTACT-INFO "See the documentation of pykeepalived."'
    yield f'    DESCRIPTION "{text.help}"'
    yield f"    ::= {{ {parent} {number} }}"
    for name, parent, number in nodes:
        yield ""
        yield f"{name} OBJECT IDENTIFIER ::= {{ {parent} {number} }}"
    for name, meaning in text.conventions:
        yield ""
        yield f"{name} ::= TEXTUAL-CONVENTION"
        yield "    STATUS current"
        yield f'    DESCRIPTION "Values of the objects of type {name}."'
        yield f"    SYNTAX {meaning}"
    names = _names(text)
    for table in text.tables:
        yield from _table(table, names)
    for name, parent, number, objects, told in text.notifications:
        yield ""
        yield f"{name} NOTIFICATION-TYPE"
        yield f"    OBJECTS {{ {', '.join(objects)} }}"
        yield "    STATUS current"
        yield f'    DESCRIPTION "{told}"'
        yield f"    ::= {{ {parent} {number} }}"


def _names(text: Text) -> dict[Oid, str]:
    """The nodes of a module by their full number."""
    roots: dict[str, Oid] = {"enterprises": (1, 3, 6, 1, 4, 1), "mib-2": (1, 3, 6, 1, 2, 1)}
    pending = list(text.nodes)
    while pending:
        for node in [*pending]:
            if node[1] in roots:
                roots[node[0]] = (*roots[node[1]], node[2])
                pending.remove(node)
    return {oid: name for name, oid in roots.items()}


def _table(table: Table, names: dict[Oid, str]) -> Iterator[str]:
    if not table.index:
        for column in table.columns:
            yield from _object(column, names[table.oid])
        return
    entry = _entry_name(table)
    kind = entry[0].upper() + entry[1:]
    name = entry.removesuffix("Entry") + "Table"
    yield ""
    yield f"{name} OBJECT-TYPE"
    yield f"    SYNTAX SEQUENCE OF {kind}"
    yield "    MAX-ACCESS not-accessible"
    yield "    STATUS current"
    yield f'    DESCRIPTION "A table: {table.help}."'
    yield f"    ::= {{ {names[table.oid[:-2]]} {table.oid[-2]} }}"
    yield ""
    yield f"{entry} OBJECT-TYPE"
    yield f"    SYNTAX {kind}"
    yield "    MAX-ACCESS not-accessible"
    yield "    STATUS current"
    yield f'    DESCRIPTION "A row: {table.help}."'
    yield f"    INDEX {{ {', '.join(table.index)} }}"
    yield f"    ::= {{ {name} 1 }}"
    yield ""
    members = ",\n".join(f"    {column.name} {_plain(column.syntax)}" for column in table.columns)
    yield f"{kind} ::= SEQUENCE {{\n{members}\n}}"
    for column in table.columns:
        yield from _object(column, entry)


def _entry_name(table: Table) -> str:
    """RFC 6527 calls one table without a name of its own."""
    return {"vrrpv3StatisticsRow": "vrrpv3StatisticsEntry"}.get(table.name, f"{table.name}Entry")


def _plain(kind: Syntax) -> str:
    """The type without its range or its words, as a SEQUENCE has it."""
    return re.sub(r"\s*[({].*", "", kind.text)


def _object(column: Column, parent: str) -> Iterator[str]:
    yield ""
    yield f"{column.name} OBJECT-TYPE"
    yield f"    SYNTAX {column.syntax.text}"
    yield f"    MAX-ACCESS {column.access}"
    yield f"    STATUS {column.status}"
    yield f'    DESCRIPTION "{column.help}"'
    yield f"    ::= {{ {parent} {column.number} }}"


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    for text in MODULES:
        (directory / f"{text.name}.txt").write_text(module(text), encoding="utf-8")


if __name__ == "__main__":
    main()
