"""Routes whose table is a VRF's: which table the requests name."""

from __future__ import annotations

import msgspec
import pytest

from pykeepalived.model import IpPrefix
from pykeepalived.model.routing import Nexthop, VirtualRoute
from pykeepalived.netio.links import Link
from pykeepalived.netio.routes import NoInterface
from pykeepalived.runtime.vrrp_journal import Journal
from pykeepalived.runtime.vrrp_routes import RouteKeeper


class Links:
    """A picture of two interfaces."""

    def link(self, name: str) -> Link | None:
        vrf = Link(index=9, name="blue", up=True, mac=b"", mtu=1500, kind="vrf", table=77)
        return {"blue": vrf, "eth0": msgspec.structs.replace(vrf, index=3, kind="", table=None)}.get(name)


class Kernel:
    """Takes requests and refuses none."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, bytes]] = []

    def change(self, changes: list[tuple[int, int, bytes]]) -> list[object]:
        self.seen += changes
        return []


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    detail = error = info


@pytest.mark.shows("{vrrp_instance.virtual_routes,static_routes}.vrf")
def test_a_route_with_vrf_goes_into_the_table_of_that_vrf(tmp_path: object) -> None:
    kernel, log = Kernel(), Log()
    keeper = RouteKeeper(kernel, Links(), Journal(str(tmp_path), log.error), log)  # type: ignore[arg-type]
    line = VirtualRoute(
        words=("vrf", "blue"),
        destination=IpPrefix("198.51.100.0", 24),
        vrf="blue",
        via=Nexthop(dev="eth0"),
    )
    keeper.add("a", [line, msgspec.structs.replace(line, vrf="red"), msgspec.structs.replace(line, vrf="eth0")])
    keeper.flush_additions()
    keeper.remove("a")
    keeper.flush_removals()
    assert [(kind, body[4]) for kind, _, body in kernel.seen] == [(24, 77), (25, 77)]
    assert [text.rpartition(" - ")[2] for text in log.lines] == ["no interface red", "no interface eth0"]
    with pytest.raises(NoInterface):
        keeper.held_of(msgspec.structs.replace(line, vrf="red"))
