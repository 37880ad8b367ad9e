"""Events into systemd's journal with fields, by its native protocol (systemd.journal-fields(7), one datagram each).

    journalctl KEEPALIVED_EVENT=vrrp-state KEEPALIVED_STATE=MASTER

Nothing waits: what the journal does not take at once is lost and counted, and the log says so once.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final, Protocol

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "Keepalived"
#: Of each field; a datagram of twenty such fields still fits a socket's buffer.
_VALUE_LIMIT: Final = 4096
_FIELDS_LIMIT: Final = 20
_WARNING: Final = 4
_NOTICE: Final = 5
_INFO: Final = 6
#: States that somebody should look at.
_BAD: Final = frozenset({"FAULT", "DOWN", "LEFT"})


class Log(Protocol):
    def error(self, text: str) -> None: ...


def encode(fields: Mapping[str, str]) -> bytes:
    """The datagram: `NAME=value` lines; a value of several lines with its length in front."""
    found = bytearray()
    for name, value in fields.items():
        data = value.encode("utf-8", "surrogateescape")[:_VALUE_LIMIT]
        if b"\n" in data:
            found += name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
        else:
            found += name.encode() + b"=" + data + b"\n"
    return bytes(found)


def fields_of(event: Mapping[str, Any]) -> dict[str, str]:
    """What the journal is told of an event of `keepalivedctl events`."""
    name, state = str(event["event"]), str(event.get("state", ""))
    told = [f"{key} {value}" for key, value in event.items() if key not in {"event", "seq", "at"} and _plain(value)]
    priority = _WARNING if state in _BAD else _NOTICE if state else _INFO
    found = {
        "MESSAGE": f"{name}: {', '.join(told)}" if told else name,
        "PRIORITY": str(priority),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
    }
    for key, value in [*event.items()][:_FIELDS_LIMIT]:
        if _plain(value):
            found["KEEPALIVED_" + re.sub(r"[^A-Z0-9]", "_", str(key).upper())] = str(value)
    return found


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and value != ""


class Journal:
    """One per process. `path`: where the journal listens."""

    def __init__(self, log: Log, path: str = SOCKET) -> None:
        self._log = log
        self._path = path
        self._socket: socket.socket | None = None
        self._complained = False
        self.lost = 0

    def send(self, event: Mapping[str, Any]) -> None:
        """Tell the journal of an event."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.sendto(encode(fields_of(event)), self._path)
        except OSError as error:
            self.lost += 1
            if not self._complained:
                self._complained = True
                self._log.error(f"The journal does not take events at {self._path} - {error.strerror or error}")
        else:
            self._complained = False

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None
