"""A voice: what one dialect says about an event. It decides words and whom to tell, never what happens.

The checker process does what a `Notice` asks: it writes the lines, starts the scripts, writes the FIFO lines and hands
the mails to the parent. ldirectord's `fallbackcommand` is a script of the notice for `SorryAdded` and `SorryRemoved`.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

import msgspec

from pykeepalived.lvs.events import LvsEvent
from pykeepalived.model.common import Script


class Level(Enum):
    INFO = "info"
    DETAIL = "detail"
    """Only with -D."""
    ERROR = "error"


class Line(msgspec.Struct, frozen=True):
    text: str
    level: Level = Level.INFO


class ScriptIntent(msgspec.Struct, frozen=True):
    """Run a script; those of one `queue` run one after the other, in order."""

    script: Script
    queue: str


class Mail(msgspec.Struct, frozen=True):
    subject: str
    """Without the `[router_id] ` in front."""
    body: str
    recipients: tuple[str, ...] | None = None
    """None: those of global_defs."""


class Notice(msgspec.Struct, frozen=True):
    """Everything that an event gives occasion to say."""

    lines: tuple[Line, ...] = ()
    scripts: tuple[ScriptIntent, ...] = ()
    fifo: tuple[str, ...] = ()
    """Lines for the LVS FIFO, without their end (the program adds it)."""
    mails: tuple[Mail, ...] = ()


SILENCE = Notice()


class Voice(Protocol):
    """Called once per event, in the order of events. Must not keep state that a reload would have to carry over."""

    def tell(self, event: LvsEvent) -> Notice: ...
