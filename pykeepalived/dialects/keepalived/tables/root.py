"""The words at the top level of a file."""

# fmt: off

from __future__ import annotations

from typing import Any, Final

from pykeepalived.diagnostics import ExitClass, Label
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.readers import UINT_MAX, Integer, Text
from pykeepalived.dialects.keepalived.rows import Repeat, Row, Table, block, entries, flag, maybe, need, value
from pykeepalived.dialects.keepalived.tables.addresses import STATIC_ADDRESS
from pykeepalived.dialects.keepalived.tables.bfd import BFD_INSTANCE
from pykeepalived.dialects.keepalived.tables.common import NAME
from pykeepalived.dialects.keepalived.tables.global_vrrp import GLOBAL_DEFS
from pykeepalived.dialects.keepalived.tables.lvs import GROUP_ENTRY, SERVER_HEADER, SSL, VIRTUAL_SERVER
from pykeepalived.dialects.keepalived.tables.routes import STATIC_ROUTE
from pykeepalived.dialects.keepalived.tables.rules import STATIC_RULE, has_action
from pykeepalived.dialects.keepalived.tables.trackers import (
    LINKBEAT,
    TRACK_FILE,
    TRACK_GROUP,
    UP_DOWN_DELAYS,
    VRRP_SCRIPT,
    VRRP_TRACK_FILE,
    VRRP_TRACK_PROCESS,
)
from pykeepalived.dialects.keepalived.tables.vrrp import GARP_GROUP, VRRP_INSTANCE, VRRP_SYNC_GROUP
from pykeepalived.syntax import Statement
from pykeepalived.units import SECOND_US

#: Blocks that -t accepts twice under one name.
_TWICE: Final = frozenset({"track_file", "vrrp_track_file", "vrrp_track_process"})


def _unique(what: str, *, counts: bool = True) -> Any:
    """A block whose name is taken already is left out; the first one stays."""

    def check(context: Context, statement: Statement, draft: Draft, inner: Any) -> Any:
        names: dict[str, Statement] = draft.values.setdefault(f"names of {what}", {})
        name = inner.name
        first = names.setdefault(name, statement)
        if first is statement:
            return inner
        context.error("duplicate-name", f"{what} `{name}` is there already, this block is left out", statement, 1,
                      secondary=(Label(first.span(1), "the first one"),),
                      # keepalived takes the second one without a word.
                      exit_class=ExitClass.GENERAL if counts else ExitClass.NONE)
        return None

    return check


def _replaced(context: Context, statement: Statement, draft: Draft, inner: Any) -> Any:
    if "ssl" in draft.values:
        context.warning("given-twice", "`SSL` is given twice, the last one counts", statement, 0,
                        secondary=(Label(draft.where["ssl"].span(0), "first given here"),))
    return inner


def _merged(context: Context, statement: Statement, draft: Draft, inner: Any) -> Any:
    """Several global_defs add up; the last value of a word counts."""
    del context, statement
    known = draft.get("globals")
    if known is None:
        return inner
    for field, found in inner.values.items():
        taken = [*known.get(field, []), *found] if field == "recipients" else found
        known.put(field, taken, inner.where[field])
    return known


def _named(name: str, table: Table, what: str, help: str, field: str, **more: Any) -> Row:
    longest = 31 if name == "bfd_instance" else None
    after = _unique(what, counts=name not in _TWICE)
    return block(name, table, Text("NAME", longest), field=field, after=after, help=help, **more)


ROOT: Final = Table(
    "(root)",
    block("global_defs", GLOBAL_DEFS, field="globals", repeat=Repeat.LAST, after=_merged, help="daemon-wide settings"),
    flag("linkbeat_use_polling", field="poll_all_links", help="poll the state of links"),
    value("net_namespace", NAME, field="net_namespace", soft=True,
          help="run in this network namespace"),
    value("net_namespace_ipvs", maybe(NAME), field="net_namespace_ipvs", help="network namespace of IPVS"),
    flag("namespace_with_ipsets", field="namespace_with_ipsets", help="use ipsets in a namespace"),
    flag("use_pid_dir", field="use_pid_dir", help="pid files in a directory of their own"),
    value("instance", NAME, field="instance", soft=True, help="name of this copy of the daemon"),
    value("child_wait_time", Integer(0, UINT_MAX, "seconds", scale=SECOND_US), field="child_wait_time_us", default="5",
          help="patience with children at stop"),
    _named("track_group", TRACK_GROUP, "track_group", "instances that static entries fault", "track_groups", soft=True),
    entries("static_ipaddress", STATIC_ADDRESS, field="static_addresses", repeat=Repeat.APPEND,
            help="addresses that are there while the daemon runs"),
    entries("static_routes", STATIC_ROUTE, field="static_routes", repeat=Repeat.APPEND,
            help="routes that are there while the daemon runs"),
    entries("static_rules", STATIC_RULE, field="static_rules", repeat=Repeat.APPEND, after=has_action,
            help="rules that are there while the daemon runs"),
    _named("vrrp_sync_group", VRRP_SYNC_GROUP, "sync group", "instances that change state together", "sync_groups",
           soft=True),
    block("garp_group", GARP_GROUP, field="garp_groups", help="interfaces that share GARP limits"),
    entries("linkbeat_interfaces", LINKBEAT, field="linkbeat", repeat=Repeat.APPEND,
            help="interfaces whose link is polled"),
    _named("vrrp_instance", VRRP_INSTANCE, "instance", "one virtual router", "instances", soft=True),
    _named("vrrp_script", VRRP_SCRIPT, "vrrp_script", "a periodic script whose result counts", "scripts"),
    _named("vrrp_track_process", VRRP_TRACK_PROCESS, "vrrp_track_process", "processes whose number counts",
           "track_processes"),
    _named("track_file", TRACK_FILE, "track_file", "a file whose content counts", "track_files"),
    _named("vrrp_track_file", VRRP_TRACK_FILE, "track_file", "older name of track_file", "track_files",
           replaced_by="track_file", quiet=True),
    entries("interface_up_down_delays", UP_DOWN_DELAYS, field="up_down_delays", repeat=Repeat.APPEND,
            help="how long a change of an interface must last"),
    _named("bfd_instance", BFD_INSTANCE, "bfd_instance", "a BFD session", "bfd_instances"),
    block("SSL", SSL, field="ssl", repeat=Repeat.LAST, after=_replaced,
          help="client certificate of SSL_GET"),
    entries("virtual_server_group", GROUP_ENTRY, arguments=(need(NAME),), required=1, field="groups",
            repeat=Repeat.APPEND, after=_unique("virtual_server_group", counts=False),
            help="addresses and marks of one service"),
    block("virtual_server", VIRTUAL_SERVER, *SERVER_HEADER, field="virtual_servers", repeat=Repeat.APPEND,
          help="one virtual service"),
)
