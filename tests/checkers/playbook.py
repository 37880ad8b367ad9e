"""Playbooks: what a checker is expected to do, and what it is told, in one column.

    outcome = play(conversation, Connect(options=SOCKET), None, Send(b"..."), None, Receive(), b"HTTP/1.0 200 OK...")

Commands and replies alternate; a reply that is an exception is thrown in. Every step must be used.
"""

from __future__ import annotations

from pykeepalived.checkers.conversation import (
    Command,
    Conversation,
    Listen,
    Outcome,
    RandomBytes,
    Receive,
    ReceiveLine,
    Resolve,
    Send,
)
from pykeepalived.model.checks import SocketOptions

SOCKET = SocketOptions(address="192.0.2.7", port=80)


def play(conversation: Conversation, *steps: object) -> Outcome:
    """Carry a conversation through; returns its outcome."""
    position = 0
    reply: object = None
    while True:
        try:
            command = conversation.throw(reply) if isinstance(reply, Exception) else conversation.send(reply)  # type: ignore[arg-type]
        except StopIteration as stop:
            assert position == len(steps), f"never asked for: {steps[position:]!r}"
            outcome: Outcome = stop.value
            return outcome
        assert position < len(steps), f"unexpected: {command!r}"
        assert command == steps[position], f"step {position // 2}: {command!r} instead of {steps[position]!r}"
        reply = steps[position + 1]
        position += 2


def feed(conversation: Conversation, *data: bytes) -> tuple[Outcome, list[Command]]:
    """Answer each receive with the next piece (then with the end), every other command with nothing."""
    pieces = list(data)
    commands: list[Command] = []
    reply: object = None
    while True:
        try:
            command = conversation.send(reply)  # type: ignore[arg-type]
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome, commands
        commands.append(command)
        assert len(commands) < 10_000, "endless conversation"
        match command:
            case Receive() | ReceiveLine():
                reply = pieces.pop(0) if pieces else b""
            case Listen():
                reply = b"192.0.2.1 4660"
            case Resolve():
                reply = SOCKET.address.encode()
            case RandomBytes():
                reply = bytes(command.size)
            case _:
                reply = None


def sent(commands: list[Command]) -> bytes:
    return b"".join(command.data for command in commands if isinstance(command, Send))
