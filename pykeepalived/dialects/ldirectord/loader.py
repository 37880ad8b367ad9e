"""Reads an ldirectord.cf into the model.

    file → lines → statements in scopes (scan) → values (readers, rows) → VirtualServer (section, checks)

Defaults are resolved after the whole file was read, so a global directive counts for sections above it too. Every fault
is reported, not only the first; a file with an error is a bad file, whatever `config` holds.
"""

from __future__ import annotations

import logging.handlers
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from pykeepalived.diagnostics import Diagnostic, Findings, Label, Severity, Span
from pykeepalived.dialects.ldirectord.addresses import AddressError, Fallback, Resolver, read_fallback
from pykeepalived.dialects.ldirectord.host import Host, SystemHost
from pykeepalived.dialects.ldirectord.report import Reporter, quote
from pykeepalived.dialects.ldirectord.rows import GLOBAL
from pykeepalived.dialects.ldirectord.scan import Scanned, Scanner, Section, Statement
from pykeepalived.dialects.ldirectord.section import SectionBuilder
from pykeepalived.dialects.ldirectord.section_words import Defaults
from pykeepalived.dialects.ldirectord.values import Found, Places, Values
from pykeepalived.model.common import Family
from pykeepalived.model.config import Config, LdirectordSettings
from pykeepalived.model.lvs import VirtualServer
from pykeepalived.units import SECOND_US

#: A configuration of 100,000 real servers is a tenth of this.
LARGEST_FILE: Final = 64 * 1024 * 1024

_COMPAT: Final = re.compile(r"#\s*pyldirectord:\s*compat=(?P<mode>\w*)")

#: Findings that `keepalivedctl fix` can mend.
MENDABLE: Final = frozenset(
    {
        "lost-indentation", "too-little-indentation", "line-outside-section", "blank-line-too-long",
        "no-break-space", "byte-order-mark",
    }
)  # fmt: skip


class LoadResult(msgspec.Struct):
    """What a file says. `config` is complete only when `ok`."""

    config: Config
    findings: Findings

    @property
    def ok(self) -> bool:
        return not self.findings.count(Severity.ERROR)

    @property
    def mendable(self) -> bool:
        """`keepalivedctl fix` would help."""
        return any(item.id in MENDABLE for item in self.findings.items)


def load(path: str, *, host: Host | None = None, strict: bool = False) -> LoadResult:
    """Read a file; `strict`: as if its first line asked for compat=strict.

    Never raises: a file that cannot be read is a finding without a span.
    """
    findings = Findings()
    empty = LoadResult(Config(ldirectord=LdirectordSettings(path=path)), findings)
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        findings.add(_unreadable(f"cannot read {quote(path)}: {reason}"))
        return empty
    if len(data) > LARGEST_FILE:
        findings.add(_unreadable(f"{quote(path)} is larger than {LARGEST_FILE} bytes"))
        return empty
    return load_text(data.decode("utf-8", "surrogateescape"), path, host=host, strict=strict)


def load_text(text: str, path: str, *, host: Host | None = None, strict: bool = False) -> LoadResult:
    """Read the text of a file; `path` is its name in findings and in the model."""
    findings = Findings()
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    config = _Loader(Reporter(path, lines, findings), Resolver(host or SystemHost()), strict).load()
    findings.items.sort(key=lambda item: item.span.line if item.span else len(lines) + 1)
    return LoadResult(config, findings)


def _unreadable(message: str) -> Diagnostic:
    return Diagnostic(id="unreadable-file", severity=Severity.ERROR, message=message)


class _Loader:
    """One load."""

    def __init__(self, report: Reporter, resolver: Resolver, strict: bool) -> None:
        self._strict = strict
        self._report = report
        self._resolver = resolver
        self._places = Places(report)
        self._later_noted: set[str] = set()
        self._globals = Values(self._places, self._later_noted)

    def load(self) -> Config:
        lines = self._report.lines
        scanned = Scanner(self._report).scan()
        self._report_line_ends()
        for statement in scanned.globals:
            self._read_global(statement)
        settings = self._settings()
        defaults = Defaults(
            values=self._globals,
            fallback=self._fallback("fallback", Family.INET),
            fallback6=self._fallback("fallback6", Family.INET6),
            hostname=self._resolver.host.hostname(),
            strict=settings.compat_strict,
        )
        servers = self._sections(scanned, defaults)
        last = scanned.sections[-1] if scanned.sections else None
        if last is not None and last.header.line == len(lines):
            self._report.error(
                "empty-section",
                "the file ends with the head of a virtual service",
                self._report.span(last.header.line),
                help_text="write its real servers below it",
            )
        return Config(ldirectord=settings, virtual_servers=tuple(servers))

    def _report_line_ends(self) -> None:
        for number, line in enumerate(self._report.lines, 1):
            if line.endswith("\r"):
                text = "DOS line ends: yes/no values, netmasks and lists do not bear them"
                end = len(line) - 1
                self._report.warning("dos-line-ends", text, self._report.span(number, end, end + 1))
                return

    # ---- globals ----

    def _read_global(self, statement: Statement) -> None:
        row = GLOBAL[statement.name]
        if statement.name == "supervised" and not statement.has_equals:
            self._report.warning(
                "bare-supervised",
                "`supervised` without a value means yes",
                self._places.name(statement),
                help_text="write `supervised=yes`",
            )
            self._globals.put("supervised", True, statement)
            return
        self._globals.add(row, statement)

    def _settings(self) -> LdirectordSettings:
        values, path = self._globals, self._report.file
        self._check_logfile()
        self._check_maintenance_directory()
        for name in ("tlsca", "tlscert", "tlskey"):
            found = values.get(name)
            problem = found and self._resolver.host.read_problem(str(found.value))
            if found and problem:
                self._error(found, "unreadable-file", f"cannot read `{quote(str(found.value))}`: {problem}")
        first = _COMPAT.match(self._report.lines[0]) if self._report.lines else None
        if first and first["mode"] != "strict":
            span = self._report.span(1, first.start("mode"), first.end("mode") or None)
            self._report.warning("unknown-compat", "the only mode is `compat=strict`", span)
        return LdirectordSettings(
            path=path,
            logfile=values.value("logfile", "/var/log/ldirectord.log"),
            autoreload=values.value("autoreload", False),
            callback=values.value("callback") or None,
            execute=tuple(found.value for found in values.all("execute") if found.value),
            supervised=values.value("supervised", False),
            fork=values.value("fork", False),
            check_interval_us=values.value("checkinterval", 10) * SECOND_US,
            maintenance_dir=values.value("maintenancedir"),
            readd_quiescent=values.value("readdquiescent", False),
            mail_sender=values.value("emailalertfrom"),
            compat_strict=self._strict or (first is not None and first["mode"] == "strict"),
        )

    def _check_logfile(self) -> None:
        found = self._globals.get("logfile")
        if found is None:
            return
        name = str(found.value)
        if name.startswith("/"):
            problem = self._resolver.host.append_problem(name)
            if problem:
                self._error(found, "unwritable-file", f"cannot write `{quote(name)}`: {problem}")
        elif name not in logging.handlers.SysLogHandler.facility_names:
            help_text = "a file starts with `/`" if "/" in name else None
            span = self._places.value(found.statement)
            text = f"`{quote(name)}` is no facility of syslog: `daemon` is taken"
            self._report.warning("unknown-facility", text, span, help_text=help_text)

    def _check_maintenance_directory(self) -> None:
        found = self._globals.get("maintenancedir")
        if found is None or self._resolver.host.is_directory(str(found.value)):
            return
        quotes = '"' in str(found.value)
        self._report.warning(
            "no-such-directory",
            f"there is no directory `{quote(str(found.value))}`",
            self._places.value(found.statement),
            help_text="write it without quotes, they are taken as part of the path" if quotes else None,
        )

    def _fallback(self, name: str, family: Family) -> Fallback | None:
        found = self._globals.get(name)
        if found is None:
            return None
        try:
            fallback = read_fallback(str(found.value), family, ("tcp", "udp"), self._resolver)
        except AddressError as error:
            span = self._places.value(found.statement, error.start, error.end)
            self._report.error(error.id, error.text, span, help_text=error.help)
            return None
        if fallback is None:
            self._report.warning("empty-fallback", f"`{name}` without a host", self._places.name(found.statement))
        return fallback

    def _error(self, found: Found, id_: str, text: str) -> None:
        self._report.error(id_, text, self._places.value(found.statement))

    # ---- sections ----

    def _sections(self, scanned: Scanned, defaults: Defaults) -> list[VirtualServer]:
        servers: list[VirtualServer] = []
        first: dict[Any, Section] = {}
        for section in scanned.sections:
            builder = SectionBuilder(section, defaults, self._places, self._resolver, self._later_noted)
            server = builder.build()
            if server is None:
                continue
            key = (server.protocol, server.selector, server.family)
            if key in first:
                self._report.error(
                    "duplicate-virtual-server",
                    "this virtual service stands in the file already",
                    self._header_span(section),
                    secondary=(Label(self._header_span(first[key]), "first here"),),
                )
                continue
            first[key] = section
            servers.append(server)
        return servers

    def _header_span(self, section: Section) -> Span:
        return self._report.span(section.header.line)
