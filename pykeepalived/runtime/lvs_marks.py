"""Keeps the rules of `nftables_ipvs` as wanted: made whole at each change, looked at every minute, tried again."""

from __future__ import annotations

from typing import Final

from pykeepalived.dataplane import DataplaneUnavailable
from pykeepalived.dataplane.libnftables import NftError, Runner, open_runner
from pykeepalived.lvs.marks import Marks
from pykeepalived.model.lvs import PacketMarks
from pykeepalived.netio.packet_marks import FAMILIES, marks_removal, marks_text
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.program import Logger
from pykeepalived.units import SECOND_US

_LOOK_US: Final = 60 * SECOND_US


class PacketMarker:
    """The only writer of the tables of `nftables_ipvs`. It does nothing until there is something to mark."""

    def __init__(self, reactor: Reactor, log: Logger) -> None:
        self._reactor = reactor
        self._log = log
        self._runner: Runner | None = None
        self._settings: PacketMarks | None = None
        self._text = ""
        self._seen = ""
        """What nft lists after our transaction."""
        self._complaint = ""
        self._timer: Timer | None = None

    def update(self, settings: PacketMarks | None, marks: Marks) -> None:
        """Make the rules for these marks."""
        if settings is None:
            self.remove()
            return
        marked = [(item.protocol, item.family, item.first, item.last, item.port, item.mark) for item in marks.spans()]
        text = marks_text(settings, marked) if marked else ""
        if text == self._text:
            return
        if not text:
            self.remove()
            return
        self._settings, self._text = settings, text
        self._make()
        self._watch()

    def remove(self) -> None:
        """Take the rules away."""
        self._stop_timer()
        if self._settings is not None and self._seen:
            self._try(marks_removal(self._settings))
        self._settings, self._text, self._seen = None, "", ""

    def close(self) -> None:
        """Let go of nftables; what is there stays."""
        self._stop_timer()
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _make(self) -> None:
        self._seen = self._listing() if self._try(self._text) else ""

    def _watch(self) -> None:
        self._stop_timer()
        self._timer = self._reactor.call_later(_LOOK_US, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._seen or self._listing() != self._seen:
            if self._seen:
                self._log.info("nftables_ipvs: the rules had been changed by others and were put right")
            self._make()
        self._watch()

    def _listing(self) -> str:
        assert self._settings is not None
        text = ""
        for name in FAMILIES.values():
            try:
                assert self._runner is not None
                text += self._runner.run(f"list table {name} {self._settings.table}", json=True)
            except NftError:
                text += "-"
        # Counters go up by themselves.
        return text if not self._settings.counters else str(len(text) > 2)

    def _try(self, commands: str) -> bool:
        try:
            if self._runner is None:
                self._runner = open_runner()
            self._runner.run(commands)
        except (DataplaneUnavailable, NftError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.error(f"nftables_ipvs: packets are not marked: {error}")
            return False
        self._complaint = ""
        return True

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
