"""A `Config` as the text of a keepalived.conf, such that loading the text gives the same model.

What a block inherits from global_defs is written in both places, so that it stays what it is wherever it is copied to;
variables, conditions and includes have done their work before there was a model. Blocks that the model only knows by
name, words that no spelling gives and settings of ldirectord that keepalived.conf has not are listed, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from pykeepalived.dialects.keepalived.printer_agents import agent_words
from pykeepalived.dialects.keepalived.printer_bfd import bfd_instance, track_group
from pykeepalived.dialects.keepalived.printer_defaults import default_words
from pykeepalived.dialects.keepalived.printer_links import dynamic_interfaces, global_words, root_words
from pykeepalived.dialects.keepalived.printer_lvs import virtual_server, virtual_server_group
from pykeepalived.dialects.keepalived.printer_text import Accounts, CannotSay, SystemAccounts, Writer, decimal, word
from pykeepalived.dialects.keepalived.printer_vrrp import (
    References,
    addresses,
    garp_group,
    instance,
    lines,
    sync_group,
    track_file,
    track_process,
    vrrp_script,
)
from pykeepalived.dialects.keepalived.rows import Kind
from pykeepalived.dialects.keepalived.tables.global_vrrp import GLOBAL_DEFS
from pykeepalived.model import Config, GlobalDefs, MailSettings, SyncDaemon
from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.model.lvs import PacketMarks

__all__ = ["Printed", "print_config"]


_OWNER: Final = 255
#: Words of global_defs that are defaults of words in other blocks, where `vrrp_` in front is not all that differs.
_DEFAULTS: Final = {
    "smtp_alert_vrrp": "smtp_alert", "smtp_alert_checker": "smtp_alert", "vrrp_vmac_garp_intvl": "garp_extra_if",
    "vrrp_strict": "strict_mode",
}  # fmt: skip


class Printed(msgspec.Struct, frozen=True):
    """The text, and what it cannot say (which stands in it as comments too)."""

    text: str
    unsaid: tuple[str, ...]


def print_config(config: Config, *, everything: bool = False, accounts: Accounts | None = None) -> Printed:
    """The text of a keepalived.conf. With `everything` words that say a default are written too."""
    writer = Writer(accounts or SystemAccounts(), everything=everything)
    settings = config.globals
    writer.value("instance", settings.instance)
    writer.value("net_namespace", settings.net_namespace)
    writer.flag("use_pid_dir", settings.use_pid_dir)
    if settings.net_namespace_ipvs is not None:
        writer.line("net_namespace_ipvs", *([word(settings.net_namespace_ipvs)] if settings.net_namespace_ipvs else []))
    writer.flag("namespace_with_ipsets", settings.namespace_with_ipsets)
    writer.seconds("child_wait_time", settings.child_wait_time_us, GlobalDefs().child_wait_time_us)
    writer.gap()
    with writer.block("global_defs"):
        _Globals(writer, settings).write()
        global_words(writer, settings)
        agent_words(writer, settings)
        inherited = default_words(writer, settings.defaults)
        writer.defaults = frozenset(_shared_defaults(config))
        for name in sorted(writer.defaults):
            if f"vrrp_{name}" not in {given for given, _ in settings.words} and name not in inherited:
                writer.line(f"vrrp_{name}")
    for name in config.unowned_blocks:
        writer.gap()
        writer.cannot(f"block {name}: the model has its name only")
    given = (_DEFAULTS.get(name, name.removeprefix("vrrp_")) for name, _ in settings.words)
    writer.forced = inherited.union(given)
    try:
        _vrrp(writer, config)
        _lvs(writer, config)
    except CannotSay as reason:
        # Only the name of a block can bring us here; the rest would stand in the wrong block.
        writer.cannot(f"{reason}; what follows it is not written")
    return Printed("\n".join(writer.lines) + "\n", tuple(writer.unsaid))


def _shared_defaults(config: Config) -> Iterator[str]:
    """Words that keepalived takes as a default of all instances, and complains about in an instance they do not fit."""
    instances = config.instances
    everywhere = config.globals.defaults.check_unicast_src and all(found.check_unicast_src for found in instances)
    if everywhere and any(not found.unicast_peers for found in instances):
        yield "check_unicast_src"
    if any(found.owner_ignore_adverts and found.priority != _OWNER for found in instances):
        yield "owner_ignore_adverts"


def _vrrp(writer: Writer, config: Config) -> None:
    references = References(config)
    writer.gap()
    root_words(writer, config)
    addresses(writer, "static_ipaddress", config.static_addresses)
    lines(writer, "static_routes", config.static_routes)
    lines(writer, "static_rules", config.static_rules)
    for tracked in config.track_groups:
        writer.gap()
        track_group(writer, tracked)
    for each in config.garp_groups:
        writer.gap()
        garp_group(writer, each)
    for script in config.scripts:
        writer.gap()
        vrrp_script(writer, script)
    for file in config.track_files:
        writer.gap()
        track_file(writer, file)
    for process in config.track_processes:
        writer.gap()
        track_process(writer, process)
    for session in config.bfd_instances:
        writer.gap()
        bfd_instance(writer, session)
    for group in config.sync_groups:
        writer.gap()
        sync_group(writer, group, references)
    for found in config.instances:
        writer.gap()
        instance(writer, found, references)


def _lvs(writer: Writer, config: Config) -> None:
    for group in config.virtual_server_groups:
        writer.gap()
        virtual_server_group(writer, group)
    if (client := config.tls_client) is not None:
        writer.gap()
        with writer.block("SSL"):
            for name in ("password", "ca", "certificate", "key"):
                writer.value(name, getattr(client, name))
    for service in config.virtual_servers:
        writer.gap()
        virtual_server(writer, service, log_all=config.globals.checker_log_all_failures)


_SWITCHES: Final = ("checker_log_all_failures", "rs_init_notifies")
_BUFFERS: Final = (
    "vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_monitor_rcv_bufs", "process_monitor_rcv_bufs",
)  # fmt: skip
_FLAGS: Final = (
    *(f"{name}_force" for name in _BUFFERS),
    "enable_script_security", "lvs_flush", "vrrp_no_swap", "checker_no_swap", "bfd_no_swap",
    "log_unknown_vrids",
)  # fmt: skip
_NUMBERS: Final = (
    *_BUFFERS,
    "vrrp_priority",
    "vrrp_rt_priority",
    "checker_priority",
    "checker_rt_priority",
    "bfd_priority",
    "bfd_rt_priority",
)


class _Globals:
    """global_defs. Words without effect stand in the model as they were written; they come first, in their order."""

    def __init__(self, writer: Writer, settings: GlobalDefs) -> None:
        self._writer = writer
        self._settings = settings
        self._given = {name for name, _ in settings.words}

    def write(self) -> None:
        writer, settings = self._writer, self._settings
        plain = GlobalDefs()
        self._words()
        writer.skipped = frozenset(self._given)
        writer.silent = frozenset(name for name, row in GLOBAL_DEFS.rows.items() if row.later is not None)
        writer.value("router_id", settings.router_id)
        if settings.script_user is not None:
            writer.line("script_user", *writer.user_words(settings.script_user))
        for name in _FLAGS:
            writer.flag(name, getattr(settings, name))
        dynamic_interfaces(writer, settings)
        for name in _SWITCHES:
            writer.switch(name, getattr(settings, name))
        writer.value("vrrp_mcast_group4", settings.multicast_group4, plain.multicast_group4)
        writer.value("vrrp_mcast_group6", settings.multicast_group6, plain.multicast_group6)
        self._vrrp_numbers(plain)
        for name in ("startup_script", "shutdown_script"):
            writer.script(name, getattr(settings, name))
            field = f"{name}_timeout_us"
            writer.seconds(f"{name}_timeout", getattr(settings, field), getattr(plain, field))
        self._ours(plain)
        if settings.lvs_flush_on_stop is not None:
            writer.line("lvs_flush_on_stop", *(("VS",) if settings.lvs_flush_on_stop == "VS" else ()))
        if settings.lvs_timeouts is not None:
            pairs = [
                (name, number)
                for name, number in zip(("tcp", "tcpfin", "udp"), settings.lvs_timeouts, strict=True)
                if number
            ] or [("tcp", 0)]
            writer.line("lvs_timeouts", *(item for pair in pairs for item in pair))
        for name in _NUMBERS:
            writer.value(name, getattr(settings, name))
        if settings.umask is not None:
            writer.line("umask", f"0{settings.umask:o}")
        for name in ("notify_fifo", "vrrp_notify_fifo", "lvs_notify_fifo"):
            writer.value(name, getattr(settings, name))
            writer.script(f"{name}_script", getattr(settings, f"{name}_script"))
        self._daemon(settings.daemon)
        if settings.packet_marks is not None:
            marks, usual = settings.packet_marks, PacketMarks()
            writer.line("nftables_ipvs", *(() if marks.table == usual.table else (marks.table,)))
            writer.value("nftables_ipvs_priority", marks.priority, usual.priority)
            writer.value("nftables_ipvs_start_fwmark", marks.first, usual.first)
        if settings.sync_daemon is not None:
            self._sync_daemon(settings.sync_daemon)
        self._mail(settings.mail)
        writer.skipped = writer.silent = frozenset()

    def _daemon(self, daemon: DaemonSettings) -> None:
        """Fields that have the names of their words."""
        plain = DaemonSettings()
        for name in DaemonSettings.__struct_fields__:
            value = getattr(daemon, name)
            if isinstance(value, bool):
                self._writer.flag(name, value)
            elif isinstance(value, tuple):
                if value:
                    self._writer.line(name, *value)
            elif value == "":
                self._writer.line(name)
            else:
                self._writer.value(name, value, getattr(plain, name))

    def _ours(self, plain: GlobalDefs) -> None:
        """Words that the original does not know: only a choice of one's own is written."""
        if self._settings.lvs_dataplane != plain.lvs_dataplane:
            self._writer.line("lvs_dataplane", self._settings.lvs_dataplane)
        if self._settings.lvs_repair_interval_us != plain.lvs_repair_interval_us:
            self._writer.seconds("lvs_repair_interval", self._settings.lvs_repair_interval_us)
        if self._settings.lvs_check_workers is not None:
            self._writer.line("lvs_check_workers", str(self._settings.lvs_check_workers))
        self._writer.flag("lvs_nftables_masquerade", self._settings.lvs_nftables_masquerade)
        if self._settings.lvs_nftables_removed != plain.lvs_nftables_removed:
            self._writer.line("lvs_nftables_removed", self._settings.lvs_nftables_removed)

    def _vrrp_numbers(self, plain: GlobalDefs) -> None:
        writer, settings = self._writer, self._settings
        for name, length_us in (
            ("vrrp_startup_delay", settings.startup_delay_us),
            ("vrrp_delay_after_boot", settings.delay_after_boot_us),
            ("vrrp_garp_interval", settings.garp_interval_us),
            ("vrrp_gna_interval", settings.gna_interval_us),
        ):
            if length_us:
                writer.seconds(name, length_us)
        writer.value("vrrp_rx_bufs_policy", settings.rx_bufs_policy)
        writer.value("vrrp_rx_bufs_multiplier", settings.rx_bufs_multiplier, plain.rx_bufs_multiplier)

    def _words(self) -> None:
        recipients = list(self._settings.mail.recipients)
        blocks = sum(1 for name, _ in self._settings.words if name == "notification_email")
        for name, given in self._settings.words:
            if name == "notification_email":
                # Several blocks add up; each that was there is there again.
                blocks -= 1
                taken = recipients if not blocks else recipients[:1]
                self._recipients(taken)
                recipients = recipients[len(taken) :]
            elif name in GLOBAL_DEFS.rows and GLOBAL_DEFS.rows[name].kind is Kind.SCRIPT:
                self._writer.raw(" ".join([name, *(_script_word(item) for item in given)]))
            else:
                self._writer.line(name, *given)

    def _recipients(self, addresses: list[str]) -> None:
        with self._writer.block("notification_email"):
            for address in addresses:
                self._writer.line(address)

    def _mail(self, found: MailSettings) -> None:
        writer = self._writer
        plain = MailSettings()
        if found.recipients and "notification_email" not in self._given:
            self._recipients(list(found.recipients))
        writer.value("notification_email_from", found.sender)
        if found.server is not None:
            writer.line("smtp_server", found.server, *((found.port,) if found.port != 25 else ()))
        writer.value("smtp_helo_name", found.helo_name)
        if found.connect_timeout_us != plain.connect_timeout_us:
            writer.line("smtp_connect_timeout", decimal(found.connect_timeout_us))
        if found.tls != plain.tls:
            writer.line("smtp_tls", found.tls)
        writer.value("smtp_tls_ca", found.tls_ca_file)
        if not found.tls_verify:
            writer.line("smtp_tls_verify", "off")
        writer.value("smtp_user", found.user)
        writer.value("smtp_password", found.password)
        writer.flag("no_email_faults", not found.faults)
        writer.switch("no_checker_emails", not found.checks)

    def _sync_daemon(self, found: SyncDaemon) -> None:
        pairs = (
            ("inst", found.instance), ("id", found.sync_id), ("maxlen", found.max_length), ("port", found.port),
            ("ttl", found.ttl), ("group", found.group),
        )  # fmt: skip
        given = [item for name, value in pairs if value is not None for item in (name, value)]
        self._writer.line("lvs_sync_daemon", found.interface, *given)


def _script_word(text: str) -> str:
    """A word of a script line as it was cut: with a backslash it must stand as it did."""
    return word(text) if "\\" not in text else f'"{text}"'
