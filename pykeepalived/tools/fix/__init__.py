"""Mends configuration files that lost something on their way: `keepalivedctl fix`.

Only what is certain is mended: the change makes a line mean what it can only have meant. Everything else stays for the
loader to complain about. Mending a mended text changes nothing.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import msgspec

from pykeepalived.tools.fix import keepalived_conf, ldirectord_cf
from pykeepalived.tools.fix.text import Change, clean

__all__ = ["Change", "Language", "Mended", "language_of", "mend"]

_LDIRECTORD: Final = re.compile(r"^[ \t\u00a0\ufeff]*virtual6?[ \t]*=", re.MULTILINE)


class Language(Enum):
    KEEPALIVED = "keepalived.conf"
    LDIRECTORD = "ldirectord.cf"


class Mended(msgspec.Struct, frozen=True):
    """The text after mending, and what was done to it."""

    language: Language
    text: str
    changes: tuple[Change, ...]


def language_of(text: str) -> Language:
    """Only ldirectord.cf has lines that start with `virtual=`; a file with neither language's marks is keepalived's."""
    return Language.LDIRECTORD if _LDIRECTORD.search(text) else Language.KEEPALIVED


def mend(text: str) -> Mended:
    """Mend a whole file. Works for any text; one without faults comes back as it is."""
    language = language_of(text)
    lines, changes = clean(text.split("\n"))
    work = ldirectord_cf.mend if language is Language.LDIRECTORD else keepalived_conf.mend
    lines, more = work(lines)
    ordered = sorted((*changes, *more), key=lambda change: change.first)
    return Mended(language, "\n".join(lines), tuple(ordered))
