"""Host names off the loop: redirects of a web server may lead to a name, and the system's resolver blocks.

One thread asks the resolver, one name after the other; at most `_QUEUE_LIMIT` questions wait. It starts with the first
question, so a daemon whose servers never redirect has no thread.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from pykeepalived.checkers.conversation import ConversationError, FailureKind
from pykeepalived.reactor import Reactor

_QUEUE_LIMIT: Final = 256

Settled = Callable[[bytes | None, ConversationError | None], None]


class _Question:
    __slots__ = ("answer", "error", "name", "settled")

    def __init__(self, name: str, settled: Settled) -> None:
        self.name = name
        self.settled: Settled | None = settled
        self.answer: bytes | None = None
        self.error: ConversationError | None = None

    def cancel(self) -> None:
        self.settled = None


class NameService:
    """Looks names up; answers come back on the reactor's thread."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._questions: queue.Queue[_Question | None] = queue.Queue(_QUEUE_LIMIT)
        self._answers: deque[_Question] = deque()
        self._event_fd: int | None = None

    def look_up(self, name: str, settled: Settled) -> Callable[[], None]:
        """Ask; `settled` is called later. Returns what forgets the question."""
        question = _Question(name, settled)
        if _is_address(name):
            question.answer = name.encode()
            self._reactor.call_soon(lambda: _settle(question))
            return question.cancel
        if self._event_fd is None:
            self._start()
        try:
            self._questions.put_nowait(question)
        except queue.Full:
            raise ConversationError(FailureKind.EXHAUSTED, "too many name look-ups wait") from None
        return question.cancel

    def close(self) -> None:
        """Let the thread end after the look-up it is in."""
        if self._event_fd is not None:
            self._reactor.unwatch(self._event_fd)
            os.close(self._event_fd)
            self._event_fd = None
            with contextlib.suppress(queue.Full):
                self._questions.put_nowait(None)

    def _start(self) -> None:
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._reactor.watch(self._event_fd, select.EPOLLIN, self._answered)
        threading.Thread(target=self._work, args=(self._event_fd,), name="names", daemon=True).start()

    def _work(self, event_fd: int) -> None:
        while (question := self._questions.get()) is not None:
            try:
                found = socket.getaddrinfo(question.name, None, type=socket.SOCK_STREAM)
                question.answer = str(found[0][4][0]).encode()
            except (OSError, UnicodeError) as error:
                text = f"look-up of {question.name}: {getattr(error, 'strerror', None) or error}"
                question.error = ConversationError(FailureKind.RESOLVE, text)
            self._answers.append(question)
            try:
                os.eventfd_write(event_fd, 1)
            except OSError:
                return

    def _answered(self, events: int) -> None:
        if self._event_fd is None:
            return
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event_fd)
        while self._answers:
            _settle(self._answers.popleft())


def _settle(question: _Question) -> None:
    settled = question.settled
    if settled is not None:
        question.settled = None
        settled(question.answer, question.error)


def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False
