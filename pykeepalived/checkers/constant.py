"""Checks that ask nobody: ldirectord's `on` and `off`, and words whose check does not exist here yet."""

from __future__ import annotations

from pykeepalived.checkers.conversation import Command, Conversation, FailureKind, Outcome

_NOTHING: tuple[Command, ...] = ()


def constant(outcome: Outcome) -> Conversation:
    """A conversation without a single command."""
    yield from _NOTHING
    return outcome


def on() -> Conversation:
    return constant(Outcome(True, "always up"))


def off() -> Conversation:
    return constant(Outcome(False, "always down", "off"))


def not_available(text: str) -> Conversation:
    return constant(Outcome(False, text, FailureKind.NOT_AVAILABLE.value))
