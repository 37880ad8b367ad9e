"""TCP_CHECK and ldirectord's `connect`: the server is well when the connection opens."""

from __future__ import annotations

from pykeepalived.checkers.conversation import Connect, Conversation, Outcome
from pykeepalived.model.checks import TcpCheck

_CONNECTED = Outcome(True, "TCP connection success")


def tcp(check: TcpCheck) -> Conversation:
    yield Connect(options=check.socket)
    return _CONNECTED
