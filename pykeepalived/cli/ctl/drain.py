"""`keepalivedctl drain` and `undrain`: take a real server out when its connections have ended, and put it back."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import click

from pykeepalived.cli.ctl.status import EXIT_NOT_RUNNING, choose_socket
from pykeepalived.runtime import control
from pykeepalived.runtime.boot import CONTROL_VARIABLE

_DEFAULT_S: Final = 300
_LOOK_S: Final = 0.5

_SOCKET = click.option(
    "--socket", "path", metavar="PATH", envvar=CONTROL_VARIABLE, help="Control socket of the daemon."
)


@click.command(name="drain")
@click.argument("service")
@click.argument("server")
@click.option("--timeout", "timeout_s", type=click.IntRange(0, 604_800), default=_DEFAULT_S, show_default=True,
              metavar="SECONDS", help="After this time the server leaves with the connections it has.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Come back when the server is out.")
@_SOCKET
def command(service: str, server: str, timeout_s: int, wait: bool, path: str | None) -> None:
    """Give a real server no new connections, and take it out when the old ones have ended.

    SERVICE and SERVER are ADDRESS:PORT or a name as `keepalivedctl status` shows it. The server stays out, over
    reloads too, until `keepalivedctl undrain`. Clients bound to it by persistence may come until their time is over.
    """
    path = path or _choose()
    shown = _ask(path, "drain", {"service": service, "server": server, "timeout_s": timeout_s})
    while wait and any(item["state"] == "draining" for item in shown):
        time.sleep(_LOOK_S)
        shown = _ask(path, "drains", {"service": service, "server": server})
    _tell(shown)


@click.command(name="undrain")
@click.argument("service")
@click.argument("server")
@_SOCKET
def undrain(service: str, server: str, path: str | None) -> None:
    """Put a drained real server back, if its checks are well."""
    _tell(_ask(path or _choose(), "undrain", {"service": service, "server": server}))


def _choose() -> str:
    try:
        return choose_socket()
    except control.NotRunning as error:
        click.echo(f"keepalivedctl: no daemon is running ({error})", err=True)
        sys.exit(EXIT_NOT_RUNNING)


def _ask(path: str, command: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        answer = control.ask(path, command, arguments)
    except control.NotRunning as error:
        click.echo(f"keepalivedctl: no daemon is running ({error})", err=True)
        sys.exit(EXIT_NOT_RUNNING)
    except control.ControlError as error:
        click.echo(f"keepalivedctl: {error}", err=True)
        sys.exit(1)
    servers = answer.get("servers")
    return servers if isinstance(servers, list) else []


def _tell(servers: list[dict[str, Any]]) -> None:
    for item in servers:
        line = f"{item['server']} of {item['service']}: {item['state']}"
        if item["state"] == "draining":
            count = item["connections"]
            line += f", {'?' if count is None else count} connections, at most {-(-item['left_us'] // 1_000_000)} s"
        click.echo(line)
