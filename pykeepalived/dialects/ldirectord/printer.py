"""A `Config` as the text of an ldirectord.cf, such that loading the text gives the same model.

ldirectord.cf has one check for a whole section and no VRRP, so much of what keepalived.conf can say has no words here.
All of that is listed. Timings stand in the sections, apart from the interval: a section's own one counts with
`fork=yes` only, as in the original.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from pykeepalived.dialects.ldirectord.printer_checks import SectionCheck, check_of_section
from pykeepalived.lvs.names import family_of_server
from pykeepalived.model import (
    AddressSelector,
    Config,
    Family,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    GroupSelector,
    LdirectordSettings,
    Protocol,
    RealServer,
    VirtualServer,
    family_of,
)
from pykeepalived.model.lvs import MailAlert
from pykeepalived.units import SECOND_US

__all__ = ["Printed", "print_config"]

_METHODS: Final = {ForwardingMethod.DR: "gate", ForwardingMethod.NAT: "masq", ForwardingMethod.TUN: "ipip"}
_FLAGS: Final = ((1, "flag-1", "fallback"), (2, "flag-2", "port"), (4, "flag-3", None))
_MOST_WEIGHT: Final = 65_535
_INDENT: Final = "    "


class Printed(msgspec.Struct, frozen=True):
    """The text, and what it cannot say."""

    text: str
    unsaid: tuple[str, ...]


def print_config(config: Config, *, everything: bool = False) -> Printed:
    """The text of an ldirectord.cf. With `everything` directives that say a default are written too."""
    printer = _Printer(everything)
    printer.settings(config)
    printer.elsewhere(config)
    for service in config.virtual_servers:
        printer.section(service)
    return Printed("\n".join(printer.lines) + "\n", tuple(printer.unsaid))


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


class _Printer:
    def __init__(self, everything: bool) -> None:
        self.lines: list[str] = []
        self.unsaid: list[str] = []
        self._everything = everything
        self._interval_us = 10 * SECOND_US
        self._fork = False

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _cannot(self, what: str) -> None:
        self.unsaid.append("".join(char if char.isprintable() else "?" for char in what))

    def _global(self, name: str, text: str, default: str | None = None) -> None:
        if "\n" in text or "\r" in text:
            self._cannot(f"{name}: a line end in its value")
        elif text != default or self._everything:
            self.lines.append(f"{name}={text}")

    def _own(self, name: str, text: str, default: str | None = None) -> None:
        """A directive of a section: blanks stand for tabs there, and `#` starts a comment, also between quotes."""
        if any(char in text for char in "\n\r\t#"):
            self._cannot(f"{name}: `{text}`")
        elif text != default or self._everything:
            self.lines.append(f"{_INDENT}{name}={text}")

    # ── the head of the file ─────────────────────────────────────────────────────────────────────────────────────

    def settings(self, config: Config) -> None:
        found = config.ldirectord or self._settings_for(config)
        if found.compat_strict:
            self.lines.append("# pyldirectord: compat=strict")
        self._interval_us, self._fork = found.check_interval_us, found.fork
        self._global("checkinterval", self._seconds("checkinterval", found.check_interval_us), "10")
        for name, value in (
            ("autoreload", found.autoreload), ("supervised", found.supervised), ("fork", found.fork),
            ("readdquiescent", found.readd_quiescent),
        ):  # fmt: skip
            self._global(name, _yes(value), "no")
        self._global("logfile", f'"{found.logfile}"', '"/var/log/ldirectord.log"')
        if found.callback:
            self._global("callback", f'"{found.callback}"')
        for name in found.execute:
            self._global("execute", name)
        if found.maintenance_dir is not None:
            self._global("maintenancedir", found.maintenance_dir)
        if found.mail_sender is not None:
            self._global("emailalertfrom", found.mail_sender)

    @staticmethod
    def _settings_for(config: Config) -> LdirectordSettings:
        """The interval that most checks have; `fork` when there are others."""
        delays = [
            spec.timing.delay_loop_us
            for service in config.virtual_servers
            for server in service.real_servers
            for spec in server.checkers
        ]
        usual = max(set(delays), key=lambda delay: (delays.count(delay), -delay), default=10 * SECOND_US)
        return LdirectordSettings(path="", check_interval_us=usual, fork=len(set(delays)) > 1)

    def elsewhere(self, config: Config) -> None:
        """What is no load balancing."""
        for word, items in (
            ("vrrp_instance", config.instances), ("vrrp_sync_group", config.sync_groups),
            ("vrrp_script", config.scripts), ("track_file", config.track_files),
            ("vrrp_track_process", config.track_processes), ("virtual_server_group", config.virtual_server_groups),
            ("track_group", config.track_groups), ("bfd_instance", config.bfd_instances),
        ):  # fmt: skip
            for item in items:
                self._cannot(f"{word} {item.name}")
        for name in config.unowned_blocks:
            self._cannot(name)
        for word, found in (
            ("static_ipaddress", config.static_addresses), ("static_routes", config.static_routes),
            ("static_rules", config.static_rules), ("garp_group", config.garp_groups),
            ("interface_up_down_delays", config.interface_delays), ("linkbeat_interfaces", config.polled_links),
            ("linkbeat_use_polling", config.poll_all_links), ("SSL", config.tls_client),
        ):  # fmt: skip
            if found:
                self._cannot(word)
        fresh = msgspec.structs.asdict(Config().globals)
        for field, value in msgspec.structs.asdict(config.globals).items():
            if field != "words" and value != fresh[field]:
                self._cannot(f"global_defs: {field}")
        for name, _ in config.globals.words:
            self._cannot(f"global_defs: {name}")

    def _seconds(self, name: str, duration_us: int) -> str:
        if duration_us % SECOND_US or not duration_us:
            self._cannot(f"{name}: {duration_us / SECOND_US:g} s, whole seconds from 1 only")
        return str(max(1, -(-duration_us // SECOND_US)))

    # ── sections ─────────────────────────────────────────────────────────────────────────────────────────────────

    def section(self, found: VirtualServer) -> None:
        if isinstance(found.selector, GroupSelector):
            self._cannot(f"virtual_server group {found.selector.name}")
            return
        if found.protocol is Protocol.SCTP:
            self._cannot("a virtual server of protocol SCTP")
            return
        selector = found.selector
        label = str(selector.fwmark) if isinstance(selector, FwmarkSelector) else _host(selector.address)
        six = family_of_server(found) is Family.INET6
        if isinstance(selector, AddressSelector):
            six = family_of(selector.address) is Family.INET6
            label += f":{selector.port}"
        self._foreign_words(found, label)
        check, problems = check_of_section(found)
        for problem in problems:
            self._cannot(f"{label}: {problem}")
        self.lines += ["", f"virtual{'6' if six else ''}={label}"]
        for server in found.real_servers:
            self._real(server, check, six, label)
        self._service(found, six)
        self._checks(found, check)
        if found.mail is not None:
            self._mail(found.mail)

    def _real(self, server: RealServer, check: SectionCheck, six: bool, label: str) -> None:
        port = check.ports[server.address, server.port]
        if server.weight > _MOST_WEIGHT:
            self._cannot(f"{label}: weight {server.weight} of {server.address}")
        if server.forwarding != Forwarding(server.forwarding.method):
            self._cannot(f"{label}: tunnel words of {server.address}")
        text = f"{_host(server.address)}{f':{port}' if port else ''} {_METHODS[server.forwarding.method]}"
        text += f" {min(server.weight, _MOST_WEIGHT)}"
        pair = check.pairs.get((server.address, server.port))
        if pair is not None:
            if '"' in pair[0] + pair[1]:
                self._cannot(f"{label}: request and receive of {server.address}: a quote within")
            else:
                text += f' "{pair[0]}", "{pair[1]}"'
        if server.lower_threshold:
            text += f" l:{server.lower_threshold}"
        if server.upper_threshold:
            text += f" u:{server.upper_threshold}"
        self._own(f"real{'6' if six else ''}", text)

    def _service(self, found: VirtualServer, six: bool) -> None:
        if found.protocol is not None:
            self._own("protocol", found.protocol.name.lower())
        self._own("scheduler", found.scheduler)
        flags = [
            f"{found.scheduler}-{named}" if named and found.scheduler in ("sh", "mh") else plain
            for bit, plain, named in _FLAGS
            if found.scheduler_flags & bit
        ]
        if flags:
            self._own("schedflags", ",".join(flags))
        if found.persistence_timeout_s:
            self._own("persistent", str(found.persistence_timeout_s))
        if found.persistence_prefix is not None:
            self._own("netmask", str(found.persistence_prefix) if six else _mask(found.persistence_prefix))
        self._own("ops", _yes(found.one_packet), "no")
        inhibit = {server.inhibit_on_failure for server in found.real_servers}
        if len(inhibit) > 1:
            self._cannot("quiescent for some real servers of a section only")
        self._own("quiescent", _yes(True in inhibit), "no")
        self._own("cleanstop", _yes(found.cleanstop), "yes")
        if found.sorry_server is not None:
            sorry = found.sorry_server
            port = f":{sorry.port}" if sorry.port else ""
            method = _METHODS[sorry.forwarding.method]
            self._own(f"fallback{'6' if six else ''}", f"{_host(sorry.address)}{port} {method}")
        for name, text in (
            ("fallbackcommand", found.fallback_command), ("monitorfile", found.monitor_file),
            ("virtualhost", found.virtualhost),
        ):  # fmt: skip
            if text:
                self._own(name, f'"{text}"' if " " in text and '"' not in text else text)
        for name, text in (("servicename", found.service_name), ("comment", found.comment)):
            if text:
                self._own(name, text)

    def _checks(self, found: VirtualServer, check: SectionCheck) -> None:
        for name, text, default in check.directives:
            self._own(name, text, default)
        for name, duration_us in check.times:
            self._own(name, self._seconds(name, duration_us))
        delays = {spec.timing.delay_loop_us for server in found.real_servers for spec in server.checkers[:1]}
        if delays and delays != {self._interval_us}:
            if len(delays) > 1 or not self._fork:
                self._cannot("intervals that differ within a section, or without `fork=yes`")
            else:
                self._own("checkinterval", self._seconds("checkinterval", delays.pop()))

    def _mail(self, found: MailAlert) -> None:
        self._own("emailalert", ", ".join(found.recipients))
        self._own("emailalertfreq", str(found.frequency_s), "0")
        self._own("emailalertstatus", ",".join(found.states), "all")
        if found.smtp:
            self._own("smtp", found.smtp)

    # ── words that only keepalived.conf has ──────────────────────────────────────────────────────────────────────

    def _foreign_words(self, found: VirtualServer, label: str) -> None:
        plain = VirtualServer(selector=found.selector)
        self._differing(
            found, plain, label,
            ("quorum", "hysteresis", "quorum_up", "quorum_down", "persistence_engine", "omega", "ha_suspend",
             "snmp_name", "smtp_alert", "hashed"),
        )  # fmt: skip
        if not found.alpha:
            self._cannot(f"{label}: real servers that count as alive before their first check")
        for server in found.real_servers:
            name = f"{label}: {_host(server.address)}:{server.port}"
            fresh = RealServer(address="", port=0, virtualhost=found.virtualhost)
            fields = ("notify_up", "notify_down", "snmp_name", "virtualhost", "smtp_alert")
            self._differing(server, fresh, name, fields)
            if server.recovery is not None:
                self._cannot(f"{name}: slow_start, flap_limit")
        sorry = found.sorry_server
        if sorry is not None and sorry.inhibit:
            self._cannot(f"{label}: sorry_server_inhibit")
        if sorry is not None and sorry.forwarding != Forwarding(sorry.forwarding.method):
            self._cannot(f"{label}: tunnel words of the sorry server")

    def _differing(self, found: Any, plain: Any, label: str, fields: Iterable[str]) -> None:
        for field in fields:
            if getattr(found, field) != getattr(plain, field):
                self._cannot(f"{label}: {field}")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _mask(length: int) -> str:
    mask = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
    return socket.inet_ntop(socket.AF_INET, mask.to_bytes(4, "big"))
