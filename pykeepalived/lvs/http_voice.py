"""keepalived's lines about HTTP_GET and SSL_GET."""

from __future__ import annotations

from typing import Final

from pykeepalived.model.checks import HttpCheck

#: How the text of a failure begins, and the line of log_all_failures about it.
_FAILURES: Final = (
    ("connect: Connection refused", "Connection failed server {}."),
    ("connect: ", "Error connecting server {}."),
    ("timeout ", "Timeout connecting server {}."),
    ("HTTP status code error", "HTTP status code error to server {}."),
    ("MD5 digest error", "MD5 digest error to server {}."),
    ("Regex match failed", "Regex match failed server {}."),
)


def failure(name: str, text: str) -> str | None:
    """The line of log_all_failures about a failure of the server `name`; None: none of keepalived's."""
    return next((line.format(name) for begin, line in _FAILURES if text.startswith(begin)), None)


def recovery(name: str, check: HttpCheck) -> list[str]:
    """What is said of the pages of a server that was down, and then of the server."""
    found = [
        f"{'MD5 digest' if url.digest else 'HTTP status code'} success to {name} url({url.path})" for url in check.urls
    ]
    return [*found, success(name)]


def success(name: str) -> str:
    return f"Remote Web server {name} succeed on service."
