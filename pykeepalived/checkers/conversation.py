"""A check as a conversation: a generator of commands that reads from top to bottom like blocking code.

A checker yields commands; the connector (an edge) performs each and sends the reply back in. A failed command is
thrown into the generator as `ConversationError`. The generator returns an `Outcome`. It never sees a socket, a clock or
a retry: the deadline is the connector's, retries are the verdict machine's.

    def tcp(check: TcpCheck) -> Conversation:
        yield Connect(...)
        return Outcome(True, "connected")
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum

import msgspec

from pykeepalived.model.checks import NegotiateCheck, SocketOptions
from pykeepalived.model.common import Script


class FailureKind(Enum):
    """Why a command failed. The value is counter, log word and test id."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RESET = "reset"
    TLS = "tls"
    RESOLVE = "resolve"
    CLOSED = "closed"
    TOO_LONG = "too-long"
    LOCAL = "local-error"
    EXHAUSTED = "no-resources"
    """We ran out of descriptors, ports or memory: says nothing about the server, so the engine does not count it."""
    NOT_AVAILABLE = "not-available"


class ConversationError(Exception):
    """A command could not be done; `kind` says why, the text is for people."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """Open a stream; an earlier one of this conversation is closed first. Reply: None."""

    options: SocketOptions
    timeout_us: int | None = None
    """Limit of the connect alone; None: only the conversation's deadline."""


class StartTls(msgspec.Struct, frozen=True, kw_only=True):
    """Turn the stream into TLS. Reply: None."""

    server_name: str | None = None
    verify: bool = False
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    key_password: str | None = None
    require_close_notify: bool = False
    """A stream that ends without close-notify fails with TLS; otherwise it is an ordinary end."""
    check_name: bool = False
    """With `verify`: the certificate must be for `server_name`."""
    valid_days: int = 0
    """The certificate must be valid for so many days more, verified or not; 0: nobody looks."""
    alpn: tuple[str, ...] = ()
    """Protocols to offer (RFC 7301); the server must take one of them. Empty: none is offered."""


class Send(msgspec.Struct, frozen=True):
    """Send all bytes. Reply: None."""

    data: bytes


class Receive(msgspec.Struct, frozen=True):
    """Wait for at least one byte. Reply: bytes, at most `limit`; empty at the end of the stream."""

    limit: int = 65536


class ReceiveLine(msgspec.Struct, frozen=True):
    """Wait for a whole line. Reply: bytes with its line end; shorter and without one at the end of the stream.

    A line longer than `limit` fails with TOO_LONG.
    """

    limit: int = 8192


class ShutdownSending(msgspec.Struct, frozen=True):
    """Close our direction. Reply: None."""


class Swap(msgspec.Struct, frozen=True):
    """Exchange the stream with the one that is set aside (at first none): FTP has two at a time. Reply: None."""


class Listen(msgspec.Struct, frozen=True):
    """Open a port for one connection from the server, on the address of the present stream. Reply: `ADDRESS PORT`."""


class Accept(msgspec.Struct, frozen=True):
    """Wait for that connection and set it aside, as `Swap` does with a stream; others are dropped. Reply: None."""


class Pause(msgspec.Struct, frozen=True):
    """Wait. Reply: None."""

    time_us: int


class AskClient(msgspec.Struct, frozen=True, kw_only=True):
    """Ask with a client library that blocks, in a process of its own. Reply: an `Answer` as JSON."""

    client: str
    """mysql, pgsql, oracle, ldap or radius."""
    check: NegotiateCheck
    timeout_us: int
    """The process is killed at this limit."""


class StageLimit(msgspec.Struct, frozen=True):
    """From now on this limit holds instead of the earlier one; never beyond the whole conversation's. Reply: None."""

    timeout_us: int


class Resolve(msgspec.Struct, frozen=True):
    """Look a host name up. Reply: the first address, as text in ASCII bytes; an address is its own answer."""

    name: str


class GiveWay(msgspec.Struct, frozen=True):
    """Let other conversations have a turn; between the pieces of a long computation. Reply: None."""


class RandomBytes(msgspec.Struct, frozen=True):
    """Unpredictable bytes, for query ids. Reply: bytes."""

    size: int


class Close(msgspec.Struct, frozen=True):
    """Close the stream. Reply: None. Ending the generator closes too."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """Send one UDP datagram and wait for an answer or an ICMP error. Reply: bytes, or None for silence."""

    options: SocketOptions
    data: bytes
    timeout_us: int


class Echo(msgspec.Struct, frozen=True, kw_only=True):
    """One ICMP echo. Reply: True when answered within `timeout_us`."""

    options: SocketOptions
    payload_size: int
    timeout_us: int


class RunProgram(msgspec.Struct, frozen=True, kw_only=True):
    """Run a program. Reply: its exit status, negative for a signal, None when it was killed at `timeout_us`."""

    script: Script
    timeout_us: int


class Note(msgspec.Struct, frozen=True):
    """A log line of the checker's own. Reply: None."""

    text: str
    failure: bool = False


Command = (
    Connect
    | StartTls
    | Send
    | Receive
    | ReceiveLine
    | ShutdownSending
    | StageLimit
    | Swap
    | Listen
    | Accept
    | Pause
    | AskClient
    | Resolve
    | RandomBytes
    | GiveWay
    | Close
    | Exchange
    | Echo
    | RunProgram
    | Note
)
Reply = bytes | bool | int | None


class Outcome(msgspec.Struct, frozen=True):
    """The result of one conversation. `reason` is a stable word, `text` is for logs."""

    ok: bool
    text: str
    reason: str = ""
    weight: int | None = None
    """MISC_CHECK misc_dynamic: the weight that the script asked for."""
    position: int = 0
    """Where the next conversation of this question begins; the checker's own number, 0 for "anew"."""
    partial: bool = False
    """A success that proves only a part: failures in a row end, but a server that is down stays down."""


Conversation = Generator[Command, Reply, Outcome]
