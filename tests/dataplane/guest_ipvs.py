"""The IPVS dataplane against a real kernel. Runs inside the test kernel; `test_dataplane_ipvs.py` starts it there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from pykeepalived.dataplane import ipvs_codec as codec
from pykeepalived.dataplane.ipvs import IpvsDataplane
from pykeepalived.dataplane.ipvs_commands import Commands
from pykeepalived.dataplane.select import open_dataplane
from pykeepalived.lvs.reconcile import diff
from pykeepalived.lvs.table import AddService, Destination, DestinationKey, Entry, Service, ServiceKey, Table
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, ForwardingMethod, Protocol, TunnelType
from pykeepalived.tools.lab import Lab
from tests.dataplane.contract import FULL, MARK, ONE, THREE, TWO, WEB, WEB6, WRR, DataplaneContract, server
from tests.dataplane.traffic import Site, TrafficContract

V6 = DestinationKey("2001:db8::2", 80)


def ipvsadm(*words: str) -> list[str]:
    return subprocess.run(["ipvsadm", *words], capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture(scope="module")
def kernel() -> Iterator[IpvsDataplane]:
    dataplane = IpvsDataplane()
    yield dataplane
    dataplane.flush()
    dataplane.close()


@pytest.fixture
def empty(kernel: IpvsDataplane) -> IpvsDataplane:
    kernel.flush()
    return kernel


class TestIpvs(DataplaneContract):
    @pytest.fixture
    def dataplane(self, empty: IpvsDataplane) -> IpvsDataplane:
        return empty


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab("ipvs-traffic") as lab:
        opened = Site(lab, IpvsDataplane)
        yield opened
        opened.close()


class TestIpvsTraffic(TrafficContract):
    pass


def test_ipvsadm_shows_what_was_asked_for(empty: IpvsDataplane) -> None:
    gue = Forwarding(ForwardingMethod.TUN, TunnelType.GUE, 6080, "csum")
    gre = Forwarding(ForwardingMethod.TUN, TunnelType.GRE)
    ipip = Forwarding(ForwardingMethod.TUN)
    udp = ServiceKey.for_address(Protocol.UDP, "10.9.0.5", 53, Family.INET)
    sctp = ServiceKey.for_address(Protocol.SCTP, "10.9.0.5", 36412, Family.INET)
    table: Table = {
        WEB: Entry(
            Service(scheduler="wlc", persistence_timeout_s=50, persistence_prefix=24),
            {
                ONE: server(3),
                TWO: Destination(weight=2, forwarding=Forwarding(ForwardingMethod.DR)),
                THREE: Destination(weight=1, forwarding=gue),
                DestinationKey("10.9.1.4", 80): Destination(weight=0, forwarding=gre),
                DestinationKey("10.9.1.5", 80): Destination(weight=65535, forwarding=ipip),
                V6: Destination(weight=7, forwarding=ipip),
            },
        ),
        WEB6: Entry(Service(scheduler="sh", scheduler_flags=3, persistence_timeout_s=60, persistence_prefix=64), {}),
        udp: Entry(Service(scheduler="rr", one_packet=True), {ONE: server()}),
        sctp: Entry(Service(scheduler="mh", scheduler_flags=1), {}),
        MARK: Entry(Service(scheduler="fo"), {DestinationKey("10.9.1.1", 0): server()}),
        ServiceKey.for_mark(8, Family.INET6): Entry(Service(scheduler="wrr"), {V6: server()}),
    }
    assert empty.apply(diff(table, {})) == []
    assert empty.snapshot() == table
    assert ipvsadm("-Sn") == [
        "-A -t 10.9.0.5:80 -s wlc -p 50 -M 255.255.255.0",
        "-a -t 10.9.0.5:80 -r 10.9.1.1:80 -m -w 3",
        "-a -t 10.9.0.5:80 -r 10.9.1.2:80 -g -w 2",
        "-a -t 10.9.0.5:80 -r 10.9.1.3:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
        "-a -t 10.9.0.5:80 -r 10.9.1.4:80 -i -w 0 --tun-type gre --tun-nocsum",
        "-a -t 10.9.0.5:80 -r 10.9.1.5:80 -i -w 65535 --tun-type ipip",
        "-a -t 10.9.0.5:80 -r [2001:db8::2]:80 -i -w 7 --tun-type ipip",
        "-A -u 10.9.0.5:53 -s rr -o",
        "-a -u 10.9.0.5:53 -r 10.9.1.1:80 -m -w 1",
        "-A --sctp-service 10.9.0.5:36412 -s mh -b mh-fallback",
        "-A -t [2001:db8::5]:80 -s sh -p 60 -M 64 -b sh-fallback,sh-port",
        "-A -f 7 -s fo",
        "-a -f 7 -r 10.9.1.1:0 -m -w 1",
        "-A -f 8 -6 -s wrr",
        "-a -f 8 -6 -r [2001:db8::2]:80 -m -w 1",
    ]


def test_thresholds(empty: IpvsDataplane) -> None:
    limited = Destination(weight=1, forwarding=Forwarding(), upper_threshold=100, lower_threshold=60)
    empty.apply(diff({WEB: Entry(WRR, {ONE: limited})}, {}))
    assert any(line.split()[:4] == ["->", "10.9.1.1:80", "100", "60"] for line in ipvsadm("-Ln", "--thresholds"))
    assert empty.snapshot()[WEB].destinations == {ONE: limited}


def test_persistence_engine(empty: IpvsDataplane) -> None:
    udp = ServiceKey.for_address(Protocol.UDP, "10.9.0.5", 5060, Family.INET)
    table = {udp: Entry(Service(scheduler="rr", persistence_timeout_s=9, persistence_engine="sip"), {})}
    assert empty.apply(diff(table, {})) == []
    assert ipvsadm("-Sn") == ["-A -u 10.9.0.5:5060 -s rr -p 9 --pe sip"]
    assert empty.snapshot() == table


def test_what_ipvsadm_made_is_read(empty: IpvsDataplane) -> None:
    ipvsadm("-A", "-t", "10.9.0.5:80", "-s", "wrr")
    ipvsadm("-a", "-t", "10.9.0.5:80", "-r", "10.9.1.1:80", "-m", "-w", "3")
    assert empty.snapshot() == {WEB: Entry(WRR, {ONE: server(3)})}


def test_a_part_of_the_table(empty: IpvsDataplane) -> None:
    empty.apply(diff(FULL, {}))
    assert empty.read([WEB, WEB6]) == {key: FULL[key] for key in (WEB, WEB6)}
    assert empty.read([ServiceKey.for_mark(77, Family.INET)]) == {}


def test_timeouts(empty: IpvsDataplane) -> None:
    before = empty.timeouts()
    empty.set_timeouts(901, 0, 301)
    assert empty.timeouts() == (901, before[1], 301)
    assert ipvsadm("-Ln", "--timeout") == [f"Timeout (tcp tcpfin udp): 901 {before[1]} 301"]
    empty.set_timeouts(*before)


def test_synchronisation_daemon(empty: IpvsDataplane) -> None:
    commands = Commands()

    def start(**fields: Any) -> None:
        commands.run(codec.NEW_DAEMON, codec.daemon_body(**fields))

    def stop(master: bool) -> None:
        commands.run(codec.DEL_DAEMON, codec.daemon_body(master=master))

    with pytest.raises(ProcessLookupError):
        stop(True)
    start(master=True, interface="lo", sync_id=42, max_length=1400, group="224.0.0.90", port=8849, ttl=3)
    with pytest.raises(FileExistsError):
        start(master=True, interface="lo", sync_id=42)
    start(master=False, interface="lo", sync_id=7)
    shown = ipvsadm("-L", "--daemon")
    assert shown[0] == "master sync daemon (mcast=lo, syncid=42, maxlen=1400, group=224.0.0.90, port=8849, ttl=3)"
    assert shown[1].startswith("backup sync daemon (mcast=lo, syncid=7,")
    stop(True)
    stop(False)
    commands.close()


def test_a_large_table_takes_few_messages(empty: IpvsDataplane) -> None:
    table: Table = {
        ServiceKey.for_mark(number, Family.INET): Entry(
            WRR, {DestinationKey(f"10.8.{number}.{host}", 80): server(host) for host in range(1, 11)}
        )
        for number in range(1, 101)
    }
    assert empty.apply(diff(table, {})) == []
    assert len(ipvsadm("-Sn")) == 1100
    wrong = [operation for operation in diff(table, {}) for _ in range(2)]
    assert len(empty.apply(wrong)) == len(wrong), "each of more than two thousand refusals is reported"


def test_auto_chooses_ipvs_and_says_so() -> None:
    said: list[str] = []
    dataplane = open_dataplane("auto", said.append)
    assert (dataplane.name, said) == ("ipvs", ["LVS dataplane is IPVS"])
    dataplane.close()


def test_what_only_nftables_has_is_refused_by_name(empty: IpvsDataplane) -> None:
    table: Table = {WEB: Entry(Service(scheduler="random"), {ONE: server()})}
    assert empty.unsupported(table) == [(WEB, "IPVS has no scheduler random, only nftables has it")]
    assert [each.name for each in empty.apply([AddService(WEB, table[WEB].service)])] == ["no-scheduler"]
    assert empty.snapshot() == {}
