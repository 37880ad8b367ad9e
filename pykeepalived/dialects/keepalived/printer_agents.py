"""Prints the words of global_defs about SNMP and D-Bus, whose fields have the names of the words."""

from __future__ import annotations

from typing import Final

import msgspec

from pykeepalived.dialects.keepalived.printer_text import Writer
from pykeepalived.model import GlobalDefs
from pykeepalived.model.agents import AgentSettings

_PLAIN: Final = AgentSettings()
#: Where D-Bus is not served, a default that is written out would be one more word without effect.
_FOR_DBUS: Final = frozenset({"dbus_service_name", "dbus_no_interface_name"})
#: No words of their own.
_DERIVED: Final = frozenset({"webhook_address"})


def agent_words(writer: Writer, settings: GlobalDefs) -> None:
    """Write them, without those that are written as words without effect."""
    written = {name for name, _ in settings.words}
    for field in msgspec.structs.fields(AgentSettings):
        name, found, usual = field.name, getattr(settings.agents, field.name), getattr(_PLAIN, field.name)
        if name in written or name in _DERIVED or (name in _FOR_DBUS and found == usual):
            continue
        if isinstance(found, bool):
            writer.flag(name, found)
        elif isinstance(found, int):
            if found or usual:
                writer.seconds(name, found, usual)
        else:
            writer.value(name, found, usual)
