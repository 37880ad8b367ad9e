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
from tests.dataplane.contract import DNS, FULL, MARK, ONE, THREE, TWO, WEB, WRR, DataplaneContract, server

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def machine() -> Iterator[Namespace]:
    with Lab("nft-contract") as lab:
        director = lab.namespace("director")
        # Direct routing needs an interface that leads to the servers.
        director.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        director.address("eth0", "10.9.1.254/24", "2001:db8::1:fe/112")
        director.up("eth0")
        director.up("eth1")
        yield director


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
    assert "pykeepalived_lvs" not in runner.run("list ruleset")
    successor.flush()
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
    direct, tunnel = (
        Destination(weight=1, forwarding=Forwarding(method)) for method in (ForwardingMethod.DR, ForwardingMethod.TUN)
    )
    limited = Destination(weight=1, forwarding=Forwarding(), upper_threshold=5)
    cases = {
        "forwarding method TUN": (WEB, Entry(WRR, {ONE: tunnel})),
        "forwarding methods DR and NAT in one service": (WEB, Entry(WRR, {ONE: direct, TWO: server()})),
        "forwarding method DR of a service by fwmark": (MARK, Entry(WRR, {ONE: direct})),
        "thresholds of [10.9.1.1]:80 without IPVS need a service of one port": (MARK, Entry(WRR, {ONE: limited})),
        "thresholds of [10.9.1.1]:80 with ops": (DNS, Entry(Service(scheduler="rr", one_packet=True), {ONE: limited})),
        "scheduler lblc": (WEB, Entry(Service(scheduler="lblc"), {})),
        "(ops) without IPVS needs a UDP": (WEB, Entry(Service(scheduler="rr", one_packet=True), {})),
        "(ops) with persistence": (
            DNS,
            Entry(Service(scheduler="rr", one_packet=True, persistence_timeout_s=5), {}),
        ),
        "(ops) with forwarding method DR": (DNS, Entry(Service(scheduler="rr", one_packet=True), {ONE: direct})),
        "engine sip": (WEB, Entry(Service(scheduler="rr", persistence_timeout_s=5, persistence_engine="sip"), {})),
    }
    for word, (key, entry) in cases.items():
        [(refused, reason)] = dataplane.unsupported({key: entry})
        assert (refused, word in reason) == (key, True), reason
        names = {failure.name for failure in dataplane.apply(diff({key: entry}, {}))}
        assert names, word
        assert names <= {"unsupported", "no-service", "no-scheduler"}, word
        assert dataplane.snapshot() == {}
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
