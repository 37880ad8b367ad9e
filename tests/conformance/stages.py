"""Where cases play: the core alone in virtual time, and a whole daemon (ours or Debian's) in network namespaces."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pykeepalived.model.common import Family, IpPrefix
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VirtualAddress, VmacSettings, VrrpInstance, VrrpState
from pykeepalived.netio.frames.vrrp import Counters, advert_specs, datagrams
from pykeepalived.tools.lab import Lab, wait_until
from pykeepalived.vrrp import events
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.facts import instance_family
from pykeepalived.vrrp.links import address_link, advert_link, blocks, forwards_as_master_only, own_link, rfc_mac
from pykeepalived.vrrp.receive import Ladder
from pykeepalived.vrrp.router import Router
from tests.conformance.advert_bytes import GROUP4, GROUP6
from tests.conformance.ledger import Case
from tests.conformance.network import BEYOND, OWN4, OWN6, Network

INTERVAL_US = 200_000
#: What the core calls the hardware address of the interface.
_OWN_MAC: Final = "own"


def virtual_address(vrid: int, *, ipv6: bool) -> str:
    return f"fe80::9:{vrid:x}" if ipv6 else f"10.9.1.{vrid}"


def instance_of(case: Case, vrid: int) -> VrrpInstance:
    words: dict[str, Any] = {"version": 3, "advert_interval_us": INTERVAL_US, **case.instance}
    ipv6 = words.pop("ipv6", False)
    if words["version"] == 2:
        words["advert_interval_us"] = 1_000_000
    if words.pop("use_vmac", False):
        words["vmac"] = VmacSettings(ifname=f"vrrp.{vrid}")
    address = VirtualAddress(prefix=IpPrefix(virtual_address(vrid, ipv6=ipv6), 64 if ipv6 else 32))
    more = [VirtualAddress(prefix=IpPrefix(text % vrid, 64)) for text in words.pop("more_addresses", ())]
    return VrrpInstance(
        name=f"V{vrid}", vrid=vrid, interface="eth0", native_ipv6=ipv6, addresses=(address, *more), **words
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
        self._said: list[str] = []
        self._feed(events.LinkChanged("eth0", True))
        self._feed(events.LinkChanged(str(own_link(self._instance)), True))
        self._feed(events.SourceAddressChanged(self._instance.name, own))
        self._feed(events.Start())

    def _feed(self, event: events.Event) -> None:
        for action in self._router.handle(event, self._now_us):
            if isinstance(action, events.SendAdvert):
                self._sent.append(bytes(self._datagram.advert(action.priority)))
            elif isinstance(action, events.Log):
                self._said.append(action.text)
            self._announced |= isinstance(action, events.Announce)

    def hear(self, packet: bytes) -> None:
        if self._ipv6:
            event = self._ladder.ipv6(packet[40:], packet[8:24], packet[24:40], packet[7], self._heard_on)
        else:
            event = self._ladder.ipv4(packet, self._heard_on)
        self._feed(event)

    @property
    def _heard_on(self) -> str:
        return str(advert_link(self._instance))

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

    def said(self, text: str) -> int:
        return sum(text in line for line in self._said)

    def stop(self) -> None:
        self._sent.clear()
        self._feed(events.Stop())

    # What follows is the kernel's work; the core decides on which interface everything is and what is blocked.

    def advert_macs(self) -> set[str]:
        return {self._mac_of(advert_link(self._instance))}

    def answer_macs(self) -> set[str]:
        (address, *_) = self._instance.addresses
        link = address_link(self._instance, address, instance_family(self._instance))
        return {self._mac_of(link)} if self.answers() else set()

    def announcement_macs(self) -> set[str]:
        return self.answer_macs() if self.announced() else set()

    def _mac_of(self, link: str | None) -> str:
        virtual = self._instance.vmac is not None and link == self._instance.vmac.ifname
        return rfc_mac(self.vrid, instance_family(self._instance)).hex(":") if virtual else _OWN_MAC

    def own_mac(self) -> str:
        return _OWN_MAC

    def accepts(self) -> bool:
        return self.answers() and not blocks(self._instance)

    def forwards(self) -> bool:
        (status,) = self._router.status()
        virtual = self._instance.vmac is not None
        return virtual and (status.state is VrrpState.MASTER or not forwards_as_master_only(self._instance))


class WireStage:
    """One virtual router of a network."""

    late_s = 4.0

    def __init__(self, network: Network, case: Case, vrid: int) -> None:
        self.vrid = vrid
        self.network = network
        self._ipv6 = bool(case.instance.get("ipv6"))
        self.address = virtual_address(self.vrid, ipv6=self._ipv6)

    def hear(self, packet: bytes) -> None:
        self.network.multicast(packet)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def now(self) -> float:
        return time.monotonic()

    def adverts(self) -> list[bytes]:
        return self.network.seen.adverts.pop(self.vrid, [])

    def answers(self) -> bool:
        return bool(self.network.ask(self.address))

    def announced(self) -> bool:
        return bool(self.announcement_macs())

    def said(self, text: str) -> int:
        lines = self.network.log.read_text(errors="replace").splitlines()
        return sum(f"(V{self.vrid})" in line and text in line for line in lines)

    def advert_macs(self) -> set[str]:
        return set(self.network.seen.advert_macs[self.vrid])

    def answer_macs(self) -> set[str]:
        return self.network.ask(self.address)

    def announcement_macs(self) -> set[str]:
        return self.network.seen.announced.pop(self.address, set())

    def own_mac(self) -> str:
        return self.network.router_mac.hex(":")

    def accepts(self) -> bool:
        return self.network.ping(self.address, self.network.router_mac)

    def forwards(self) -> bool:
        family = Family.INET6 if self._ipv6 else Family.INET
        return self.network.goes_through(BEYOND, rfc_mac(self.vrid, family), self.vrid)


@contextlib.contextmanager
def network(program: str, cases: Sequence[Case], into: Path) -> Iterator[dict[str, WireStage]]:
    """`program` is "ours" or "theirs". The stage of each case, by its name."""
    vrids = {case.name: number for number, case in enumerate(cases, 1)}
    with Lab("conformance") as lab:
        wire = Network(lab, program, [instance_of(case, vrids[case.name]) for case in cases], into)
        try:
            wait_until(lambda: "STATE" in wire.log.read_text(), 120, "the daemon runs")
            yield {case.name: WireStage(wire, case, vrids[case.name]) for case in cases}
        finally:
            wire.close()
