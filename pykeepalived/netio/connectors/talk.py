"""One conversation on the reactor: takes the checker's commands, performs them, sends the replies back.

`advance` runs the generator until a command has to wait; whatever ends the wait (`_ready`, a timer, a finished program)
runs it on. There is no task, no thread and no future per check. Whatever the peer does, a conversation ends at its
limit, holds one receive's worth of bytes, and gives the loop back after `_STEPS` commands: a peer that sends without
pause cannot keep the other conversations and the limit's own timer from running.
"""

from __future__ import annotations

from collections.abc import Callable
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
from pykeepalived.netio.connectors import asking
from pykeepalived.netio.connectors.listener import Listener
from pykeepalived.netio.connectors.stream import EVENTS, Stream, closed_early
from pykeepalived.netio.connectors.tls import TlsStream
from pykeepalived.netio.connectors.waiting import PENDING, Answer
from pykeepalived.reactor import Timer

if TYPE_CHECKING:
    from pykeepalived.netio.connectors import Connectors

#: Commands that one conversation may do before the others have a turn (32 full receives are 2 MiB).
_STEPS: Final = 32
_LARGEST_RECEIVE: Final = 65536


class Talk:
    """A running conversation."""

    __slots__ = (
        "_buffer",
        "_conversation",
        "_deadline",
        "_done",
        "_resume",
        "_stage",
        "_stream",
        "_tls",
        "aside",
        "cancel_wait",
        "edge",
        "limit_text",
        "listener",
        "over",
        "reactor",
    )

    def __init__(
        self, edge: Connectors, conversation: Conversation, timeout_us: int, done: Callable[[Outcome], None]
    ) -> None:
        self.edge = edge
        self.reactor = edge.reactor
        self._conversation = conversation
        self._done = done
        self._buffer = b""
        self._stream: Stream | None = None
        self._tls: TlsStream | None = None
        self.aside: tuple[Stream, TlsStream | None, bytes] | None = None
        self.listener: Listener | None = None
        self._stage: Timer | None = None
        self._resume: Callable[[], Answer] | None = None
        self.cancel_wait: Callable[[], object] | None = None
        self.limit_text = "connect"
        self.over = False
        self._deadline = self.reactor.call_later(timeout_us, self._expire)

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
            if answer is PENDING:
                return
            reply = answer
        self.reactor.call_soon(partial(self.go_on, reply, error))

    def cancel(self) -> None:
        """Stop without a result; `done` is not called."""
        if not self.over:
            self._release()
            self._conversation.close()

    def go_on(self, reply: Reply, error: ConversationError | None) -> None:
        if not self.over:
            self.advance(reply, error)

    def _finish(self, outcome: Outcome) -> None:
        self._release()
        self._done(outcome)

    def _release(self) -> None:
        self.over = True
        self._resume = None
        self._deadline.cancel()
        if self._stage is not None:
            self._stage.cancel()
        self._stop_waiting()
        self._close_stream()
        if self.listener is not None:
            self.listener.close()
        if self.aside is not None:
            self._stream, self._tls, self._buffer = self.aside
            self.aside = None
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
        if answer is not PENDING:
            self._resume = None
            self.advance(answer)

    def _wait(self, attempt: Callable[[], Answer]) -> Answer:
        """Try now; when it has to wait, try again whenever the descriptor is ready."""
        answer = attempt()
        if answer is PENDING:
            self._resume = attempt
        return answer

    def _stop_waiting(self) -> None:
        cancel = self.cancel_wait
        if cancel is not None:
            self.cancel_wait = None
            cancel()

    def _expire(self) -> None:
        """The limit of the conversation, or of its stage, has passed. The checker may still word its result."""
        if self.over:
            return
        self._resume = None
        self._stop_waiting()
        self._deadline.cancel()
        error = ConversationError(FailureKind.TIMEOUT, f"timeout ({self.limit_text})")
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

    def _connect(self, command: Connect) -> Answer:
        self._close_stream()
        self.limit_text = "connect"
        self._stream = stream = Stream(command.options)
        self.reactor.watch(stream.fd, EVENTS, self._ready)
        if command.timeout_us is not None:
            self._limit_stage(command.timeout_us)
        self._resume = self._connected
        return PENDING

    def _connected(self) -> Answer:
        return None if self._stream is not None and self._stream.connected else PENDING

    def _limit_stage(self, timeout_us: int) -> None:
        if self._stage is not None:
            self._stage.cancel()
        self._stage = self.reactor.call_later(timeout_us, self._expire)

    def _stage_limit(self, command: StageLimit) -> Answer:
        self._limit_stage(command.timeout_us)
        return None

    def _start_tls(self, command: StartTls) -> Answer:
        self.limit_text = "TLS handshake"
        stream = self.open_stream()
        self._tls = tls = TlsStream(stream, self.edge.tls_contexts.get(command), command)
        return self._wait(lambda: None if tls.handshake() else PENDING)

    def _send(self, command: Send) -> Answer:
        self.limit_text = "send"
        data = command.data
        stream = self._tls or self.open_stream()
        count = stream.write(data)
        if count == len(data):
            return None
        rest = memoryview(data)[count:]

        def attempt() -> Answer:
            nonlocal rest
            rest = rest[stream.write(rest) :]
            return PENDING if rest else None

        return self._wait(attempt)

    def _receive(self, command: Receive) -> Answer:
        self.limit_text = "receive"
        limit = min(command.limit, _LARGEST_RECEIVE)
        if self._buffer:
            data, self._buffer = self._buffer[:limit], self._buffer[limit:]
            return data
        stream = self._tls or self.open_stream()
        data_now = stream.read(limit)
        if data_now is not None:
            return data_now

        def attempt() -> Answer:
            data = stream.read(limit)
            return PENDING if data is None else data

        self._resume = attempt
        return PENDING

    def _receive_line(self, command: ReceiveLine) -> Answer:
        self.limit_text = "receive"
        stream = self._tls or self.open_stream()
        limit = command.limit

        def attempt() -> Answer:
            while True:
                end = self._buffer.find(b"\n") + 1
                if end > limit or (not end and len(self._buffer) > limit):
                    raise ConversationError(FailureKind.TOO_LONG, f"line longer than {limit} bytes")
                if end:
                    line, self._buffer = self._buffer[:end], self._buffer[end:]
                    return line
                data = stream.read(limit)
                if data is None:
                    return PENDING
                if not data:
                    line, self._buffer = self._buffer, b""
                    return line
                self._buffer += data

        return self._wait(attempt)

    def _shutdown_sending(self, command: ShutdownSending) -> Answer:
        (self._tls or self.open_stream()).shutdown_sending()
        return None

    def _close(self, command: Close) -> Answer:
        self._close_stream()
        return None

    def _swap(self, command: Swap) -> Answer:
        aside = self.aside
        stream = self._stream
        self.aside = None if stream is None else (stream, self._tls, self._buffer)
        if stream is not None:
            # Edges that come meanwhile are remembered by the stream itself.
            self.reactor.watch(stream.fd, EVENTS, stream.note)
        self._stream, self._tls, self._buffer = aside or (None, None, b"")
        if self._stream is not None:
            self.reactor.watch(self._stream.fd, EVENTS, self._ready)
        return None

    def open_stream(self) -> Stream:
        if self._stream is None:
            raise closed_early("not connected")
        return self._stream

    def _close_stream(self) -> None:
        stream = self._stream
        if stream is None:
            return
        self._stream = None
        self._buffer = b""
        self.reactor.forget(stream.fd)
        if self._tls is not None:
            self._tls.close()
            self._tls = None
        else:
            stream.close()

    def settled(self, answer: bytes | bool | None, error: ConversationError | None = None) -> None:
        """An exchange, an echo or a look-up came to its end."""
        if not self.over:
            self._stop_waiting()
            self.advance(answer, error)

    def _give_way(self, command: GiveWay) -> Answer:
        self.reactor.call_soon(partial(self.go_on, None, None))
        return PENDING


def _unlink(error: BaseException | None) -> None:
    """Forget the frames that an exception has passed: they hold it in turn, and only the garbage collector, which is
    frozen in the daemon's children, would free such a ring.
    """
    if error is not None:
        error.__traceback__ = None
        error.__context__ = None


# A table rather than a match statement: one look-up per command on the busiest path of the checker process.
_PERFORM: Final[dict[type[Command], Callable[[Talk, Any], Answer]]] = {
    Receive: Talk._receive,
    Send: Talk._send,
    Connect: Talk._connect,
    ReceiveLine: Talk._receive_line,
    StartTls: Talk._start_tls,
    ShutdownSending: Talk._shutdown_sending,
    StageLimit: Talk._stage_limit,
    Swap: Talk._swap,
    Close: Talk._close,
    Exchange: asking.exchange,
    Echo: asking.echo,
    Resolve: asking.resolve,
    RunProgram: asking.run_program,
    RandomBytes: asking.random_bytes,
    GiveWay: Talk._give_way,
    Listen: asking.listen,
    Accept: asking.accept,
    Pause: asking.pause,
    AskClient: asking.ask_client,
    Note: asking.note,
}
