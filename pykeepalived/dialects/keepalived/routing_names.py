"""Names of iproute2's lists as numbers."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import Any, Final

from pykeepalived.dialects.keepalived.host import HostFacts, names_of

#: Names that are known without any list.
_FIXED: Final = {
    "rt_tables": {"main": 254, "local": 255, "default": 253},
    "rt_protos": {"keepalived": 18},
    "rt_realms": {"cosmos": 0},
    "group": {"default": 0},
}
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")


#: Where iproute2 keeps its lists; what stands in the last one counts.
_VENDOR: Final = ("/usr/share/iproute2", "/usr/lib/iproute2")
_LOCAL: Final = "/etc/iproute2"


class NamesElsewhere:
    """A host whose lists of iproute2 stand where iproute_usr_dir and iproute_etc_dir say; all else is as it was."""

    def __init__(self, host: HostFacts, vendor: str | None, local: str | None) -> None:
        self._host = host
        self._directories = (*((vendor,) if vendor else _VENDOR), local or _LOCAL)
        self._names: dict[str, Mapping[str, int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def routing_names(self, kind: str) -> Mapping[str, int]:
        if kind not in self._names:
            self._names[kind] = names_of(kind, self._directories)
        return self._names[kind]


class Names:
    """Reads words of routes and rules that are a name or a number. Raises ValueError for what is neither."""

    def __init__(self, host: HostFacts) -> None:
        self._host = host

    def number(self, kind: str, text: str) -> int:
        if _NUMBER.fullmatch(text):
            return int(text, 16 if text[:2].lower() == "0x" else 10)
        known = _FIXED.get(kind, {})
        found = known[text] if text in known else self._host.routing_names(kind).get(text)
        if found is None:
            raise ValueError(text)
        return found

    def table(self, text: str) -> int:
        return self.number("rt_tables", text)

    def protocol(self, text: str) -> int:
        return self.number("rt_protos", text)

    def tos(self, text: str) -> int:
        return self.number("rt_dsfield", text)

    def group(self, text: str) -> int:
        return self.number("group", text)

    def realms(self, text: str) -> int:
        """`[FROM/]TO` as the kernel has it: FROM in the upper 16 bits."""
        first, slash, second = text.partition("/")
        if not slash:
            return self.number("rt_realms", first)
        return self.number("rt_realms", first) << 16 | self.number("rt_realms", second)


def ip_protocol(text: str) -> int:
    """Raises ValueError or OSError for a name that nobody knows."""
    return int(text) if text.isdigit() else socket.getprotobyname(text)
