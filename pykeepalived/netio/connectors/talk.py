"""One conversation on the reactor: takes the checker's commands, performs them, sends the replies back.

`advance` runs the generator until a command has to wait; whatever ends the wait (`_ready`, a timer, a finished program)
runs it on. There is no task, no thread and no future per check. Whatever the peer does, a conversation ends at its
limit, holds one receive's worth of bytes, and gives the loop back after `_STEPS` commands: a peer that sends without
pause cannot keep the other conversations and the limit's own timer from running.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pykeepalived.checkers.conversation import (
    Accept,
    AskClient,
    Close,
    Command,
    Connect,
    Conversation,
    ConversationError,
    Echo,
    Exchange,
    FailureKind,
    GiveWay,
    Listen,
    Note,
    Outcome,
    Pause,
    RandomBytes,
    Receive,
    ReceiveLine,
    Reply,
    Resolve,
    RunProgram,
    Send,
    ShutdownSending,
    StageLimit,
    StartTls,
    Swap,
)
from pykeepalived.netio.connectors.datagram import DatagramExchange
from pykeepalived.netio.connectors.listener import Listener
from pykeepalived.netio.connectors.stream import EVENTS, Stream, closed_early
from pykeepalived.netio.connectors.tls import TlsStream
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Timer

if TYPE_CHECKING:
    from pykeepalived.netio.connectors import Connectors

#: Commands that one conversation may do before the others have a turn (32 full receives are 2 MiB).
_STEPS: Final = 32
_LARGEST_RECEIVE: Final = 65536


class _Waiting(Enum):
    PENDING = "pending"


_PENDING: Final = _Waiting.PENDING
_Answer = Reply | _Waiting


class Talk:
    """A running conversation."""

    __slots__ = (
        "_aside",
        "_buffer",
        "_cancel_wait",
        "_conversation",
        "_deadline",
        "_done",
        "_edge",
        "_limit_text",
        "_listener",
        "_over",
        "_reactor",
        "_resume",
        "_stage",
        "_stream",
        "_tls",
    )

    def __init__(
        self, edge: Connectors, conversation: Conversation, timeout_us: int, done: Callable[[Outcome], None]
    ) -> None:
        self._edge = edge
        self._reactor = edge.reactor
        self._conversation = conversation
        self._done = done
        self._buffer = b""
        self._stream: Stream | None = None
        self._tls: TlsStream | None = None
        self._aside: tuple[Stream, TlsStream | None, bytes] | None = None
        self._listener: Listener | None = None
        self._stage: Timer | None = None
        self._resume: Callable[[], _Answer] | None = None
        self._cancel_wait: Callable[[], object] | None = None
        self._limit_text = "connect"
        self._over = False
        self._deadline = self._reactor.call_later(timeout_us, self._expire)

    # ---- the generator ----

    def advance(self, reply: Reply = None, error: ConversationError | None = None) -> None:
        """Run the checker until it has to wait or ends."""
        conversation = self._conversation
        perform = _PERFORM
        for _ in range(_STEPS):
            try:
                if error is None:
                    command = conversation.send(reply)
                else:
                    command = conversation.throw(error)
            except StopIteration as stop:
                _unlink(error)
                self._finish(stop.value)
                return
            except ConversationError as unhandled:
                _unlink(unhandled)
                self._finish(Outcome(False, unhandled.text, unhandled.kind.value))
                return
            except Exception as fault:
                _unlink(fault)
                self._finish(Outcome(False, f"defect in the checker: {fault!r}", FailureKind.LOCAL.value))
                return
            error = None
            try:
                answer = perform[type(command)](self, command)
            except ConversationError as failed:
                _unlink(failed)
                error = failed
                continue
            if answer is _PENDING:
                return
            reply = answer
        self._reactor.call_soon(partial(self._continue, reply, error))

    def cancel(self) -> None:
        """Stop without a result; `done` is not called."""
        if not self._over:
            self._release()
            self._conversation.close()

    def _continue(self, reply: Reply, error: ConversationError | None) -> None:
        if not self._over:
            self.advance(reply, error)

    def _finish(self, outcome: Outcome) -> None:
        self._release()
        self._done(outcome)

    def _release(self) -> None:
        self._over = True
        self._resume = None
        self._deadline.cancel()
        if self._stage is not None:
            self._stage.cancel()
        self._stop_waiting()
        self._close_stream()
        if self._listener is not None:
            self._listener.close()
        if self._aside is not None:
            self._stream, self._tls, self._buffer = self._aside
            self._aside = None
            self._close_stream()

    # ---- waiting ----

    def _ready(self, events: int) -> None:
        """The stream's descriptor has something to say."""
        stream = self._stream
        if stream is None:
            return
        try:
            stream.note(events)
            resume = self._resume
            if resume is None:
                return
            answer = resume()
        except ConversationError as error:
            self._resume = None
            self.advance(None, error)
            return
        if answer is not _PENDING:
            self._resume = None
            self.advance(answer)

    def _wait(self, attempt: Callable[[], _Answer]) -> _Answer:
        """Try now; when it has to wait, try again whenever the descriptor is ready."""
        answer = attempt()
        if answer is _PENDING:
            self._resume = attempt
        return answer

    def _stop_waiting(self) -> None:
        cancel = self._cancel_wait
        if cancel is not None:
            self._cancel_wait = None
            cancel()

    def _expire(self) -> None:
        """The limit of the conversation, or of its stage, has passed. The checker may still word its result."""
        if self._over:
            return
        self._resume = None
        self._stop_waiting()
        self._deadline.cancel()
        error = ConversationError(FailureKind.TIMEOUT, f"timeout ({self._limit_text})")
        outcome = Outcome(False, error.text, error.kind.value)
        try:
            self._conversation.throw(error)
        except StopIteration as stop:
            outcome = stop.value
        except Exception as unhandled:
            _unlink(unhandled)
        else:
            # A checker that wants to go on has had its time.
            self._conversation.close()
        _unlink(error)
        self._finish(outcome)

    # ---- commands ----

    def _connect(self, command: Connect) -> _Answer:
        self._close_stream()
        self._limit_text = "connect"
        self._stream = stream = Stream(command.options)
        self._reactor.watch(stream.fd, EVENTS, self._ready)
        if command.timeout_us is not None:
            self._limit_stage(command.timeout_us)
        self._resume = self._connected
        return _PENDING

    def _connected(self) -> _Answer:
        return None if self._stream is not None and self._stream.connected else _PENDING

    def _limit_stage(self, timeout_us: int) -> None:
        if self._stage is not None:
            self._stage.cancel()
        self._stage = self._reactor.call_later(timeout_us, self._expire)

    def _stage_limit(self, command: StageLimit) -> _Answer:
        self._limit_stage(command.timeout_us)
        return None

    def _start_tls(self, command: StartTls) -> _Answer:
        self._limit_text = "TLS handshake"
        stream = self._open_stream()
        self._tls = tls = TlsStream(stream, self._edge.tls_contexts.get(command), command)
        return self._wait(lambda: None if tls.handshake() else _PENDING)

    def _send(self, command: Send) -> _Answer:
        self._limit_text = "send"
        data = command.data
        stream = self._tls or self._open_stream()
        count = stream.write(data)
        if count == len(data):
            return None
        rest = memoryview(data)[count:]

        def attempt() -> _Answer:
            nonlocal rest
            rest = rest[stream.write(rest) :]
            return _PENDING if rest else None

        return self._wait(attempt)

    def _receive(self, command: Receive) -> _Answer:
        self._limit_text = "receive"
        limit = min(command.limit, _LARGEST_RECEIVE)
        if self._buffer:
            data, self._buffer = self._buffer[:limit], self._buffer[limit:]
            return data
        stream = self._tls or self._open_stream()
        data_now = stream.read(limit)
        if data_now is not None:
            return data_now

        def attempt() -> _Answer:
            data = stream.read(limit)
            return _PENDING if data is None else data

        self._resume = attempt
        return _PENDING

    def _receive_line(self, command: ReceiveLine) -> _Answer:
        self._limit_text = "receive"
        stream = self._tls or self._open_stream()
        limit = command.limit

        def attempt() -> _Answer:
            while True:
                end = self._buffer.find(b"\n") + 1
                if end > limit or (not end and len(self._buffer) > limit):
                    raise ConversationError(FailureKind.TOO_LONG, f"line longer than {limit} bytes")
                if end:
                    line, self._buffer = self._buffer[:end], self._buffer[end:]
                    return line
                data = stream.read(limit)
                if data is None:
                    return _PENDING
                if not data:
                    line, self._buffer = self._buffer, b""
                    return line
                self._buffer += data

        return self._wait(attempt)

    def _shutdown_sending(self, command: ShutdownSending) -> _Answer:
        (self._tls or self._open_stream()).shutdown_sending()
        return None

    def _close(self, command: Close) -> _Answer:
        self._close_stream()
        return None

    def _swap(self, command: Swap) -> _Answer:
        aside = self._aside
        stream = self._stream
        self._aside = None if stream is None else (stream, self._tls, self._buffer)
        if stream is not None:
            # Edges that come meanwhile are remembered by the stream itself.
            self._reactor.watch(stream.fd, EVENTS, stream.note)
        self._stream, self._tls, self._buffer = aside or (None, None, b"")
        if self._stream is not None:
            self._reactor.watch(self._stream.fd, EVENTS, self._ready)
        return None

    def _listen(self, command: Listen) -> _Answer:
        if self._listener is not None:
            self._listener.close()
        self._listener = listener = Listener(self._reactor, self._open_stream().sock)
        return listener.name

    def _accept(self, command: Accept) -> _Answer:
        self._limit_text = "the server's connection"
        listener = self._listener
        if listener is None:
            raise closed_early("not listening")

        def accepted(stream: Stream) -> None:
            if not self._over:
                self._cancel_wait = None
                self._aside = (stream, None, b"")
                self._reactor.watch(stream.fd, EVENTS, stream.note)
                self.advance()

        listener.accept(accepted)
        self._cancel_wait = listener.close
        return _PENDING

    def _pause(self, command: Pause) -> _Answer:
        timer = self._reactor.call_later(command.time_us, partial(self._settled, None))
        self._cancel_wait = timer.cancel
        return _PENDING

    def _ask_client(self, command: AskClient) -> _Answer:
        self._limit_text = command.client
        self._cancel_wait = self._edge.clients.ask(command, self._settled)
        return _PENDING

    def _open_stream(self) -> Stream:
        if self._stream is None:
            raise closed_early("not connected")
        return self._stream

    def _close_stream(self) -> None:
        stream = self._stream
        if stream is None:
            return
        self._stream = None
        self._buffer = b""
        self._reactor.forget(stream.fd)
        if self._tls is not None:
            self._tls.close()
            self._tls = None
        else:
            stream.close()

    def _exchange(self, command: Exchange) -> _Answer:
        self._limit_text = "answer"
        exchange = DatagramExchange(self._reactor, command, self._settled)
        self._cancel_wait = exchange.close
        return _PENDING

    def _echo(self, command: Echo) -> _Answer:
        self._limit_text = "echo reply"
        self._cancel_wait = self._edge.echoes.ask(command, self._settled)
        return _PENDING

    def _resolve(self, command: Resolve) -> _Answer:
        self._limit_text = f"look-up of {command.name}"
        self._cancel_wait = self._edge.names.look_up(command.name, self._settled)
        return _PENDING

    def _settled(self, answer: bytes | bool | None, error: ConversationError | None = None) -> None:
        """An exchange, an echo or a look-up came to its end."""
        if not self._over:
            self._stop_waiting()
            self.advance(answer, error)

    def _run_program(self, command: RunProgram) -> _Answer:
        self._limit_text = "program"
        self._edge.scripts.run(command.script, timeout_us=command.timeout_us, done=self._program_ended)
        return _PENDING

    def _program_ended(self, result: RunResult) -> None:
        if not self._over:
            self.advance(result.status)

    def _give_way(self, command: GiveWay) -> _Answer:
        self._reactor.call_soon(partial(self._continue, None, None))
        return _PENDING

    def _random_bytes(self, command: RandomBytes) -> _Answer:
        return os.urandom(command.size)

    def _note(self, command: Note) -> _Answer:
        self._edge.note(command)
        return None


def _unlink(error: BaseException | None) -> None:
    """Forget the frames that an exception has passed: they hold it in turn, and only the garbage collector, which is
    frozen in the daemon's children, would free such a ring.
    """
    if error is not None:
        error.__traceback__ = None
        error.__context__ = None


# A table rather than a match statement: one look-up per command on the busiest path of the checker process.
_PERFORM: Final[dict[type[Command], Callable[[Talk, Any], _Answer]]] = {
    Receive: Talk._receive,
    Send: Talk._send,
    Connect: Talk._connect,
    ReceiveLine: Talk._receive_line,
    StartTls: Talk._start_tls,
    ShutdownSending: Talk._shutdown_sending,
    StageLimit: Talk._stage_limit,
    Swap: Talk._swap,
    Close: Talk._close,
    Exchange: Talk._exchange,
    Echo: Talk._echo,
    Resolve: Talk._resolve,
    RunProgram: Talk._run_program,
    RandomBytes: Talk._random_bytes,
    GiveWay: Talk._give_way,
    Listen: Talk._listen,
    Accept: Talk._accept,
    Pause: Talk._pause,
    AskClient: Talk._ask_client,
    Note: Talk._note,
}
