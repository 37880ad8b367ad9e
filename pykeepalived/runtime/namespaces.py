"""Network namespaces: `net_namespace` and -s for the whole daemon, `net_namespace_ipvs` for the kernel's IPVS table."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Final

import msgspec

from pykeepalived.model.config import Config
from pykeepalived.runtime.reload import Load, Loaded

_NAMED: Final = "/run/netns"
_CLONE_NEWNET: Final = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def enter(path: str) -> None:
    """Move this process, and all that it will start, into the namespace of a file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def enter_named(name: str) -> None:
    """Move into a namespace that ip-netns(8) has made. Raises OSError."""
    enter(f"{_NAMED}/{name}")


@contextlib.contextmanager
def inside(path: str | None) -> Iterator[None]:
    """What is opened within belongs to that namespace for ever; None: to the one that we are in. Raises OSError."""
    if path is None:
        yield
        return
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(path)
        try:
            yield
        finally:
            if _libc.setns(here, _CLONE_NEWNET) != 0:
                # To go on in the wrong network would be worse than to end.
                raise SystemExit(f"cannot return to our network namespace: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(here)


class IpvsNamespace:
    """Where IPVS is configured. Made before the daemon moves, because it may be meant to stay where it began."""

    def __init__(self) -> None:
        self._began: int | None = None
        with contextlib.suppress(OSError):
            self._began = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def path(self, config: Config, pid: int) -> str | None:
        """A file that all processes of the daemon can open; `pid` is the parent's. None: where the daemon is."""
        name = config.globals.net_namespace_ipvs
        if name is None:
            return None
        if name:
            return f"{_NAMED}/{name}"
        return None if self._began is None else f"/proc/{pid}/fd/{self._began}"


def without_sets(load: Load, namespace: str | None) -> Load:
    """Without `namespace_with_ipsets` no ipsets are used in a namespace: one rule for each address instead."""
    if not namespace:
        return load

    def loaded() -> Loaded:
        found = load()
        settings = found.config.globals
        if settings.namespace_with_ipsets or settings.firewall.sets is None:
            return found
        firewall = msgspec.structs.replace(settings.firewall, sets=None)
        changed = msgspec.structs.replace(settings, firewall=firewall)
        return msgspec.structs.replace(found, config=msgspec.structs.replace(found.config, globals=changed))

    return loaded
