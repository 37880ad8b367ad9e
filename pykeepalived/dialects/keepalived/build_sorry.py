"""The sorry server of a virtual server, and how packets are forwarded (keepalived-behaviour 10.1)."""

from __future__ import annotations

import msgspec

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft, Entry
from pykeepalived.model import Family, Forwarding, ForwardingMethod, RealServer, SorryServer, family_of


def build_sorry(
    context: Context,
    draft: Draft,
    forwarding: Forwarding,
    servers: tuple[RealServer, ...],
    *,
    family: Family | None,
    label: str,
) -> SorryServer | None:
    """The sorry server that the block asks for; None without one and for one that cannot be."""
    return _as_its_twin(context, draft, _sorry_server(context, draft, forwarding, family, label), servers, label)


def as_forwarding(entry: Entry) -> Forwarding:
    """`lb_kind` and its like."""
    method = entry.values["method"]
    if method is not ForwardingMethod.TUN:
        return Forwarding(method)
    return Forwarding(
        method,
        entry.get("tunnel_type", Forwarding().tunnel_type),
        entry.get("tunnel_port", 0),
        entry.get("checksum", "nocsum"),
    )


def _sorry_server(
    context: Context, draft: Draft, forwarding: Forwarding, family: Family | None, label: str
) -> SorryServer | None:
    if "sorry_server" not in draft.values:
        return None
    address, port = draft.values["sorry_server"]
    entry = draft.get("sorry_forwarding")
    own = as_forwarding(entry) if entry is not None else forwarding
    if family is not None and family_of(address) is not family and own.method is not ForwardingMethod.TUN:
        context.error(
            "mixed-families",
            f"virtual server {label}: the sorry server is of the other family, it is left out",
            draft.where["sorry_server"],
            1,
        )
        return None
    # Without a port NAT sends requests to the port that they came for (seen with 2.2.7).
    return SorryServer(address=address, port=port or 0, forwarding=own, inhibit=draft.get("sorry_inhibit", False))


def _as_its_twin(
    context: Context, draft: Draft, sorry: SorryServer | None, servers: tuple[RealServer, ...], label: str
) -> SorryServer | None:
    """A sorry server that is a real server too is inhibited as that one is."""
    if sorry is None:
        return None
    key = (sorry.address, sorry.port)
    twin = next((server for server in servers if (server.address, server.port) == key), None)
    if twin is None or twin.inhibit_on_failure is sorry.inhibit:
        return sorry
    context.warning(
        "sorry-inhibit-differs",
        f"virtual server {label}: the sorry server is real server {sorry.address} port {sorry.port} too, whose "
        "inhibit_on_failure counts for both",
        draft.where["sorry_server"],
        1,
        help="write `sorry_server_inhibit`" if twin.inhibit_on_failure else "leave `sorry_server_inhibit` out",
    )
    return msgspec.structs.replace(sorry, inhibit=twin.inhibit_on_failure)
