"""`doctor vmac`: asks the network for every virtual address, and shows which MAC address answered."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance
from pykeepalived.tools.doctor.ailment import Ailment, fault, note, risk
from pykeepalived.tools.doctor.machine import Machine
from pykeepalived.tools.doctor.wire import Heard


def virtual_mac(instance: VrrpInstance) -> str:
    """The MAC address of a virtual router for IPv4 (RFC 9568 section 7.3)."""
    return f"00:00:5e:00:01:{instance.vrid:02x}"


def examine(machine: Machine, config: Config, heard: list[Heard]) -> Iterator[Ailment]:
    answers = {where.ifname: where.claims for where in heard}
    links = {link.name: link for link in machine.links()}
    for instance in config.instances:
        if instance.vmac is None:
            yield note("no-vmac", f"{instance.name} uses no virtual MAC address", "# in the instance: use_vmac")
            continue
        wanted = virtual_mac(instance)
        for item in instance.addresses:
            address = item.prefix.address
            if ":" in address:
                continue
            holder = next((name for name in links for own in machine.addresses(name) if str(own.ip) == address), None)
            found = sorted(mac for claimed, mac in answers.get(instance.interface or "", ()) if claimed == address)
            if holder is not None:
                yield from _held_here(instance, address, holder, links[holder].mac.hex(":"), wanted)
            elif not found:
                text = f"{instance.name}: nobody answers for {address} on {instance.interface}"
                yield fault("vmac-silent", text, "# is there a MASTER? keepalivedctl explain, on each director")
            for mac in found:
                if mac == wanted:
                    text = f"{instance.name}: {address} is answered by {mac}, as VRID {instance.vrid} should"
                    yield note("vmac-answers", text)
                else:
                    text = f"{instance.name}: {address} is answered by {mac} instead of {wanted}"
                    yield fault("vmac-differs", text, "# that machine has no use_vmac, or the address belongs to it")


def _held_here(instance: VrrpInstance, address: str, holder: str, mac: str, wanted: str) -> Iterator[Ailment]:
    if mac != wanted:
        text = f"{instance.name}: {address} is here on {holder}, with {mac} instead of {wanted}"
        yield risk("vmac-differs", text, f"ip address show {holder}")
    else:
        yield note(
            "vmac-here",
            f"{instance.name}: {address} is here on {holder} ({mac}); a machine does not hear its own answers",
            "# run `keepalivedctl doctor vmac` on another machine of the network",
        )
