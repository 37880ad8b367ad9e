"""Kernel modules, forwarding, reverse path filters, connection tracking."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.model.config import Config
from pykeepalived.model.lvs import ForwardingMethod, VirtualServer
from pykeepalived.tools.doctor.ailment import Ailment, fault, note, risk
from pykeepalived.tools.doctor.machine import Machine


def examine(machine: Machine, config: Config) -> Iterator[Ailment]:
    services = config.virtual_servers or tuple(config.ldirectord_servers)
    if services:
        yield from _balancing(machine, config, services)
    tunnels = _methods(services) & {ForwardingMethod.TUN}
    if tunnels and machine.has_module("ipip") is False:
        yield note("module-missing", "this kernel has no ipip module; real servers need it, not this director")
    if config.instances and machine.setting("ipv4/ip_nonlocal_bind") == "0":
        yield note(
            "nonlocal-bind",
            "programs cannot bind to a virtual address while this machine is BACKUP",
            "sysctl -w net.ipv4.ip_nonlocal_bind=1",
        )
    yield from _reverse_path(machine, config)


def _methods(services: tuple[VirtualServer, ...]) -> set[ForwardingMethod]:
    return {server.forwarding.method for service in services for server in service.real_servers}


def _balancing(machine: Machine, config: Config, services: tuple[VirtualServer, ...]) -> Iterator[Ailment]:
    ipvs = machine.has_file("/proc/net/ip_vs") or machine.has_module("ip_vs")
    if config.globals.lvs_dataplane == "ipvs" and not ipvs:
        yield fault("module-missing", "lvs_dataplane is ipvs, and this kernel has no ip_vs", "modprobe ip_vs")
    if ipvs:
        for scheduler in sorted({service.scheduler for service in services}):
            if machine.has_module(f"ip_vs_{scheduler}") is False:
                text = f"this kernel has no scheduler {scheduler}"
                yield fault("module-missing", text, f"modprobe ip_vs_{scheduler}")
    else:
        yield note("no-ipvs", "this kernel has no IPVS; virtual servers are made with nftables", "modprobe ip_vs")
    if ForwardingMethod.NAT in _methods(services):
        for family, key in ((4, "ipv4/ip_forward"), (6, "ipv6/conf/all/forwarding")):
            used = any((":" in server.address) is (family == 6) for item in services for server in item.real_servers)
            if used and machine.setting(key) == "0":
                yield fault(
                    "forwarding-off",
                    f"virtual servers with NAT, and this machine forwards no IPv{family} packets: answers of the real "
                    "servers do not get back to the clients",
                    f"sysctl -w {'net.' + key.replace('/', '.')}=1",
                )
    yield from _tracking(machine)


def _tracking(machine: Machine) -> Iterator[Ailment]:
    if machine.setting("ipv4/vs/expire_nodest_conn") == "0":
        yield note(
            "expire-nodest-conn",
            "connections to a real server that has left run into nothing until they time out",
            "sysctl -w net.ipv4.vs.expire_nodest_conn=1",
        )
    limit, used = (machine.setting(f"netfilter/nf_conntrack_{name}") for name in ("max", "count"))
    if limit and used and limit.isdigit() and used.isdigit() and int(limit) and int(used) * 10 > int(limit) * 8:
        yield risk(
            "conntrack-full",
            f"{used} of {limit} tracked connections are in use; beyond that new connections are dropped",
            f"sysctl -w net.netfilter.nf_conntrack_max={int(limit) * 2}",
        )
    if machine.setting("ipv4/vs/conntrack") == "1":
        text = "IPVS keeps every connection in connection tracking too, which costs time per packet"
        yield note("ipvs-conntrack", text, "sysctl -w net.ipv4.vs.conntrack=0")


def _reverse_path(machine: Machine, config: Config) -> Iterator[Ailment]:
    """A strict filter drops what comes in where the answer would not go out; adverts by multicast are safe from it."""
    tunnelled = ForwardingMethod.TUN in _methods(config.virtual_servers)
    names = {item.interface for item in config.instances if item.interface and item.vmac is not None}
    whole = machine.setting("ipv4/conf/all/rp_filter")
    for name in sorted(names):
        if "1" in {whole, machine.setting(f"ipv4/conf/{name}/rp_filter")}:
            yield risk(
                "rp-filter-strict",
                f"{name} carries a virtual MAC address and filters strictly by reverse path: packets to the virtual "
                "address may be dropped",
                f"sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{name}.rp_filter=2",
            )
    if tunnelled and whole == "1":
        yield note("rp-filter-strict", "real servers with tunnels need rp_filter=0 on the tunnel's interface, there")
