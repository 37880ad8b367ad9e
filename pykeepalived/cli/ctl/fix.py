"""`keepalivedctl fix`: give a configuration file back what it lost on its way."""

from __future__ import annotations

import difflib
import json
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from pykeepalived.diagnostics import Diagnostic, ExitClass, Severity
from pykeepalived.diagnostics.render import short
from pykeepalived.dialects.keepalived import RealHost, load
from pykeepalived.dialects.ldirectord import SystemHost, load_text
from pykeepalived.tools.fix import Language, mend

_LARGEST_FILE: Final = 64 * 1024 * 1024


@click.command(name="fix")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--diff", is_flag=True, help="Show what would change, as a unified diff.")
@click.option("--json", "as_json", is_flag=True, help="`text`, `diff`, `changes` and `faults` as JSON.")
def command(file: Path, *, diff: bool, as_json: bool) -> None:
    """Mend FILE, a keepalived.conf or an ldirectord.cf, and print the result. FILE itself stays as it is.

    An ldirectord.cf gets its indentation back; in a keepalived.conf lines that were broken in two are joined and old
    words replaced. What was changed stands on standard error. The exit code is 0 when nothing is wrong with the
    result, 1 when faults remain; they are listed.

        keepalivedctl fix broken.cf > fixed.cf
    """
    text = _read(file)
    mended = mend(text)
    remaining = _ldirectord_faults if mended.language is Language.LDIRECTORD else _keepalived_faults
    faults = remaining(mended.text, file)
    if as_json:
        changed = _diff(str(file), text, mended.text)
        answer = {"text": mended.text, "diff": changed, "changes": [*map(str, mended.changes)], "faults": faults}
        click.echo(json.dumps(answer))
        sys.exit(1 if faults else 0)
    if diff:
        _write(_diff(str(file), text, mended.text))
    else:
        _write(mended.text)
    for change in mended.changes:
        click.echo(f"{file}: {change}", err=True)
    if not mended.changes:
        click.echo(f"{file}: nothing to mend", err=True)
    for fault in faults:
        click.echo(fault, err=True)
    sys.exit(1 if faults else 0)


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


def _errors(findings: list[Diagnostic]) -> list[str]:
    """What the original would call an error, its exit code for it included (an unknown word, say)."""
    wrong = (f for f in findings if f.severity is Severity.ERROR or f.exit_class is not ExitClass.NONE)
    return [short(finding) for finding in wrong]


def _ldirectord_faults(text: str, file: Path) -> list[str]:
    return _errors(load_text(text, str(file), host=SystemHost(check_writable=False)).findings.items)


class _AnyMachine(RealHost):
    """A file is mended for the machine that will run it, whose interfaces this one need not have."""

    def interfaces(self) -> frozenset[str] | None:
        return None


def _keepalived_faults(text: str, file: Path) -> list[str]:
    """The result is read where the file stands, so that what it includes is found, and without writing there: in a
    directory of links to everything beside it."""
    where = Path.cwd() if str(file) == "-" else file.resolve().parent
    name = "-" if str(file) == "-" else file.name
    with tempfile.TemporaryDirectory(prefix="keepalivedctl-fix-") as place:
        for each in where.iterdir():
            if each.name != name:
                Path(place, each.name).symlink_to(each)
        mended = Path(place, name)
        mended.write_bytes(text.encode("utf-8", "surrogateescape"))
        faults = _errors(load(str(mended), host=_AnyMachine()).findings.items)
    return [fault.replace(str(mended), str(file)).replace(place, str(where)) for fault in faults]
