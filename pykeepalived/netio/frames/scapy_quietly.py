"""Importing scapy for its packets only.

Importing scapy the usual way reads the machine's routes, writes pickles into the user's cache directory, reads them
back at the next start, and puts a handler on its logger. A daemon wants none of that. Importing this module first
makes it so: no routes, no interfaces, no files, no handlers. It also leaves out what takes most of the time and nobody
here asks for: the names of the makers of network cards (50,000 lines, two fifths of the time) and the signatures of the
packet classes, which scapy makes for people at a prompt (two fifths of the rest). What is left is imported once, by the
parent of the processes, before it forks (docs/design.md, decision 12); the layers of IPv6, two fifths of that again,
only where something speaks IPv6: `ipv6_layers`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

_DIRECTORIES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
#: Tables that scapy reads for people who look at packets.
_TABLES = {"scapy.libs.manuf": "", "scapy.libs.bluetoothids": {}}
_MAKERS_FILE = "share/wireshark/manuf"


@contextlib.contextmanager
def _no_directories() -> Iterator[None]:
    """scapy keeps no files where its directories cannot be made; a path under a device file is such a place."""
    saved = {name: os.environ.get(name) for name in _DIRECTORIES}
    os.environ.update(dict.fromkeys(_DIRECTORIES, os.devnull))
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _no_tables() -> Iterator[None]:
    """scapy finds its tables of names empty, and Wireshark's not there."""
    exists = os.path.exists
    for name, data in _TABLES.items():
        sys.modules[name] = table = types.ModuleType(name)
        table.DATA = data  # type: ignore[attr-defined]
    os.path.exists = lambda path: not str(path).endswith(_MAKERS_FILE) and exists(path)
    try:
        yield
    finally:
        os.path.exists = exists
        for name in _TABLES:
            del sys.modules[name]


@contextlib.contextmanager
def _no_signatures() -> Iterator[None]:
    """A packet class without `inspect` at hand gets no signature. Only while a class is made is it out of reach."""
    from scapy.base_classes import Packet_metaclass  # noqa: PLC0415

    make = Packet_metaclass.__new__

    def made_without(*arguments: object) -> object:
        inspect = sys.modules.get("inspect")
        sys.modules["inspect"] = None  # type: ignore[assignment]
        try:
            return make(*arguments)
        finally:
            if inspect is None:
                del sys.modules["inspect"]
            else:
                sys.modules["inspect"] = inspect

    Packet_metaclass.__new__ = made_without
    try:
        yield
    finally:
        Packet_metaclass.__new__ = make


@contextlib.contextmanager
def _no_interfaces() -> Iterator[None]:
    """scapy does not ask the kernel for the interfaces."""
    from scapy.interfaces import NetworkInterfaceDict  # noqa: PLC0415

    reload = NetworkInterfaceDict.reload
    NetworkInterfaceDict.reload = lambda _: None
    try:
        yield
    finally:
        NetworkInterfaceDict.reload = reload


def _import_layers() -> None:
    from scapy.config import conf  # noqa: PLC0415 - the order of these imports is the purpose of this function

    conf.route_autoload = False
    conf.route6_autoload = False
    conf.prog.extcap_folders = []
    # Else the layers of IPv4 import those of IPv6.
    enabled, conf.ipv6_enabled = conf.ipv6_enabled, False
    with _no_signatures(), _no_interfaces():
        import scapy.layers.inet  # noqa: PLC0415
        import scapy.layers.l2  # noqa: F401, PLC0415
    conf.ipv6_enabled = enabled


@functools.cache
def ipv6_layers() -> Any:
    """The module `scapy.layers.inet6`, imported when it is first wanted (20 ms)."""
    with _no_directories(), _no_tables(), _no_signatures(), _no_interfaces():
        from scapy.layers import inet6  # noqa: PLC0415
    return inet6


with _no_directories(), _no_tables():
    _import_layers()
for _name in ("scapy", "scapy.runtime", "scapy.loading", "scapy.interactive"):
    for _handler in list(logging.getLogger(_name).handlers):
        logging.getLogger(_name).removeHandler(_handler)
