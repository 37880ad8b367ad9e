"""Ailments that are rarer, on machines that are made up; and every ailment has a test that names it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pykeepalived.model.common import Script
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import ForwardingMethod
from pykeepalived.model.vrrp import VmacSettings, VrrpScript
from pykeepalived.netio.links import Link
from pykeepalived.tools import doctor
from pykeepalived.tools.configurations import load
from pykeepalived.tools.doctor import kernel, real_server, scripts, vmac, wire
from pykeepalived.tools.doctor.machine import Place
from tests.doctor.test_doctor_parts import RIGHT, FakeMachine, heard, instance, names, service

HERE = Path(__file__).parent
ID = re.compile(r"[a-z]+(?:-[a-z]+)*")
CALLS = {"fault", "risk", "note"}


class LinkedMachine(FakeMachine):
    """With links as given."""

    def __init__(self, *links, **more):
        super().__init__(**more)
        self.given = links

    def links(self):
        return list(self.given)


def test_settings_that_cost_or_surprise():
    machine = FakeMachine(settings={"ipv4/ip_forward": "1", "ipv4/vs/conntrack": "1", "ipv4/ip_nonlocal_bind": "0"},
                          modules={"ip_vs", "ip_vs_wlc"})  # fmt: skip
    config = Config(virtual_servers=(service(ForwardingMethod.NAT),), instances=(instance(),))
    assert {"ipvs-conntrack", "nonlocal-bind"} <= names(kernel.examine(machine, config))


@pytest.mark.parametrize(
    ("way", "expected"),
    [([], "script-missing"), ([("/opt", 0o775, 50), ("/opt/check", 0o755, 0)], "script-group-writable")],
)
def test_scripts_that_are_gone_or_of_a_group(way, expected):
    places = [Place(path, 0, gid, mode) for path, mode, gid in way]
    config = Config(scripts=(VrrpScript(name="chk", script=Script(("/opt/check",))),))
    assert names(scripts.examine(FakeMachine(ways={"/opt/check": places}), config)) == {expected}


def test_a_tunnel_that_is_down_and_filtered():
    tunnel = Link(2, "tunl0", False, b"", 1480, kind="ipip", admin_up=False)
    machine = LinkedMachine(
        tunnel,
        Link(3, "eth0", True, bytes(6), 1500, admin_up=True),
        settings={"ipv4/conf/tunl0/rp_filter": "1"},
        addresses={"lo": ["127.0.0.1/8"], "tunl0": [], "eth0": ["10.0.0.9/24"]},
    )
    found = names(real_server.examine(machine, "tun", ["10.0.0.9"], "10.0.0.254"))
    assert {"tunnel-down", "rp-filter-strict", "address-misplaced"} <= found


def test_a_real_server_of_which_no_address_is_told():
    assert "no-address-given" in names(real_server.examine(FakeMachine(), "dr", [], "10.0.0.254"))


def test_a_virtual_address_that_is_here_under_its_own_mac():
    link = Link(1, "vrrp.51", True, bytes.fromhex(RIGHT.replace(":", "")), 1500, kind="macvlan", admin_up=True)
    machine = LinkedMachine(link, addresses={"vrrp.51": ["10.0.0.9/24"]})
    config = Config(instances=(instance(vmac=VmacSettings()),))
    assert names(vmac.examine(machine, config, heard())) == {"vmac-here"}


def test_a_wire_that_nobody_may_listen_to(monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(wire, "listen", refused)
    assert names(doctor.examine_vmac(FakeMachine(), None, 1.0)) == {"not-heard"}


def test_a_configuration_with_errors(tmp_path):
    path = tmp_path / "keepalived.conf"
    path.write_text("vrrp_instanze VI_1 {\n}\n", encoding="utf-8")
    assert "configuration" in names(doctor.examine_director(FakeMachine(), load(str(path)), 0.0))


def test_every_ailment_is_named_in_a_test():
    said = set()
    for path in Path(doctor.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
                first = node.args[0]
                if isinstance(first, ast.Constant) and ID.fullmatch(str(first.value)):
                    said.add(first.value)
    tests = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py"))
    assert len(said) > 30
    assert sorted(name for name in said if f'"{name}"' not in tests) == []


@pytest.mark.parametrize(
    ("advice", "line"),
    [("chmod go-w /x", "chmod go-w /x"), ("write `retry`", "# write `retry`"),
     (None, "# keepalivedctl lint FILE shows the line")],
)  # fmt: skip
def test_what_a_finding_advises_is_a_command_when_it_is_one(advice: str | None, line: str) -> None:
    assert doctor._mend(advice) == line
