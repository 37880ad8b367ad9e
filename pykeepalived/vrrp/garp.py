"""When a master announces its addresses: at once, again after a delay, then now and then if asked to.

`garp_master_delay`, `_repeat`, `_refresh`, `_refresh_repeat` and the two `garp_lower_prio_` words of keepalived; the
same schedule serves gratuitous ARP and unsolicited neighbour advertisements. A round that was announced while a later
one was still pending does not cancel it.
"""

from __future__ import annotations

from pykeepalived.model.vrrp import GarpSettings


class GarpSchedule:
    """The pending rounds of one instance. Each method returns how often to announce now; 0 is not at all."""

    __slots__ = ("_lower_us", "_refresh_us", "_second_us", "next_us", "settings")

    def __init__(self, settings: GarpSettings) -> None:
        self.settings = settings
        self.clear()

    def clear(self) -> None:
        """No longer MASTER: nothing is pending."""
        self._second_us: int | None = None
        self._refresh_us: int | None = None
        self._lower_us: int | None = None
        self.next_us: int | None = None
        """When the next round is due."""

    def _look_ahead(self) -> None:
        pending = [at for at in (self._second_us, self._refresh_us, self._lower_us) if at is not None]
        self.next_us = min(pending, default=None)

    def became_master(self, now_us: int) -> int:
        settings = self.settings
        self.clear()
        if settings.delay_us and settings.repeat:
            self._second_us = now_us + settings.delay_us
        if settings.refresh_us and settings.refresh_repeat:
            self._refresh_us = now_us + settings.refresh_us
        self._look_ahead()
        return settings.repeat

    def heard_lower(self, now_us: int) -> int:
        """Somebody of lower priority also answered for our addresses until now."""
        settings = self.settings
        if settings.lower_prio_repeat and settings.lower_prio_delay_us:
            self._lower_us = now_us + settings.lower_prio_delay_us
            self._look_ahead()
        return settings.lower_prio_repeat

    def adapt(self, settings: GarpSettings, now_us: int) -> None:
        """A reload: a pending round keeps its instant, a refresh that was or became due follows the new interval."""
        changed = (
            settings.refresh_us != self.settings.refresh_us or settings.refresh_repeat != self.settings.refresh_repeat
        )
        self.settings = settings
        if changed:
            self._refresh_us = now_us + settings.refresh_us if settings.refresh_us and settings.refresh_repeat else None
            self._look_ahead()

    def due(self, now_us: int) -> tuple[int, ...]:
        """The rounds whose time has come, each with its repeat."""
        if self.next_us is None or self.next_us > now_us:
            return ()
        rounds: list[int] = []
        if self._second_us is not None and self._second_us <= now_us:
            self._second_us = None
            rounds.append(self.settings.repeat)
        if self._lower_us is not None and self._lower_us <= now_us:
            self._lower_us = None
            rounds.append(self.settings.lower_prio_repeat)
        if self._refresh_us is not None and self._refresh_us <= now_us:
            self._refresh_us = max(self._refresh_us + self.settings.refresh_us, now_us + 1)
            rounds.append(self.settings.refresh_repeat)
        self._look_ahead()
        return tuple(rounds)
