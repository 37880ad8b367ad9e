"""What reading an ldirectord.cf asks of the machine it is read on, so that tests can answer in its place."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path
from typing import Protocol

from pykeepalived.model.common import Family


class Host(Protocol):
    """Names, ports and files as this machine knows them. No call raises."""

    def resolve(self, name: str, family: Family) -> str | None:
        """First address of the family in canonical text, or None. Literals resolve to themselves."""
        ...

    def service_port(self, name: str, protocol: str | None) -> int | None:
        """Port of a service name; `protocol` None: any."""
        ...

    def hostname(self) -> str: ...

    def append_problem(self, path: str) -> str | None:
        """Why nothing can be appended to the file, in words; None: it can, or the file can be made."""
        ...

    def is_directory(self, path: str) -> bool: ...

    def read_problem(self, path: str) -> str | None:
        """Why a file cannot be read, in words; None: it can."""
        ...

    def has_module(self, name: str) -> bool:
        """Whether a Python library is installed."""
        ...

    def has_program(self, name: str) -> bool:
        """Whether a program is on the search path."""
        ...


class SystemHost:
    """The real machine. Nothing is created or changed; `check_writable` False takes every file as writable."""

    def __init__(self, *, check_writable: bool = True) -> None:
        self._check_writable = check_writable

    def resolve(self, name: str, family: Family) -> str | None:
        try:
            answers = socket.getaddrinfo(name, None, int(family), socket.SOCK_STREAM)
        except (OSError, ValueError):
            return None
        return str(answers[0][4][0]).partition("%")[0] if answers else None

    def service_port(self, name: str, protocol: str | None) -> int | None:
        try:
            return socket.getservbyname(name, protocol) if protocol else socket.getservbyname(name)
        except (OSError, ValueError):
            return None

    def hostname(self) -> str:
        return socket.gethostname()

    def append_problem(self, path: str) -> str | None:
        if not self._check_writable:
            return None
        target = Path(path)
        try:
            if target.is_dir():
                return "Is a directory"
            if target.exists():
                return None if os.access(target, os.W_OK) else "Permission denied"
            parent = target.parent
            if not path or not parent.is_dir():
                return "No such file or directory"
            return None if os.access(parent, os.W_OK | os.X_OK) else "Permission denied"
        except (OSError, ValueError) as error:
            return getattr(error, "strerror", None) or "not a usable path"

    def read_problem(self, path: str) -> str | None:
        try:
            with Path(path).open("rb") as stream:
                stream.read(1)
        except (OSError, ValueError) as error:
            return getattr(error, "strerror", None) or "not a usable path"
        return None

    def has_module(self, name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            return False

    def has_program(self, name: str) -> bool:
        return shutil.which(name) is not None

    def is_directory(self, path: str) -> bool:
        try:
            return Path(path).is_dir()
        except (OSError, ValueError):
            return False
