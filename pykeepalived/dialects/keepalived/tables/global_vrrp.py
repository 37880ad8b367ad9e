"""global_defs: VRRP defaults, packet filters, priorities of the processes, buffers."""

# fmt: off

from __future__ import annotations

from typing import Any, Final

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.readers import (
    UINT_MAX,
    Bad,
    Choice,
    Duration,
    Integer,
    Reader,
    Text,
)
from pykeepalived.dialects.keepalived.rows import Row, Table, flag, many, maybe, switch, value
from pykeepalived.dialects.keepalived.tables.common import (
    BYTES,
    COUNT0,
    CPU,
    INTERFACE,
    MULTICAST4,
    MULTICAST6,
    NAME,
    NICE,
    REAL_TIME_PRIORITY,
    RTTIME,
    WHOLE_SECONDS,
)
from pykeepalived.dialects.keepalived.tables.global_defs import (
    FILE_ROWS,
    GENERAL_ROWS,
    JOURNAL_ROWS,
    SNMP_ROWS,
    WEBHOOK_ROWS,
)
from pykeepalived.syntax import Statement
from pykeepalived.units import SECOND_US

DAY_S: Final = 86_400
_DELAY: Final = Duration(1_000, UINT_MAX * 1_000, places=6)
_CHAIN: Final = Text("CHAIN", 29)
_SET: Final = Text("SET", 31)


class BufferPolicy(Reader):
    """MTU, ADVERT (any case) or a number of bytes."""

    shows = "MTU|ADVERT|BYTES"

    def __init__(self) -> None:
        super().__init__()
        self.names = Choice(("MTU", "ADVERT"), any_case=True)

    def parse(self, text: str) -> Any:
        if self.names.accepts(text):
            return self.names(text)
        if text[:1].isdigit():
            return BYTES(text)
        raise Bad("unknown-value", f"unknown buffer policy `{text}`", help=f"one of: {self.shows}")


class ExtraInterface(Reader):
    """The word `all`, in front of a number of seconds."""

    shows = "all"

    def parse(self, text: str) -> bool:
        if text != "all":
            raise Bad("unknown-value", f"unknown word `{text}`")
        return True


def extra_interface(low: int, name: str, **more: Any) -> Row:
    seconds = Integer(low, DAY_S, "seconds", scale=SECOND_US)
    more.setdefault("help", "repeat GARP from the base interface of virtual MACs with this period")
    return value(name, maybe(ExtraInterface()), seconds, field="garp_extra_if", soft=True, **more)


def at_least_one(context: Context, statement: Statement, draft: Draft, count: Any) -> Any:
    del draft
    if count == 0:
        context.error("number-out-of-range", "0 makes no sense here, 1 is taken", statement, 1)
        return 1
    return count


def _link_local_group(context: Context, statement: Statement, draft: Draft, address: Any) -> Any:
    del draft
    if not address.startswith("ff02:"):
        context.warning("not-link-local", f"`{address}` is no link-local group", statement, 1)
    return address


VRRP_ROWS: Final[tuple[Row, ...]] = (
    value("default_interface", INTERFACE, field="default_interface", default="eth0",
          soft=True, help="interface of static addresses without one"),
    flag("disable_local_igmp", field="disable_local_igmp", help="no IGMP reports for link-local groups"),
    flag("v3_checksum_as_v2", field="v3_checksum_as_v2", since="2.4", help="VRRPv3 checksums without pseudo header"),
    value("vrrp_mcast_group4", MULTICAST4, field="multicast_group4", default="224.0.0.18",
          help="destination of IPv4 adverts"),
    value("vrrp_mcast_group6", MULTICAST6, field="multicast_group6", default="ff02::12", after=_link_local_group,
          help="destination of IPv6 adverts"),
    value("vrrp_garp_master_delay", WHOLE_SECONDS, field="garp_delay_us", default="5",
          help="time to the second round of GARP; 0: none"),
    value("vrrp_garp_master_repeat", COUNT0, field="garp_repeat", default="5", after=at_least_one,
          help="GARPs per address and round"),
    value("vrrp_garp_master_refresh", WHOLE_SECONDS, field="garp_refresh_us", default="0",
          help="period of GARP while MASTER; 0: none"),
    value("vrrp_garp_master_refresh_repeat", COUNT0, field="garp_refresh_repeat", default="1", after=at_least_one,
          help="GARPs per address and refresh"),
    value("vrrp_garp_lower_prio_delay", WHOLE_SECONDS, field="garp_lower_prio_delay_us",
          default="vrrp_garp_master_delay", help="time to the second round after a lower advert"),
    value("vrrp_garp_lower_prio_repeat", COUNT0, field="garp_lower_prio_repeat", default="vrrp_garp_master_repeat",
          help="GARPs after a lower advert; 0: none"),
    value("vrrp_down_timer_adverts", Integer(1, 100), field="down_timer_adverts", default="3",
          help="missed adverts before the master counts as down"),
    value("vrrp_garp_interval", Duration(1, 1000 * SECOND_US), field="garp_interval_us", default="0",
          help="least gap between GARPs of one interface"),
    value("vrrp_gna_interval", Duration(1, 1000 * SECOND_US), field="gna_interval_us", default="0",
          help="least gap between unsolicited NAs of one interface"),
    switch("vrrp_min_garp", field="min_garp", help="one GARP and no repeats, where nothing else is set"),
    extra_interface(1, "vrrp_garp_extra_if"),
    extra_interface(1, "vrrp_vmac_garp_intvl", replaced_by="vrrp_garp_extra_if", help="older spelling"),
    switch("vrrp_lower_prio_no_advert", field="lower_prio_no_advert", help="default of lower_prio_no_advert"),
    switch("vrrp_higher_prio_send_advert", field="higher_prio_send_advert", help="default of higher_prio_send_advert"),
    value("vrrp_version", Integer(2, 3), field="version", default="2", help="default VRRP version of IPv4 instances"),
    flag("vrrp_check_unicast_src", field="check_unicast_src", help="default of check_unicast_src"),
    switch("vrrp_skip_check_adv_addr", field="skip_check_adv_addr", help="default of skip_check_adv_addr"),
    switch("vrrp_strict", field="strict", help="default of strict_mode"),
    switch("vrrp_notify_priority_changes", field="notify_priority_changes",
           help="default of notify_priority_changes"),
    value("vrrp_startup_delay", _DELAY, field="startup_delay_us", default="0", help="wait before VRRP runs at start"),
    value("vrrp_delay_after_boot", _DELAY, field="delay_after_boot_us", default="0", since="2.4",
          help="wait until this long after the boot"),
    flag("log_unknown_vrids", field="log_unknown_vrids", help="log adverts of VRIDs that are not configured"),
    switch("vrrp_owner_ignore_adverts", field="owner_ignore_adverts", since="2.4",
           help="default of owner_ignore_adverts"),
    value("vmac_prefix", NAME, field="vmac_prefix", default="vrrp", help="prefix of names of virtual MAC interfaces"),
    value("vmac_addr_prefix", NAME, field="vmac_addr_prefix", default="vmac_prefix", help="same, for use_vmac_addr"),
)

READY_ROWS: Final[tuple[Row, ...]] = (
    value("vrrp_ready_gate", maybe(_DELAY), field="ready_gate", default="45", ours=True,
          help="start when the interface is ready, or after this time"),
)

FIREWALL_ROWS: Final[tuple[Row, ...]] = (
    value("vrrp_iptables", maybe(_CHAIN), maybe(_CHAIN), field="vrrp_iptables",
          default="INPUT OUTPUT",
          replaced_by="nftables", help="block packets to addresses of no_accept instances by iptables"),
    value("vrrp_ipsets", *(maybe(_SET) for _ in range(6)), field="vrrp_ipsets",
          replaced_by="nftables", help="names of sets for vrrp_iptables"),
    value("nftables", maybe(NAME), field="nftables", default="keepalived", help="the same by an nftables table"),
    value("nftables_priority", Integer(-2**31, 2**31 - 1), field="nftables_priority", default="-1",
          help="its priority"),
    flag("nftables_ifindex", field="nftables_ifindex", help="match interfaces by index"),
)


def _process_rows(name: str) -> tuple[Row, ...]:
    """The five words that each child has."""
    return (
        value(f"{name}_priority", NICE, field=f"{name}_priority", default="0", soft=True,
              help=f"nice value of the {name} child"),
        flag(f"{name}_no_swap", field=f"{name}_no_swap", help=f"lock the memory of the {name} child"),
        value(f"{name}_rt_priority", REAL_TIME_PRIORITY, field=f"{name}_rt_priority", soft=True,
              help=f"real-time priority of the {name} child"),
        value(f"{name}_cpu_affinity", many(CPU), field=f"{name}_cpu_affinity", soft=True,
              help=f"CPUs of the {name} child"),
        value(f"{name}_rlimit_rttime", RTTIME, field=f"{name}_rlimit_rttime", default="10000",
              help=f"limit of real-time CPU use of the {name} child"),
        value(f"{name}_rlimit_rtime", RTTIME, field=f"{name}_rlimit_rttime",
              replaced_by=f"{name}_rlimit_rttime", quiet=True,
              help="older spelling"),
    )  # fmt: skip


PROCESS_ROWS: Final[tuple[Row, ...]] = (
    *_process_rows("vrrp"),
    *_process_rows("checker"),
    *_process_rows("bfd"),
    value("max_auto_priority", maybe(Integer(-1, 99)), field="max_auto_priority", default="0",
          soft=True, help="ceiling to which a late child may raise its priority"),
    value("min_auto_priority_delay", Integer(1, 10_000_000, "microseconds"), field="min_auto_priority_delay",
          default="1000000",
          soft=True, help="how late a timer must be before that"),
)

BUFFER_ROWS: Final[tuple[Row, ...]] = (
    *(
        row
        for name, what in (
            ("vrrp_netlink_cmd", "VRRP netlink command"),
            ("vrrp_netlink_monitor", "VRRP netlink monitor"),
            ("process_monitor", "process event"),
            ("lvs_netlink_cmd", "checker netlink command"),
            ("lvs_netlink_monitor", "checker netlink monitor"),
        )
        for row in (
            value(f"{name}_rcv_bufs", BYTES, field=f"{name}_rcv_bufs", soft=True,
                  help=f"receive buffer of the {what} socket"),
            switch(f"{name}_rcv_bufs_force", field=f"{name}_rcv_bufs_force", help="set it beyond the system's limit"),
        )
    ),
    value("vrrp_rx_bufs_policy", BufferPolicy(), field="rx_bufs_policy", soft=True,
          help="how receive buffers of adverts are sized"),
    value("vrrp_rx_bufs_multiplier", Integer(1, UINT_MAX), field="rx_bufs_multiplier", default="3",
          soft=True, help="packets that such a buffer holds"),
)

GLOBAL_DEFS: Final = Table(
    "global_defs",
    *GENERAL_ROWS, *SNMP_ROWS, *JOURNAL_ROWS, *WEBHOOK_ROWS, *FILE_ROWS, *VRRP_ROWS,
    *READY_ROWS, *FIREWALL_ROWS, *PROCESS_ROWS, *BUFFER_ROWS,
)  # fmt: skip
