"""`keepalivedctl drain` and `undrain`: take a real server out when its connections have ended, and put it back."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from pykeepalived.cli.ctl import common
from pykeepalived.cli.ctl.names import SERVICE

_DEFAULT_S: Final = 300
_LOOK_S: Final = 0.5


@click.command(name="drain")
@click.argument("service", type=SERVICE)
@click.argument("server")
@click.option("--timeout", "timeout_s", type=click.IntRange(0, 604_800), default=_DEFAULT_S, show_default=True,
              metavar="SECONDS", help="After this time the server leaves with the connections it has.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Come back when the server is out.")
@common.json_option
@common.socket_option
def command(service: str, server: str, *, timeout_s: int, wait: bool, as_json: bool, path: str | None) -> None:
    """Give a real server no new connections, and take it out when the old ones have ended.

    SERVICE and SERVER are ADDRESS:PORT or a name as `keepalivedctl status` shows it. The server stays out, over
    reloads too, until `keepalivedctl undrain`. Clients bound to it by persistence may come until their time is over.
    """
    shown = _servers(path, "drain", {"service": service, "server": server, "timeout_s": timeout_s})
    while wait and any(item["state"] == "draining" for item in shown):
        time.sleep(_LOOK_S)
        shown = _servers(path, "drains", {"service": service, "server": server})
    _tell(shown, as_json)


@click.command(name="undrain")
@click.argument("service", type=SERVICE)
@click.argument("server")
@common.json_option
@common.socket_option
def undrain(service: str, server: str, as_json: bool, path: str | None) -> None:
    """Put a drained real server back, if its checks are well."""
    _tell(_servers(path, "undrain", {"service": service, "server": server}), as_json)


def _servers(path: str | None, command: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    servers = common.ask(path, command, arguments).get("servers")
    return servers if isinstance(servers, list) else []


def _tell(servers: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        common.print_json({"servers": servers})
        return
    for item in servers:
        line = f"{item['server']} of {item['service']}: {item['state']}"
        if item["state"] == "draining":
            count = item["connections"]
            line += f", {'?' if count is None else count} connections, at most {-(-item['left_us'] // 1_000_000)} s"
        click.echo(line)
