"""`keepalivedctl weight`: another weight for a real server, until it is taken back."""

from __future__ import annotations

import sys

import click

from pykeepalived.cli.ctl import common
from pykeepalived.cli.ctl.explain import server_lines
from pykeepalived.cli.ctl.names import SERVICE


@click.command(name="weight")
@click.argument("service", type=SERVICE)
@click.argument("server")
@click.argument("weight", required=False, type=click.IntRange(0, 65535))
@click.option("--reset", is_flag=True, help="The weight of the configuration again.")
@common.json_option
@common.socket_option
def command(service: str, server: str, weight: int | None, *, reset: bool, as_json: bool, path: str | None) -> None:
    """Give SERVER of SERVICE another WEIGHT, over reloads, until --reset."""
    if (weight is None) is not reset:
        click.echo("keepalivedctl weight: give either a WEIGHT or --reset", err=True)
        sys.exit(common.EXIT_CHOICE)
    answer = common.ask(path, "weight", {"service": service, "server": server, "weight": weight})
    if as_json:
        common.print_json(answer)
        return
    for item in answer.get("servers", ()):
        for line in server_lines(item):
            click.echo(common.clean(line))


if __name__ == "__main__":
    command()
