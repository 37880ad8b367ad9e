"""ldirectord's maintenancedir: a file named after a real server takes it out (ldirectord-behaviour 7.5).

The directory is read once per round. Names by address need no resolver; only when a file has a name that is none of
them are the addresses' host names asked for, in a thread, and remembered for a while. ldirectord asks for every server
in every round and waits for the answer.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Iterable
from typing import Final

import msgspec

from pykeepalived.lvs.names import ServiceRef
from pykeepalived.model.lvs import RealServer

REASON: Final = "maintenance"
TEXT: Final = "Server in maintenance"
#: More files than this are not looked at.
_FILES: Final = 100_000
_NAME_LIFETIME_S: Final = 300.0
_SHORT: Final = re.compile(r"[a-z][a-z0-9-]*\Z")

Place = tuple[str, str, int]
"""Service key, address, port: what `CheckerProgram.hold` takes."""


class Change(msgspec.Struct, frozen=True):
    """What differs from the round before."""

    into: tuple[Place, ...]
    out_of: tuple[Place, ...]


class Maintenance:
    """Which servers are in maintenance."""

    def __init__(self) -> None:
        self.held: set[Place] = set()
        self._names = HostNames()

    def look(self, directory: str | None, services: Iterable[ServiceRef]) -> Change:
        """Compare the directory with the servers; None: there is no directory."""
        files = _files(directory) if directory is not None else frozenset()
        now = {
            (service.key, server.address, server.port)
            for service in services
            for server in service.server.real_servers
            if files and self._is_named(server, files)
        }
        change = Change(tuple(now - self.held), tuple(self.held - now))
        self.held = now
        return change

    def close(self) -> None:
        self._names.close()

    def _is_named(self, server: RealServer, files: frozenset[str]) -> bool:
        if not files.isdisjoint(server.maintenance_names):
            return True
        # Names that cannot be an address with or without a port are host names.
        if not any(name[0].isalpha() for name in files):
            return False
        full = self._names.of(server.address)
        if not full:
            return False
        short = full.partition(".")[0]
        names = [full, short] if _SHORT.match(short) else [full]
        return any(name in files or f"{name}:{server.port}" in files for name in names)


def _files(directory: str) -> frozenset[str]:
    found: list[str] = []
    with contextlib.suppress(OSError, ValueError), os.scandir(directory) as entries:
        for entry in entries:
            found.append(entry.name)
            if len(found) >= _FILES:
                break
    return frozenset(found)


class HostNames:
    """Names of addresses, from a thread. What is not known yet is empty, and known at a later round."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, str]] = {}
        self._asked: set[str] = set()
        self._questions: queue.Queue[str | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def of(self, address: str) -> str:
        when, name = self._known.get(address, (-_NAME_LIFETIME_S, ""))
        if time.monotonic() - when > _NAME_LIFETIME_S and address not in self._asked:
            self._asked.add(address)
            self._questions.put(address)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="host names", daemon=True)
                self._thread.start()
        return name

    def close(self) -> None:
        if self._thread is not None:
            self._questions.put(None)

    def _work(self) -> None:
        while (address := self._questions.get()) is not None:
            name = ""
            with contextlib.suppress(OSError, UnicodeError):
                name = socket.gethostbyaddr(address)[0]
            self._known[address] = (time.monotonic(), name)
            self._asked.discard(address)
