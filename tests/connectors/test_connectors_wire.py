"""What a check's words about its socket do to the packets: a director with two ways to a server, seen by nftables."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.checkers.registry import converse
from pykeepalived.dialects.keepalived import load
from pykeepalived.model.checks import CheckerSpec, PingCheck, SocketOptions
from pykeepalived.tools.lab import Lab, Namespace
from pykeepalived.units import SECOND_US
from tests.connectors.desk import Desk
from tests.connectors.servers import Server, answer, udp_server, wait_for_end
from tests.dialects.keepalived.fake_host import FakeHost

pytestmark = pytest.mark.netns

#: Of the server; of the director's second way, by which packets go only when they are told to; by the first way.
SERVER, SOURCE, USUAL = "203.0.113.10", "198.51.100.9", "192.0.2.1"
SERVER6, SOURCE6 = "2001:db8:a::10", "2001:db8:c::9"
MARK = 9
PAGE = answer(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")
URL = "url {\npath /\nstatus_code 200\n}"
DNS_REPLY = b"\x80\x00"


def greet(connection: socket.socket) -> None:
    connection.sendall(b"220 ready\r\n")
    while line := connection.recv(512):
        connection.sendall(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 well\r\n")


class Scene(NamedTuple):
    director: Namespace
    server: Namespace
    tls: ssl.SSLContext


@pytest.fixture(scope="module")
def scene(tls: ssl.SSLContext) -> Iterator[Scene]:
    """Director and server with two cables; the second is farther away."""
    with Lab("wire") as lab:
        director, server = lab.namespace("director"), lab.namespace("server")
        for number, (near, far, near6, far6) in enumerate(
            (
                (f"{USUAL}/24", "192.0.2.254/24", "2001:db8:b::1/64", "2001:db8:b::254/64"),
                ("198.51.100.1/24", "198.51.100.254/24", "2001:db8:c::1/64", "2001:db8:c::254/64"),
            )
        ):
            cable = f"eth{number}"
            lab.link(director, cable, server, cable)
            director.address(cable, near, near6)
            server.address(cable, far, far6)
            for place, gateway in ((SERVER, far), (SERVER6, far6)):
                director.route(place, "via", gateway.split("/")[0], "dev", cable, "metric", str(100 + number))
        director.address("eth1", f"{SOURCE}/24", f"{SOURCE6}/64")
        server.address("lo", f"{SERVER}/32", f"{SERVER6}/128")
        for machine in (director, server):
            for name in ("all", "eth0", "eth1"):
                machine.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
        yield Scene(director, server, tls)


@contextlib.contextmanager
def served(kind: str, space: Namespace, address: str, tls: ssl.SSLContext) -> Iterator[int]:
    """What answers such a check, on the server; yields the port (of a ping: any)."""
    handlers: dict[str, Callable[[socket.socket], None]] = {
        "TCP_CHECK": wait_for_end,
        "HTTP_GET": PAGE,
        "SSL_GET": PAGE,
        "SMTP_CHECK": greet,
    }
    replies: dict[str, Callable[[bytes], bytes]] = {
        "UDP_CHECK": lambda data: b"yes",
        "DNS_CHECK": lambda data: data[:2] + DNS_REPLY + data[4:],
    }
    with contextlib.ExitStack() as stack:
        with space.inside():
            if kind in handlers:
                context = tls if kind == "SSL_GET" else None
                port = stack.enter_context(Server(handlers[kind], context=context, address=address)).port
            elif kind in replies:
                port = stack.enter_context(udp_server(replies[kind], address))
            else:
                port = 7
        yield port


def check(tmp_path: Path, kind: str, words: str, *, six: bool) -> CheckerSpec:
    """The check of a real server that does not answer, with these words."""
    path = tmp_path / "keepalived.conf"
    own = URL if kind in ("HTTP_GET", "SSL_GET") else "require_reply" if kind == "UDP_CHECK" else ""
    virtual, real = ("2001:db8:1::1", "2001:db8:b::77") if six else ("192.0.2.100", "192.0.2.77")
    path.write_text(
        f"virtual_server {virtual} 80 {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\nreal_server {real} 80 {{\n"
        f"{kind} {{\n{words}\nconnect_timeout 30\n{own}\n}}\n}}\n}}\n"
    )
    result = load(str(path), host=FakeHost())
    assert not result.exit_class, result.findings.items
    return result.config.virtual_servers[0].real_servers[0].checkers[0]


@contextlib.contextmanager
def counted(space: Namespace, towards: str, wanted: str) -> Iterator[Callable[[], tuple[int, int]]]:
    """Packets that the director sends to an address: those as `wanted` says, and others. What the kernel sends after
    a socket is gone (a reset) has nothing of the socket's."""
    rules = (
        "table inet seen { counter right { }\n counter wrong { }\n chain out { type filter hook output priority 0;\n"
        f"{towards} tcp flags rst accept\n{towards} {wanted} counter name right accept\n"
        f"{towards} counter name wrong\n}}\n}}\n"
    )
    space.run("nft", "-f", "-", input=rules)

    def count() -> tuple[int, int]:
        text = space.run("nft", "list", "counters", "table", "inet", "seen").stdout.split()
        right, wrong = (int(text[number + 1]) for number, word in enumerate(text) if word == "packets")
        return right, wrong

    try:
        yield count
    finally:
        space.run("nft", "delete", "table", "inet", "seen")


KINDS = ("TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK", "DNS_CHECK", "UDP_CHECK", "PING_CHECK")


@pytest.mark.shows(
    "virtual_server.real_server.{TCP_CHECK,HTTP_GET,SSL_GET,SMTP_CHECK,DNS_CHECK,UDP_CHECK,PING_CHECK}."
    "{connect_ip,connect_port,bindto,bind_if,fwmark}"
)
@pytest.mark.parametrize("six", [False, True], ids=["inet", "inet6"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_packet_of_a_check_is_as_its_words_say(
    kind: str, six: bool, desk: Desk, scene: Scene, tmp_path: Path
) -> None:
    director, server, tls = scene
    address, source = (SERVER6, SOURCE6) if six else (SERVER, SOURCE)
    towards = f"ip6 daddr {address}" if six else f"ip daddr {address}"
    with served(kind, server, address, tls) as port:
        words = f"connect_ip {address}\nconnect_port {port}\nbindto {source}\nbind_if eth1\nfwmark {MARK}"
        wanted = f'{"ip6" if six else "ip"} saddr {source} meta mark {MARK} oifname "eth1" th dport {port}'
        if kind == "PING_CHECK":
            wanted = wanted.removesuffix(f" th dport {port}")
        else:
            words += f"\nbind_port {(own := port % 1000 + 2000)}"
            wanted += f" th sport {own}"
        spec = check(tmp_path, kind, words, six=six)
        with counted(director, towards, wanted) as count, director.inside():
            outcome = desk.ask(spec.question)
            assert outcome.ok, outcome
            right, wrong = count()
    assert right > 0
    assert wrong == 0


@pytest.mark.parametrize("kind", KINDS)
def test_without_words_a_check_goes_the_usual_way(kind: str, desk: Desk, scene: Scene, tmp_path: Path) -> None:
    director, server, tls = scene
    with served(kind, server, SERVER, tls) as port:
        spec = check(tmp_path, kind, f"connect_ip {SERVER}\nconnect_port {port}", six=False)
        wanted = f'ip saddr {USUAL} meta mark 0 oifname "eth0"'
        with counted(director, f"ip daddr {SERVER}", wanted) as count, director.inside():
            assert desk.ask(spec.question).ok
            right, wrong = count()
    assert right > 0
    assert wrong == 0


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "datagram"])
def test_a_ping_takes_what_socket_it_may_have(raw: bool, desk: Desk, scene: Scene) -> None:
    director = scene.director
    director.sysctl("net.ipv4.ping_group_range", "1 0" if raw else "0 2147483647")
    with director.inside():
        for address in (SERVER, SERVER6):
            question = PingCheck(socket=SocketOptions(address=address, port=0, timeout_us=30 * SECOND_US))
            outcomes: list[Outcome] = []
            desk.connectors.perform(converse(question), 30 * SECOND_US, outcomes.append)
            assert [way._raw for way in desk.connectors.echoes._ways.values()] == [raw]
            desk.run_until(lambda outcomes=outcomes: bool(outcomes))  # type: ignore[misc]
            assert outcomes[0].ok, outcomes
