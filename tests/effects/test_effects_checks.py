"""From a word in a check's block to what the check does: where it connects, when it runs, which failures count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykeepalived.checkers.conversation import Outcome, RandomBytes
from pykeepalived.checkers.registry import converse, limit_us
from pykeepalived.checkers.verdict import Verdict
from pykeepalived.dialects.keepalived import load
from pykeepalived.lvs.health import starts_up
from pykeepalived.model.checks import CheckerSpec, SocketOptions
from pykeepalived.units import SECOND_US
from tests.dialects.keepalived.fake_host import FakeHost

OK, BAD = Outcome(True, "fine"), Outcome(False, "refused", "refused")
URL = "url {\npath /\nstatus_code 200\n}\n"
#: What each check needs besides the words under test.
NEEDS = {
    "TCP_CHECK": "",
    "HTTP_GET": URL,
    "SSL_GET": URL,
    "SMTP_CHECK": "",
    "DNS_CHECK": "",
    "UDP_CHECK": "",
    "PING_CHECK": "",
    "GRPC_CHECK": "",
}
KINDS = sorted(NEEDS)


def spec(tmp_path: Path, kind: str, words: str, *, server: str = "", service: str = "") -> CheckerSpec:
    """The check of a file whose blocks hold these words."""
    path = tmp_path / "keepalived.conf"
    path.write_text(
        f"virtual_server 192.0.2.1 80 {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n{service}\n"
        f"real_server 192.0.2.10 80 {{\n{server}\n{kind} {{\n{words}\n{NEEDS.get(kind, '')}}}\n}}\n}}\n"
    )
    result = load(str(path), host=FakeHost())
    assert not result.exit_class, result.findings.items
    ((real,),) = (item.real_servers for item in result.config.virtual_servers)
    return real.checkers[0]


def options(one: CheckerSpec) -> SocketOptions:
    """Where the check's first step goes."""
    conversation = converse(one.question)
    command: Any = next(conversation)
    if isinstance(command, RandomBytes):
        command = conversation.send(b"12")
    conversation.close()
    found: SocketOptions = command.options
    return found


@pytest.mark.shows(
    "virtual_server.real_server.{TCP_CHECK,HTTP_GET,SSL_GET,SMTP_CHECK,DNS_CHECK,UDP_CHECK,PING_CHECK,GRPC_CHECK}."
    "{connect_ip,connect_port,bindto,bind_if,fwmark}"
)
@pytest.mark.parametrize("kind", KINDS)
def test_where_a_check_connects(kind: str, tmp_path: Path) -> None:
    plain = options(spec(tmp_path, kind, ""))
    assert plain.address == "192.0.2.10"
    words = "connect_ip 192.0.2.77\nconnect_port 8080\nbindto 192.0.2.5\nbind_if eth1\nfwmark 9"
    there = options(spec(tmp_path, kind, words))
    assert (there.address, there.port) == ("192.0.2.77", 8080)
    assert (there.bind_address, there.bind_interface, there.fwmark) == ("192.0.2.5", "eth1", 9)


@pytest.mark.shows(
    "virtual_server.real_server.{TCP_CHECK,HTTP_GET,SSL_GET,SMTP_CHECK,DNS_CHECK,UDP_CHECK,GRPC_CHECK}.bind_port"
)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "PING_CHECK"])
def test_from_which_port_a_check_connects(kind: str, tmp_path: Path) -> None:
    assert options(spec(tmp_path, kind, "bindto 192.0.2.5\nbind_port 1234")).bind_port == 1234


def rhythm(one: CheckerSpec) -> tuple[float, float, int, float]:
    """Longest wait for the first run, pause after a success, failures until it is down, pause before a retry."""
    verdict = Verdict(one.timing, initially_up=True)
    start_s = verdict.first_pause_us(1.0) / SECOND_US
    pause_s = verdict.finished(OK).pause_us / SECOND_US
    steps = [verdict.finished(BAD)]
    while steps[-1].up:
        steps.append(verdict.finished(BAD))
    return start_s, pause_s, len(steps), steps[0].pause_us / SECOND_US


RHYTHM = "warmup 7\ndelay_loop 9\nretry 4\ndelay_before_retry 2"


@pytest.mark.shows(
    "virtual_server.real_server.{TCP_CHECK,HTTP_GET,SSL_GET,SMTP_CHECK,DNS_CHECK,UDP_CHECK,PING_CHECK,GRPC_CHECK}."
    "{warmup,delay_loop,retry,delay_before_retry}"
)
@pytest.mark.parametrize("kind", KINDS)
def test_when_a_check_runs(kind: str, tmp_path: Path) -> None:
    assert rhythm(spec(tmp_path, kind, RHYTHM)) == (7, 9, 5, 2)
    assert rhythm(spec(tmp_path, kind, "")) != (7, 9, 5, 2)


@pytest.mark.shows(
    "virtual_server.{warmup,delay_loop,retry,delay_before_retry}",
    "virtual_server.real_server.{warmup,delay_loop,retry,delay_before_retry}",
)
@pytest.mark.parametrize("kind", KINDS)
def test_server_and_service_hold_defaults_for_their_checks(kind: str, tmp_path: Path) -> None:
    other = "warmup 1\ndelay_loop 2\nretry 1\ndelay_before_retry 1"
    assert rhythm(spec(tmp_path, kind, "", service=RHYTHM)) == (7, 9, 5, 2)
    assert rhythm(spec(tmp_path, kind, "", server=RHYTHM, service=other)) == (7, 9, 5, 2)
    assert rhythm(spec(tmp_path, kind, RHYTHM, server=other, service=other)) == (7, 9, 5, 2)


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.nb_get_retry")
@pytest.mark.parametrize("kind", ["HTTP_GET", "SSL_GET"])
def test_an_older_word_for_retry(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text(
        "virtual_server 192.0.2.1 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n"
        f"real_server 192.0.2.10 80 {{\n{kind} {{\nnb_get_retry 6\n{URL}}}\n}}\n}}\n"
    )
    [server] = load(str(path), host=FakeHost()).config.virtual_servers
    assert rhythm(server.real_servers[0].checkers[0])[2] == 7


@pytest.mark.shows(
    "virtual_server.connect_timeout",
    "virtual_server.real_server.connect_timeout",
    "virtual_server.real_server.{TCP_CHECK,HTTP_GET,SSL_GET,SMTP_CHECK,DNS_CHECK,UDP_CHECK,PING_CHECK,GRPC_CHECK}.connect_timeout",
)
@pytest.mark.parametrize("kind", KINDS)
def test_how_long_a_check_waits(kind: str, tmp_path: Path) -> None:
    for found in (
        spec(tmp_path, kind, "connect_timeout 9"),
        spec(tmp_path, kind, "", server="connect_timeout 9", service="connect_timeout 2"),
        spec(tmp_path, kind, "", service="connect_timeout 9"),
    ):
        # Some wait a second longer, for a close in good order.
        assert 9 <= limit_us(found.question) / SECOND_US <= 10
    assert limit_us(spec(tmp_path, kind, "").question) / SECOND_US < 9


@pytest.mark.shows(
    "virtual_server.real_server.{TCP_CHECK,HTTP_GET,SSL_GET,SMTP_CHECK,DNS_CHECK,UDP_CHECK,PING_CHECK,GRPC_CHECK,MISC_CHECK}.alpha"
)
@pytest.mark.parametrize("kind", [*KINDS, "MISC_CHECK"])
def test_a_check_that_begins_as_failed(kind: str, tmp_path: Path) -> None:
    for words, up in (("", True), ("alpha", False)):
        more = "\nmisc_path /usr/bin/true" if kind == "MISC_CHECK" else ""
        path = tmp_path / "a.conf"
        path.write_text(
            "global_defs {\nscript_user root\n}\nvirtual_server 192.0.2.1 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n"
            f"real_server 192.0.2.10 80 {{\n{kind} {{\n{words}{more}\n{NEEDS.get(kind, '')}}}\n}}\n}}\n"
        )
        [server] = load(str(path), host=FakeHost()).config.virtual_servers
        real = server.real_servers[0]
        assert starts_up(real.checkers[0]) is up


@pytest.mark.shows(
    "virtual_server.real_server.MISC_CHECK.{warmup,delay_loop,retry,delay_before_retry,misc_timeout,user}"
)
def test_when_and_as_whom_a_program_runs(tmp_path: Path) -> None:
    words = f"{RHYTHM}\nmisc_path /usr/bin/true\nmisc_timeout 11\nuser nobody"
    path = tmp_path / "a.conf"
    path.write_text(
        "virtual_server 192.0.2.1 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n"
        f"real_server 192.0.2.10 80 {{\nMISC_CHECK {{\n{words}\n}}\n}}\n}}\n"
    )
    [server] = load(str(path), host=FakeHost()).config.virtual_servers
    found = server.real_servers[0].checkers[0]
    assert rhythm(found) == (7, 9, 5, 2)
    command: Any = next(converse(found.question))
    assert command.script.user.name == "nobody"
    assert command.script.argv == ("/usr/bin/true",)
    assert limit_us(found.question) >= 11 * SECOND_US


HOST = (
    "connect_ip 192.0.2.77\nconnect_port 2525\nbindto 192.0.2.5\nbind_port 1234\n"
    "bind_if eth1\nfwmark 9\nconnect_timeout 9"
)


@pytest.mark.shows(
    "virtual_server.real_server.SMTP_CHECK.host.{connect_ip,connect_port,bindto,bind_port,bind_if,fwmark,connect_timeout}"
)
def test_the_host_of_a_mail_check(tmp_path: Path) -> None:
    found = spec(tmp_path, "SMTP_CHECK", f"host {{\n{HOST}\n}}")
    there = options(found)
    assert (there.address, there.port, there.bind_address) == ("192.0.2.77", 2525, "192.0.2.5")
    assert (there.bind_port, there.bind_interface, there.fwmark) == (1234, "eth1", 9)
    assert limit_us(found.question) == 9 * SECOND_US
