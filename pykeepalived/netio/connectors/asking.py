"""Commands that do not move bytes on the stream: they ask elsewhere, and the conversation goes on with the answer.

Each takes the talk and its command; `PENDING` says that the answer comes later, through `talk.settled`.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from pykeepalived.checkers.conversation import (
    Accept,
    AskClient,
    Echo,
    Exchange,
    Listen,
    Note,
    Pause,
    RandomBytes,
    Resolve,
    RunProgram,
)
from pykeepalived.netio.connectors.datagram import DatagramExchange
from pykeepalived.netio.connectors.listener import Listener
from pykeepalived.netio.connectors.stream import EVENTS, Stream, closed_early
from pykeepalived.netio.connectors.waiting import PENDING, Answer
from pykeepalived.processes.scripts import RunResult

if TYPE_CHECKING:
    from pykeepalived.netio.connectors.talk import Talk


def listen(talk: Talk, command: Listen) -> Answer:
    if talk.listener is not None:
        talk.listener.close()
    talk.listener = listener = Listener(talk.reactor, talk.open_stream().sock)
    return listener.name


def accept(talk: Talk, command: Accept) -> Answer:
    talk.limit_text = "the server's connection"
    listener = talk.listener
    if listener is None:
        raise closed_early("not listening")

    def accepted(stream: Stream) -> None:
        if not talk.over:
            talk.cancel_wait = None
            talk.aside = (stream, None, b"")
            talk.reactor.watch(stream.fd, EVENTS, stream.note)
            talk.advance()

    listener.accept(accepted)
    talk.cancel_wait = listener.close
    return PENDING


def pause(talk: Talk, command: Pause) -> Answer:
    timer = talk.reactor.call_later(command.time_us, partial(talk.settled, None))
    talk.cancel_wait = timer.cancel
    return PENDING


def ask_client(talk: Talk, command: AskClient) -> Answer:
    talk.limit_text = command.client
    talk.cancel_wait = talk.edge.clients.ask(command, talk.settled)
    return PENDING


def exchange(talk: Talk, command: Exchange) -> Answer:
    talk.limit_text = "answer"
    exchange = DatagramExchange(talk.reactor, command, talk.settled)
    talk.cancel_wait = exchange.close
    return PENDING


def echo(talk: Talk, command: Echo) -> Answer:
    talk.limit_text = "echo reply"
    talk.cancel_wait = talk.edge.echoes.ask(command, talk.settled)
    return PENDING


def resolve(talk: Talk, command: Resolve) -> Answer:
    talk.limit_text = f"look-up of {command.name}"
    talk.cancel_wait = talk.edge.names.look_up(command.name, talk.settled)
    return PENDING


def run_program(talk: Talk, command: RunProgram) -> Answer:
    def ended(result: RunResult) -> None:
        if not talk.over:
            talk.advance(result.status)

    talk.limit_text = "program"
    talk.edge.scripts.run(command.script, timeout_us=command.timeout_us, done=ended)
    return PENDING


def random_bytes(talk: Talk, command: RandomBytes) -> Answer:
    return os.urandom(command.size)


def note(talk: Talk, command: Note) -> Answer:
    talk.edge.note(command)
    return None
