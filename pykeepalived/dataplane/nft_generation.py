"""Whether the ruleset is still as we left it, without reading it: nf_tables counts the transactions of a namespace.

A table with tens of thousands of servers takes a second to read; asking for the number takes microseconds. Each
committed transaction, whoever's it is, raises it by one (linux/netfilter/nf_tables.h, NFT_MSG_GETGEN).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import weakref
from typing import Final

from pykeepalived.dataplane.libnftables import Runner

_NETLINK_NETFILTER: Final = 12
_GET_GENERATION: Final = 10 << 8 | 16
_NEW_GENERATION: Final = 10 << 8 | 15
_REQUEST: Final = 1
_ID: Final = 1
#: nlmsghdr, nfgenmsg.
_QUESTION: Final = struct.Struct("=IHHIIBBH")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ANSWER_S: Final = 1.0


class WatchedRunner:
    """A runner that knows whether somebody else has committed anything since `seen_whole` was last told."""

    def __init__(self, runner: Runner) -> None:
        self.name = runner.name
        self._runner = runner
        self._socket: socket.socket | None = None
        self._known: int | None = None
        """The number that our own view of the table belongs to."""
        with contextlib.suppress(OSError):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
            self._socket.settimeout(_ANSWER_S)
            self._socket.bind((0, 0))
            # Whoever owns the runner itself may never close this one.
            weakref.finalize(self, self._socket.close)

    def run(self, commands: str, *, json: bool = False) -> str:
        """As the runner does; a transaction of our own is expected to raise the number by one."""
        if self._known is None:
            return self._runner.run(commands, json=json)
        before = self.number()
        try:
            return self._runner.run(commands, json=json)
        finally:
            after = self.number()
            ours = 0 if commands.startswith("list") else 1
            expected = before is not None and before == self._known and after is not None and after - before <= ours
            self._known = after if expected else None

    def number(self) -> int | None:
        """The number of the ruleset now; None when the kernel does not tell."""
        if self._socket is None:
            return None
        try:
            self._socket.send(_QUESTION.pack(_QUESTION.size, _GET_GENERATION, _REQUEST, 1, 0, 0, 0, 0))
            return _number_in(self._socket.recv(4096))
        except OSError:
            return None

    def seen_whole(self, number: int | None) -> None:
        """The table has been read; `number`: what was so before."""
        self._known = number if number is not None and number == self.number() else None

    def unchanged(self) -> bool:
        """Whether nobody else has changed anything since the table was read."""
        return self._known is not None and self._known == self.number()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._runner.close()


def _number_in(answer: bytes) -> int | None:
    """The number in an answer; None: it is another one."""
    if len(answer) < _QUESTION.size or struct.unpack_from("=IH", answer)[1] != _NEW_GENERATION:
        return None
    place = _QUESTION.size
    while place + _ATTRIBUTE.size <= len(answer):
        length, kind = _ATTRIBUTE.unpack_from(answer, place)
        if kind & 0x3FFF == _ID and length >= 8:
            return int.from_bytes(answer[place + 4 : place + 8], "big")
        place += max(_ATTRIBUTE.size, length + 3 & ~3)
    return None
