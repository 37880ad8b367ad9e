"""TCP_CHECK and ldirectord's `connect`: the server is well when the connection opens.

Ours: `send` says something first, and with `expect` the server is well when what it says matches a regular expression,
as Piranha's nanny did for services that no checker knows.
"""

from __future__ import annotations

import re
from typing import Final

from pykeepalived.checkers.conversation import Connect, Conversation, Outcome, Receive, Send
from pykeepalived.checkers.receive import ReceiveSearch
from pykeepalived.model.checks import TcpCheck

_CONNECTED = Outcome(True, "TCP connection success")
_EXPECTED = Outcome(True, "expected answer", "expect")
#: What a server may say before the expected answer.
ANSWER_LIMIT: Final = 64 * 1024
_ESCAPES: Final = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def tcp(check: TcpCheck) -> Conversation:
    yield Connect(options=check.socket)
    if check.send is not None:
        yield Send(unescaped(check.send))
    if check.expect is None:
        return _CONNECTED
    search = ReceiveSearch(check.expect)
    left = ANSWER_LIMIT
    while left > 0:
        data = yield Receive(left)
        assert isinstance(data, bytes)
        if not data:
            break
        left -= len(data)
        failure = yield from search.take(data)
        if failure is not None:
            return failure
        if search.found:
            return _EXPECTED
    outcome = yield from search.judge()
    return _EXPECTED if outcome.ok else Outcome(False, "unexpected answer", outcome.reason)


def unescaped(text: str) -> bytes:
    r"""The bytes of `send`: `\r`, `\n`, `\t`, `\0` and `\\` mean what they do in C, other backslashes themselves."""
    replaced = re.sub(r"\\([rnt0\\])", lambda found: _ESCAPES[found[1]], text)
    return replaced.encode("utf-8", "surrogateescape")
