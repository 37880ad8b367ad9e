"""From a word in a file to the bytes of an advert, where they go, and which adverts are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("scapy")

from scapy.layers.inet import IP
from scapy.layers.vrrp import VRRP, VRRPv3

from pykeepalived.dialects.keepalived import load
from pykeepalived.model.common import Family
from pykeepalived.netio.sockets import Place, SocketPool
from pykeepalived.runtime.vrrp_endpoints import Endpoint, endpoints_of
from pykeepalived.vrrp.events import AdvertReceived, PacketRefused, Refusal
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.receive import Ladder
from tests.dialects.keepalived.fake_host import FakeHost
from tests.vrrp.packets import packet, v2, v3

PLAIN = "virtual_ipaddress {\n10.0.0.51\n}\n"


class Wire(SocketPool):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Place, bytes, str]] = []

    def send(self, place: Place, datagram: bytes | bytearray, destination: str) -> None:
        self.seen.append((place, bytes(datagram), destination))


def endpoint(tmp_path: Path, words: str, settings: str = "", interface: str = "interface eth0") -> Endpoint:
    path = tmp_path / "keepalived.conf"
    path.write_text(
        f"global_defs {{\n{settings}\n}}\nvrrp_instance A {{\n{interface}\nvirtual_router_id 51\n{words}\n}}\n"
    )
    result = load(str(path), host=FakeHost())
    assert result.config.instances, result.findings.items
    return endpoints_of(result.config)["A"]


def sent(
    tmp_path: Path, words: str = PLAIN, settings: str = "", source: str = "10.0.0.1"
) -> list[tuple[Place, IP, str]]:
    one = endpoint(tmp_path, words, settings)
    one.use_source(one.instance.source or source)
    wire = Wire()
    one.send(wire, 100, log=None)  # type: ignore[arg-type]
    return [(place, IP(data), destination) for place, data, destination in wire.seen]


def heard(tmp_path: Path, data: bytes, words: str = PLAIN, settings: str = "") -> Refusal | None:
    """None: the advert is taken."""
    one = endpoint(tmp_path, words, settings)
    event = Ladder([expectation(one.instance)]).ipv4(data, "eth0")
    assert isinstance(event, AdvertReceived | PacketRefused)
    return event.refusal if isinstance(event, PacketRefused) else None


@pytest.mark.shows("vrrp_instance.{interface,virtual_router_id,virtual_ipaddress_excluded}")
def test_where_and_for_whom(tmp_path: Path) -> None:
    ((place, data, _),) = sent(tmp_path, PLAIN + "virtual_ipaddress_excluded {\n10.0.0.52\n}\n")
    assert place.ifname == "eth0"
    assert data[VRRP].vrid == 51
    assert data[VRRP].addrlist == ["10.0.0.51"]
    assert heard(tmp_path, packet(v2(vrid=52))) is not None
    both = endpoint(tmp_path, PLAIN + "virtual_ipaddress_excluded {\n10.0.0.52\n}\n").addresses()
    assert [item.address.prefix.address for item in both] == ["10.0.0.51", "10.0.0.52"]


@pytest.mark.shows("vrrp_instance.version", "global_defs.vrrp_version")
def test_the_version(tmp_path: Path) -> None:
    assert sent(tmp_path)[0][1].haslayer(VRRP)
    for words, settings in ((PLAIN + "version 3\n", ""), (PLAIN, "vrrp_version 3")):
        assert sent(tmp_path, words, settings)[0][1].haslayer(VRRPv3)
        assert heard(tmp_path, packet(v3()), words, settings) is None
        assert heard(tmp_path, packet(v2()), words, settings) is Refusal.VERSION
    assert heard(tmp_path, packet(v2())) is None


@pytest.mark.shows("vrrp_instance.{mcast_src_ip,unicast_src_ip,mcast_dst_ip}", "global_defs.vrrp_mcast_group4")
def test_from_where_to_where(tmp_path: Path) -> None:
    ((_, data, destination),) = sent(tmp_path)
    assert (data.src, data.dst, destination) == ("10.0.0.1", "224.0.0.18", "224.0.0.18")
    assert sent(tmp_path, PLAIN + "mcast_src_ip 10.0.0.9\n")[0][1].src == "10.0.0.9"
    peers = "unicast_peer {\n10.0.0.2\n}\n"
    assert sent(tmp_path, PLAIN + "unicast_src_ip 10.0.0.8\n" + peers)[0][1].src == "10.0.0.8"
    assert sent(tmp_path, PLAIN + "mcast_dst_ip 224.0.0.77\n")[0][1].dst == "224.0.0.77"
    assert sent(tmp_path, settings="vrrp_mcast_group4 224.0.0.99")[0][1].dst == "224.0.0.99"


@pytest.mark.shows("global_defs.vrrp_mcast_group6", "vrrp_instance.native_ipv6")
def test_the_group_of_ipv6(tmp_path: Path) -> None:
    six = endpoint(tmp_path, "virtual_ipaddress {\nfe80::51\n}\n", "vrrp_mcast_group6 ff02::99")
    assert six.group == "ff02::99"
    mixed = "version 3\nno_virtual_ipaddress\nvirtual_ipaddress_excluded {\nfe80::51\n10.0.0.52\n}\n"
    assert endpoint(tmp_path, mixed + "native_ipv6\n").family is Family.INET6
    assert endpoint(tmp_path, mixed).family is Family.INET


@pytest.mark.shows("vrrp_instance.{unicast_peer,unicast_ttl}")
def test_unicast(tmp_path: Path) -> None:
    peers = "unicast_peer {\n10.0.0.2\n10.0.0.3\n}\n"
    found = sent(tmp_path, PLAIN + peers + "unicast_ttl 9\n")
    assert [(data.dst, data.ttl, destination) for _, data, destination in found] == [
        ("10.0.0.2", 9, "10.0.0.2"),
        ("10.0.0.3", 9, "10.0.0.3"),
    ]


TO_US = {"destination": "10.0.0.1"}


@pytest.mark.shows("vrrp_instance.unicast_peer.{min_ttl,max_ttl}")
@pytest.mark.parametrize(("words", "ttl", "taken"), [
    ("min_ttl 60", 59, False), ("min_ttl 60", 60, True), ("max_ttl 60", 61, False), ("max_ttl 60", 60, True),
])  # fmt: skip
def test_from_how_far(words: str, ttl: int, taken: bool, tmp_path: Path) -> None:
    unicast = PLAIN + f"unicast_peer {{\n10.0.0.2 {words}\n}}\ncheck_unicast_src\n"
    assert (heard(tmp_path, packet(v2(), ttl=ttl, **TO_US), unicast) is None) is taken


@pytest.mark.shows("vrrp_instance.check_unicast_src", "global_defs.vrrp_check_unicast_src")
def test_from_strangers(tmp_path: Path) -> None:
    unicast = PLAIN + "unicast_peer {\n10.0.0.2\n}\n"
    stranger = packet(v2(), source="10.0.0.77", **TO_US)
    assert heard(tmp_path, stranger, unicast) is None
    assert heard(tmp_path, stranger, unicast + "check_unicast_src\n") is not None
    assert heard(tmp_path, stranger, unicast, "vrrp_check_unicast_src") is not None


@pytest.mark.shows("vrrp_instance.owner_ignore_adverts", "global_defs.vrrp_owner_ignore_adverts")
def test_owners_that_hear_nobody(tmp_path: Path) -> None:
    owner = PLAIN + "priority 255\n"
    for words, settings, ignores in ((owner, "", False), (owner + "owner_ignore_adverts\n", "", True)):
        assert expectation(endpoint(tmp_path, words, settings).instance).ignores_adverts is ignores
    everywhere = endpoint(tmp_path, owner, "vrrp_owner_ignore_adverts")
    assert expectation(everywhere.instance).ignores_adverts


@pytest.mark.shows("vrrp_instance.v3_checksum_as_v2", "global_defs.v3_checksum_as_v2")
def test_the_other_checksum(tmp_path: Path) -> None:
    usual = sent(tmp_path, PLAIN + "version 3\n")[0][1][VRRPv3].chksum
    other = sent(tmp_path, PLAIN + "version 3\nv3_checksum_as_v2\n")[0][1][VRRPv3].chksum
    assert other != usual
    assert sent(tmp_path, PLAIN + "version 3\n", "v3_checksum_as_v2")[0][1][VRRPv3].chksum == other


@pytest.mark.shows("vrrp_instance.authentication", "vrrp_instance.authentication.{auth_type,auth_pass}")
def test_passwords(tmp_path: Path) -> None:
    words = PLAIN + "authentication {\nauth_type %s\nauth_pass s3cret\n}\n"
    (plain,) = sent(tmp_path, words % "PASS")
    assert plain[1][VRRP].authtype == 1
    assert bytes(plain[1]).endswith(b"s3cret\0\0")
    (signed,) = sent(tmp_path, words % "AH")
    assert (signed[1].proto, signed[0].protocol) == (51, 51)
    assert heard(tmp_path, bytes(plain[1]), words % "PASS") is None
    assert heard(tmp_path, bytes(plain[1]), (words % "PASS").replace("s3cret", "other")) is not None
    assert heard(tmp_path, packet(v2()), words % "PASS") is not None


@pytest.mark.shows("vrrp_instance.no_virtual_ipaddress")
def test_no_addresses_on_purpose(tmp_path: Path) -> None:
    path = tmp_path / "keepalived.conf"
    text = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\n%s}\n"
    found = []
    for words in ("", "no_virtual_ipaddress\n"):
        path.write_text(text % words)
        found.append({item.id for item in load(str(path), host=FakeHost()).findings.items})
    assert "no-addresses" in found[0]
    assert found[1] == set()
