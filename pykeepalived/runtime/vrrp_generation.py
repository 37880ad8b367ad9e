"""What follows from one configuration, looked up often."""

from __future__ import annotations

from functools import cached_property

from pykeepalived.model.config import Config
from pykeepalived.runtime.vrrp_addresses import Placed
from pykeepalived.runtime.vrrp_endpoints import Endpoint, endpoints_of, virtual_addresses
from pykeepalived.vrrp.facts import interface_trackers
from pykeepalived.vrrp.links import own_link
from pykeepalived.vrrp.watched import static_trackers

#: The owner of its addresses becomes MASTER at once, and they are the addresses of its interface.
OWNER_PRIORITY = 255


class Generation:
    """One configuration with its endpoints."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.endpoints: dict[str, Endpoint] = endpoints_of(config)
        self.groups = {item.name: item for item in config.sync_groups}
        self.scripts = {item.name: item for item in config.scripts}
        self.virtual = virtual_addresses(self.endpoints.values())
        self.tracked_sources = [each for each in self.endpoints.values() if each.instance.track_src_ip]
        """Of these it matters whether the source address that the file names is there, on whichever interface."""
        self.on_interface: dict[str, list[Endpoint]] = {}
        for endpoint in self.endpoints.values():
            # An ipvlan has addresses of its own.
            for ifname in {endpoint.instance.interface, own_link(endpoint.instance)} - {None}:
                self.on_interface.setdefault(str(ifname), []).append(endpoint)

    @cached_property
    def interfaces(self) -> frozenset[str]:
        """Every interface that the configuration names."""
        found = {tracker.ifname for item in self.config.instances for tracker in interface_trackers(item)}
        found |= {tracker.ifname for group in self.config.sync_groups for tracker in group.track_interfaces}
        found |= {item.ifname for tracked in static_trackers(self.config).values() for item in tracked}
        return frozenset(found | set(self.on_interface) | {ifname for ifname, _ in self.virtual})

    def owned(self) -> list[Placed]:
        """Addresses of instances that own them."""
        return [placed for item in self.endpoints.values() if _owns(item) for placed in item.addresses()]


def not_owned(endpoints: list[Endpoint]) -> list[Placed]:
    """Addresses that have no business on an interface before an election."""
    return [placed for item in endpoints if not _owns(item) for placed in item.addresses()]


def _owns(endpoint: Endpoint) -> bool:
    return endpoint.instance.priority == OWNER_PRIORITY
