"""A site for direct routing: see `traffic` for what its servers say."""

from __future__ import annotations

from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, ForwardingMethod
from pykeepalived.tools.lab import Lab, Namespace
from tests.dataplane.traffic import PORT, SERVERS, SERVERS6, VIP, VIP6, WEB, Site


class DirectSite:
    """One network with a client, a director and three servers that have the service's address on their loopback."""

    def __init__(self, lab: Lab) -> None:
        switch = lab.namespace("switch")
        switch.bridge("br0")
        self.client, self.director = lab.namespace("client"), lab.namespace("director")
        lab.plug(self.client, "eth0", switch, "br0")
        lab.plug(self.director, "eth0", switch, "br0")
        self.client.address("eth0", "10.9.1.100/24", "2001:db8:a::100/64")
        self.director.address("eth0", "10.9.1.254/24", f"{VIP}/32", "2001:db8:a::fe/64", f"{VIP6}/128")
        self.client.route(f"{VIP}/32", "via", "10.9.1.254")
        self.client.route(f"{VIP6}/128", "via", "2001:db8:a::fe")
        self._site = Site.__new__(Site)
        self._site._sockets = []
        for number, (server, server6) in enumerate(zip(SERVERS, SERVERS6, strict=True)):
            machine = lab.namespace(f"server{number}")
            lab.plug(machine, "eth0", switch, "br0")
            for key, value in (("arp_ignore", 1), ("arp_announce", 2)):
                machine.sysctl(f"net.ipv4.conf.all.{key}", value)
            machine.address("eth0", f"{server}/24", f"{server6}/64")
            machine.address("lo", f"{VIP}/32", f"{VIP6}/128")
            for address in (VIP, VIP6):
                self._serve(machine, address, server6 if ":" in address else server)
        with self.director.inside():
            self.dataplane = NftablesDataplane()
        self.site = self._site
        self.site.client, self.site.director, self.site.dataplane = self.client, self.director, self.dataplane
        self.site.table = {}

    def _serve(self, machine: Namespace, address: str, name: str) -> None:
        self._site.farm = machine
        self._site._serve_tcp(address, PORT, name)
        if ":" not in address:
            self._site._serve_udp(address, 53, name)

    def show(self, scheduler: str, *weights: int, key: ServiceKey = WEB, **more: object) -> None:
        servers = SERVERS6 if key.family is Family.INET6 else SERVERS
        destinations = {
            DestinationKey(address, key.port): Destination(weight=weight, forwarding=Forwarding(ForwardingMethod.DR))
            for address, weight in zip(servers, weights, strict=False)
            if weight >= 0
        }
        self.site.show({key: Entry(Service(scheduler=scheduler, **more), destinations)})  # type: ignore[arg-type]
