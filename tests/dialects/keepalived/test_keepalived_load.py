"""What comes out of a load: model, defaults, inheritance, scripts, exit classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived import LoadResult, load
from pykeepalived.lvs.desired import services_of
from pykeepalived.model import (
    AuthType,
    Family,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    GroupAddress,
    GroupFwmark,
    HttpCheck,
    HttpUrl,
    IpPrefix,
    MiscCheck,
    Protocol,
    SmtpCheck,
    SorryServer,
    TcpCheck,
    TrackedInterface,
    TrackedScript,
    TunnelType,
    UdpCheck,
    UnicastPeer,
    User,
    VirtualServer,
    VrrpInstance,
    VrrpState,
)
from pykeepalived.tools.convert import Format, convert
from tests.dialects.keepalived.fake_host import FakeHost

INSTANCE = "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {{ 10.0.0.1 }}\n{}\n}}\n"
SERVICE = "virtual_server 10.0.0.5 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{}\n}}\n"
SECURE = "global_defs {\n enable_script_security\n script_user root\n}\n"


@pytest.fixture
def read(tmp_path: Path):  # type: ignore[no-untyped-def]
    def reading(text: str, host: FakeHost | None = None, **more: object) -> LoadResult:
        path = tmp_path / "keepalived.conf"
        path.write_text(text, encoding="utf-8")
        return load(str(path), host=host or FakeHost(), **more)  # type: ignore[arg-type]

    return reading


def ids(result: LoadResult) -> list[str]:
    return [item.id for item in result.findings.items if item.id != "no-effect-yet"]


def instance(result: LoadResult) -> VrrpInstance:
    (found,) = result.config.instances
    return found


def service(result: LoadResult) -> VirtualServer:
    (found,) = result.config.virtual_servers
    return found


# ── VRRP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_defaults_of_an_instance(read) -> None:  # type: ignore[no-untyped-def]
    found = instance(read(INSTANCE.format("")))
    assert (found.version, found.priority, found.advert_interval_us) == (2, 100, 1_000_000)
    assert found.initial_state is VrrpState.BACKUP
    assert (found.garp.delay_us, found.garp.repeat, found.garp.lower_prio_repeat) == (5_000_000, 5, 5)
    assert found.addresses[0].prefix == IpPrefix("10.0.0.1", 32)
    assert found.accept and not found.nopreempt and not found.smtp_alert


def test_master_without_priority_owns_the_addresses(read) -> None:  # type: ignore[no-untyped-def]
    assert instance(read(INSTANCE.format(" state MASTER"))).priority == 255


def test_garp_words_are_inherited_from_global_defs(read) -> None:  # type: ignore[no-untyped-def]
    text = "global_defs {\n vrrp_garp_master_delay 2\n vrrp_garp_master_repeat 3\n}\n"
    garp = instance(read(text + INSTANCE.format(" garp_master_repeat 7"))).garp
    assert (garp.delay_us, garp.repeat) == (2_000_000, 7)
    assert (garp.lower_prio_delay_us, garp.lower_prio_repeat) == (2_000_000, 3)
    minimal = instance(read("global_defs {\n vrrp_min_garp\n}\n" + INSTANCE.format(""))).garp
    assert (minimal.delay_us, minimal.repeat, minimal.refresh_us) == (0, 1, 0)


def test_flags_follow_global_defs_and_the_own_word_wins(read) -> None:  # type: ignore[no-untyped-def]
    text = "global_defs {\n vrrp_lower_prio_no_advert\n vrrp_check_unicast_src\n vrrp_down_timer_adverts 7\n}\n"
    found = instance(read(text + INSTANCE.format(" lower_prio_no_advert off")))
    assert (found.lower_prio_no_advert, found.check_unicast_src, found.down_timer_adverts) == (False, True, 7)


def test_ipv6_is_version_3(read) -> None:  # type: ignore[no-untyped-def]
    text = "vrrp_instance V { interface eth0\n virtual_router_id 5\n virtual_ipaddress { fe80::1/64 }\n}\n"
    result = read(text)
    assert (instance(result).version, ids(result)) == (3, [])
    assert instance(result).addresses[0].prefix == IpPrefix("fe80::1", 64)


@pytest.mark.parametrize(
    ("words", "taken_us"),
    [("advert_int 1.5", 2_000_000), ("advert_int 2.4", 2_000_000), ("advert_int 0.2", 1_000_000),
     ("version 3\n advert_int 0.015", 20_000), ("version 3\n advert_int 50", 40_950_000)],
)  # fmt: skip
def test_advert_intervals_are_rounded_to_what_the_wire_has(read, words: str, taken_us: int) -> None:  # type: ignore[no-untyped-def]
    result = read(INSTANCE.format(words))
    assert instance(result).advert_interval_us == taken_us
    assert ids(result) == ["advert-interval-rounded"]


def test_authentication(read) -> None:  # type: ignore[no-untyped-def]
    words = " authentication {\n auth_type AH\n auth_pass 123456789\n}"
    result = read(INSTANCE.format(words))
    found = instance(result).authentication
    assert found is not None
    assert (found.type, found.password) == (AuthType.AH, b"12345678")
    assert ids(result) == ["password-too-long"]


def test_a_password_in_latin_1_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "k.conf"
    words = b" authentication {\n auth_type PASS\n auth_pass gr\xfc\xdfe\n}"
    path.write_bytes(INSTANCE.format("@").encode().replace(b"@", words))
    found = instance(load(str(path), host=FakeHost())).authentication
    assert found is not None and found.password == b"gr\xfc\xdfe"


def test_addresses_with_options(read) -> None:  # type: ignore[no-untyped-def]
    words = " virtual_ipaddress_excluded {\n 10.1.0.9/24 brd + dev eth1 scope link label eth1:1 no_track\n"
    words += " 10.2.0.1/16 broadcast - peer 10.9.0.1/32\n 2001:DB8::1/64 -nodad preferred_lft forever\n}"
    one, two, three = instance(read(INSTANCE.format(words))).excluded_addresses
    assert (one.broadcast, one.dev, one.scope, one.label, one.no_track) == ("10.1.0.255", "eth1", 253, "eth1:1", True)
    assert (two.broadcast, two.peer) == ("10.2.0.0", IpPrefix("10.9.0.1", 32))
    assert (three.prefix.address, three.dad, three.preferred_lft_s) == ("2001:db8::1", True, None)


def test_unicast_peers(read) -> None:  # type: ignore[no-untyped-def]
    words = " unicast_peer {\n 10.0.0.2\n 10.0.0.3 min_ttl 3 max_ttl 9\n}"
    assert instance(read(INSTANCE.format(words))).unicast_peers == (
        UnicastPeer("10.0.0.2"),
        UnicastPeer("10.0.0.3", 3, 9),
    )


def test_trackers_and_their_weights(read) -> None:  # type: ignore[no-untyped-def]
    text = SECURE + "vrrp_script a {\n script /usr/bin/true\n weight 5 reverse\n}\n"
    text += "vrrp_script b {\n script /usr/bin/true\n interval 0.5\n timeout 3\n rise 2\n fall 4\n init_fail\n}\n"
    words = " track_script {\n a\n b weight -7\n}\n track_interface {\n eth1 weight 10 reverse\n}"
    result = read(text + INSTANCE.format(words))
    assert ids(result) == []
    assert instance(result).track_scripts == (TrackedScript("a", None, True), TrackedScript("b", -7, False))
    assert instance(result).track_interfaces == (TrackedInterface("eth1", 10, True),)
    _, script = result.config.scripts
    assert (script.interval_us, script.timeout_us, script.rise, script.fall) == (500_000, 3_000_000, 2, 4)
    assert script.init_fail and script.script.argv == ("/usr/bin/true",)


def test_sync_group_takes_weights_away(read) -> None:  # type: ignore[no-untyped-def]
    text = SECURE + "vrrp_script a {\n script /usr/bin/true\n weight 5\n}\nvrrp_script b {\n script /usr/bin/true\n}\n"
    text += INSTANCE.format(" track_script {\n a\n b\n}\n track_interface {\n eth1 weight 3\n}")
    text += INSTANCE.format("").replace("VI_1", "VI_2").replace("id 5", "id 6")
    group = "vrrp_sync_group G {{\n group {{\n VI_2\n VI_1\n}}\n{}\n}}\n"
    result = read(group.format("") + text)
    assert result.config.sync_groups[0].members == ("VI_2", "VI_1")
    assert result.config.instances[0].track_scripts == (TrackedScript("b"),)
    assert result.config.instances[0].track_interfaces == (TrackedInterface("eth1"),)
    assert ids(result) == ["weight-in-group", "weight-in-group"]
    allowed = read(group.format(" sync_group_tracking_weight") + text)
    assert len(allowed.config.instances[0].track_scripts) == 2
    assert ids(allowed) == []


def test_strict_mode(read) -> None:  # type: ignore[no-untyped-def]
    words = " version 3\n strict_mode\n state MASTER\n priority 100\n preempt_delay 0\n higher_prio_send_advert"
    result = read(INSTANCE.format(words))
    found = instance(result)
    assert (found.initial_state, found.accept, found.lower_prio_no_advert) == (VrrpState.BACKUP, False, True)
    assert not found.higher_prio_send_advert
    assert set(ids(result)) == {"strict-mode"}


# ── scripts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_command_lines_are_split_twice(read) -> None:  # type: ignore[no-untyped-def]
    words = """ notify_master "/usr/bin/true 'two words' three\\x41" nobody nogroup\n notify_backup /usr/bin/true"""
    found = instance(read(SECURE + INSTANCE.format(words)))
    assert found.notify_master is not None and found.notify_backup is not None
    assert found.notify_master.argv == ("/usr/bin/true", "two words", "threeA")
    assert found.notify_master.user == User("nobody", 65534, 65534)
    assert found.notify_backup.user == User("root", 0, 0)


def test_notify_deleted_may_stand_alone(read) -> None:  # type: ignore[no-untyped-def]
    found = instance(read(INSTANCE.format(" notify_deleted")))
    assert found.use_deleted_state and found.notify_deleted is None


def test_a_program_without_path_is_searched(read) -> None:  # type: ignore[no-untyped-def]
    result = read(SECURE + INSTANCE.format(" notify true"))
    assert instance(result).notify is not None
    assert instance(result).notify.argv == ("/usr/bin/true",)
    assert ids(result) == ["script-by-search"]
    assert result.exit_class is ExitClass.NONE


@pytest.mark.parametrize(
    ("path", "weak", "reason"),
    [
        ("/usr/bin/loose", "/usr/bin/loose", "mode 0777: everybody may write"),
        ("/usr/bin/group-writable", "/usr/bin/group-writable", "mode 0775: its group, gid 50, may write"),
        ("/usr/bin/of-nobody", "/usr/bin/of-nobody", "it belongs to uid 65534, mode 0755"),
        ("/share/script", "/share", "mode 0777: everybody may write"),
        ("/home/ann/script", "/home/ann", "it belongs to uid 1000, mode 0755"),
    ],
)
def test_what_others_may_change_does_not_run_as_root(  # type: ignore[no-untyped-def]
    read, path: str, weak: str, reason: str
) -> None:
    result = read(SECURE + INSTANCE.format(f" notify {path}"))
    assert instance(result).notify is None
    (item,) = result.findings.items
    assert item.id == "script-unsafe" and f"others may change `{weak}` ({reason})" in item.message
    # keepalived's -t looks at the rights of vrrp_scripts only.
    assert result.exit_class is ExitClass.NONE


def test_as_another_user_the_same_file_runs_unless_it_is_set_uid_root(read) -> None:  # type: ignore[no-untyped-def]
    assert instance(read(SECURE + INSTANCE.format(" notify /usr/bin/loose nobody"))).notify is not None
    assert ids(read(SECURE + INSTANCE.format(" notify /usr/bin/set-uid nobody"))) == ["script-unsafe"]


def test_without_security_root_runs_it_and_that_is_said_once(read) -> None:  # type: ignore[no-untyped-def]
    result = read(INSTANCE.format(" notify /usr/bin/loose\n notify_stop /usr/bin/true"))
    assert instance(result).notify is not None
    assert ids(result) == ["script-security"]
    assert result.exit_class is ExitClass.SECURITY


def test_with_security_root_is_no_default_user(read) -> None:  # type: ignore[no-untyped-def]
    host = FakeHost()
    text = "global_defs {\n enable_script_security\n}\n" + INSTANCE.format(" notify /usr/bin/true")
    assert ids(read(text, host)) == ["no-script-user"]
    host.accounts["keepalived_script"] = User("keepalived_script", 990, 990)
    found = instance(read(text, host)).notify
    assert found is not None and found.user == User("keepalived_script", 990, 990)


def test_a_script_that_its_user_may_not_run(read) -> None:  # type: ignore[no-untyped-def]
    result = read(SECURE + INSTANCE.format(" notify /usr/bin/private nobody\n notify_stop /etc/passwd"))
    assert ids(result) == ["script-not-executable", "script-not-executable"]
    assert instance(result).notify is None


# ── LVS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_times_and_retries_come_from_the_nearest_that_says_so(read) -> None:  # type: ignore[no-untyped-def]
    words = """ delay_loop 30
 retry 4
 connect_timeout 9
 real_server 10.0.1.1 80 {
  retry 2
  HTTP_GET { url { path /\n }\n delay_before_retry 7\n }
  TCP_CHECK { connect_port 81\n connect_ip 10.0.9.9\n connect_timeout 1.5 }
  SMTP_CHECK { }
 }
 real_server 10.0.1.2 { TCP_CHECK { } }"""
    one, two = service(read(SERVICE.format(words))).real_servers
    http, tcp, smtp = one.checkers
    assert isinstance(http.question, HttpCheck) and http.question.urls == (HttpUrl(path="/"),)
    assert (http.timing.retry, http.timing.delay_before_retry_us) == (2, 7_000_000)
    assert (http.timing.delay_loop_us, http.timing.warmup_us) == (30_000_000, 30_000_000)
    assert isinstance(tcp.question, TcpCheck)
    assert (tcp.question.socket.address, tcp.question.socket.port) == ("10.0.9.9", 81)
    assert (tcp.question.socket.timeout_us, http.question.socket.timeout_us) == (1_500_000, 9_000_000)
    assert isinstance(smtp.question, SmtpCheck) and smtp.question.helo_name == "smtpchecker.keepalived.org"
    assert (two.port, two.checkers[0].timing.retry) == (80, 4)
    assert two.checkers[0].timing.delay_before_retry_us == 1_000_000


def test_built_in_retries_differ_by_checker(read) -> None:  # type: ignore[no-untyped-def]
    words = " real_server 10.0.1.1 80 {\n HTTP_GET { url { path /\n } }\n DNS_CHECK { }\n MISC_CHECK {\n"
    words += ' misc_path "/usr/bin/true a"\n misc_timeout 3\n misc_dynamic\n}\n'
    words += " UDP_CHECK { payload 0a 0b\n require_reply 0x }\n}"
    http, dns, misc, udp = service(read(SECURE + SERVICE.format(words))).real_servers[0].checkers
    assert (http.timing.retry, http.timing.delay_before_retry_us) == (1, 3_000_000)
    assert (dns.timing.retry, dns.timing.delay_before_retry_us) == (3, 60_000_000)
    assert misc.timing.retry == 0
    assert isinstance(misc.question, MiscCheck) and misc.question.script.argv == ("/usr/bin/true", "a")
    assert (misc.question.timeout_us, misc.question.dynamic) == (3_000_000, True)
    assert isinstance(udp.question, UdpCheck)
    assert (udp.question.payload, udp.question.reply, udp.question.reply_mask) == (b"\n\x0b", b"\0", b"\xf0")


def test_http_details(read) -> None:  # type: ignore[no-untyped-def]
    words = """ virtualhost vs.example
 real_server 10.0.1.1 443 {
  SSL_GET {
   http_protocol 1.0c
   sni_name sni.example
   url {
    path /a
    digest 69C520033AF926D40E7D5D832E3933F6
    status_code 200 300-302
    virtualhost url.example
    regex "a b\\\\.c it's"
    regex_options caseless
    regex_no_match
   }
   url { path /b\n status_code 404 }
  }
 }"""
    (spec,) = service(read(SERVICE.format(words))).real_servers[0].checkers
    question = spec.question
    assert isinstance(question, HttpCheck)
    assert (question.tls, question.enable_sni, question.sni_name) == (True, True, "sni.example")
    assert (question.virtualhost, question.protocol) == ("vs.example", "1.0C")
    one, two = question.urls
    assert one.digest == "69c520033af926d40e7d5d832e3933f6"
    assert (one.status_codes, two.status_codes) == (((200, 200), (300, 302)), ((404, 404),))
    assert (one.regex, one.regex_options, one.regex_no_match) == ("a b\\.c it's", ("caseless",), True)


def test_a_check_that_cannot_be_made_is_named(read) -> None:  # type: ignore[no-untyped-def]
    words = ' real_server 10.0.1.1 80 {\n HTTP_GET { url {\n path /\n regex "("\n} }\n}'
    result = read(SERVICE.format(words))
    (item,) = result.findings.items
    assert (item.id, item.exit_class) == ("check-unavailable", ExitClass.NONE)
    assert len(service(result).real_servers[0].checkers) == 1


def test_service_details(read) -> None:  # type: ignore[no-untyped-def]
    words = """ lb_algo sh
 sh-port
 sh-fallback
 persistence_granularity 255.255.255.0
 quorum 3
 hysteresis 1
 sorry_server 10.0.9.1
 sorry_server_inhibit
 sorry_server_lvs_method DR
 weight 5
 inhibit_on_failure
 alpha
 real_server 10.0.1.1 80 { weight 0 }
 real_server 10.0.1.2 80 { lvs_method TUN type gue port 6080 csum\n inhibit_on_failure off\n smtp_alert off }"""
    found = service(read(SERVICE.format(words)))
    assert (found.scheduler, found.scheduler_flags) == ("sh", 3)
    assert (found.persistence_prefix, found.persistence_timeout_s) == (24, 360)
    assert (found.quorum, found.hysteresis) == (3, 1)
    assert found.sorry_server == SorryServer(
        address="10.0.9.1", port=0, forwarding=Forwarding(ForwardingMethod.DR), inhibit=True
    )
    one, two = found.real_servers
    assert (one.weight, one.inhibit_on_failure, one.alpha, one.smtp_alert) == (0, True, True, True)
    assert (two.weight, two.inhibit_on_failure, two.smtp_alert) == (5, False, False)
    assert two.forwarding == Forwarding(ForwardingMethod.TUN, TunnelType.GUE, 6080, "csum")


@pytest.mark.parametrize("kind", ["NAT", "DR"])
def test_port_0_of_a_real_server_is_the_port_of_the_service(read, kind: str) -> None:  # type: ignore[no-untyped-def]
    found = service(result := read(SERVICE.replace("NAT", kind).format(" real_server 10.0.1.1 0 {\n }\n")))
    assert (found.real_servers[0].port, ids(result)) == (80, [])


@pytest.mark.parametrize(("address", "kept"), [("10.0.0.1", None), ("2001:db8::1", 64)])
def test_the_granularity_of_a_mark_is_of_the_family_of_its_servers(read, address: str, kept: int | None) -> None:  # type: ignore[no-untyped-def]
    text = "virtual_server fwmark 8 {{\n lb_algo rr\n lb_kind DR\n persistence_granularity 64\n{}}}\n"
    result = read(text.format(f" real_server {address} 0 {{\n }}\n"))
    assert service(result).persistence_prefix == kept
    assert int(result.exit_class) == 0
    written = convert({"x": ""}, Format.KEEPALIVED, Format.LDIRECTORD, keepalived=result.config).text
    assert ("netmask=64" in written) is (kept is not None)


def test_a_mark_is_one_service_for_each_family_of_its_servers(read) -> None:  # type: ignore[no-untyped-def]
    mark = "virtual_server fwmark 80 {{\n lb_algo rr\n lb_kind DR\n real_server {} 0 {{\n }}\n}}\n"
    result = read(mark.format("10.0.0.1") + mark.format("2001:db8::1") + mark.format("10.0.0.2"))
    assert [item.id for item in result.findings.items if item.id == "duplicate-service"] == ["duplicate-service"]
    servers = result.config.virtual_servers
    assert [each.real_servers[0].address for each in servers] == ["10.0.0.1", "2001:db8::1"]
    assert [ref.key for ref in services_of(result.config)] == ["FWM 80", "FWM 80 IPv6"]


def test_marks_and_groups(read) -> None:  # type: ignore[no-untyped-def]
    text = "virtual_server_group G {\n 10.0.0.9 80\n 10.0.0.1-3 80\n 2001:db8::1-ff 81\n fwmark 7 inet6\n}\n"
    text += (
        "virtual_server fwmark 5 {\n ip_family inet6\n lb_algo rr\n lb_kind NAT\n real_server 2001:db8::9 80 { }\n}\n"
    )
    result = read(text)
    assert ids(result) == []
    assert result.config.virtual_server_groups[0].entries == (
        GroupAddress("10.0.0.9", "10.0.0.9", 80),
        GroupAddress("10.0.0.1", "10.0.0.3", 80),
        GroupAddress("2001:db8::1", "2001:db8::ff", 81),
        GroupFwmark(7, Family.INET6),
    )
    found = service(result)
    assert (found.selector, found.protocol, found.family) == (FwmarkSelector(5), None, Family.INET6)


def test_missing_words_of_a_service_are_said_and_filled(read) -> None:  # type: ignore[no-untyped-def]
    found = service(result := read("virtual_server 10.0.0.5 80 {\n real_server 10.0.1.1 80 { }\n}\n"))
    assert (found.protocol, found.scheduler, found.forwarding.method) == (Protocol.UDP, "wlc", ForwardingMethod.NAT)
    assert ids(result) == ["default-taken"] * 3


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_several_global_defs_add_up(read) -> None:  # type: ignore[no-untyped-def]
    text = "global_defs {\n router_id a\n notification_email { x@a }\n lvs_dataplane nftables\n}\n"
    text += "global_defs {\n router_id b\n notification_email { y@a }\n smtp_server 127.0.0.1 26\n}\n"
    found = read(text).config.globals
    assert (found.router_id, found.mail.recipients, found.lvs_dataplane) == ("b", ("x@a", "y@a"), "nftables")
    assert (found.mail.server, found.mail.port) == ("127.0.0.1", 26)


def test_globals(read) -> None:  # type: ignore[no-untyped-def]
    text = """use_pid_dir
instance one
child_wait_time 7
global_defs {
 lvs_flush
 lvs_flush_on_stop
 lvs_timeouts tcp 900 udp 30
 umask 0027
 vrrp_startup_delay 1.5
 vrrp_rt_priority 500
 startup_script "/usr/bin/true x" root
 enable_script_security
 dynamic_interfaces
 lvs_sync_daemon eth0 inst VI_1 id 5
}
"""
    result = read(text)
    found = result.config.globals
    assert (found.use_pid_dir, found.instance, found.child_wait_time_us) == (True, "one", 7_000_000)
    assert (found.lvs_flush, found.lvs_flush_on_stop, found.lvs_timeouts) == (True, "all", (900, 0, 30))
    assert (found.umask, found.startup_delay_us, found.vrrp_rt_priority) == (0o027, 1_500_000, 99)
    assert found.startup_script is not None and found.startup_script.argv == ("/usr/bin/true", "x")
    assert found.sync_daemon is not None and found.sync_daemon.sync_id == 5
    assert ids(result) == ["number-out-of-range"]


def test_a_moved_line_is_no_change(read) -> None:  # type: ignore[no-untyped-def]
    text = INSTANCE.format("") + SERVICE.format(" real_server 10.0.1.1 80 { }")
    assert read(text).config == read("# moved\n\n" + text.replace(" lb_algo", "\tlb_algo")).config


def test_no_file_at_all(tmp_path: Path) -> None:
    result = load(str(tmp_path / "nowhere.conf"), host=FakeHost())
    assert (result.found, result.exit_class, ids(result)) == (False, ExitClass.NONE, ["config-file-missing"])


@pytest.mark.parametrize(
    ("text", "refused"),
    [(INSTANCE.format(" priority"), True), (INSTANCE.format("").replace("eth0", "eth9"), True),
     (INSTANCE.format("") + INSTANCE.format("").replace("VI_1", "VI_2"), True), (INSTANCE.format(" foo"), False),
     ("global_defs {\n router_id\n}\n", False)],
)  # fmt: skip
def test_files_with_which_keepalived_does_not_start(read, text: str, refused: bool) -> None:  # type: ignore[no-untyped-def]
    result = read(text)
    assert result.exit_class is not ExitClass.NONE
    assert result.refused is refused


def test_unknown_interfaces_are_not_guessed(read) -> None:  # type: ignore[no-untyped-def]
    assert ids(read(INSTANCE.format("").replace("eth0", "eth9"), FakeHost(interfaces=None))) == []


def test_config_id_is_the_first_label_of_the_host_name(read) -> None:  # type: ignore[no-untyped-def]
    text = "@lb1 global_defs { router_id here }\n@other global_defs { router_id there }\n"
    result = read(text)
    assert (result.config_id, result.config.globals.router_id) == ("lb1", "here")
    assert read(text, config_id="other").config.globals.router_id == "there"


def test_environment_variables_come_from_the_caller(read) -> None:  # type: ignore[no-untyped-def]
    result = read("global_defs { router_id ${_ENV WHO}x }\n", environment={"WHO": "me"})
    assert result.config.globals.router_id == "mex"


def test_every_byte_of_a_name_can_be_printed(read) -> None:  # type: ignore[no-untyped-def]
    result = read("\x1b[31m {\n}\nvrrp_instance \x1b]0;x\x07 {\n}\n")
    assert all("\x1b" not in item.message + (item.help or "") for item in result.findings.items)
