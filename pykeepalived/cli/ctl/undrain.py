"""`keepalivedctl undrain`: puts a drained real server back."""

from __future__ import annotations

from pykeepalived.cli.ctl.drain import undrain as command

__all__ = ["command"]
