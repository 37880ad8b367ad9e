"""What the chosen dataplane cannot do of a virtual server, said where the word stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pykeepalived.diagnostics import ExitClass, Severity, Span
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.lvs.abilities import ONLY_NFTABLES, SUPPORTED, Refusal, nftables_refusals
from pykeepalived.lvs.desired import entry, named_destinations, service_keys
from pykeepalived.lvs.table import ServiceKey
from pykeepalived.model import (
    ForwardingMethod,
    GroupAddress,
    GroupSelector,
    VirtualServer,
    VirtualServerGroup,
)
from pykeepalived.syntax import Statement


def check_dataplane(
    context: Context,
    draft: Draft,
    server: VirtualServer,
    groups: Iterable[VirtualServerGroup],
    *,
    wish: str,
    label: str,
) -> None:
    """Report what `wish` (the value of lvs_dataplane) will not serve. The process that balances leaves it out, too."""
    found_out = wish == "auto" and not _is_served_by_both(server) and context.host.without_ipvs()
    if wish != "nftables" and not found_out:
        if server.scheduler in ONLY_NFTABLES:
            _only_nftables(context, draft, server, wish, label)
        return
    if _is_plain(server):
        return
    said: set[tuple[str, object]] = set()
    for key in _kinds(server, groups):
        for refusal in nftables_refusals(key, entry(server, key, named_destinations(server))):
            place = (refusal.about, refusal.destination.address if refusal.destination else None)
            if place not in said:
                said.add(place)
                context.say(
                    Severity.WARNING if found_out else Severity.ERROR,
                    "needs-ipvs",
                    f"virtual server {label} is not served: {refusal.reason}",
                    _place(draft, refusal),
                    help="change it, or write `lvs_dataplane ipvs` on a kernel with IPVS",
                    notes=("this kernel has no IPVS",) if found_out else (),
                    # The same file is right on another machine, and all else in it is served here.
                    exit_class=ExitClass.NONE if found_out else ExitClass.GENERAL,
                )


def _only_nftables(context: Context, draft: Draft, server: VirtualServer, wish: str, label: str) -> None:
    if wish == "ipvs":
        text = f"virtual server {label} is not served: IPVS has no scheduler {server.scheduler}"
    else:
        text = f"virtual server {label} is served without IPVS only, which has no scheduler {server.scheduler}"
    context.say(
        Severity.ERROR if wish == "ipvs" else Severity.WARNING,
        "needs-nftables",
        text,
        _word(draft.where["scheduler"]),
        help="write `lvs_dataplane nftables`, or another scheduler",
    )


def _is_served_by_both(server: VirtualServer) -> bool:
    return server.scheduler not in ONLY_NFTABLES and _is_plain(server)


def _is_plain(server: VirtualServer) -> bool:
    """Quick, as there may be thousands: nothing in it that anything could be said about."""
    if server.scheduler not in SUPPORTED or server.persistence_engine or server.one_packet:
        return False
    sorry = server.sorry_server
    if sorry is not None and sorry.forwarding.method is not ForwardingMethod.NAT:
        return False
    return all(
        real.forwarding.method is ForwardingMethod.NAT and not real.upper_threshold and not real.lower_threshold
        for real in server.real_servers
    )


def _kinds(server: VirtualServer, groups: Iterable[VirtualServerGroup]) -> Iterator[ServiceKey]:
    """A service of each kind that the virtual server stands for: an address, all ports, a mark; of each family."""
    if isinstance(server.selector, GroupSelector):
        # One address of each range tells as much as all of them.
        groups = [
            VirtualServerGroup(
                group.name,
                tuple(
                    GroupAddress(item.first, item.first, item.port) if isinstance(item, GroupAddress) else item
                    for item in group.entries
                ),
            )
            for group in groups
            if group.name == server.selector.name
        ]
    seen = set()
    for key in service_keys(server, groups):
        kind = (key.family, bool(key.port), bool(key.fwmark))
        if kind not in seen:
            seen.add(kind)
            yield key


def _place(draft: Draft, refusal: Refusal) -> Span | Statement | None:
    """The word that asks for it: of the real server where it has one, else of the virtual server."""
    kept = refusal.destination
    if kept is not None:
        for real in draft.get("real_servers", ()):
            if real.header[0] == kept.address and refusal.about in real.where:
                return _word(real.where[refusal.about])
        sorry = draft.get("sorry_server")
        if sorry is not None and sorry[0] == kept.address and "sorry_forwarding" in draft.where:
            return _word(draft.where["sorry_forwarding"])
    elif refusal.about == "forwarding":
        # Different methods, or one for a mark: the last word of a real server, if one says it itself.
        for real in reversed(draft.get("real_servers", ())):
            if "forwarding" in real.where:
                return _word(real.where["forwarding"])
    statement = draft.where.get(refusal.about, draft.statement)
    return _word(statement) if statement is not None else None


def _word(statement: Statement) -> Span:
    """The value of a line, the word itself where it has none."""
    return statement.span(1 if len(statement.words) > 1 else 0)
