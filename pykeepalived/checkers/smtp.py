"""SMTP_CHECK: greeting 220, `HELO` answered 250, `QUIT` answered at all (keepalived-behaviour 11.2).

The texts of failures are the original's: they stand in its log and in its mails.
"""

from __future__ import annotations

from collections.abc import Generator

from pykeepalived.checkers.conversation import (
    Command,
    Connect,
    Conversation,
    ConversationError,
    FailureKind,
    Outcome,
    ReceiveLine,
    Reply,
    Send,
)
from pykeepalived.model.checks import SmtpCheck


def smtp(check: SmtpCheck) -> Conversation:
    server = f"server [{check.socket.address}]:{check.socket.port}"
    try:
        yield Connect(options=check.socket)
    except ConversationError as error:
        _pass_on(error)
        late = error.kind is FailureKind.TIMEOUT
        words = f"Connection timeout to {server}" if late else f"Could not connect to {server}"
        return Outcome(False, words, error.kind.value)
    failure = yield from _expect(b"220", server, "Bad greeting banner")
    if failure is not None:
        return failure
    yield from _send(b"HELO " + check.helo_name.encode("utf-8", "surrogateescape") + b"\r\n")
    failure = yield from _expect(b"250", server, "Bad HELO response")
    if failure is not None:
        return failure
    yield from _send(b"QUIT\r\n")
    _, failure = yield from _line(server)
    if failure is not None and failure.reason != FailureKind.CLOSED.value:
        return failure
    return Outcome(True, "SMTP server succeed")


def _send(data: bytes) -> Generator[Command, Reply, None]:
    """A server that has gone is noticed by the reading that follows."""
    try:
        yield Send(data)
    except ConversationError as error:
        if error.kind is not FailureKind.RESET:
            raise


def _expect(code: bytes, server: str, wrong: str) -> Generator[Command, Reply, Outcome | None]:
    """Read one line. Only `NNN ` counts: a line with a hyphen after the code is a failure in the original too."""
    line, failure = yield from _line(server)
    if failure is not None:
        return failure
    if not line.endswith(b"\n"):
        return Outcome(False, f"Read failure from {server}", "closed")
    if line[:3] != code or line[3:4] != b" ":
        return Outcome(False, f"{wrong} from {server}", "smtp-status")
    return None


def _line(server: str) -> Generator[Command, Reply, tuple[bytes, Outcome | None]]:
    try:
        line = yield ReceiveLine()
    except ConversationError as error:
        _pass_on(error)
        late = error.kind is FailureKind.TIMEOUT
        words = f"Read timeout from {server}" if late else f"Read failure from {server}"
        return b"", Outcome(False, words, error.kind.value)
    assert isinstance(line, bytes)
    if not line:
        return b"", Outcome(False, f"Read failure from {server}", "closed")
    return line, None


def _pass_on(error: ConversationError) -> None:
    """A lack of our own resources says nothing about the server, so the engine has to see it."""
    if error.kind in {FailureKind.EXHAUSTED, FailureKind.LOCAL}:
        raise error
