"""The types of our MIB modules: SMIv2's, textual conventions of other modules, and those of KEEPALIVED-MIB."""

from __future__ import annotations

import ipaddress
from typing import Final

from pykeepalived.notify.snmp.codec import Tag
from pykeepalived.notify.snmp.tree import Syntax


def numbers(**words: int) -> Syntax:
    """INTEGER with named numbers."""
    listed = ", ".join(f"{word}({number})" for word, number in words.items())
    return Syntax(f"INTEGER {{ {listed} }}", Tag.INTEGER, words)


TEXT: Final = Syntax("DisplayString", Tag.STRING)
INT: Final = Syntax("Integer32", Tag.INTEGER)
INDEX: Final = Syntax("Integer32 (1..2147483647)", Tag.INTEGER)
WEIGHT: Final = Syntax("Integer32 (-254..254)", Tag.INTEGER)
UNSIGNED: Final = Syntax("Unsigned32", Tag.GAUGE)
BYTE: Final = Syntax("Unsigned32 (0..255)", Tag.GAUGE)
GAUGE: Final = Syntax("Gauge32", Tag.GAUGE)
COUNT: Final = Syntax("Counter32", Tag.COUNTER)
COUNT64: Final = Syntax("Counter64", Tag.COUNTER64)
TRUTH: Final = Syntax("TruthValue", Tag.INTEGER, {"true": 1, "false": 2})
FAMILY: Final = Syntax("InetAddressType", Tag.INTEGER, {"unknown": 0, "ipv4": 1, "ipv6": 2})
ADDRESS: Final = Syntax("InetAddress", Tag.STRING)
PORT: Final = Syntax("InetPortNumber", Tag.GAUGE)
PREFIX: Final = Syntax("InetAddressPrefixLength", Tag.GAUGE)
SCOPE: Final = Syntax("InetScopeType", Tag.INTEGER)
INTERFACE: Final = Syntax("InterfaceIndex", Tag.INTEGER)
IP4: Final = Syntax("IpAddress", Tag.ADDRESS)
MAC: Final = Syntax("MacAddress", Tag.STRING)
ROW_STATUS: Final = Syntax("RowStatus", Tag.INTEGER, {"active": 1, "notInService": 2})
STAMP: Final = Syntax("TimeStamp", Tag.TICKS)
TICKS: Final = Syntax("TimeTicks", Tag.TICKS)
INTERVAL: Final = Syntax("TimeInterval (1..4095)", Tag.INTEGER)

ENABLED: Final = numbers(enabled=1, disabled=2)
#: KEEPALIVED-MIB spells some truth values out.
TRUE_FALSE: Final = numbers(true=1, false=2)
SET: Final = numbers(set=1, unset=2)
ALIVE: Final = numbers(alive=1, dead=2)
METHOD: Final = numbers(nat=1, dr=2, tun=3)
TUNNEL: Final = numbers(ipip=1, gue=2, gre=3)
CHECKSUM: Final = numbers(nocsum=1, csum=2, remcsum=3)
WHEN_DOWN: Final = numbers(remove=1, inhibit=2)

#: Textual conventions of KEEPALIVED-MIB.
STATE: Final = Syntax(
    "VrrpState",
    Tag.INTEGER,
    {"init": 0, "backup": 1, "master": 2, "fault": 3, "unknown": 4, "shutdown": 5, "deleted": 6},
)
ROUTE_TYPE: Final = Syntax(
    "RouteType",
    Tag.INTEGER,
    {"unicast": 1, "ecmp": 2, "blackhole": 3, "anycast": 4, "multicast": 5, "broadcast": 6, "unreachable": 7,
     "prohibit": 8, "throw": 9, "nat": 10, "xresolve": 11},
)  # fmt: skip
RULE_ACTION: Final = Syntax(
    "RuleAction", Tag.INTEGER,
    {"table": 1, "goto": 2, "nop": 3, "blackhole": 6, "unreachable": 7, "prohibit": 8},
)  # fmt: skip
REALM: Final = Syntax("Realm", Tag.GAUGE)
PREFERENCE: Final = Syntax("PrefType", Tag.INTEGER, {"low": 1, "medium": 2, "high": 3})
ENCAPSULATION: Final = Syntax("EncapType", Tag.INTEGER, {"mpls": 1, "ip": 2, "ila": 3, "ip6": 4})


def address(text: str | None) -> bytes | None:
    """An address as InetAddress has it."""
    if text is None:
        return None
    try:
        return ipaddress.ip_address(text.partition("%")[0]).packed
    except ValueError:
        return None


def family(text: str | None) -> str | None:
    """The word of InetAddressType for an address."""
    packed = address(text)
    return None if packed is None else "ipv4" if len(packed) == 4 else "ipv6"
