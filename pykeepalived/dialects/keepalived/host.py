"""What the front end asks the machine: interfaces, users, script files. Replaced by a fake in tests."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import grp
import os
import pwd
import socket
import stat
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from pykeepalived.model import User

#: Where programs without a slash are searched when PATH is unset (confstr CS_PATH plus the system directories).
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


#: Where iproute2 keeps its lists of names.
_NAME_DIRECTORIES = ("/usr/share/iproute2", "/usr/lib/iproute2", "/etc/iproute2")
_NAME_FILES = 64
_NAME_BYTES = 1_000_000


def names_of(kind: str, directories: Iterable[str] = _NAME_DIRECTORIES) -> dict[str, int]:
    """The names and numbers of iproute2's list `kind`; a later directory has the last word."""
    found: dict[str, int] = {}
    for directory in directories:
        for path in (Path(directory, kind), *sorted(Path(directory, kind + ".d").glob("*.conf"))[:_NAME_FILES]):
            found |= _names_in(path)
    return found


def _names_in(path: Path) -> dict[str, int]:
    """The lines `NUMBER NAME`, by name."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_NAME_BYTES).splitlines()
    except OSError:
        return {}
    found: dict[str, int] = {}
    for words in (line.partition("#")[0].split() for line in lines):
        with contextlib.suppress(ValueError):
            if len(words) > 1:
                found[words[1]] = int(words[0], 16 if words[0][:2].lower() == "0x" else 10)
    return found


_SIOCETHTOOL = 0x8946
_ETHTOOL_GDRVINFO = 3
_DRVINFO_BYTES = 256


class FileFacts(msgspec.Struct, frozen=True):
    """What matters of a file for running it."""

    mode: int
    uid: int
    gid: int


class HostFacts(Protocol):
    """Answers about the machine that will run the configuration."""

    def hostname(self) -> str: ...

    def interfaces(self) -> frozenset[str] | None:
        """Names of the network interfaces; None when they cannot be told, then nothing is said about them."""
        ...

    def user(self, name: str) -> User | None:
        """An account with its primary group."""
        ...

    def group(self, name: str) -> int | None: ...

    def file(self, path: str) -> FileFacts:
        """Facts of a file, links followed. Raises OSError."""
        ...

    def content(self, path: str, most: int) -> bytes:
        """The first bytes of a regular file, at most `most`. Raises OSError; for what is no file too."""
        ...

    def real_path(self, path: str) -> str:
        """The path without links. Raises OSError."""
        ...

    def search_path(self) -> str:
        """The directories in which programs without a slash are searched, separated by colons."""
        ...

    def own_user(self) -> User:
        """Whom the daemon itself runs as."""
        ...

    def is_stacked_link(self, name: str) -> bool:
        """Whether the interface is a macvlan or an ipvlan, as we make them ourselves."""
        ...

    def resolve(self, name: str) -> str | None:
        """The first address of a host name, or an address as it is; None when it is unknown."""
        ...

    def routing_names(self, kind: str) -> Mapping[str, int]:
        """The names and numbers of iproute2's list `kind` (rt_tables, rt_protos, …)."""
        ...

    def without_ipvs(self) -> bool:
        """Whether it is known that the kernel has no IPVS, so that nftables will balance."""
        ...


class RealHost:
    """This machine. Each question is asked once; a load sees one state.

    `without_ipvs` tells whether the kernel has no IPVS. Only who is about to balance may ask that, as it makes the
    kernel load the module; else it counts as unknown.
    """

    def __init__(self, without_ipvs: Callable[[], bool] = lambda: False) -> None:
        self.without_ipvs = without_ipvs
        self._interfaces: frozenset[str] | None = None
        self._asked = False
        self._users: dict[str, User | None] = {}
        self._names: dict[str, dict[str, int]] = {}

    def hostname(self) -> str:
        return socket.gethostname()

    def resolve(self, name: str) -> str | None:
        try:
            return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
        except (OSError, ValueError):
            return None

    def interfaces(self) -> frozenset[str] | None:
        if not self._asked:
            self._asked = True
            try:
                self._interfaces = frozenset(name for _, name in socket.if_nameindex())
            except OSError:
                self._interfaces = None
        return self._interfaces

    def user(self, name: str) -> User | None:
        if name not in self._users:
            try:
                found = pwd.getpwnam(name)
                self._users[name] = User(found.pw_name, found.pw_uid, found.pw_gid)
            except (KeyError, ValueError):
                self._users[name] = None
        return self._users[name]

    def group(self, name: str) -> int | None:
        try:
            return grp.getgrnam(name).gr_gid
        except (KeyError, ValueError):
            return None

    def file(self, path: str) -> FileFacts:
        facts = Path(path).stat()
        return FileFacts(facts.st_mode, facts.st_uid, facts.st_gid)

    def content(self, path: str, most: int) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "no regular file", path)
            return os.read(descriptor, most)
        finally:
            os.close(descriptor)

    def real_path(self, path: str) -> str:
        return os.path.realpath(path, strict=True)

    def search_path(self) -> str:
        return os.environ.get("PATH") or DEFAULT_PATH

    def is_stacked_link(self, name: str) -> bool:
        # By the driver's name: /sys may show another network namespace, and says of a macvlan nothing.
        answer = array.array("B", struct.pack("=I", _ETHTOOL_GDRVINFO) + bytes(_DRVINFO_BYTES))
        try:
            request = struct.pack("16sQ16x", name.encode(), answer.buffer_info()[0])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                fcntl.ioctl(sock, _SIOCETHTOOL, request)
        except (OSError, ValueError):
            return False
        return answer.tobytes()[4:36].rstrip(b"\0") in {b"macvlan", b"ipvlan"}

    def routing_names(self, kind: str) -> Mapping[str, int]:
        if kind not in self._names:
            self._names[kind] = names_of(kind)
        return self._names[kind]

    def own_user(self) -> User:
        uid = os.geteuid()
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = str(uid)
        return User(name, uid, os.getegid())


def may_execute(facts: FileFacts, user: User) -> bool:
    """Whether `user` may run a file of these facts, by its mode bits (supplementary groups are not looked at)."""
    if not stat.S_ISREG(facts.mode):
        return False
    if user.uid == 0:
        return bool(facts.mode & 0o111)
    if user.uid == facts.uid:
        return bool(facts.mode & stat.S_IXUSR)
    if user.gid == facts.gid:
        return bool(facts.mode & stat.S_IXGRP)
    return bool(facts.mode & stat.S_IXOTH)
