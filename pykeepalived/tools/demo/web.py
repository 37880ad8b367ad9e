"""A web server of the demonstration: `python web.py NAME` answers on port 80 with its name. Standard library only."""

from __future__ import annotations

import contextlib
import socket
import sys


def answer(request: bytes, name: str) -> bytes:
    """The reply to a request: a page that names the server. /test.html is the page that the directors check."""
    words = request.split(b"\r\n", 1)[0].split(b" ")
    if len(words) < 2 or words[0] != b"GET":
        return b"HTTP/1.0 400 Bad Request\r\n\r\n"
    page = f"test page of {name}\n" if words[1] == b"/test.html" else f"{name}\n"
    head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
    return (head + page).encode()


def main() -> None:
    with socket.create_server(("", 80), backlog=256) as listener:
        while True:
            visitor, _ = listener.accept()
            with visitor, contextlib.suppress(OSError):
                visitor.settimeout(0.5)
                request = b""
                while b"\r\n\r\n" not in request and len(request) < 4096:
                    piece = visitor.recv(4096)
                    if not piece:
                        break
                    request += piece
                if request:
                    visitor.sendall(answer(request, sys.argv[1]))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
