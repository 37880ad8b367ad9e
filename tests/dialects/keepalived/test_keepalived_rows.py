"""The tables: every word of keepalived.conf has a row, and the row is complete."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pykeepalived.diagnostics import Severity
from pykeepalived.dialects.keepalived import load
from pykeepalived.dialects.keepalived.rows import Kind
from pykeepalived.dialects.keepalived.tables import LINES, TABLES, all_rows
from pykeepalived.dialects.keepalived.tables.global_vrrp import GLOBAL_DEFS
from pykeepalived.dialects.keepalived.tables.lvs import GROUP_ENTRY
from pykeepalived.model import GlobalDefs
from pykeepalived.model.agents import AgentSettings
from pykeepalived.model.daemon import DaemonSettings
from tests.dialects.keepalived.fake_host import FakeHost

WORDS = [line.split("\t") for line in Path(__file__).with_name("keywords.tsv").read_text().splitlines()[1:]]

#: Words that the reading of lines itself knows (`pykeepalived.syntax`); its tests are in tests/syntax.
OF_THE_LANGUAGE = {
    "include", "includer", "includem", "includew", "includeb", "includea", "$NAME=", "~SEQ", "~SEQx", "~LST", "@ID",
}  # fmt: skip
#: Words that are values of a row's argument, or stand for a slot of a line.
IN_READERS = {
    ("global_defs.include_check", word) for word in ("read", "match", "wildcard_match", "brace_match")
} | {
    ("global_defs.dynamic_interfaces", "allow_if_changes"),
    ("global_defs.lvs_flush_on_stop", "VS"),
    ("global_defs.notification_email", "ADDRESS"),
    ("global_defs.vrrp_rx_bufs_policy", "MTU"),
    ("global_defs.vrrp_rx_bufs_policy", "ADVERT"),
    ("interface_up_down_delays", "IFNAME"),
    ("vrrp_instance.use_vmac", "MAC"),
    ("vrrp_instance.use_ipvlan", "ADDR"),
    ("vrrp_instance.unicast_peer", "ADDR"),
    ("vrrp_instance.virtual_ipaddress", "ADDR"),
    ("vrrp_instance.virtual_routes", "DST"),
    ("virtual_server_group", "ADDR"),
    # keepalived takes it after scripts, files, processes and sessions, and refuses it after interfaces.
    ("vrrp_instance.track_interface", "noreverse"),
}  # fmt: skip
#: The static form of a line has these; the virtual form has not.
STATIC_ONLY = {
    ("vrrp_instance.virtual_ipaddress", "track_group"): "static_ipaddress",
    ("vrrp_instance.virtual_routes", "track_group"): "static_routes",
    ("vrrp_instance.virtual_rules", "track_group"): "static_rules",
}


def test_every_word_has_a_row() -> None:
    rows = {(context, row.name) for context, row in all_rows()}
    missing = []
    for context, word, _ in WORDS:
        if (context == "(root)" and word in OF_THE_LANGUAGE) or (context, word) in IN_READERS:
            continue
        if (STATIC_ONLY.get((context, word), context), word) not in rows:
            missing.append((context, word))
    assert missing == []
    assert len(WORDS) == 688


def test_no_row_is_invented_unless_it_says_so() -> None:
    known = {(context, word) for context, word, _ in WORDS} | {
        (static, word) for (_, word), static in STATIC_ONLY.items()
    }
    same_grammar = {
        "static_ipaddress": "vrrp_instance.virtual_ipaddress",
        "static_routes": "vrrp_instance.virtual_routes",
        "static_rules": "vrrp_instance.virtual_rules",
        "track_file.init_file": "",
        "virtual_server.lb_kind": "",
    }
    invented = set()
    for context, row in all_rows():
        home = same_grammar.get(context, context).replace("vrrp_sync_group.track", "vrrp_instance.track")
        if home and (home, row.name) not in known and not row.ours:
            invented.add((home, row.name))
    assert {word for context, word in invented if context == "global_defs"} == set()
    # Types of routes, words of encap and iproute2's short form of `protocol` are one entry each in the list of words.
    assert {context for context, _ in invented} <= {
        "vrrp_instance.virtual_routes", "vrrp_instance.track_interface", "vrrp_instance.track_script",
        "vrrp_instance.track_file", "vrrp_instance.track_process", "vrrp_instance.track_bfd", "linkbeat_interfaces",
        "virtual_server_group", "virtual_server.real_server.BFD_CHECK",
    }  # fmt: skip


def test_versions_are_noted() -> None:
    newer = {(context, word) for context, word, since in WORDS if since == "master"}
    for context, row in all_rows():
        if (context, row.name) in newer:
            assert row.since != "2.2.7", (context, row.name)


def test_rows_are_complete() -> None:
    for context, row in all_rows():
        where = (context, row.name)
        assert row.help and not row.help.endswith("."), where
        assert len(row.help) <= 100, where
        assert (row.kind is Kind.BLOCK) == (row.block is not None), where
        assert (row.kind in (Kind.LIST, Kind.OPTIONS)) == (row.options is not None), where
        if row.replaced_by:
            assert row.replaced_by.isidentifier(), where
    assert len({table.context for table in TABLES}) == len(TABLES)
    assert len({line.context for line in LINES}) == len(LINES)
    assert GROUP_ENTRY in LINES


def test_words_without_effect_say_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = GLOBAL_DEFS.rows
    for name in ("enable_dbus", "dbus_service_name"):
        monkeypatch.setitem(rows, name, msgspec.structs.replace(rows[name], later="tomorrow"))
    path = tmp_path / "keepalived.conf"
    path.write_text("global_defs {\n enable_dbus\n enable_dbus\n dbus_service_name a.b\n}\n")
    result = load(str(path), host=FakeHost())
    notes = [item for item in result.findings.items if item.id == "no-effect-yet"]
    assert [item.message.split("`")[1] for item in notes] == ["enable_dbus", "dbus_service_name"]
    assert notes[0].notes == ("used 2 times",)
    assert {item.severity for item in notes} == {Severity.NOTE}
    assert result.exit_class == 0
    assert result.config.globals.words == (
        ("enable_dbus", ()),
        ("enable_dbus", ()),
        ("dbus_service_name", ("a.b",)),
    )


def test_fields_of_global_words_exist_in_the_model() -> None:
    """A row in effect of global_defs has a field, or is a default that instances and servers take."""
    model = {*GlobalDefs.__struct_fields__, *DaemonSettings.__struct_fields__, *AgentSettings.__struct_fields__}
    inherited = {
        "smtp_tls", "smtp_tls_ca_file", "smtp_tls_verify", "smtp_user", "smtp_password",
        "sender", "smtp_server", "smtp_helo_name", "smtp_connect_timeout_us", "recipients", "smtp_alert",
        "smtp_alert_vrrp", "smtp_alert_checker", "email_faults", "no_checker_emails",
        "use_symlink_paths", "include_check", "v3_checksum_as_v2",
        "garp_delay_us", "garp_repeat", "garp_refresh_us", "garp_refresh_repeat", "garp_lower_prio_delay_us",
        "garp_lower_prio_repeat", "down_timer_adverts", "min_garp", "garp_extra_if", "lower_prio_no_advert",
        "higher_prio_send_advert", "version", "check_unicast_src", "skip_check_adv_addr", "strict",
        "notify_priority_changes", "owner_ignore_adverts", "ready_gate",
        "nftables", "nftables_priority", "nftables_ifindex", "nftables_counters", "vrrp_iptables", "vrrp_ipsets",
        "nftables_ipvs", "nftables_ipvs_priority", "nftables_ipvs_start_fwmark", "enable_snmp_rfc",
    }  # fmt: skip
    for context, row in all_rows():
        if context == "global_defs" and row.later is None:
            assert row.field in model | inherited, row.name
    assert msgspec.structs.asdict(GlobalDefs())["lvs_dataplane"] == "auto"
