"""`keepalivedctl checks run`: ask real servers now, and show what they say."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import click

from pykeepalived.cli.ctl import common
from pykeepalived.cli.ctl.explain import server_lines
from pykeepalived.cli.ctl.names import SERVICE

_LOOK_S: Final = 0.2


@click.group(name="checks")
def command() -> None:
    """Health checks of a running daemon."""


@command.command(name="run")
@click.argument("service", type=SERVICE)
@click.argument("server", required=False, default="")
@click.option("--timeout", "timeout_s", type=click.IntRange(0, 3600), default=30, show_default=True, metavar="SECONDS",
              help="How long to wait for the results; 0 does not wait.")  # fmt: skip
@common.json_option
@common.socket_option
def run(service: str, server: str, *, timeout_s: int, as_json: bool, path: str | None) -> None:
    """Check SERVER, or every real server of SERVICE, now, whatever the schedule says, and show the results.

    The exit code is 1 when a server is down afterwards, or when a result did not come in time.
    """
    path = path or common.choose_socket_or_end()
    wished = {"service": service, "server": server}
    answer = common.ask(path, "checks-run", wished)
    before, until_s = _counts(answer), time.monotonic() + timeout_s
    done = timeout_s == 0
    while not done and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
        answer = common.ask(path, "explain", {"name": service, "server": server})
        now = _counts(answer)
        done = all(now.get(key, count + 1) > count for key, count in before.items())
    if as_json:
        common.print_json(answer)
    else:
        for item in answer.get("servers", ()):
            for line in server_lines(item):
                click.echo(common.clean(line))
    if not done:
        click.echo("keepalivedctl: not every check has ended in time", err=True)
    if not done or not all(item["alive"] for item in answer.get("servers", ())):
        sys.exit(common.EXIT_REFUSED)


def _counts(answer: dict[str, Any]) -> dict[str, int]:
    """How often each check has been answered. One that follows a file or a session has nothing to run."""
    return {
        check["key"]: check["answers"]
        for item in answer.get("servers", ())
        for check in item["checks"]
        if check.get("next_in_us") is not None
    }


if __name__ == "__main__":
    command()
