"""Writes the keyword lists of the manual pages from the tables that the parsers are made of.

    python -m pykeepalived.tools.manpages [DIRECTORY]

Each page has a pair of comment lines, `.\" BEGIN …` and `.\" END …`; what stands between them is replaced. The rest of
a page is written by hand. A test fails when a page is older than its table.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pykeepalived.dialects.keepalived import rows as keepalived
from pykeepalived.dialects.keepalived.tables import TABLES
from pykeepalived.dialects.ldirectord import rows as ldirectord


def _plain(text: str) -> str:
    """Text that no roff program takes for a request, a macro argument or an escape."""
    text = text.replace("\\", "\\e").replace('"', "\\(dq")
    return "\\&" + text if text[:1] in {".", "'"} else text


def _argument(text: str, sign: str) -> str:
    return f'{sign} Ar "\\&{_plain(text)}"' if text else ""


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return _plain(text[:1].upper() + text[1:] + ("" if text.endswith(".") else "."))


def _item(name: str, arguments: str, default: str, lines: list[str], *, sign: str = "") -> Iterator[str]:
    yield f".It Ic {_plain(name)}{_argument(arguments, sign)}"
    if default:
        lines = [f"{lines[0]} (Default: {_plain(default)}.)", *lines[1:]]
    yield from lines


# ── keepalived.conf ──────────────────────────────────────────────────────────────────────────────────────────────────


def _keepalived_arguments(row: keepalived.Row) -> str:
    words = " ".join(argument.shows for argument in row.arguments)
    match row.kind:
        case keepalived.Kind.SCRIPT:
            return "COMMAND [USER [GROUP]]"
        case keepalived.Kind.OPTIONS:
            return "…"
        case keepalived.Kind.WORDS:
            return f"{{ {words} }}"
        case keepalived.Kind.BLOCK | keepalived.Kind.LIST:
            return f"{words} {{ … }}".strip()
        case _:
            return words


def _keepalived_remarks(row: keepalived.Row) -> Iterator[str]:
    if row.options is not None:
        if slots := ", ".join(name.replace("_", " ") for name, _ in row.options.slots):
            yield _sentence(f"Without a word before it: {slots}")
        if words := ", ".join(option.shows for option in row.options.rows.values()):
            yield _sentence(f"Options: {words}")
    if row.same_as and not row.help.lower().startswith("same as"):
        yield _sentence(f"The same as {row.same_as}")
    if row.replaced_by is not None:
        yield _sentence(f"Deprecated; write {row.replaced_by}" if row.replaced_by else "Deprecated")
    if row.ours:
        yield "Only pykeepalived knows this word."
    if row.later:
        yield "No effect yet."


def _keepalived_row(row: keepalived.Row) -> Iterator[str]:
    lines = [_sentence(row.help), *_keepalived_remarks(row)]
    yield from _item(row.name, _keepalived_arguments(row), row.default, lines)


def keepalived_keywords() -> str:
    """The KEYWORDS section of keepalived.conf(5)."""
    lines = []
    for table in TABLES:
        lines.append(f".Ss {_plain(table.context.replace('(root)', 'Top level'))}")
        lines.append(".Bl -tag -width Ds")
        for row in table.rows.values():
            lines += _keepalived_row(row)
        lines.append(".El")
    return "\n".join(lines) + "\n"


# ── ldirectord.cf ────────────────────────────────────────────────────────────────────────────────────────────────────

_STATES = {
    ldirectord.State.EFFECT: None,
    ldirectord.State.LATER: "No effect yet.",
    ldirectord.State.DEPRECATED: "Deprecated.",
    ldirectord.State.UNUSED: "Read and never used.",
    ldirectord.State.REMOVED: "An error.",
}
_SCOPES = {
    ldirectord.Scope.GLOBAL: "Global directives",
    ldirectord.Scope.VIRTUAL: "Directives of a virtual service",
    ldirectord.Scope.REAL: "Parts of a real server's line",
}


def ldirectord_directives() -> str:
    """The directives in the CONFIGURATION section of ldirectord(8)."""
    lines = []
    for scope, title in _SCOPES.items():
        lines.append(f".Ss {title}")
        lines.append(".Bl -tag -width Ds")
        for row in ldirectord.TABLE:
            if row.scope is scope:
                state = _STATES[row.state]
                value = "" if row.state is ldirectord.State.REMOVED else row.reader.expected
                text = [_sentence(row.help), *([state] if state else [])]
                sign = "" if scope is ldirectord.Scope.REAL else " Ns = Ns"
                lines += _item(row.name, value, row.default, text, sign=sign)
        lines.append(".El")
    return "\n".join(lines) + "\n"


PAGES = {
    "keepalived.conf.5": ("KEYWORDS", keepalived_keywords),
    "ldirectord.8": ("DIRECTIVES", ldirectord_directives),
}


def filled(page: str, mark: str, text: str) -> str:
    """The page with `text` between its marks. ValueError when it has no such marks."""
    begin, end = f'.\\" BEGIN {mark}\n', f'.\\" END {mark}\n'
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ValueError(f"the page has no single pair of marks {mark}")
    return pattern.sub(lambda _: f"{begin}{text}{end}", page)


def main() -> None:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "man")
    for name, (mark, render) in PAGES.items():
        page = directory / name
        page.write_text(filled(page.read_text(encoding="utf-8"), mark, render()), encoding="utf-8")


if __name__ == "__main__":
    main()
