"""Who else works on this machine: network managers, SELinux and AppArmor, bridges that listen in on multicast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pykeepalived.model.config import Config
from pykeepalived.netio.links import Link
from pykeepalived.tools.doctor.ailment import Ailment, note, risk
from pykeepalived.tools.doctor.machine import Machine

_NETWORKD: Final = "/etc/systemd/networkd.conf.d/50-keepalived.conf"


def examine(machine: Machine, config: Config) -> Iterator[Ailment]:
    programs = machine.programs()
    if config.instances:
        if "systemd-network" in programs and not machine.has_file(_NETWORKD):
            yield risk(
                "networkd",
                "systemd-networkd runs: at its restart it removes addresses, routes and rules that it did not make",
                f"mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\nManageForeignRoutes=no\\n"
                f"ManageForeignRoutingPolicyRules=no\\n' >{_NETWORKD} && systemctl restart systemd-networkd",
            )
        if "NetworkManager" in programs:
            names = sorted({item.interface for item in config.instances if item.interface})
            text = f"NetworkManager runs: a reactivated connection loses virtual addresses ({', '.join(names)})"
            yield risk("network-manager", text, "# in the instance: on_loss reinstate")
        yield from _bridges(machine, config)
    yield from _confinement(machine)


def _confinement(machine: Machine) -> Iterator[Ailment]:
    if (machine.read("/sys/fs/selinux/enforce") or "").strip() == "1":
        yield note(
            "selinux",
            "SELinux enforces: scripts run confined (keepalived_t), and what they may not do stands in the audit log",
            "ausearch -m avc -ts recent -c keepalived",
        )
    profiles = machine.read("/sys/kernel/security/apparmor/profiles") or ""
    for line in profiles.splitlines():
        if "keepalived" in line and "enforce" in line:
            text = f"AppArmor confines keepalived: {line.strip()}"
            yield note("apparmor", text, "journalctl -k --grep 'apparmor=.DENIED.*keepalived'")
            return


def _bridges(machine: Machine, config: Config) -> Iterator[Ailment]:
    """A bridge that snoops without a querier forgets who listens, and adverts stop passing after some minutes."""
    links = {link.index: link for link in machine.links()}
    by_name = {link.name: link for link in links.values()}
    seen: set[str] = set()
    for instance in config.instances:
        link = by_name.get(instance.interface or "")
        if instance.unicast_peers or link is None:
            continue
        for bridge in _bridges_of(link, links):
            if bridge in seen:
                continue
            seen.add(bridge)
            top = f"/sys/class/net/{bridge}/bridge"
            snoops = (machine.read(f"{top}/multicast_snooping") or "").strip() == "1"
            asks = (machine.read(f"{top}/multicast_querier") or "").strip() == "1"
            if snoops and not asks:
                yield risk(
                    "multicast-snooping",
                    f"bridge {bridge} snoops on multicast and asks nobody who listens: adverts may stop to pass, and "
                    "then there are two masters",
                    f"echo 1 >{top}/multicast_querier",
                )


def _bridges_of(link: Link, links: dict[int, Link]) -> Iterator[str]:
    for index in (link.index, link.parent, link.master):
        found = links.get(index) if index is not None else None
        if found is not None and found.kind == "bridge":
            yield found.name
