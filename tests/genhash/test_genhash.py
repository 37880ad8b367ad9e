"""genhash: options and texts, and beside the original the same output from the same servers."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.checkers import registry
from pykeepalived.cli.genhash import USAGE, dump
from pykeepalived.model.checks import HttpCheck, HttpUrl
from tests.connectors.desk import Desk, options
from tests.connectors.servers import Server, answer, certificate, wait_for_end

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; sys.argv[0] = 'genhash'; from pykeepalived.cli.genhash import main; main()"
GENHASH = shutil.which("genhash", path="/usr/bin:/usr/sbin:/bin")


def run(executable: str, words: list[str], *args: object) -> tuple[int, bytes, bytes]:
    """Exit code, output, errors; the time of the answer, which no two runs share, is masked."""
    done = subprocess.run(
        [*words, *map(str, args)], executable=executable, capture_output=True, timeout=30, cwd=ROOT, check=False
    )
    return done.returncode, re.sub(rb"= \d+ usecs", b"= N usecs", done.stdout), done.stderr


def ours(*args: object) -> tuple[int, bytes, bytes]:
    return run(sys.executable, [sys.executable, "-c", PROGRAM], *args)


def theirs(*args: object) -> tuple[int, bytes, bytes]:
    if GENHASH is None:
        pytest.skip("genhash is not installed")
    return run(GENHASH, ["genhash"], *args)


def page(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.0 200 OK", *headers, b"", body))


# ---- alone ----


def test_the_digest_and_nothing_else() -> None:
    with Server(answer(page(b"hello"))) as server:
        expected = f"{hashlib.md5(b'hello').hexdigest()}\n".encode()
        assert ours("-s", "127.0.0.1", "-p", server.port, "-u", "/") == (0, expected, b"")


def test_http_get_accepts_what_genhash_prints() -> None:
    body = os.urandom(100_000)
    desk = Desk()
    with Server(answer(page(body, b"Content-Length: 70000"))) as server:
        digest = ours("-s", "127.0.0.1", "-p", server.port, "-u", "/")[1].decode().strip()
        check = HttpCheck(socket=options(server.port), urls=(HttpUrl(path="/", digest=digest),))
        assert registry.unavailable(check) is None
        assert desk.ask(check).reason == "digest"
        assert desk.ask(check).ok
    desk.close()


def test_over_ipv6() -> None:
    with Server(answer(page(b"six")), address="::1") as server:
        assert ours("-s", "::1", "-p", server.port, "-u", "/")[1].decode().strip() == hashlib.md5(b"six").hexdigest()


def test_usage() -> None:
    assert ours("-h") == (1, b"", USAGE.format(name="genhash").encode())
    assert ours() == (1, b"", USAGE.format(name="genhash").encode())


def test_the_time_limit() -> None:
    with Server(wait_for_end) as server:
        began = time.monotonic()
        assert ours("-s", "127.0.0.1", "-p", server.port, "-u", "/", "-t", 1) == (0, b"Timeout WEB read\n", b"")
        assert ours("-S", "-s", "127.0.0.1", "-p", server.port, "-u", "/", "-t", 1)[1] == b"Timeout connecting\n"
        assert 2 <= time.monotonic() - began < 10


def test_dump() -> None:
    assert dump(b"") == b""
    assert dump(bytes(range(60, 80))) == (
        b"0000  3c 3d 3e 3f 40 41 42 43 - 44 45 46 47 48 49 4a 4b   <=>?@ABCDEFGHIJK\n"
        b"0016  4c 4d 4e 4f             -                           LMNO            \n"
    )


# ---- beside the original ----

WRONG_OPTIONS = [
    [],
    ["-h"],
    ["--help"],
    ["-x"],
    ["-p"],
    ["-s", "127.0.0.1", "-p"],
    ["-s", "127.0.0.1", "-x"],
    ["-s", "127.0.0.1", "--nonesuch"],
    ["-s", "127.0.0.1", "--verbose=3"],
    ["--use", "-s", "127.0.0.1"],
    ["-p", "80", "-u", "/"],
    ["-s", "127.0.0.1", "-p", "80"],
    ["-s", "localhost", "-p", "80", "-u", "/"],
    ["-s", "", "-p", "80", "-u", "/"],
    ["-s", "127.0.0.1", "-p", "0", "-u", "/"],
    ["-s", "127.0.0.1", "-p", "65536", "-u", "/"],
    ["-s", "127.0.0.1", "-p", "80 ", "-u", "/"],
    ["-s", "127.0.0.1", "-p", "80", "-u", "/", "-t", "x"],
    ["-s", "127.0.0.1", "-p", "80", "-u", "/", "-t", "-3"],
    ["-s", "127.0.0.1", "-p", "80", "-u", "/", "-m", "x"],
    ["-s", "127.0.0.1", "-p", "80", "-u", "/", "-P", "2.0"],
    ["-s", "127.0.0.1", "-p", "80", "-u", "/", "-P"],
    ["-s", "127.0.0.1", "-p", "80", "-u", "/", "extra", "words"],
    ["extra", "-s", "127.0.0.1", "-p", "80", "-u", "/"],
    ["-s", "127.0.0.1", "-p", "80", "-u", "/", "-h"],
]


@pytest.mark.peer
@pytest.mark.parametrize("words", WRONG_OPTIONS, ids=" ".join)
def test_wrong_options_are_answered_as_by_the_original(words: list[str]) -> None:
    assert ours(*words) == theirs(*words)


RAW = {
    "length": page(b"hello", b"Content-Length: 5"),
    "longer than said": page(b"hello world", b"Content-Length: 5"),
    "shorter than said": page(b"hello", b"Content-Length: 50"),
    "no length": page(b"hello world"),
    "lower case": page(b"hello world", b"content-length: 5"),
    "another header's name": page(b"hello world", b"X-Content-Length: 5"),
    "two lengths": page(b"hello world", b"Content-Length: 5", b"Content-Length: 7"),
    "no number": page(b"hello world", b"Content-Length: five"),
    "number and blank": page(b"hello world", b"Content-Length: 5 "),
    "negative": page(b"hello world", b"Content-Length: -5"),
    "signed": page(b"hello world", b"Content-Length: +5"),
    "folded": page(b"hello world", b"X: y", b" Content-Length: 5"),
    "in the body": page(b"Content-Length: 3\r\n\r\nhello world"),
    "empty": page(b""),
    "empty, said": page(b"", b"Content-Length: 0"),
    "said to be empty": page(b"hello", b"Content-Length: 0"),
    "chunked": page(b"5\r\nhello\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "not found": b"HTTP/1.0 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n" + page(b"hello", b"Content-Length: 5"),
    "line feeds": b"HTTP/1.0 200 OK\nContent-Length: 5\n\nhello",
    "late blank line": b"HTTP/1.0 200 OK\r\nA: b\n\nhello\r\n\r\nworld",
    "no blank line": b"HTTP/1.0 200 OK\r\nA: b\r\n",
    "garbage": b"\x00\x01 garbage \xff",
    "nothing": b"",
}


@pytest.mark.peer
@pytest.mark.parametrize("name", RAW)
def test_the_same_bytes_are_hashed(name: str) -> None:
    with Server(answer(RAW[name])) as server:
        where = ("-s", "127.0.0.1", "-p", server.port, "-u", "/page")
        assert ours(*where) == theirs(*where)
        assert ours("-v", *where) == theirs("-v", *where)


@pytest.mark.peer
def test_the_same_request_is_sent() -> None:
    seen: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(4096)
        seen.append(data)
        connection.sendall(page(b"x"))

    with Server(handler) as server:
        where = ("-s", "127.0.0.1", "-p", server.port, "-u", "/a?b=c d")
        variants: list[list[str]] = [
            [],
            ["-P", "1.0"],
            ["-P", "1.0c"],
            ["-P", "1.0C"],
            ["-P", "1.1"],
            ["-V", "www.example"],
        ]
        for words in variants:
            assert ours(*where, *words) == theirs(*where, *words)
    assert len(seen) == 12
    assert seen[::2] == seen[1::2]


@pytest.mark.peer
def test_the_same_words_when_nobody_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    for words in ([], ["-S"], ["-v"]):
        where = ("-s", "127.0.0.1", "-p", port, "-u", "/", *words)
        assert ours(*where) == theirs(*where)
    with Server(answer(page(b"x"))) as server:
        # Neither side of a TLS handshake.
        def garbage(connection: socket.socket) -> None:
            connection.recv(65536)
            connection.sendall(b"no TLS here" * 10)

        with Server(garbage) as plain:
            where = ("-S", "-s", "127.0.0.1", "-p", plain.port, "-u", "/")
            assert ours(*where) == theirs(*where)
        where = ("--server", "127.0.0.1", "--po", server.port, "--ur", "/")
        assert ours(*where) == theirs(*where)


# ---- beside the original, on nginx ----

BODIES = {
    "hello": b"hello",
    "empty": b"",
    "binary": bytes(range(256)) * 99,
    "large": os.urandom(5_000_000),
}


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("nginx is not installed")
    directory = tmp_path_factory.mktemp("nginx")
    certificate(directory)
    web = directory / "www"
    web.mkdir()
    for name, body in BODIES.items():
        (web / name).write_bytes(body)
    (web / "included.html").write_bytes(b'<!--# include virtual="/hello" -->' * 2000)
    for path in [web, directory, *directory.parents][:-2]:
        path.chmod(path.stat().st_mode | 0o555)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        plain, tls = one.getsockname()[1], two.getsockname()[1]
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Server-side includes make a page whose length nginx does not know: chunked in HTTP/1.1, to the end in 1.0.
    # A worker of another user could not read below pytest's directory, which another run may close at any time.
    user = "user root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;"
        f"events {{ worker_connections 64; }} http {{ access_log off; {temporary} server {{ ssi on;"
        f"listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; ssl_certificate {directory}/certificate.pem;"
        f"ssl_certificate_key {directory}/key.pem; root {web}; }} }}"
    )
    with subprocess.Popen([program, "-p", directory, "-c", "nginx.conf"], stderr=subprocess.DEVNULL) as process:
        for port in (plain, tls):
            for _ in range(200):
                with socket.socket() as sock:
                    if sock.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
        yield plain, tls
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.peer
@pytest.mark.parametrize("protocol", ["1.0", "1.1"])
@pytest.mark.parametrize("name", [*BODIES, "included.html", "missing"])
def test_pages_of_nginx(nginx: tuple[int, int], name: str, protocol: str) -> None:
    plain, tls = nginx
    for words in (["-p", plain], ["-p", tls, "-S"]):
        where = ("-s", "127.0.0.1", "-u", f"/{name}", "-P", protocol, *words)
        result = ours(*where)
        assert result == theirs(*where)
        assert re.fullmatch(rb"[0-9a-f]{32}\n", result[1])
        if name in BODIES:
            assert result[1].decode().strip() == hashlib.md5(BODIES[name]).hexdigest()


@pytest.mark.peer
def test_the_verbose_dump_of_nginx(nginx: tuple[int, int]) -> None:
    plain, tls = nginx
    dates = re.compile(rb"Date: .*|^\d{4}  .*", re.MULTILINE)
    for words in (["-p", plain], ["-p", tls, "-S"]):
        where = ("-v", "-s", "127.0.0.1", "-u", "/hello", *words)
        (code, mine, _), (_, original, _) = ours(*where), theirs(*where)
        # The header's dump holds the date; everything but that is equal.
        assert dates.sub(b"", mine) == dates.sub(b"", original)
        assert (code, mine.splitlines()[-8:-3]) == (0, original.splitlines()[-8:-3])


@pytest.mark.peer
def test_the_server_name(tmp_path: Path) -> None:
    context = certificate(tmp_path)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    assert isinstance(context, ssl.SSLContext)
    with Server(answer(page(b"x")), context=context) as server:
        for words in ([], ["-V", "www.example"], ["-I"], ["-I", "-V", "www.example"]):
            where = ("-S", "-s", "127.0.0.1", "-p", server.port, "-u", "/", *words)
            assert ours(*where) == theirs(*where), words
    assert names[::2] == names[1::2]
    assert names[-1] == "www.example"
