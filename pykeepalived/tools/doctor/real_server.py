"""What a real server needs for NAT, direct routing or tunnels: what is missing, and how to set it up."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from pykeepalived.tools.doctor.ailment import Ailment, fault, note, risk
from pykeepalived.tools.doctor.machine import Machine, interfaces_of

METHODS = ("nat", "dr", "tun")


def examine(machine: Machine, method: str, addresses: Sequence[str], director: str | None) -> Iterator[Ailment]:
    """`addresses`: the virtual addresses; `director`: its address on the real servers' network (NAT)."""
    if method == "nat":
        yield from _nat(machine, director)
    elif method == "dr":
        yield from _direct(machine, addresses)
    else:
        yield from _tunnel(machine, addresses)


def set_up(method: str, addresses: Sequence[str], director: str | None) -> list[str]:
    """The commands that make a machine a real server."""
    wanted = list(addresses) or ["VIRTUAL-ADDRESS"]
    if method == "nat":
        return [
            f"ip route replace default via {director or 'ADDRESS-OF-THE-DIRECTOR-ON-THIS-NETWORK'}",
            "sysctl -w net.ipv4.conf.all.accept_redirects=0",
        ]
    if method == "dr":
        return [
            "sysctl -w net.ipv4.conf.all.arp_ignore=1",
            "sysctl -w net.ipv4.conf.all.arp_announce=2",
            *(f"ip address add {item}/{_whole(item)} dev lo label lo:vip" if ":" not in item else
              f"ip address add {item}/128 dev lo preferred_lft 0" for item in wanted),
        ]  # fmt: skip
    return [
        "modprobe ipip",
        "ip link set tunl0 up",
        *(f"ip address add {item}/{_whole(item)} dev tunl0" for item in wanted),
        "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tunl0.rp_filter=0",
        "sysctl -w net.ipv4.conf.all.arp_ignore=1",
        "sysctl -w net.ipv4.conf.all.arp_announce=2",
    ]


def _whole(address: str) -> int:
    return 128 if ":" in address else 32


def _nat(machine: Machine, director: str | None) -> Iterator[Ailment]:
    gateway = default_gateway(machine.read("/proc/net/route") or "")
    if gateway is None:
        mend = f"ip route add default via {director or 'DIRECTOR'}"
        yield fault(
            "no-return-route", "there is no default route, so answers do not go back through the director", mend
        )
    elif director is not None and gateway != director:
        text = f"the default route goes to {gateway}, not to the director {director}: answers bypass it"
        yield fault("no-return-route", text, f"ip route replace default via {director}")


def default_gateway(table: str) -> str | None:
    """The gateway of the default route in /proc/net/route (little-endian hexadecimal)."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 7 and words[1] == "00000000" and words[7] == "00000000" and words[2] != "00000000":
            return str(ipaddress.IPv4Address(bytes.fromhex(words[2])[::-1]))
    return None


def _direct(machine: Machine, addresses: Sequence[str]) -> Iterator[Ailment]:
    yield from _has_addresses(machine, "lo", addresses, "ip address add {0}/{1} dev lo")
    if any(":" not in item for item in addresses) or not addresses:
        yield from _quiet_arp(machine)


def _tunnel(machine: Machine, addresses: Sequence[str]) -> Iterator[Ailment]:
    names = {link.name: link for link in machine.links()}
    tunnels = [name for name, link in names.items() if link.kind in {"ipip", "gre", "sit", "ip6tnl"} or name == "tunl0"]
    if not tunnels:
        yield fault("no-tunnel", "there is no tunnel interface to take packets out of", "modprobe ipip")
        return
    for name in tunnels:
        if not names[name].admin_up:
            yield fault("tunnel-down", f"the tunnel interface {name} is down", f"ip link set {name} up")
        for key in ("all", name):
            if machine.setting(f"ipv4/conf/{key}/rp_filter") == "1":
                text = f"rp_filter of {key} drops what comes out of the tunnel: its answer would leave elsewhere"
                yield fault("rp-filter-strict", text, f"sysctl -w net.ipv4.conf.{key}.rp_filter=0")
    yield from _has_addresses(machine, tunnels[0], addresses, f"ip address add {{0}}/{{1}} dev {tunnels[0]}")
    yield from _quiet_arp(machine)


def _has_addresses(machine: Machine, ifname: str, addresses: Sequence[str], mend: str) -> Iterator[Ailment]:
    held = {str(item.ip): name for name, found in interfaces_of(machine).items() for item in found}
    prefixes = {str(item.ip): item.network.prefixlen for found in interfaces_of(machine).values() for item in found}
    if not addresses:
        yield note("no-address-given", "name the virtual addresses with --address, so that they can be looked for")
    for address in addresses:
        whole = _whole(address)
        if address not in held:
            text = f"{address} is not on this machine, so packets for it are not taken"
            yield fault("address-missing", text, mend.format(address, whole))
        elif held[address] != ifname and not held[address].startswith(("lo", "dummy", "tunl")):
            text = f"{address} is on {held[address]}, where it is announced to the network; it belongs on {ifname}"
            yield risk("address-misplaced", text, mend.format(address, whole))
        elif prefixes[address] != whole and held[address] == "lo":
            text = f"{address}/{prefixes[address]} on lo makes the whole network local; it has to be /{whole}"
            yield fault("address-too-wide", text, f"ip address del {address}/{prefixes[address]} dev lo",
                        mend.format(address, whole))  # fmt: skip


def _quiet_arp(machine: Machine) -> Iterator[Ailment]:
    """The larger of `all` and the interface's own value counts."""
    for link in machine.links():
        if link.name == "lo" or not link.admin_up or not machine.addresses(link.name):
            continue
        for key, least, what in (
            ("arp_ignore", 1, "answers ARP requests for the virtual address, and takes its traffic from the director"),
            ("arp_announce", 2, "names the virtual address in its own ARP requests, and neighbours believe it"),
        ):
            values = [machine.setting(f"ipv4/conf/{name}/{key}") or "0" for name in ("all", link.name)]
            if max(int(value) if value.isdigit() else 0 for value in values) < least:
                text = f"{link.name} {what} ({key} is {' and '.join(values)})"
                yield fault(key.replace("_", "-"), text, f"sysctl -w net.ipv4.conf.all.{key}={least}")
