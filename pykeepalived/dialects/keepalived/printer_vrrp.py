"""VRRP's part of a keepalived.conf: instances, sync groups, trackers, addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pykeepalived.dialects.keepalived.printer_text import CannotSay, Writer, decimal, word
from pykeepalived.dialects.keepalived.tables.addresses import STATIC_ADDRESS, VIRTUAL_ADDRESS
from pykeepalived.dialects.keepalived.tables.trackers import track_options
from pykeepalived.dialects.keepalived.tables.vrrp import MAC, USE_IPVLAN, USE_VMAC
from pykeepalived.model import (
    Authentication,
    AuthHmac,
    Config,
    GarpGroup,
    GarpSettings,
    IpPrefix,
    SyncGroup,
    TrackBfd,
    TrackedFile,
    TrackedProcess,
    TrackedScript,
    TrackFile,
    TrackProcess,
    VirtualAddress,
    VirtualRoute,
    VirtualRule,
    VmacSettings,
    VrrpInstance,
    VrrpScript,
)
from pykeepalived.model.vrrp import FOREVER_S, ParamMatch

_OPTION_WORDS: Final = frozenset(
    name
    for grammar in (VIRTUAL_ADDRESS, STATIC_ADDRESS, USE_VMAC, USE_IPVLAN, track_options("", MAC, MAC))
    for name in grammar.rows
)
_UNICAST_TTL: Final = 255
_NOTIFIES: Final = ("notify_master", "notify_backup", "notify_fault", "notify_stop")


def _name(text: str) -> str:
    """A name at a place where option words may stand: between quotes it is none of them."""
    return f'"{text}"' if text in _OPTION_WORDS else word(text)


# ── addresses, routes, rules ─────────────────────────────────────────────────────────────────────────────────────────


def address_line(address: VirtualAddress) -> str:
    """One line of `virtual_ipaddress`. Raises CannotSay."""
    parts = [str(address.prefix)]
    for keyword, found in (
        ("broadcast", address.broadcast),
        ("dev", address.dev),
        ("scope", address.scope or None),
        ("label", address.label),
        ("peer", _peer(address.peer)),
        ("preferred_lft", "forever" if address.preferred_lft_s == FOREVER_S else address.preferred_lft_s),
        ("track_group", address.track_group),
    ):
        if found is not None:
            parts += ["brd" if keyword == "broadcast" else keyword, word(str(found))]
    for keyword in ("home", "dad", "mngtmpaddr", "noprefixroute", "autojoin", "no_track", "use_vmac"):
        if getattr(address, keyword):
            parts.append("-nodad" if keyword == "dad" else keyword)
    return " ".join(parts)


def _peer(peer: IpPrefix | None) -> str | None:
    if peer is None:
        return None
    return peer.address if peer.length == (128 if ":" in peer.address else 32) else str(peer)


def addresses(writer: Writer, keyword: str, found: Sequence[VirtualAddress]) -> None:
    if not found:
        return
    with writer.block(keyword):
        for address in found:
            try:
                writer.raw(address_line(address))
            except CannotSay as reason:
                writer.cannot(f"{keyword} {address.prefix}: {reason}")


def lines(writer: Writer, keyword: str, found: Sequence[VirtualRoute | VirtualRule]) -> None:
    if not found:
        return
    with writer.block(keyword):
        for item in found:
            writer.line(*item.words)


# ── trackers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def vrrp_script(writer: Writer, script: VrrpScript) -> None:
    with writer.block("vrrp_script", script.name):
        if script.question:
            writer.line(*script.script.argv)
        else:
            writer.script("script", script.script, with_user=False)
        users = writer.user_words(script.script.user)
        if users:
            writer.line("user", *users)
        writer.seconds("interval", script.interval_us, 1_000_000)
        if script.timeout_us:
            writer.seconds("timeout", script.timeout_us)
        _weight(writer, script.weight, script.reverse, 0)
        writer.value("rise", script.rise, 1)
        writer.value("fall", script.fall, 1)
        writer.flag("init_fail", script.init_fail)


def _weight(writer: Writer, weight: int, reverse: bool, default: int) -> None:
    if weight != default or reverse or writer.everything:
        writer.line("weight", weight, *(("reverse",) if reverse else ()))


def track_file(writer: Writer, file: TrackFile) -> None:
    with writer.block("track_file", file.name):
        writer.line("file", file.path)
        _weight(writer, file.weight, file.reverse, 1)
        if file.init_value is not None:
            writer.line("init_file", file.init_value, *(("overwrite",) if file.init_overwrite else ()))


def track_process(writer: Writer, process: TrackProcess) -> None:
    with writer.block("vrrp_track_process", process.name):
        writer.line("process", process.process, *process.parameters)
        natural = ParamMatch.EXACT if process.parameters else ParamMatch.NONE
        if process.param_match is not natural:
            exact = process.param_match is ParamMatch.EXACT
            writer.line("param_match", *(() if exact else (process.param_match.value,)))
        writer.flag("full_command", process.full_command)
        _weight(writer, process.weight, process.reverse, 0)
        if process.quorum:
            writer.value("quorum", process.quorum, 1)
        writer.value("quorum_max", process.quorum_max)
        if process.fork_delay_us:
            writer.seconds("fork_delay", process.fork_delay_us)
        if process.terminate_delay_us:
            writer.seconds("terminate_delay", process.terminate_delay_us)


class References:
    """The lines that refer to trackers; whether a tracker is reversed decides what must be said."""

    def __init__(self, config: Config) -> None:
        self._reversed = {
            "track_script": {item.name for item in config.scripts if item.reverse},
            "track_file": {item.name for item in config.track_files if item.reverse},
            "track_process": {item.name for item in config.track_processes if item.reverse},
            "track_bfd": {item.name for item in config.bfd_instances if item.reverse},
        }

    def write(self, writer: Writer, owner: VrrpInstance | SyncGroup) -> None:
        if owner.track_interfaces:
            with writer.block("track_interface"):
                for interface in owner.track_interfaces:
                    said = interface.weight or interface.reverse or writer.everything
                    weight = f" weight {interface.weight}" if said else ""
                    writer.raw(f"{_name(interface.ifname)}{weight}{' reverse' if interface.reverse else ''}")
        self._named(writer, "track_script", owner.track_scripts)
        self._named(writer, "track_file", owner.track_files)
        self._named(writer, "track_process", owner.track_processes)
        self._named(writer, "track_bfd", owner.track_bfds)

    def _named(
        self,
        writer: Writer,
        keyword: str,
        found: Sequence[TrackedScript | TrackedFile | TrackedProcess | TrackBfd],
    ) -> None:
        if not found:
            return
        with writer.block(keyword):
            for reference in found:
                parts = [_name(reference.name)]
                if reference.weight is not None:
                    parts.append(f"weight {reference.weight}")
                if reference.reverse:
                    parts.append("reverse")
                elif reference.name in self._reversed[keyword]:
                    parts.append("noreverse")
                writer.raw(" ".join(parts))


# ── groups and instances ─────────────────────────────────────────────────────────────────────────────────────────────


def sync_group(writer: Writer, group: SyncGroup, references: References) -> None:
    with writer.block("vrrp_sync_group", group.name):
        with writer.block("group"):
            for member in group.members:
                writer.line(member)
        writer.flag("sync_group_tracking_weight", group.tracking_weight)
        references.write(writer, group)
        for keyword in _NOTIFIES:
            writer.script(keyword, getattr(group, keyword))
        writer.script("notify", group.notify)
        writer.switch("smtp_alert", group.smtp_alert)
        writer.switch("notify_priority_changes", group.notify_priority_changes)


def instance(writer: Writer, found: VrrpInstance, references: References) -> None:
    with writer.block("vrrp_instance", found.name):
        _identity(writer, found)
        _unicast(writer, found)
        _election(writer, found)
        if found.authentication is not None:
            _authentication(writer, found.name, found.authentication)
        if found.auth_hmac is not None:
            _hmac(writer, found.auth_hmac)
        _garp(writer, found.garp)
        addresses(writer, "virtual_ipaddress", found.addresses)
        addresses(writer, "virtual_ipaddress_excluded", found.excluded_addresses)
        if not found.addresses:
            writer.line("no_virtual_ipaddress")
        # The first word with a family decides, and the addresses come before this one.
        writer.flag("native_ipv6", found.native_ipv6)
        lines(writer, "virtual_routes", found.routes)
        lines(writer, "virtual_rules", found.rules)
        references.write(writer, found)
        for keyword in _NOTIFIES:
            writer.script(keyword, getattr(found, keyword))
        writer.script("notify", found.notify)
        writer.script("notify_deleted", found.notify_deleted)
        if found.use_deleted_state and found.notify_deleted is None:
            writer.line("notify_deleted")
        writer.script("notify_master_rx_lower_pri", found.notify_master_rx_lower_pri)
        writer.switch("smtp_alert", found.smtp_alert)
        writer.switch("notify_priority_changes", found.notify_priority_changes)


def _identity(writer: Writer, found: VrrpInstance) -> None:
    writer.line("state", found.initial_state.name)
    writer.value("interface", found.interface)
    writer.value("vrf", found.vrf)
    if found.vmac is not None:
        _vmac(writer, found.vmac)
    writer.flag("use_vmac_addr", found.use_vmac_addr)
    writer.flag("vmac_xmit_base", found.vmac_xmit_base)
    writer.line("virtual_router_id", found.vrid)
    writer.line("priority", found.priority)
    writer.line("version", found.version)
    writer.line("advert_int", decimal(found.advert_interval_us))
    writer.switch("strict_mode", found.strict)
    writer.value("mcast_dst_ip", found.multicast_group)
    writer.flag("dont_track_primary", found.dont_track_primary)
    writer.flag("track_src_ip", found.track_src_ip)
    writer.flag("promote_secondaries", found.promote_secondaries)
    if found.on_loss != "backup":
        writer.line("on_loss", found.on_loss)
    writer.value("kernel_rx_buf_size", found.kernel_rx_buf_size)
    writer.value("debug", found.debug, 0)
    if not found.accept:
        writer.line("no_accept")
    elif found.strict or writer.everything:
        writer.line("accept")


def _unicast(writer: Writer, found: VrrpInstance) -> None:
    writer.value("unicast_src_ip" if found.unicast_peers else "mcast_src_ip", found.source)
    if found.unicast_peers or found.unicast_without_peers or (found.interface is None and found.vrf is None):
        with writer.block("unicast_peer"):
            for peer in found.unicast_peers:
                low = f" min_ttl {peer.min_ttl}" if peer.min_ttl else ""
                high = f" max_ttl {peer.max_ttl}" if peer.max_ttl != 255 else ""
                writer.raw(f"{peer.address}{low}{high}")
    if found.unicast_peers or found.unicast_ttl != _UNICAST_TTL:
        writer.value("unicast_ttl", found.unicast_ttl, _UNICAST_TTL)
    writer.flag("unicast_fault_no_peer", found.unicast_fault_no_peer)
    if "check_unicast_src" not in writer.defaults:
        writer.flag("check_unicast_src", found.check_unicast_src)
    if found.old_unicast_checksum is not None:
        writer.line("old_unicast_checksum", *(("never",) if found.old_unicast_checksum == "never" else ()))


def _election(writer: Writer, found: VrrpInstance) -> None:
    # A late timer needs nopreempt in the file, even where something else has taken the nopreempt back.
    writer.flag("nopreempt", found.nopreempt or found.timer_expired_backup is not None)
    writer.seconds("preempt_delay", found.preempt_delay_us, 0)
    writer.seconds("preempt_after_sync", found.preempt_after_sync_us, 0)
    writer.value("timer_expired_backup", found.timer_expired_backup)
    writer.value("down_timer_adverts", found.down_timer_adverts, 3)
    writer.switch("lower_prio_no_advert", found.lower_prio_no_advert, found.strict)
    if found.higher_prio_send_advert is not None:
        writer.line("higher_prio_send_advert", *(() if found.higher_prio_send_advert else ("false",)))
    if "owner_ignore_adverts" not in writer.defaults:
        writer.switch("owner_ignore_adverts", found.owner_ignore_adverts)
    elif not found.owner_ignore_adverts:
        writer.line("owner_ignore_adverts", "false")
    # Any value switches it on, so the default cannot be written.
    writer.flag("skip_check_adv_addr", found.skip_check_adv_addr)
    writer.switch("v3_checksum_as_v2", found.v3_checksum_as_v2)


def _authentication(writer: Writer, name: str, found: Authentication) -> None:
    try:
        password = found.password.decode("utf-8")
        word(password)
    except (UnicodeDecodeError, CannotSay):
        writer.cannot(f"auth_pass of {name}")
        return
    with writer.block("authentication"):
        writer.line("auth_type", found.type.name)
        writer.line("auth_pass", password)


def _hmac(writer: Writer, found: AuthHmac) -> None:
    with writer.block("auth_hmac"):
        for key in found.keys:
            writer.line("key", key.id, f"hex:{key.value.hex()}")
        writer.value("active_key", found.active_key)
        writer.value("time_window", found.time_window_s)
        writer.value("anti_replay", found.anti_replay, "time")
        writer.value("mode", found.mode, "enforce")


def garp_group(writer: Writer, found: GarpGroup) -> None:
    with writer.block("garp_group"):
        writer.seconds("garp_interval", found.garp_interval_us, 0)
        writer.seconds("gna_interval", found.gna_interval_us, 0)
        with writer.block("interfaces"):
            for name in found.interfaces:
                writer.line(name)


def _garp(writer: Writer, found: GarpSettings) -> None:
    plain = GarpSettings()
    for keyword, field in (
        ("garp_master_delay", "delay_us"),
        ("garp_master_refresh", "refresh_us"),
        ("garp_lower_prio_delay", "lower_prio_delay_us"),
    ):
        writer.seconds(keyword, getattr(found, field), getattr(plain, field))
    for keyword, field in (
        ("garp_master_repeat", "repeat"),
        ("garp_master_refresh_repeat", "refresh_repeat"),
        ("garp_lower_prio_repeat", "lower_prio_repeat"),
    ):
        writer.value(keyword, getattr(found, field), getattr(plain, field))
    if found.extra_if_us or found.extra_if_all or writer.everything or "garp_extra_if" in writer.forced:
        writer.line("garp_extra_if", *(("all",) if found.extra_if_all else ()), decimal(found.extra_if_us))


def _vmac(writer: Writer, found: VmacSettings) -> None:
    parts = ["use_ipvlan" if found.kind == "ipvlan" else "use_vmac"]
    if found.ifname is not None:
        # A name of the form of a MAC address needs the newer word in front.
        parts += ["name", found.ifname] if MAC.accepts(found.ifname) else [_name(found.ifname)]
    if found.mac is not None:
        parts.append(":".join(f"{octet:02x}" for octet in found.mac))
    if found.source is not None:
        parts.append(str(found.source))
    if found.netlink_notify:
        parts.append("netlink_notify_msg")
    if found.ipvlan_flags is not None:
        parts.append(found.ipvlan_flags)
    if found.group is not None:
        parts += ["group", word(found.group)]
    writer.raw(" ".join(parts))
