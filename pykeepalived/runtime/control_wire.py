"""What both ends of the control socket share: names, limits, the shape of a request (docs/control.md)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

PROTOCOL_VERSION: Final = 1
SOCKET_NAME: Final = "control.sock"
REQUEST_LIMIT: Final = 64 * 1024

encoder: Final = msgspec.json.Encoder(enc_hook=str)


class Request(msgspec.Struct, frozen=True):
    """What a client sends, as one line of JSON."""

    command: str
    version: int = PROTOCOL_VERSION
    arguments: dict[str, Any] = {}


request_decoder: Final = msgspec.json.Decoder(Request)
