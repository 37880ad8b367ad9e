"""Files: the pattern of `-f` and of every include, read within bounds (keepalived-behaviour 1.7)."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.syntax.limits import Limits

_WILDCARDS: Final = frozenset("*?[")


class IncludeChecks(msgspec.Struct, frozen=True):
    """Which failures of an include are errors."""

    read: bool = False
    """Every match must be a readable, regular, non-executable file."""
    match: bool = False
    """A name without wildcards must exist."""
    wildcard_match: bool = False
    """A pattern with wildcards must match something."""
    brace_match: bool = False
    """Every alternative of `{a,b}` must match something."""


NO_CHECKS: Final = IncludeChecks()
ALL_CHECKS: Final = IncludeChecks(True, True, True, True)
#: The include forms by their last letter.
INCLUDE_FORMS: Final = {
    "includer": IncludeChecks(read=True),
    "includem": IncludeChecks(read=True, match=True),
    "includew": IncludeChecks(read=True, match=True, wildcard_match=True),
    "includeb": IncludeChecks(read=True, brace_match=True),
    "includea": ALL_CHECKS,
}
MAIN_FILE_CHECKS: Final = IncludeChecks(read=True, match=True, wildcard_match=True)


class Source:
    """One file that was read: its name as findings print it, its directory, and its text."""

    __slots__ = ("directory", "encoding", "identity", "name", "text")

    def __init__(
        self, name: str, directory: str, text: str, encoding: str = "utf-8", identity: tuple[int, int] = (0, 0)
    ) -> None:
        self.name = name
        self.directory = directory
        self.text = text
        self.encoding = encoding
        self.identity = identity
        """Device and inode: the same for all names of one file."""

    @property
    def lines(self) -> list[str]:
        """The lines without their ends, made anew at each call."""
        lines = self.text.split("\n")
        if not lines[-1]:
            lines.pop()
        return lines


class Unreadable(Exception):
    """A file that matched and cannot be used; the text says why."""


def expand_braces(pattern: str, limit: int) -> list[str]:
    """Expand `{a,b}` as a shell does, nested ones included, to at most `limit` alternatives."""
    pending = [pattern]
    done: list[str] = []
    while pending and len(done) + len(pending) <= limit:
        text = pending.pop()
        opening, commas, closing = _first_group(text)
        if closing < 0:
            done.append(text)
            continue
        edges = [opening, *commas, closing]
        parts = [text[edges[i] + 1 : edges[i + 1]] for i in range(len(edges) - 1)]
        pending.extend(text[:opening] + part + text[closing + 1 :] for part in reversed(parts))
    return done + pending[: max(0, limit - len(done))] if pending else done


def _first_group(text: str) -> tuple[int, list[int], int]:
    opening = text.find("{")
    commas: list[int] = []
    depth = 0
    for index in range(max(opening, 0), len(text)) if opening >= 0 else ():
        char = text[index]
        if char == "{":
            depth += 1
        elif char == "," and depth == 1:
            commas.append(index)
        elif char == "}":
            depth -= 1
            if depth == 0:
                return opening, commas, index
    return opening, commas, -1


def has_wildcard(pattern: str) -> bool:
    return any(char in _WILDCARDS for char in pattern)


def matches(pattern: str, directory: str, limits: Limits) -> Iterator[tuple[str, list[str]]]:
    """Yield each brace alternative of `pattern` with the names it matches, sorted, directories left out."""
    for alternative in expand_braces(pattern, limits.brace_alternatives):
        full = alternative if not directory or os.path.isabs(alternative) else os.path.join(directory, alternative)  # noqa: PTH117, PTH118
        try:
            found = sorted(glob.glob(full)) if has_wildcard(full) else [full]  # noqa: PTH207
            names = [name for name in found if Path(name).exists() and not Path(name).is_dir()]
        except (OSError, ValueError):
            names = []
        yield alternative, names[: limits.files]


def read_source(name: str, limits: Limits) -> tuple[Source, int]:
    """Read one file. Raises Unreadable. Returns it with its size in bytes."""
    try:
        # A device or FIFO must be refused before it is read, and opening must not wait for a FIFO's writer.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be opened: {_reason(error)}") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o111:
            raise Unreadable("is not a regular non-executable file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limits.file_bytes + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {_reason(error)}") from error
    finally:
        os.close(descriptor)
    if len(data) > limits.file_bytes:
        raise Unreadable(f"is larger than {limits.file_bytes} bytes")
    text, encoding = _decode(data)
    identity = (facts.st_dev, facts.st_ino)
    return Source(name, os.path.dirname(name), text, encoding, identity), len(data)  # noqa: PTH120


def _decode(data: bytes) -> tuple[str, str]:
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        # keepalived works on bytes; Latin-1 keeps each byte, and whoever needs the bytes encodes with the same.
        return data.decode("latin-1"), "latin-1"


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
