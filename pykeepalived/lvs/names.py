"""How keepalived names virtual servers and real servers in messages, FIFO lines and mails."""

from __future__ import annotations

from typing import Final

import msgspec

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.lvs import (
    AddressSelector,
    FwmarkSelector,
    GroupAddress,
    GroupFwmark,
    GroupSelector,
    Protocol,
    RealServer,
    SorryServer,
    VirtualServer,
    VirtualServerGroup,
)

_PROTOCOLS: Final[dict[Protocol | None, str]] = {
    None: "none",
    **{protocol: protocol.name.lower() for protocol in Protocol},
}


class ServiceRef(msgspec.Struct, frozen=True):
    """A virtual server of a configuration, with what its name needs beyond itself."""

    server: VirtualServer
    number: int = 0
    """Running number among the virtual servers that use the same group, from 0."""

    @property
    def key(self) -> str:
        """Names the virtual server across reloads; the same text as `name`, with the family of a mark added."""
        server = self.server
        if isinstance(server.selector, FwmarkSelector) and family_of_server(server) is Family.INET6:
            return f"{self.name} IPv6"
        if isinstance(server.selector, GroupSelector):
            return f"{self.name} {protocol_word(server.protocol)}"
        return self.name

    @property
    def name(self) -> str:
        """`[10.0.0.1]:tcp:80`, `FWM 5` or `[GROUP]:N`."""
        selector = self.server.selector
        if isinstance(selector, AddressSelector):
            return endpoint_name(selector.address, self.server.protocol, selector.port)
        if isinstance(selector, FwmarkSelector):
            return f"FWM {selector.fwmark}"
        return f"[{selector.name}]:{self.number}"

    def server_name(self, server: RealServer | SorryServer) -> str:
        """`[192.168.0.12]:tcp:80`: a real server is named with the protocol of its virtual server."""
        return endpoint_name(server.address, self.server.protocol, server.port)


def protocol_word(protocol: Protocol | None) -> str:
    """`tcp`, `udp`, `sctp`; `none` for firewall marks."""
    return _PROTOCOLS[protocol]


def endpoint_name(address: str, protocol: Protocol | None, port: int) -> str:
    return f"[{address}]:{protocol_word(protocol)}:{port}"


def family_of_server(server: VirtualServer, groups: tuple[VirtualServerGroup, ...] = ()) -> Family:
    """`ip_family`, else the address's, else the real servers', else the group's addresses', else IPv4."""
    if isinstance(server.selector, AddressSelector):
        return family_of(server.selector.address)
    if server.family is not None:
        return server.family
    if server.real_servers:
        return family_of(server.real_servers[0].address)
    if isinstance(server.selector, GroupSelector):
        for group in groups:
            if group.name != server.selector.name:
                continue
            for entry in group.entries:
                if isinstance(entry, GroupAddress):
                    return family_of(entry.first)
                if isinstance(entry, GroupFwmark) and entry.family is not None:
                    return entry.family
    return Family.INET
