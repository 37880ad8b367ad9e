"""TLS on a client's socket that never waits. A module of its own, so that only who uses TLS loads OpenSSL."""

from __future__ import annotations

import socket
import ssl

from pykeepalived.notify.connection import TlsError, TlsOptions

__all__ = ["TlsSocket", "tls_context"]


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """A client's context, TLS 1.2 at least (RFC 9325 section 3.1.1). Raises TlsError."""
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ValueError) as error:
        raise TlsError(f"`{options.ca_file}`: {_text(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class TlsSocket:
    """What a connection needs of a socket. Takes over a connected one; raises TlsError."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self.wants_write = False
        """It cannot go on before something is sent."""
        try:
            self._socket = context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            plain.close()
            raise TlsError(_text(error)) from None

    def handshake(self) -> bool:
        """Carry it on as far as it goes; True when done. Raises TlsError."""
        self.wants_write = False
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return False
        except (OSError, ValueError) as error:
            raise TlsError(_text(error)) from None
        return True

    def recv(self, limit: int) -> bytes:
        """Raises BlockingIOError when there is nothing yet, OSError at a bad end."""
        self.wants_write = False
        try:
            return self._socket.recv(limit)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLWantWriteError:
            self.wants_write = True
            raise BlockingIOError from None

    def send(self, data: bytes) -> int:
        """As `socket.send`."""
        try:
            return self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


def _text(error: BaseException) -> str:
    """OpenSSL's reason without Python's brackets and source lines."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)
