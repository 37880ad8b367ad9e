"""The status page's side in the metrics process: the page itself, and the pictures that it is sent.

A picture is what the control socket tells, the last events, and the latencies of each check over the last minutes.
While somebody looks it is taken every second and after each event; otherwise every five, for the latencies' sake.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.telemetry.feed import Feed, Snapshot
from pykeepalived.runtime.telemetry.http import Reply
from pykeepalived.units import MILLISECOND_US, SECOND_US

#: Latencies of each check that are kept.
SAMPLES: Final = 60
#: Real servers that the page shows; more are a matter for `keepalivedctl status`.
SERVERS: Final = 500
EVENTS: Final = 100
_WATCHED_US: Final = SECOND_US
_UNWATCHED_US: Final = 5 * SECOND_US
_SOON_US: Final = 100 * MILLISECOND_US

#: Read before the process gives up its rights: it may not be able to reach the file afterwards.
_HTML: Final = Path(__file__).with_name("page.html").read_bytes()
_encoder: Final = msgspec.json.Encoder(enc_hook=str)


class Page:
    def __init__(self, reactor: Reactor, feed: Feed) -> None:
        self.html = _HTML
        self._reactor = reactor
        self._feed = feed
        self._followers: list[Callable[[], bool]] = []
        self._latencies: dict[str, deque[int]] = {}
        self._picture: bytes | None = None
        self._number = 0
        self._timer: Timer | None = None
        feed.on_event = self._soon
        self._take()

    def follow(self, reply: Reply) -> bool:
        """Send pictures to one more client. False: there are too many."""
        more = reply.follow(self._newest)
        if more is None:
            return False
        self._followers.append(more)
        self._soon()
        return True

    def _newest(self, number: int) -> tuple[int, bytes] | None:
        return None if self._picture is None or number == self._number else (self._number, self._picture)

    def _soon(self) -> None:
        if self._followers:
            self._plan(_SOON_US)

    def _plan(self, delay_us: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._reactor.call_later(delay_us, self._take)

    def _take(self) -> None:
        self._feed.snapshot(self._taken)

    def _taken(self, snapshot: Snapshot | None) -> None:
        shown = None if snapshot is None else self._shown(snapshot)
        if self._followers:
            self._picture = _encoder.encode(
                {"status": shown, "events": [*self._feed.events][-EVENTS:], "latencies": self._told()}
            )
            self._number += 1
            self._followers = [more for more in self._followers if more()]
        self._plan(_WATCHED_US if self._followers else _UNWATCHED_US)

    def _told(self) -> Mapping[str, list[int]]:
        return {key: list(samples) for key, samples in self._latencies.items()}

    def _shown(self, snapshot: Snapshot) -> dict[str, Any]:
        """The first real servers only, and no more of each than is looked at; their latencies are noted down."""
        status = dict(snapshot.status)
        checker = dict(status.get("checker") or {})
        services, room, seen = [], SERVERS, set()
        for service in checker.get("services", ()):
            if room <= 0:
                break
            services.append(service)
            room -= max(1, len(service["servers"]))
            for server in service["servers"]:
                for number, check in enumerate(server["checks"]):
                    key = f"{service['name']}|{server['name']}|{number}"
                    seen.add(key)
                    samples = self._latencies.setdefault(key, deque(maxlen=SAMPLES))
                    if check["last"] is not None:
                        samples.append(check["last"]["latency_us"])
        for gone in self._latencies.keys() - seen:
            del self._latencies[gone]
        if checker:
            status["checker"] = checker | {"services": services}
        return status
