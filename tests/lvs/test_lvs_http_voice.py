"""The lines about HTTP_GET and SSL_GET are those of keepalived (2.2.7 and 2.4.3 beside ours: tests/interop/logs)."""

from __future__ import annotations

import pytest

from pykeepalived.lvs import http_voice
from pykeepalived.model.checks import HttpCheck, HttpUrl, SocketOptions

NAME = "[10.0.0.1]:tcp:80"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("connect: Connection refused url(1)", f"Connection failed server {NAME}."),
        ("connect: No route to host url(2)", f"Error connecting server {NAME}."),
        ("timeout (2 s) url(1)", f"Timeout connecting server {NAME}."),
        ("HTTP status code error: 404 url(1)", f"HTTP status code error to server {NAME}."),
        ("MD5 digest error url(1)", f"MD5 digest error to server {NAME}."),
        ("Regex match failed url(1)", f"Regex match failed server {NAME}."),
        ("headers longer than 4096 bytes url(1)", None),
    ],
)
def test_a_failure(text: str, line: str | None) -> None:
    assert http_voice.failure(NAME, text) == line


def test_a_server_that_returns_is_told_of_with_its_pages() -> None:
    check = HttpCheck(
        socket=SocketOptions(address="10.0.0.1", port=80),
        urls=(HttpUrl(path="/a"), HttpUrl(path="/b", digest="0" * 32)),
    )
    assert http_voice.recovery(NAME, check) == [
        f"HTTP status code success to {NAME} url(/a)",
        f"MD5 digest success to {NAME} url(/b)",
        f"Remote Web server {NAME} succeed on service.",
    ]
