"""`keepalivedctl demo`: a cluster on this machine, from its start to a failover and back."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pykeepalived.cli.ctl import common
from pykeepalived.tools.demo import DemoError, Wish, demonstrate


@click.command(name="demo")
@click.option(
    "--conf",
    type=click.Path(path_type=Path),
    default=Path("examples/keepalived.conf"),
    show_default=True,
    help="The configuration of both directors, in either language, for the addresses of the examples.",
)
@click.option(
    "--dataplane",
    type=click.Choice(["auto", "nftables", "ipvs"]),
    default="auto",
    show_default=True,
    help="auto takes IPVS where the kernel has it, else nftables; ipvs starts the test kernel if needed.",
)
@click.option("--program", help="Run this keepalived or ldirectord on the directors instead of ours.")
@click.option("--plain", is_flag=True, help="Plain lines, even on a terminal.")
@common.json_option
def command(conf: Path, *, dataplane: str, program: str | None, plain: bool, as_json: bool) -> None:
    """Show a cluster at work: a client, two directors, three web servers and a sorry server in network namespaces.

    Requests are spread, servers die and return, the master fails and returns. Ends by itself in under a minute; the
    exit code is 0 when everything went as expected, 1 when not, 2 when it cannot be shown here.
    """
    try:
        sys.exit(demonstrate(Wish(conf=conf, dataplane=dataplane, program=program, plain=plain, as_json=as_json)))
    except DemoError as reason:
        click.echo(f"demo: {reason}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    command()
