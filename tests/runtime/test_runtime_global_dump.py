"""`Global definitions` of the dump files: what each word of global_defs changes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.dialects import keepalived
from pykeepalived.runtime.parent_dump import parent_dump


def dumped(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "x.conf"
    path.write_text(text)
    return parent_dump(keepalived.load(str(path)).config.globals).splitlines()


#: As Debian's keepalived and 2.4.3 order the lines that they share.
ORDER = (
    "Network namespace", "Network namespace ipvs", "Replace symlinks in script paths", "Router ID",
    "Default smtp_alert", "Default smtp_alert_vrrp", "Default smtp_alert_checker", "Checkers log all failures",
    "No test config before reload", "keep script symlinks", "Dynamic interfaces", "Disable local IGMP",
    "Use VRRPv2 checksum for VRRPv3 IPv4", "LVS flush", "LVS flush on stop", "FIFO write vrrp states on reload",
    "VRRP notify priority changes", "VRRP IPv4 mcast group", "VRRP IPv6 mcast group", "Gratuitous ARP delay",
    "Gratuitous ARP repeat", "Gratuitous ARP refresh timer", "Gratuitous ARP refresh repeat",
    "Gratuitous ARP lower priority delay", "Gratuitous ARP lower priority repeat", "Num adverts before down",
    "Gratuitous ARP for each secondary VMAC", "Send advert after receive lower priority advert",
    "Send advert after receive higher priority advert", "Gratuitous ARP interval", "Gratuitous NA interval",
    "VRRP default protocol version", "nftables without counters", "VRRP check unicast_src",
    "VRRP skip check advert addresses", "VRRP strict mode", "Max auto priority", "Min auto priority delay",
    "VRRP process priority", "VRRP don't swap", "VRRP realtime priority", "Checker process priority",
    "Checker don't swap", "Checker realtime priority", "BFD process priority", "BFD don't swap",
    "BFD realtime priority", "Script security disabled",
)  # fmt: skip


def test_without_a_word(tmp_path: Path) -> None:
    title, *lines = dumped(tmp_path, "vrrp_version 3\n")
    assert title == "------< Global definitions >------"
    labels = tuple(line[1:].partition(" = ")[0] for line in lines)
    assert labels[: len(ORDER)] == ORDER
    assert labels[-4:] == ("no_checker_emails", "rx_bufs_multiples", "umask", "json_version 1")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("router_id LB1", " Router ID = LB1"),
        ("smtp_server 192.0.2.1 26", " Smtp server port = 26"),
        ("smtp_server 192.0.2.1\nsmtp_helo_name me", " Smtp HELO name = me"),
        ("notification_email { a@b.c d@e.f }", "   d@e.f"),
        ("smtp_alert", " Default smtp_alert = on"),
        ("smtp_alert_checker no", " Default smtp_alert_checker = off"),
        ("checker_log_all_failures", " Checkers log all failures = true"),
        ("reload_check_config /tmp/x.log", " Test config before reload, log to /tmp/x.log"),
        ("reload_time_file /tmp/x.time", " Reload time file = /tmp/x.time"),
        ("use_symlink_paths", " keep script symlinks = true"),
        ("dynamic_interfaces", " Dynamic interfaces = true"),
        ("disable_local_igmp", " Disable local IGMP = yes"),
        ("v3_checksum_as_v2", " Use VRRPv2 checksum for VRRPv3 IPv4 = yes"),
        ("lvs_flush", " LVS flush = true"),
        ("lvs_flush_on_stop VS", " LVS flush on stop = VS"),
        ("lvs_timeouts tcp 7 udp 9", " LVS timeouts = tcp 7, tcpfin 0, udp 9"),
        ("fifo_write_vrrp_states_on_reload", " FIFO write vrrp states on reload = true"),
        ("vrrp_notify_priority_changes", " VRRP notify priority changes = true"),
        ("vrrp_mcast_group4 224.0.0.99", " VRRP IPv4 mcast group = 224.0.0.99"),
        ("vrrp_garp_master_delay 6", " Gratuitous ARP delay = 6"),
        ("vrrp_garp_master_repeat 7", " Gratuitous ARP repeat = 7"),
        ("vrrp_garp_master_refresh 8", " Gratuitous ARP refresh timer = 8"),
        ("vrrp_garp_master_refresh_repeat 9", " Gratuitous ARP refresh repeat = 9"),
        ("vrrp_garp_lower_prio_delay 10", " Gratuitous ARP lower priority delay = 10"),
        ("vrrp_garp_lower_prio_repeat 11", " Gratuitous ARP lower priority repeat = 11"),
        ("vrrp_down_timer_adverts 4", " Num adverts before down = 4"),
        ("vrrp_garp_extra_if 30", " Gratuitous ARP for each secondary VMAC = 30s"),
        ("vrrp_lower_prio_no_advert", " Send advert after receive lower priority advert = false"),
        ("vrrp_higher_prio_send_advert", " Send advert after receive higher priority advert = true"),
        ("vrrp_garp_interval 0.001", " Gratuitous ARP interval = 0.001000"),
        ("vrrp_version 3", " VRRP default protocol version = 3"),
        ("nftables_counters", " nftables with counters"),
        ("vrrp_check_unicast_src", " VRRP check unicast_src = true"),
        ("vrrp_skip_check_adv_addr", " VRRP skip check advert addresses = true"),
        ("vrrp_strict", " VRRP strict mode = true"),
        ("max_auto_priority 40", " Max auto priority = 40"),
        ("vrrp_priority -5", " VRRP process priority = -5"),
        ("checker_rt_priority 20", " Checker realtime priority = 20"),
        ("vrrp_no_swap", " VRRP don't swap = true"),
        ("enable_script_security", " Script security enabled"),
        ("script_user nobody", " Default script uid:gid 65534:65534"),
        ("lvs_netlink_cmd_rcv_bufs 70000", " lvs_netlink_cmd_rcv_bufs = 70000"),
        ("no_checker_emails", " no_checker_emails = 1"),
        ("rs_init_notifies", " rs_init_notifies = 1"),
        ("umask 0077", " umask = 077"),
        ("vrrp_startup_delay 1.5", " vrrp_startup_delay = 1.5"),
        ("json_version 2", " json_version 2"),
        ("process_names", " VRRP process name = keepalived_vrrp"),
        ("state_dump_file foo.data", " state dump file foo.data"),
        ("vrrp_notify_fifo /run/x", " VRRP notify fifo = /run/x, uid:gid 0:0"),
    ],
)  # fmt: skip
def test_with_a_word(tmp_path: Path, words: str, line: str) -> None:
    assert line not in dumped(tmp_path, "global_defs {\n}\n")
    assert line in dumped(tmp_path, f"global_defs {{\n{words}\n}}\n")
