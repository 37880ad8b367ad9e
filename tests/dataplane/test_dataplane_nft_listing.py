"""`keepalivedctl ipvs` where nftables balances: the same commands, about connections that were really made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from pykeepalived.cli.ctl.ipvs import command
from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, ForwardingMethod, Protocol
from pykeepalived.tools.lab import Lab, wait_until
from tests.dataplane.traffic import CLIENTS, PORT, SERVERS, SERVERS6, VIP, VIP6, WEB, Site

pytestmark = pytest.mark.netns

WEB6 = ServiceKey.for_address(Protocol.TCP, VIP6, PORT, Family.INET6)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab("nft-listing") as lab:
        opened = Site(lab, NftablesDataplane)
        yield opened
        opened.close()


@pytest.fixture(autouse=True)
def clean(site: Site) -> Iterator[None]:
    yield
    site.show({})


def ask(site: Site, *words: str) -> Result:
    with site.director.inside():
        return CliRunner().invoke(command, words)


def lines(site: Site, *words: str) -> list[str]:
    done = ask(site, *words)
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def fields(site: Site, *words: str) -> list[list[str]]:
    """The lines of servers, cut into words."""
    return [line.split()[1:] for line in lines(site, *words) if line.startswith("  -> ") and "Remote" not in line]


def test_the_table_and_its_connections_are_listed(site: Site) -> None:
    site.service("wrr", 2, 1, 0)
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(site.connect(CLIENTS[1]))
        wait_until(lambda: [line[3] for line in fields(site, "-Ln")] == ["4", "2", "0"], 30, "six connections")
        head, *_, service, first, second, third = lines(site, "-Ln")
        assert "pykeepalived_lvs" in head
        assert service == f"TCP  {VIP}:{PORT} wrr"
        assert first.split() == ["->", f"{SERVERS[0]}:80", "Masq", "2", "4", "0"]
        assert second.split() == ["->", f"{SERVERS[1]}:80", "Masq", "1", "2", "0"]
        assert third.split() == ["->", f"{SERVERS[2]}:80", "Masq", "0", "0", "0"]
        (service_,) = json.loads(ask(site, "--json", "-Ln").output)["services"]
        assert (service_["protocol"], service_["address"], service_["port"]) == ("tcp", VIP, PORT)
        assert [each["active_connections"] for each in service_["destinations"]] == [4, 2, 0]
        assert len(json.loads(ask(site, "-Lnc", "--json").output)["connections"]) == 6
        shown = [line.split() for line in lines(site, "-Lnc")[2:]]
        assert [line[0] for line in shown] == ["TCP"] * 6
        assert {line[2] for line in shown} == {"ESTABLISHED"}
        assert {line[3].rpartition(":")[0] for line in shown} == {CLIENTS[1]}
        assert {line[4] for line in shown} == {f"{VIP}:{PORT}"}
        assert sorted(line[5] for line in shown) == [f"{SERVERS[0]}:80"] * 4 + [f"{SERVERS[1]}:80"] * 2
    wait_until(lambda: {line[3] for line in fields(site, "-Ln")} == {"0"}, 30, "no active connection")


def test_counters_are_read_and_zeroed(site: Site) -> None:
    site.service("rr", 1, 1, 1)
    site.spread(6)
    listed = [line.split() for line in lines(site, "-Ln", "--stats", "--exact")]
    counted = [line[1:] for line in listed if line[0] == "->"][1:]
    assert [line[:2] for line in counted] == [[f"{server}:80", "2"] for server in SERVERS]
    assert all(int(number) > 0 for line in counted for number in line[2:])
    whole = next(line for line in listed if line[0] == "TCP")
    assert [int(number) for number in whole[2:]] == [
        sum(int(line[column]) for line in counted) for column in range(1, 6)
    ]
    assert ask(site, "-Z", "-t", f"{VIP}:{PORT}").exit_code == 0
    assert [line[1] for line in fields(site, "-Ln", "--stats")] == ["0", "0", "0"]
    site.spread(3)
    assert [line[1] for line in fields(site, "-Ln", "--stats")] == ["1", "1", "1"]
    assert json.loads(ask(site, "-Z", "--json").output) == {"done": True}
    assert [line[1] for line in fields(site, "-Ln", "--stats", "-t", f"{VIP}:{PORT}")] == ["0", "0", "0"]
    assert len(fields(site, "-Ln", "--rate")) == 3


def test_direct_routing_and_persistence_are_counted(site: Site) -> None:
    direct = Destination(weight=1, forwarding=Forwarding(ForwardingMethod.DR))
    kept = {DestinationKey(server, PORT): direct for server in SERVERS}
    site.show({WEB: Entry(Service(scheduler="rr", persistence_timeout_s=60), kept)})
    assert [line[1] for line in fields(site, "-Ln")] == ["Route"] * 3
    assert fields(site, "-Ln", "--persistent-conn")[0][1:] == ["1", "0", "0", "0"]
    site.service("rr", 1, 1, 1, persistence_timeout_s=60)
    chosen = site.ask(CLIENTS[0])
    shown = {line[0]: line[2] for line in fields(site, "-Ln", "--persistent-conn")}
    assert shown == {f"{server}:80": "1" if server == chosen else "0" for server in SERVERS}
    remembered = [line.split() for line in lines(site, "-Lnc") if " NONE " in line]
    assert [line[3:] for line in remembered] == [[f"{CLIENTS[0]}:0", f"{VIP}:{PORT}", f"{chosen}:80"]]


def test_what_is_saved_is_what_ipvsadm_reads(site: Site) -> None:
    servers = {DestinationKey(server, PORT): Destination(weight=3, forwarding=Forwarding()) for server in SERVERS6[:1]}
    site.show({WEB6: Entry(Service(scheduler="sh", scheduler_flags=2, persistence_timeout_s=50), servers)})
    assert lines(site, "-Sn") == [
        f"-A -t [{VIP6}]:80 -s sh -p 50 -b sh-port",
        f"-a -t [{VIP6}]:80 -r [{SERVERS6[0]}]:80 -m -w 3",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-A", "-t", "10.0.0.1:80"), "changed by the configuration alone"),
        (("-C",), "changed by the configuration alone"),
        (("-L", "--timeout"), "nftables has neither"),
        (("-Ln", "-t", "10.9.9.9:80"), "no such service"),
        (("-Z", "-f", "7"), "-Z alone"),
        (("-L", "--dataplane", "nonsense"), "--dataplane is ipvs or nftables"),
    ],
)
def test_what_it_cannot_do_is_said(site: Site, words: tuple[str, ...], says: str) -> None:
    site.service("rr", 1)
    done = ask(site, *words)
    assert done.exit_code in {1, 2}
    assert says in done.output
    assert site.spread(1) == [1, 0, 0]


def test_without_a_table_it_says_so(site: Site) -> None:
    done = ask(site, "-Ln", "--dataplane", "nftables")
    assert done.exit_code == 1
    assert "no daemon balances with it" in done.output
