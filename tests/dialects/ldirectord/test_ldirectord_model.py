"""What directives become in the model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.dialects.ldirectord import LoadResult, load, load_text
from pykeepalived.dialects.ldirectord.rows import GLOBAL, TABLE, VIRTUAL, Scope, State
from pykeepalived.model import (
    AddressSelector,
    ExternalCheck,
    Family,
    ForwardingMethod,
    FwmarkSelector,
    NegotiateCheck,
    OffCheck,
    OnCheck,
    PingCheck,
    Protocol,
    TcpCheck,
    VirtualServer,
)
from pykeepalived.model.checks import CheckQuestion
from pykeepalived.units import SECOND_US
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost


def read(text: str) -> LoadResult:
    result = load_text(text, "test.cf", host=FakeHost())
    assert result.ok, [item.message for item in result.findings.items]
    return result


def service(*lines: str, head: str = "virtual=10.1.0.1:80", glob: str = "") -> VirtualServer:
    body = "".join(f"    {line}\n" for line in lines)
    return read(f"{glob}{head}\n{body}").config.virtual_servers[0]


def question(*lines: str, head: str = "virtual=10.1.0.1:80", glob: str = "") -> CheckQuestion:
    return service("real=10.1.1.1:80 masq", *lines, head=head, glob=glob).real_servers[0].checkers[0].question


SEED_SECTION = """quiescent=no
checktimeout=5
checkinterval=5
virtual=10.10.10.100:80
    real=10.0.0.10:80 masq 1
    real=10.0.0.20:80 masq 2
    fallback=127.0.0.1:80 gate
    service=http
    request="/test.html"
    receive="test page"
    scheduler=wlc
    persistent=30
    netmask=255.255.255.0
    protocol=tcp
"""


def test_a_web_service_as_a_whole() -> None:
    (server,) = read(SEED_SECTION).config.virtual_servers
    assert server.selector == AddressSelector("10.10.10.100", 80)
    assert (server.protocol, server.scheduler, server.persistence_timeout_s) == (Protocol.TCP, "wlc", 30)
    assert (server.persistence_prefix, server.quorum, server.cleanstop) == (24, 1, True)
    assert [(real.address, real.port, real.weight) for real in server.real_servers] == [
        ("10.0.0.10", 80, 1),
        ("10.0.0.20", 80, 2),
    ]
    assert all(real.alpha and not real.inhibit_on_failure for real in server.real_servers)
    sorry = server.sorry_server
    assert sorry is not None
    assert (sorry.address, sorry.port, sorry.weight, sorry.inhibit) == ("127.0.0.1", 80, 1, False)
    assert sorry.forwarding.method is ForwardingMethod.DR
    (spec,) = server.real_servers[0].checkers
    assert isinstance(spec.question, NegotiateCheck)
    assert (spec.question.service, spec.question.request, spec.question.receive) == ("http", "/test.html", "test page")
    assert (spec.question.socket.address, spec.question.socket.port) == ("10.0.0.10", 80)
    timing = spec.timing
    assert (timing.delay_loop_us, timing.delay_before_retry_us) == (5 * SECOND_US, 5 * SECOND_US)
    assert (timing.retry, timing.alpha, timing.first_failure_counts, timing.warmup_us) == (0, True, False, 0)


@pytest.mark.parametrize(
    ("section", "glob", "check_s", "negotiate_s"),
    [
        ((), "", 5, 30),
        ((), "checktimeout=7\n", 7, 7),
        ((), "negotiatetimeout=8\n", 8, 8),
        ((), "checktimeout=7\nnegotiatetimeout=8\n", 7, 8),
        (("checktimeout=3",), "checktimeout=7\nnegotiatetimeout=8\n", 3, 3),
        (("negotiatetimeout=4",), "checktimeout=7\nnegotiatetimeout=8\n", 4, 4),
        (("negotiatetimeout=4", "checktimeout=3"), "checktimeout=7\n", 3, 4),
    ],
)
def test_a_timeout_stands_in_for_the_other(section: tuple[str, ...], glob: str, check_s: int, negotiate_s: int) -> None:
    connect = question("checktype=connect", *section, glob=glob)
    negotiate = question("service=http", *section, glob=glob)
    assert isinstance(connect, TcpCheck)
    assert isinstance(negotiate, NegotiateCheck)
    assert connect.socket.timeout_us == check_s * SECOND_US
    assert negotiate.socket.timeout_us == negotiate_s * SECOND_US
    assert negotiate.connect_timeout_us == check_s * SECOND_US


def test_globals_count_for_sections_above_them() -> None:
    server = service("real=10.1.1.1:80 masq", glob="", head="virtual=10.1.0.1:80")
    assert not server.real_servers[0].inhibit_on_failure
    below = read("virtual=10.1.0.1:80\n    real=10.1.1.1:80 masq\nquiescent=yes\nfailurecount=3\n")
    real = below.config.virtual_servers[0].real_servers[0]
    assert real.inhibit_on_failure
    assert real.checkers[0].timing.retry == 2


def test_later_lines_win_and_sections_win_over_globals() -> None:
    server = service(
        "real=10.1.1.1:80 masq", "quiescent=no", "scheduler=rr", "scheduler=lc", "cleanstop=no", glob="quiescent=yes\n"
    )
    assert (server.scheduler, server.cleanstop) == ("lc", False)
    assert not server.real_servers[0].inhibit_on_failure


@pytest.mark.parametrize(
    ("lines", "head", "kind"),
    [
        (("checktype=connect",), "virtual=10.1.0.1:80", TcpCheck),
        (("checktype=connect", "protocol=udp"), "virtual=10.1.0.1:80", PingCheck),
        (("checktype=connect",), "virtual=10.1.0.1:domain", PingCheck),
        (("checktype=ping",), "virtual=10.1.0.1:80", PingCheck),
        (("checktype=on",), "virtual=10.1.0.1:80", OnCheck),
        (("checktype=off",), "virtual=10.1.0.1:80", OffCheck),
        (("checktype=external",), "virtual=10.1.0.1:80", ExternalCheck),
        (("checktype=3",), "virtual=10.1.0.1:80", NegotiateCheck),
        ((), "virtual=10.1.0.1:80", NegotiateCheck),
        ((), "virtual=10.1.0.1:8080", TcpCheck),
        (("protocol=udp",), "virtual=10.1.0.1:8080", PingCheck),
        (("service=none",), "virtual=10.1.0.1:80", OnCheck),
        ((), "virtual=5", OnCheck),
    ],
)
def test_check_types(lines: tuple[str, ...], head: str, kind: type[CheckQuestion]) -> None:
    assert type(question(*lines, head=head)) is kind


def test_details_of_checks() -> None:
    ping = question("checktype=ping", "checkcount=3")
    assert isinstance(ping, PingCheck)
    assert (ping.attempts, ping.payload_size) == (3, 64)
    number = question("checktype=3")
    assert isinstance(number, NegotiateCheck)
    assert number.connects_between == 3
    external = question("checktype=external", 'checkcommand="/usr/bin/probe"', "checkport=99")
    assert isinstance(external, ExternalCheck)
    assert (external.command, external.perl) == ("/usr/bin/probe", False)
    assert external.arguments == ("10.1.0.1", "80", "10.1.1.1", "80"), "the real port, not checkport"
    mark = question("checktype=external-perl", head="virtual=7")
    assert isinstance(mark, ExternalCheck)
    assert mark.arguments == ("7", "0", "10.1.1.1", "80")
    six = service("real6=[fd00::2]:81 masq", "checktype=external", head="virtual6=[fd00::1]:80")
    found = six.real_servers[0].checkers[0].question
    assert isinstance(found, ExternalCheck)
    assert found.arguments == ("[fd00::1]", "80", "[fd00::2]", "81"), "in brackets, as ldirectord's scripts get them"
    ldap = question("service=ldap", "checktimeout=3", "negotiatetimeout=9")
    assert isinstance(ldap, NegotiateCheck)
    assert ldap.socket.timeout_us == 3 * SECOND_US


@pytest.mark.parametrize(
    ("real", "lines", "head", "port"),
    [
        ("10.1.1.1:8080 masq", (), "virtual=10.1.0.1:80", 8080),
        ("10.1.1.1:8080 masq", ("checkport=99",), "virtual=10.1.0.1:80", 99),
        ("10.1.1.1 gate", ("service=smtp",), "virtual=5", 25),
        ("10.1.1.1 gate", ("service=http",), "virtual=10.1.0.1:8080", 80),
        ("10.1.1.1 gate", ("service=simpletcp",), "virtual=10.1.0.1:8080", 8080),
    ],
)
def test_port_of_checks(real: str, lines: tuple[str, ...], head: str, port: int) -> None:
    server = service(f"real={real}", *lines, head=head)
    asked = server.real_servers[0].checkers[0].question
    assert isinstance(asked, NegotiateCheck)
    assert asked.socket.port == port


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (("service=http",), "/"),
        (("service=http", 'request="index.html"'), "/index.html"),
        (("service=http", 'request="/index.html"'), "/index.html"),
        (("service=http_proxy", 'request="http://a.example/"'), "http://a.example/"),
        (("service=simpletcp", r'request="hello\n"'), r"/hello\n"),
    ],
)
def test_request_of_the_section(lines: tuple[str, ...], wanted: str) -> None:
    asked = question(*lines)
    assert isinstance(asked, NegotiateCheck)
    assert asked.request == wanted


def test_request_of_a_server_of_its_own() -> None:
    server = service(
        'real=10.1.1.1:80 masq 5 "own", "answer"',
        'real=10.1.1.2:80 masq 5 "http://b.example/x", "y"',
        "real=10.1.1.3:80 masq",
        'request="/all"',
        'receive="fine"',
    )
    asked = [real.checkers[0].question for real in server.real_servers]
    assert [(q.request, q.receive) for q in asked if isinstance(q, NegotiateCheck)] == [
        ("/own", "answer"),
        ("http://b.example/x", "y"),
        ("/all", "fine"),
    ]


def test_strict_asks_nobody_where_the_port_tells_no_service() -> None:
    text = "# pyldirectord: compat=strict\nvirtual=10.1.0.1:8080\n    real=10.1.1.1:80 masq\n"
    found = read(text).config.virtual_servers[0].real_servers[0].checkers[0].question
    assert isinstance(found, OnCheck)


def test_logins_that_services_bring_along() -> None:
    written = question("service=ftp")
    derived = question(head="virtual=10.1.0.1:21")
    assert isinstance(written, NegotiateCheck)
    assert isinstance(derived, NegotiateCheck)
    assert (written.service, written.login, written.password) == ("ftp", "anonymous", "ldirectord@director")
    assert (derived.service, derived.login, derived.password) == ("ftp", "anonymous", "ldirectord@director")
    text = "# pyldirectord: compat=strict\nvirtual=10.1.0.1:21\n    real=10.1.1.1:21 masq\n"
    strict = read(text).config.virtual_servers[0].real_servers[0].checkers[0].question
    assert isinstance(strict, NegotiateCheck)
    assert (strict.login, strict.password, strict.strict) == ("", "", True)
    sip = question("service=sip")
    assert isinstance(sip, NegotiateCheck)
    assert sip.login == "ldirectord@director"


def test_ranges_names_thresholds_and_methods() -> None:
    server = service(
        "real=web1->web4:http ipip 5 l:1 u:9",
        "real=10.1.2.255->10.1.3.1:80 gate",
    )
    assert [real.address for real in server.real_servers] == [
        "10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.4", "10.1.2.255", "10.1.3.0", "10.1.3.1",
    ]  # fmt: skip
    first = server.real_servers[0]
    assert (first.port, first.weight, first.lower_threshold, first.upper_threshold) == (80, 5, 1, 9)
    assert first.forwarding.method is ForwardingMethod.TUN
    assert server.real_servers[-1].forwarding.method is ForwardingMethod.DR


def test_ipv6_and_marks() -> None:
    text = """fallback6=[::1]:80
virtual6=[2001:DB8::1]:80
    real6=[2001:db8:0::2]:80 masq
    persistent=60
    netmask=64
virtual6=7
    real6=localhost gate
virtual=7
    real=localhost gate
"""
    address, mark6, mark = read(text).config.virtual_servers
    assert address.selector == AddressSelector("2001:db8::1", 80)
    assert (address.family, address.persistence_prefix) == (Family.INET6, 64)
    assert address.real_servers[0].address == "2001:db8::2"
    assert address.real_servers[0].maintenance_names == ("[2001:db8::2]:80", "[2001:db8::2]")
    assert address.sorry_server is not None
    assert (mark6.selector, mark6.family, mark6.protocol) == (FwmarkSelector(7), Family.INET6, None)
    assert mark6.sorry_server is None
    assert (mark.family, mark.real_servers[0].address, mark.real_servers[0].port) == (Family.INET, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("own", "glob", "expected"),
    [
        ((), "", None),
        ((), "fallback=127.0.0.1\n", ("127.0.0.1", 80, ForwardingMethod.DR)),
        ((), "fallback=127.0.0.1:81 masq\n", ("127.0.0.1", 81, ForwardingMethod.NAT)),
        (("fallback=web1:http ipip",), "fallback=127.0.0.1:81\n", ("10.1.1.1", 80, ForwardingMethod.TUN)),
    ],
)
def test_fallback(own: tuple[str, ...], glob: str, expected: object) -> None:
    sorry = service("real=10.1.1.1:80 masq", *own, glob=glob).sorry_server
    assert (sorry and (sorry.address, sorry.port, sorry.forwarding.method)) == expected


def test_fallbackcommand_loses_its_quotes_in_a_section_only() -> None:
    server = service("real=10.1.1.1:80 masq", 'fallbackcommand="/x y"')
    assert server.fallback_command == "/x y"
    server = service("real=10.1.1.1:80 masq", glob='fallbackcommand="/x" y\n')
    assert server.fallback_command == '"/x" y'


def test_flags_ops_and_udp() -> None:
    server = service(
        "real=10.1.1.1:80 masq", "schedflags=sh-port,sh-fallback", "scheduler=sh", "ops=yes", "protocol=udp"
    )
    assert (server.scheduler_flags, server.one_packet, server.protocol) == (3, True, Protocol.UDP)
    assert not service("real=10.1.1.1:80 masq", "ops=yes").one_packet


def test_settings_of_the_daemon() -> None:
    settings_ = read(
        'logfile="local0"\nautoreload=yes\ncallback="/usr/local/bin/sync"\nexecute=second.cf\nexecute=third.cf\n'
        "supervised\nfork=yes\ncheckinterval=3\nreaddquiescent=yes\nemailalertfrom=me\nmaintenancedir=/tmp\n"
    ).config.ldirectord
    assert settings_ is not None
    assert (settings_.logfile, settings_.autoreload, settings_.callback) == ("local0", True, "/usr/local/bin/sync")
    assert settings_.execute == ("second.cf", "third.cf")
    assert (settings_.supervised, settings_.fork, settings_.check_interval_us) == (True, True, 3 * SECOND_US)
    assert (settings_.readd_quiescent, settings_.mail_sender, settings_.maintenance_dir) == (True, "me", "/tmp")
    assert not settings_.compat_strict


def test_interval_of_a_section_counts_with_fork() -> None:
    lines = ("real=10.1.1.1:80 masq", "checkinterval=3")
    timing = service(*lines, glob="fork=yes\n").real_servers[0].checkers[0].timing
    assert timing.delay_loop_us == 3 * SECOND_US
    timing = service(*lines).real_servers[0].checkers[0].timing
    assert timing.delay_loop_us == 10 * SECOND_US


def test_mail_settings_of_a_section() -> None:
    mail = service(
        "real=10.1.1.1:80 masq", 'emailalert="a@x, b@x"', glob="emailalertfreq=60\nemailalertstatus=running\nsmtp=mx\n"
    ).mail
    assert mail is not None
    assert (mail.recipients, mail.frequency_s, mail.states, mail.smtp) == (("a@x", "b@x"), 60, ("running",), "mx")


def test_strict_mode_is_asked_for_in_the_first_line() -> None:
    settings_ = read("# pyldirectord: compat=strict\n").config.ldirectord
    assert settings_ is not None
    assert settings_.compat_strict
    result = load_text("# pyldirectord: compat=sloppy\n", "x", host=FakeHost())
    assert [item.id for item in result.findings.items] == ["unknown-compat"]


# ---- the table ----


def test_the_table_is_complete() -> None:
    assert len(TABLE) == 83
    assert len({(row.scope, row.name) for row in TABLE}) == 83
    counts = {scope: sum(row.scope is scope for row in TABLE) for scope in Scope}
    assert counts == {Scope.GLOBAL: 31, Scope.VIRTUAL: 44, Scope.REAL: 8}
    assert all(row.help and row.reader.expected for row in TABLE)
    assert all(row.field for row in TABLE if row.state not in {State.REMOVED, State.UNUSED})


# ---- files that cannot be read, and anything at all ----


def test_a_file_that_is_not_there(tmp_path: object) -> None:
    result = load(f"{tmp_path}/nothing.cf", host=FakeHost())
    assert not result.ok
    assert [item.id for item in result.findings.items] == ["unreadable-file"]
    assert load("/", host=FakeHost()).findings.items[0].id == "unreadable-file"
    assert load("a\x00b", host=FakeHost()).findings.items[0].id == "unreadable-file"


WORDS = st.sampled_from(
    [*GLOBAL, *VIRTUAL, "=", " ", "    ", "\t", "\n", "\n", "#", '"', "->", ":", ",", "[::1]", "10.1.1.1", "80", "masq",
     "gate", "yes", "l:", "u:", "\r", "\x00", "é", "٣", "virtual=10.1.0.1:80\n    real="]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(WORDS, st.text(max_size=4)), max_size=40).map("".join))
def test_no_text_stops_the_loader(text: str) -> None:
    result = load_text(text, "x", host=FakeHost())
    for item in result.findings.items:
        assert item.message
        assert item.span is None or item.span.line >= 1


def test_what_a_monitorfile_calls_a_check_over_ipv6_and_through_a_proxy() -> None:
    text = """\
virtual6=[fd00::1]:80
    real6=[fd00::2]:81 masq 3
    monitorfile=/tmp/m
    request="/a"
virtual=10.1.0.1:3128
    real=10.1.1.1:3128 masq
    monitorfile=/tmp/m
    request="http://www.example/"
"""
    first, second = (server.real_servers[0].monitor_words for server in read(text).config.virtual_servers)
    assert first == ("negotiate:http", "tcp", "[fd00::2]", "81", "", "", "3", "masq", "/a", "")
    assert second[-2] == "/http://www.example/"
