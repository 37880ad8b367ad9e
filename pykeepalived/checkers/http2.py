"""One request over HTTP/2 (RFC 9113), with the library h2, which is an extra (`pykeepalived[http2]`).

The library is loaded with the first check that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from importlib.util import find_spec
from typing import Final, NamedTuple

from pykeepalived.checkers.conversation import Command, FailureKind, Outcome, Reply

#: The protocol's name in ALPN (RFC 9113 section 3.2).
ALPN: Final = ("h2",)

Take = Callable[[bytes], Generator[Command, Reply, Outcome | None]]
"""Looks at a piece of a body; an outcome ends the reading."""
Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """A whole answer, but for its body."""

    status: int
    headers: Headers
    trailers: Headers


def unavailable() -> str | None:
    """Why there is no HTTP/2 here, or None."""
    if find_spec("h2") is not None:
        return None
    return "HTTP/2 needs the Python library `h2`, which is not installed: install `pykeepalived[http2]`"


def exchange(headers: Headers, body: bytes, take: Take) -> Generator[Command, Reply, Answer | Outcome]:
    """Send one request over the open stream and feed the body of its answer to `take`.

    An outcome: `take` has seen enough, or the server broke the protocol or a bound. `headers` are those of the request,
    pseudo-header fields first; `body` fits the smallest window.
    """
    reason = unavailable()
    if reason is not None:
        return Outcome(False, reason, FailureKind.NOT_AVAILABLE.value)
    from pykeepalived.checkers import http2_exchange  # noqa: PLC0415 - an extra, and 40 ms

    return (yield from http2_exchange.exchange(headers, body, take))
