"""Joins the model of an ldirectord.cf to that of a keepalived.conf, for `pykeepalived --ldirectord`."""

from __future__ import annotations

import msgspec

from pykeepalived.diagnostics import Diagnostic, ExitClass, Severity
from pykeepalived.dialects.ldirectord import load as load_ldirectord
from pykeepalived.runtime.child import CHECKER, ProgramFactory
from pykeepalived.runtime.programs import SOURCES, ProgramSource
from pykeepalived.runtime.reload import Load, Loaded


def joined(load: Load, path: str) -> Load:
    """`load`, and the ldirectord.cf behind it. A file with errors is refused, at start and on reload."""

    def both() -> Loaded:
        first = load()
        second = load_ldirectord(path)
        findings = [*first.findings, *second.findings.items]
        refused = first.refused or not second.ok
        if first.config.virtual_servers:
            refused = True
            findings.append(
                Diagnostic(
                    id="two-sources-of-services",
                    severity=Severity.ERROR,
                    message="virtual servers stand in keepalived.conf, and --ldirectord names a file of others",
                    help="move them to one of the two: `keepalivedctl convert` writes either language",
                )
            )
        config = msgspec.structs.replace(
            first.config, virtual_servers=second.config.virtual_servers, ldirectord=second.config.ldirectord
        )
        return msgspec.structs.replace(
            first,
            config=config,
            findings=tuple(findings),
            refused=refused,
            exit_class=ExitClass.GENERAL if refused and first.exit_class is ExitClass.NONE else first.exit_class,
            files=(*first.files, path),
        )

    return both


def _load_program() -> ProgramFactory:
    from pykeepalived.runtime.ldirectord_follow import FollowingProgram  # noqa: PLC0415

    return FollowingProgram


def joined_sources() -> tuple[ProgramSource, ...]:
    """The children, with the checker child that follows the VRRP state."""
    return tuple(
        msgspec.structs.replace(source, load=_load_program) if source.kind is CHECKER else source for source in SOURCES
    )
