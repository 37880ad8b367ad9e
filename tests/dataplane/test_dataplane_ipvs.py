"""The IPVS dataplane: its encoder against pyroute2's message class here, everything else in the test kernel."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.dataplane import DataplaneUnavailable
from pykeepalived.dataplane import ipvs_codec as codec
from pykeepalived.dataplane import ipvs_commands as ipvs_module
from pykeepalived.dataplane.ipvs import IpvsDataplane
from pykeepalived.dataplane.ipvs_commands import load_module
from pykeepalived.dataplane.ipvs_messages import decode_destination, decode_service, message_class
from pykeepalived.dataplane.select import open_dataplane
from pykeepalived.lvs.table import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    EditDestination,
    EditService,
    Operation,
    Service,
    ServiceKey,
)
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, ForwardingMethod, Protocol, TunnelType
from pykeepalived.tools.guest import run_in_guest
from pykeepalived.tools.lab import Lab

ROOT = Path(__file__).parents[2]


@pytest.mark.uml
@pytest.mark.netns
@pytest.mark.peer
def test_contract_and_traffic_on_the_test_kernel() -> None:
    tests = "tests/dataplane/guest_ipvs.py"
    result = run_in_guest(f"python -m pytest -q -p no:cacheprovider -p no:xdist {tests}", timeout_s=150, directory=ROOT)
    assert result.exit_code == 0, result.output
    assert "skipped" not in result.output, result.output


def parsed(operation: Operation) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Command, service attributes and destination attributes of an encoded operation, as pyroute2 reads them."""
    data = codec.message(28, codec.COMMANDS[type(operation)], 5, codec.operation_body(operation), ack=True)
    message = message_class()(data)
    message.decode()
    assert (message["header"]["length"], message["header"]["type"], message["header"]["flags"]) == (len(data), 28, 5)
    assert message["header"]["sequence_number"] == 5
    parts = [message.get_attr(f"IPVS_CMD_ATTR_{name}") for name in ("SERVICE", "DEST")]
    service, destination = (dict(part["attrs"]) if part else {} for part in parts)
    return message["cmd"], service, destination


# Addresses of the model are in the form of inet_ntop, which writes ::ffff:0.0.0.0 where Python's ipaddress does not.
addresses4 = st.ip_addresses(v=4).map(lambda address: socket.inet_ntop(socket.AF_INET, address.packed))
addresses6 = st.ip_addresses(v=6).map(lambda address: socket.inet_ntop(socket.AF_INET6, address.packed))
ports = st.integers(0, 65535)


@st.composite
def service_keys(draw: st.DrawFn) -> ServiceKey:
    family = draw(st.sampled_from(Family))
    if draw(st.booleans()):
        return ServiceKey.for_mark(draw(st.integers(1, 2**32 - 1)), family)
    address = draw(addresses4 if family is Family.INET else addresses6)
    return ServiceKey.for_address(draw(st.sampled_from(Protocol)), address, draw(ports), family)


@st.composite
def services(draw: st.DrawFn, family: Family) -> Service:
    timeout_s = draw(st.integers(0, 86400))
    whole = 32 if family is Family.INET else 128
    return Service(
        scheduler=draw(st.sampled_from(["rr", "wrr", "wlc", "mh"])),
        scheduler_flags=draw(st.integers(0, 7)),
        one_packet=draw(st.booleans()),
        persistence_timeout_s=timeout_s,
        persistence_prefix=draw(st.none() | st.integers(1, whole - 1)) if timeout_s else None,
        persistence_engine=draw(st.sampled_from([None, "sip"])),
    )


@st.composite
def forwardings(draw: st.DrawFn) -> Forwarding:
    method = draw(st.sampled_from(ForwardingMethod))
    if method is not ForwardingMethod.TUN:
        return Forwarding(method)
    checksum = draw(st.sampled_from(["nocsum", "csum", "remcsum"]))
    return Forwarding(method, draw(st.sampled_from(TunnelType)), draw(ports), checksum)


destinations = st.builds(
    Destination,
    weight=st.integers(0, 65535),
    forwarding=forwardings(),
    upper_threshold=st.integers(0, 2**32 - 1),
    lower_threshold=st.integers(0, 2**32 - 1),
)
destination_keys = st.builds(DestinationKey, address=addresses4 | addresses6, port=ports)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_services_are_read_as_they_were_written(data: st.DataObject) -> None:
    key = data.draw(service_keys())
    service = data.draw(services(key.family))
    for kind, command in ((AddService, 1), (EditService, 2)):
        number, attributes, none = parsed(kind(key, service))
        assert (number, none) == (command, {})
        assert attributes["IPVS_SVC_ATTR_FLAGS"]["mask"] == 0xFFFFFFFF
        assert decode_service(attributes) == (key, service)
    number, attributes, _ = parsed(DeleteService(key))
    assert number == 3
    assert not {"IPVS_SVC_ATTR_SCHED_NAME", "IPVS_SVC_ATTR_FLAGS"} & set(attributes)


@settings(max_examples=150, deadline=None)
@given(service_keys(), destination_keys, destinations)
def test_destinations_are_read_as_they_were_written(
    key: ServiceKey, place: DestinationKey, destination: Destination
) -> None:
    for kind, command in ((AddDestination, 5), (EditDestination, 6)):
        number, service, attributes = parsed(kind(key, place, destination))
        assert number == command
        assert set(service) <= {f"IPVS_SVC_ATTR_{name}" for name in ("AF", "PROTOCOL", "ADDR", "PORT", "FWMARK")}
        assert decode_destination(attributes, key.family)[:2] == (place, destination)
    number, _, attributes = parsed(DeleteDestination(key, place))
    assert number == 7
    assert set(attributes) == {f"IPVS_DEST_ATTR_{name}" for name in ("ADDR", "PORT", "ADDR_FAMILY")}


def test_editing_does_not_delete() -> None:
    """pyroute2's own "update" sends the commands that delete: 3 and 7."""
    key, place = ServiceKey.for_mark(1, Family.INET), DestinationKey("10.0.0.1", 80)
    value = Destination(weight=1, forwarding=Forwarding())
    assert parsed(EditService(key, Service(scheduler="rr")))[0] == 2
    assert parsed(EditDestination(key, place, value))[0] == 6


def test_nat_is_written_out() -> None:
    """pyroute2's record would ask for direct routing (3) when nothing is said."""
    value = Destination(weight=1, forwarding=Forwarding())
    operation = AddDestination(ServiceKey.for_mark(1, Family.INET), DestinationKey("10.0.0.1", 80), value)
    assert parsed(operation)[2]["IPVS_DEST_ATTR_FWD_METHOD"] == 0


def test_a_tunnel_port_is_in_network_order() -> None:
    """pyroute2 would write 6080 so that the kernel reads 49175."""
    body = codec.destination_fields(
        Destination(weight=1, forwarding=Forwarding(ForwardingMethod.TUN, TunnelType.GUE, 6080))
    )
    assert (6080).to_bytes(2, "big") in body


def test_an_ipv6_service_always_has_a_mask() -> None:
    """Without one the kernel answers EINVAL; it is a prefix length in the machine's order, not an address."""
    key = ServiceKey.for_address(Protocol.TCP, "2001:db8::1", 80, Family.INET6)
    whole = parsed(AddService(key, Service(scheduler="rr")))[1]
    grouped = parsed(AddService(key, Service(scheduler="rr", persistence_timeout_s=9, persistence_prefix=64)))[1]
    assert whole["IPVS_SVC_ATTR_NETMASK"] == 128
    assert grouped["IPVS_SVC_ATTR_NETMASK"] == 64


def test_addresses_that_do_not_fit_are_refused_before_they_are_sent() -> None:
    with pytest.raises(OSError, match="inet_pton"):
        codec.operation_body(DeleteDestination(ServiceKey.for_mark(1, Family.INET), DestinationKey("10.0.0.256", 80)))


@pytest.mark.netns
def test_a_kernel_without_ipvs_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ipvs_module, "_PRESENT", tmp_path / "ip_vs")
    monkeypatch.setattr(ipvs_module, "_MODPROBE_SETTING", tmp_path / "modprobe")
    with pytest.raises(DataplaneUnavailable, match="the kernel loads no modules"):
        load_module()
    (tmp_path / "modprobe").write_text("/bin/true\n")
    with pytest.raises(DataplaneUnavailable, match="ip_vs is not there"):
        IpvsDataplane()
    with pytest.raises(DataplaneUnavailable, match="no IPVS"):
        open_dataplane("ipvs", print)
    said: list[str] = []
    with Lab("select") as lab, lab.namespace("one").inside():
        dataplane = open_dataplane("auto", said.append)
        dataplane.close()
    assert dataplane.name == "nftables"
    assert said == ["LVS dataplane is nftables: this kernel has no IPVS (the module ip_vs is not there)"]


def test_the_right_modprobe_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "modprobe-program"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ntouch {tmp_path}/ip_vs\n')
    program.chmod(0o755)
    (tmp_path / "modprobe").write_text(f"{program}\n")
    monkeypatch.setattr(ipvs_module, "_PRESENT", tmp_path / "ip_vs")
    monkeypatch.setattr(ipvs_module, "_MODPROBE_SETTING", tmp_path / "modprobe")
    load_module()
    assert (tmp_path / "asked").read_text() == "-q ip_vs\n"
    subprocess.run(["rm", str(tmp_path / "asked")], check=True)
    load_module()
    assert not (tmp_path / "asked").exists(), "only once"
