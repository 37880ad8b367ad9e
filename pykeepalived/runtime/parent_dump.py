"""The parent's dump file, keepalived_parent.data: the global definitions (keepalived-behaviour 5.3)."""

from __future__ import annotations

from pykeepalived.model.config import GlobalDefs
from pykeepalived.runtime.global_dump import global_lines


def parent_dump(settings: GlobalDefs) -> str:
    """The whole file."""
    return "".join(f"{line}\n" for line in ("------< Global definitions >------", *global_lines(settings)))
