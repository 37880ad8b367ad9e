"""TLS over a `Stream` through memory buffers: one receive call takes whole flights of records.

(A wrapped socket would read every record with two calls, one for its five-byte header.)
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from pykeepalived.checkers.certificate import not_after_s
from pykeepalived.checkers.conversation import ConversationError, FailureKind, StartTls
from pykeepalived.netio.connectors.stream import Stream, closed_early

_CHUNK: Final = 32768
#: Different TLS settings that are remembered; a configuration has a handful.
_CONTEXTS_LIMIT: Final = 256
#: Sessions that are remembered for each of them; a session has about 4 KiB.
_SESSIONS_LIMIT: Final = 4096
_SESSION_LASTS_S: Final = 60.0
_DAY_S: Final = 86_400


class Sessions:
    """TLS sessions of the servers that are asked with one context, so that most handshakes are short ones.

    A session is used for a minute at most: the next handshake is a whole one, in which the server must show its key
    again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[object, ...], tuple[float, ssl.SSLSession]] = {}

    def get(self, place: tuple[object, ...]) -> ssl.SSLSession | None:
        found = self._known.get(place)
        if found is None:
            return None
        if self._clock() - found[0] < _SESSION_LASTS_S:
            return found[1]
        del self._known[place]
        return None

    def put(self, place: tuple[object, ...], session: ssl.SSLSession) -> None:
        if len(self._known) < _SESSIONS_LIMIT:
            self._known[place] = (self._clock(), session)

    def forget(self, place: tuple[object, ...]) -> None:
        self._known.pop(place, None)


class TlsSettings(NamedTuple):
    """A context, and its sessions where they may be used again."""

    context: ssl.SSLContext
    sessions: Sessions | None


class TlsContexts:
    """`SSLContext`s by their settings: making one costs more than the handshake that uses it."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], TlsSettings] = {}

    def get(self, command: StartTls) -> TlsSettings:
        """The context for a command; raises ConversationError when its files cannot be used."""
        key = (
            command.verify,
            command.ca_file,
            command.certificate_file,
            command.key_file,
            command.key_password,
            command.check_name,
            command.alpn,
        )
        settings = self._known.get(key)
        if settings is None:
            # Where certificates are looked at, on either side, every handshake looks at them.
            looked_at = command.verify or command.certificate_file is not None
            settings = TlsSettings(_make_context(command), None if looked_at else Sessions())
            if len(self._known) >= _CONTEXTS_LIMIT:
                self._known.clear()
            self._known[key] = settings
        return settings

    def forget_files(self) -> None:
        """The next handshake reads certificates and keys again; settings without files keep their sessions."""
        self._known = {key: settings for key, settings in self._known.items() if not any(key[1:4])}


def _make_context(command: StartTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Some Python releases set this by default; whether such an end is a fault is decided in `TlsStream`.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    # Versions are OpenSSL's and the system's to choose, as the originals leave it to them.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if command.verify else ssl.CERT_NONE
    context.check_hostname = command.verify and command.check_name
    if command.alpn:
        context.set_alpn_protocols(list(command.alpn))
    try:
        if command.ca_file is not None:
            context.load_verify_locations(command.ca_file)
        elif command.verify:
            context.set_default_verify_paths()
        if command.certificate_file is not None:
            password = command.key_password
            # A callable even without a password: OpenSSL would otherwise ask for one at the terminal.
            context.load_cert_chain(command.certificate_file, command.key_file, lambda: password or "")
    except (OSError, ValueError) as error:
        raise ConversationError(FailureKind.LOCAL, f"TLS settings: {_text(error)}") from None
    return context


def _is_ragged_end(error: Exception) -> bool:
    """Whether the TCP connection ended without close-notify; Python has had two ways to say so."""
    return isinstance(error, ssl.SSLEOFError) or getattr(error, "reason", None) == "UNEXPECTED_EOF_WHILE_READING"


class TlsStream:
    """The same operations as `Stream`, on the plaintext inside it."""

    __slots__ = (
        "_alpn",
        "_close_notify",
        "_incoming",
        "_object",
        "_outgoing",
        "_place",
        "_sessions",
        "_stream",
        "_unsent",
        "_valid_days",
        "_whole",
        "ended",
    )

    def __init__(self, stream: Stream, settings: TlsSettings, command: StartTls) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = b""
        self._close_notify = command.require_close_notify
        self._valid_days = command.valid_days
        self._alpn = command.alpn
        self.ended = False
        self._sessions = sessions = None if stream.place is None else settings.sessions
        self._place = (stream.place, command.server_name)
        session = None if sessions is None else sessions.get(self._place)
        self._whole = False
        """The handshake is over, and was a whole one: there is a session to remember."""
        try:
            self._object = settings.context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=command.server_name, session=session
            )
        except (ValueError, UnicodeError) as error:
            raise ConversationError(FailureKind.TLS, f"server name: {_text(error)}") from None

    def handshake(self) -> bool:
        """Carry the handshake on as far as it goes; True when done. Raises ConversationError."""
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                if not self.flush() or not self._fill("the TLS handshake"):
                    return False
            except (ssl.SSLError, OSError, ValueError) as error:
                self._forget_session()
                raise ConversationError(FailureKind.TLS, f"TLS handshake: {_text(error)}") from None
            else:
                self._whole = not self._object.session_reused
                if self._valid_days:
                    self._look_at_the_end()
                if self._alpn and self._object.selected_alpn_protocol() not in self._alpn:
                    text = f"TLS: the server does not speak {' or '.join(self._alpn)}"
                    raise ConversationError(FailureKind.TLS, text)
                return self.flush()

    def _look_at_the_end(self) -> None:
        """Whether the certificate is valid for long enough. Raises ConversationError."""
        end_s = not_after_s(self._object.getpeercert(binary_form=True) or b"")
        if end_s is None:
            raise ConversationError(FailureKind.TLS, "certificate: its end is not known")
        left_s = end_s - time.time()
        if left_s < self._valid_days * _DAY_S:
            text = f"ends in {left_s / _DAY_S:.1f} days" if left_s > 0 else f"has ended {-left_s / _DAY_S:.1f} days ago"
            raise ConversationError(FailureKind.TLS, f"certificate: {text}")

    def read(self, limit: int) -> bytes | None:
        """At most `limit` bytes; b"" at the end; None when there is nothing yet. Raises ConversationError."""
        while not self.ended:
            try:
                data = self._object.read(limit)
            except ssl.SSLWantReadError:
                self.flush()
                if not self._fill(None):
                    return None
            except ssl.SSLZeroReturnError:
                self.ended = True
            except (ssl.SSLError, OSError, ValueError) as error:
                self.ended = True
                if _is_ragged_end(error):
                    if self._close_notify:
                        raise ConversationError(FailureKind.TLS, "connection closed without close-notify") from None
                    return b""
                self._forget_session()
                raise ConversationError(FailureKind.TLS, f"TLS: {_text(error)}") from None
            else:
                if data:
                    return data
                self.ended = True
        return b""

    def write(self, data: bytes | memoryview) -> int:
        """Encrypt everything and send what the kernel takes; 0 while an earlier write is still unsent."""
        if not self.flush():
            return 0
        try:
            count = self._object.write(data)
        except ssl.SSLWantReadError:
            return 0
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConversationError(FailureKind.TLS, f"TLS: {_text(error)}") from None
        self.flush()
        return count

    def flush(self) -> bool:
        """Send ciphertext that waits; True when none is left."""
        while True:
            if not self._unsent:
                self._unsent = self._outgoing.read()
                if not self._unsent:
                    return True
            count = self._stream.write(self._unsent)
            self._unsent = self._unsent[count:]
            if self._unsent:
                return False

    def shutdown_sending(self) -> None:
        """Send close-notify; TLS has no half-close that servers agree on, so the TCP direction stays open."""
        self._say_goodbye()

    def close(self) -> None:
        # TLS 1.3 servers send the session after the handshake, so it is looked for at the end.
        if self._whole and self._sessions is not None:
            session = self._object.session
            if session is not None:
                self._sessions.put(self._place, session)
        if not self._stream.ended:
            self._say_goodbye()
        self._stream.close()

    def _forget_session(self) -> None:
        self._whole = False
        if self._sessions is not None:
            self._sessions.forget(self._place)

    def _say_goodbye(self) -> None:
        # It fails when it wants the peer's close-notify, for which nobody waits, or when the handshake never ended.
        with contextlib.suppress(ssl.SSLError, OSError, ValueError):
            self._object.unwrap()
        # The peer may be gone already.
        with contextlib.suppress(ConversationError):
            self.flush()

    def _fill(self, doing: str | None) -> bool:
        """Move received ciphertext to OpenSSL; False when there is none yet. `doing`: an end now is an error."""
        data = self._stream.read(_CHUNK)
        if data is None:
            return False
        if data:
            self._incoming.write(data)
        elif doing is not None:
            raise closed_early(doing)
        else:
            self._incoming.write_eof()
        return True


def _text(error: BaseException) -> str:
    """OpenSSL's reason without Python's brackets and source lines."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
