"""`keepalivedctl doctor`: what this director or real server lacks, and the command that mends it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from pykeepalived.cli.ctl import common
from pykeepalived.tools.configurations import Loaded, Unreadable, load
from pykeepalived.tools.doctor import Ailment, ThisMachine, Weight, examine_director, examine_vmac
from pykeepalived.tools.doctor.real_server import METHODS, examine, set_up

_USUAL: Final = ("/etc/keepalived/keepalived.conf", "/etc/ha.d/ldirectord.cf")
_COLOURS: Final = {Weight.FAULT: "red", Weight.RISK: "yellow", Weight.NOTE: "cyan"}


@click.command(name="doctor")
@click.argument("words", nargs=-1, metavar="[vmac] [FILE]", type=click.Path())
@click.option("--listen", "listen_s", type=click.FloatRange(0, 60), default=3, show_default=True, metavar="SECONDS",
              help="How long to listen for other masters and who answers for a virtual address; 0: not.")  # fmt: skip
@click.option("--real-server", is_flag=True, help="This machine is a real server.")
@click.option("--method", type=click.Choice(METHODS), help="How its director forwards: NAT, direct routing, tunnel.")
@click.option("--address", "addresses", multiple=True, metavar="ADDRESS", help="A virtual address; may be repeated.")
@click.option("--director", metavar="ADDRESS", help="The director's address on this network (NAT).")
@common.json_option
def command(
    words: tuple[str, ...],
    *,
    listen_s: float,
    real_server: bool,
    method: str | None,
    addresses: tuple[str, ...],
    director: str | None,
    as_json: bool,
) -> None:
    """Look for what is wrong with this machine, and print the commands that mend it. Nothing is changed.

    A director is examined with its configuration FILE, by default the usual one. With --real-server and --method the
    settings of a real server are examined, and its set-up is printed. With `vmac` in front every virtual address is
    asked for on the wire, and the MAC addresses that answered are shown. The exit code is 1 when something is faulty.
    """
    if real_server is not (method is not None):
        click.echo("keepalivedctl doctor: --real-server and --method go together", err=True)
        sys.exit(common.EXIT_CHOICE)
    about_vmac = words[:1] == ("vmac",)
    files = words[1:] if about_vmac else words
    if len(files) > 1:
        click.echo("keepalivedctl doctor: one FILE at most", err=True)
        sys.exit(common.EXIT_CHOICE)
    file = files[0] if files else None
    try:
        machine = ThisMachine()
    except OSError as error:
        click.echo(f"keepalivedctl doctor: the kernel does not answer: {error.strerror or error}", err=True)
        sys.exit(common.EXIT_REFUSED)
    try:
        if method is not None:
            found = list(examine(machine, method, addresses, director))
        elif about_vmac:
            found = examine_vmac(machine, _read(file), listen_s)
        else:
            found = examine_director(machine, _read(file), listen_s)
    finally:
        machine.close()
    steps = set_up(method, addresses, director) if method is not None else []
    _show(found, steps, as_json)
    sys.exit(common.EXIT_REFUSED if any(item.weight is Weight.FAULT for item in found) else 0)


def _read(file: str | None) -> Loaded | None:
    path = file or next((path for path in _USUAL if Path(path).is_file()), None)
    if path is None:
        click.echo("keepalivedctl doctor: no configuration is given, and there is none at the usual place", err=True)
        return None
    try:
        return load(path)
    except Unreadable as reason:
        click.echo(f"keepalivedctl: {common.clean(path)}: {reason}", err=True)
        sys.exit(common.EXIT_CHOICE)


def _show(found: list[Ailment], steps: list[str], as_json: bool) -> None:
    if as_json:
        common.print_json({"found": msgspec.to_builtins(found), "set_up": steps})
        return
    for item in found:
        click.echo(
            click.style(f"{item.weight.value}[{item.name}]", fg=_COLOURS[item.weight]) + f" {common.clean(item.text)}"
        )
        for line in item.mend:
            click.echo(f"    {common.clean(line)}")
    if not found:
        click.echo("nothing is wrong that can be seen from here")
    if steps:
        click.echo("\nThe set-up of a real server (at each start of the machine, before its services):")
        for line in steps:
            click.echo(f"    {common.clean(line)}")


if __name__ == "__main__":
    command()
