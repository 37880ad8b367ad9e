"""The small checkers, each as a playbook."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import (
    Connect,
    Echo,
    Exchange,
    Outcome,
    RandomBytes,
    ReceiveLine,
    RunProgram,
    Send,
)
from pykeepalived.checkers.dns import query, read_name, records, response_code
from pykeepalived.checkers.misc import PERL, PROGRAM_GRACE_US
from pykeepalived.checkers.udp import filler
from pykeepalived.model.checks import (
    BfdCheck,
    CheckerSpec,
    CheckTiming,
    DnsCheck,
    ExternalCheck,
    FileCheck,
    HttpCheck,
    MiscCheck,
    NegotiateCheck,
    OffCheck,
    OnCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.model.common import Script
from tests.checkers.playbook import SOCKET, play


def test_tcp() -> None:
    outcome = play(registry.converse(TcpCheck(socket=SOCKET)), Connect(options=SOCKET), None)
    assert outcome == Outcome(True, "TCP connection success")


def test_on_and_off_ask_nobody() -> None:
    assert play(registry.converse(OnCheck())).ok is True
    assert play(registry.converse(OffCheck())).ok is False


# ---- SMTP_CHECK ----

SMTP = SmtpCheck(socket=SOCKET, helo_name="lb1.example")


@pytest.mark.shows("virtual_server.real_server.SMTP_CHECK.helo_name")
def test_smtp() -> None:
    outcome = play(
        registry.converse(SMTP),
        Connect(options=SOCKET), None,
        ReceiveLine(), b"220 mail.example ESMTP\r\n",
        Send(b"HELO lb1.example\r\n"), None,
        ReceiveLine(), b"250 hello\r\n",
        Send(b"QUIT\r\n"), None,
        ReceiveLine(), b"500 whatever\r\n",
    )  # fmt: skip
    assert outcome.ok


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"220-mail.example\r\n", "smtp-status"),
        (b"220mail\r\n", "smtp-status"),
        (b"554 no\r\n", "smtp-status"),
        (b"220 cut", "closed"),
        (b"", "closed"),
        (b"\n", "smtp-status"),
    ],
)
def test_a_greeting_that_does_not_count(line: bytes, reason: str) -> None:
    outcome = play(registry.converse(SMTP), Connect(options=SOCKET), None, ReceiveLine(), line)
    assert (outcome.ok, outcome.reason) == (False, reason)


# ---- programs ----

SCRIPT = Script(("/bin/check", "one"))


@pytest.mark.parametrize(
    ("dynamic", "status", "ok", "weight", "reason"),
    [
        (False, 0, True, None, ""),
        (False, 1, False, None, "exit-1"),
        (False, 2, False, None, "exit-2"),
        (True, 0, True, None, ""),
        (True, 1, False, None, "exit-1"),
        (True, 2, True, 0, ""),
        (True, 255, True, 253, ""),
        (True, -9, False, None, "signal"),
        (False, None, False, None, "timeout"),
        (False, 127, False, None, "exit-127"),
    ],
)
@pytest.mark.shows("virtual_server.real_server.MISC_CHECK.{misc_path,misc_dynamic}")
def test_misc(dynamic: bool, status: int | None, ok: bool, weight: int | None, reason: str) -> None:
    check = MiscCheck(script=SCRIPT, timeout_us=3_000_000, dynamic=dynamic)
    outcome = play(registry.converse(check), RunProgram(script=SCRIPT, timeout_us=3_000_000), status)
    assert (outcome.ok, outcome.weight, outcome.reason) == (ok, weight, reason)
    assert registry.limit_us(check) == 3_000_000 + PROGRAM_GRACE_US


@pytest.mark.parametrize(("status", "ok"), [(0, True), (1, False), (-11, False), (None, False)])
def test_external(status: int | None, ok: bool) -> None:
    arguments = ("10.0.0.1", "80", "10.0.0.7", "8080")
    check = ExternalCheck(command="/x arg", arguments=arguments, timeout_us=1_000_000)
    words = Script(("/x arg", *arguments))
    assert play(registry.converse(check), RunProgram(script=words, timeout_us=1_000_000), status).ok is ok
    perl = msgspec.structs.replace(check, perl=True)
    words = Script(("perl", "-e", PERL, "/x arg", *arguments))
    assert play(registry.converse(perl), RunProgram(script=words, timeout_us=1_000_000), status).ok is ok
    strict = msgspec.structs.replace(check, strict=True)
    words = Script(("/x arg", *arguments))
    killed_is_well = ok or status == -11
    assert play(registry.converse(strict), RunProgram(script=words, timeout_us=1_000_000), status).ok is killed_is_well


def test_external_perl_files(tmp_path: Path) -> None:
    """What a file may do: `exit N`, no exit, its words as the arguments of a function; and what fails it."""
    for text, expected in (
        ("exit 3;", 3),
        ("my ($vip, $vport, $rip, $rport) = @_; exit($rip eq '10.0.0.7' && shift eq '10.0.0.1' ? 0 : 9);", 0),
        ("my $x = 1;", 0),
        ("return 5;", 0),
        ("sub {{{", 255),
        ("die 'no';", 255),
    ):
        file = tmp_path / "check.pl"
        file.write_text(text)
        words = ["perl", "-e", PERL, str(file), "10.0.0.1", "80", "10.0.0.7", "8080"]
        assert subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode == expected, text
    assert subprocess.run(["perl", "-e", PERL, "/no/such/file"], check=False, stderr=-3).returncode == 126


# ---- UDP and ICMP ----


@pytest.mark.parametrize(
    ("words", "reply", "reason"),
    [
        ({}, None, ""),
        ({}, b"anything", ""),
        ({"require_reply": True}, None, "timeout"),
        ({"require_reply": True}, b"", ""),
        ({"require_reply": True, "min_reply_length": 1}, b"", ""),
        ({"require_reply": True}, b"x" * 256, ""),
        ({"require_reply": True, "reply": b"x", "min_reply_length": 2}, b"x", "reply-length"),
        ({"require_reply": True, "reply": b"x"}, b"x" * 256, "reply-length"),
        ({"require_reply": True, "reply": b"\x12\x34"}, b"\x12\x34\x56", ""),
        ({"require_reply": True, "reply": b"\x12\x34"}, b"\x12", ""),
        ({"require_reply": True, "reply": b"\x12\x34"}, b"\x12\x35", "reply-content"),
        ({"require_reply": True, "reply": b"\x12\x34", "reply_mask": b"\xff\xf0"}, b"\x12\x35", ""),
    ],
)
@pytest.mark.shows("virtual_server.real_server.UDP_CHECK.{payload,require_reply,min_reply_length,max_reply_length}")
def test_udp(words: dict[str, Any], reply: bytes | None, reason: str) -> None:
    check = UdpCheck(socket=SOCKET, **words)
    question = Exchange(options=SOCKET, data=b"keepalived check - keepalived ch", timeout_us=5_000_000)
    outcome = play(registry.converse(check), question, reply)
    assert (outcome.ok, outcome.reason) == (reason == "", reason)


def test_filler() -> None:
    assert filler(5) == b"keepa"
    assert len(filler(128)) == 128


def test_ping_takes_any_reply_within_its_attempts() -> None:
    check = PingCheck(socket=SOCKET, attempts=3, payload_size=64)
    echo = Echo(options=SOCKET, payload_size=64, timeout_us=5_000_000)
    assert play(registry.converse(check), echo, False, echo, True).ok
    assert play(registry.converse(check), echo, False, echo, False, echo, False).reason == "timeout"
    assert registry.limit_us(check) > 15_000_000


# ---- DNS ----

ID = b"\x12\x34"


def dns_check(answer: bytes | None, **words: str) -> Outcome:
    check = DnsCheck(socket=SOCKET, **words)
    message = query(0x1234, check.name, {"SOA": 6, "A": 1}[check.type])
    assert message is not None
    return play(
        registry.converse(check), RandomBytes(2), ID,
        Exchange(options=SOCKET, data=message, timeout_us=5_000_000), answer,
    )  # fmt: skip


def reply(code: int = 0, flags: int = 0x8000, identifier: int = 0x1234) -> bytes:
    return struct.pack("!6H", identifier, flags | code, 1, 0, 0, 0)


def test_dns() -> None:
    assert dns_check(reply()).ok
    assert dns_check(reply(), type="A", name="www.example.org").ok
    assert dns_check(reply(3)).reason == "rcode-3"
    assert dns_check(reply(flags=0)).reason == "no-response"
    assert dns_check(reply(identifier=1)).reason == "wrong-id"
    assert dns_check(b"\x12\x34").reason == "short-message"
    assert dns_check(None).reason == "timeout"


@pytest.mark.shows("virtual_server.real_server.DNS_CHECK.{type,name}")
def test_dns_queries_are_those_of_dnspython() -> None:
    for name in (".", "example.org", "a.b.c.d.example."):
        message = query(0x1234, name, 6)
        expected = dns.message.make_query(name if name.endswith(".") else f"{name}.", "SOA", id=0x1234)
        assert message == expected.to_wire()


def test_a_name_that_fits_no_query() -> None:
    for name in ("a..b", "x" * 64, ".".join(["abcdefghij"] * 30)):
        check = DnsCheck(socket=SOCKET, name=name)
        assert play(registry.converse(check), RandomBytes(2), ID).reason == "bad-query"


def test_records_and_names_are_those_of_dnspython() -> None:
    text = """id 4660
flags QR RD RA
;QUESTION
1.0.0.127.in-addr.arpa. IN PTR
;ANSWER
1.0.0.127.in-addr.arpa. 60 IN CNAME x.example.org.
x.example.org. 60 IN PTR host.example.org.
x.example.org. 60 IN A 10.1.2.3
"""
    wire = dns.message.from_text(text).to_wire()
    assert response_code(wire, 0x1234) == int(dns.rcode.NOERROR)
    found = records(wire)
    assert [record.type for record in found] == [5, 12, 1]
    assert read_name(wire, found[1].data_offset) == "host.example.org"
    assert wire[found[2].data_offset :][:4] == bytes((10, 1, 2, 3))


@given(st.binary(max_size=80), st.integers(0, 80))
def test_no_bytes_break_the_reader(tail: bytes, offset: int) -> None:
    message = struct.pack("!6H", 1, 0x8000, 1, 2, 0, 0) + tail
    for record in records(message):
        assert record.data_offset + record.length <= len(message)
    read_name(message, offset)
    response_code(message[:offset], 1)


def test_a_name_that_points_at_itself() -> None:
    assert read_name(b"\xc0\x00", 0) is None
    assert read_name(b"\x01a\xc0\x00", 0) is None


# ---- the list ----

SOCKETED = (
    TcpCheck(socket=SOCKET),
    HttpCheck(socket=SOCKET, urls=()),
    SMTP,
    DnsCheck(socket=SOCKET),
    UdpCheck(socket=SOCKET),
    PingCheck(socket=SOCKET),
    NegotiateCheck(socket=SOCKET, service="http"),
)


@pytest.mark.parametrize("question", SOCKETED, ids=lambda question: type(question).__name__)
def test_every_check_with_a_socket_is_available_and_limited(question: Any) -> None:
    assert registry.unavailable(question) is None
    assert 5_000_000 <= registry.limit_us(question) <= 6_000_000


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (FileCheck(track_file="x"), "file check is not asked by conversation"),
        (BfdCheck(name="x"), "bfd check is not asked by conversation"),
        (NegotiateCheck(socket=SOCKET, service="gopher"), "negotiate check of service gopher is not available"),
    ],
    ids=["file", "bfd", "gopher"],
)
def test_what_is_not_there_is_named_and_never_a_crash(question: Any, text: str) -> None:
    assert registry.unavailable(question) == text
    outcome = play(registry.converse(question))
    assert (outcome.ok, outcome.reason, outcome.text) == (False, "not-available", text)


def test_only_http_stretches_the_pause_of_a_dead_server() -> None:
    timing = CheckTiming(delay_before_retry_us=9)
    assert registry.down_pause_at_least_us(CheckerSpec(question=TcpCheck(socket=SOCKET), timing=timing)) == 0
    assert registry.down_pause_at_least_us(CheckerSpec(question=SOCKETED[1], timing=timing)) == 9
