"""Parts of virtual servers: groups, names in messages, quorum, persistence (keepalived-behaviour 10.1 to 10.3)."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.model import (
    AddressSelector,
    Family,
    FwmarkSelector,
    GroupAddress,
    GroupFwmark,
    GroupSelector,
    Protocol,
    RealServer,
    RecoveryRule,
    Selector,
    VirtualServerGroup,
    family_of,
)
from pykeepalived.units import SECOND_US

#: Seconds of persistence where it is on without a time.
PERSISTENCE_S: Final = 360
#: Window and hold time of flap_limit where it has none.
_FLAP_US: Final = 60 * SECOND_US


Identity: TypeAlias = tuple[Selector, Protocol | None, Family | None]


def identity_of(
    selector: Selector, protocol: Protocol | None, family: Family | None, servers: tuple[RealServer, ...]
) -> Identity:
    """What no two services may share. A firewall mark is one service for each family; its servers say which."""
    if not isinstance(selector, FwmarkSelector):
        return selector, protocol, None
    return selector, protocol, family or family_of(servers[0].address)


def build_virtual_groups(context: Context, root: Draft) -> tuple[VirtualServerGroup, ...]:
    groups = []
    for draft in root.get("groups", ()):
        entries: list[GroupAddress | GroupFwmark] = []
        for entry in draft.values["entries"]:
            if "fwmark" in entry.values:
                entries.append(GroupFwmark(entry.values["fwmark"], entry.get("family")))
            elif "range" in entry.values:
                first, last = entry.values["range"]
                entries.append(GroupAddress(first, last, entry.get("port", 0)))
            elif not entry.refused:
                context.error("missing-value", "the line has no address and no fwmark", entry.statement)
        if not entries and not any(entry.refused for entry in draft.values["entries"]):
            context.warning("empty-group", f"virtual_server_group `{draft.name}` has no entries", draft.statement, 1)
        groups.append(VirtualServerGroup(draft.name, tuple(entries)))
    return tuple(groups)


def label_of(selector: Selector, protocol: Protocol | None) -> str:
    """The name of a service in messages (keepalived-behaviour 10.2)."""
    if isinstance(selector, FwmarkSelector):
        return f"FWM {selector.fwmark}"
    if isinstance(selector, GroupSelector):
        return f"[{selector.name}]"
    return f"[{selector.address}]:{protocol.name.lower() if protocol else 'none'}:{selector.port}"


def build_quorum(context: Context, draft: Draft, servers: tuple[RealServer, ...], label: str) -> tuple[int, int]:
    quorum, hysteresis = draft.get("quorum", 1), draft.get("hysteresis", 0)
    total = sum(server.weight for server in servers)
    if quorum > total:
        context.warning(
            "quorum-too-high",
            f"virtual server {label}: quorum {quorum} exceeds the total weight {total}",
            draft.where.get("quorum", draft.statement),
        )
        quorum = max(1, total)
    if hysteresis >= quorum:
        context.error(
            "hysteresis-too-high",
            f"virtual server {label}: hysteresis {hysteresis} must be less than quorum {quorum}, {quorum - 1} is taken",
            draft.where.get("hysteresis", draft.statement),
        )
        hysteresis = quorum - 1
    return quorum, hysteresis


def build_persistence(
    context: Context, draft: Draft, selector: Selector, family: Family | None, label: str
) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    timeout_s = 0
    if "persistence_timeout_s" in draft.values:
        timeout_s = draft.values["persistence_timeout_s"] or PERSISTENCE_S
    if "persistence_granularity" in draft.values:
        kind, length = draft.values["persistence_granularity"]
        if kind == 6 and family is not Family.INET and not 1 <= length <= 128:
            context.error(
                "number-out-of-range",
                f"virtual server {label}: prefix length {length} is outside the range 1..128",
                draft.where["persistence_granularity"],
                1,
            )
        elif family is not None and (family is Family.INET6) != (kind == 6):
            context.error(
                "wrong-family",
                f"virtual server {label}: persistence_granularity is of the other family, it is not looked at",
                draft.where["persistence_granularity"],
                1,
                # Where the service is IPv4 keepalived takes any number.
                exit_class=ExitClass.NONE if kind == 6 else ExitClass.GENERAL,
            )
        else:
            taken["persistence_prefix"] = length
            timeout_s = timeout_s or PERSISTENCE_S
            if isinstance(selector, GroupSelector):
                context.warning(
                    "granularity-of-group",
                    f"virtual server {label}: persistence_granularity does nothing for a group, as in keepalived",
                    draft.where["persistence_granularity"], 0, exit_class=ExitClass.NONE,
                    help="write a virtual server for each address, or leave the word out",
                )  # fmt: skip
    if "persistence_engine" in draft.values:
        timeout_s = timeout_s or PERSISTENCE_S
    if isinstance(selector, AddressSelector) and selector.port == 0 and not timeout_s:
        context.error(
            "port-zero",
            f"virtual server {label}: all ports need persistence, {PERSISTENCE_S} s are taken",
            draft.statement,
            help="write the port, or `persistence_timeout`",
        )
        timeout_s = PERSISTENCE_S
    return taken | {"persistence_timeout_s": timeout_s}


def build_recovery(context: Context, draft: Draft, virtual: Draft) -> RecoveryRule | None:
    """`slow_start` and `flap_limit` of a real server, else of its virtual server; None: none of them."""
    slow_start_us = draft.get("slow_start_us", virtual.get("slow_start_us", 0))
    count, window_us, hold_us = draft.get("flap_limit", virtual.get("flap_limit", (0, None, None)))
    if slow_start_us and draft.get("weight", virtual.get("weight", 1)) == 1:
        context.warning(
            "slow-start-of-one",
            "slow_start has no effect on a server with weight 1, which is the least",
            (draft if "slow_start_us" in draft.values else virtual).where["slow_start_us"],
            help="write greater weights, for example `weight 100` for every server",
            exit_class=ExitClass.NONE,
        )
    if not slow_start_us and not count:
        return None
    if not count:
        return RecoveryRule(slow_start_us=slow_start_us)
    return RecoveryRule(
        slow_start_us=slow_start_us,
        flap_count=count,
        flap_window_us=window_us or _FLAP_US,
        flap_hold_us=hold_us or _FLAP_US,
    )
