"""Messages between a process and its script runner: one msgpack value per packet of a SOCK_SEQPACKET socket pair.

Packets keep their borders, so a reader never sees half a message, and each is bounded by `PACKET_LIMIT`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pykeepalived.model.common import User

#: Largest packet; a request that does not fit is refused, as execve(2) refuses a long argument list.
PACKET_LIMIT: Final = 128 * 1024


class Run(msgspec.Struct, frozen=True, array_like=True, tag="run"):
    """Start a script. Arguments are bytes as execve(2) takes them."""

    id: int
    argv: tuple[bytes, ...]
    user: User | None
    timeout_us: int | None
    queue: str | None
    all_groups: bool = False
    """With the supplementary groups of the user."""
    stdin: str | None = None
    """The file that is its standard input; None: nothing."""


class Finish(msgspec.Struct, frozen=True, array_like=True, tag="finish"):
    """No more requests: start what still waits and end."""


class Started(msgspec.Struct, frozen=True, array_like=True, tag="started"):
    """The script left its queue; from here on it must not be started again."""

    id: int


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """The answer to `Run`; the fields are those of `RunResult`."""

    id: int
    status: int | None
    output: bytes
    duration_us: int


Request = Run | Finish
Report = Started | Ended

request_decoder: Final = msgspec.msgpack.Decoder(Run | Finish)
report_decoder: Final = msgspec.msgpack.Decoder(Started | Ended)
encoder: Final = msgspec.msgpack.Encoder()
