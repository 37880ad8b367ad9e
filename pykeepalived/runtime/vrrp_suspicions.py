"""Refused adverts as events (`packet-refused`), for the traps of RFC 2787 and RFC 6527; few of them, however many come.

Only where traps of these MIBs are asked for: a packet costs nothing else. Each instance tells of one packet a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from pykeepalived.model.config import Config
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp.events import Event, PacketRefused, Refusal

EVENT: Final = "packet-refused"
#: What the traps know of; an unknown VRID belongs to no instance.
_TOLD: Final = frozenset((
    Refusal.AUTH_TYPE_INVALID, Refusal.AUTH_TYPE_MISMATCH, Refusal.AUTH_FAILURE, Refusal.AH_MALFORMED,
    Refusal.AH_REPLAY, Refusal.TTL, Refusal.VERSION, Refusal.CHECKSUM,
))  # fmt: skip
_PAUSE_US: Final = SECOND_US


class Suspicions:
    """`emit` as in `Context`; `now_us` is the reactor's clock."""

    def __init__(self, emit: Callable[[str, dict[str, Any]], None], now_us: Callable[[], int]) -> None:
        self._emit = emit
        self._now_us = now_us
        self._told_us: dict[str, int] = {}
        self.wanted = False

    def configure(self, config: Config) -> None:
        settings = config.globals.agents
        self.wanted = settings.enable_traps and (settings.enable_snmp_rfcv2 or settings.enable_snmp_rfcv3)
        known = {item.name for item in config.instances}
        self._told_us = {name: at_us for name, at_us in self._told_us.items() if name in known}

    def look(self, heard: Iterable[Event]) -> None:
        """Tell of what is refused among these."""
        for event in heard:
            if not isinstance(event, PacketRefused) or event.refusal not in _TOLD or not event.instance:
                continue
            now_us = self._now_us()
            told_us = self._told_us.get(event.instance)
            if told_us is None or now_us - told_us >= _PAUSE_US:
                self._told_us[event.instance] = now_us
                self._emit(EVENT, {"instance": event.instance, "reason": event.refusal.value, "source": event.source})
