"""From a word in a virtual_server to the table that the kernel shall hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.lvs.desired import entry, named_destinations, service_attributes, service_keys
from pykeepalived.lvs.table import Service, ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import ForwardingMethod
from tests.dialects.keepalived.fake_host import FakeHost

PLAIN = "lb_algo rr\nlb_kind NAT\nprotocol TCP\n"
REAL6 = "real_server 2001:db8::10 80 {\nTCP_CHECK {\n}\n}\n"
REAL = "real_server 192.0.2.10 80 {\n%s\nTCP_CHECK {\n}\n}\n"


def config(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "keepalived.conf"
    path.write_text(text)
    result = load(str(path), host=FakeHost())
    assert not result.exit_class, result.findings.items
    return result.config


def service(tmp_path: Path, words: str, *, head: str = "192.0.2.1 80", real: str = "") -> tuple[ServiceKey, Service]:
    [server] = config(tmp_path, f"virtual_server {head} {{\n{words}\n{REAL % real}}}\n").virtual_servers
    [key] = service_keys(server, ())
    return key, service_attributes(server, key)


@pytest.mark.shows("virtual_server.{lb_algo,lvs_sched}")
@pytest.mark.parametrize("word", ["lb_algo", "lvs_sched"])
@pytest.mark.parametrize(
    "name", ["rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq"]
)
def test_the_scheduler(word: str, name: str, tmp_path: Path) -> None:
    _, attributes = service(tmp_path, f"{word} {name}\nlb_kind NAT\nprotocol TCP\n")
    assert attributes.scheduler == name


@pytest.mark.shows(
    "virtual_server.{flag-1,flag-2,flag-3,ops,persistence_timeout,persistence_granularity,persistence_engine}"
)
@pytest.mark.shows("virtual_server.{sh-port,sh-fallback,mh-port,mh-fallback}")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("flag-1", {"scheduler_flags": 1}),
        ("flag-2", {"scheduler_flags": 2}),
        ("flag-3", {"scheduler_flags": 4}),
        ("lb_algo sh\nsh-fallback", {"scheduler": "sh", "scheduler_flags": 1}),
        ("lb_algo sh\nsh-port", {"scheduler": "sh", "scheduler_flags": 2}),
        ("lb_algo mh\nmh-fallback", {"scheduler": "mh", "scheduler_flags": 1}),
        ("lb_algo mh\nmh-port", {"scheduler": "mh", "scheduler_flags": 2}),
        ("ops\nprotocol UDP", {"one_packet": True}),
        ("persistence_timeout 300", {"persistence_timeout_s": 300}),
        (
            "persistence_timeout 300\npersistence_granularity 255.255.255.0",
            {"persistence_timeout_s": 300, "persistence_prefix": 24},
        ),
        ("protocol UDP\npersistence_engine sip\npersistence_timeout 9", {"persistence_engine": "sip"}),
    ],
)
def test_flags_and_persistence(words: str, expected: dict[str, object], tmp_path: Path) -> None:
    without = service(tmp_path, PLAIN)[1]
    found = service(tmp_path, PLAIN + words)[1]
    for name, value in expected.items():
        assert getattr(found, name) == value
        assert getattr(without, name) != value


@pytest.mark.shows("virtual_server.{protocol,ip_family}")
def test_what_the_service_is(tmp_path: Path) -> None:
    assert service(tmp_path, PLAIN)[0].protocol == 6
    assert service(tmp_path, PLAIN.replace("TCP", "UDP"))[0].protocol == 17
    assert service(tmp_path, PLAIN.replace("TCP", "SCTP"))[0].protocol == 132
    mark = "lb_algo rr\nlb_kind NAT\n"
    assert service(tmp_path, mark, head="fwmark 3")[0].family is Family.INET
    six = config(tmp_path, f"virtual_server fwmark 3 {{\n{mark}ip_family inet6\n{REAL6}}}\n").virtual_servers[0]
    assert service_keys(six, ())[0].family is Family.INET6


def destination(tmp_path: Path, words: str = "", real: str = "", **how: bool) -> tuple[int, ForwardingMethod, int, int]:
    text = f"virtual_server 192.0.2.1 80 {{\nlb_algo rr\nprotocol TCP\n{words or 'lb_kind NAT'}\n{REAL % real}}}\n"
    [server] = config(tmp_path, text).virtual_servers
    [key] = service_keys(server, ())
    ((_, found),) = entry(server, key, named_destinations(server), **how).destinations.items()
    return found.weight, found.forwarding.method, found.upper_threshold, found.lower_threshold


@pytest.mark.shows(
    "virtual_server.{lb_kind,lvs_method,weight}", "virtual_server.real_server.{weight,lvs_method,uthreshold,lthreshold}"
)
def test_destinations(tmp_path: Path) -> None:
    nat, dr, tun = ForwardingMethod.NAT, ForwardingMethod.DR, ForwardingMethod.TUN
    assert destination(tmp_path) == (1, nat, 0, 0)
    assert destination(tmp_path, "lb_kind DR") == (1, dr, 0, 0)
    assert destination(tmp_path, "lvs_method TUN") == (1, tun, 0, 0)
    assert destination(tmp_path, "lb_kind NAT\nweight 7") == (7, nat, 0, 0)
    assert destination(tmp_path, "lb_kind NAT\nweight 7", "weight 9") == (9, nat, 0, 0)
    assert destination(tmp_path, "lb_kind NAT", "lvs_method DR") == (1, dr, 0, 0)
    assert destination(tmp_path, "", "uthreshold 9\nlthreshold 4") == (1, nat, 9, 4)


@pytest.mark.shows("virtual_server_group.fwmark")
def test_members_of_a_group(tmp_path: Path) -> None:
    text = (
        "virtual_server_group g {\n192.0.2.1 80\n192.0.2.8-9 81\nfwmark 7\n}\n"
        f"virtual_server group g {{\n{PLAIN}{REAL % ''}}}\n"
    )
    found = config(tmp_path, text)
    keys = service_keys(found.virtual_servers[0], found.virtual_server_groups)
    assert [(key.address, key.port, key.fwmark) for key in keys if not key.fwmark] == [
        ("192.0.2.1", 80, 0), ("192.0.2.8", 81, 0), ("192.0.2.9", 81, 0),
    ]  # fmt: skip
    assert [key.fwmark for key in keys if key.fwmark] == [7]
