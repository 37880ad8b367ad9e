"""`keepalivedctl lint`: faults of configuration files, and combinations that are rarely meant."""

from __future__ import annotations

import sys
from typing import Final

import click

from pykeepalived import __version__
from pykeepalived.diagnostics import Diagnostic, Severity
from pykeepalived.diagnostics.render import full, json, short
from pykeepalived.diagnostics.sarif import sarif
from pykeepalived.tools.configurations import Unreadable
from pykeepalived.tools.lint import RULES, exit_code, lint

_FORMATS: Final = ("full", "short", "json", "sarif")


@click.command(name="lint")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--format", "form", type=click.Choice(_FORMATS), default="full", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("-i", "--config-id", metavar="ID", help="The id that decides lines beginning with @.")
def command(files: tuple[str, ...], form: str, config_id: str | None, *, as_json: bool) -> None:
    """Look for faults in each of FILES, keepalived.conf or ldirectord.cf, and for combinations that are rarely meant.

    The exit code is 0 when there is nothing to say, 1 for warnings, 2 for errors; notes do not count.
    """
    findings: list[Diagnostic] = []
    for file in files:
        try:
            findings += lint(file, config_id=config_id)
        except Unreadable as reason:
            name = "".join(char if char.isprintable() else "?" for char in file)
            text = f"cannot read {name}: {reason}"
            findings.append(Diagnostic(id="unreadable-file", severity=Severity.ERROR, message=text))
    code = exit_code(findings)
    if form == "json" or as_json:
        click.echo(json(findings).decode())
    elif form == "sarif":
        texts = {item.id: item.text for item in RULES.values()}
        click.echo(sarif(findings, version=__version__, rules=texts).decode())
    elif form == "short":
        for item in findings:
            click.echo(short(item))
    else:
        for item in findings:
            click.echo(full(item, colour=sys.stdout.isatty()) + "\n")
        click.echo(_summary(findings), err=True)
    sys.exit(int(code))


def _summary(findings: list[Diagnostic]) -> str:
    counts = [sum(1 for item in findings if item.severity is severity) for severity in Severity]
    return f"{counts[0]} error(s), {counts[1]} warning(s), {counts[2]} note(s)"


if __name__ == "__main__":
    command()
