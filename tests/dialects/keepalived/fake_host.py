"""A machine that is the same everywhere: lb1 with eth0 and eth1, root and nobody, a few files."""

from __future__ import annotations

import errno

from pykeepalived.dialects.keepalived import FileFacts
from pykeepalived.model import User

_DIRECTORY = FileFacts(0o040755, 0, 0)
_PROGRAM = FileFacts(0o100755, 0, 0)

FILES = {
    "/": _DIRECTORY,
    "/bin": _DIRECTORY,
    "/usr": _DIRECTORY,
    "/usr/bin": _DIRECTORY,
    "/etc": _DIRECTORY,
    "/tmp": FileFacts(0o041777, 0, 0),
    "/bin/sh": _PROGRAM,
    "/usr/bin/sh": _PROGRAM,
    "/usr/bin/true": _PROGRAM,
    "/etc/passwd": FileFacts(0o100644, 0, 0),
    "/usr/bin/loose": FileFacts(0o100777, 0, 0),
    "/usr/bin/group-writable": FileFacts(0o100775, 0, 50),
    "/usr/bin/of-nobody": FileFacts(0o100755, 65534, 65534),
    "/usr/bin/set-uid": FileFacts(0o104757, 0, 0),
    "/tmp/pykeepalived-test-unsafe.sh": FileFacts(0o100777, 0, 0),
    "/share": FileFacts(0o040777, 0, 0),
    "/share/script": _PROGRAM,
    "/home": _DIRECTORY,
    "/home/ann": FileFacts(0o040755, 1000, 1000),
    "/home/ann/script": _PROGRAM,
    "/usr/bin/private": FileFacts(0o100700, 0, 0),
}


class FakeHost:
    """See the head of the module; `interfaces` and `accounts` may be replaced."""

    def __init__(self, interfaces: frozenset[str] | None = frozenset({"lo", "eth0", "eth1"})) -> None:
        self.names = interfaces
        self.accounts = {"root": User("root", 0, 0), "nobody": User("nobody", 65534, 65534)}
        self.groups = {"root": 0, "nogroup": 65534, "users": 100}
        self.path = "/usr/bin:/bin"
        self.own = User("root", 0, 0)
        self.no_ipvs = False

    def hostname(self) -> str:
        return "lb1.example.net"

    def interfaces(self) -> frozenset[str] | None:
        return self.names

    def user(self, name: str) -> User | None:
        return self.accounts.get(name)

    def group(self, name: str) -> int | None:
        return self.groups.get(name)

    def file(self, path: str) -> FileFacts:
        if path not in FILES:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return FILES[path]

    def content(self, path: str, most: int) -> bytes:
        self.file(path)
        return b"".join(bytes((48 + number % 10,)) for number in range(40))[:most] + b"\n"

    def real_path(self, path: str) -> str:
        self.file(path)
        return path

    def search_path(self) -> str:
        return self.path

    def own_user(self) -> User:
        return self.own

    def resolve(self, name: str) -> str | None:
        return {"mail.example.net": "192.0.2.25"}.get(name, name if name[:1].isdigit() or ":" in name else None)

    def is_stacked_link(self, name: str) -> bool:
        return name.startswith("vrrp.")

    def without_ipvs(self) -> bool:
        return self.no_ipvs

    def routing_names(self, kind: str) -> dict[str, int]:
        return {"rt_tables": {"main": 254}, "rt_protos": {"static": 4}}.get(kind, {})
