"""What the nftables dataplane can be told."""

from __future__ import annotations

import msgspec


class Options(msgspec.Struct, frozen=True):
    """How the dataplane behaves where nftables leaves a choice."""

    masquerade: bool = False
    """Hide clients behind the director's address, for servers whose route back does not lead through it."""
    reset_removed: bool = False
    """Connections to a removed destination are broken; else they go on until they end. UDP's are always broken."""
