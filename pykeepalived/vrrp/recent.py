"""What an instance heard last, for whoever asks why it is in its state: bounded, and cheap enough for every packet."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from pykeepalived.vrrp.events import Advert, PacketRefused

_SENDERS: Final = 8
_REFUSALS: Final = 8


class Heard(msgspec.Struct):
    """The last advert of one sender, and how many there were."""

    at_us: int
    advert: Advert
    count: int


class Refused(msgspec.Struct, frozen=True):
    """One packet that was refused."""

    at_us: int
    reason: str
    source: str
    detail: str


class Recent:
    """The last adverts by sender, the last refusals in their order."""

    __slots__ = ("adverts", "refusals")

    def __init__(self) -> None:
        self.adverts: dict[str, Heard] = {}
        self.refusals: deque[Refused] = deque(maxlen=_REFUSALS)

    def hear(self, advert: Advert, now_us: int) -> None:
        heard = self.adverts.get(advert.source)
        if heard is not None:
            heard.at_us, heard.advert = now_us, advert
            heard.count += 1
            return
        if len(self.adverts) >= _SENDERS:
            del self.adverts[min(self.adverts, key=lambda source: self.adverts[source].at_us)]
        self.adverts[advert.source] = Heard(now_us, advert, 1)

    def refuse(self, event: PacketRefused, now_us: int) -> None:
        self.refusals.append(Refused(now_us, event.refusal.value, event.source, event.detail))
