"""The nftables dataplane keeps the contract, in a network namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykeepalived.dataplane.libnftables import LibraryRunner, NftError, ProgramRunner, Runner
from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.lvs.reconcile import diff
from pykeepalived.lvs.table import AddDestination, Destination, Entry, Service
from pykeepalived.model.lvs import Forwarding, ForwardingMethod
from pykeepalived.tools.lab import Lab, Namespace
from tests.dataplane.contract import FULL, ONE, THREE, TWO, WEB, WRR, DataplaneContract, server

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def machine() -> Iterator[Namespace]:
    with Lab("nft-contract") as lab:
        yield lab.namespace("director")


@pytest.fixture(params=[LibraryRunner, ProgramRunner], ids=["library", "program"])
def runner(request: pytest.FixtureRequest, machine: Namespace) -> Iterator[Runner]:
    with machine.inside():
        opened: Runner = request.param()
        opened.run("flush ruleset")
        yield opened
        opened.close()


@pytest.fixture
def dataplane(runner: Runner) -> NftablesDataplane:
    return NftablesDataplane(runner)


class TestNftables(DataplaneContract):
    @pytest.fixture
    def dataplane(self, runner: Runner) -> NftablesDataplane:
        return NftablesDataplane(runner)


def test_the_next_run_reads_what_the_last_one_left(dataplane: NftablesDataplane, runner: Runner) -> None:
    dataplane.apply(diff(FULL, {}))
    successor = NftablesDataplane(runner)
    assert successor.snapshot() == FULL
    assert successor.apply(diff({}, FULL)) == []
    assert "pykeepalived" not in runner.run("list ruleset")


def test_other_tables_are_left_alone(dataplane: NftablesDataplane, runner: Runner) -> None:
    runner.run("add table ip other\nadd set ip other kept { type ipv4_addr; }\n")
    before = runner.run("list table ip other")
    dataplane.apply(diff(FULL, {}))
    dataplane.apply(diff({}, FULL))
    assert runner.run("list table ip other") == before


def test_a_flushed_ruleset_is_noticed_and_can_be_made_again(dataplane: NftablesDataplane, runner: Runner) -> None:
    dataplane.apply(diff(FULL, {}))
    runner.run("flush ruleset")
    failures = dataplane.apply([AddDestination(WEB, ONE, server()), AddDestination(WEB, TWO, server())])
    assert failures
    assert dataplane.snapshot() == {}
    assert dataplane.apply(diff(FULL, {})) == []
    assert dataplane.snapshot() == FULL


def test_what_needs_ipvs_is_refused_by_its_word(dataplane: NftablesDataplane) -> None:
    cases = {
        "forwarding method DR": Entry(WRR, {ONE: Destination(weight=1, forwarding=Forwarding(ForwardingMethod.DR))}),
        "forwarding method TUN": Entry(WRR, {ONE: Destination(weight=1, forwarding=Forwarding(ForwardingMethod.TUN))}),
        "thresholds": Entry(WRR, {ONE: Destination(weight=1, forwarding=Forwarding(), upper_threshold=5)}),
        "scheduler lblc": Entry(Service(scheduler="lblc"), {}),
        "one-packet": Entry(Service(scheduler="rr", one_packet=True), {}),
        "engine sip": Entry(Service(scheduler="rr", persistence_timeout_s=5, persistence_engine="sip"), {}),
    }
    for word, entry in cases.items():
        [(key, reason)] = dataplane.unsupported({WEB: entry})
        assert (key, word in reason) == (WEB, True), reason
        assert {failure.name for failure in dataplane.apply(diff({WEB: entry}, {}))} <= {"unsupported", "no-service"}
        dataplane.apply(diff({}, dataplane.snapshot()))
    assert dataplane.unsupported(FULL) == []


def test_approximations_are_said_aloud(dataplane: NftablesDataplane) -> None:
    [(key, remark)] = dataplane.remarks({WEB: Entry(Service(scheduler="wlc"), {ONE: server()})})
    assert (key, remark) == (WEB, "scheduler wlc is approximated by wrr")
    assert dataplane.remarks({WEB: Entry(WRR, {ONE: server()})}) == []


def test_a_change_touches_only_its_service(dataplane: NftablesDataplane) -> None:
    dataplane.apply(diff(FULL, {}))
    sent: list[str] = []
    run = dataplane._runner.run

    def listen(commands: str, *, json: bool = False) -> str:
        sent.append(commands)
        return run(commands, json=json)

    dataplane._runner.run = listen  # type: ignore[method-assign]
    changed = {**FULL, WEB: Entry(FULL[WEB].service, {ONE: server(3), TWO: server(0), THREE: server(0)})}
    assert dataplane.apply(diff(changed, FULL)) == []
    assert len(sent) == 1
    assert all("10.9.0.5" in line for line in sent[0].splitlines()), sent[0]
    assert dataplane.snapshot() == changed


def test_nft_names_what_it_refuses(runner: Runner) -> None:
    with pytest.raises(NftError, match="Error"):
        runner.run("add rule ip nowhere nothing accept")
