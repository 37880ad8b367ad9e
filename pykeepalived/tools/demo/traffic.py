"""The client of the demonstration: asks for the web site all the time and keeps what it saw."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence, Set

import msgspec

from pykeepalived.tools.lab import Namespace

_PAUSE_S = 0.01
PATIENCE_S = 0.25


class Answer(msgspec.Struct, frozen=True):
    """One request: when it ended (monotonic seconds), and who answered; None: nobody did."""

    at: float
    server: str | None


def ask(address: str, port: int = 80, patience_s: float = PATIENCE_S) -> str | None:
    """One request on a new connection: the name that the page holds, or None after `patience_s` without a word."""
    try:
        with socket.create_connection((address, port), timeout=patience_s) as site:
            site.sendall(f"GET / HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            page = b""
            while piece := site.recv(1024):
                page += piece
                if len(page) > 4096:
                    return None
    except OSError:
        return None
    head, _, body = page.partition(b"\r\n\r\n")
    return body.decode(errors="replace").strip() if head.startswith(b"HTTP/1.0 200") else None


class Client(threading.Thread):
    """Asks from within a namespace, in its own thread, until `stop`. Reading its answers is safe at any time."""

    def __init__(self, namespace: Namespace, address: str, patience_s: float = PATIENCE_S) -> None:
        super().__init__(name="client", daemon=True)
        self._patience_s = patience_s
        self._namespace = namespace
        self._address = address
        self._end = threading.Event()
        self.answers: list[Answer] = []

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._namespace.inside())
            while not self._end.is_set():
                server = ask(self._address, patience_s=self._patience_s)
                self.answers.append(Answer(time.monotonic(), server))
                self._end.wait(_PAUSE_S)

    def stop(self) -> None:
        self._end.set()
        self.join(5)

    def since(self, start: float) -> list[Answer]:
        """What ended after `start`."""
        answers = self.answers
        index = len(answers)
        while index and answers[index - 1].at > start:
            index -= 1
        return answers[index:]


def shares(answers: Sequence[Answer]) -> Counter[str]:
    """How many requests each server answered."""
    return Counter(each.server for each in answers if each.server is not None)


def failures(answers: Sequence[Answer]) -> int:
    return sum(each.server is None for each in answers)


def in_a_row(answers: Sequence[Answer], servers: Set[str], count: int) -> bool:
    """Whether the last `count` requests were all answered, by every one of these servers and by no other."""
    last = answers[-count:]
    return len(last) == count and {each.server for each in last} == servers


def longest_gap_s(answers: Sequence[Answer], start: float, end: float) -> float:
    """The longest time between `start` and `end` in which no request was answered."""
    moments = [start, *(each.at for each in answers if each.server is not None and start < each.at < end), end]
    return max(later - earlier for earlier, later in itertools.pairwise(moments))
