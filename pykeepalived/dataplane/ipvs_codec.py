"""The bytes of IPVS's generic netlink messages that change the table.

pyroute2 carries the family lookup and the dumps; changes are encoded here, because a table of 10,000 destinations takes
11 seconds through its message classes and half a second this way. pyroute2's message class (corrected in `ipvs`) checks
this encoder in the tests.

Layout: nlmsghdr, genlmsghdr, then attributes (`include/uapi/linux/ip_vs.h`). A service is named by family, protocol,
address and port, or by family and mark; addresses are always 16 bytes; ports are in network order, everything else
is in the machine's order.
"""

from __future__ import annotations

import struct
from socket import inet_ntop, inet_pton

from pykeepalived.lvs.table import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    EditDestination,
    EditService,
    Operation,
    Service,
    ServiceKey,
)
from pykeepalived.model.common import Family, family_of
from pykeepalived.model.lvs import Forwarding, ForwardingMethod, SyncDaemon, TunnelType

NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
VERSION = 1

NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 5, 6, 7, 8
NEW_DAEMON, DEL_DAEMON, GET_DAEMON = 9, 10, 11
SET_CONFIG, GET_CONFIG, ZERO, FLUSH = 12, 13, 16, 17

_ATTR_SERVICE, _ATTR_DEST, _ATTR_DAEMON = 1, 2, 3
_ATTR_TIMEOUTS = (4, 5, 6)
_NESTED = 0x8000

FLAG_PERSISTENT = 0x1
FLAG_ONE_PACKET = 0x4
#: flag-1, flag-2 and flag-3 of a scheduler are these bits, from here on.
SCHEDULER_FLAGS_SHIFT = 3

METHODS = {ForwardingMethod.NAT: 0, ForwardingMethod.TUN: 2, ForwardingMethod.DR: 3}
TUNNELS = {TunnelType.IPIP: 0, TunnelType.GUE: 1, TunnelType.GRE: 2}
CHECKSUMS = {"nocsum": 0, "csum": 1, "remcsum": 2}

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U16, _U32, _BE16, _FLAGS = (struct.Struct(form) for form in ("=H", "=I", ">H", "=II"))


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to 4 bytes."""
    size = 4 + len(payload)
    return _ATTRIBUTE.pack(size, kind) + payload + b"\0" * (-size % 4)


def message(family_id: int, command: int, sequence: int, body: bytes, *, ack: bool) -> bytes:
    """A whole message. Refusals are always answered; success only with `ack`."""
    flags = NLM_F_REQUEST | (NLM_F_ACK if ack else 0)
    size = _HEADER.size + 4 + len(body)
    return _HEADER.pack(size, family_id, flags, sequence, 0) + bytes((command, VERSION, 0, 0)) + body


def operation_body(operation: Operation) -> bytes:
    """The attributes of one operation.

    Raises ValueError or OSError when a field does not fit its place (an address that is none).
    """
    match operation:
        case AddService(key, service) | EditService(key, service):
            return attribute(_ATTR_SERVICE | _NESTED, service_name(key) + service_fields(key, service))
        case DeleteService(key):
            return attribute(_ATTR_SERVICE | _NESTED, service_name(key))
        case AddDestination(key, kept, destination) | EditDestination(key, kept, destination):
            place = attribute(_ATTR_SERVICE | _NESTED, service_name(key))
            body = destination_name(kept) + destination_fields(destination)
            return place + attribute(_ATTR_DEST | _NESTED, body)
        case DeleteDestination(key, kept):
            place = attribute(_ATTR_SERVICE | _NESTED, service_name(key))
            return place + attribute(_ATTR_DEST | _NESTED, destination_name(kept))


COMMANDS: dict[type, int] = {
    AddService: NEW_SERVICE,
    EditService: SET_SERVICE,
    DeleteService: DEL_SERVICE,
    AddDestination: NEW_DEST,
    EditDestination: SET_DEST,
    DeleteDestination: DEL_DEST,
}


def service_name(key: ServiceKey) -> bytes:
    """The attributes that name a service."""
    family = attribute(1, _U16.pack(key.family))
    if key.fwmark:
        return family + attribute(5, _U32.pack(key.fwmark))
    return (
        family
        + attribute(2, _U16.pack(key.protocol))
        + attribute(3, _address(key.address))
        + attribute(4, _BE16.pack(key.port))
    )


def service_fields(key: ServiceKey, service: Service) -> bytes:
    """The attributes of a service, all of them: what is left out would be refused or forgotten."""
    flags = service.scheduler_flags << SCHEDULER_FLAGS_SHIFT
    if service.persistence_timeout_s:
        flags |= FLAG_PERSISTENT
    if service.one_packet:
        flags |= FLAG_ONE_PACKET
    fields = (
        attribute(6, service.scheduler.encode() + b"\0")
        + attribute(7, _FLAGS.pack(flags, 0xFFFFFFFF))
        + attribute(8, _U32.pack(service.persistence_timeout_s))
        + attribute(9, _netmask(key.family, service.persistence_prefix))
    )
    if service.persistence_engine:
        fields += attribute(11, service.persistence_engine.encode() + b"\0")
    return fields


def destination_name(key: DestinationKey) -> bytes:
    return (
        attribute(1, _address(key.address))
        + attribute(2, _BE16.pack(key.port))
        + attribute(11, _U16.pack(family_of(key.address)))
    )


def destination_fields(destination: Destination) -> bytes:
    forwarding = destination.forwarding
    fields = (
        attribute(3, _U32.pack(METHODS[forwarding.method]))
        + attribute(4, _U32.pack(destination.weight))
        + attribute(5, _U32.pack(destination.upper_threshold))
        + attribute(6, _U32.pack(destination.lower_threshold))
    )
    if forwarding.method is ForwardingMethod.TUN:
        fields += (
            attribute(13, bytes((TUNNELS[forwarding.tunnel_type],)))
            + attribute(14, _BE16.pack(forwarding.tunnel_port))
            + attribute(15, _U16.pack(CHECKSUMS[forwarding.tunnel_checksum]))
        )
    return fields


def timeouts_body(tcp_s: int, tcpfin_s: int, udp_s: int) -> bytes:
    """Connection timeouts in seconds; 0 leaves one as it is."""
    pairs = zip(_ATTR_TIMEOUTS, (tcp_s, tcpfin_s, udp_s), strict=True)
    return b"".join(attribute(kind, _U32.pack(value)) for kind, value in pairs)


def sync_daemon_body(settings: SyncDaemon, sync_id: int, *, master: bool) -> bytes:
    """`daemon_body` of a configured daemon; what is not given the kernel chooses."""
    return daemon_body(
        master=master,
        interface=settings.interface,
        sync_id=sync_id,
        max_length=settings.max_length or 0,
        group=settings.group or "",
        port=settings.port or 0,
        ttl=settings.ttl or 0,
    )


def daemon_body(  # the fields of the wire
    *,
    master: bool,
    interface: str = "",
    sync_id: int = 0,
    max_length: int = 0,
    group: str = "",
    port: int = 0,
    ttl: int = 0,
) -> bytes:
    """The connection synchronisation daemon; 0 and empty leave the kernel's defaults."""
    body = attribute(1, _U32.pack(1 if master else 2))
    if interface:
        body += attribute(2, interface.encode() + b"\0") + attribute(3, _U32.pack(sync_id))
    if max_length:
        body += attribute(4, _U16.pack(max_length))
    if group:
        packed = inet_pton(family_of(group), group)
        body += attribute(5 if len(packed) == 4 else 6, packed)
    if port:
        body += attribute(7, _U16.pack(port))
    if ttl:
        body += attribute(8, bytes((ttl,)))
    return attribute(_ATTR_DAEMON | _NESTED, body)


def decode_address(family: int, packed: bytes) -> str:
    return inet_ntop(Family(family), packed[:4] if family == Family.INET else packed[:16])


def decode_prefix(family: int, netmask: int) -> int | None:
    """The prefix length of a persistence mask as the kernel shows it; None when it groups nothing."""
    if family == Family.INET6:
        return None if netmask in {0, 128} else netmask
    length = netmask.bit_count()
    return None if length in {0, 32} else length


def decode_forwarding(method: int, tunnel_type: int, tunnel_port: int, tunnel_flags: int) -> Forwarding:
    """Forwarding as the kernel shows it; methods that nobody can configure (local, bypass) count as NAT."""
    if method & 7 == METHODS[ForwardingMethod.DR]:
        return Forwarding(ForwardingMethod.DR)
    if method & 7 != METHODS[ForwardingMethod.TUN]:
        return Forwarding(ForwardingMethod.NAT)
    kind = next((kind for kind, number in TUNNELS.items() if number == tunnel_type), TunnelType.IPIP)
    checksum = next((word for word, number in CHECKSUMS.items() if number == tunnel_flags), "nocsum")
    return Forwarding(ForwardingMethod.TUN, kind, tunnel_port, checksum)


def _address(address: str) -> bytes:
    packed = inet_pton(family_of(address), address)
    return packed + b"\0" * (16 - len(packed))


def _netmask(family: Family, prefix: int | None) -> bytes:
    if family is Family.INET6:
        # A prefix length in the machine's order, where IPv4 has a mask in network order.
        return _U32.pack(128 if prefix is None else prefix)
    length = 32 if prefix is None else prefix
    return struct.pack(">I", 0xFFFFFFFF << (32 - length) & 0xFFFFFFFF)
