"""ldirectord's mysql, pgsql, oracle, ldap, ldaps and radius: a client library of the service asks, in its own process.

The libraries block, so the edge runs them in processes that end at the check's limit. What they found is judged here.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import msgspec

from pykeepalived.checkers.conversation import AskClient, Command, Conversation, ConversationError, FailureKind, Outcome
from pykeepalived.checkers.conversation import Reply as _Reply
from pykeepalived.checkers.receive import text_matches
from pykeepalived.model.checks import NegotiateCheck


class Answer(msgspec.Struct, frozen=True):
    """What a client found. `found`: the name of the one entry, for ldap."""

    ok: bool
    text: str
    reason: str = ""
    found: str = ""


_decoder: Final = msgspec.json.Decoder(Answer)


def sql(check: NegotiateCheck) -> Conversation:
    """mysql, pgsql, oracle: log in, run the query, more than no row (ldirectord-behaviour 5)."""
    if not check.login or not check.request.removeprefix("/"):
        return Outcome(False, "a login and a request are needed", "incomplete")
    answer = yield from _ask(check.service, check)
    return Outcome(answer.ok, answer.text, answer.reason)


def ldap(check: NegotiateCheck) -> Conversation:
    """ldap, ldaps: bind, one entry at the base, and its name matches `receive`."""
    answer = yield from _ask("ldap", check)
    if not answer.ok:
        return Outcome(False, answer.text, answer.reason)
    if not check.receive:
        return Outcome(True, answer.text)
    return (yield from text_matches(check.receive, answer.found.encode("utf-8", "surrogateescape")))


def radius(check: NegotiateCheck) -> Conversation:
    """radius: Access-Request is answered with Access-Accept (RFC 2865)."""
    answer = yield from _ask("radius", check)
    return Outcome(answer.ok, answer.text, answer.reason)


def _ask(client: str, check: NegotiateCheck) -> Generator[Command, _Reply, Answer]:
    data = yield AskClient(client=client, check=check, timeout_us=check.socket.timeout_us)
    assert isinstance(data, bytes)
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ConversationError(FailureKind.LOCAL, f"{client}: no usable answer from the client") from None
