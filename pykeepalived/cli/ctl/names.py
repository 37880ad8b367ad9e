"""Names of a running daemon's objects as command line arguments: completed by asking the daemon, never checked here."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from pykeepalived.cli.ctl import common
from pykeepalived.runtime import control


class Names(StringParamType):
    """Any text. Completion offers the instances and groups, or the virtual servers, of the daemon that runs here."""

    name = "name"

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del param
        try:
            # With several daemons the choice would be printed into the shell's line.
            path = ctx.params.get("path") or _only_socket()
            status = control.ask(path, "status", timeout_s=1) if path else {}
        except (control.NotRunning, control.ControlError):
            return []
        vrrp, checker = status.get("vrrp") or {}, status.get("checker") or {}
        found = [
            item["name"] for kind in self._kinds for item in (vrrp if kind != "services" else checker).get(kind, ())
        ]
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def _only_socket() -> str | None:
    found = [path for place in common.socket_places() for path in control.find_sockets(place)]
    return found[0] if found else None


INSTANCE = Names("instances", "groups")
SERVICE = Names("services")
