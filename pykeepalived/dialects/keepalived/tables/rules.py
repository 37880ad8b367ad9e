"""Lines of virtual_rules and static_rules: iproute2's grammar."""

# fmt: off

from __future__ import annotations

from typing import Any, Final

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.readers import Bad, Grammar, Integer, Prefix, Reader, Text
from pykeepalived.dialects.keepalived.rows import Options, Row, flag, value
from pykeepalived.dialects.keepalived.tables.common import BYTE, INTERFACE, NAME, UNSIGNED
from pykeepalived.dialects.keepalived.tables.routes import REALMS, TABLE, TOS
from pykeepalived.model import IpPrefix
from pykeepalived.syntax import Statement
from pykeepalived.syntax.grammar import pp

_EVERYTHING: Final = IpPrefix("0.0.0.0", 0)
SELECTOR: Final = Prefix(
    {"all": _EVERYTHING, "any": _EVERYTHING, "default": _EVERYTHING, "default6": IpPrefix("::", 0)}
)
_MARK: Final = r"(?:0[xX][0-9A-Fa-f]{1,8}|\d{1,10})"
FWMARK: Final = Grammar("MARK[/MASK]", lambda: pp.Regex(rf"{_MARK}(?:/{_MARK})?"))


class Range(Reader):
    """LOW-HIGH inside a range."""

    def __init__(self, high: int, what: str) -> None:
        super().__init__()
        self.high = high
        self.what = what
        self.shows = "LOW-HIGH"

    def parse(self, text: str) -> tuple[int, int]:
        low, dash, high = text.partition("-")
        if not dash and low.isdigit():
            # keepalived rejects the single number: keepalived-behaviour 16 number 7.
            raise Bad("not-a-range", f"`{text}` is no range of {self.what}", help=f"write `{text}-{text}`")
        digits = text.isascii() and low.isdigit() and high.isdigit() and len(text) <= 24
        if not digits or max(int(low), int(high)) > self.high:
            raise Bad("not-a-range", f"`{text}` is no range of {self.what} inside 0..{self.high}")
        return int(low), int(high)


PORTS: Final = Range(65_535, "ports")
#: keepalived hands any number to the kernel.
_PREFIX_LENGTH: Final = Integer(0, 2**31 - 1, "length")


def _rows(static: bool) -> tuple[Row, ...]:
    last = (value("track_group", NAME, help="group that the loss of the interface faults"),) if static else ()
    return (
        flag("inet", help="an IPv4 rule"), flag("inet6", help="an IPv6 rule"),
        flag("not", help="invert the match"),
        value("from", SELECTOR, help="source"),
        value("to", SELECTOR, help="destination"),
        value("table", TABLE, help="look up this table"),
        value("lookup", TABLE, field="table", same_as="table", help="same as table"),
        value("preference", UNSIGNED, default="counts down", help="priority of the rule"),
        value("order", UNSIGNED, field="preference", same_as="preference", help="same as preference"),
        value("priority", UNSIGNED, field="preference", same_as="preference", help="same as preference"),
        value("tos", TOS, help="type of service"),
        value("dsfield", TOS, same_as="tos", help="same as tos"),
        value("fwmark", FWMARK, help="firewall mark"),
        value("realms", REALMS, help="realm"),
        value("suppress_prefixlength", _PREFIX_LENGTH, help="ignore results with no longer prefix"),
        value("sup_pl", _PREFIX_LENGTH, field="suppress_prefixlength", same_as="suppress_prefixlength",
              help="same as suppress_prefixlength"),
        value("suppress_ifgroup", NAME, help="ignore results over this interface group"),
        value("sup_group", NAME, same_as="suppress_ifgroup", help="same as suppress_ifgroup"),
        value("dev", INTERFACE, help="incoming interface"),
        value("iif", INTERFACE, same_as="dev", help="same as dev"),
        value("oif", INTERFACE, help="outgoing interface"),
        value("tunnel-id", Integer(0, 2**64 - 1), help="tunnel key"),
        value("uidrange", Range(4_294_967_295, "user ids"), help="user ids"),
        flag("l3mdev", field="action", help="look up the table of the VRF"),
        value("protocol", BYTE, default="keepalived", help="who made the rule"),
        value("ipproto", Text("NAME"), help="IP protocol"),
        value("sport", PORTS, help="source ports"),
        value("dport", PORTS, help="destination ports"),
        flag("no_track", help="its loss changes nothing"),
        flag("type", help="stands before an action"),
        value("goto", UNSIGNED, field="action", help="jump to the rule of this preference"),
        flag("nop", field="action", help="do nothing"),
        flag("blackhole", field="action", help="drop"),
        flag("unreachable", field="action", help="refuse as unreachable"),
        flag("prohibit", field="action", help="refuse as prohibited"),
        *last,
    )


def has_action(context: Context, statement: Statement, draft: Draft, found: Any) -> Any:
    """Rules without an action are left out."""
    del statement, draft
    kept = []
    for entry in found:
        if "table" in entry.values or "action" in entry.values:
            kept.append(entry)
        else:
            context.error("missing-action", "the rule has no action, it is left out", entry.statement,
                          help="write `table NAME`")
    return kept


VIRTUAL_RULE: Final = Options("vrrp_instance.virtual_rules", *_rows(static=False), soft=False)
STATIC_RULE: Final = Options("static_rules", *_rows(static=True), soft=False)
