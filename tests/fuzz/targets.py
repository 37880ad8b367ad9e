"""Every decoder of bytes that somebody else wrote, as a function that must not raise.

One row of `TARGETS` is one decoder: its function, and messages that it takes, from which a fuzzer starts. What is wrong
must come back as a refusal with a name, an outcome or a finding; anything that is raised is a defect.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from pykeepalived.bfd import packet as bfd_packet
from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import (
    Accept,
    AskClient,
    Connect,
    Conversation,
    ConversationError,
    Echo,
    Exchange,
    FailureKind,
    Listen,
    Outcome,
    RandomBytes,
    Receive,
    ReceiveLine,
    Resolve,
    RunProgram,
)
from pykeepalived.checkers.negotiate import SERVICES
from pykeepalived.diagnostics.render import full
from pykeepalived.dialects import ldirectord
from pykeepalived.dialects.keepalived import load as load_keepalived
from pykeepalived.model.checks import (
    CheckQuestion,
    DnsCheck,
    HttpCheck,
    HttpUrl,
    NegotiateCheck,
    SmtpCheck,
    SocketOptions,
)
from pykeepalived.netio import links
from pykeepalived.netio import netlink as kernel
from pykeepalived.netio.connectors.echo import _Way4, _Way6
from pykeepalived.runtime.control_wire import REQUEST_LIMIT, request_decoder
from pykeepalived.syntax import Limits
from pykeepalived.vrrp.events import AdvertReceived, PacketRefused
from tests.dialects.keepalived.fake_host import FakeHost
from tests.fuzz.vrrp_packets import Bench

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
_DIALECTS = HERE.parent / "dialects"
_AT = SocketOptions(address="192.0.2.7", port=80, timeout_us=1_000_000)
_WALL_US = 1_800_000_000 * 1_000_000
_STEPS = 20_000


class Target(msgspec.Struct, frozen=True):
    """One decoder. `seeds` gives whole messages that it understands."""

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], Iterator[bytes]]


# ── packets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _bench() -> Bench:
    return Bench(0)


def _adverts(*, six: bool) -> Iterator[bytes]:
    for is_six, datagram in _bench()._right:
        if is_six is six:
            yield bytes(datagram.advert(100))


def vrrp(data: bytes) -> None:
    event = _bench().ladder.ipv4(data, "eth0", wall_us=_WALL_US)
    assert isinstance(event, AdvertReceived | PacketRefused)


def vrrp6(data: bytes) -> None:
    head = data[:40].ljust(40, b"\0")
    event = _bench().ladder.ipv6(data[40:], head[8:24], head[24:40], head[7], "eth0", wall_us=_WALL_US)
    assert isinstance(event, AdvertReceived | PacketRefused)


def _of_kind(name: str) -> bytes:
    position = [item.name for item in _bench().instances].index(name)
    return bytes(_bench()._right[position][1].advert(100))


def _in_place(name: str, at: int) -> Callable[[bytes], None]:
    """What follows the first `at` bytes of a right packet is the fuzzer's, with the length mended in the IP header."""

    def run(data: bytes) -> None:
        packet = bytearray(_of_kind(name)[:at] + data[:1400])
        packet[2:4] = struct.pack("!H", len(packet))
        vrrp(bytes(packet))

    return run


def _rest_of(name: str, at: int) -> Callable[[], Iterator[bytes]]:
    return lambda: iter([_of_kind(name)[at:]])


def bfd(data: bytes) -> None:
    assert isinstance(bfd_packet.decode(data), bfd_packet.Control | bfd_packet.Refusal)


def _bfd_seeds() -> Iterator[bytes]:
    yield struct.pack("!BBBBIIIII", 0x20, 0xC0, 3, 24, 1, 2, 1000000, 1000000, 0)
    yield struct.pack("!BBBBIIIII", 0x21, 0x44, 5, 28, 1, 0, 50000, 50000, 0) + b"\1\4\1a"


class _Deaf:
    """A socket that has one datagram."""

    def __init__(self, data: bytes, address: str) -> None:
        self._left = [data]
        self._address = address

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        if not self._left:
            raise BlockingIOError
        return self._left.pop()[:size], (self._address, 0)

    def fileno(self) -> int:
        return 7


def icmp(data: bytes) -> None:
    for kind, address in ((_Way4, "192.0.2.7"), (_Way6, "2001:db8::7%eth0")):
        for raw in (False, True):
            way: Any = object.__new__(kind)
            way._sock, way._raw, way._pending, way._identifier = _Deaf(data, address), raw, {}, 0x4B07
            way._ready(1)


def _netlink_seeds() -> Iterator[bytes]:
    body = struct.pack("=BBBBI", socket.AF_INET, 24, 0x80, 0, 2)
    for kind, value in ((1, bytes([10, 0, 0, 5])), (2, bytes([10, 0, 0, 5])), (3, b"eth0\0")):
        body += struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
    link = struct.pack("=BxHiII", 0, 1, 2, 0x11043, 0)
    for kind, value in ((3, b"eth0\0"), (4, struct.pack("=I", 1500)), (16, b"\6"), (1, b"\2\0\0\0\0\1")):
        link += struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
    for kind, content in ((20, body), (16, link)):
        yield struct.pack("=IHHII", 16 + len(content), kind, 0, 1, 0) + content
    yield struct.pack("=IHHII", 20, 3, 0, 1, 0) + bytes(4)


def netlink(data: bytes) -> None:
    try:
        messages = kernel.decode(links.Reader(), data)
    except OSError as refusal:
        assert refusal.errno == errno.EBADMSG
        return
    for message in messages:
        kind = message["header"]["type"]
        if kind in (kernel.RTM_NEWADDR, kernel.RTM_DELADDR):
            assert isinstance(message["address"], links.KernelAddress | None)
        elif kind in (kernel.RTM_NEWLINK, kernel.RTM_DELLINK):
            assert isinstance(links.parse_link(message), links.Link | None)


# ── conversations ────────────────────────────────────────────────────────────────────────────────────────────────────


class Replies:
    """A server that says what the fuzzer wants: each read takes some of it, and then there is the end, and silence."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._ends = 0

    def to(self, command: object) -> object:
        match command:
            case Receive(limit):
                return self._take(min(limit, 61))
            case ReceiveLine(limit):
                end = self._data.find(b"\n")
                size = len(self._data) if end < 0 else end + 1
                if size > limit:
                    return ConversationError(FailureKind.TOO_LONG, "too long a line")
                return self._take(size)
            case Exchange():
                size = self._data[0] if self._data else 0
                self._data = self._data[1:]
                return self._take(size) or None
            case AskClient():
                return self._take(4096)
            case Echo():
                return bool(self._take(1))
            case RunProgram():
                return self._take(1)[:1] == b"\0"
            case RandomBytes(size):
                return bytes(size)
            case Resolve():
                return b"192.0.2.9"
            case Listen():
                return b"192.0.2.1 4660"
            case Connect() | Accept():
                return None
        return None

    def _take(self, size: int) -> bytes | ConversationError:
        piece, self._data = self._data[:size], self._data[size:]
        if not piece:
            self._ends += 1
        return piece if self._ends < 8 else ConversationError(FailureKind.TIMEOUT, "timeout")  # type: ignore[return-value]


def converse(question: CheckQuestion, data: bytes) -> Outcome | None:
    """Play a conversation to its end; None when it ended with a named failure of the connection."""
    conversation: Conversation = registry.converse(question)
    replies, reply = Replies(data), None
    for _ in range(_STEPS):
        try:
            if isinstance(reply, ConversationError):
                command = conversation.throw(reply)
            else:
                command = conversation.send(reply)  # type: ignore[arg-type]
        except StopIteration as stop:
            assert isinstance(stop.value, Outcome)
            return stop.value
        except ConversationError:
            return None
        reply = replies.to(command)  # type: ignore[assignment]
    raise AssertionError("an endless conversation")


_URLS = (HttpUrl(path="/a", digest="0" * 32), HttpUrl(path="/b", status_codes=((200, 299),), regex="ok(a+)+b"))
_HTTP = HttpCheck(socket=_AT, urls=_URLS)
_DNS = DnsCheck(socket=_AT, name="www.example.org", type="A")
_SMTP = SmtpCheck(socket=_AT, helo_name="me")
_SERVICES = sorted(SERVICES)


def negotiate(data: bytes) -> None:
    """The first byte chooses the service."""
    service = _SERVICES[data[0] % len(_SERVICES)] if data else _SERVICES[0]
    check = NegotiateCheck(
        socket=_AT, service=service, request="/", receive="ok|[0-9]+", login="me", password="it", secret="s"
    )
    converse(check, data[1:])


def _http_seeds() -> Iterator[bytes]:
    yield b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok" * 2
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n"
    yield b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"


def _dns_seeds() -> Iterator[bytes]:
    question = b"\3www\7example\3org\0" + struct.pack("!HH", 1, 1)
    answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 1])
    message = struct.pack("!HHHHHH", 0, 0x8180, 1, 1, 0, 0) + question + answer
    yield bytes([len(message)]) + message


def _negotiate_seeds() -> Iterator[bytes]:
    talks = {
        "smtp": b"220 hello\r\n250-me\r\n250 ok\r\n221 bye\r\n",
        "pop": b"+OK hello\r\n+OK\r\n+OK\r\n+OK\r\n",
        "imap": b"* OK hello\r\na1 OK done\r\n* BYE\r\na2 OK\r\n",
        "ftp": b"220 hello\r\n331 go on\r\n230 in\r\n200 ok\r\n227 (192,0,2,7,1,2)\r\n150 here\r\nok\n226 done\r\n",
        "nntp": b"200 hello\r\n205 bye\r\n",
        "http": b"HTTP/1.0 200 OK\r\n\r\nok\n",
        "sip": b"\xffSIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n",
        "dns": next(_dns_seeds()),
        "mysql": b'{"ok": true, "text": "5"}',
        "simpletcp": b"ok\n",
    }
    for service, talk in talks.items():
        yield bytes([_SERVICES.index(service)]) + talk


# ── local clients and files ──────────────────────────────────────────────────────────────────────────────────────────


def control(data: bytes) -> None:
    """A line of the control socket: a request, or msgspec's one exception, which the server answers with its text."""
    for line in data[:REQUEST_LIMIT].split(b"\n"):
        try:
            request = request_decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        assert isinstance(request.command, str)


def _control_seeds() -> Iterator[bytes]:
    yield b'{"command": "status", "version": 1, "arguments": {"first": 0, "servers": 10}}\n'
    yield b'{"command": "drain", "arguments": {"server": "10.0.0.1:80", "timeout_s": 5}}\n{"command": 1}\n'


@cache
def _scratch() -> Path:
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="pykeepalived-fuzz-", dir=where))


def keepalived(data: bytes) -> None:
    path = _scratch() / "keepalived.conf"
    path.write_bytes(data)
    result = load_keepalived(str(path), host=FakeHost(), limits=Limits(generated_lines=500))
    for item in result.findings.items[:20]:
        full(item)


def ldirectord_file(data: bytes) -> None:
    result = ldirectord.load_text(data.decode("utf-8", "surrogateescape"), "ldirectord.cf", host=None)
    for item in result.findings.items[:20]:
        full(item)


def _files(pattern: str) -> Callable[[], Iterator[bytes]]:
    def read() -> Iterator[bytes]:
        found = [path.read_bytes() for path in sorted(_DIALECTS.glob(pattern))]
        yield from (data for data in found if len(data) < 4000)

    return read


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("vrrp", vrrp, lambda: _adverts(six=False)),
        Target("vrrp6", vrrp6, lambda: _adverts(six=True)),
        Target("hmac", _in_place("hmac", 20), _rest_of("hmac", 20)),
        Target("ah", _in_place("ah", 20), _rest_of("ah", 20)),
        Target("bfd", bfd, _bfd_seeds),
        Target("icmp", icmp, lambda: iter([b"\0\0\0\0\x4b\x07\0\1abcd", b"E" + bytes(19) + b"\0\0\0\0\x4b\x07\0\1"])),
        Target("netlink", netlink, _netlink_seeds),
        Target("http", lambda data: converse(_HTTP, data), _http_seeds),
        Target("dns", lambda data: converse(_DNS, data), _dns_seeds),
        Target("smtp", lambda data: converse(_SMTP, data), lambda: iter([b"220 a\r\n250 b\r\n221 c\r\n"])),
        Target("negotiate", negotiate, _negotiate_seeds),
        Target("control", control, _control_seeds),
        Target("keepalived", keepalived, _files("keepalived/valid/*.conf")),
        Target("ldirectord", ldirectord_file, _files("ldirectord/accepted/*")),
    )
}


def corpus(target: Target) -> list[bytes]:
    """The seeds, and what earlier runs found worth keeping."""
    kept = sorted((CORPUS / target.name).glob("*")) if (CORPUS / target.name).is_dir() else []
    return [*target.seeds(), *(path.read_bytes() for path in kept)]
