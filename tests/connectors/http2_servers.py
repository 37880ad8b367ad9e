"""Servers that speak HTTP/2, well or ill: nginx, gRPC's own, and frames made by hand."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hpack import Encoder

from tests.connectors.servers import certificate

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4

#: A server with a whole, a well, an ill and an unknown service; says its ports.
_GRPC = """
import sys
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
if sys.argv[2] == "healthy":
    servicer = health.HealthServicer()
    for name, state in (("", "SERVING"), ("well", "SERVING"), ("ill", "NOT_SERVING"), ("odd", "UNKNOWN")):
        servicer.set(name, getattr(health_pb2.HealthCheckResponse, state))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
key, chain = (open(f"{sys.argv[1]}/{name}.pem", "rb").read() for name in ("key", "certificate"))
plain = server.add_insecure_port("127.0.0.1:0")
tls = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
server.start()
print(plain, tls, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def grpc_server(directory: Path, kind: str = "healthy") -> Iterator[tuple[int, int]]:
    """gRPC's own health service; yields the ports without and with TLS. It ends with its input."""
    certificate(directory)
    words = [sys.executable, "-c", _GRPC, str(directory), kind]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        plain, tls = (int(word) for word in process.stdout.readline().split())
        yield plain, tls
        process.stdin.close()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextlib.contextmanager
def nginx(directory: Path, pages: dict[str, bytes]) -> Iterator[tuple[int, int, int]]:
    """Debian's nginx: ports of HTTP/2 without TLS, of HTTP/2 or 1 over TLS, and of HTTP/1 alone over TLS.

    It inherits sockets that listen already, so the ports are free and connections may wait for it.
    """
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("nginx is not installed")
    certificate(directory)
    for name, body in pages.items():
        (directory / name).write_bytes(body)
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        for sock in sockets:
            sock.setblocking(False)
        plain, both, old = (sock.getsockname()[1] for sock in sockets)
        temporary = "".join(
            f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(
            f"{user} daemon off; pid {directory}/pid; error_log {directory}/error.log;"
            f"events {{ worker_connections 64; }} http {{ access_log off; {temporary}"
            f"ssl_certificate {directory}/certificate.pem; ssl_certificate_key {directory}/key.pem; server {{"
            f"listen 127.0.0.1:{plain} http2; listen 127.0.0.1:{both} ssl http2; root {directory};"
            "location /moved { return 302 /hello; } location /name { return 200 $host-$server_protocol; } }"
            f"server {{ listen 127.0.0.1:{old} ssl; root {directory}; }} }}"
        )
        inherited = "".join(f"{sock.fileno()};" for sock in sockets)
        process = stack.enter_context(
            subprocess.Popen(
                [program, "-p", directory, "-c", "nginx.conf"],
                stderr=subprocess.DEVNULL,
                env={**os.environ, "NGINX": inherited},
                pass_fds=[sock.fileno() for sock in sockets],
            )
        )
        stack.callback(process.wait, timeout=60)
        stack.callback(process.terminate)
        yield plain, both, old


# ---- by hand ----


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0, size: int | None = None) -> bytes:
    """A frame (RFC 9113 section 4.1); `size`: what its head says of its length."""
    length = len(payload) if size is None else size
    return length.to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def head(*more: tuple[str, str], status: str = "200", end: bool = False) -> bytes:
    block = Encoder().encode([(":status", status), *more])
    return frame(HEADERS, block, flags=END_HEADERS | (END_STREAM if end else 0), stream=1)


def speaker(*pieces: bytes, repeat: bytes = b"", stay: bool = True) -> Callable[[socket.socket], None]:
    """Reads what comes, says the pieces, then the last one for ever."""

    def handler(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(frame(SETTINGS) + b"".join(pieces))
        while repeat:
            connection.sendall(repeat)
        while stay and connection.recv(65536):
            pass

    return handler
