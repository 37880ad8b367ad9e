"""An HTTP/2 request and its answer; whatever the server does, the work that it makes is bounded.

We cut the stream into frames ourselves and hand h2 one at a time. So frames can be counted before they cost anything,
nothing behind the end of the answer is looked at, and a server that says goodbye while it still answers (RFC 9113
section 6.8: GOAWAY without an error) is heard to the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Final

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from pykeepalived.checkers.conversation import Command, ConversationError, GiveWay, Outcome, Receive, Reply, Send
from pykeepalived.checkers.http2 import Answer, Headers, Take

_FRAME_HEAD: Final = 9
#: The largest frame that we allow, and what every peer may send (RFC 9113 section 4.2).
FRAME_LIMIT: Final = 16384
#: The head, and the trailers, of an answer: each without its compression.
_HEADERS_LIMIT: Final = 16384
#: Frames that an answer may have, and one more for each so many bytes of its body: a server that only keeps us busy
#: with settings, pings, empty frames or endless header pieces is cut off.
FRAMES_LIMIT: Final = 512
_BYTES_A_FRAME: Final = 128
#: Frames between two turns of other conversations: about a millisecond.
_FRAMES_A_TURN: Final = 32
_CONTINUATIONS_LIMIT: Final = 16
_STREAM: Final = 1
_DATA, _GOAWAY, _CONTINUATION = 0, 7, 9
_NO_ERROR: Final = 0


def exchange(headers: Headers, body: bytes, take: Take) -> Generator[Command, Reply, Answer | Outcome]:
    """As `http2.exchange`."""
    conversation = _Exchange(take)
    try:
        answer = yield from conversation.run(headers, body)
    except H2Error as error:
        return Outcome(False, f"HTTP/2: {str(error)[:120] or type(error).__name__}", "http2-protocol")
    # The goodbye is a courtesy: a server that is gone, or reads nothing, has answered all the same.
    with contextlib.suppress(ConversationError, H2Error):
        yield Send(conversation.goodbye())
    return answer


def _connection() -> H2Connection:
    made = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    made.local_settings = Settings(
        client=True,
        initial_values={
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.MAX_CONCURRENT_STREAMS: 1,
            SettingCodes.MAX_HEADER_LIST_SIZE: _HEADERS_LIMIT,
        },
    )
    made.initiate_connection()
    return made


class _Exchange:
    """The state of one request and its answer."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._connection = _connection()
        self._waiting = b""
        self._frames = 0
        self._continuations = 0
        self._body_size = 0
        self._status = 0
        self._headers: Headers = ()
        self._trailers: Headers = ()
        self._ended = False

    def run(self, headers: Headers, body: bytes) -> Generator[Command, Reply, Answer | Outcome]:
        connection = self._connection
        connection.send_headers(_STREAM, list(headers), end_stream=not body)
        if body:
            connection.send_data(_STREAM, body, end_stream=True)
        while True:
            pending = connection.data_to_send()
            if pending:
                yield Send(pending)
            frame = yield from self._next_frame()
            if isinstance(frame, Outcome):
                return frame
            if self._is_friendly_goodbye(frame):
                continue
            for event in connection.receive_data(frame):
                failure = yield from self._heed(event)
                if failure is not None:
                    return failure
            if self._ended:
                return Answer(self._status, self._headers, self._trailers)
            if self._frames % _FRAMES_A_TURN == 0:
                yield GiveWay()

    def goodbye(self) -> bytes:
        self._connection.close_connection()
        return self._connection.data_to_send()

    # ---- frames ----

    def _next_frame(self) -> Generator[Command, Reply, bytes | Outcome]:
        while True:
            waiting = self._waiting
            if len(waiting) >= _FRAME_HEAD:
                size = _FRAME_HEAD + int.from_bytes(waiting[:3], "big")
                if size > _FRAME_HEAD + FRAME_LIMIT:
                    return self._not_http2(waiting)
                if len(waiting) >= size:
                    self._waiting = waiting[size:]
                    return self._counted(waiting[:size])
            data = yield Receive(FRAME_LIMIT)
            assert isinstance(data, bytes)
            if not data:
                where = "before" if not self._status else "in"
                return Outcome(False, f"connection closed {where} the answer", "no-data")
            self._waiting += data

    def _counted(self, frame: bytes) -> bytes | Outcome:
        self._frames += 1
        self._continuations = self._continuations + 1 if frame[3] == _CONTINUATION else 0
        if self._continuations > _CONTINUATIONS_LIMIT:
            return Outcome(False, f"HTTP/2: more than {_CONTINUATIONS_LIMIT} pieces of a header", "http2-headers")
        if self._frames > FRAMES_LIMIT + self._body_size // _BYTES_A_FRAME:
            return Outcome(False, f"HTTP/2: {self._frames} frames and no answer", "http2-flood")
        return frame

    @staticmethod
    def _not_http2(data: bytes) -> Outcome:
        if data.startswith(b"HTTP/1."):
            return Outcome(False, "the server answers with HTTP/1, not HTTP/2", "no-http2")
        return Outcome(False, "HTTP/2: frame too large, or no HTTP/2 at all", "no-http2")

    @staticmethod
    def _is_friendly_goodbye(frame: bytes) -> bool:
        """h2 takes any GOAWAY for the end of everything; without an error, our stream is still answered."""
        if frame[3] != _GOAWAY or len(frame) < _FRAME_HEAD + 8:
            return False
        last = int.from_bytes(frame[9:13], "big") & 0x7FFF_FFFF
        return int.from_bytes(frame[13:17], "big") == _NO_ERROR and last >= _STREAM

    # ---- what they mean ----

    def _heed(self, event: Any) -> Generator[Command, Reply, Outcome | None]:
        match event:
            case events.ResponseReceived():
                self._headers = _plain(event.headers)
                status = dict(self._headers).get(b":status", b"")
                self._status = int(status) if status.isdigit() and len(status) == 3 else 0
            case events.TrailersReceived():
                self._trailers = _plain(event.headers)
            case events.DataReceived():
                self._connection.acknowledge_received_data(event.flow_controlled_length, _STREAM)
                if event.data:
                    self._body_size += len(event.data)
                    return (yield from self._take(bytes(event.data)))
            case events.StreamEnded():
                self._ended = True
            case events.StreamReset():
                return Outcome(False, f"HTTP/2: stream reset, error {int(event.error_code or 0)}", "http2-reset")
            case events.ConnectionTerminated():
                return Outcome(False, f"HTTP/2: goodbye, error {int(event.error_code or 0)}", "http2-goaway")
        return None


def _plain(headers: Any) -> Headers:
    return tuple((bytes(name), bytes(value)) for name, value in headers)
