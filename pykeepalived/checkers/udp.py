"""UDP_CHECK: the server is well unless an ICMP error comes back, or, when a reply is required, unless it fits."""

from __future__ import annotations

from pykeepalived.checkers.conversation import Conversation, Exchange, Outcome
from pykeepalived.model.checks import UdpCheck

_FILLER = b"keepalived check - "
#: Length of the payload when the file gives none (keepalived-behaviour 11.4).
DEFAULT_PAYLOAD_SIZE = 32


def filler(size: int) -> bytes:
    """The text that keepalived fills its UDP and ICMP payloads with, cut to `size` bytes."""
    return (_FILLER * (size // len(_FILLER) + 1))[:size]


def udp(check: UdpCheck) -> Conversation:
    payload = filler(DEFAULT_PAYLOAD_SIZE) if check.payload is None else check.payload
    reply = yield Exchange(options=check.socket, data=payload, timeout_us=check.socket.timeout_us)
    if not isinstance(reply, bytes):
        if check.require_reply:
            return Outcome(False, "no UDP reply", "timeout")
        return Outcome(True, "no ICMP error")
    if check.require_reply and check.reply:
        if not check.min_reply_length <= len(reply) <= check.max_reply_length:
            return Outcome(False, f"UDP reply of {len(reply)} bytes", "reply-length")
        if not _fits(reply, check.reply, check.reply_mask):
            return Outcome(False, "UDP reply does not match", "reply-content")
    return Outcome(True, "UDP connection success")


def _fits(reply: bytes, pattern: bytes, mask: bytes) -> bool:
    """The reply equals the pattern wherever the mask has bits, as far as both go; no mask means all bits.

    (Seen with 2.2.7 and 2.4.3: without a pattern any reply will do, whatever its length; with one, only the bounds of
    the length say how short a reply may be.)
    """
    mask = mask or b"\xff" * len(pattern)
    return all((got ^ want) & bits == 0 for got, want, bits in zip(reply, pattern, mask, strict=False))
