"""`status`: everything at a glance. The children are asked at most every 200 ms, however many clients watch, and less
often when an answer takes them long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from pykeepalived.reactor import monotonic_us
from pykeepalived.runtime.control import Answer
from pykeepalived.runtime.control_shapes import Status
from pykeepalived.runtime.control_wire import encoder
from pykeepalived.runtime.program import StatusPart
from pykeepalived.runtime.requests.row import Desk, RequestRow
from pykeepalived.units import MILLISECOND_US, SECOND_US

FRESH_US: Final = 200 * MILLISECOND_US

#: What the children need for an answer may take this part of the time, for which an older answer is told.
SHARE: Final = 20
LONGEST_FRESH_US: Final = 5 * SECOND_US

Given = Callable[[bytes], None]


class _Shared:
    """The last answer to one question, and who waits for the next answer."""

    def __init__(self) -> None:
        self.written: bytes | None = None
        self.taken_us = 0
        self.asked_us = 0
        self.fresh_us = FRESH_US
        self.waiting: list[Given] = []

    def ask(self, desk: Desk, part: StatusPart, given: Given) -> None:
        if self.written is not None and monotonic_us() - self.taken_us < self.fresh_us:
            given(self.written)
            return
        self.waiting.append(given)
        if len(self.waiting) > 1:
            return
        self.asked_us = monotonic_us()
        children = list(desk.children())
        missing = {child.word for child in children}
        bodies: dict[str, Any] = {}

        def collected(word: str, body: dict[str, Any]) -> None:
            bodies[word] = body
            missing.discard(word)
            if not missing:
                self._done(bodies)

        if not children:
            self._done(bodies)
        for child in children:
            child.ask_status(part, lambda body, word=child.word: collected(word, body))  # type: ignore[misc]

    def _done(self, bodies: dict[str, Any]) -> None:
        self.taken_us = monotonic_us()
        # Written down once, however many wait for it.
        self.written = encoder.encode(bodies)
        # Thousands of instances take time to write down, which their adverts have to wait for: it may be a small part.
        self.fresh_us = max(FRESH_US, min(LONGEST_FRESH_US, (self.taken_us - self.asked_us) * SHARE))
        waiting, self.waiting = self.waiting, []
        for given in waiting:
            given(self.written)


_shared: WeakKeyDictionary[Desk, dict[StatusPart, _Shared]] = WeakKeyDictionary()
#: Different pages that are remembered for a moment.
_PAGES: Final = 64


def _run(desk: Desk, part: StatusPart, answer: Answer) -> None:
    pages = _shared.setdefault(desk, {})
    if part not in pages and len(pages) >= _PAGES:
        for old in [page for page, shared in pages.items() if not shared.waiting]:
            del pages[old]
    shared = pages.setdefault(part, _Shared())
    shared.ask(desk, part, lambda written: answer.reply(_joined(desk.identity() | desk.overview(), written)))


def _joined(head: dict[str, Any], written: bytes) -> msgspec.Raw:
    """One object of both; the head is never empty."""
    separator = b"," if len(written) > len(b"{}") else b""
    return msgspec.Raw(encoder.encode(head)[:-1] + separator + written[1:])


ROW = RequestRow(
    name="status",
    help="Processes, instances, groups, trackers, virtual and real servers. Virtual servers come in pages: `first` is "
    "the number of the first one, and `checker.next` of the answer that of the next page.",
    run=_run,
    arguments=StatusPart,
    answer=Status,
)
