"""Requests that a child puts to the parent: the same table as that of the control socket, answered over the channel."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from pykeepalived.runtime.channel import Answered, Question
from pykeepalived.runtime.control import Answer, Peer, Request, Stream
from pykeepalived.runtime.control_wire import encoder


class ChildQuestions:
    """What one child has asked. `send` takes a message to it, `asked` is who answers."""

    def __init__(self, asked: Callable[[Request, Answer], None], send: Callable[[Answered], object]) -> None:
        self._asked = asked
        self._send = send
        self._streams: list[Stream] = []

    def put(self, message: Question) -> None:
        """Have a question answered. One of our own processes may do what we may."""
        receiver = _Receiver(message.id, self._send, self._streams)
        self._asked(
            Request(message.command, arguments=message.arguments),
            Answer(receiver, Peer(os.getpid(), os.geteuid(), frozenset()), steers=True),
        )

    def end(self) -> None:
        """The child has gone: nothing is told to it any more."""
        streams, self._streams[:] = [*self._streams], []
        for stream in streams:
            stream.gone()


class _Receiver:
    """Implements `control.Receiver` for one question."""

    def __init__(self, number: int, send: Callable[[Answered], object], streams: list[Stream]) -> None:
        self._number = number
        self._send = send
        self._streams = streams

    def answer(self, body: dict[str, Any]) -> None:
        self._send(Answered(self._number, encoder.encode(body), last=True))

    def stream(self, result: dict[str, Any] | msgspec.Raw) -> Stream | None:
        stream = Stream(self)
        self._streams.append(stream)
        self._send(Answered(self._number, encoder.encode({"ok": True, "result": result}), last=False))
        return stream

    def push(self, body: dict[str, Any]) -> None:
        self._send(Answered(self._number, encoder.encode(body), last=False))
