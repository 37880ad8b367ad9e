"""Is a new configuration fit to replace the running one?

The original takes whatever a file says. A running service is worth more than a new file, so here a reload changes
nothing when the file cannot be used at all or brings errors that the running configuration did not have; an old error
that was lived with at start does not block. Errors about the machine rather than the file (an interface or an
account that is not there yet) never block either: the file may simply be ahead of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from pykeepalived.diagnostics import Diagnostic, ExitClass, Severity
from pykeepalived.diagnostics.render import short
from pykeepalived.model.config import Config

#: Findings that depend on the machine at this moment.
_ABOUT_THE_MACHINE: Final = frozenset({"no-such-interface", "unknown-user", "unknown-group"})


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What reading the file gave."""

    config: Config
    findings: tuple[Diagnostic, ...] = ()
    exit_class: ExitClass = ExitClass.NONE
    missing: bool = False
    """There is no such file."""
    refused: bool = False
    """The VRRP process cannot run with it, and keepalived would end (an unknown interface, a VRID used twice)."""
    files: tuple[str, ...] = ()
    """What was read, in order."""
    text: str = ""
    """The text of these files, where global_defs want copies of it."""


Load = Callable[[], Loaded]


def refusal(old: Loaded, new: Loaded) -> list[str]:
    """Why the new configuration must not replace the old one, as lines; empty: it may."""
    if new.missing:
        return ["the file is missing"]
    known = {_identity(finding) for finding in old.findings}
    fresh = [finding for finding in errors(new.findings) if _identity(finding) not in known]
    if new.exit_class is ExitClass.MISSING_WORD and old.exit_class is not ExitClass.MISSING_WORD and not fresh:
        return ["a keyword lacks its parameter"]
    return [short(finding) for finding in fresh]


def errors(findings: Iterable[Diagnostic]) -> Iterable[Diagnostic]:
    """Those that may keep a file from being used."""
    return (
        finding for finding in findings if finding.severity is Severity.ERROR and finding.id not in _ABOUT_THE_MACHINE
    )


def _identity(finding: Diagnostic) -> tuple[str, str, str]:
    """The same fault, even when lines above it came or went."""
    return (finding.id, finding.message, finding.span.text.strip() if finding.span else "")
