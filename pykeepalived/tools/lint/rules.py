"""What a rule of the linter is: an id, a sentence about it, and a function that looks at one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from pykeepalived.diagnostics import Diagnostic, Severity, Span
from pykeepalived.model import Config
from pykeepalived.tools.lint.places import Places


class Subject:
    """One configuration under the lens."""

    def __init__(self, config: Config, places: Places, routers: Mapping[str, Config] | None = None) -> None:
        self.config = config
        self.places = places
        self.routers: Mapping[str, Config] = routers or {}
        """The configuration of every router that the file is written for, by the id of its `@id` lines."""


Check = Callable[["Subject"], Iterator[Diagnostic]]


class Rule(msgspec.Struct, frozen=True):
    id: str
    text: str
    check: Check


RULES: Final[dict[str, Rule]] = {}


def rule(identifier: str, text: str) -> Callable[[Check], Check]:
    """Put a function into the table of rules."""

    def put(check: Check) -> Check:
        RULES[identifier] = Rule(identifier, text, check)
        return check

    return put


def warning(
    identifier: str, message: str, span: Span | None, help_text: str | None = None, *, note: bool = False
) -> Diagnostic:
    """A finding of a rule; `note`: worth knowing and often meant."""
    severity = Severity.NOTE if note else Severity.WARNING
    return Diagnostic(id=identifier, severity=severity, message=message, span=span, help=help_text)
