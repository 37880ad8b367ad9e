"""KEEPALIVED-MIB, branch 1: the daemon."""

# fmt: off

from __future__ import annotations

from typing import Any, Final

from pykeepalived.notify.snmp.facts import Facts, Rows, scalars
from pykeepalived.notify.snmp.syntax import (
    ADDRESS,
    ENABLED,
    FAMILY,
    INDEX,
    PORT,
    TEXT,
    TRUTH,
    UNSIGNED,
    address,
    family,
    numbers,
)
from pykeepalived.notify.snmp.tree import Column, Table
from pykeepalived.units import SECOND_US

ROOT: Final = (1, 3, 6, 1, 4, 1, 9586, 100, 5)
_GLOBAL: Final = (*ROOT, 1)
_MAIL: Final = (*_GLOBAL, 3)
_ALERT: Final = numbers(on=1, off=2, unset=3)


def _word(name: str) -> Any:
    """on, off or unset: whether a default of smtp_alert was written."""
    def read(facts: Facts) -> str:
        given = dict(facts.config.globals.words).get(name)
        if given is None:
            return "unset"
        return "off" if given and given[0].lower() in {"off", "no", "false"} else "on"
    return read


def _emails(facts: Facts) -> Rows:
    return [((number,), item) for number, item in enumerate(facts.config.globals.mail.recipients, 1)]


TABLES: Final = (
    Table(
        name="global", oid=_GLOBAL, rows=scalars, help="the daemon",
        columns=(
            Column(1, "version", TEXT, lambda f: f.version, "Which program answers, with its version."),
            Column(2, "routerId", TEXT, lambda f: f.router_id, "How this machine calls itself: router_id."),
            Column(4, "trapEnable", ENABLED, lambda f: _on(f.config.globals.agents.enable_traps),
                   "Whether notifications are sent."),
            Column(5, "linkBeat", numbers(netlink=1, polling=2),
                   lambda f: "polling" if f.config.poll_all_links else "netlink",
                   "How the state of links is found out."),
            Column(6, "lvsFlush", ENABLED, lambda f: _on(f.config.globals.lvs_flush),
                   "Whether the start removes all that IPVS holds."),
            Column(7, "ipvs64BitStats", TRUTH, lambda f: True, "Whether counters of IPVS have 64 bits."),
            Column(8, "netNamespace", TEXT, lambda f: f.config.globals.net_namespace or "",
                   "The network namespace; empty for that of the machine."),
            Column(9, "dbus", TRUTH, lambda f: f.config.globals.agents.enable_dbus, "Whether D-Bus is served."),
            Column(10, "dynamicInterfaces", TRUTH, lambda f: f.config.globals.dynamic_interfaces,
                   "Whether interfaces may be missing at the start."),
            Column(11, "lvsFlushOnStop", numbers(enabled=1, disabled=2, flushVS=3),
                   lambda f: {None: "disabled", "all": "enabled"}.get(f.config.globals.lvs_flush_on_stop, "flushVS"),
                   "What the stop removes of what IPVS holds."),
            Column(12, "v3ChecksumAsV2", TRUTH, lambda f: f.config.globals.defaults.v3_checksum_as_v2,
                   "Whether version 3 over IPv4 leaves the pseudo header out of the checksum."),
        ),
    ),
    Table(
        name="mail", oid=_MAIL, rows=scalars, help="alert mails",
        columns=(
            Column(1, "smtpServerAddressType", FAMILY, lambda f: family(f.config.globals.mail.address),
                   "The sort of the mail server's address."),
            Column(2, "smtpServerAddress", ADDRESS, lambda f: address(f.config.globals.mail.address),
                   "Where mails are handed over."),
            Column(3, "smtpServerTimeout", UNSIGNED, lambda f: f.config.globals.mail.connect_timeout_us // SECOND_US,
                   "Seconds that the mail server has for each answer."),
            Column(4, "emailFrom", TEXT, lambda f: f.config.globals.mail.sender, "Whom mails come from."),
            Column(6, "smtpServerPort", PORT, lambda f: f.config.globals.mail.port, "The port of the mail server."),
            Column(7, "smtpEmailFaults", ENABLED, lambda f: _on(f.config.globals.mail.faults),
                   "Whether FAULT is worth a mail."),
            Column(8, "smtpEmailSmtpAlert", _ALERT, _word("smtp_alert"), "smtp_alert of global_defs."),
            Column(9, "smtpEmailSmtpAlertVrrp", _ALERT, _word("smtp_alert_vrrp"), "smtp_alert_vrrp of global_defs."),
            Column(10, "smtpEmailSmtpAlertChecker", _ALERT, _word("smtp_alert_checker"),
                   "smtp_alert_checker of global_defs."),
        ),
    ),
    Table(
        name="email", oid=(*_MAIL, 5, 1), rows=_emails, index=("emailIndex",), help="who gets mails",
        columns=(
            Column(1, "emailIndex", INDEX, lambda r: None, "Number of the reader.", "not-accessible"),
            Column(2, "emailAddress", TEXT, lambda r: r, "Address of the reader."),
        ),
    ),
)


def _on(flag: bool) -> str:
    return "enabled" if flag else "disabled"
