"""A repair reads the ruleset only when somebody else has changed it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.lvs.table import AddDestination, AddService, DeleteService, Destination, DestinationKey, Service
from pykeepalived.model.lvs import Forwarding, ForwardingMethod
from pykeepalived.tools.lab import Lab, Namespace
from tests.lvs.stage import KEY, Backend, Stage, config, real_server, virtual_server

pytestmark = pytest.mark.netns

NAT = Forwarding(ForwardingMethod.NAT)
SERVICE = AddService(KEY, Service(scheduler="rr"))


@pytest.fixture(scope="module")
def space() -> Iterator[Namespace]:
    with Lab("nft-generation") as lab:
        yield lab.namespace("director")


def add(number: int) -> AddDestination:
    return AddDestination(KEY, DestinationKey(f"10.0.0.{number}", 80), Destination(forwarding=NAT, weight=1))


def test_only_what_others_commit_counts(space: Namespace) -> None:
    with space.inside():
        plane = NftablesDataplane()
    try:
        assert not plane.unchanged(), "never read"
        plane.snapshot()
        assert plane.unchanged()
        for operation in (SERVICE, add(2), add(3)):
            assert plane.apply([operation]) == []
            assert plane.unchanged(), operation
        space.run("nft", "add", "table", "ip", "of_others")
        assert not plane.unchanged()
        assert plane.apply([add(4)]) == []
        assert not plane.unchanged(), "an operation of ours hides nothing"
        assert len(plane.snapshot()[KEY].destinations) == 3
        assert plane.unchanged()
        plane.apply([DeleteService(KEY)])
        assert plane.unchanged()
    finally:
        plane.close()


def test_a_round_of_repairs_reads_nothing_until_then(space: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Backend("127.0.0.1")
    with space.inside():
        plane = NftablesDataplane()
    stage = Stage(plane, drift_interval_us=20_000)
    keeper_rounds = 0
    reads = 0
    snapshot, unchanged = plane.snapshot, plane.unchanged

    def asked() -> bool:
        nonlocal keeper_rounds
        keeper_rounds += 1
        return unchanged()

    def read() -> object:
        nonlocal reads
        reads += 1
        return snapshot()

    monkeypatch.setattr(plane, "unchanged", asked)
    monkeypatch.setattr(plane, "snapshot", read)
    try:
        stage.program.start(config(virtual_server(real_server(one))))
        stage.until(lambda: keeper_rounds > 3, "a round of repairs")
        before = reads
        stage.until(lambda: keeper_rounds > 10, "more rounds")
        assert reads == before
        space.run("nft", "flush", "ruleset")
        stage.until(lambda: stage.program.status()["table"]["drift_repairs"] == 1, "the repair")
        assert len(snapshot()[KEY].destinations) == 1
    finally:
        stage.close()
        plane.close()
        one.close()
