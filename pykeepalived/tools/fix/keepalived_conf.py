"""Joins lines of a keepalived.conf that a page broke in two, and replaces words of old versions."""

from __future__ import annotations

import re
from typing import Final

from pykeepalived.tools.fix.text import Change, note

#: A server whose port stands alone on the next line; `{` may follow it there.
_SERVER: Final = re.compile(r"\s*(?P<word>sorry_server|real_server|virtual_server)\s+(?P<address>[0-9A-Fa-f:.]+)\s*$")
_PORT: Final = re.compile(r"\s*(?P<port>[0-9]{1,5})\s*(?P<brace>\{?)\s*$")
_STATE: Final = re.compile(r"(?P<head>\s*state\s+)SLAVE\b")
_OLD_WORDS: Final = {"lvs_id": "router_id", "nb_get_retry": "retry"}
_OLD: Final = re.compile(rf"(?P<head>\s*)(?P<word>{'|'.join(_OLD_WORDS)})(?=\s)")


def mend(lines: list[str]) -> tuple[list[str], list[Change]]:
    """Comments are left alone: every pattern starts at the first word of a line."""
    changes: list[Change] = []
    result: list[str] = []
    broken_at: int | None = None
    """Index in `result` of a server line that waits for its port."""
    for number, line in enumerate(lines, 1):
        if broken_at is not None and not line.strip():
            # A page may have put an empty line between the two halves.
            result.append(line)
            continue
        port = _PORT.match(line) if broken_at is not None else None
        if port and broken_at is not None:
            del result[broken_at + 1 :]
            tail = " {" if port["brace"] else ""
            result[broken_at] = f"{result[broken_at].rstrip()} {port['port']}{tail}"
            note(changes, number, "joined with the line above")
            broken_at = None
            continue
        result.append(_modern(line, number, changes))
        broken_at = len(result) - 1 if _SERVER.match(line) else None
    return result, changes


def _modern(line: str, number: int, changes: list[Change]) -> str:
    if _STATE.match(line):
        note(changes, number, "`SLAVE` replaced by `BACKUP`")
        return _STATE.sub(r"\g<head>BACKUP", line, count=1)
    old = _OLD.match(line)
    if old:
        new = _OLD_WORDS[old["word"]]
        note(changes, number, f"`{old['word']}` replaced by `{new}`")
        return f"{old['head']}{new}{line[old.end() :]}"
    return line
