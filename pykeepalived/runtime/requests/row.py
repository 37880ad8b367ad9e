"""One request of the control socket is one row in one file; the table of all is `runtime.requests`.

A row holds the name, who may ask, the arguments with their ranges, the shape of the answer and the code. From the rows
docs/control.md is made, and a test checks what daemons answer against them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from pykeepalived.model.config import Config
from pykeepalived.runtime.control import Answer
from pykeepalived.runtime.event_ring import EventRing
from pykeepalived.runtime.program import StatusPart

Reply = Callable[[dict[str, Any]], None]


class NoArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


class Child(Protocol):
    """A process of the daemon that can be asked; `word` is vrrp, checker or bfd. Each answer comes exactly once."""

    @property
    def word(self) -> str: ...

    def ask_status(self, part: StatusPart, answer: Reply) -> None: ...

    def ask_command(self, name: str, arguments: dict[str, Any], answer: Reply) -> None: ...


class Desk(Protocol):
    """What a daemon lets the requests look at and do."""

    events: EventRing

    def identity(self) -> dict[str, Any]:
        """Who answers: program, versions, process, files."""
        ...

    def overview(self) -> dict[str, Any]:
        """What stands in `status` besides the identity and the children's own answers."""
        ...

    def children(self) -> Sequence[Child]:
        """Those that run."""
        ...

    def configuration(self) -> Config: ...

    def reload(self) -> None:
        """Read the configuration again, as at SIGHUP."""
        ...


Run = Callable[[Desk, Any, Answer], None]


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    name: str
    help: str
    run: Run
    answer: Any
    """The type of the result (docs, tests)."""
    arguments: type[msgspec.Struct] = NoArguments
    steers: bool = False
    """It changes something, or shows a secret: the right to read is not enough."""
    streams: bool = False


def hand_over(word: str, name: str) -> Run:
    """The code of a row whose request is carried out by one child."""

    def run(desk: Desk, arguments: msgspec.Struct, answer: Answer) -> None:
        child = next((item for item in desk.children() if item.word == word), None)
        if child is None:
            answer.refuse(f"no {word} process is running" if word != "vrrp" else "no VRRP process is running")
            return
        child.ask_command(name, msgspec.to_builtins(arguments), lambda body: settle(body, answer))

    return run


def settle(body: dict[str, Any], answer: Answer) -> None:
    """Hand on what a program answered to a command."""
    if "error" in body:
        answer.refuse(str(body["error"]))
    else:
        answer.reply(body)
