"""`keepalivedctl lint`: all findings of the loader, and warnings for combinations that are allowed and rarely meant.

    file → loader → findings ─────────────────────┐
         └────────→ model + places → RULES ───────┴→ one list in file order

A rule looks at the model alone and asks `places` where something stands. A file that is written for several routers by
its `@id` lines is loaded for each of them, and rules compare the routers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Final

from pykeepalived.diagnostics import Diagnostic, Findings, Severity
from pykeepalived.dialects.keepalived import HostFacts
from pykeepalived.dialects.keepalived import load as load_keepalived
from pykeepalived.dialects.ldirectord import Host, SystemHost, load_text
from pykeepalived.model import Config
from pykeepalived.syntax import Source
from pykeepalived.tools.configurations import Dialect, dialect_of
from pykeepalived.tools.lint import rules_lvs, rules_vrrp, rules_wishes
from pykeepalived.tools.lint.places import KeepalivedPlaces, LdirectordPlaces
from pykeepalived.tools.lint.rules import RULES, Rule, Subject

__all__ = ["RULES", "Exit", "Rule", "exit_code", "lint"]

#: All have put their rules into the table.
_RULE_MODULES: Final = (rules_vrrp, rules_lvs, rules_wishes)
_CONDITION: Final = re.compile(r"^\s*@\^?(?P<id>[\w.-]{1,64})\s")
_MOST_ROUTERS: Final = 8
_LARGEST_FILE: Final = 64 * 1024 * 1024


class Exit(IntEnum):
    """Exit codes of the command."""

    CLEAN = 0
    WARNINGS = 1
    ERRORS = 2


def exit_code(findings: list[Diagnostic]) -> Exit:
    """Notes do not count."""
    severities = {item.severity for item in findings}
    if Severity.ERROR in severities:
        return Exit.ERRORS
    return Exit.WARNINGS if Severity.WARNING in severities else Exit.CLEAN


def lint(
    path: str,
    *,
    config_id: str | None = None,
    environment: Mapping[str, str] | None = None,
    keepalived_host: HostFacts | None = None,
    ldirectord_host: Host | None = None,
) -> list[Diagnostic]:
    """Everything that is to be said about a file, in its order. Raises tools.configurations.Unreadable."""
    variables = os.environ if environment is None else environment
    if dialect_of(path) is Dialect.LDIRECTORD:
        found, subject = _ldirectord(path, ldirectord_host)
    else:
        found, subject = _keepalived(path, config_id, variables, keepalived_host)
    findings = Findings()
    for item in found:
        findings.add(item)
    for rule in RULES.values():
        for item in rule.check(subject):
            findings.add(item)
    order = {item.span.file: number for number, item in reversed(list(enumerate(findings.items))) if item.span}
    return sorted(
        findings.items,
        key=lambda item: (order[item.span.file], item.span.line, item.span.column) if item.span else (1 << 30, 0, 0),
    )


def _keepalived(
    path: str, config_id: str | None, environment: Mapping[str, str], host: HostFacts | None
) -> tuple[list[Diagnostic], Subject]:
    result = load_keepalived(path, config_id=config_id, environment=environment, host=host)
    routers: dict[str, Config] = {}
    for name in _routers(result.sources):
        routers[name] = load_keepalived(path, config_id=name, environment=environment, host=host).config
    places = KeepalivedPlaces(path, result.config, config_id=result.config_id, environment=environment)
    return result.findings.items, Subject(result.config, places, routers if len(routers) > 1 else None)


def _routers(sources: tuple[Source, ...]) -> list[str]:
    """The ids of `@id` lines: one router each."""
    found: dict[str, None] = {}
    for source in sources:
        for line in source.lines:
            match = _CONDITION.match(line) if "@" in line else None
            if match:
                found[match["id"]] = None
                if len(found) >= _MOST_ROUTERS:
                    return list(found)
    return list(found)


def _ldirectord(path: str, host: Host | None) -> tuple[list[Diagnostic], Subject]:
    with Path(path).open("rb") as stream:
        text = stream.read(_LARGEST_FILE).decode("utf-8", "surrogateescape")
    result = load_text(text, path, host=host or SystemHost(check_writable=False))
    return result.findings.items, Subject(result.config, LdirectordPlaces(path, text, result.config))
