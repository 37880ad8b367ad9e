"""Gratuitous ARP and unsolicited neighbour advertisements: built once, sent at the pace that the file allows."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.config import Config
from pykeepalived.netio.arp import FrameSender
from pykeepalived.netio.frames.neighbour import AnnouncementCache
from pykeepalived.netio.links import Monitor
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_addresses import Placed
from pykeepalived.vrrp.pacing import Announcement, Pacer

_MAC_BYTES: Final = 6


class Announcer:
    """Sends announcements, those of one instance in their order."""

    def __init__(self, monitor: Monitor, log: Logger, reactor: Reactor, *, detail: bool) -> None:
        """`detail`: the log hears of each. Raises OSError without the right to open a packet socket."""
        self._monitor = monitor
        self._log = log
        self._reactor = reactor
        self._detail = detail
        self._sender = FrameSender()
        self._cache = AnnouncementCache()
        self._pacer = Pacer()
        self._timer: Timer | None = None
        self._last_error: int | None = None

    def configure(self, config: Config) -> None:
        """Take the gaps of a configuration; what waits leaves at once, or waits anew."""
        waiting: list[Announcement] = []
        while (at_us := self._pacer.next_us()) is not None:
            waiting += self._pacer.due(at_us)
        settings = config.globals
        self._pacer = Pacer(settings.garp_interval_us, settings.gna_interval_us, config.garp_groups)
        self._send_now(self._pacer.offer(waiting, self._reactor.now_us()))
        self._arm()

    def frames(self, owner: str, placed: Sequence[Placed]) -> list[Announcement]:
        """One for each address whose interface can carry it (Ethernet, up)."""
        found = []
        for item in placed:
            link = self._monitor.link(item.ifname)
            if link is None or not link.up or len(link.mac) != _MAC_BYTES or not any(link.mac):
                continue
            address = item.address.prefix.address
            ipv6 = family_of(address) is Family.INET6
            frame = self._cache.frame(link.mac, address, router=ipv6 and _forwards6(item.ifname))
            found.append(Announcement(owner, item.ifname, ipv6, frame, address))
        return found

    def send(self, announcements: Sequence[Announcement]) -> None:
        """Send what may leave now and the rest later."""
        self._send_now(self._pacer.offer(announcements, self._reactor.now_us()))
        if self._timer is None:
            self._arm()

    def announce(self, owner: str, placed: Sequence[Placed]) -> None:
        """One round for these addresses."""
        self.send(self.frames(owner, placed))

    def drop(self, owner: str) -> None:
        """An instance is no longer MASTER: what waits for it is not sent any more."""
        self._pacer.drop(owner)

    def _send_now(self, announcements: Iterable[Announcement]) -> None:
        for item in announcements:
            try:
                self._sender.send(item.ifname, item.frame)
                self._last_error = None
                if self._detail:
                    what = "unsolicited Neighbour Advert" if item.neighbour else "gratuitous ARP"
                    self._log.detail(f"Sending {what} on {item.ifname} for {item.address}")
            except OSError as error:
                if error.errno in {errno.ENETDOWN, errno.ENXIO, errno.ENODEV}:
                    continue  # the interface has just gone; netlink will say so
                if error.errno != self._last_error:
                    self._last_error = error.errno
                    self._log.info(f"Cannot send gratuitous ARP on {item.ifname} - {error.strerror}")

    def _on_timer(self) -> None:
        self._timer = None
        self._send_now(self._pacer.due(self._reactor.now_us()))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at_us = self._pacer.next_us()
        if at_us is not None:
            self._timer = self._reactor.call_at(at_us, self._on_timer)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sender.close()


def _forwards6(ifname: str) -> bool:
    try:
        return Path(f"/proc/sys/net/ipv6/conf/{ifname}/forwarding").read_text().strip() == "1"
    except OSError:
        return False
