"""virtual_server, real_server, virtual_server_group, SSL."""

# fmt: off

from __future__ import annotations

import socket
from typing import Any, Final

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.readers import (
    INT_MAX,
    UINT_MAX,
    Bad,
    Choice,
    Duration,
    Integer,
    Reader,
    Text,
    canonical_address,
)
from pykeepalived.dialects.keepalived.rows import (
    Options,
    Repeat,
    Row,
    Table,
    block,
    flag,
    maybe,
    options,
    script,
    switch,
    value,
)
from pykeepalived.dialects.keepalived.tables.checks import CHECKER_ROWS, timing_rows
from pykeepalived.dialects.keepalived.tables.common import ADDRESS, NAME, PATH, PORT, SERVICE_PORT, STRING, UNSIGNED
from pykeepalived.model import Family, ForwardingMethod, Protocol, TunnelType
from pykeepalived.syntax import Statement
from pykeepalived.units import SECOND_US

SCHEDULERS: Final = (
    "rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos",
)
#: Ours, for the nftables dataplane.
_OWN_SCHEDULERS: Final = ("random",)

FORWARDING: Final = Options(
    "virtual_server.lb_kind",
    value("type", Choice({"ipip": TunnelType.IPIP, "gue": TunnelType.GUE, "gre": TunnelType.GRE}, what="tunnel type"),
          field="tunnel_type", default="ipip", help="kind of tunnel"),
    value("port", PORT, field="tunnel_port", help="UDP port of a gue tunnel"),
    flag("nocsum", field="checksum", constant="nocsum", help="no tunnel checksum"),
    flag("csum", field="checksum", constant="csum", help="tunnel checksum"),
    flag("remcsum", field="checksum", constant="remcsum", help="remote checksum offload"),
    slots=(("method", Choice({"NAT": ForwardingMethod.NAT, "DR": ForwardingMethod.DR, "TUN": ForwardingMethod.TUN},
                             what="forwarding method")),),
    need="method",
)


class Granularity(Reader):
    """An IPv4 netmask or an IPv6 prefix length, as a prefix length."""

    shows = "NETMASK|1..128"

    def __init__(self) -> None:
        super().__init__()
        self._length = Integer(0, UINT_MAX, "prefix length")

    def parse(self, text: str) -> tuple[int, int]:
        """(family as 4 or 6, prefix length)."""
        if "." not in text:
            return 6, int(self._length(text))
        address = canonical_address(text)
        if address is None:
            raise Bad("bad-netmask", f"`{text}` is no netmask")
        bits = "".join(f"{int(part):08b}" for part in address.split("."))
        length = max(1, bits.count("1"))
        if "01" in bits or "1" not in bits:
            message = f"`{text}` is no netmask, {length} bits are taken"
            raise Bad("bad-netmask", message, value=(4, length), counts=False)
        return 4, length


class ServerAddress(Reader):
    """First word behind virtual_server."""

    shows = "ADDRESS [PORT]|fwmark NUMBER|group NAME"

    def parse(self, text: str) -> str:
        return text


def _forwarding(context: Context, statement: Statement, draft: Draft, entry: Any) -> Any:
    """The rules between tunnel words (keepalived-behaviour 10.1)."""
    del draft
    tunnel_type = entry.get("tunnel_type", TunnelType.IPIP)
    tunnelled = entry.get("method") is ForwardingMethod.TUN
    if not tunnelled and len(entry.values) > 1:
        context.warning("tunnel-options", "tunnel words belong to TUN only and are not looked at", statement,
                        exit_class=ExitClass.NONE)
        return entry
    if tunnel_type is TunnelType.GUE and "tunnel_port" not in entry.values:
        context.error("tunnel-options", "a gue tunnel needs `port`", statement)
        return None
    if tunnel_type is not TunnelType.GUE and "tunnel_port" in entry.values:
        context.error("tunnel-options", "`port` belongs to gue tunnels only", statement, entry.places["tunnel_port"])
    checksum = entry.get("checksum", "nocsum")
    refused = {TunnelType.IPIP: ("csum", "remcsum"), TunnelType.GRE: ("remcsum",), TunnelType.GUE: ()}[tunnel_type]
    if tunnelled and checksum in refused:
        context.error("tunnel-options", f"`{checksum}` does not go with this tunnel", statement,
                      entry.places["checksum"])
        entry.values.pop("checksum")
    return entry


def _forwarding_row(name: str, help: str, **more: Any) -> Row:
    more.setdefault("field", "forwarding")
    return options(name, FORWARDING, after=_forwarding, help=help, **more)


def _sorry(context: Context, statement: Statement, draft: Draft, values: Any) -> Any:
    if "sorry_server" in draft.values:
        context.warning("given-twice", "`sorry_server` is given twice, the last one counts", statement, 0,
                        exit_class=ExitClass.NONE)
    return values


def _after_sorry(context: Context, statement: Statement, draft: Draft, entry: Any) -> Any:
    if "sorry_server" not in draft.values:
        context.error("order", f"`{statement.keyword}` must stand behind `sorry_server`", statement, 0)
        return None
    return entry


def _hash_flag(name: str, scheduler: str, bit: int) -> Row:
    def check(context: Context, statement: Statement, draft: Draft, flag_value: Any) -> Any:
        if draft.get("scheduler") != scheduler:
            context.error("order", f"`{name}` must stand behind `lb_algo {scheduler}`", statement, 0)
            return None
        return draft.get("scheduler_flags", 0) | flag_value

    return flag(name, field="scheduler_flags", constant=bit, after=check, help=f"flag of the scheduler {scheduler}")


def _hashed(context: Context, statement: Statement, draft: Draft, taken: Any) -> Any:
    if draft.get("scheduler") == "sh":
        return taken
    context.error("order", "`hashed` must stand behind `lb_algo sh`", statement, 0)
    return None


def _plain_flag(name: str, bit: int) -> Row:
    def check(context: Context, statement: Statement, draft: Draft, flag_value: Any) -> Any:
        del context, statement
        return draft.get("scheduler_flags", 0) | flag_value

    return flag(name, field="scheduler_flags", constant=bit, after=check, help=f"scheduler flag {name[-1]}")


_FLAP_SECONDS: Final = Duration(SECOND_US, 86_400 * SECOND_US)
_WEIGHT: Final = Integer(0, INT_MAX)

_RECOVERY: Final = (
    value("slow_start", Duration(0, 86_400 * SECOND_US), field="slow_start_us", default="0", ours=True,
          help="a server that comes back gets its weight in even steps over this time"),
    value("flap_limit", Integer(0, 1000, "times"), maybe(_FLAP_SECONDS), maybe(_FLAP_SECONDS), field="flap_limit",
          default="0", ours=True,
          help="so many times down within SECONDS (60): out until the checks are good for HOLD seconds (60)"),
)

REAL_SERVER: Final = Table(
    "virtual_server.real_server",
    value("weight", _WEIGHT, field="weight", default="of the virtual server, 1", help="share of connections"),
    _forwarding_row("lvs_method", "how packets reach this server", default="lb_kind"),
    value("uthreshold", UNSIGNED, field="upper_threshold", default="0", help="upper connection limit"),
    value("lthreshold", UNSIGNED, field="lower_threshold", default="0", help="lower connection limit"),
    switch("inhibit_on_failure", field="inhibit_on_failure", help="weight 0 instead of removal"),
    script("notify_up", field="notify_up", help="run when the server comes up"),
    script("notify_down", field="notify_down", help="run when the server goes down"),
    switch("alpha", field="alpha", help="starts down"),
    *timing_rows(checker=False),
    switch("smtp_alert", field="smtp_alert", help="mail on up and down"),
    value("virtualhost", NAME, field="virtualhost", soft=True, help="default Host header of its checks"),
    value("snmp_name", NAME, field="snmp_name", soft=True, help="name in SNMP"),
    *_RECOVERY,
    *CHECKER_ROWS,
)

_SCHEDULER: Final = Choice((*SCHEDULERS, *_OWN_SCHEDULERS), what="scheduler")

VIRTUAL_SERVER: Final = Table(
    "virtual_server",
    value("ip_family", Choice({"inet": Family.INET, "inet6": Family.INET6}), field="family", default="from addresses",
          help="family of fwmark and group services"),
    *timing_rows(checker=False),
    flag("inhibit_on_failure", field="inhibit_on_failure", help="default of its real servers"),
    value("lb_algo", _SCHEDULER, field="scheduler", default="wlc",
          help="scheduler; `random` (by weight) needs `lvs_dataplane nftables`"),
    value("lvs_sched", _SCHEDULER, field="scheduler", default="wlc", same_as="lb_algo",
          help="same as lb_algo"),
    flag("hashed", field="hashed", after=_hashed,
         help="accepted without effect, as in the original"),
    flag("ops", field="one_packet", help="one packet is one connection, UDP"),
    _plain_flag("flag-1", 1), _plain_flag("flag-2", 2), _plain_flag("flag-3", 4),
    _hash_flag("sh-port", "sh", 2), _hash_flag("sh-fallback", "sh", 1),
    _hash_flag("mh-port", "mh", 2), _hash_flag("mh-fallback", "mh", 1),
    _forwarding_row("lb_kind", "how packets reach real servers", default="NAT"),
    _forwarding_row("lvs_method", "same as lb_kind", same_as="lb_kind", default="NAT"),
    value("persistence_engine", Text("NAME", 15), field="persistence_engine", help="engine, for example sip"),
    value("persistence_timeout", maybe(Integer(1, 2_678_400, "seconds")), field="persistence_timeout_s",
          default="off, 360 without number", help="clients stay with their server for this time"),
    value("persistence_granularity", Granularity(), field="persistence_granularity", default="one client",
          help="clients that count as one"),
    value("protocol", Choice({"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}, any_case=True,
                             what="protocol"), field="protocol", default="UDP", help="layer-4 protocol"),
    flag("ha_suspend", field="ha_suspend", help="check only while the address is on this host"),
    switch("smtp_alert", field="smtp_alert", help="mail on gain and loss of quorum"),
    value("virtualhost", NAME, field="virtualhost", soft=True, help="default Host header of checks"),
    value("snmp_name", NAME, field="snmp_name", soft=True, help="name in SNMP"),
    *_RECOVERY,
    flag("alpha", field="alpha", help="real servers start down"),
    flag("omega", field="omega", help="down notifies at stop"),
    script("quorum_up", field="quorum_up", help="run when quorum is gained"),
    script("quorum_down", field="quorum_down", help="run when quorum is lost"),
    value("quorum", Integer(1, UINT_MAX), field="quorum", default="1", help="least weight of living servers"),
    value("hysteresis", UNSIGNED, field="hysteresis", default="0", help="distance between gain and loss of quorum"),
    value("weight", Integer(1, INT_MAX), field="weight", default="1", help="default weight of real servers"),
    value("sorry_server", ADDRESS, maybe(SERVICE_PORT), field="sorry_server", after=_sorry,
          help="serves while no quorum"),
    flag("sorry_server_inhibit", field="sorry_inhibit", after=_after_sorry, help="keep it in the table with weight 0"),
    options("sorry_server_lvs_method", FORWARDING, field="sorry_forwarding", after=_after_sorry, default="lb_kind",
            help="how packets reach it"),
    block("real_server", REAL_SERVER, ADDRESS, maybe(SERVICE_PORT), field="real_servers", repeat=Repeat.APPEND,
          help="one destination"),
)


class AddressRange(Reader):
    """ADDRESS, ADDRESS-ADDRESS or ADDRESS-LAST, LAST a byte (decimal) or 16-bit word (hexadecimal, IPv6)."""

    shows = "ADDRESS[-LAST]"

    def parse(self, text: str) -> tuple[str, str]:
        head, dash, tail = text.partition("-")
        first = canonical_address(head)
        if first is None:
            raise Bad("bad-address", f"`{head}` is no IP address")
        if not dash:
            return first, first
        last = canonical_address(tail) or self._short_last(first, tail)
        if last is None or (":" in last) != (":" in first):
            raise Bad("bad-range", f"`{text}` is no range of addresses")
        low, high = _packed(first), _packed(last)
        width = 2 if ":" in first else 1
        if low[:-width] != high[:-width] or low > high:
            raise Bad("bad-range", f"the range `{text}` must rise inside its last part")
        return first, last

    @staticmethod
    def _short_last(first: str, tail: str) -> str | None:
        if ":" in first:
            if not 0 < len(tail) <= 4 or any(char not in "0123456789abcdefABCDEF" for char in tail):
                return None
            return _from_packed(_packed(first)[:-2] + int(tail, 16).to_bytes(2, "big"))
        if not tail.isascii() or not tail.isdigit() or len(tail) > 3 or int(tail) > 255:
            return None
        return canonical_address(first.rpartition(".")[0] + "." + str(int(tail)))


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _from_packed(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, packed)


GROUP_ENTRY: Final = Options(
    "virtual_server_group",
    value("fwmark", UNSIGNED, field="fwmark", help="a firewall mark"),
    flag("inet", field="family", constant=Family.INET, help="IPv4 packets of the mark"),
    flag("inet6", field="family", constant=Family.INET6, help="IPv6 packets of the mark"),
    slots=(("range", AddressRange()), ("port", PORT)),
    soft=False,
)

SSL: Final = Table(
    "SSL",
    value("password", STRING, field="password", soft=True, help="password of the key"),
    value("ca", PATH, field="ca", soft=True, help="certificates of authorities"),
    value("certificate", PATH, field="certificate", soft=True, help="client certificate"),
    value("key", PATH, field="key", soft=True, help="its key"),
)

#: The first words of `virtual_server` and what may follow.
SERVER_HEADER: Final = (ServerAddress(), maybe(STRING))
