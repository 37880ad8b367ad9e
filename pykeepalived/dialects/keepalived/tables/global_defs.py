"""global_defs: the daemon, mail, scripts, LVS."""

# fmt: off

from __future__ import annotations

from typing import Any, Final

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.libraries import needs
from pykeepalived.dialects.keepalived.readers import UINT_MAX, Choice, Duration, Grammar, Integer, Text, WebhookUrl
from pykeepalived.dialects.keepalived.rows import (
    Options,
    Row,
    flag,
    many,
    maybe,
    options,
    script,
    switch,
    value,
    word_list,
)
from pykeepalived.dialects.keepalived.tables.common import (
    BYTE,
    GROUP,
    HOST,
    INTERFACE,
    LISTEN,
    MULTICAST,
    NAME,
    PATH,
    PORT,
    PROCESS_NAME,
    STRING,
    UNSIGNED,
    USER,
    WHOLE_SECONDS,
)
from pykeepalived.model.webhook import webhook_place
from pykeepalived.syntax import Statement
from pykeepalived.syntax.grammar import pp
from pykeepalived.units import SECOND_US

_IPVS_SECONDS: Final = Integer(0, 2_678_400, "seconds")

LVS_TIMEOUTS: Final = Options(
    "global_defs.lvs_timeouts",
    value("tcp", _IPVS_SECONDS, help="idle time of established TCP connections"),
    value("tcpfin", _IPVS_SECONDS, help="time after FIN"),
    value("udp", _IPVS_SECONDS, help="idle time of UDP"),
)

LVS_SYNC_DAEMON: Final = Options(
    "global_defs.lvs_sync_daemon",
    value("inst", NAME, field="instance", help="the instance whose state decides the role"),
    value("id", BYTE, field="sync_id", help="sync id, else the instance's virtual_router_id"),
    value("maxlen", Integer(1, 65507, "bytes"), field="max_length", help="largest sync packet"),
    value("port", PORT, help="UDP port, 8848 in the kernel"),
    value("ttl", Integer(1, 255), help="multicast TTL, 1 in the kernel"),
    value("group", MULTICAST, help="group to send to, 224.0.0.81 in the kernel"),
    slots=(("interface", INTERFACE), ("bare_id", BYTE), ("bare_instance", NAME), ("bare_instance_id", BYTE)),
    need="interface",
    soft=False,
)

_MASK_BITS: Final = {
    "IRUSR": 0o400, "IWUSR": 0o200, "IXUSR": 0o100, "IRWXU": 0o700, "IRGRP": 0o040, "IWGRP": 0o020, "IXGRP": 0o010,
    "IRWXG": 0o070, "IROTH": 0o004, "IWOTH": 0o002, "IXOTH": 0o001, "IRWXO": 0o007,
}  # fmt: skip


def _number_mask(tokens: pp.ParseResults) -> int:
    text = str(tokens[0])
    mask = int(text, 0 if text[:2].lower() == "0x" else 8 if text[0] == "0" else 10)
    if mask > 0o777:
        raise ValueError(text)
    return mask


UMASK: Final = Grammar(
    "OCTAL or BIT|BIT…",
    lambda: pp.Regex(r"0[xX][0-9A-Fa-f]{1,3}|[0-7]{1,4}(?![89])|\d{1,3}").set_parse_action(_number_mask)
    | pp.DelimitedList(pp.one_of(list(_MASK_BITS)), delim="|").set_parse_action(
        lambda tokens: sum({_MASK_BITS[str(token)] for token in tokens})
    ),
)

INCLUDE_CHECK: Final = Grammar(
    "[+|-]read|match|wildcard_match|brace_match",
    lambda: pp.Regex(r"[+-]?(?:read|match|wildcard_match|brace_match)"),
    "unknown-value",
)


def _at_least_one_option(context: Context, statement: Statement, draft: Draft, entry: Any) -> Any:
    del draft
    if not entry.values:
        context.error("missing-value", "`lvs_timeouts` needs one of tcp, tcpfin and udp", statement)
        return None
    return entry


def _recipients(context: Context, statement: Statement, draft: Draft, words: Any) -> Any:
    """Several blocks add up; an empty one is reported."""
    if not words:
        context.warning("empty-block", "the block `notification_email` is empty", statement)
        return None
    return [*draft.get("recipients", []), *words]


def _known_host(context: Context, statement: Statement, draft: Draft, given: Any) -> Any:
    """A name is looked up once, here; a server that is unknown gets no mails, and the word stays as it is."""
    del draft
    address = context.host.resolve(given[0])
    if address is None:
        context.error(
            "unknown-host",
            f"the mail server `{given[0]}` is not known, no mails are sent",
            statement,
            1,
            help="write an address, or a name that this machine can look up",
        )
    return (*given, address)


def _known_place(context: Context, statement: Statement, draft: Draft, url: Any) -> Any:
    """As `_known_host`, of a URL."""
    del draft
    host = webhook_place(url).host
    address = context.host.resolve(host)
    if address is None:
        context.error(
            "unknown-host",
            f"the web server `{host}` is not known, events are lost",
            statement,
            1,
            help="write an address, or a name that this machine can look up",
        )
    return (url, address)


def _not_zero(context: Context, statement: Statement, draft: Draft, duration_us: Any) -> Any:
    del draft
    if duration_us == 0:
        context.error("number-out-of-range", "0 is no time limit, 1 second is taken", statement, 1)
        return SECOND_US
    return duration_us


def _old_sync_id(context: Context, statement: Statement, draft: Draft, entry: Any) -> Any:
    del draft
    if "bare_id" in entry.values:
        context.warning(
            "deprecated-form",
            "a bare sync id is deprecated",
            statement,
            entry.places["bare_id"],
            help=f"write `id {entry.values['bare_id']}`",
        )
    return entry


GENERAL_ROWS: Final[tuple[Row, ...]] = (
    flag("process_names", field="process_names",
         help="names the children keepalived_vrrp, keepalived_lvs, keepalived_bfd"),
    value("process_name", PROCESS_NAME, field="process_name", default="keepalived", help="process name of the parent"),
    value("vrrp_process_name", PROCESS_NAME, field="vrrp_process_name", help="process name of the VRRP child"),
    value("checker_process_name", PROCESS_NAME, field="checker_process_name", help="process name of the checker child"),
    value("lvs_process_name", PROCESS_NAME, field="checker_process_name", replaced_by="checker_process_name",
          quiet=True,
          help="older spelling"),
    value("bfd_process_name", PROCESS_NAME, field="bfd_process_name", help="process name of the BFD child"),
    switch("use_symlink_paths", field="use_symlink_paths", since="2.4", help="run scripts by the path as written"),
    switch("set_supplementary_groups", field="set_supplementary_groups", since="2.4",
           help="scripts get all groups of their user"),
    value("router_id", STRING, field="router_id", default="host name", soft=True,
          help="name of this machine in mails and SNMP"),
    value("notification_email_from", STRING, maybe(STRING), field="sender", soft=True,
          help="sender of alert mails"),
    value("smtp_server", HOST, maybe(PORT), field="smtp_server", after=_known_host,
          help="mail relay; no mail without it"),
    value("smtp_helo_name", NAME, field="smtp_helo_name", default="host name", soft=True, help="name in HELO"),
    value("smtp_connect_timeout", WHOLE_SECONDS, field="smtp_connect_timeout_us", default="30", after=_not_zero,
          help="time limit of alert mails"),
    value("smtp_tls", Choice(("off", "starttls", "implicit")), field="smtp_tls", default="off", ours=True,
          help="mails go encrypted: after STARTTLS, or from the first byte; never without it then"),
    value("smtp_tls_ca", PATH, field="smtp_tls_ca_file", default="the system's", ours=True,
          help="PEM file of the authorities that the mail server's certificate may be from"),
    switch("smtp_tls_verify", field="smtp_tls_verify", default="on", ours=True,
           help="the certificate must be of the server that smtp_server names"),
    value("smtp_user", STRING, field="smtp_user", ours=True, help="login at the mail server, inside TLS only"),
    value("smtp_password", STRING, field="smtp_password", ours=True, help="password of smtp_user"),
    word_list("notification_email", STRING, field="recipients", after=_recipients,
              help="recipients of alert mails"),
    switch("smtp_alert", field="smtp_alert", help="default of smtp_alert everywhere"),
    switch("smtp_alert_vrrp", field="smtp_alert_vrrp",
           help="default of smtp_alert for instances and groups"),
    switch("smtp_alert_checker", field="smtp_alert_checker", help="default of smtp_alert for servers"),
    flag("no_email_faults", field="email_faults", constant=False, help="no mails for FAULT"),
    script("startup_script", field="startup_script", soft=True, help="run once before the children start"),
    value("startup_script_timeout", Integer(1, 1000, "seconds", scale=SECOND_US), field="startup_script_timeout_us",
          default="10", soft=True, help="time limit of startup_script"),
    script("shutdown_script", field="shutdown_script", soft=True, help="run after all children have ended"),
    value("shutdown_script_timeout", Integer(1, 1000, "seconds", scale=SECOND_US),
          field="shutdown_script_timeout_us", default="10", soft=True, help="time limit of shutdown_script"),
    switch("checker_log_all_failures", field="checker_log_all_failures",
           help="log every failed check"),
    value("dynamic_interfaces", maybe(Choice(("allow_if_changes",))), field="dynamic_interfaces",
          help="interfaces may be missing at start, come and go"),
    value("lvs_dataplane", Choice(("auto", "ipvs", "nftables")), field="lvs_dataplane", default="auto", ours=True,
          help="what balances the load: the kernel's IPVS, nftables, or the first of them that is there"),
    value("lvs_repair_interval", Duration(0, 86_400 * SECOND_US), field="lvs_repair_interval_us", default="60",
          ours=True, help="how often IPVS is compared with what it should hold and put right; 0: never"),
    value("lvs_check_workers", Integer(0, 64), field="lvs_check_workers", ours=True,
          help="processes that make the health checks; 0: the checker by itself; without it: by the load"),
    flag("lvs_nftables_masquerade", field="lvs_nftables_masquerade", ours=True,
         help="without IPVS: real servers see the director's address instead of the client's"),
    value("lvs_nftables_removed", Choice(("drain", "reset")), field="lvs_nftables_removed", default="drain", ours=True,
          help="without IPVS: TCP connections to a removed server go on to their end, or are broken"),
    options("lvs_timeouts", LVS_TIMEOUTS, required=0, field="lvs_timeouts", after=_at_least_one_option,
            help="connection timeouts of IPVS"),
    flag("lvs_flush", field="lvs_flush", help="remove all IPVS services at start"),
    value("lvs_flush_on_stop", maybe(Choice(("VS",))), field="lvs_flush_on_stop", help="how IPVS is emptied at stop"),
    value("lvs_flush_onstop", maybe(Choice(("VS",))), field="lvs_flush_on_stop", replaced_by="lvs_flush_on_stop",
          quiet=True,          help="older spelling"),
    options("lvs_sync_daemon", LVS_SYNC_DAEMON, field="sync_daemon", after=_old_sync_id,
            soft=True, help="synchronise IPVS connections between directors"),
    value("nftables_ipvs", maybe(NAME), field="nftables_ipvs", default="keepalived_ipvs",
          help="mark packets of groups, so that one fwmark service stands for all"),
    value("nftables_ipvs_priority", Integer(-2**31, 2**31 - 1), field="nftables_ipvs_priority", default="-1",
          help="priority of its chain"),
    value("nftables_ipvs_start_fwmark", Integer(1, UINT_MAX), field="nftables_ipvs_start_fwmark", default="1000",
          help="first firewall mark it uses"),
    flag("nftables_counters", field="nftables_counters", help="count packets in generated nftables rules"),
    value("notify_fifo", PATH, maybe(USER), maybe(GROUP), field="notify_fifo", soft=True,
          help="FIFO of all events"),
    script("notify_fifo_script", field="notify_fifo_script", soft=True,
           help="program that reads notify_fifo"),
    value("vrrp_notify_fifo", PATH, maybe(USER), maybe(GROUP), field="vrrp_notify_fifo",
          soft=True, help="FIFO of VRRP events"),
    script("vrrp_notify_fifo_script", field="vrrp_notify_fifo_script", soft=True,
           help="program that reads vrrp_notify_fifo"),
    flag("fifo_write_vrrp_states_on_reload", field="fifo_write_vrrp_states_on_reload",
         help="write all states again after a reload"),
    value("lvs_notify_fifo", PATH, maybe(USER), maybe(GROUP), field="lvs_notify_fifo",
          soft=True, help="FIFO of server events"),
    script("lvs_notify_fifo_script", field="lvs_notify_fifo_script", soft=True,
           help="program that reads lvs_notify_fifo"),
    value("script_user", USER, maybe(GROUP), field="script_user", default="keepalived_script, else root",
          soft=True, help="user of scripts without one of their own"),
    flag("enable_script_security", field="enable_script_security",
         help="refuse scripts of root that others than root could change"),
    switch("rs_init_notifies", field="rs_init_notifies", help="notify_up also when servers are added at start"),
    switch("no_checker_emails", field="no_checker_emails",
           help="mails on changes of servers only, not of single checks"),
    value("umask", UMASK, field="umask", default="0177", help="umask of the daemon and of what it starts"),
    value("random_seed", UNSIGNED, field="random_seed", help="seed of random times, for tests"),
)

SNMP_ROWS: Final[tuple[Row, ...]] = (
    value("snmp_socket", STRING, field="snmp_socket", default="unix:/var/agentx/master", soft=True,
          help="AgentX master"),
    flag("enable_traps", field="enable_traps", help="send traps"),
    flag("enable_snmp_vrrp", field="enable_snmp_vrrp",
         help="serve the VRRP tables of KEEPALIVED-MIB"),
    flag("enable_snmp_keepalived", field="enable_snmp_vrrp", replaced_by="enable_snmp_vrrp", quiet=True,
         help="older spelling"),
    flag("enable_snmp_rfc", field="enable_snmp_rfc", help="serve both RFC MIBs"),
    flag("enable_snmp_rfcv2", field="enable_snmp_rfcv2", help="serve the MIB of RFC 2787"),
    flag("enable_snmp_rfcv3", field="enable_snmp_rfcv3",
         help="serve the MIB of RFC 6527"),
    flag("enable_snmp_checker", field="enable_snmp_checker",
         help="serve the checker tables of KEEPALIVED-MIB"),
    value("snmp_vs_stats_update_interval", Duration(1_000, 30 * SECOND_US, places=3),
          field="snmp_vs_stats_update_interval", default="5",
          since="2.4", help="greatest age of statistics of virtual servers"),
    value("snmp_rs_stats_update_interval", Duration(1_000, 30 * SECOND_US, places=3),
          field="snmp_rs_stats_update_interval", default="0",
          since="2.4", help="greatest age of statistics of real servers"),
    flag("enable_dbus", field="enable_dbus", after=needs("jeepney", "dbus"),
         help="offer the D-Bus service"),
    value("dbus_service_name", NAME, field="dbus_service_name",
          default="org.keepalived.Vrrp1", soft=True,
          help="bus name"),
    value("dbus_no_interface_name", Text("NAME"), field="dbus_no_interface_name",
          since="2.4",
          help="path element for instances without interface"),
)

JOURNAL_ROWS: Final[tuple[Row, ...]] = (
    flag("journal_events", field="journal_events", ours=True,
         help="tell systemd's journal of each event, with fields KEEPALIVED_EVENT, KEEPALIVED_STATE and so on"),
)

WEBHOOK_ROWS: Final[tuple[Row, ...]] = (
    value("webhook_url", WebhookUrl(), field="webhook_url", after=_known_place, ours=True,
          help="each change of an instance or a server is posted there as JSON"),
    value("webhook_ca", PATH, field="webhook_ca", default="the system's", ours=True,
          help="PEM file of the authorities that its certificate may be from"),
    value("webhook_token", STRING, field="webhook_token", ours=True, help="bearer token, sent with https only"),
    value("webhook_timeout", Duration(SECOND_US // 10, 600 * SECOND_US), field="webhook_timeout", default="10",
          ours=True, help="time limit of one try; there are five, with growing pauses"),
)

FILE_ROWS: Final[tuple[Row, ...]] = (
    value("reload_check_config", maybe(PATH), field="reload_check_config", help="check a new file before a reload"),
    value("reload_time_file", PATH, field="reload_time_file", soft=True, help="file that holds the time of a reload"),
    flag("reload_repeat", field="reload_repeat", help="keep reload_time_file, so that it works every day"),
    value("reload_file", maybe(PATH), field="reload_file", help="file that exists while a reload goes on"),
    value("include_check", many(INCLUDE_CHECK, optional=True), field="include_check", default="none",
          help="how strict a plain `include` is from here on"),
    value("config_save_dir", PATH, field="config_save_dir", help="directory for copies of the configuration"),
    value("tmp_config_directory", PATH, field="tmp_config_directory", default="memory", soft=True,
          help="place of the flattened copy"),
    switch("data_use_instance", field="data_use_instance", help="instance names in the names of dump files"),
    value("json_version", Integer(1, 2), field="json_version", default="1", since="2.4",
          help="layout of the JSON file"),
    value("iproute_usr_dir", PATH, field="iproute_usr_dir", since="2.4",
          help="vendor directory of rt_tables and its like"),
    value("iproute_etc_dir", PATH, field="iproute_etc_dir", since="2.4",
          help="local directory of rt_tables and its like"),
    value("control_group", GROUP, field="control_group", ours=True,
          help="members of this group may use the control socket as root does"),
    value("control_read_group", GROUP, field="control_read_group", ours=True,
          help="members of this group may look through the control socket, and change nothing"),
    value("metrics_listen", maybe(LISTEN), field="metrics_listen", default="127.0.0.1:9165", ours=True,
          help="serve metrics and a status page there; without the word nowhere"),
    value("metrics_names", Choice(("mehdy", "gen2brain")), field="metrics_names", default="mehdy", ours=True,
          help="the exporter whose names the metrics of VRRP have"),
    value("state_dump_file", PATH, field="state_dump_file", since="2.4", help="name of the dumps of SIGUSR1"),
    value("stats_dump_file", PATH, field="stats_dump_file", since="2.4", help="name of the statistics file"),
    value("json_dump_file", PATH, field="json_dump_file", since="2.4", help="name of the JSON file"),
)
