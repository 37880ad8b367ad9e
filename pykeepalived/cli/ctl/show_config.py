"""`keepalivedctl show-config`: what a configuration file means, with every default."""

from __future__ import annotations

import json
import sys

import click
import msgspec

from pykeepalived.diagnostics import Severity
from pykeepalived.diagnostics.render import short
from pykeepalived.tools.configurations import Dialect, Loaded, Unreadable, load


@click.command(name="show-config")
@click.argument("file", type=click.Path())
@click.option(
    "--dialect",
    type=click.Choice([item.value for item in Dialect]),
    help="The language of the answer; without it the one that FILE is written in.",
)
@click.option("--json", "as_json", is_flag=True, help="The whole model as JSON.")
@click.option("-i", "--config-id", metavar="ID", help="The id that decides lines beginning with @.")
def command(file: str, dialect: str | None, as_json: bool, config_id: str | None) -> None:
    """Print the effective configuration of FILE, a keepalived.conf or an ldirectord.cf, with every default.

    Variables, conditions, includes and inheritance are resolved. What the language of the answer cannot say, and words
    that have no effect yet, stand on standard error. The exit code is 0, 1 when FILE has errors, 2 when it cannot be
    read.
    """
    try:
        loaded = load(file, config_id=config_id)
    except Unreadable as reason:
        click.echo(f"keepalivedctl: {_printable(file)}: {reason}", err=True)
        sys.exit(2)
    for finding in loaded.findings:
        if finding.severity is Severity.ERROR or finding.id == "no-effect-yet":
            click.echo(short(finding), err=True)
    if as_json:
        # The standard module escapes the bytes of a file that were no UTF-8; msgspec would refuse them.
        click.echo(json.dumps(msgspec.to_builtins(loaded.config), indent=2))
    else:
        text, unsaid = _printed(loaded, Dialect(dialect) if dialect else loaded.dialect)
        for what in unsaid:
            click.echo(f"{_printable(file)}: not expressed: {_printable(what)}", err=True)
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    sys.exit(1 if loaded.errors else 0)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _printed(loaded: Loaded, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """The text, and what it cannot say. In the other language checks are those that come nearest."""
    from pykeepalived.tools.convert.from_ldirectord import to_keepalived  # noqa: PLC0415
    from pykeepalived.tools.convert.result import Notes  # noqa: PLC0415
    from pykeepalived.tools.convert.to_ldirectord import to_ldirectord  # noqa: PLC0415

    config, notes = loaded.config, Notes()
    if dialect is Dialect.LDIRECTORD:
        from pykeepalived.dialects.ldirectord import printer as ldirectord  # noqa: PLC0415

        if loaded.dialect is not dialect:
            config = to_ldirectord(config, notes)
        short_form = ldirectord.print_config(config, everything=True)
        return short_form.text, (*notes.all(), *short_form.unsaid)
    from pykeepalived.dialects.keepalived import printer as keepalived  # noqa: PLC0415

    if loaded.dialect is not dialect:
        config = to_keepalived(config, notes)
    printed = keepalived.print_config(config, everything=True)
    return printed.text, (*notes.all(), *printed.unsaid)


if __name__ == "__main__":
    command()
