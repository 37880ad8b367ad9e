"""The status of many virtual servers comes in pages, and `keepalivedctl status` puts them together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pykeepalived.cli.ctl import status
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.pool import Pool
from pykeepalived.model.lvs import AddressSelector, Protocol, RealServer, VirtualServer
from pykeepalived.runtime import control
from pykeepalived.runtime.lvs_status import services_status
from pykeepalived.runtime.program import StatusPart


def pools(*sizes: int) -> dict[str, Pool]:
    """Virtual servers with so many real servers each."""
    made = {}
    for number, size in enumerate(sizes):
        servers = tuple(RealServer(address=f"10.1.{number}.{last}", port=80, weight=1) for last in range(1, size + 1))
        server = VirtualServer(
            selector=AddressSelector(f"10.0.0.{number}", 80), protocol=Protocol.TCP, real_servers=servers
        )
        pool = Pool(ServiceRef(server))
        pool.start()
        made[pool.service.key] = pool
    return made


def page(of: dict[str, Pool], part: StatusPart) -> tuple[int, int | None]:
    """(virtual servers shown, number of the next one)"""
    body = services_status(of, {key: [] for key in of}, {}, part)
    return len(body["services"]), body["next"]


@pytest.mark.parametrize(
    ("sizes", "part", "shown"),
    [
        ((3, 3, 3), StatusPart(), (3, None)),
        ((3, 3, 3), StatusPart(servers=4), (2, 2)),
        ((3, 3, 3), StatusPart(first=2, servers=4), (1, None)),
        ((50, 1), StatusPart(servers=4), (1, 1)),
        ((0, 0, 0), StatusPart(servers=2), (2, 2)),
        ((3, 3), StatusPart(first=7), (0, None)),
        ((3, 3), StatusPart(servers=0), (0, None)),
    ],
)
def test_a_page_ends_when_it_holds_enough_real_servers(sizes, part, shown):
    assert page(pools(*sizes), part) == shown


def test_counts_are_those_of_all():
    made = pools(3, 2, 0)
    first = next(iter(made.values()))
    first.hold(first.servers[0], "test", "")
    body = services_status(made, {key: [] for key in made}, {}, StatusPart(servers=0))
    assert body["counts"] == {"services": 3, "services_without_quorum": 1, "servers": 5, "servers_alive": 4}


@pytest.mark.parametrize("arguments", [{"servers": 5000}, {"first": -1}, {"servers": "all"}])
def test_a_page_that_is_none_is_refused(arguments):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(arguments, StatusPart)


class Daemon:
    """Answers as a supervisor does; with `reloads` the virtual servers vanish after the first page."""

    def __init__(self, *sizes: int, reloads: bool = False) -> None:
        self.pools = pools(*sizes)
        self.reloads = reloads
        self.asked: list[dict[str, Any]] = []

    def ask(self, path: str, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        del path
        part = msgspec.convert({"servers": 4, **(arguments or {})}, StatusPart)
        self.asked.append(arguments or {})
        body = {"checker": services_status(self.pools, {key: [] for key in self.pools}, {}, part)}
        if self.reloads:
            self.pools = {}
        return body


@pytest.mark.parametrize(("reloads", "names"), [(False, 5), (True, 2)])
def test_all_pages_are_put_together(monkeypatch, reloads, names):
    daemon = Daemon(3, 3, 3, 3, 3, reloads=reloads)
    monkeypatch.setattr(control, "ask", daemon.ask)
    assert len(status.ask_status("x")["checker"]["services"]) == names


def test_a_summary_is_one_question(monkeypatch):
    daemon = Daemon(3, 3, 3)
    monkeypatch.setattr(control, "ask", daemon.ask)
    body = status.ask_status("x", summary=True)
    assert daemon.asked == [{"servers": 0}]
    lines = list(status.render(body, 0.0))
    assert "3 virtual servers, 0 of them without quorum" in lines
    assert "9 real servers, 9 of them up" in lines
