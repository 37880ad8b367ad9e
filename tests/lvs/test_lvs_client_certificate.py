"""The root block SSL: a server that asks for a certificate gets the configured one, and is down without."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import load
from tests.dialects.keepalived.fake_host import FakeHost
from tests.lvs.stage import Stage

PASSWORD = "secret-word"


def make(directory: Path, name: str, password: str | None = None) -> tuple[Path, Path]:
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30"]
    words += ["-passout", f"pass:{password}"] if password else ["-nodes"]
    names = ["-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*words, *names], check=True, capture_output=True, timeout=30)
    return certificate, key


@contextmanager
def demanding(directory: Path, trusted: Path) -> Iterator[int]:
    """An HTTPS server that speaks only to holders of a certificate that it trusts."""
    certificate, key = make(directory, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(trusted)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with plain:
                plain.settimeout(60)
                try:
                    connection = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                except OSError:
                    continue
                with connection, contextlib.suppress(OSError):
                    connection.do_handshake()
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


# CPython drops the socket that it has just made when the peer is gone before it is wrapped; nobody else can close it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.shows("SSL.{password,ca,certificate,key}")
@pytest.mark.parametrize(
    ("words", "served"),
    [
        ("certificate {c}\n key {k}\n password {p}\n ca {c}", True),
        ("certificate {c}\n key {k}\n password wrong", False),
        ("ca {c}", False),
        ("ca {c}.missing\n certificate {c}\n key {k}\n password {p}", False),
    ],
)
def test_the_certificate_decides(tmp_path: Path, words: str, served: bool) -> None:
    certificate, key = make(tmp_path, "client", PASSWORD)
    with demanding(tmp_path, certificate) as port:
        file = tmp_path / "keepalived.conf"
        block = words.format(c=certificate, k=key, p=PASSWORD)
        # The block may stand behind those that it matters to.
        file.write_text(
            "virtual_server 10.77.0.5 80 {\n delay_loop 1\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n alpha\n"
            f" real_server 127.0.0.1 {port} {{\n SSL_GET {{\n url {{\n path /\n status_code 200\n }}\n warmup 0\n"
            f" retry 1\n delay_before_retry 1\n }}\n }}\n}}\nSSL {{\n {block}\n}}\n"
        )
        config = load(str(file), host=FakeHost()).config
        assert config is not None
        stage = Stage()
        stage.program.start(config)
        if served:
            stage.until_weights({f"127.0.0.1:{port}": 1})
        else:
            stage.until(lambda: any("SSL_CHECK" in line for line in stage.memo.lines), "a failure")
            assert stage.weights() == {}
        stage.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.shows("SSL.{certificate,key}")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_reload_reads_certificate_and_key_again(tmp_path: Path, workers: int) -> None:
    certificate, key = make(tmp_path, "client")
    other_certificate, other_key = make(tmp_path, "other")
    with demanding(tmp_path, certificate) as port:
        file = tmp_path / "keepalived.conf"
        used_certificate, used_key = tmp_path / "used.pem", tmp_path / "used.key"
        file.write_text(
            f"global_defs {{\n lvs_check_workers {workers}\n}}\n"
            f"SSL {{\n certificate {used_certificate}\n key {used_key}\n}}\n"
            "virtual_server 10.77.0.5 80 {\n delay_loop 1\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n alpha\n"
            f" real_server 127.0.0.1 {port} {{\n SSL_GET {{\n url {{\n path /\n status_code 200\n }}\n warmup 0\n"
            " retry 0\n fast_recovery\n }\n }\n}\n"
        )

        def put(new_certificate: Path, new_key: Path) -> None:
            used_certificate.write_bytes(new_certificate.read_bytes())
            used_key.write_bytes(new_key.read_bytes())

        put(certificate, key)
        config = load(str(file), host=FakeHost()).config
        assert config is not None
        stage = Stage()
        stage.program.start(config)
        stage.until_weights({f"127.0.0.1:{port}": 1})
        for kept, weights in (((other_certificate, other_key), {}), ((certificate, key), {f"127.0.0.1:{port}": 1})):
            put(*kept)
            stage.program.reload(config)
            for asked in stage.program._subscriptions().values():
                asked.check_now()
            stage.until_weights(weights)
        stage.close()
