"""Writes the commands of keepalivedctl(1) from the commands themselves.

    python -m pykeepalived.cli.page [DIRECTORY]

What stands between the marks of the page is replaced. A test fails when the page is older than the commands.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from pykeepalived.cli.keepalivedctl import COMMANDS
from pykeepalived.cli.keepalivedctl import main as keepalivedctl
from pykeepalived.tools.manpages import filled

PAGE: Final = "keepalivedctl.1"
MARK: Final = "COMMANDS"


def commands() -> str:
    """The COMMANDS section."""
    lines = [".Bl -tag -width Ds"]
    context = click.Context(keepalivedctl, info_name="keepalivedctl")
    for name in COMMANDS:
        found = keepalivedctl.get_command(context, name)
        if isinstance(found, click.Group):
            for sub, each in found.commands.items():
                lines += _command(f"{name} {sub}", each, context)
        elif found is not None:
            lines += _command(name, found, context)
    return "\n".join([*lines, ".El"]) + "\n"


def _command(name: str, command: click.Command, context: click.Context) -> Iterator[str]:
    arguments = " ".join(_argument(param, context) for param in command.params if isinstance(param, click.Argument))
    yield f".It Ic {name}" + (f' Ar "\\&{_plain(arguments)}"' if arguments else "")
    for number, paragraph in enumerate((command.help or "").split("\n\n")):
        # click: what stands below a backspace keeps its lines.
        flowing, mark, literal = paragraph.partition("\b")
        if number and flowing.strip():
            yield ".Pp"
        if flowing.strip():
            yield from _sentences(flowing)
        if mark:
            yield ".Bd -literal"
            yield from (_line(line) for line in literal.strip("\n").splitlines())
            yield ".Ed"
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    if options:
        yield ".Bl -tag -width Ds"
        for option in options:
            record = option.get_help_record(context)
            words, text = record if record else (" ".join(option.opts), "")
            yield f'.It Sy "\\&{_plain(words)}"'
            yield from _sentences(text)
        yield ".El"


def _sentences(text: str) -> Iterator[str]:
    """Each on a line of its own, as mdoc wants it."""
    for sentence in re.split(r"(?<=[.!?:;)]) (?=[A-Z`])", " ".join(text.split())):
        yield _line(sentence)


def _argument(param: click.Argument, context: click.Context) -> str:
    return param.make_metavar(context)


def _plain(text: str) -> str:
    return text.replace("\\", "\\e").replace('"', "\\(dq").replace("-", "\\-")


def _line(text: str) -> str:
    text = text.replace("\\", "\\e")
    return "\\&" + text if text[:1] in {".", "'"} else text


def main() -> None:
    page = Path(sys.argv[1] if len(sys.argv) > 1 else "man") / PAGE
    page.write_text(filled(page.read_text(encoding="utf-8"), MARK, commands()), encoding="utf-8")


if __name__ == "__main__":
    main()
