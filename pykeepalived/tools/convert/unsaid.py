"""What a check of keepalived.conf says that a check of an ldirectord.cf has no words for: field by field, so that a
field that comes later is listed, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pykeepalived.model import DnsCheck, HttpCheck, MiscCheck, PingCheck, SmtpCheck, TcpCheck
from pykeepalived.model.checks import CheckTiming
from pykeepalived.units import SECOND_US

#: Kinds of checks that have an equivalent: their words in keepalived.conf, and the fields that stand in it, or that are
#: spoken of elsewhere.
_CONVERTED: Final[dict[type, tuple[str, frozenset[str]]]] = {
    TcpCheck: ("TCP_CHECK", frozenset({"socket"})),
    HttpCheck: ("HTTP_GET", frozenset({"socket", "urls", "tls", "virtualhost"})),
    SmtpCheck: ("SMTP_CHECK", frozenset({"socket"})),
    DnsCheck: ("DNS_CHECK", frozenset({"socket", "type", "name"})),
    MiscCheck: ("MISC_CHECK", frozenset({"script", "timeout_us", "dynamic"})),
    PingCheck: ("PING_CHECK", frozenset({"socket", "attempts"})),
}
_URL: Final = frozenset({"path", "virtualhost", "regex"})
_SOCKET: Final = frozenset({"address", "port", "timeout_us"})
#: Names of fields that are other than their words.
_WORDS: Final = {
    "bind_address": "bindto", "bind_interface": "bind_if", "status_codes": "status_code", "protocol": "http_protocol",
    "client": "the client certificate of SSL",
}  # fmt: skip


def unsaid_of_check(question: Any) -> Iterator[str]:
    """Each word of a check that gets lost, with its value. A kind without equivalent is listed by the printer."""
    known = _CONVERTED.get(type(question))
    if known is None:
        return
    name, said = known
    yield from _unsaid(question, said, name)
    if hasattr(question, "socket"):
        yield from _unsaid(question.socket, _SOCKET, name)
    for url in getattr(question, "urls", ())[:1]:
        yield from _unsaid(url, _URL, f"url {url.path}")


def unsaid_of_timing(timing: CheckTiming) -> Iterator[str]:
    """`retry` and `delay_loop` have directives, the others are listed."""
    if timing.retry and timing.delay_before_retry_us != timing.delay_loop_us:
        yield f"delay_before_retry {timing.delay_before_retry_us / SECOND_US:g}: a retry comes after the interval"
    if timing.warmup_us != timing.delay_loop_us:
        yield f"warmup {timing.warmup_us / SECOND_US:g}: the first check comes at once"
    if timing.down_delay_us is not None:
        yield f"a pause of {timing.down_delay_us / SECOND_US:g} s between checks of a server that is down"
    if timing.log_all_failures:
        yield "log_all_failures has no equivalent"


def _unsaid(found: Any, said: frozenset[str], where: str) -> Iterator[str]:
    for field in msgspec.structs.fields(type(found)):
        value = getattr(found, field.name)
        if field.name not in said and value != field.default:
            shown = f" {value}" if isinstance(value, int | str) and value is not True else ""
            yield f"{_WORDS.get(field.name, field.name)}{shown} of {where} has no equivalent"
