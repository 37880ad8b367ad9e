"""The bytes of rule requests. See `routes` for why the encoder is ours."""

from __future__ import annotations

import socket
import struct
from typing import Final

from pykeepalived.model.common import IpPrefix, family_of
from pykeepalived.model.routing import VirtualRule
from pykeepalived.netio import netlink

_HEAD: Final = struct.Struct("=BBBBBBBBI")
_U32: Final = struct.Struct("=I")
_TUNNEL: Final = struct.Struct(">Q")
_UIDS: Final = struct.Struct("=II")
_PORTS: Final = struct.Struct("=HH")
_ACTIONS: Final = {"table": 1, "l3mdev": 1, "goto": 2, "nop": 3, "blackhole": 6, "unreachable": 7, "prohibit": 8}
_INVERT: Final = 2

_DST, _SRC, _IIF, _GOTO, _PRIORITY, _MARK, _FLOW, _TUNNEL_ID = 1, 2, 3, 4, 6, 10, 11, 12
_SUPPRESS_GROUP, _SUPPRESS_LENGTH, _TABLE, _MASK, _OIF, _L3MDEV, _UID_RANGE = 13, 14, 15, 16, 17, 19, 20
_PROTOCOL, _IP_PROTOCOL, _SOURCE_PORTS, _DESTINATION_PORTS = 21, 22, 23, 24

FLAGS: Final = netlink.NLM_F_CREATE | netlink.NLM_F_EXCL


def encode(rule: VirtualRule) -> bytes:
    """The body of RTM_NEWRULE and, as it names the rule, of RTM_DELRULE. Raises OSError for an address that is none."""
    head = _HEAD.pack(
        rule.family, rule.destination.length if rule.destination else 0, rule.source.length if rule.source else 0,
        rule.tos, rule.table if rule.table < 256 else 0, 0, 0, _ACTIONS[rule.action], _INVERT if rule.invert else 0,
    )  # fmt: skip
    parts = [head]
    for kind, prefix in ((_DST, rule.destination), (_SRC, rule.source)):
        if prefix is not None:
            parts.append(netlink.attribute(kind, _packed(prefix)))
    for kind, number in (
        (_PRIORITY, rule.preference),
        (_GOTO, rule.target if rule.action == "goto" else None),
        (_MARK, rule.mark),
        (_MASK, rule.mask),
        (_FLOW, rule.realms),
        (_SUPPRESS_GROUP, rule.suppress_group),
        (_SUPPRESS_LENGTH, rule.suppress_prefix_length),
        (_TABLE, rule.table if rule.table >= 256 else None),
    ):
        if number is not None:
            parts.append(netlink.attribute(kind, _U32.pack(number)))
    for kind, name in ((_IIF, rule.input), (_OIF, rule.output)):
        if name is not None:
            parts.append(netlink.attribute(kind, name.encode()[:15] + b"\0"))
    if rule.tunnel_id is not None:
        parts.append(netlink.attribute(_TUNNEL_ID, _TUNNEL.pack(rule.tunnel_id)))
    if rule.action == "l3mdev":
        parts.append(netlink.attribute(_L3MDEV, b"\1"))
    if rule.uids is not None:
        parts.append(netlink.attribute(_UID_RANGE, _UIDS.pack(*rule.uids)))
    parts.append(netlink.attribute(_PROTOCOL, bytes([rule.protocol])))
    if rule.ip_protocol is not None:
        parts.append(netlink.attribute(_IP_PROTOCOL, bytes([rule.ip_protocol])))
    for kind, ports in ((_SOURCE_PORTS, rule.source_ports), (_DESTINATION_PORTS, rule.destination_ports)):
        if ports is not None:
            parts.append(netlink.attribute(kind, _PORTS.pack(*ports)))
    return b"".join(parts)


def _packed(prefix: IpPrefix) -> bytes:
    return socket.inet_pton(family_of(prefix.address), prefix.address)
