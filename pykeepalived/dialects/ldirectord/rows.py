"""Every directive of ldirectord.cf, one row each: the parser, the hints, the help and the coverage come from here.

A row of scope REAL is a part of a `real=` line, not a directive of its own; the line is taken apart in `realline`,
which uses the readers of these rows.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from pykeepalived.dialects.ldirectord import readers as r
from pykeepalived.dialects.ldirectord.readers import Reader
from pykeepalived.dialects.ldirectord.services import CHECK_TYPES, SERVICES


class Scope(Enum):
    GLOBAL = "global"
    VIRTUAL = "virtual"
    REAL = "real"


class State(Enum):
    """What the word does in this program."""

    EFFECT = "in effect"
    LATER = "no effect yet"
    """Read and checked; a note says that nothing comes of it yet."""
    DEPRECATED = "deprecated"
    """In effect, with a warning."""
    UNUSED = "never used"
    """ldirectord stores it and never looks at it; so do we, with a warning."""
    REMOVED = "removed"
    """An error that names the successor."""


class Row(msgspec.Struct, frozen=True):
    scope: Scope
    name: str
    reader: Reader
    default: str
    """In words; empty: not set."""
    field: str
    """Where it lands in the model."""
    help: str
    state: State = State.EFFECT
    repeatable: bool = False


_G, _V, _R = Scope.GLOBAL, Scope.VIRTUAL, Scope.REAL
_REMOVED = State.REMOVED

_SECONDS: Final = r.number("a positive number of seconds", least=1)
_COUNT: Final = r.number("a positive number", least=1)
_REPEAT: Final = r.number("a number of seconds, 0 for never", strict_start=True)
_YES_NO: Final = r.yes_no()
_COMMAND: Final = r.rest_of_line("a command")
_EITHER_COMMAND: Final = r.optionally_quoted("a command")
_MAILS: Final = r.mail_addresses()
_STATES: Final = r.mail_states()
_SMTP: Final = r.smtp_host()
_FALLBACK: Final = r.raw("HOST[:PORT] [gate|masq|ipip]")
_NOTE: Final = r.rest_of_line("text", empty=True)
_GONE: Final = r.raw("nothing any more")
_SERVICE_WORDS: Final = (
    "dns, ftp, http, https, http_proxy, imap, imaps, ldap, ldaps, mysql, nntp, none, oracle, pgsql, pop, \
pops, radius, simpletcp, sip, smtp or submission"
)

_GLOBAL_ROWS: Final = (
    Row(_G, "virtual", r.raw("ADDRESS:PORT or a firewall mark"), "", "Config.virtual_servers",
        "opens a section: a virtual service by address and port, or by firewall mark", repeatable=True),
    Row(_G, "virtual6", r.raw("[ADDRESS]:PORT or a firewall mark"), "", "Config.virtual_servers",
        "opens a section: a virtual service over IPv6", repeatable=True),
    Row(_G, "checktimeout", _SECONDS, "5", "SocketOptions.timeout_us",
        "limit of connect, ping and external checks; also of negotiate when negotiatetimeout is not set"),
    Row(_G, "negotiatetimeout", _SECONDS, "30", "NegotiateCheck.socket.timeout_us", "limit of negotiate checks"),
    Row(_G, "checkinterval", _SECONDS, "10", "CheckTiming.delay_loop_us", "pause between two checks of a real server"),
    Row(_G, "checkcount", _COUNT, "1", "PingCheck.attempts", "attempts of a ping check", State.DEPRECATED),
    Row(_G, "failurecount", _COUNT, "1", "CheckTiming.retry", "failed checks in a row that take a real server down"),
    Row(_G, "autoreload", _YES_NO, "no", "LdirectordSettings.autoreload", "read the file again when it changed"),
    Row(_G, "callback", r.quoted("a program", empty=True), "", "LdirectordSettings.callback",
        "program that is run with the file's path after the file changed on disk"),
    Row(_G, "fallback", _FALLBACK, "", "VirtualServer.sorry_server",
        "server that answers for a virtual service without a live real server"),
    Row(_G, "fallback6", _FALLBACK, "", "VirtualServer.sorry_server", "fallback of virtual6 sections"),
    Row(_G, "fallbackcommand", _COMMAND, "", "VirtualServer.fallback_command",
        "shell command, run with start|stop VIP:PORT PROTOCOL when the last server dies and the first returns"),
    Row(_G, "logfile", r.quoted("a file or a syslog facility", empty=True), '"/var/log/ldirectord.log"',
        "LdirectordSettings.logfile", "where log lines go: a path, or the name of a syslog facility"),
    Row(_G, "emailalert", _MAILS, "", "MailAlert.recipients", "whom to mail about changes of real servers"),
    Row(_G, "emailalertfrom", r.rest_of_line("a mail address"), "", "LdirectordSettings.mail_sender",
        "From: of the mails"),
    Row(_G, "emailalertfreq", _REPEAT, "0", "MailAlert.frequency_s", "repeat a mail while the server is down"),
    Row(_G, "emailalertstatus", _STATES, "all", "MailAlert.states", "phases in which mail is sent"),
    Row(_G, "smtp", _SMTP, "", "MailAlert.smtp", "mail server to hand mails to"),
    Row(_G, "execute", r.rest_of_line("a configuration", empty=True), "", "LdirectordSettings.execute",
        "a further configuration file with a daemon of its own", repeatable=True),
    Row(_G, "supervised", _YES_NO, "no", "LdirectordSettings.supervised",
        "stay in the foreground and log to standard output"),
    Row(_G, "fork", _YES_NO, "no", "LdirectordSettings.fork",
        "ldirectord: one child per virtual service; here checks never wait for each other, and it lets sections have \
their own checkinterval"),
    Row(_G, "quiescent", _YES_NO, "no", "RealServer.inhibit_on_failure",
        "a dead real server stays in the table with weight 0"),
    Row(_G, "readdquiescent", _YES_NO, "no", "LdirectordSettings.readd_quiescent",
        "put a dead real server that is absent into the table with weight 0"),
    Row(_G, "cleanstop", _YES_NO, "yes", "VirtualServer.cleanstop", "take everything out of the table on stop"),
    Row(_G, "maintenancedir", r.rest_of_line("a directory"), "", "LdirectordSettings.maintenance_dir",
        "a file named after a real server in this directory takes it out"),
    Row(_G, "tlsverify", _YES_NO, "no", "TlsOptions.verify",
        "ours: the certificates of https, imaps, ldaps and pops servers must be trusted"),
    Row(_G, "tlsca", r.quoted("a file"), "the system's", "TlsOptions.ca_file",
        "ours: certificates of the authorities that are trusted instead of the system's"),
    Row(_G, "tlscert", r.quoted("a file"), "", "TlsOptions.certificate_file",
        "ours: our certificate, for servers that ask for one"),
    Row(_G, "tlskey", r.quoted("a file"), "", "TlsOptions.key_file",
        "ours: the key of tlscert, when it is not in the same file"),
    Row(_G, "timeout", _GONE, "", "", "removed: checktimeout and negotiatetimeout took its place", _REMOVED),
    Row(_G, "connecttimeout", _GONE, "", "", "removed: negotiatetimeout took its place", _REMOVED),
)  # fmt: skip

_VIRTUAL_ROWS: Final = (
    Row(_V, "real", r.raw("ADDRESS[:PORT] gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"] [l:N] [u:N]"), "",
        "VirtualServer.real_servers", "a real server, or one for each address of FIRST->LAST", repeatable=True),
    Row(_V, "real6", r.raw("[ADDRESS][:PORT] gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"] [l:N] [u:N]"), "",
        "VirtualServer.real_servers", "a real server of a virtual6 section", repeatable=True),
    Row(_V, "fallback", _FALLBACK, "global fallback", "VirtualServer.sorry_server",
        "server that answers while no real server of this section is alive"),
    Row(_V, "fallback6", _FALLBACK, "global fallback6", "VirtualServer.sorry_server", "fallback of a virtual6 section"),
    Row(_V, "fallbackcommand", _EITHER_COMMAND, "global fallbackcommand", "VirtualServer.fallback_command",
        "shell command, run with start|stop VIP:PORT PROTOCOL when the last server dies and the first returns"),
    Row(_V, "checktype", r.check_type(CHECK_TYPES), "negotiate", "RealServer.checkers",
        "kind of check; a number N means one negotiate, then N connects"),
    Row(_V, "service", r.keyword(SERVICES, _SERVICE_WORDS), "by the port, else none", "NegotiateCheck.service",
        "what a negotiate check speaks"),
    Row(_V, "checkcommand", _EITHER_COMMAND, "/bin/true", "ExternalCheck.command", "program of external checks"),
    Row(_V, "checkport", r.number("a port from 1 to 65535", least=1, most=65535), "the real server's port",
        "SocketOptions.port", "port that checks connect to"),
    Row(_V, "checktimeout", _SECONDS, "global checktimeout", "SocketOptions.timeout_us",
        "limit of connect, ping and external checks"),
    Row(_V, "negotiatetimeout", _SECONDS, "global negotiatetimeout", "NegotiateCheck.socket.timeout_us",
        "limit of negotiate checks"),
    Row(_V, "checkcount", _COUNT, "global checkcount", "PingCheck.attempts", "attempts of a ping check",
        State.DEPRECATED),
    Row(_V, "failurecount", _COUNT, "global failurecount", "CheckTiming.retry",
        "failed checks in a row that take a real server down"),
    Row(_V, "checkinterval", _SECONDS, "global checkinterval", "CheckTiming.delay_loop_us",
        "pause between two checks; counts with fork=yes only"),
    Row(_V, "request", r.quoted("text"), "/", "NegotiateCheck.request", "what to ask for"),
    Row(_V, "receive", r.quoted("a regular expression"), "", "NegotiateCheck.receive", "what the answer must contain"),
    Row(_V, "httpmethod", r.keyword(("GET", "HEAD"), "GET or HEAD", any_case=True), "GET", "NegotiateCheck.httpmethod",
        "method of http checks"),
    Row(_V, "virtualhost", r.optionally_quoted("a host name", empty=True), "the real server's address",
        "NegotiateCheck.virtualhost", "Host: of http checks"),
    Row(_V, "login", r.quoted("a user"), "", "NegotiateCheck.login", "user of the check"),
    Row(_V, "passwd", r.quoted("a password"), "", "NegotiateCheck.password", "password of the check"),
    Row(_V, "database", r.quoted("a database"), "", "NegotiateCheck.database", "database of SQL checks"),
    Row(_V, "secret", r.quoted("a secret"), "", "NegotiateCheck.secret", "secret of radius checks"),
    Row(_V, "load", r.quoted("text"), "", "", "nothing looks at it", State.UNUSED),
    Row(_V, "scheduler", r.scheduler(), "wrr", "VirtualServer.scheduler", "IPVS scheduler"),
    Row(_V, "persistent", r.number("a number of seconds"), "", "VirtualServer.persistence_timeout_s",
        "a client stays with its real server for so long"),
    Row(_V, "netmask", r.netmask(), "", "VirtualServer.persistence_prefix", "clients that count as one for persistent"),
    Row(_V, "schedflags", r.flags(), "", "VirtualServer.scheduler_flags", "flags of the scheduler"),
    Row(_V, "protocol", r.keyword(("tcp", "udp", "fwm"), "tcp or udp, or fwm for a firewall mark"), "tcp",
        "VirtualServer.protocol", "protocol of the virtual service"),
    Row(_V, "ops", _YES_NO, "no", "VirtualServer.one_packet", "one-packet scheduling of a UDP service"),
    Row(_V, "quiescent", _YES_NO, "global quiescent", "RealServer.inhibit_on_failure",
        "a dead real server stays in the table with weight 0"),
    Row(_V, "cleanstop", _YES_NO, "global cleanstop", "VirtualServer.cleanstop",
        "take the service out of the table on stop"),
    Row(_V, "monitorfile", r.optionally_quoted("a file", empty=True), "", "VirtualServer.monitor_file",
        "file that gets a line per check"),
    Row(_V, "emailalert", _MAILS, "global emailalert", "MailAlert.recipients", "whom to mail"),
    Row(_V, "emailalertfreq", _REPEAT, "global emailalertfreq", "MailAlert.frequency_s",
        "repeat a mail while the server is down"),
    Row(_V, "emailalertstatus", _STATES, "global emailalertstatus", "MailAlert.states",
        "phases of the daemon in which mail is sent"),
    Row(_V, "smtp", _SMTP, "global smtp", "MailAlert.smtp", "mail server to hand mails to"),
    Row(_V, "servicename", _NOTE, "", "VirtualServer.service_name", "name of the service in mails"),
    Row(_V, "comment", _NOTE, "", "VirtualServer.comment", "note in mails"),
    Row(_V, "tlsverify", _YES_NO, "global tlsverify", "TlsOptions.verify",
        "ours: the certificate of an https, imaps, ldaps or pops server must be trusted"),
    Row(_V, "tlsca", r.quoted("a file"), "global tlsca", "TlsOptions.ca_file",
        "ours: certificates of the authorities that are trusted instead of the system's"),
    Row(_V, "tlscert", r.quoted("a file"), "global tlscert", "TlsOptions.certificate_file",
        "ours: our certificate, for servers that ask for one"),
    Row(_V, "tlskey", r.quoted("a file"), "global tlskey", "TlsOptions.key_file",
        "ours: the key of tlscert, when it is not in the same file"),
    Row(_V, "tlsservername", r.quoted("a host name"), "", "TlsOptions.server_name",
        "ours: name sent to the server (SNI); with tlsverify its certificate must be for this name"),
    Row(_V, "connecttimeout", _GONE, "", "", "removed: negotiatetimeout took its place", _REMOVED),
)  # fmt: skip

_REAL_ROWS: Final = (
    Row(_R, "address", r.raw("an address or a host name"), "", "RealServer.address", "where the server is"),
    Row(_R, "range", r.raw("FIRST->LAST"), "", "VirtualServer.real_servers", "one server for each IPv4 address"),
    Row(_R, "port", r.raw("a port or a service name"), "0", "RealServer.port", "the server's port"),
    Row(_R, "forward", r.keyword(("gate", "masq", "ipip"), "gate, masq or ipip"), "", "RealServer.forwarding",
        "how packets reach it: direct routing, NAT or a tunnel"),
    Row(_R, "weight", r.number("a number"), "1", "RealServer.weight", "its share of the connections"),
    Row(_R, "request/receive pair", r.raw("\"REQUEST\", \"RECEIVE\""), "those of the section",
        "NegotiateCheck.request", "request and receive of this server"),
    Row(_R, "l:", r.number("a number"), "0", "RealServer.lower_threshold", "connections below which it takes new ones"),
    Row(_R, "u:", r.number("a number"), "0", "RealServer.upper_threshold", "connections above which it takes none"),
)  # fmt: skip

TABLE: Final[tuple[Row, ...]] = _GLOBAL_ROWS + _VIRTUAL_ROWS + _REAL_ROWS
GLOBAL: Final[dict[str, Row]] = {row.name: row for row in _GLOBAL_ROWS}
VIRTUAL: Final[dict[str, Row]] = {row.name: row for row in _VIRTUAL_ROWS}
REAL: Final[dict[str, Row]] = {row.name: row for row in _REAL_ROWS}

SECTION_HEADERS: Final = ("virtual", "virtual6")
