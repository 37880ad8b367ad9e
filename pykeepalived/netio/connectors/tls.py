"""TLS over a `Stream` through memory buffers: one receive call takes whole flights of records.

(A wrapped socket would read every record with two calls, one for its five-byte header.)
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Final

from pykeepalived.checkers.conversation import ConversationError, FailureKind, StartTls
from pykeepalived.netio.connectors.stream import Stream, closed_early

_CHUNK: Final = 32768
#: Different TLS settings that are remembered; a configuration has a handful.
_CONTEXTS_LIMIT: Final = 256


class TlsContexts:
    """`SSLContext`s by their settings: making one costs more than the handshake that uses it."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], ssl.SSLContext] = {}

    def get(self, command: StartTls) -> ssl.SSLContext:
        """The context for a command; raises ConversationError when its files cannot be used."""
        key = (
            command.verify,
            command.ca_file,
            command.certificate_file,
            command.key_file,
            command.key_password,
            command.check_name,
        )
        context = self._known.get(key)
        if context is None:
            context = _make_context(command)
            if len(self._known) >= _CONTEXTS_LIMIT:
                self._known.clear()
            self._known[key] = context
        return context


def _make_context(command: StartTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Some Python releases set this by default; whether such an end is a fault is decided in `TlsStream`.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    # Versions are OpenSSL's and the system's to choose, as the originals leave it to them.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if command.verify else ssl.CERT_NONE
    context.check_hostname = command.verify and command.check_name
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

    __slots__ = ("_close_notify", "_incoming", "_object", "_outgoing", "_stream", "_unsent", "ended")

    def __init__(self, stream: Stream, context: ssl.SSLContext, command: StartTls) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = b""
        self._close_notify = command.require_close_notify
        self.ended = False
        try:
            self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=command.server_name)
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
                raise ConversationError(FailureKind.TLS, f"TLS handshake: {_text(error)}") from None
            else:
                return self.flush()

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
        if not self._stream.ended:
            self._say_goodbye()
        self._stream.close()

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
