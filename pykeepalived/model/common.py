"""Pieces that several parts of the model use."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Family(IntEnum):
    """Address family, with the kernel's numbers (AF_INET, AF_INET6)."""

    INET = 2
    INET6 = 10


def family_of(address: str) -> Family:
    """The family of an address in canonical text form."""
    return Family.INET6 if ":" in address else Family.INET


class IpPrefix(msgspec.Struct, frozen=True):
    """An address with a prefix length."""

    address: str
    length: int

    def __str__(self) -> str:
        return f"{self.address}/{self.length}"


class User(msgspec.Struct, frozen=True):
    """Whom a script runs as, already looked up."""

    name: str
    uid: int
    gid: int


class Script(msgspec.Struct, frozen=True):
    """A command line, split into words when the file was read; no shell is involved."""

    argv: tuple[str, ...]
    user: User | None = None
    """None: the default script user decides at start."""
