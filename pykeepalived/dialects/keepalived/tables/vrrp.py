"""vrrp_instance, vrrp_sync_group and what stands around them."""

# fmt: off

from __future__ import annotations

from typing import Any, Final

from pykeepalived.diagnostics import Label
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.readers import INT_MAX, Bad, Choice, Duration, Grammar, Integer, Reader, Text
from pykeepalived.dialects.keepalived.rows import (
    Options,
    Repeat,
    Row,
    Table,
    block,
    entries,
    flag,
    maybe,
    options,
    script,
    switch,
    value,
    word_list,
)
from pykeepalived.dialects.keepalived.tables.addresses import VIRTUAL_ADDRESS
from pykeepalived.dialects.keepalived.tables.common import (
    ADDRESS,
    BYTE,
    BYTES,
    COUNT0,
    INTERFACE,
    MULTICAST,
    NAME,
    PREFIX,
    STRING,
    WHOLE_SECONDS,
)
from pykeepalived.dialects.keepalived.tables.global_vrrp import at_least_one, extra_interface
from pykeepalived.dialects.keepalived.tables.routes import VIRTUAL_ROUTE
from pykeepalived.dialects.keepalived.tables.rules import VIRTUAL_RULE, has_action
from pykeepalived.dialects.keepalived.tables.trackers import track_rows
from pykeepalived.model import VrrpState
from pykeepalived.syntax import Statement
from pykeepalived.syntax.grammar import pp
from pykeepalived.units import CENTISECOND_US, SECOND_US


def _mac(tokens: pp.ParseResults) -> bytes:
    return bytes(int(part, 16) for part in str(tokens[0]).split(":"))


MAC: Final = Grammar(
    "aa:bb:cc:dd:ee[:ff]",
    lambda: pp.Regex(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){4,5}").set_parse_action(_mac),
)


class VmacAddress(Reader):
    """A MAC address of five (the VRID follows) or six octets."""

    shows = MAC.shows

    def parse(self, text: str) -> bytes:
        address: bytes = MAC(text)
        if address[0] & 1:
            raise Bad("bad-mac", f"`{text}` is a multicast address")
        if address[:4] == b"\x00\x00\x5e\x00" and address[4] in (1, 2):
            raise Bad("bad-mac", f"`{text}` lies in the range that VRRP itself uses")
        return address


USE_VMAC: Final = Options(
    "vrrp_instance.use_vmac",
    value("name", INTERFACE, field="ifname", since="2.4", help="name of the macvlan interface"),
    flag("netlink_notify_msg", field="netlink_notify", since="2.4", help="let the kernel announce its addresses"),
    value("group", NAME, field="group", since="2.4", help="interface group"),
    slots=(("mac", VmacAddress()), ("ifname", INTERFACE)),
)
USE_IPVLAN: Final = Options(
    "vrrp_instance.use_ipvlan",
    value("name", INTERFACE, field="ifname", since="2.4", help="name of the ipvlan interface"),
    flag("bridge", field="ipvlan_flags", constant="bridge", help="ipvlan type bridge"),
    flag("private", field="ipvlan_flags", constant="private", help="ipvlan type private"),
    flag("vepa", field="ipvlan_flags", constant="vepa", help="ipvlan type vepa"),
    value("group", NAME, field="group", since="2.4", help="interface group"),
    slots=(("source", PREFIX), ("ifname", INTERFACE)),
)
UNICAST_PEER: Final = Options(
    "vrrp_instance.unicast_peer",
    value("min_ttl", BYTE, field="min_ttl", default="0", help="least TTL of its adverts"),
    value("max_ttl", BYTE, field="max_ttl", default="255", help="greatest TTL of its adverts"),
    slots=(("address", ADDRESS),),
    need="address",
)

_KEY_FORM: Final = Text("TEXT|hex:HEX|file:PATH")
AUTHENTICATION: Final = Table(
    "vrrp_instance.authentication",
    value("auth_type", Choice(("PASS", "AH"), what="authentication type"), field="auth_type",
          help="password in every advert, or AH"),
    value("auth_pass", STRING, field="auth_pass", help="password or key, 8 characters count"),
)
AUTH_HMAC: Final = Table(
    "vrrp_instance.auth_hmac",
    value("key", Integer(1, 255, "id"), _KEY_FORM, field="keys", repeat=Repeat.APPEND, since="2.4",
          help="one key of 32 to 64 bytes"),
    value("active_key", Integer(1, 255, "id"), field="active_key", since="2.4", help="the key of what we send"),
    value("time_window", Integer(1, 300, "seconds"), field="time_window_s", since="2.4",
          help="how far the sender's clock may be off"),
    value("anti_replay", Choice(("time", "monotonic")), field="anti_replay", default="time", since="2.4",
          help="what makes an advert old"),
    value("mode", Choice(("enforce", "permissive", "receive-only")), field="mode", default="enforce", since="2.4",
          help="what happens to adverts without a trailer"),
)


class State(Reader):
    """MASTER or BACKUP; an unknown word is taken as BACKUP."""

    shows = "MASTER|BACKUP"

    def parse(self, text: str) -> VrrpState:
        if text in ("MASTER", "BACKUP"):
            return VrrpState[text]
        near = "MASTER" if text.upper() in ("MASTER", "ACTIVE", "PRIMARY", "MAIN") else "BACKUP"
        raise Bad("unknown-state", f"unknown state `{text}`, taken as BACKUP", help=f"write `{near}`",
                  value=VrrpState.BACKUP)


class AdvertInterval(Duration):
    def __init__(self) -> None:
        super().__init__(CENTISECOND_US, 255 * SECOND_US)


VRID: Final = Integer(1, 255, "id")
PRIORITY: Final = Integer(1, 255)


def _one_state(context: Context, statement: Statement, draft: Draft, state: Any) -> Any:
    """MASTER stays; BACKUP behind it is reported."""
    first = draft.get("initial_state", state)
    if first is VrrpState.MASTER and state is not first:
        context.error("given-twice", f"`state` is {first.name} already, {state.name} is not looked at", statement, 1,
                      secondary=(Label(draft.where["initial_state"].span(), "first given here"),))
        return first
    return state


_NOTIFY: Final[tuple[Row, ...]] = (
    script("notify_backup", field="notify_backup", help="run on entering BACKUP"),
    script("notify_master", field="notify_master", help="run on entering MASTER"),
    script("notify_fault", field="notify_fault", help="run on entering FAULT"),
    script("notify_stop", field="notify_stop", help="run when the daemon stops"),
    script("notify", field="notify", help="run on every transition, with type, name, state and priority appended"),
)

_ADVERT_ROWS: Final[tuple[Row, ...]] = (
    value("state", State(), field="initial_state", default="BACKUP", after=_one_state,
          help="state that the instance wishes at start"),
    value("interface", INTERFACE, field="interface", help="interface of adverts and, by default, of addresses"),
    value("vrf", INTERFACE, field="vrf", help="VRF of a unicast instance without interface"),
    value("virtual_router_id", VRID, field="vrid", help="VRID, one per network and family"),
    value("version", Integer(2, 3), field="version", default="vrrp_version", help="protocol version"),
    value("priority", PRIORITY, field="priority", default="100", help="base priority; 255 owns the addresses"),
    value("advert_int", AdvertInterval(), field="advert_interval_us", default="1", help="time between adverts"),
    value("mcast_src_ip", ADDRESS, field="source", help="source address of adverts"),
    value("unicast_src_ip", ADDRESS, field="source", help="source address of adverts, same as mcast_src_ip"),
    value("mcast_dst_ip", MULTICAST, field="multicast_group", help="multicast group of this instance"),
    flag("track_src_ip", field="track_src_ip",
         help="FAULT while the source address is missing"),
    entries("unicast_peer", UNICAST_PEER, field="unicast_peers", repeat=Repeat.APPEND,
            help="routers that adverts go to instead of the multicast group"),
    flag("unicast_fault_no_peer", field="unicast_fault_no_peer",
         help="FAULT when no peer is left"),
    flag("check_unicast_src", field="check_unicast_src", help="adverts must come from a peer"),
    value("unicast_ttl", BYTE, field="unicast_ttl", default="255", help="TTL of unicast adverts"),
    value("old_unicast_checksum", maybe(Choice(("never",))), field="old_unicast_checksum",
          help="checksum of old versions for unicast VRRPv3"),
    flag("native_ipv6", field="native_ipv6", help="an IPv6 instance, where no address says so"),
    switch("v3_checksum_as_v2", field="v3_checksum_as_v2", since="2.4", help="VRRPv3 checksum without pseudo header"),
    value("down_timer_adverts", Integer(1, 100), field="down_timer_adverts", default="3",
          help="missed adverts before the master counts as down"),
    value("timer_expired_backup", maybe(Integer(1, 254)), field="timer_expired_backup", since="2.4",
          help="go BACKUP when our own timer was late"),
    value("thread_timer_expired", maybe(Integer(1, 254)), field="timer_expired_backup", since="2.4",
          replaced_by="timer_expired_backup", help="older spelling"),
    value("kernel_rx_buf_size", BYTES, field="kernel_rx_buf_size", soft=True,
          help="receive buffer"),
    switch("lower_prio_no_advert", field="lower_prio_no_advert", help="do not answer a lower advert at once"),
    switch("higher_prio_send_advert", field="higher_prio_send_advert", help="one last advert to a higher one"),
    switch("owner_ignore_adverts", field="owner_ignore_adverts", since="2.4", help="an owner drops all adverts"),
    switch("skip_check_adv_addr", field="skip_check_adv_addr", help="check addresses of new senders only"),
    switch("strict_mode", field="strict", help="hold to the RFC"),
    flag("preempt", field="preempt", constant=True, help="take over from a lower MASTER"),
    flag("nopreempt", field="preempt", constant=False, help="leave a lower MASTER alone"),
    value("preempt_delay", Duration(0, 1000 * SECOND_US), field="preempt_delay_us", default="0",
          help="wait before taking over"),
    value("preempt_after_sync", Duration(0, 3600 * SECOND_US), field="preempt_after_sync_us", default="0", ours=True,
          help="seconds as BACKUP, receiving connections, before taking over from a lower MASTER"),
    value("debug", Integer(0, 4), field="debug", default="0", help="stored, without effect, as in the original"),
)

_ADDRESS_ROWS: Final[tuple[Row, ...]] = (
    entries("virtual_ipaddress", VIRTUAL_ADDRESS, field="addresses", repeat=Repeat.APPEND,
            help="addresses of the MASTER, carried in adverts"),
    entries("virtual_ipaddress_excluded", VIRTUAL_ADDRESS, field="excluded_addresses", repeat=Repeat.APPEND,
            help="addresses of the MASTER, not carried in adverts"),
    flag("no_virtual_ipaddress", field="no_virtual_ipaddress", since="2.4", help="no address is meant"),
    flag("promote_secondaries", field="promote_secondaries",
         help="secondary addresses survive the loss of the first"),
    value("on_loss", Choice(("backup", "reinstate")), field="on_loss", default="backup", ours=True,
          help="what the loss of an address, route or rule to another program does"),
    entries("virtual_routes", VIRTUAL_ROUTE, field="routes", repeat=Repeat.APPEND,
            help="routes of the MASTER"),
    entries("virtual_rules", VIRTUAL_RULE, field="rules", repeat=Repeat.APPEND, after=has_action,
            help="rules of the MASTER"),
    flag("accept", field="accept", constant=True, help="take packets to the addresses"),
    flag("no_accept", field="accept", constant=False, help="drop packets to the addresses"),
    options("use_vmac", USE_VMAC, required=0, field="use_vmac", help="run on a macvlan"),
    flag("use_vmac_addr", field="use_vmac_addr", help="virtual MACs on other interfaces of addresses too"),
    flag("vmac_xmit_base", field="vmac_xmit_base", help="adverts on the base interface"),
    options("use_ipvlan", USE_IPVLAN, required=0, field="use_ipvlan", help="run on an ipvlan"),
    value("garp_master_delay", WHOLE_SECONDS, field="garp_delay_us", help="time to the second round of GARP"),
    value("garp_master_refresh", WHOLE_SECONDS, field="garp_refresh_us", help="period of GARP while MASTER"),
    value("garp_master_repeat", COUNT0, field="garp_repeat", after=at_least_one, help="GARPs per address and round"),
    value("garp_master_refresh_repeat", COUNT0, field="garp_refresh_repeat", after=at_least_one,
          help="GARPs per address and refresh"),
    value("garp_lower_prio_delay", WHOLE_SECONDS, field="garp_lower_prio_delay_us",
          help="time to the second round after a lower advert"),
    value("garp_lower_prio_repeat", Integer(0, INT_MAX), field="garp_lower_prio_repeat",
          help="GARPs after a lower advert"),
    extra_interface(0, "garp_extra_if"),
    extra_interface(0, "vmac_garp_intvl", replaced_by="garp_extra_if", help="older spelling"),
)

VRRP_INSTANCE: Final = Table(
    "vrrp_instance",
    *_ADVERT_ROWS,
    *_ADDRESS_ROWS,
    flag("dont_track_primary", field="dont_track_primary", help="its own interface does not fault the instance"),
    *track_rows("vrrp_instance", "the instance"),
    flag("linkbeat_use_polling", replaced_by="linkbeat_interfaces", help="obsolete"),
    *_NOTIFY,
    script("notify_deleted", required=0, field="notify_deleted", help="run when a reload removes the instance"),
    script("notify_master_rx_lower_pri", field="notify_master_rx_lower_pri", help="run when a MASTER sees a lower one"),
    switch("smtp_alert", field="smtp_alert", help="mail on transitions"),
    switch("notify_priority_changes", field="notify_priority_changes",
           help="notify changes of the priority"),
    value("lvs_sync_daemon_interface", INTERFACE, field="sync_interface", replaced_by="lvs_sync_daemon",
          help="obsolete form of the global word"),
    block("authentication", AUTHENTICATION, field="authentication", repeat=Repeat.LAST,
          help="VRRPv2 authentication"),
    block("auth_hmac", AUTH_HMAC, field="auth_hmac", repeat=Repeat.LAST, since="2.4",
          help="HMAC-SHA256 behind every advert"),
)

VRRP_SYNC_GROUP: Final = Table(
    "vrrp_sync_group",
    word_list("group", NAME, field="group", repeat=Repeat.FIRST, help="members"),
    *track_rows("vrrp_sync_group", "the group"),
    *_NOTIFY,
    switch("smtp_alert", field="smtp_alert", help="mail on transitions"),
    flag("global_tracking", field="tracking_weight", replaced_by="sync_group_tracking_weight",
         help="as sync_group_tracking_weight"),
    flag("sync_group_tracking_weight", field="tracking_weight", help="trackers with weights may be used in the group"),
    switch("notify_priority_changes", field="notify_priority_changes",
           help="notify changes of priorities"),
)

_GAP: Final = Duration(0, 1000 * SECOND_US)
GARP_GROUP: Final = Table(
    "garp_group",
    value("garp_interval", _GAP, field="garp_interval_us", default="0", help="least gap between GARPs"),
    value("gna_interval", _GAP, field="gna_interval_us", default="0", help="least gap between unsolicited NAs"),
    value("interface", INTERFACE, field="interface", help="one interface of the group"),
    word_list("interfaces", INTERFACE, field="interfaces", help="interfaces that share the limits"),
)
