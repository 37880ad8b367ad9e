"""Names of iproute2's lists as numbers."""

from __future__ import annotations

import re
import socket
from typing import Final

from pykeepalived.dialects.keepalived.host import HostFacts

#: Names that are known without any list.
_FIXED: Final = {
    "rt_tables": {"main": 254, "local": 255, "default": 253},
    "rt_protos": {"keepalived": 18},
    "rt_realms": {"cosmos": 0},
    "group": {"default": 0},
}
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")


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
