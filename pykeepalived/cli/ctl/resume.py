"""`keepalivedctl resume`: takes part in elections again."""

from __future__ import annotations

from pykeepalived.cli.ctl.standby import resume as command

__all__ = ["command"]
