"""Gives an ldirectord.cf its columns back.

In ldirectord.cf indentation is grammar, and web pages eat it. Which lines belong to a virtual service is still clear:
all directives that exist in sections only, and the ones that exist in both places as long as no empty line parts them
from the section. An empty line within a section would end it, so it becomes a comment.
"""

from __future__ import annotations

import re
from typing import Final

from pykeepalived.dialects.ldirectord.rows import GLOBAL, SECTION_HEADERS, VIRTUAL
from pykeepalived.tools.fix.text import Change, note

_INDENT: Final = "    "
_INDENTED: Final = "indented by four blanks"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_YES_NO: Final = re.compile(r"(?P<head>\s*(?P<name>[a-z]+)\s*=\s*)(?P<word>yes|no)(?P<tail>\s+|\s+#.*)$")


class _Mender:
    def __init__(self, lines: list[str]) -> None:
        self.lines = list(lines)
        self.changes: list[Change] = []
        self._in_section = False
        self._lost = False
        """The present section has lines that are not indented."""
        self._gap: list[int] = []
        """Empty lines since the last line of the present section."""

    def run(self) -> None:
        for index in range(len(self.lines)):
            self._line(index)

    def _line(self, index: int) -> None:
        line = self.lines[index]
        text = line.strip()
        if not text:
            self._empty(index, line)
        elif text.startswith("#"):
            if self._in_section and self._lost and not self._gap and not line.startswith((_INDENT, "\t")):
                self._put(index, _INDENT + text, _INDENTED)
        else:
            self._directive(index, line, text)

    def _empty(self, index: int, line: str) -> None:
        if line:
            self._put(index, "", "blanks on an empty line removed")
        if self._in_section:
            self._gap.append(index)

    def _directive(self, index: int, line: str, text: str) -> None:
        match = _NAME.match(text)
        name = match[0] if match else ""
        has_equals = bool(match) and text[len(name) :].lstrip().startswith("=")
        if name in SECTION_HEADERS and has_equals:
            self._in_section, self._lost, self._gap = True, False, []
            self._unindent(index, line, text)
        elif self._in_section and self._belongs(line, name):
            self._close_gap()
            self._indent(index, line, text)
        else:
            if name in GLOBAL:
                self._unindent(index, line, text)
            self._in_section = False
        self._exact_yes_no(index)

    def _belongs(self, line: str, name: str) -> bool:
        if name in VIRTUAL and name not in GLOBAL:
            return True
        indented = line[0] in " \t"
        if name in GLOBAL and name not in VIRTUAL:
            return False
        # In both scopes, or misspelt: it goes with the lines around it.
        return indented or (self._lost and not self._gap)

    def _indent(self, index: int, line: str, text: str) -> None:
        if line.replace("\t", _INDENT).startswith(_INDENT):
            return
        self._lost = True
        self._put(index, _INDENT + text, _INDENTED)

    def _unindent(self, index: int, line: str, text: str) -> None:
        if line[0] in " \t":
            self._put(index, text, "moved to the first column")

    def _close_gap(self) -> None:
        for index in self._gap:
            self._put(index, _INDENT + "#", "empty line within a section made a comment")
        self._gap = []

    def _exact_yes_no(self, index: int) -> None:
        match = _YES_NO.match(self.lines[index])
        if match and (match["name"] in GLOBAL or match["name"] in VIRTUAL):
            self._put(index, match["head"] + match["word"], f"what stood behind `{match['word']}` removed")

    def _put(self, index: int, line: str, what: str) -> None:
        self.lines[index] = line
        note(self.changes, index + 1, what)


def mend(lines: list[str]) -> tuple[list[str], list[Change]]:
    mender = _Mender(lines)
    mender.run()
    return mender.lines, mender.changes
