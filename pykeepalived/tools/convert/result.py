"""What a conversion gives: a model, and a list of everything that has no equivalent."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pykeepalived.model import Config, GlobalDefs, Script, User

ROOT = User("root", 0, 0)


class Converted(msgspec.Struct, frozen=True):
    """`configs` has one model per router, by the id of its `@id` lines; a single one has the id ""."""

    configs: dict[str, Config]
    notes: tuple[str, ...] = ()


class NotConvertible(Exception):
    """The input makes no sense; the text says where and why."""


class Notes:
    """Collects notes; the same one is kept once."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def add(self, text: str) -> None:
        if not text.isprintable():
            text = "".join(char if char.isprintable() else "?" for char in text)
        self._found[text] = None

    def all(self) -> tuple[str, ...]:
        return tuple(self._found)


def with_script_security(settings: GlobalDefs, scripts: Sequence[Script | None], notes: Notes) -> GlobalDefs:
    """Where scripts run, global_defs says as whom; both keepalived and ours ask for that."""
    if not any(script is not None for script in scripts):
        return settings
    notes.add(
        "scripts run as root with enable_script_security: each script and its directories must belong to root and be "
        "writable by nobody else"
    )
    return msgspec.structs.replace(settings, enable_script_security=True, script_user=ROOT)
