"""`keepalivedctl plan`: what a reload would do, before it does it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from pykeepalived.cli.ctl import common
from pykeepalived.diagnostics import Diagnostic
from pykeepalived.diagnostics.render import short
from pykeepalived.model.config import Config
from pykeepalived.runtime.namespaces import inside
from pykeepalived.runtime.reload import errors
from pykeepalived.runtime.status import network_namespace
from pykeepalived.tools.configurations import Loaded, Unreadable, load
from pykeepalived.tools.plan import Change, Verb, plan

_COLOURS = {Verb.ADD: "green", Verb.REMOVE: "red", Verb.REPLACE: "red", Verb.CANNOT: "yellow"}


@click.command(name="plan")
@click.argument("file", required=False, type=click.Path())
@click.option("--from", "old", type=click.Path(), metavar="OLD", help="Compare with this file instead of a daemon.")
@click.option("-i", "--config-id", metavar="ID", help="The id that decides lines beginning with @.")
@common.json_option
@common.socket_option
def command(file: str | None, old: str | None, config_id: str | None, *, as_json: bool, path: str | None) -> None:
    """What a reload would do with FILE, object by object; nothing is changed.

    Without FILE the file of the running daemon is read again. With --from two files are compared, and no daemon is
    needed. The exit code is 0 when the reload would be done, also when it changes nothing, and 1 when it would be
    refused because FILE has errors that the running configuration has not; everything then stays as it is.
    """
    states: dict[str, str] = {}
    if old is not None:
        if file is None:
            click.echo("keepalivedctl plan: name the new file, too", err=True)
            sys.exit(common.EXIT_CHOICE)
        first = _read(old, config_id)
        before, known = first.config, {said(item) for item in first.findings}
        after = _read(file, config_id)
    else:
        path = path or common.choose_socket_or_end()
        answer = common.ask(path, "config")
        try:
            before = msgspec.convert(answer["config"], Config)
        except (msgspec.ValidationError, KeyError) as error:
            click.echo(f"keepalivedctl: the daemon's configuration is not understood: {error}", err=True)
            sys.exit(common.EXIT_REFUSED)
        status = common.ask(path, "status", {"servers": 0})
        states = {item["name"]: item["state"] for item in (status.get("vrrp") or {}).get("instances", ())}
        known = {text[max(0, text.find("error[")) :] for text in status.get("findings", ())}
        after = _read_there(file or answer["configuration"], config_id, answer)
    changes = plan(before, after.config)
    reasons = [short(item) for item in errors(after.findings) if said(item) not in known]
    if as_json:
        common.print_json({"refused": reasons, "changes": msgspec.to_builtins(changes)})
    else:
        _show(changes, reasons, states)
    sys.exit(common.EXIT_REFUSED if reasons else 0)


def said(finding: Diagnostic) -> str:
    """A finding without its place: the same fault, even when lines above it came or went."""
    text = short(finding)
    return text[max(0, text.find("error[")) :]


def _read(path: str, config_id: str | None) -> Loaded:
    try:
        return load(path, config_id=config_id)
    except Unreadable as reason:
        click.echo(f"keepalivedctl: {common.clean(path)}: {reason}", err=True)
        sys.exit(common.EXIT_CHOICE)


def _read_there(path: str, config_id: str | None, identity: dict[str, Any]) -> Loaded:
    """Read it as the daemon would: with the interfaces of its network namespace."""
    there = f"/proc/{identity.get('pid')}/ns/net"
    if identity.get("network_namespace") in {None, network_namespace()} or not Path(there).exists():
        return _read(path, config_id)
    try:
        with inside(there):
            return _read(path, config_id)
    except OSError as error:
        click.echo(f"keepalivedctl: {there}: {error.strerror}; interfaces are those of here", err=True)
        return _read(path, config_id)


def _show(changes: list[Change], reasons: list[str], states: dict[str, str]) -> None:
    for reason in reasons:
        click.echo(f"{click.style('refused', fg='red')} {common.clean(reason)}")
    if not changes:
        click.echo("a reload changes nothing")
    for item in changes:
        now = f" (now {states[item.name]})" if item.kind == "instance" and item.name in states else ""
        verb = click.style(item.verb.value, fg=_COLOURS.get(item.verb))
        effect = f": {item.effect}" if item.effect else ""
        click.echo(f"{verb} {common.clean(f'{item.kind} {item.name}'.strip())}{now}{effect}")
        for line in item.details:
            click.echo(f"    {common.clean(line)}")


if __name__ == "__main__":
    command()
