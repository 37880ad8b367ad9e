"""Who may use the control socket: root and the daemon's own user everything, two groups what the file gives them.

`control_group` may steer and read, `control_read_group` may read. Membership is that of the peer at the moment of
connecting (SO_PEERCRED, SO_PEERGROUPS), so a client cannot claim it, and what it gave up before counts.
"""

from __future__ import annotations

import grp
import os
import socket
import struct
from typing import Final

import msgspec

from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.runtime.program import Logger

_CREDENTIALS: Final = struct.Struct("iII")
_GROUP: Final = struct.Struct("I")
#: asm-generic/socket.h; Python has no name for it.
_SO_PEERGROUPS: Final = 59
#: As much as Python asks for: 256 groups.
_GROUPS_BYTES: Final = 1024


class Peer(msgspec.Struct, frozen=True):
    """The process at the other end, as the kernel knows it."""

    pid: int
    uid: int
    groups: frozenset[int]


class Access(msgspec.Struct, frozen=True):
    """Group ids; None: no group has that right."""

    steer_gid: int | None = None
    read_gid: int | None = None

    @property
    def shared(self) -> bool:
        """Anybody besides root and ourselves may come."""
        return self.steer_gid is not None or self.read_gid is not None

    def steers(self, peer: Peer) -> bool:
        return peer.uid in {0, os.geteuid()} or self.steer_gid in peer.groups

    def reads(self, peer: Peer) -> bool:
        return self.steers(peer) or self.read_gid in peer.groups


def peer_of(connection: socket.socket) -> Peer:
    """Raises OSError when the kernel does not tell."""
    pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    groups = {gid}
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        # More than fit in: none of them counts, which refuses rather than admits.
        packed = b""
    groups.update(group for (group,) in _GROUP.iter_unpack(packed[: len(packed) // _GROUP.size * _GROUP.size]))
    return Peer(pid, uid, frozenset(groups))


def access_of(settings: DaemonSettings, log: Logger) -> Access:
    """What the configuration says. A group that this machine does not have gets no right, and the log says so."""
    return Access(_group(settings.control_group, log), _group(settings.control_read_group, log))


def _group(name: str | None, log: Logger) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        log.error(f"Control socket: there is no group {name}")
        return None
