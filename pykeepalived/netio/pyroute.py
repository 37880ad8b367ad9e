"""The messages of pyroute2 that route netlink needs, imported without the rest of it.

`import pyroute2` takes in databases, DHCP and Plan 9 as well: 92 ms and 11 MB on top of what the daemon has (measured).
What is needed here comes to 12 ms: the messages and their reader. Its sockets bring asyncio with them (another 25 ms);
ours is one of the standard library. The package itself stands empty while its submodules are imported, and is taken
away again, so that whoever imports pyroute2 later gets all of it. A version of pyroute2 with which this does not work
is imported as a whole. Who needs more of its submodules afterwards imports `pyroute2` itself first.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Final

_PACKAGE: Final = "pyroute2"


@contextlib.contextmanager
def _empty_package() -> Iterator[None]:
    if _PACKAGE in sys.modules:
        yield
        return
    try:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError(f"no package {_PACKAGE}")
        module = types.ModuleType(_PACKAGE)
        module.__path__ = list(spec.submodule_search_locations)
        module.__spec__ = spec
        sys.modules[_PACKAGE] = module
        yield
    finally:
        sys.modules.pop(_PACKAGE, None)


def _import() -> None:
    from pyroute2.netlink.rtnl import fibmsg, ifaddrmsg, ifinfmsg, rtmsg  # noqa: F401, PLC0415


try:
    with _empty_package():
        _import()
except ImportError:
    _import()

from pyroute2.netlink import nlmsg  # noqa: E402
from pyroute2.netlink.exceptions import NetlinkError  # noqa: E402
from pyroute2.netlink.marshal import Marshal  # noqa: E402
from pyroute2.netlink.rtnl.fibmsg import fibmsg  # noqa: E402
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: E402
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402

__all__ = ["Marshal", "NetlinkError", "fibmsg", "ifaddrmsg", "ifinfmsg", "nlmsg", "rtmsg"]
