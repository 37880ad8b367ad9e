"""garp_group: from drafts to `GarpGroup`. An interface belongs to the first group that names it."""

from __future__ import annotations

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.model import GarpGroup


def build_garp_groups(context: Context, root: Draft, *, dynamic: bool) -> tuple[GarpGroup, ...]:
    """All groups with an interval and an interface. What is left out is reported.

    An unknown interface is left out, unless interfaces may come later (`dynamic`).
    """
    taken: set[str] = set()
    groups: list[GarpGroup] = []
    known = None if dynamic else context.host.interfaces()
    for draft in root.get("garp_groups", ()):
        if not draft.get("garp_interval_us") and not draft.get("gna_interval_us"):
            context.error("missing-value", "the garp_group has no interval, it is left out", draft.statement, 0)
            continue
        names = [(draft.values["interface"], draft.where["interface"], 1)] if "interface" in draft.values else []
        names += draft.get("interfaces", ())
        interfaces: list[str] = []
        for name, place, index in names:
            if known is not None and name not in known:
                context.error("no-such-interface", f"garp_group: there is no interface `{name}`", place, index)
            elif name in taken:
                context.error("two-groups", f"interface `{name}` is in a garp_group already", place, index)
            else:
                taken.add(name)
                interfaces.append(name)
        if not interfaces:
            context.error(
                "missing-value",
                "the garp_group has no interface, it is left out",
                draft.statement,
                0,
                exit_class=ExitClass.NONE,
            )
            continue
        groups.append(
            GarpGroup(
                interfaces=tuple(interfaces),
                garp_interval_us=draft.get("garp_interval_us", 0),
                gna_interval_us=draft.get("gna_interval_us", 0),
            )
        )
    return tuple(groups)
