"""What is decided for the supervisor by others: the command line, the original's order of things; and small steps."""

from __future__ import annotations

import gc
import resource
from typing import Final

import msgspec

from pykeepalived import KEEPALIVED_VERSION
from pykeepalived.model import GlobalDefs
from pykeepalived.runtime.child import EXIT_CONFIG, EXIT_FATAL, EXIT_PERMISSION
from pykeepalived.runtime.dumps import dump_name, write_dump
from pykeepalived.runtime.logging import LogSettings
from pykeepalived.runtime.program import Logger, Options

#: Exit codes of children that are not started again.
PERMANENT: Final = {EXIT_CONFIG: "CONFIG", EXIT_FATAL: "FATAL", EXIT_PERMISSION: "missing permission"}
#: The order in which children are told to stop (keepalived-behaviour 3.2).
STOP_ORDER: Final = ("vrrp", "checker", "bfd", "agents")


class SupervisorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line decided."""

    title: str = f"Keepalived v{KEEPALIVED_VERSION}"
    pattern: str = ""
    """The configuration file as it was named."""
    kinds: frozenset[str] = frozenset({"vrrp", "checker", "bfd", "agents"})
    """Children that may run (-P, -C, -B)."""
    start_all: bool = False
    """--all: also without configuration for them."""
    ignore_sigint: bool = False
    respawn: bool = True
    """False: -R."""
    dump_configuration: bool = False
    """-d."""
    log_settings: LogSettings = LogSettings()
    options: Options = Options()
    control_socket: str | None = None
    """None: none is wanted."""
    control_ways: tuple[str, ...] = ()
    """Our own directories that lead to it."""


def cpu_usage() -> str:
    """The log line about the CPU time of this process and of the children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        f"CPU usage (self/children) user: {own.ru_utime:.6f}/{children.ru_utime:.6f} "
        f"system: {own.ru_stime:.6f}/{children.ru_stime:.6f}"
    )


def collect_garbage_again() -> None:
    """All is imported and forked: what is made from here on may be garbage one day (`cli.keepalived.main`)."""
    gc.freeze()
    gc.enable()


def write_named_dump(name: str, text: str, settings: GlobalDefs, log: Logger) -> None:
    """Write a dump under its path, or under its name where `settings` put such files; a failure goes to the log."""
    try:
        write_dump(name if name.startswith("/") else dump_name(name, settings), text)
    except OSError as error:
        log.error(f"Can't open {name} - {error.strerror}")
