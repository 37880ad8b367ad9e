"""A daemon with all the virtual routers of the ledger, a stranger on its wire, and a network beyond it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from pykeepalived.dialects.keepalived.printer import print_config
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.vrrp import VrrpInstance
from pykeepalived.tools.lab import Lab, Namespace
from tests.conformance import packets
from tests.conformance.advert_bytes import GROUP4, STRANGER4, STRANGER6

OWN4, OWN6 = "10.9.0.1", "fe80::1"
BEYOND: Final = "10.77.0.5"
ROOT = Path(__file__).parents[2]
OURS = "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"
_NICE: Final = -15
_TRIES: Final = 3
_ANSWER_S: Final = 0.3
_ICMP6: Final = 58
_ECHO_REPLY: Final = {4: 0, 6: 129}


class Seen:
    """What the stranger and the network beyond saw."""

    def __init__(self) -> None:
        self.adverts: dict[int, list[bytes]] = defaultdict(list)
        """By VRID, from the IP header on."""
        self.advert_macs: dict[int, set[str]] = defaultdict(set)
        self.answers: dict[str, set[str]] = defaultdict(set)
        """By address: the hardware addresses that were told."""
        self.announced: dict[str, set[str]] = defaultdict(set)
        self.flags: dict[str, set[int]] = defaultdict(set)
        """Of unsolicited neighbour advertisements, by address."""
        self.replies: set[str] = set()
        """Who answered an echo request."""
        self.router_adverts = 0
        self.beyond: set[tuple[int, str, int]] = set()
        """What came out of the router on its other side: protocol, destination, identification."""
        self.sent_on: set[str] = set()
        """Destinations of datagrams that came back."""

    def on_wire(self, frame: bytes) -> None:
        kind, body = frame[12:14], frame[14:]
        mac = packets.mac_text(frame[6:12])
        if kind == packets.ARP:
            self._arp(body)
        elif kind == packets.IPV4 and body[9] == packets.VRRP:
            self._advert(body[(body[0] & 15) * 4 + 1], body, mac)
        elif kind == packets.IPV6 and body[6] == packets.VRRP:
            self._advert(body[41], body, mac)
        elif kind == packets.IPV4 and body[9] == socket.IPPROTO_ICMP and body[20] == _ECHO_REPLY[4]:
            self.replies.add(socket.inet_ntoa(body[12:16]))
        elif kind == packets.IPV4 and body[9] == socket.IPPROTO_UDP:
            self.sent_on.add(socket.inet_ntoa(body[16:20]))
        elif kind == packets.IPV6 and body[6] == _ICMP6:
            self._icmp6(body)

    def _advert(self, vrid: int, body: bytes, mac: str) -> None:
        self.advert_macs[vrid].add(mac)
        self.adverts[vrid].append(body)

    def _arp(self, body: bytes) -> None:
        sender, target = socket.inet_ntoa(body[14:18]), socket.inet_ntoa(body[24:28])
        if body[7] == 2 and target != sender:
            self.answers[sender].add(packets.mac_text(body[8:14]))
        elif sender == target:
            self.announced[sender].add(packets.mac_text(body[8:14]))

    def _icmp6(self, body: bytes) -> None:
        if body[40] == _ECHO_REPLY[6]:
            self.replies.add(socket.inet_ntop(socket.AF_INET6, body[8:24]))
        elif body[40] == packets.ROUTER_ADVERT:
            self.router_adverts += 1
        elif body[40] == packets.NEIGHBOUR_ADVERT:
            target = socket.inet_ntop(socket.AF_INET6, body[48:64])
            # The option with the hardware address; what has none is told by its frame.
            mac = packets.mac_text(body[66:72]) if len(body) >= 72 else ""
            if body[44] & packets.SOLICITED:
                self.answers[target].add(mac)
            else:
                self.flags[target].add(body[44])
                self.announced[target].add(mac)

    def on_the_other_side(self, frame: bytes) -> None:
        if frame[12:14] == packets.IPV4:
            body = frame[14:]
            self.beyond.add((body[9], socket.inet_ntoa(body[16:20]), int.from_bytes(body[4:6], "big")))


class Network:
    """The daemon runs when it is made."""

    def __init__(self, lab: Lab, program: str, instances: Iterable[VrrpInstance], into: Path) -> None:
        self.router, self.stranger = lab.namespace("router"), lab.namespace("stranger")
        beyond = lab.namespace("beyond")
        lab.link(self.router, "eth0", self.stranger, "eth0")
        lab.link(self.router, "eth1", beyond, "eth0")
        self.router.address("eth0", f"{OWN4}/16", f"{OWN6}/64")
        self.router.address("eth1", "10.77.0.1/24")
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.router.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.stranger.address("eth0", f"{STRANGER4}/16", f"{STRANGER6}/64")
        beyond.address("eth0", f"{BEYOND}/24")
        self.seen = Seen()
        self._ended = False
        with self.stranger.inside():
            self._four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(STRANGER4))
        self._frames = _listen(self.stranger)
        self._far = _listen(beyond)
        self.mac: bytes = self._frames.getsockname()[4]
        self.router_mac = _mac_of(self.router, "eth0")
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self._frames, self.seen.on_wire), (self._far, self.seen.on_the_other_side))
        ]
        for reader in self._readers:
            reader.start()
        file = into / f"{program}.conf"
        file.write_text(print_config(Config(globals=GlobalDefs(), instances=tuple(instances))).text)
        self.log = into / f"{program}.log"
        argv = ["keepalived"] if program == "theirs" else [sys.executable, "-c", OURS]
        options = ["-n", "-l", "-D", "-f", str(file), "-P", "-p", "/run/k", "-r", "/run/v", "-c", "/run/c"]
        self.process: subprocess.Popen[Any] = lab.popen(self.router, *argv, *options, log=self.log, cwd=ROOT)
        # Who is starved on a busy machine misses instants, and rightly so: both programs alike come first.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.pid}/autogroup").write_text(str(_NICE))

    def _read(self, frames: socket.socket, sort: Callable[[bytes], None]) -> None:
        while not self._ended:
            try:
                frame, address = frames.recvfrom(4096)
            except TimeoutError:
                continue
            except OSError:
                return
            if address[2] != socket.PACKET_OUTGOING:
                sort(frame)

    # ---- what the stranger does ----

    def multicast(self, packet: bytes) -> None:
        """A packet of the VRRP group, from the IP header on."""
        if packet[0] >> 4 == 4:
            self._four.sendto(packet, (GROUP4, 0))
        else:
            self._frames.send(b"\x33\x33\0\0\0\x12" + self.mac + packets.IPV6 + packet)

    def ask(self, address: str) -> set[str]:
        """ARP or neighbour solicitation for an address; the hardware addresses that are answered with."""
        self.seen.answers.pop(address, None)
        solicit = packets.neighbour_solicitation if ":" in address else packets.arp_request
        if self._repeat(solicit(self.mac, address), lambda: self.seen.answers.get(address)):
            return set(self.seen.answers[address])
        return set()

    def ping(self, address: str, mac: bytes) -> bool:
        """An echo request for an address, in a frame to this MAC address; whether it is answered."""
        self.seen.replies.discard(address)
        return self._repeat(packets.echo_request(self.mac, mac, address), lambda: address in self.seen.replies)

    def goes_through(self, destination: str, mac: bytes, mark: int) -> bool:
        """A packet in a frame to this MAC address; whether the router sends it on to its other side."""
        frame = packets.datagram(self.mac, mac, destination, mark)
        wanted = (socket.IPPROTO_UDP, destination, mark)
        self.seen.beyond.discard(wanted)
        return self._repeat(frame, lambda: wanted in self.seen.beyond)

    def sends_on(self, address: str, mark: int) -> bool:
        """A packet to this address in a frame to the router; whether it comes out again, there or here."""
        self.seen.sent_on.discard(address)
        return self.goes_through(address, self.router_mac, mark) or address in self.seen.sent_on

    def nothing_of_vrrp_beyond(self, mark: int) -> bool:
        """What is sent after the adverts has come out on the other side, and none of them has."""
        came = self.goes_through(BEYOND, self.router_mac, mark)
        return came and not any(protocol == packets.VRRP for protocol, _, _ in self.seen.beyond)

    def router_solicited(self) -> bool:
        """Ask for a router; whether one advertises itself."""
        before = self.seen.router_adverts
        return self._repeat(packets.router_solicitation(self.mac), lambda: self.seen.router_adverts > before)

    def _repeat(self, frame: bytes, answered: Callable[[], object]) -> bool:
        for _ in range(_TRIES):
            self._frames.send(frame)
            end = time.monotonic() + _ANSWER_S
            while time.monotonic() < end:
                if answered():
                    return True
                time.sleep(0.01)
        return False

    # ---- the end ----

    def stop(self) -> None:
        """End the daemon in order; what it still says is in `seen`."""
        self.seen.adverts.clear()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        time.sleep(0.2)

    def close(self) -> None:
        self._ended = True
        for reader in self._readers:
            reader.join(2)
        for each in (self._four, self._frames, self._far):
            each.close()


def _listen(space: Namespace) -> socket.socket:
    with space.inside():
        frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        frames.bind(("eth0", 3))
    frames.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    frames.settimeout(0.1)
    return frames


def _mac_of(space: Namespace, ifname: str) -> bytes:
    with space.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as own:
        own.bind((ifname, 0))
        mac: bytes = own.getsockname()[4]
    return mac
