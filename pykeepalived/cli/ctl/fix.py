"""`keepalivedctl fix`: give a configuration file back what it lost on its way."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Final

import click

from pykeepalived.diagnostics import Severity
from pykeepalived.diagnostics.render import short
from pykeepalived.dialects.ldirectord import SystemHost, load_text
from pykeepalived.tools.fix import Language, mend

_LARGEST_FILE: Final = 64 * 1024 * 1024


@click.command(name="fix")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--diff", is_flag=True, help="Show what would change, as a unified diff.")
def command(file: Path, diff: bool) -> None:
    """Mend FILE, a keepalived.conf or an ldirectord.cf, and print the result. FILE itself stays as it is.

    An ldirectord.cf gets its indentation back; in a keepalived.conf lines that were broken in two are joined and old
    words replaced. What was changed stands on standard error. The exit code is 0 when the result can be used, 1 when
    faults remain.

        keepalivedctl fix broken.cf > fixed.cf
    """
    text = _read(file)
    mended = mend(text)
    if diff:
        _write(_diff(str(file), text, mended.text))
    else:
        _write(mended.text)
    for change in mended.changes:
        click.echo(f"{file}: {change}", err=True)
    if not mended.changes:
        click.echo(f"{file}: nothing to mend", err=True)
    sys.exit(1 if mended.language is Language.LDIRECTORD and _faults_remain(mended.text, str(file)) else 0)


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(_LARGEST_FILE + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        click.echo(f"keepalivedctl: {file}: {reason}", err=True)
        sys.exit(1)
    if len(data) > _LARGEST_FILE:
        click.echo(f"keepalivedctl: {file}: larger than {_LARGEST_FILE} bytes", err=True)
        sys.exit(1)
    return data.decode("utf-8", "surrogateescape")


def _write(text: str) -> None:
    """The bytes of the file that were no UTF-8 come out as they went in."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def _diff(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} (fixed)"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _faults_remain(text: str, name: str) -> bool:
    """Show the errors that are left."""
    result = load_text(text, name, host=SystemHost(check_writable=False))
    for finding in result.findings.items:
        if finding.severity is Severity.ERROR:
            click.echo(short(finding), err=True)
    return not result.ok
