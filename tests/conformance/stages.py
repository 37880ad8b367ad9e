"""Where cases play: the core alone in virtual time, and a whole daemon (ours or Debian's) in network namespaces."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pykeepalived.dialects.keepalived.printer import print_config
from pykeepalived.model.common import Family, IpPrefix
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.vrrp import VirtualAddress, VrrpInstance
from pykeepalived.netio.frames.vrrp import Counters, advert_specs, datagrams
from pykeepalived.tools.lab import Lab, wait_until
from pykeepalived.vrrp import events
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.facts import instance_family
from pykeepalived.vrrp.receive import Ladder
from pykeepalived.vrrp.router import Router
from tests.conformance.advert_bytes import GROUP4, GROUP6, packed
from tests.conformance.ledger import Case

INTERVAL_US = 200_000
OWN4, OWN6 = "10.9.0.1", "fe80::1"
ROOT = Path(__file__).parents[2]
OURS = "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"


def virtual_address(vrid: int, *, ipv6: bool) -> str:
    return f"fe80::9:{vrid:x}" if ipv6 else f"10.9.1.{vrid}"


def instance_of(case: Case, vrid: int) -> VrrpInstance:
    words: dict[str, Any] = {"version": 3, "advert_interval_us": INTERVAL_US, **case.instance}
    ipv6 = words.pop("ipv6", False)
    if words["version"] == 2:
        words["advert_interval_us"] = 1_000_000
    return VrrpInstance(
        name=f"V{vrid}",
        vrid=vrid,
        interface="eth0",
        native_ipv6=ipv6,
        addresses=(VirtualAddress(prefix=IpPrefix(virtual_address(vrid, ipv6=ipv6), 64 if ipv6 else 32)),),
        **words,
    )


class CoreStage:
    """The core with a ladder in front and scapy's packets behind it."""

    late_s = 0.0

    def __init__(self, case: Case, vrid: int = 51) -> None:
        self.vrid = vrid
        self._instance = instance_of(case, vrid)
        self._ipv6 = instance_family(self._instance) is Family.INET6
        self._ladder = Ladder([expectation(self._instance)])
        self._router = Router(Config(instances=(self._instance,)), log_detail=False)
        own = OWN6 if self._ipv6 else OWN4
        specs = advert_specs(self._instance, own, GROUP6 if self._ipv6 else GROUP4)
        (self._datagram,) = datagrams(specs, self._instance.priority, Counters())
        self._now_us = 0
        self._sent: list[bytes] = []
        self._announced = False
        self._feed(events.LinkChanged("eth0", True))
        self._feed(events.SourceAddressChanged(self._instance.name, own))
        self._feed(events.Start())

    def _feed(self, event: events.Event) -> None:
        for action in self._router.handle(event, self._now_us):
            if isinstance(action, events.SendAdvert):
                self._sent.append(bytes(self._datagram.advert(action.priority)))
            self._announced |= isinstance(action, events.Announce)

    def hear(self, packet: bytes) -> None:
        if self._ipv6:
            event = self._ladder.ipv6(packet[40:], packet[8:24], packet[24:40], packet[7], "eth0")
        else:
            event = self._ladder.ipv4(packet, "eth0")
        self._feed(event)

    def wait(self, seconds: float) -> None:
        until_us = self._now_us + int(seconds * 1_000_000)
        while (at_us := self._router.wake_at()) is not None and at_us <= until_us:
            self._now_us = max(self._now_us, at_us)
            self._feed(events.Tick())
        self._now_us = until_us

    def now(self) -> float:
        return self._now_us / 1_000_000

    def adverts(self) -> list[bytes]:
        sent, self._sent = self._sent, []
        return sent

    def answers(self) -> bool:
        (status,) = self._router.status()
        return status.addresses_set

    def announced(self) -> bool:
        announced, self._announced = self._announced, False
        return announced


class Network:
    """A daemon with all the virtual routers, and a stranger on the same wire."""

    def __init__(self, lab: Lab, program: str, cases: Sequence[Case], into: Path) -> None:
        self.router, self.stranger = lab.namespace("router"), lab.namespace("stranger")
        lab.link(self.router, "eth0", self.stranger, "eth0")
        self.router.address("eth0", f"{OWN4}/16")
        self.router.ip("addr", "add", f"{OWN6}/64", "dev", "eth0", "nodad")
        self.stranger.address("eth0", "10.9.0.2/16")
        self.vrids = {case.name: number for number, case in enumerate(cases, 1)}
        self._open()
        self._seen: dict[int, list[bytes]] = defaultdict(list)
        self._announced: set[str] = set()
        self._answered: set[str] = set()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        instances = tuple(instance_of(case, self.vrids[case.name]) for case in cases)
        file = into / f"{program}.conf"
        file.write_text(print_config(Config(globals=GlobalDefs(), instances=instances)).text)
        self.log = into / f"{program}.log"
        argv = ["keepalived"] if program == "theirs" else [sys.executable, "-c", OURS]
        options = ["-n", "-l", "-D", "-f", str(file), "-P", "-p", "/run/k", "-r", "/run/v", "-c", "/run/c"]
        self.process: subprocess.Popen[Any] = lab.popen(self.router, *argv, *options, log=self.log, cwd=ROOT)

    def _open(self) -> None:
        with self.stranger.inside():
            self._four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.0.2"))
            self._frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self._frames.bind(("eth0", 3))
            self._frames.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._frames.settimeout(0.1)
        self._mac = self._frames.getsockname()[4]

    def _read(self) -> None:
        while not self._ended:
            try:
                frame, address = self._frames.recvfrom(4096)
            except TimeoutError:
                continue
            except OSError:
                return
            if address[2] != socket.PACKET_OUTGOING:
                self._sort(frame)

    def _sort(self, frame: bytes) -> None:
        kind, body = frame[12:14], frame[14:]
        if kind == b"\x08\x00" and body[9] == 112:
            self._seen[body[(body[0] & 15) * 4 + 1]].append(body)
        elif kind == b"\x86\xdd" and body[6] == 112:
            self._seen[body[41]].append(body)
        elif kind == b"\x08\x06":
            sender, target = socket.inet_ntoa(body[14:18]), socket.inet_ntoa(body[24:28])
            if body[7] == 2 and target != sender:
                self._answered.add(sender)
            elif sender == target:
                self._announced.add(sender)
        elif kind == b"\x86\xdd" and body[6] == 58 and body[40] == 136:
            target = socket.inet_ntop(socket.AF_INET6, body[48:64])
            (self._answered if body[44] & 0x40 else self._announced).add(target)

    def send(self, packet: bytes) -> None:
        if packet[0] >> 4 == 4:
            self._four.sendto(packet, (GROUP4, 0))
        else:
            ether = b"\x33\x33\0\0\0\x12" + self._mac + b"\x86\xdd"
            self._frames.send(ether + packet)

    def ask(self, address: str, *, ipv6: bool) -> bool:
        """ARP or neighbour solicitation for an address; whether somebody answers."""
        self._answered.discard(address)
        for _ in range(3):
            self._frames.send(self._solicitation(address) if ipv6 else self._arp(address))
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                if address in self._answered:
                    return True
                time.sleep(0.01)
        return False

    def _arp(self, address: str) -> bytes:
        head = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1)
        body = self._mac + socket.inet_aton("10.9.0.2") + bytes(6) + socket.inet_aton(address)
        return b"\xff" * 6 + self._mac + b"\x08\x06" + head + body

    def _solicitation(self, address: str) -> bytes:
        target = packed(address)
        group = packed("ff02::1:ff00:0")[:13] + target[13:]
        message = bytes((135, 0, 0, 0, 0, 0, 0, 0)) + target + b"\x01\x01" + self._mac
        pseudo = int.from_bytes(packed("fe80::2") + group, "big") + 58 + len(message)
        message = message[:2] + (-(int.from_bytes(message, "big") + pseudo) % 0xFFFF).to_bytes(2, "big") + message[4:]
        header = struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + packed("fe80::2") + group
        return b"\x33\x33" + group[12:] + self._mac + b"\x86\xdd" + header + message

    def seen(self, vrid: int) -> list[bytes]:
        return self._seen.pop(vrid, [])

    def take_announced(self, address: str) -> bool:
        announced = address in self._announced
        self._announced.discard(address)
        return announced

    def stop(self) -> list[bytes]:
        """End the daemon in order; everything that it still said."""
        self._seen.clear()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        time.sleep(0.2)
        return [packet for packets in self._seen.values() for packet in packets]

    def close(self) -> None:
        self._ended = True
        self._reader.join(2)
        self._four.close()
        self._frames.close()


class WireStage:
    """One virtual router of a network."""

    late_s = 4.0

    def __init__(self, network: Network, case: Case) -> None:
        self.vrid = network.vrids[case.name]
        self._network = network
        self._ipv6 = bool(case.instance.get("ipv6"))
        self._address = virtual_address(self.vrid, ipv6=self._ipv6)

    def hear(self, packet: bytes) -> None:
        self._network.send(packet)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def now(self) -> float:
        return time.monotonic()

    def adverts(self) -> list[bytes]:
        return self._network.seen(self.vrid)

    def answers(self) -> bool:
        return self._network.ask(self._address, ipv6=self._ipv6)

    def announced(self) -> bool:
        return self._network.take_announced(self._address)


@contextlib.contextmanager
def network(program: str, cases: Sequence[Case], into: Path) -> Iterator[Network]:
    """`program` is "ours" or "theirs". It runs when it is entered."""
    with Lab("conformance") as lab:
        stage = Network(lab, program, cases, into)
        try:
            wait_until(lambda: "STATE" in stage.log.read_text(), 120, "the daemon runs")
            yield stage
        finally:
            stage.close()
