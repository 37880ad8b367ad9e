"""Reads a configuration file of either language, for the commands that work on files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.diagnostics import Diagnostic, Severity
from pykeepalived.model import Config
from pykeepalived.tools.fix import Language, language_of

_SNIFFED: Final = 1024 * 1024


class Dialect(Enum):
    KEEPALIVED = "keepalived"
    LDIRECTORD = "ldirectord"


class Loaded(msgspec.Struct, frozen=True):
    """A file as it was understood."""

    dialect: Dialect
    config: Config
    findings: tuple[Diagnostic, ...]

    @property
    def errors(self) -> int:
        return sum(1 for item in self.findings if item.severity is Severity.ERROR)


class Unreadable(Exception):
    """The file cannot be read; the text says why."""


def dialect_of(path: str) -> Dialect:
    """Which language a file is written in, by its first megabyte. Raises Unreadable."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        # Findings name the file, in JSON too.
        raise Unreadable("its name is not UTF-8") from None
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(_SNIFFED).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        raise Unreadable(getattr(error, "strerror", None) or "not a usable path") from None
    return Dialect.LDIRECTORD if language_of(text) is Language.LDIRECTORD else Dialect.KEEPALIVED


def load(path: str, *, config_id: str | None = None, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read a file in the language that it is written in. Raises Unreadable."""
    dialect = dialect_of(path)
    if dialect is Dialect.LDIRECTORD:
        from pykeepalived.dialects import ldirectord  # noqa: PLC0415

        read = ldirectord.load(path, host=ldirectord.SystemHost(check_writable=False))
        return Loaded(dialect, read.config, tuple(read.findings.items))
    from pykeepalived.dialects import keepalived  # noqa: PLC0415

    result = keepalived.load(path, config_id=config_id, environment=os.environ if environment is None else environment)
    return Loaded(dialect, result.config, tuple(result.findings.items))
