"""Interfaces that root blocks list by name: they must be there, unless interfaces may come later."""

from __future__ import annotations

from typing import Final

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft

_LISTS: Final = ("up_down_delays", "linkbeat")


def check_interface_lists(context: Context, root: Draft, *, dynamic: bool) -> None:
    """An unknown name is an error of its own class: keepalived's -t ends with 4 for it."""
    known = context.host.interfaces()
    if known is None or dynamic:
        return
    for field in _LISTS:
        for entry in root.get(field, ()):
            name = entry.get("interface")
            if name is not None and name not in known:
                context.error(
                    "no-such-interface",
                    f"there is no interface `{name}`",
                    entry.statement,
                    entry.places["interface"],
                    help="with `dynamic_interfaces` in global_defs it may come later",
                    exit_class=ExitClass.FATAL,
                )
