"""Writes docs/keywords.md: every word of both languages, its state, its area, and a test that uses it.

    python -m pykeepalived.tools.keywords_doc [FILE]

States and areas come from the tables of the parsers. The test is found by search: the first file among the tests of the
word's area that writes the word in a configuration or sets its field in the model. Tests of the parsers do not count:
they show that a word is read, not that it does something.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.dialects.keepalived import rows as keepalived
from pykeepalived.dialects.keepalived.states import later_of
from pykeepalived.dialects.keepalived.tables import all_rows
from pykeepalived.dialects.ldirectord import rows as ldirectord

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = ROOT / "docs" / "keywords.md"
#: First part of a block's path → the area that acts on its words, and where the tests of that area are.
_AREAS: Final = {
    "vrrp": ("vrrp", "interop", "netio", "notify", "processes", "runtime", "demo"),
    "load balancing": ("lvs", "dataplane", "interop", "ldirectord", "runtime", "demo"),
    "checks": ("checkers", "connectors", "interop", "lvs", "ldirectord", "runtime", "demo"),
    "daemon": ("runtime", "cli", "processes", "notify", "reactor", "interop", "lvs", "vrrp", "demo"),
    "ldirectord": ("ldirectord", "checkers", "connectors", "lvs", "interop", "demo"),
}
_SUFFIXES: Final = frozenset({".py", ".conf", ".cf", ".sh"})
#: What is set in a model by so many names that a field says nothing about a word.
_COMMON: Final = frozenset({"name", "interface", "address", "port", "path", "type", "user", "group", "method"})


class Entry(msgspec.Struct, frozen=True):
    """One line of the document."""

    word: str
    place: str
    state: str
    area: str
    test: str

    def line(self) -> str:
        cells = (f"`{self.word}`", self.place, self.state, self.area, f"`{self.test}`" if self.test else "—")
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


@lru_cache(maxsize=1)
def _texts() -> tuple[tuple[str, str], ...]:
    found = []
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix in _SUFFIXES and path.is_file():
            found.append((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8", errors="replace")))
    return tuple(found)


class Use(msgspec.Struct, frozen=True):
    """How a test uses a word: at the start of a line or string of a configuration, or as a field of the model."""

    words: tuple[str, ...]
    """One of these stands in every text that the pattern matches."""
    pattern: re.Pattern[str]

    def stands_in(self, text: str) -> bool:
        return any(word in text for word in self.words) and self.pattern.search(text) is not None


def use_of(word: str, field: str | None, *, assigned: bool) -> Use:
    escaped = re.escape(word)
    forms = [rf"(?:^|[\"'{{]|\\n)[ \t]*(?:@\S+[ \t]+)?{escaped}[ \t]*{'=' if assigned else ''}"]
    if not assigned:
        forms[0] += r"(?=[ \t{}\"']|\\n|$)"
    words = [word]
    if field is not None and field.isidentifier() and field not in _COMMON:
        words.append(f"{field}=")
        forms.append(rf"\b{field}=(?!None|False|\(\))")
    return Use(tuple(words), re.compile("|".join(forms), re.MULTILINE))


def test_of(area: str, use: Use) -> str:
    """The first test of the area that uses the word; empty: none."""
    for directory in _AREAS[area]:
        for name, text in _texts():
            if name.startswith(f"tests/{directory}/") and use.stands_in(text):
                return name
    return ""


def _area(context: str, row: keepalived.Row) -> str:
    head = context.split(".", maxsplit=1)[0]
    if "_CHECK" in context or "_GET" in context or row.name.endswith(("_CHECK", "_GET")):
        return "checks"
    if head.startswith(("virtual_server", "SSL")) or row.name.startswith(("virtual_server", "lvs_", "checker_")):
        return "load balancing"
    if head.startswith(("vrrp", "static", "track", "garp", "linkbeat", "interface_up", "bfd")):
        return "vrrp"
    if row.name.startswith(("vrrp", "static", "track", "garp", "linkbeat", "interface_up", "bfd", "vmac")):
        return "vrrp"
    return "daemon"


def _keepalived_state(row: keepalived.Row, later: str | None) -> str:
    if later is not None:
        return f"no effect yet ({later})"
    return "in effect, deprecated" if row.replaced_by is not None else "in effect"


@lru_cache(maxsize=1)
def entries() -> tuple[tuple[str, Entry, Use], ...]:
    """Language, line and how its test uses the word."""
    return tuple(_entries())


def _entries() -> Iterator[tuple[str, Entry, Use]]:
    for context, row in all_rows():
        area = _area(context, row)
        later = later_of(context, row)
        use = use_of(row.name, row.field, assigned=False)
        test = test_of(area, use) if later is None else ""
        place = "top level" if context == "(root)" else context
        yield "keepalived.conf", Entry(row.name, place, _keepalived_state(row, later), area, test), use
    for directive in ldirectord.TABLE:
        field = directive.field.rpartition(".")[2] or None
        assigned = directive.scope is not ldirectord.Scope.REAL
        use = use_of(directive.name, field, assigned=assigned)
        acts = directive.state in (ldirectord.State.EFFECT, ldirectord.State.DEPRECATED)
        test = test_of("ldirectord", use) if acts else ""
        yield (
            "ldirectord.cf",
            Entry(directive.name, directive.scope.value, directive.state.value, "ldirectord", test),
            use,
        )


def render() -> str:
    """The whole document."""
    found: dict[str, list[Entry]] = {}
    for language, entry, _ in entries():
        found.setdefault(language, []).append(entry)
    lines = [
        "# Keywords",
        "",
        "Every word of both languages. Generated by `python -m pykeepalived.tools.keywords_doc` from the tables that",
        "the parsers are made of; do not edit. A word without effect yet is read and checked, and says so in a note",
        "when it is used; the area that will give it its effect stands in brackets. The test is the first one of the",
        "word's area that uses it; tests of the parsers do not count.",
    ]
    for language, items in found.items():
        acting = [item for item in items if item.state.startswith(("in effect", "deprecated"))]
        tested = sum(1 for item in acting if item.test)
        lines += [
            "",
            f"## {language}",
            "",
            f"{len(items)} rows, {len(acting)} in effect, {tested} of them used by a test of their area.",
            "",
            "| word | stands in | state | area | test |",
            "|---|---|---|---|---|",
            *(item.line() for item in items),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT
    target.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
