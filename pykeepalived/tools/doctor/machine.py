"""What the doctor can look at: kernel settings, interfaces, programs. Reading only; tests put another in place."""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path
from typing import Final, Protocol

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.netio import netlink, sysctls
from pykeepalived.netio.links import Link, Monitor
from pykeepalived.processes.proc_table import all_pids, comm_of

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
_READ_LIMIT: Final = 1 << 20
_MODULE_FILES: Final = ("modules.builtin", "modules.dep")


class Place(msgspec.Struct, frozen=True):
    """One part of a path: who owns it, who may write to it."""

    path: str
    uid: int
    gid: int
    mode: int


class Machine(Protocol):
    """One machine, or one network namespace of it."""

    def setting(self, key: str) -> str | None:
        """Of /proc/sys/net, such as `ipv4/ip_forward`; None: there is no such setting."""
        ...

    def links(self) -> list[Link]: ...

    def addresses(self, ifname: str) -> list[Interface]: ...

    def programs(self) -> frozenset[str]:
        """Names of the processes that run."""
        ...

    def has_file(self, path: str) -> bool: ...

    def read(self, path: str) -> str | None:
        """At most a megabyte of a file; None: it cannot be read."""
        ...

    def has_module(self, name: str) -> bool | None:
        """Whether the kernel has it, loaded or to be loaded; None: that cannot be known."""
        ...

    def way_to(self, path: str) -> list[Place]:
        """Every directory on the way to a file, and the file, from the root."""
        ...


class ThisMachine:
    """The machine that we run on. Raises OSError when the kernel does not answer."""

    def __init__(self) -> None:
        self._requests = netlink.Requests()
        self._monitor = Monitor(self._requests)

    def close(self) -> None:
        self._monitor.close()
        self._requests.close()

    def setting(self, key: str) -> str | None:
        return sysctls.read(key)

    def links(self) -> list[Link]:
        return self._monitor.links()

    def addresses(self, ifname: str) -> list[Interface]:
        found = [*self._monitor.addresses(ifname, Family.INET), *self._monitor.addresses(ifname, Family.INET6)]
        return [ipaddress.ip_interface(f"{item.address}/{item.length}") for item in found]

    def programs(self) -> frozenset[str]:
        return frozenset(os.fsdecode(comm_of(pid)) for pid in all_pids())

    def has_file(self, path: str) -> bool:
        return os.path.lexists(path)

    def read(self, path: str) -> str | None:
        try:
            with Path(path).open("rb") as stream:
                return stream.read(_READ_LIMIT).decode("utf-8", "replace")
        except OSError:
            return None

    def has_module(self, name: str) -> bool | None:
        if self.has_file(f"/sys/module/{name}"):
            return True
        place = Path("/lib/modules") / os.uname().release
        seen = False
        for file in _MODULE_FILES:
            try:
                with (place / file).open(encoding="utf-8", errors="replace") as stream:
                    seen = True
                    if any(f"/{name}.ko" in line.partition(":")[0] for line in stream):
                        return True
            except OSError:
                continue
        return False if seen else None

    def way_to(self, path: str) -> list[Place]:
        found = []
        for part in [*reversed(Path(path).parents), Path(path)]:
            try:
                status = part.stat()
            except OSError:
                break
            found.append(Place(str(part), status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)))
        return found


def interfaces_of(machine: Machine) -> dict[str, list[Interface]]:
    """The addresses of every interface."""
    return {link.name: machine.addresses(link.name) for link in machine.links()}
