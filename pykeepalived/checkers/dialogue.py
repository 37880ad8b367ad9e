"""Line dialogues: replies of the SMTP and FTP kind (RFC 5321 section 4.2, RFC 959 section 4.2) and single lines."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from pykeepalived.checkers.conversation import (
    Command,
    ConversationError,
    FailureKind,
    ReceiveLine,
    Reply,
    Send,
    StartTls,
)
from pykeepalived.model.checks import TlsOptions

#: Lines of one reply, for example the capabilities after EHLO.
REPLY_LINES: Final = 256


def read_line(step: str) -> Generator[Command, Reply, bytes]:
    """One line without its end; fails with CLOSED at the end of the stream. `step` names what it answers."""
    line = yield ReceiveLine()
    assert isinstance(line, bytes)
    if not line:
        raise ConversationError(FailureKind.CLOSED, f"connection closed before the answer to {step}")
    return line.rstrip(b"\r\n")


def read_reply(step: str) -> Generator[Command, Reply, tuple[int, bytes]]:
    """A reply of one or more lines: its code, 0 when there is none, and the text of its last line."""
    for _ in range(REPLY_LINES):
        line = yield from read_line(step)
        code = int(line[:3]) if line[:3].isdigit() else 0
        if line[3:4] != b"-" or not code:
            return code, line[4:]
    raise ConversationError(FailureKind.TOO_LONG, f"answer to {step} of more than {REPLY_LINES} lines")


def ask(text: str, step: str | None = None) -> Generator[Command, Reply, tuple[int, bytes]]:
    """Send one line and read its reply; `step` is shown instead of the line when that holds a secret."""
    yield Send(line(text))
    return (yield from read_reply(step or text))


def line(text: str) -> bytes:
    """A line of a dialogue. A line end inside configured text would be a second command, so it becomes a blank."""
    return text.replace("\r", " ").replace("\n", " ").encode("utf-8", "surrogateescape") + b"\r\n"


def start_tls(options: TlsOptions, server_name: str | None = None) -> StartTls:
    """The command for a check's TLS settings; `server_name` where they name none."""
    return StartTls(
        server_name=options.server_name or server_name,
        verify=options.verify,
        check_name=options.server_name is not None,
        ca_file=options.ca_file,
        certificate_file=options.certificate_file,
        key_file=options.key_file,
    )


def quote(data: bytes) -> str:
    """What a server said, for a log line."""
    return repr(data[:80].decode("ascii", "replace"))
