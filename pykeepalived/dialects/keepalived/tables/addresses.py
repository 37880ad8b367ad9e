"""Lines of virtual_ipaddress, virtual_ipaddress_excluded and static_ipaddress."""

from __future__ import annotations

from typing import Final

from pykeepalived.dialects.keepalived.readers import Bad, Choice, Integer, Prefix, Reader, Text, canonical_address
from pykeepalived.dialects.keepalived.rows import Options, Row, flag, value
from pykeepalived.dialects.keepalived.tables.common import INTERFACE, NAME
from pykeepalived.model import IpPrefix

#: Scopes by name (the fixed names of rt_scopes).
SCOPES: Final = {"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
_ALL4: Final = IpPrefix("0.0.0.0", 0)

VIP: Final = Prefix({"default": _ALL4, "any": _ALL4, "all": _ALL4, "default6": IpPrefix("::", 0)})


class Scope(Reader):
    """A scope by name or number."""

    shows = "global|site|link|host|nowhere|0..255"

    def __init__(self) -> None:
        super().__init__()
        self._number = Integer(0, 255)
        self._name = Choice(SCOPES, what="scope")

    def parse(self, text: str) -> int:
        return int(self._number(text) if text[:1].isdigit() else self._name(text))


class Broadcast(Reader):
    """An address, `+` for all host bits one, `-` for all host bits zero."""

    shows = "ADDRESS|+|-"

    def parse(self, text: str) -> str:
        if text in ("+", "-"):
            return text
        address = canonical_address(text)
        if address is None or ":" in address:
            raise Bad("bad-address", f"`{text}` is no IPv4 address, `+` or `-`")
        return address


class PeerAddress(Prefix):
    """An address; a length is refused, as keepalived 2.4.3 does (the manual has it)."""

    shows = "ADDRESS"

    def parse(self, text: str) -> IpPrefix:
        found = super().parse(text)
        if "/" in text:
            raise Bad(
                "bad-address", f"keepalived takes `{text}` for no address", help=f"write `{found.address}`", value=found
            )
        return found


class PreferredLife(Reader):
    """Seconds; `forever` is None in the model and therefore -1 here."""

    shows = "SECONDS|forever"

    def __init__(self) -> None:
        super().__init__()
        self._number = Integer(0, 4_294_967_295, "seconds")

    def parse(self, text: str) -> int:
        return -1 if text == "forever" else int(self._number(text))


def _rows(static: bool) -> tuple[Row, ...]:
    own = (
        value("track_group", NAME, field="track_group", help="group that the loss of dev faults")
        if static
        else flag("use_vmac", field="use_vmac", help="put the address on a virtual MAC of dev")
    )
    return (
        value("dev", INTERFACE, field="dev", default="interface of the instance", help="interface of the address"),
        value("scope", Scope(), field="scope", default="global", help="scope of the address"),
        value("broadcast", Broadcast(), field="broadcast", help="broadcast address"),
        value("brd", Broadcast(), field="broadcast", same_as="broadcast", help="short for broadcast"),
        value("label", Text("LABEL", 15), field="label", help="IPv4 label, interface:word"),
        value("peer", PeerAddress(), field="peer", help="other end of a point-to-point link"),
        flag("home", field="home", help="IPv6 home address"),
        flag("-nodad", field="dad", help="takes the default `nodad` away: duplicate address detection is done"),
        flag("mngtmpaddr", field="mngtmpaddr", help="template of temporary IPv6 addresses"),
        flag("noprefixroute", field="noprefixroute", help="no route for the prefix"),
        flag("autojoin", field="autojoin", help="join the multicast group"),
        flag("no_track", field="no_track", help="the state of dev does not fault the instance"),
        value("preferred_lft", PreferredLife(), field="preferred_lft_s", default="forever", help="preferred life time"),
        own,
    )


VIRTUAL_ADDRESS: Final = Options(
    "vrrp_instance.virtual_ipaddress", *_rows(static=False), slots=(("prefix", VIP),), need="prefix"
)
STATIC_ADDRESS: Final = Options("static_ipaddress", *_rows(static=True), slots=(("prefix", VIP),), need="prefix")
