"""Messages between the daemon and the client host, one per SEQPACKET packet."""

from __future__ import annotations

from typing import Final

import msgspec

from pykeepalived.model.checks import NegotiateCheck

PACKET_LIMIT: Final = 128 * 1024


class Ask(msgspec.Struct, frozen=True, tag=True, array_like=True):
    id: int
    client: str
    check: NegotiateCheck
    timeout_us: int


class Cancel(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Nobody wants the answer any more: end the process."""

    id: int


class Started(msgspec.Struct, frozen=True, tag=True, array_like=True):
    id: int


class Answered(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """`body`: an `Answer` as JSON; empty when the process died without one."""

    id: int
    body: bytes


Request = Ask | Cancel
Report = Started | Answered

encoder: Final = msgspec.msgpack.Encoder()
request_decoder: Final = msgspec.msgpack.Decoder(Request)
report_decoder: Final = msgspec.msgpack.Decoder(Report)
