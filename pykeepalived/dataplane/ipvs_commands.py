"""IPVS's generic netlink commands on a socket of our own, without pyroute2: its import costs 145 ms and 25 MB.

Many messages go in one send. The kernel always answers a refusal; success is only acknowledged for the last message of
a batch, and its answer closes the batch. No answer within `_ANSWER_LIMIT_S`, or more answers than the receive buffer
holds, is a named failure of every command of the batch that is in doubt.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from pykeepalived.dataplane import DataplaneUnavailable
from pykeepalived.dataplane import ipvs_codec as codec
from pykeepalived.reactor.buffers import follow_words, set_receive_buffer

_ANSWER_LIMIT_S: Final = 10.0
_RECEIVE_BUFFER: Final = 4 << 20
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_MODPROBE_LIMIT_S: Final = 10
_MODPROBE_SETTING: Final = Path("/proc/sys/kernel/modprobe")
_PRESENT: Final = Path("/proc/net/ip_vs")

#: The family that knows the others (linux/genetlink.h).
_CONTROL_FAMILY, _GET_FAMILY, _ATTR_FAMILY_ID, _ATTR_FAMILY_NAME = 16, 3, 1, 2

_ANSWER = struct.Struct("=IHHIIi")
Tag = TypeVar("Tag")


class Commands:
    """Raises `DataplaneUnavailable` when this kernel has no IPVS or does not let us at it."""

    def __init__(self) -> None:
        load_module()
        self._socket = _open_socket()
        self._sequence = 0
        try:
            self.family = self._look_up()
            refused = self.send([(None, codec.GET_CONFIG, b"")])
            if refused:
                raise DataplaneUnavailable(f"IPVS refuses access: {os.strerror(refused[0][1])}")
        except BaseException:
            self._socket.close()
            raise

    def run(self, command: int, body: bytes) -> None:
        """One command. Raises OSError."""
        refused = self.send([(None, command, body)])
        if refused:
            number = refused[0][1]
            raise OSError(number, os.strerror(number))

    def send(self, batch: Sequence[tuple[Tag, int, bytes]]) -> list[tuple[Tag, int]]:
        """Send commands in one go, wait for the answer to the last; the tags of the refused ones with their errno."""
        first = self._sequence + 1
        self._sequence += len(batch)
        last = self._sequence
        data = b"".join(
            codec.message(self.family, command, number, body, ack=number == last)
            for number, (_, command, body) in enumerate(batch, start=first)
        )
        refused: list[tuple[Tag, int]] = []
        answered = first - 1
        try:
            self._socket.send(data)
            while answered < last:
                for sequence, number in self._answers():
                    # Late answers of an earlier batch, if any, have lower numbers.
                    if first <= sequence <= last:
                        answered = sequence
                        if number:
                            refused.append((batch[sequence - first][0], number))
        except OSError as error:
            # Answers are missing: everything after the last known one is in doubt.
            number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno or errno.EIO
            refused += [(tag, number) for tag, _, _ in batch[answered + 1 - first :]]
        return refused

    def set_buffer(self, size: int | None, *, force: bool) -> None:
        """`lvs_netlink_cmd_rcv_bufs`: bytes, None for our own size; see `reactor.buffers`."""
        follow_words(self._socket, _RECEIVE_BUFFER, size, force=force)

    def close(self) -> None:
        self._socket.close()

    def _answers(self) -> list[tuple[int, int]]:
        data = self._socket.recv(1 << 16)
        answers: list[tuple[int, int]] = []
        offset = 0
        while offset + _ANSWER.size <= len(data):
            size, kind, _, sequence, _, code = _ANSWER.unpack_from(data, offset)
            if kind == codec.NLMSG_ERROR:
                answers.append((sequence, -code))
            offset += max(16, size + (-size % 4))
        return answers

    def _look_up(self) -> int:
        """The number that IPVS has among the families."""
        name = codec.attribute(_ATTR_FAMILY_NAME, b"IPVS\0")
        try:
            self._socket.send(codec.message(_CONTROL_FAMILY, _GET_FAMILY, self._sequence, name, ack=False))
            data = self._socket.recv(1 << 16)
        except OSError as error:
            raise DataplaneUnavailable(f"IPVS does not answer: {error}") from error
        found = dict(_attributes(data[20:])) if data[4:6] == struct.pack("=H", _CONTROL_FAMILY) else {}
        number = found.get(_ATTR_FAMILY_ID, b"")
        if len(number) != 2:
            raise DataplaneUnavailable("IPVS does not answer: no such netlink family")
        return int.from_bytes(number, "little" if struct.pack("=H", 1)[0] else "big")


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        if not 4 <= size <= len(data):
            break
        found.append((kind & 0x3FFF, data[4:size]))
        data = data[size + (-size % 4) :]
    return found


def load_module() -> None:
    """Make the kernel load ip_vs if it is there to be loaded. Raises `DataplaneUnavailable` when it is not."""
    if _PRESENT.exists():
        return
    try:
        program = _MODPROBE_SETTING.read_text().strip()
    except OSError:
        program = ""
    reason = "the kernel loads no modules"
    if program and os.access(program, os.X_OK):
        reason = "the module ip_vs is not there"
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [program, "-q", "ip_vs"],
                timeout=_MODPROBE_LIMIT_S,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    if not _PRESENT.exists():
        raise DataplaneUnavailable(f"this kernel has no IPVS ({reason})")


def _open_socket() -> socket.socket:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 16)
    netlink.settimeout(_ANSWER_LIMIT_S)
    set_receive_buffer(netlink, _RECEIVE_BUFFER)
    for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
        # Short answers: the refused message is not sent back.
        with contextlib.suppress(OSError):
            netlink.setsockopt(_SOL_NETLINK, option, 1 if option == _NETLINK_CAP_ACK else 0)
    netlink.bind((0, 0))
    return netlink
