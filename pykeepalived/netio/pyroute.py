"""The parts of pyroute2 that route netlink needs, imported without the rest of it.

`import pyroute2` takes in databases, DHCP and Plan 9 as well: 92 ms and 11 MB on top of what the daemon has (measured).
What is needed here comes to 41 ms and 5.5 MB. For that, two packages stand empty while their submodules are imported,
and are taken away again, so that whoever imports pyroute2 later gets all of it. A version of pyroute2 with which this
does not work is imported as a whole.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Final

_PACKAGES: Final = ("pyroute2", "pyroute2.iproute")


@contextlib.contextmanager
def _empty_packages() -> Iterator[None]:
    if "pyroute2" in sys.modules:
        yield
        return
    try:
        for name in _PACKAGES:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.submodule_search_locations is None:
                raise ImportError(f"no package {name}")
            module = types.ModuleType(name)
            module.__path__ = list(spec.submodule_search_locations)
            module.__spec__ = spec
            sys.modules[name] = module
        yield
    finally:
        for name in _PACKAGES:
            sys.modules.pop(name, None)


def _import() -> None:
    from pyroute2.netlink.rtnl import fibmsg, ifaddrmsg, ifinfmsg, iprsocket, rtmsg  # noqa: F401, PLC0415


try:
    with _empty_packages():
        _import()
except ImportError:
    _import()

from pyroute2.netlink import nlmsg  # noqa: E402
from pyroute2.netlink.exceptions import NetlinkError  # noqa: E402
from pyroute2.netlink.marshal import Marshal  # noqa: E402
from pyroute2.netlink.rtnl.fibmsg import fibmsg  # noqa: E402
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: E402
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402
from pyroute2.netlink.rtnl.iprsocket import IPRSocket  # noqa: E402
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402

__all__ = ["IPRSocket", "Marshal", "NetlinkError", "fibmsg", "ifaddrmsg", "ifinfmsg", "nlmsg", "rtmsg"]
