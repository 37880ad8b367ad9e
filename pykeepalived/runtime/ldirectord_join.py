"""Joins the model of an ldirectord.cf to that of a keepalived.conf, for `pykeepalived --ldirectord`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pykeepalived.diagnostics import Diagnostic, ExitClass, Severity
from pykeepalived.dialects.ldirectord import load as load_ldirectord
from pykeepalived.lvs.desired import service_keys
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.model.config import Config
from pykeepalived.runtime.child import CHECKER, ProgramFactory
from pykeepalived.runtime.programs import SOURCES, ProgramSource
from pykeepalived.runtime.reload import Load, Loaded


def joined(load: Load, path: str) -> Load:
    """`load`, and the ldirectord.cf behind it. A file with errors is refused, at start and on reload."""

    def both() -> Loaded:
        first = load()
        second = load_ldirectord(path)
        config = msgspec.structs.replace(
            first.config, ldirectord_servers=second.config.virtual_servers, ldirectord=second.config.ldirectord
        )
        twice = list(_in_both(config))
        refused = first.refused or not second.ok or bool(twice)
        return msgspec.structs.replace(
            first,
            config=config,
            findings=(*first.findings, *second.findings.items, *twice),
            refused=refused,
            exit_class=ExitClass.GENERAL if refused and first.exit_class is ExitClass.NONE else first.exit_class,
            files=(*first.files, path),
        )

    return both


def _in_both(config: Config) -> Iterator[Diagnostic]:
    """Services of the kernel that both files want for themselves."""
    theirs = {
        key: server
        for server in config.ldirectord_servers
        for key in service_keys(server, config.virtual_server_groups)
    }
    for server in config.virtual_servers:
        for key in service_keys(server, config.virtual_server_groups):
            if key in theirs:
                yield Diagnostic(
                    id="two-sources-of-services",
                    severity=Severity.ERROR,
                    message=f"virtual server {ServiceRef(server).name} stands in keepalived.conf and in ldirectord.cf",
                    help="keep one of the two: `keepalivedctl convert` writes either language",
                )


def _load_program() -> ProgramFactory:
    from pykeepalived.runtime.ldirectord_follow import FollowingProgram  # noqa: PLC0415

    return FollowingProgram


def joined_sources() -> tuple[ProgramSource, ...]:
    """The children, with the checker child that follows the VRRP state."""
    return tuple(
        msgspec.structs.replace(source, load=_load_program) if source.kind is CHECKER else source for source in SOURCES
    )
