"""`keepalivedctl standby`: hand MASTER over on purpose, for maintenance."""

from __future__ import annotations

from typing import Any

import click

from pykeepalived.cli.ctl import common
from pykeepalived.cli.ctl.names import INSTANCE


@click.command(name="standby")
@click.argument("name", required=False, default="", type=INSTANCE)
@click.option("--for", "for_s", type=click.IntRange(1, 2_592_000), metavar="SECONDS", help="Resume by itself then.")
@common.json_option
@common.socket_option
def command(name: str, for_s: int | None, as_json: bool, path: str | None) -> None:
    """Hold NAME, an instance or a sync group, back from being MASTER; without NAME all instances.

    A MASTER says goodbye with priority 0, and a peer takes over at once. The state is called STANDBY here and BACKUP
    for notify scripts and everybody else. It lasts over reloads and restarts until `keepalivedctl resume`.
    """
    tell(common.ask(path, "standby", {"name": name, "for_s": for_s}), as_json)


@click.command(name="resume")
@click.argument("name", required=False, default="", type=INSTANCE)
@common.json_option
@common.socket_option
def resume(name: str, as_json: bool, path: str | None) -> None:
    """Let NAME, an instance or a sync group, take part in elections again; without NAME all instances.

    It preempts, or not, as its configuration says.
    """
    tell(common.ask(path, "resume", {"name": name}), as_json)


def tell(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        common.print_json(answer)
        return
    for item in answer.get("instances", ()):
        until = item.get("standby_until")
        more = f", resumes by itself at {common.clock(until)}" if until else ""
        click.echo(common.clean(f"{item['name']}: {item['state']}{more}"))


if __name__ == "__main__":
    command()
