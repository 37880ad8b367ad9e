"""What things are called in our table, and the words of nft that depend on the address family."""

from __future__ import annotations

from typing import Final

from pykeepalived.lvs.table import DestinationKey, ServiceKey
from pykeepalived.model.common import Family

TABLE: Final = "pykeepalived_lvs"
PROTOCOLS: Final = {6: "tcp", 17: "udp", 132: "sctp"}
#: Sets of counters that the kernel fills itself, an element at the first connection.
COUNTED: Final = ("opened", "inbound", "outbound")


def table_of(family: Family) -> str:
    return f"{word_of(family)} {TABLE}"


def word_of(family: Family) -> str:
    return "ip6" if family is Family.INET6 else "ip"


def type_of(family: Family) -> str:
    return "ipv6_addr" if family is Family.INET6 else "ipv4_addr"


def chain_of(key: ServiceKey) -> str:
    """`tcp_10.0.0.5_80`, `mark_7`: the name of a service's chain, from its key alone."""
    if key.fwmark:
        return f"mark_{key.fwmark}"
    return f"{PROTOCOLS[key.protocol]}_{_word(key.address)}_{key.port}"


def member_chain_of(key: ServiceKey, kept: DestinationKey) -> str:
    return f"{chain_of(key)}__{_word(kept.address)}_{kept.port}"


def clients_of(key: ServiceKey, kept: DestinationKey) -> str:
    """The set of persistent clients of one destination."""
    return f"{member_chain_of(key, kept)}_clients"


def slots_of(key: ServiceKey, kept: DestinationKey) -> str:
    """The set of connections of a destination with an upper threshold."""
    return f"{member_chain_of(key, kept)}_slots"


def track_of(key: ServiceKey, kept: DestinationKey) -> str:
    """The chain that keeps that set."""
    return f"{member_chain_of(key, kept)}_track"


def place_of(key: ServiceKey) -> str:
    """A service as the beginning of a set's element."""
    if key.fwmark:
        return str(key.fwmark)
    protocol = PROTOCOLS[key.protocol]
    return f"{key.address} . {protocol} . {key.port}" if key.port else f"{key.address} . {protocol}"


def member_of(key: ServiceKey, kept: DestinationKey) -> str:
    """A destination as an element of `members` or `marked`."""
    place = str(key.fwmark) if key.fwmark else f"{key.address} . {PROTOCOLS[key.protocol]} . {key.port}"
    return f"{place} . {kept.address} . {kept.port}"


def guard_of(key: ServiceKey, kept: DestinationKey) -> str:
    """The same where ports are not fixed: an element of `members_all` or `marked_to`."""
    return f"{place_of(key)} . {kept.address}"


def flow_expression(family: Family) -> str:
    """Who was called and who answers, the same in every packet of a connection. A rule must name the protocol first."""
    ip = word_of(family)
    return f"ct original {ip} daddr . meta l4proto . ct original proto-dst . ct reply {ip} saddr . ct reply proto-src"


def wide_expression(family: Family) -> str:
    ip = word_of(family)
    return f"ct original {ip} daddr . meta l4proto . ct reply {ip} saddr"


def many(word: str, place: str, name: str, elements: list[str]) -> list[str]:
    """One command for many elements; none for none."""
    return [f"{word} element {place} {name} {{ {', '.join(elements)} }}"] if elements else []


def _word(address: str) -> str:
    return address.replace(":", "_")
