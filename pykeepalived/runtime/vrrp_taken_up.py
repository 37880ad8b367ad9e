"""The lines of -D about what the VRRP process has taken up, as keepalived writes them."""

from __future__ import annotations

from collections.abc import Iterable

from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.netio.links import Monitor
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_endpoints import Endpoint, SourceFinder
from pykeepalived.vrrp.facts import all_addresses


def tell_sockets(config: Config, log: Logger) -> None:
    """The sockets that a start opens, those for announcements if there is something to announce."""
    log.detail("Registering Kernel netlink reflector")
    log.detail("Registering Kernel netlink command channel")
    texts = {":" in item.prefix.address for instance in config.instances for item in all_addresses(instance)}
    for ipv6, what in ((False, "ARP"), (True, "NDISC")):
        if ipv6 in texts:
            log.detail(f"Registering gratuitous {what} shared channel")


def tell_sources(endpoints: Iterable[Endpoint], monitor: Monitor, virtual: set[tuple[str, str]], log: Logger) -> None:
    """The first address of each family on each interface of an instance, but not on one that another one tracks."""
    instances = [endpoint.instance for endpoint in endpoints]
    tracked = {item.ifname for instance in instances for item in instance.track_interfaces}
    finder = SourceFinder(monitor, virtual)
    for ifname in dict.fromkeys(instance.interface for instance in instances):
        if ifname is None or ifname in tracked:
            continue
        for family in (Family.INET, Family.INET6):
            found = finder.first_address(ifname, family)
            if found is not None:
                log.detail(f"Assigned address {found} for interface {ifname}")
