"""SMTP_CHECK: greeting 220, `HELO` answered 250, `QUIT` answered at all (keepalived-behaviour 11.2)."""

from __future__ import annotations

from collections.abc import Generator

from pykeepalived.checkers.conversation import Command, Connect, Conversation, Outcome, ReceiveLine, Reply, Send
from pykeepalived.model.checks import SmtpCheck


def smtp(check: SmtpCheck) -> Conversation:
    yield Connect(options=check.socket)
    failure = yield from _expect(b"220", "greeting")
    if failure is not None:
        return failure
    yield Send(b"HELO " + check.helo_name.encode("utf-8", "surrogateescape") + b"\r\n")
    failure = yield from _expect(b"250", "HELO")
    if failure is not None:
        return failure
    yield Send(b"QUIT\r\n")
    yield ReceiveLine()
    return Outcome(True, "SMTP server succeed")


def _expect(code: bytes, step: str) -> Generator[Command, Reply, Outcome | None]:
    """Read one line. Only `NNN ` counts: a line with a hyphen after the code is a failure in the original too."""
    line = yield ReceiveLine()
    if not isinstance(line, bytes) or not line:
        return Outcome(False, f"connection closed before the answer to {step}", "closed")
    if not line.endswith(b"\n"):
        return Outcome(False, f"connection closed within the answer to {step}", "closed")
    if line[:3] != code or line[3:4] != b" ":
        return Outcome(False, f"answer to {step} is {line[:80].decode('ascii', 'replace').strip()!r}", "smtp-status")
    return None
