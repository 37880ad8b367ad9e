"""Importing scapy for its packets only.

Importing scapy the usual way reads the machine's routes, writes pickles into the user's cache directory, reads them
back at the next start, and puts a handler on its logger. A daemon wants none of that. Importing this module first
makes it so: no routes, no files, no handlers, and no names of the makers of network cards either, 50,000 lines that are
two fifths of the time it takes. The rest costs 100 ms and 30 MB once, so the parent of the processes imports it before
it forks (docs/design.md, decision 12).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import types
from collections.abc import Iterator

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


def _import_layers() -> None:
    from scapy.config import conf  # noqa: PLC0415 - the order of these imports is the purpose of this function

    conf.route_autoload = False
    conf.route6_autoload = False
    import scapy.layers.inet  # noqa: PLC0415
    import scapy.layers.inet6  # noqa: PLC0415
    import scapy.layers.l2  # noqa: F401, PLC0415


with _no_directories(), _no_tables():
    _import_layers()
for _name in ("scapy", "scapy.runtime", "scapy.loading", "scapy.interactive"):
    for _handler in list(logging.getLogger(_name).handlers):
        logging.getLogger(_name).removeHandler(_handler)
