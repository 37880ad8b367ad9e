"""From a directive of ldirectord.cf to the table that the kernel shall hold, and to what a check does."""

from __future__ import annotations

import pytest

from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.lvs.desired import entry, named_destinations, service_attributes, service_keys
from pykeepalived.lvs.table import Entry, ServiceKey
from pykeepalived.model import Family, ForwardingMethod
from pykeepalived.model.checks import CheckerSpec, NegotiateCheck
from pykeepalived.model.lvs import VirtualServer
from pykeepalived.units import SECOND_US
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost

HEAD = "virtual=10.1.0.1:80"
REAL = "real=10.1.1.1:80 masq"


def server(*lines: str, head: str = HEAD, globals_: str = "") -> VirtualServer:
    body = "".join(f"    {line}\n" for line in lines)
    result = load_text(f"{globals_}{head}\n{body}", "test.cf", host=FakeHost())
    assert result.ok, [item.message for item in result.findings.items]
    return result.config.virtual_servers[0]


def table(*lines: str, head: str = HEAD, globals_: str = "") -> tuple[ServiceKey, Entry]:
    found = server(*lines, head=head, globals_=globals_)
    (key,) = service_keys(found, ())
    return key, entry(found, key, named_destinations(found))


def check(*lines: str, globals_: str = "") -> CheckerSpec:
    return server(REAL, *lines, globals_=globals_).real_servers[0].checkers[0]


@pytest.mark.shows("ldirectord.global.{virtual,virtual6}", "ldirectord.virtual.{real,real6}", "ldirectord.real.address")
def test_services_and_servers() -> None:
    key, made = table(REAL)
    assert (key.address, key.port, key.family) == ("10.1.0.1", 80, Family.INET)
    assert [(item.address, item.port) for item in made.destinations] == [("10.1.1.1", 80)]
    key, made = table("real6=[2001:db8::2]:80 gate", head="virtual6=[2001:db8::1]:80")
    assert (key.address, key.port, key.family) == ("2001:db8::1", 80, Family.INET6)
    assert [item.address for item in made.destinations] == ["2001:db8::2"]


@pytest.mark.shows("ldirectord.real.{range,port,forward,weight,l:,u:}")
def test_what_stands_in_a_real_line() -> None:
    _, made = table("real=10.1.1.1->10.1.1.3:81 masq 7 l:4 u:9")
    assert sorted((item.address, item.port) for item in made.destinations) == [
        (f"10.1.1.{number}", 81) for number in (1, 2, 3)
    ]
    for found in made.destinations.values():
        assert (found.weight, found.upper_threshold, found.lower_threshold) == (7, 9, 4)
    methods = {"gate": ForwardingMethod.DR, "ipip": ForwardingMethod.TUN, "masq": ForwardingMethod.NAT}
    for word, method in methods.items():
        ((_, found),) = table(f"real=10.1.1.1:80 {word}")[1].destinations.items()
        assert found.forwarding.method is method


@pytest.mark.parametrize("method", ["gate", "ipip"])
def test_a_port_that_the_kernel_forces(method: str) -> None:
    """ldirectord adds it with one port and looks for it with another, so that it never comes back after a failure."""
    _, made = table(f"real=10.1.1.1:80 {method}", "quiescent=yes", head="virtual=10.1.0.1:8080")
    assert [(item.address, item.port) for item in made.destinations] == [("10.1.1.1", 8080)]
    spec = server(f"real=10.1.1.1:80 {method}", "checktype=connect", head="virtual=10.1.0.1:8080")
    assert spec.real_servers[0].checkers[0].question.socket.port == 80


@pytest.mark.shows("ldirectord.virtual.{scheduler,persistent,netmask,schedflags,protocol,ops}")
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("scheduler=wlc",), {"scheduler": "wlc"}),
        (("persistent=77",), {"persistence_timeout_s": 77}),
        (("persistent=77", "netmask=255.255.255.0"), {"persistence_timeout_s": 77, "persistence_prefix": 24}),
        (("scheduler=sh", "schedflags=sh-port"), {"scheduler": "sh", "scheduler_flags": 2}),
        (("scheduler=wrr", "protocol=udp", "ops=yes"), {"one_packet": True}),
    ],
)
def test_attributes_of_a_service(lines: tuple[str, ...], expected: dict[str, object]) -> None:
    plain = server(REAL)
    other = server(REAL, *lines)
    (key,) = service_keys(plain, ())
    for name, value in expected.items():
        assert getattr(service_attributes(other, service_keys(other, ())[0]), name) == value
        assert getattr(service_attributes(plain, key), name) != value
    assert service_keys(server(REAL, "protocol=udp"), ())[0].protocol == 17
    assert key.protocol == 6


@pytest.mark.shows("ldirectord.{global,virtual}.{fallback6,quiescent}")
@pytest.mark.parametrize("everywhere", [True, False])
def test_what_serves_without_servers(everywhere: bool) -> None:
    def made(head: str, real: str, line: str) -> VirtualServer:
        if everywhere:
            return server(real, head=head, globals_=f"{line}\n")
        return server(real, line, head=head)

    six = made("virtual6=[2001:db8::1]:80", "real6=[2001:db8::2]:80 gate", "fallback6=[2001:db8::9]:80 gate")
    assert six.sorry_server is not None
    assert six.sorry_server.address == "2001:db8::9"
    for word, stays in (("yes", True), ("no", False)):
        assert made(HEAD, REAL, f"quiescent={word}").real_servers[0].inhibit_on_failure is stays


@pytest.mark.shows(
    "ldirectord.{global,virtual}.{checktimeout,negotiatetimeout,checkinterval,checkcount}",
    "ldirectord.global.fork",
    "ldirectord.virtual.failurecount",
)
@pytest.mark.parametrize("everywhere", [True, False])
def test_when_a_check_runs_and_fails(everywhere: bool) -> None:
    def made(*lines: str) -> CheckerSpec:
        if everywhere:
            return check("service=http", 'receive="x"', *(line for line in lines if "type" in line),
                         globals_="".join(f"{line}\n" for line in lines if "type" not in line))  # fmt: skip
        return check("service=http", 'receive="x"', *lines, globals_="fork=yes\n")

    assert made("checktype=connect", "checktimeout=7").question.socket.timeout_us == 7 * SECOND_US
    negotiating = made("checktype=negotiate", "negotiatetimeout=9", "checktimeout=3").question
    assert isinstance(negotiating, NegotiateCheck)
    assert (negotiating.socket.timeout_us, negotiating.connect_timeout_us) == (9 * SECOND_US, 3 * SECOND_US)
    assert made("checktype=connect", "checkinterval=13").timing.delay_loop_us == 13 * SECOND_US
    assert made("checktype=ping", "checkcount=6").question.attempts == 6
    assert made("checktype=connect", "failurecount=4").timing.retry == 3
    # Only with fork has a section an interval of its own.
    alone = check("service=http", 'receive="x"', "checkinterval=13")
    assert alone.timing.delay_loop_us == 10 * SECOND_US
