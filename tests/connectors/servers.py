"""Servers of a few lines for the connectors' tests: one thread each, on loopback, gone with the test."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

Handler = Callable[[socket.socket], None]


class Server:
    """Accepts connections and gives each to `handler` in a thread of its own."""

    def __init__(self, handler: Handler, *, context: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, 0), family=family, backlog=512)
        self.address = address
        self.port: int = self._socket.getsockname()[1]
        self._handler = handler
        self.context = context
        self._open: set[socket.socket] = set()
        self.connections = 0
        self.peers: list[object] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._socket.accept()
            except OSError:
                return
            self.peers.append(peer)
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            with contextlib.suppress(OSError, ValueError):
                if self.context is not None:
                    wrap = self.context.wrap_socket
                    connection = wrap(connection, server_side=True, do_handshake_on_connect=False)
                    connection.do_handshake()
                self._handler(connection)
        finally:
            self._open.discard(connection)
            connection.close()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        if not piece:
            break
        data += piece
    return data


def answer(data: bytes) -> Handler:
    """Reads a request, answers it, closes."""

    def handler(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)

    return handler


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def wait_for_end(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


class _ServerSocket(ssl.SSLSocket):
    """Python leaves a socket open whose peer is gone before it is wrapped; this one finds out in the handshake."""

    def getpeername(self) -> object:
        try:
            return super().getpeername()
        except OSError:
            return ("gone", 0)


def certificate(directory: Path, name: str = "localhost") -> ssl.SSLContext:
    """A server's TLS settings with a certificate signed by itself."""
    key, file = directory / "key.pem", directory / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    subprocess.run(
        [*words, "-subj", f"/CN={name}", "-keyout", key, "-out", file], check=True, capture_output=True, timeout=30
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = _ServerSocket
    context.load_cert_chain(file, key)
    return context


@contextlib.contextmanager
def udp_server(reply: Callable[[bytes], bytes | None], address: str = "127.0.0.1") -> Iterator[int]:
    """Answers datagrams; yields the port."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0))

    def serve() -> None:
        while True:
            try:
                data, source = sock.recvfrom(65535)
            except OSError:
                return
            if not data:
                return
            answer = reply(data)
            if answer is not None:
                sock.sendto(answer, source)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
