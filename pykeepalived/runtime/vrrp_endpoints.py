"""What an instance sends and from where: source address, socket place, adverts kept as bytes, announcements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.vrrp import AuthType, VirtualAddress, VrrpInstance
from pykeepalived.netio.frames.vrrp import (
    PROTOCOL_AH,
    PROTOCOL_VRRP,
    Counters,
    Datagram,
    advert_specs,
    datagrams,
    largest_advert,
)
from pykeepalived.netio.links import IFA_F_DADFAILED, IFA_F_SECONDARY, SCOPE_LINK, Monitor
from pykeepalived.netio.sockets import Place, SocketPool, Wish
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_addresses import Placed
from pykeepalived.vrrp.authentication import AhCounter
from pykeepalived.vrrp.events import SourceAddressChanged
from pykeepalived.vrrp.facts import InstanceKey, all_addresses, instance_family, instance_key, is_unicast
from pykeepalived.vrrp.links import address_link, advert_link, own_link

#: Of an instance without an interface.
_MTU: Final = 1500


class Endpoint:
    """One instance at the edge."""

    def __init__(self, instance: VrrpInstance, group: str, settings: GlobalDefs | None = None) -> None:
        """`group` is the multicast group when the instance names none; `settings` tell how buffers are sized."""
        self._settings = settings or GlobalDefs()
        self.instance = instance
        self.key: InstanceKey = instance_key(instance)
        self.family: Family = instance_family(instance)
        self.group: str | None = None if is_unicast(instance) else instance.multicast_group or group
        authentication = instance.authentication if instance.version == 2 else None
        with_ah = authentication is not None and authentication.type is AuthType.AH
        link = advert_link(instance)
        self.place = Place(
            link,
            self.family,
            None if link else instance.source,
            PROTOCOL_AH if with_ah else PROTOCOL_VRRP,
        )
        self.source: str | None = None
        self.tentative = False
        """Its source address is still in duplicate address detection."""
        self._datagrams: tuple[Datagram, ...] = ()
        self._counters = Counters()
        self._send_error: int | None = None
        self._old_checksum = False

    def use_source(self, source: str | None) -> None:
        """Adverts come from this address from now on; None: there is none, and nothing can be sent."""
        self.tentative = False
        if source != self.source:
            self.source = source
            self._datagrams = ()

    def wait_for_source(self) -> None:
        """There will be a source address; until then the last one stays."""
        self.tentative = True

    def take_over(self, old: Endpoint) -> None:
        """Continue for the same virtual router of an earlier configuration."""
        self.source, self.tentative = old.source, old.tentative
        self._counters = old._counters
        self._old_checksum = old._old_checksum

    def use_old_checksum(self) -> None:
        """A peer knows only the checksum of old versions."""
        self._old_checksum = True
        self._datagrams = ()

    @property
    def ah_counter(self) -> AhCounter:
        """The sequence number that sending and hearing share."""
        return self._counters.ah

    def prepare(self) -> bool:
        """Have the adverts built, so that no election waits for it. False: they were built already, or cannot be."""
        if self._datagrams or self.source is None:
            return False
        specs = advert_specs(self.instance, self.source, self.group or "", old_checksum=self._old_checksum)
        self._datagrams = datagrams(specs, self.instance.priority, self._counters)
        return True

    def send(self, pool: SocketPool, priority: int, log: Logger) -> None:
        """Send an advert to the group or to every peer. What cannot be sent is logged once until it changes."""
        self.prepare()
        failed: int | None = None
        for datagram in self._datagrams:
            try:
                pool.send(self.place, datagram.advert(priority), datagram.destination)
            except OSError as error:
                # A peer that the routing table does not reach must not silence us to the others.
                failed = error.errno
                if failed != self._send_error:
                    log.info(f"({self.instance.name}) cannot send advert to {datagram.destination} - {error.strerror}")
        self._send_error = failed

    def receive_buffer(self, mtu: int) -> int | None:
        """Bytes that the file wants the receiving socket to hold for this instance; None: it does not say."""
        settings, instance = self._settings, self.instance
        if instance.kernel_rx_buf_size is not None:
            return instance.kernel_rx_buf_size
        match settings.rx_bufs_policy:
            case "MTU":
                return mtu * settings.rx_bufs_multiplier
            case "ADVERT":
                return largest_advert(instance) * settings.rx_bufs_multiplier
            case int(size):
                return size
            case _:
                return None

    def addresses(self) -> list[Placed]:
        """Everything that a MASTER puts on interfaces, in its order."""
        return self.place_addresses(all_addresses(self.instance))

    def place_addresses(self, addresses: Iterable[VirtualAddress]) -> list[Placed]:
        """Addresses with the interfaces where they belong: `dev`, else the interface of the instance."""
        found = []
        for address in addresses:
            ifname = address_link(self.instance, address, self.family)
            if ifname is not None:
                found.append(Placed(ifname, address))
        return found


def endpoints_of(config: Config) -> dict[str, Endpoint]:
    """By name, in file order."""
    groups = {Family.INET: config.globals.multicast_group4, Family.INET6: config.globals.multicast_group6}
    return {item.name: Endpoint(item, groups[instance_family(item)], config.globals) for item in config.instances}


def wishes(endpoints: Iterable[Endpoint], monitor: Monitor) -> dict[Place, Wish]:
    """The sockets that the instances need, shared by those at one place. An interface that is missing needs none.

    What the file says of buffers adds up over the instances of a place; where it says nothing, ours is large.
    """
    buffers: dict[Place, int] = {}
    found: dict[Place, Wish] = {}
    for endpoint in endpoints:
        place = endpoint.place
        link = monitor.link(place.ifname) if place.ifname is not None else None
        if (place.ifname is not None and link is None) or (place.ifname is None and place.local is None):
            continue
        wish = found.get(place, Wish(link.index if link else None))
        size = endpoint.receive_buffer(link.mtu if link else _MTU)
        if size is not None:
            buffers[place] = buffers.get(place, 0) + size
        groups = wish.groups | {endpoint.group} if endpoint.group else wish.groups
        buffer = buffers.get(place, wish.receive_buffer)
        found[place] = msgspec.structs.replace(wish, groups=groups, receive_buffer=buffer)
    return found


def virtual_addresses(endpoints: Iterable[Endpoint]) -> set[tuple[str, str]]:
    """Interface and address of everything that is virtual, so that none of it becomes a source address."""
    return {(item.ifname, item.address.prefix.address) for endpoint in endpoints for item in endpoint.addresses()}


class SourceFinder:
    """Where the adverts of an instance come from: what the file says, else the first address of its interface.

    IPv4 takes primary addresses first; multicast over IPv6 needs the link-local one (RFC 9568 section 5.1.2.1). Virtual
    addresses do not count, unless there is no other: the owner of an address may have nothing else. Thousands of
    instances on one interface have the same answer, so a finder remembers it; make a new one for every look.
    """

    def __init__(self, monitor: Monitor, virtual: set[tuple[str, str]]) -> None:
        self._monitor = monitor
        self._virtual = virtual
        self._known: dict[tuple[str, Family, bool], str | None] = {}

    def update(self, endpoint: Endpoint) -> SourceAddressChanged:
        """Look, tell the endpoint and say what there is for the router."""
        name = endpoint.instance.name
        source = self.source(endpoint)
        if (
            source is not None
            and endpoint.family is Family.INET6
            and self._monitor.is_tentative(source, endpoint.place.ifname)
        ):
            endpoint.wait_for_source()
            return SourceAddressChanged(name, None, tentative=True)
        endpoint.use_source(source)
        return SourceAddressChanged(name, source)

    def source(self, endpoint: Endpoint) -> str | None:
        """None: the interface has no address that would do, or the one of the file is missing and tracked."""
        named = endpoint.instance.source
        if named is not None:
            gone = endpoint.instance.track_src_ip and self._monitor.interface_with(named) is None
            return None if gone else named
        settings = endpoint.instance.vmac
        # An ipvlan has addresses of its own; a virtual MAC sends from those of its base.
        ifname = own_link(endpoint.instance) if settings and settings.kind == "ipvlan" else endpoint.instance.interface
        if ifname is None:
            return None
        key = (ifname, endpoint.family, endpoint.family is Family.INET6 and endpoint.group is not None)
        if key not in self._known:
            self._known[key] = self._look(*key)
        return self._known[key]

    def first_address(self, ifname: str, family: Family) -> str | None:
        """What an instance without an address of its own in the file sends multicast adverts from."""
        return self._look(ifname, family, family is Family.INET6)

    def _look(self, ifname: str, family: Family, link_local: bool) -> str | None:
        found = [item for item in self._monitor.addresses(ifname, family) if not item.flags & IFA_F_DADFAILED]
        if link_local:
            found = [item for item in found if item.scope == SCOPE_LINK]
        own = [item for item in found if (ifname, item.address) not in self._virtual] or found
        primary = [item for item in own if not item.flags & IFA_F_SECONDARY] or own
        return primary[0].address if primary else None
