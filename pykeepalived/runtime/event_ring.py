"""What has happened lately, numbered, for `keepalivedctl events`: the last ones are kept, and followers hear each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

EVENTS_KEPT: Final = 1000
#: An event is a line of JSON; a text in it that is longer is cut.
_TEXT_LIMIT: Final = 2000

Follower = Callable[[dict[str, Any]], None]


class EventRing:
    """Numbers begin at 1 with the daemon; `epoch` tells one daemon's numbers from its successor's."""

    def __init__(self, kept: int = EVENTS_KEPT) -> None:
        self.epoch = f"{time.time_ns():x}"
        self._events: deque[dict[str, Any]] = deque(maxlen=kept)
        self._numbers = count(1)
        self._followers: dict[int, Follower] = {}
        self._follower_numbers = count(1)
        self.last = 0

    def add(self, name: str, fields: Mapping[str, Any]) -> None:
        """Note an event that happens now, and tell the followers."""
        self.last = next(self._numbers)
        event = {"seq": self.last, "event": name, "at": round(time.time(), 6)}
        event |= {key: _short(value) for key, value in fields.items() if key not in event}
        self._events.append(event)
        for follower in list(self._followers.values()):
            follower(event)

    def since(self, number: int) -> list[dict[str, Any]]:
        """The events after that number that are still kept, oldest first."""
        return [event for event in self._events if event["seq"] > number]

    @property
    def oldest(self) -> int:
        """The number of the oldest event that is kept; 0: there is none."""
        return int(self._events[0]["seq"]) if self._events else 0

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Hear of each event from now on, until the function that is returned is called."""
        number = next(self._follower_numbers)
        self._followers[number] = follower
        return lambda: self._followers.pop(number, None) and None


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _TEXT_LIMIT:
        return value[: _TEXT_LIMIT - 1] + "…"
    return value
