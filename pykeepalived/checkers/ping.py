"""PING_CHECK and ldirectord's `ping`: an ICMP echo that is answered."""

from __future__ import annotations

from pykeepalived.checkers.conversation import Conversation, Echo, Outcome
from pykeepalived.model.checks import PingCheck


def ping(check: PingCheck) -> Conversation:
    for _ in range(check.attempts):
        answered = yield Echo(options=check.socket, payload_size=check.payload_size, timeout_us=check.socket.timeout_us)
        if answered:
            return Outcome(True, "ICMP connection success")
    return Outcome(False, "no ICMP echo reply", "timeout")


def ping_limit_us(check: PingCheck) -> int:
    """Each attempt has the check's time limit."""
    return check.socket.timeout_us * check.attempts
