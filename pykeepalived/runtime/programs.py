"""Which program runs in which child, and what the parent does for it.

Imports are inside the functions: a daemon without virtual servers never loads the checkers, and `keepalived -t` loads
neither. The parent calls `load` before it forks, so that a child, and every restart of it, finds its modules in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from pykeepalived.model.config import Config
from pykeepalived.runtime.channel import prepare_for_reloads
from pykeepalived.runtime.child import AGENTS, BFD, CHECKER, VRRP, Kind, ProgramFactory
from pykeepalived.runtime.program import Logger, Options


class CleanUp(Protocol):
    """Puts right what a killed child left behind, in the parent, without starting the child again."""

    def __call__(self, options: Options, log: Logger, config: Config) -> None:
        """`config` is what the child ran with."""
        ...


class ProgramSource(msgspec.Struct, frozen=True, kw_only=True):
    """One sort of child."""

    kind: Kind
    load: Callable[[], ProgramFactory]
    needed: Callable[[Config], bool]
    """Whether a configuration holds something for it."""
    part: Callable[[Config], Config]
    """What of a configuration it gets."""
    clean_up: CleanUp
    warm: Callable[[], None] = prepare_for_reloads
    """Takes in, once all runs, what the program does without at its start: a successor finds that in memory, too."""
    keeps_memory: bool = False
    """What it remembers holds for a successor that comes late, too."""


def _load_vrrp() -> ProgramFactory:
    from pykeepalived.runtime.vrrp_process import VrrpProgram  # noqa: PLC0415

    return VrrpProgram


def _warm_vrrp() -> None:
    from pykeepalived.netio.frames import neighbour_layers, vrrp_layers  # noqa: F401, PLC0415

    prepare_for_reloads()


def _load_checker() -> ProgramFactory:
    from pykeepalived.runtime.checker_process import CheckerProgram  # noqa: PLC0415

    return CheckerProgram


def _load_bfd() -> ProgramFactory:
    from pykeepalived.runtime.bfd_process import BfdProgram  # noqa: PLC0415

    return BfdProgram


def _load_agents() -> ProgramFactory:
    from pykeepalived.runtime.agents_process import AgentsProgram  # noqa: PLC0415

    return AgentsProgram


def needs_agents(config: Config) -> bool:
    """Some channel to the outside is on that is not the business of the other processes."""
    return config.globals.agents.active


def needs_bfd(config: Config) -> bool:
    return bool(config.bfd_instances)


def _bfd_part(config: Config) -> Config:
    return Config(globals=config.globals, bfd_instances=config.bfd_instances)


def needs_vrrp(config: Config) -> bool:
    return bool(config.instances or config.static_addresses or config.static_routes or config.static_rules)


def needs_checker(config: Config) -> bool:
    return bool(config.virtual_servers or config.ldirectord_servers)


def _vrrp_part(config: Config) -> Config:
    # Tens of thousands of real servers are no business of the process whose adverts must leave on time.
    return msgspec.structs.replace(config, virtual_servers=(), virtual_server_groups=(), ldirectord_servers=())


def _withdraw_addresses(options: Options, log: Logger, config: Config) -> None:
    from pykeepalived.runtime.vrrp_leftovers import clean_up  # noqa: PLC0415

    clean_up(options, log, config)


def _leave_nothing(options: Options, log: Logger, config: Config) -> None:
    """Sockets end with their process; the neighbours notice the silence."""
    del options, log, config


def _leave_table(options: Options, log: Logger, config: Config) -> None:
    """A dead checker process leaves its table standing: traffic goes on, and its successor adopts it."""
    del options, log, config


#: In starting order (keepalived-behaviour 3.1).
SOURCES: tuple[ProgramSource, ...] = (
    ProgramSource(
        kind=CHECKER, load=_load_checker, needed=needs_checker, part=lambda config: config, clean_up=_leave_table
    ),
    ProgramSource(
        kind=VRRP,
        load=_load_vrrp,
        needed=needs_vrrp,
        part=_vrrp_part,
        clean_up=_withdraw_addresses,
        warm=_warm_vrrp,
    ),
    ProgramSource(kind=BFD, load=_load_bfd, needed=needs_bfd, part=_bfd_part, clean_up=_leave_nothing),
    ProgramSource(
        kind=AGENTS,
        load=_load_agents,
        needed=needs_agents,
        part=lambda config: config,
        clean_up=_leave_nothing,
        keeps_memory=True,
    ),
)
