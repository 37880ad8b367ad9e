"""Words of keepalived.conf to draw from: with a part of them in it, a file gives any struct of the model.

A pool is the inside of one block. Of each of its groups one alternative is taken, or none; `<1-9>` stands for a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

Group = tuple[str, ...]
Choose = Callable[[int], int | None]
"""Which of so many alternatives; None: none of them."""
Number = Callable[[int, int], int]

_NUMBER: Final = re.compile(r"<(-?\d+)-(-?\d+)>")

TIMES: Final[tuple[Group, ...]] = (
    ("retry <1-9>",),
    ("delay_before_retry <1-60>",),
    ("warmup <1-60>",),
    ("delay_loop <1-60>",),
    ("alpha",),
    ("log_all_failures",),
)
SOCKET: Final[tuple[Group, ...]] = (
    ("connect_ip 10.0.9.<1-254>",),
    ("connect_port <1-65535>",),
    ("bindto 10.0.8.<1-254>",),
    ("bind_port <1-65535>",),
    ("bind_if eth0", "bind_if eth1"),
    ("connect_timeout <1-60>",),
    ("fwmark <1-65535>",),
)
URL: Final[tuple[Group, ...]] = (
    ("path /a<1-99>",),
    ("digest 0123456789abcdef0123456789abcdef",),
    ("status_code <100-599>", "status_code 200-204 301"),
    ("virtualhost www.example.net",),
    ('json "a.b" "c d"', "json status up<1-9>"),
    (
        'regex "a[b c]+<1-9>"',
        'regex "x"\nregex_no_match',
        'regex "(?<n>\\d)"\nregex_options caseless multiline\nregex_min_offset <1-50>\nregex_max_offset <51-99>',
        'regex "y"\nregex_stack <1024-4096> <8192-65536>',
    ),
)
TRACKED: Final[tuple[Group, ...]] = (
    ("track_interface {\neth0 weight <-253-253>\neth1\n}", "track_interface {\neth1 weight <1-253> reverse\n}"),
    ("track_script {\ns1 weight <-253-253>\n}", "track_script {\ns1\ns2 weight 5 reverse\n}"),
    ("track_file {\nf1 weight <-254-254>\n}", "track_file {\nf1\nf2 weight 3 reverse\n}"),
    ("track_process {\np1 weight <-253-253>\n}", "track_process {\np1\np2 weight 4 reverse\n}"),
    ("track_bfd {\nb1 weight <-253-253>\n}", "track_bfd {\nb1\nb2 weight 6 reverse\n}"),
)
NOTIFIED: Final[tuple[Group, ...]] = (
    ("notify_master /usr/bin/true", 'notify_master "/usr/bin/true a b" nobody'),
    ("notify_backup /usr/bin/true root users",),
    ("notify_fault /usr/bin/true",),
    ("notify_stop /usr/bin/true",),
    ("notify /usr/bin/true", "notify \"/usr/bin/true 'a b' c\""),
    ("notify_priority_changes",),
    ("smtp_alert",),
)
ROUTES: Final[tuple[Group, ...]] = (
    (
        "10.<1-9>.0.0/16 via 10.0.0.9 dev eth0",
        "10.7.0.0/16 dev eth0 src 10.0.0.5 tos 0x10 table <1-250> protocol <1-250> scope link no_track",
        "prepend 10.7.0.0/16 dev eth0 metric <1-99> mtu lock 1400 rtt 300ms congctl lock cubic realms <1-9>",
        "blackhole 10.7.<0-99>.0/24",
        "2001:db8:1::/64 from 2001:db8:9::/64 via fe80::1 dev eth0 onlink pref low expires <1-99>",
    ),
    (
        "10.6.0.0/16 nexthop via 10.0.0.9 dev eth0 weight <1-9> onlink nexthop via 10.0.0.8 dev eth1 realms 4",
        "10.6.0.0/16 via 10.0.0.9 dev eth0 no_track",
        "10.6.0.0/16 via 10.0.0.9 dev eth0 vrf eth1",
        "10.6.0.0/16 dev eth0 encap ip id <1-99> dst 10.0.0.3 src 10.0.0.4 tos 4 ttl <1-9> flags 0x4",
        "10.6.0.0/16 via inet 10.0.0.9 dev eth0 encap mpls <16-99>/30 ttl <1-9> ttl-propagate enabled",
        "2001:db8:2::/64 dev eth0 encap ila <1-99>:2:3:4",
    ),
)
RULES: Final[tuple[Group, ...]] = (
    (
        "from 10.<1-9>.0.0/16 table <1-250> preference <1-9999>",
        "not to 10.1.0.0/16 tos 0x10 fwmark 0x10/0xff table 9 realms <1-9> preference 7",
        "from 10.1.0.0/16 goto <20000-30000> preference 8",
        "inet6 iif eth0 oif eth1 table 9 uidrange 1-9 preference 9",
    ),
    (
        "from all ipproto tcp sport 5-<6-99> dport 100-<101-999> table 9 preference 10 protocol <1-250> no_track",
        "from all suppress_prefixlength <0-32> table 9 preference 11",
        "from all suppress_ifgroup <1-9> tunnel-id <1-99> table 9 preference 12",
    ),
)
ADDRESSES: Final[tuple[Group, ...]] = (
    (
        "10.0.1.<1-254>/24 brd + dev eth0 label eth0:1 scope link",
        "10.0.1.5 peer 10.0.1.6 noprefixroute no_track",
        "2001:db8::<1-9>/64 home -nodad mngtmpaddr autojoin preferred_lft <0-99>",
        "10.0.1.<1-9>/32 dev eth1 scope host -nodad\n10.0.1.10/24 label eth0:2",
    ),
)
INSTANCE: Final[tuple[Group, ...]] = (
    *TRACKED,
    *NOTIFIED,
    (
        "state MASTER",
        "nopreempt\ntimer_expired_backup <1-254>",
        "preempt_delay <1-1000>",
        "nopreempt\nthread_timer_expired <1-254>",
        "preempt",
    ),
    ("version 3",),
    ("priority <1-254>", "priority 255\nowner_ignore_adverts"),
    ("advert_int <1-40>", "advert_int 0.<1-9>"),
    ("preempt_after_sync <1-3600>",),
    ("lvs_sync_daemon_interface eth1",),
    (
        "mcast_src_ip 10.0.0.<1-254>",
        "unicast_src_ip 10.0.0.<1-254>",
        "mcast_src_ip 10.0.0.<1-254>",
        "",
        "mcast_src_ip 2001:db8::<1-9>",
        "unicast_src_ip 2001:db8::<1-9>",
    ),
    (
        "mcast_dst_ip 224.0.0.<100-200>",
        "unicast_peer {\n10.0.0.<1-254>\n}",
        "unicast_peer {\n10.0.0.9 min_ttl <1-9> max_ttl <10-200>\n}\ncheck_unicast_src",
        "unicast_fault_no_peer\nunicast_peer {\n10.0.0.9\n}\nold_unicast_checksum",
        "mcast_dst_ip ff02::<1-99>",
        "unicast_peer {\n2001:db8::<1-99>\n}",
    ),
    ("unicast_ttl <1-255>",),
    (
        "authentication {\nauth_type PASS\nauth_pass x<1-99>\n}",
        "authentication {\nauth_type AH\nauth_pass secret\n}",
        'auth_hmac {\nkey <1-9> "0123456789abcdef0123456789abcdef"\n}',
        'auth_hmac {\nkey 1 "0123456789abcdef0123456789abcdef"\nkey 2 "fedcba9876543210fedcba9876543210"\n'
        "active_key 2\ntime_window <1-60>\nanti_replay monotonic\nmode permissive\n}",
    ),
    ("down_timer_adverts <1-100>",),
    ("garp_master_delay <1-60>",),
    ("garp_master_repeat <1-60>",),
    ("garp_master_refresh <1-60>",),
    ("garp_master_refresh_repeat <1-60>",),
    ("garp_lower_prio_delay <1-60>",),
    ("garp_lower_prio_repeat <1-60>",),
    ("garp_extra_if <1-60>", "garp_extra_if all <1-60>", "vmac_garp_intvl <1-60>"),
    ("no_accept", "accept"),
    ("", "no_virtual_ipaddress"),
    ("strict_mode off", "", "strict_mode"),
    ("dont_track_primary",),
    ("track_src_ip",),
    ("skip_check_adv_addr",),
    ("lower_prio_no_advert",),
    ("higher_prio_send_advert on", "higher_prio_send_advert off"),
    ("v3_checksum_as_v2",),
    ("promote_secondaries",),
    ("kernel_rx_buf_size <2048-65536>",),
    (
        "use_vmac",
        "use_vmac vmac1 02:00:00:00:00:0<1-9>\nuse_vmac_addr\nvmac_xmit_base",
        "use_vmac vmac1 netlink_notify_msg group <1-9>",
        "use_ipvlan ipv1 10.0.0.<1-254>/24 private",
        "vrf eth1",
    ),
    ("debug <0-4>",),
    ("notify_deleted", "notify_deleted /usr/bin/true"),
    ("notify_master_rx_lower_pri /usr/bin/true",),
    ("on_loss reinstate",),
    ("virtual_ipaddress_excluded {\n10.0.2.<1-254>/24\n}",),
)
GLOBALS: Final[tuple[Group, ...]] = (
    ("router_id lb<1-99>",),
    ("smtp_server 10.0.0.<1-254> <1-9999>", "smtp_server mail.example.net 587"),
    ("smtp_helo_name lb.example.net",),
    ("smtp_connect_timeout <1-99>",),
    ("smtp_tls starttls\nsmtp_user mailer\nsmtp_password secret<1-99>", "smtp_tls implicit"),
    ("smtp_tls_ca /etc/ssl/mail<1-9>.pem", "smtp_tls_verify off"),
    ("notification_email_from lb@example.net",),
    ("notification_email {\na@example.net\nb@example.net\n}",),
    ("no_email_faults",),
    ("no_checker_emails",),
    ("smtp_alert", "smtp_alert off"),
    ("smtp_alert_vrrp on", "smtp_alert_vrrp off"),
    ("smtp_alert_checker on",),
    ("vrrp_garp_master_delay <1-9>",),
    ("vrrp_garp_master_repeat <1-9>",),
    ("vrrp_garp_master_refresh <10-99>",),
    ("vrrp_garp_master_refresh_repeat <2-9>",),
    ("vrrp_garp_lower_prio_delay <1-9>",),
    ("vrrp_garp_lower_prio_repeat <1-9>",),
    ("vrrp_garp_extra_if <60-99>", "vrrp_garp_extra_if all <60-99>"),
    ("vrrp_down_timer_adverts <2-9>",),
    ("vrrp_lower_prio_no_advert",),
    ("vrrp_higher_prio_send_advert",),
    ("vrrp_check_unicast_src",),
    ("vrrp_skip_check_adv_addr",),
    ("vrrp_notify_priority_changes",),
    ("v3_checksum_as_v2",),
    ("use_symlink_paths",),
    ("script_user nobody", "script_user root users"),
    ("enable_script_security",),
    ("vrrp_mcast_group4 224.0.0.<100-200>",),
    ("vrrp_mcast_group6 ff02::<1-99>",),
    ("vrrp_startup_delay <1-99>.5",),
    ("vrrp_delay_after_boot <1-99>",),
    ("vrrp_garp_interval 0.<1-9>",),
    ("vrrp_gna_interval 0.<1-9>",),
    ("vrrp_rx_bufs_policy MTU", "vrrp_rx_bufs_policy <2000-9000>", "vrrp_rx_bufs_policy ADVERT"),
    ("vrrp_rx_bufs_multiplier <1-9>",),
    ("vrrp_netlink_cmd_rcv_bufs <2048-99999>",),
    ("vrrp_netlink_cmd_rcv_bufs_force",),
    ("vrrp_netlink_monitor_rcv_bufs <2048-99999>",),
    ("vrrp_netlink_monitor_rcv_bufs_force",),
    ("process_monitor_rcv_bufs <2048-99999>",),
    ("process_monitor_rcv_bufs_force",),
    ("lvs_netlink_cmd_rcv_bufs <2048-99999>",),
    ("lvs_netlink_cmd_rcv_bufs_force",),
    ("lvs_netlink_monitor_rcv_bufs <2048-99999>",),
    ("lvs_netlink_monitor_rcv_bufs_force",),
    ("dynamic_interfaces", "dynamic_interfaces allow_if_changes"),
    ("default_interface eth1",),
    ("disable_local_igmp",),
    ("vmac_prefix my",),
    ("vmac_addr_prefix 02:00:01",),
    (
        "nftables kept\nnftables_priority <-99-99>\nnftables_ifindex\nnftables_counters",
        "vrrp_iptables in<1-9> out",
        "vrrp_iptables\nvrrp_ipsets set<1-9> set6 if6",
        "nftables_ipvs marks\nnftables_ipvs_priority <-99-99>\nnftables_ipvs_start_fwmark <1-999>\nnftables_counters",
    ),
    ("startup_script /usr/bin/true",),
    ("startup_script_timeout <1-99>",),
    ("shutdown_script /usr/bin/true",),
    ("shutdown_script_timeout <1-99>",),
    ("lvs_flush",),
    ("vrrp_version 3", "vrrp_version 2"),
    ("", "", "vrrp_strict"),
    ("vrrp_owner_ignore_adverts",),
    ("vrrp_min_garp", "vrrp_vmac_garp_intvl all <2-9>"),
    ("lvs_check_workers <0-64>",),
    ("lvs_process_name pe",),
    ("metrics_listen 127.0.0.1:<1024-9999>", "metrics_listen /run/metrics<1-9>"),
    ("metrics_names mehdy", "metrics_names gen2brain"),
    ("control_group users", "control_read_group users"),
    ("include_check read match",),
    ("iproute_usr_dir /usr/share/iproute2", "iproute_etc_dir /etc/iproute2"),
    (
        "enable_snmp_vrrp\nsnmp_socket udp:127.0.0.1:<1000-9999>\nenable_traps",
        "enable_snmp_keepalived",
        "enable_snmp_checker",
        "enable_snmp_rfc",
        "enable_snmp_rfcv2",
        "enable_snmp_rfcv3",
    ),
    ("snmp_vs_stats_update_interval <1-30>", "snmp_rs_stats_update_interval 0.<1-9>"),
    ("enable_dbus\ndbus_service_name org.example.x<1-9>", "enable_dbus\ndbus_no_interface_name nowhere"),
    ("journal_events",),
    (
        "webhook_url http://10.0.0.<1-254>:<1-9999>/hook?a=<1-9>\nwebhook_timeout <1-60>",
        "webhook_url https://10.0.0.1/\nwebhook_ca /etc/ssl/hook.pem\nwebhook_token t<1-99>",
    ),
    ("lvs_flush_on_stop", "lvs_flush_on_stop VS"),
    ("lvs_timeouts tcp <1-99> tcpfin <1-99> udp <1-99>",),
    ("lvs_dataplane nftables",),
    ("lvs_repair_interval <1-99>",),
    ("lvs_nftables_masquerade",),
    ("lvs_nftables_removed reset",),
    (
        "lvs_sync_daemon eth0 A",
        "lvs_sync_daemon eth0 A id <1-255> maxlen <100-1000> port <1-9999> ttl 3 group 224.0.0.9",
    ),
    ("checker_log_all_failures",),
    ("rs_init_notifies",),
    ("notify_fifo /tmp/a<1-9>",),
    ("vrrp_notify_fifo /tmp/b",),
    ("lvs_notify_fifo /tmp/c",),
    ("notify_fifo_script /usr/bin/true",),
    ("vrrp_notify_fifo_script /usr/bin/true",),
    ("lvs_notify_fifo_script /usr/bin/true",),
    ("vrrp_rt_priority <1-99>",),
    ("vrrp_no_swap",),
    ("vrrp_priority <-20-19>",),
    ("checker_rt_priority <1-99>",),
    ("checker_no_swap",),
    ("checker_priority <-20-19>",),
    ("bfd_rt_priority <1-99>",),
    ("bfd_no_swap",),
    ("bfd_priority <-20-19>",),
    ("lvs_flush_onstop",),
    ("vrrp_rlimit_rtime <1-9999>\nchecker_rlimit_rtime <1-9999>\nbfd_rlimit_rtime <1-9999>",),
    ("umask 0027", "umask IRWXO"),
    ("process_names",),
    ("process_name pa<1-9>",),
    ("vrrp_process_name pb",),
    ("checker_process_name pc",),
    ("bfd_process_name pd",),
    ("vrrp_cpu_affinity 0 <1-3>",),
    ("checker_cpu_affinity 0",),
    ("bfd_cpu_affinity 0",),
    ("vrrp_rlimit_rttime <1-9999>",),
    ("checker_rlimit_rttime <1-9999>",),
    ("bfd_rlimit_rttime <1-9999>",),
    ("max_auto_priority <1-99>",),
    ("min_auto_priority_delay <1-99>",),
    ("set_supplementary_groups",),
    ("random_seed <0-99>",),
    ("reload_check_config", "reload_check_config /tmp/d"),
    ("reload_time_file /tmp/e\nreload_repeat",),
    ("reload_file /tmp/f",),
    ("config_save_dir /tmp/g",),
    ("tmp_config_directory /tmp",),
    ("data_use_instance",),
    ("json_version 2",),
    ("state_dump_file /tmp/h",),
    ("stats_dump_file /tmp/i",),
    ("json_dump_file /tmp/j",),
    ("fifo_write_vrrp_states_on_reload",),
    ("log_unknown_vrids",),
    ("vrrp_ready_gate <1-99>",),
)
ROOT_WORDS: Final[tuple[Group, ...]] = (
    ("instance one<1-9>",),
    ("net_namespace blue",),
    ("net_namespace_ipvs green",),
    ("namespace_with_ipsets",),
    ("use_pid_dir",),
    ("child_wait_time <1-99>",),
    ("linkbeat_use_polling", "linkbeat_interfaces {\neth0 MII\neth1\n}"),
    ("interface_up_down_delays {\neth0 <1-99>\neth1 <1-99> <1-99>\n}",),
    (
        "garp_group {\ngarp_interval 0.<1-9>\ngna_interval 0.<1-9>\ninterface eth0\n}",
        "garp_group {\ngarp_interval 1\ninterfaces {\neth0 eth1\n}\n}",
    ),
    ('SSL {\npassword x<1-9>\nca /etc/passwd\ncertificate /etc/passwd\nkey /etc/passwd\n}',),
    (
        "virtual_server_group G {\n10.3.0.<1-9>-<10-99> <1-9999>\n10.3.1.1 80\nfwmark <1-99>\nfwmark 5 inet6\n}\n"
        "virtual_server group G {\nreal_server 10.4.0.1 80 {\nPING_CHECK {\n}\n}\n}",
    ),
)  # fmt: skip
QUESTIONS: Final[Group] = (
    "script /usr/bin/true",
    "tcp 10.0.0.9 <1-65535>",
    "http 10.0.0.9 80 /alive",
    "unix_socket /run/alive<1-9>",
)
SCRIPT: Final[tuple[Group, ...]] = (
    ("interval <1-99>",),
    ("timeout <1-99>",),
    ("weight <-253-253>", "weight 5 reverse"),
    ("rise <1-9>",),
    ("fall <1-9>",),
    ("user nobody",),
    ("init_fail",),
)
FILE: Final[tuple[Group, ...]] = (
    ("weight <-254-254>", "weight 5 reverse"),
    ("init_file <1-9>", "init_file <1-9> overwrite"),
)
PROCESS: Final[tuple[Group, ...]] = (
    ("process /bin/sh", "process /bin/sh -c x",
     'process sh a y\nparam_match initial', "process sh\nparam_match partial"),
    ("weight <-253-253>", "weight 5 reverse"),
    ("slow_start <1-600>\nflap_limit 3 <10-99> 5",),
    ("quorum <1-9>",),
    ("quorum_max <10-99>",),
    ("fork_delay <1-9>",),
    ("terminate_delay <1-9>", "delay 0.<1-9>"),
    ("full_command",),
)  # fmt: skip
BFD: Final[tuple[Group, ...]] = (
    ("source_ip 10.0.0.<1-254>",),
    ("min_rx <1-999>",),
    ("min_tx <1-999>",),
    ("idle_tx <1000-9999>",),
    ("multiplier <1-255>",),
    ("passive",),
    ("multihop\nmax_hops <1-255>", "ttl <1-255>\nmax_hops <0-9>", "multihop", "hoplimit <1-255>"),
    ("weight <-253-253>", "weight 5 reverse"),
    ("vrrp", "checker"),
)
SERVICE: Final[tuple[Group, ...]] = (
    ("delay_loop <1-60>",),
    ("retry <1-9>",),
    ("delay_before_retry <1-60>",),
    ("warmup <1-60>",),
    ("connect_timeout <1-60>",),
    ("inhibit_on_failure",),
    ("lb_algo rr", "lb_algo sh\nsh-port\nsh-fallback", "lb_algo sh\nhashed", "lb_algo mh\nmh-port",
     "lvs_sched mh\nmh-fallback\nmh-port", "lvs_sched fo\nflag-1\nflag-3\nflag-2"),
    ("ip_family inet",),
    ("lb_kind DR", "lb_kind TUN", "lvs_method TUN type gue port <1-9999> remcsum"),
    ("persistence_timeout <1-999>",
     "persistence_timeout 60\npersistence_granularity 255.255.0.0\npersistence_engine sip"),
    ("protocol UDP\nops", "protocol TCP", "protocol SCTP"),
    ("alpha",),
    ("omega",),
    ("ha_suspend",),
    ("smtp_alert",),
    ("virtualhost www.example.net",),
    ("snmp_name v<1-9>",),
    ("quorum <1-9>",),
    ("hysteresis 1",),
    ("quorum_up /usr/bin/true",),
    ("quorum_down /usr/bin/true",),
    ("weight <1-9>",),
    (
        "sorry_server 10.5.0.<1-9> <1-9999>",
        "sorry_server 10.5.0.1 80\nsorry_server_inhibit\nsorry_server_lvs_method DR",
        "sorry_server 10.5.0.1 80\nsorry_server_lvs_method TUN type gre csum",
    ),
)  # fmt: skip
SERVER: Final[tuple[Group, ...]] = (
    ("weight <0-65535>",),
    ("lvs_method TUN", "lvs_method DR", "lvs_method NAT"),
    ("uthreshold <10-99>\nlthreshold <1-9>",),
    ("slow_start <1-600>", "slow_start 0", "slow_start 2.5"),
    ("flap_limit <1-9>", "flap_limit 0", "flap_limit 3 <10-99>", "flap_limit 2 60 <100-999>"),
    ("inhibit_on_failure",),
    ("notify_up /usr/bin/true",),
    ("notify_down '/usr/bin/true x'",),
    ("alpha",),
    ("smtp_alert off",),
    ("virtualhost www.example.net",),
    ("snmp_name r<1-9>",),
)
CHECKERS: Final[dict[str, tuple[Group, ...]]] = {
    "TCP_CHECK": (
        *SOCKET, *TIMES,
        ('send "hello <1-9>\\r\\n"\nexpect "^2[0-9]+ ok"', "send x", 'expect "ok"'),
    ),
    "PING_CHECK": (*SOCKET, *TIMES),
    "GRPC_CHECK": (
        *SOCKET, *TIMES, ("service shop.v<1-9>.Cart",), ("virtualhost w.example.net",),
        ("tls", "tls\nsni_name s.example.net", "tls\nverify\ncertificate_days <1-99>"),
    ),
    "HTTP_GET": (
        *SOCKET, *TIMES, ("virtualhost w.example.net",),
        ("http_protocol 1.1", "http_protocol 1.0C", "http_protocol 2"),
        ("fast_recovery",), ("nb_get_retry <1-9>",),
    ),
    "SSL_GET": (
        *SOCKET, *TIMES, ("verify",), ("certificate_days <1-99>",),
        ("enable_sni", "enable_sni\nsni_name s.example.net"), ("tls_compliant",),
    ),
    "SMTP_CHECK": (
        *SOCKET, *TIMES, ("helo_name h<1-9>",),
        ("host {\nconnect_port <1-9>\n}", "host {\nconnect_ip 10.0.9.9\n}\nhost {\nconnect_port 26\n}"),
    ),
    "DNS_CHECK": (*SOCKET, *TIMES, ("type AAAA", "type TXT"), ("name n<1-9>.example.net",)),
    "UDP_CHECK": (
        *SOCKET, *TIMES, ("payload 0<1-9>ff", "payload abcd"),
        ("require_reply", "require_reply 0<1-9>ffx7", "require_reply 01XX"),
        ("min_reply_length <1-99>",), ("max_reply_length <100-999>",),
    ),
    "MISC_CHECK": (*TIMES, ("misc_timeout <1-99>",), ("misc_dynamic",), ("user nobody",)),
    "FILE_CHECK": (("weight <-253-253>", "weight 5 reverse"),),
    "BFD_CHECK": (("alpha",),),
}  # fmt: skip
_NEEDED: Final = {
    "MISC_CHECK": 'misc_path "/usr/bin/true a"\n',
    "FILE_CHECK": "track_file f1\n",
    "BFD_CHECK": "name b1\n",
}


def _fill(text: str, number: Number) -> str:
    return _NUMBER.sub(lambda found: str(number(int(found[1]), int(found[2]))), text)


def draw(groups: Iterable[Group], choose: Choose, number: Number) -> str:
    """The lines of one block."""
    lines = []
    for group in groups:
        index = choose(len(group))
        if index is not None:
            lines.append(_fill(group[index], number))
    return "\n".join(lines)


def _checker(kind: str, choose: Choose, number: Number) -> str:
    text = _NEEDED.get(kind, "") + draw(CHECKERS[kind], choose, number)
    if kind in ("HTTP_GET", "SSL_GET"):
        more = (("tls_compliant on",),) if kind == "SSL_GET" else ()
        text += "".join(f"\nurl {{\n{draw((*URL, *more), choose, number) or 'path /'}\n}}" for _ in range(2))
    return f"{kind} {{\n{text}\n}}\n"


def document(choose: Choose, number: Number) -> str:
    """A whole file."""

    def pick(groups: Iterable[Group]) -> str:
        return draw(groups, choose, number)

    parts = [f"global_defs {{\n{pick(GLOBALS)}\n}}", pick(ROOT_WORDS)]
    parts.append(f"track_group tg {{\ngroup {{\nA {pick((('B',),))}\n}}\n}}")
    for name, pool, line in (
        ("static_ipaddress", ADDRESSES, "10.0.1.8/24 dev eth0 track_group tg"),
        ("static_routes", ROUTES, "10.66.0.0/16 via 10.0.0.9 dev eth0 track_group tg"),
        ("static_rules", RULES, "from all table 9 preference 111 track_group tg"),
    ):
        parts.append(f"{name} {{\n{pick((*pool, (line,)))}\n}}")
    for name in "12":
        asks = pick((QUESTIONS,)) or "script /usr/bin/true"
        parts.append(f"vrrp_script s{name} {{\n{asks}\n{pick(SCRIPT)}\n}}")
        parts.append(f"{pick((('vrrp_track_file',),)) or 'track_file'} f{name} {{\nfile /tmp/f{name}\n{pick(FILE)}\n}}")
        parts.append(f"vrrp_track_process p{name} {{\nprocess sh\n{pick(PROCESS)}\n}}")
        parts.append(
            f"bfd_instance b{name} {{\n{pick((('neighbour_ip',),)) or 'neighbor_ip'} 10.0.0.{name}\n{pick(BFD)}\n}}"
        )
    for vrid, name in enumerate("AB", 51):
        inner = pick(INSTANCE)
        for block, words in (("virtual_ipaddress", ADDRESSES), ("virtual_routes", ROUTES), ("virtual_rules", RULES)):
            more: tuple[Group, ...] = ()
            if block == "virtual_ipaddress":
                more = (("10.0.1.1", "10.0.1.2/24 dev eth0 use_vmac"),)
            lines = pick((*words, *more)) or ("10.0.1.1" if more else "")
            inner += f"\n{block} {{\n{lines}\n}}"
        parts.append(f"vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {vrid}\n{inner}\n}}")
    parts.append("vrrp_instance C {\nvrf eth1\nvirtual_router_id 60\nunicast_peer {\n10.0.0.9\n}\n}")
    parts.append("vrrp_instance D {\nversion 3\ninterface eth1\nnative_ipv6\nvirtual_router_id 61\n}")
    sync = pick((*TRACKED, *NOTIFIED, ("sync_group_tracking_weight",), ("global_tracking",)))
    parts.append(f"vrrp_sync_group S {{\ngroup {{\nA\nB\n}}\n{sync}\n}}")
    for index, head in enumerate(("10.2.0.1 80", "fwmark 7")):
        service = pick(SERVICE)
        for kind in CHECKERS:
            server = f"{pick(SERVER)}\n{_checker(kind, choose, number)}"
            service += f"\nreal_server 10.4.{index}.{len(service) % 250 + 1} <1-65535> {{\n{server}}}"
        parts.append(_fill(f"virtual_server {head} {{\n{service}\n}}", number))
    return "\n".join(parts) + "\n"
