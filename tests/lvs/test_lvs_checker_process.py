"""The checker process from check results to the table, with real connections on loopback."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.dataplane import Failure
from pykeepalived.dataplane.memory import MemoryDataplane
from pykeepalived.dialects.keepalived import load
from pykeepalived.lvs.table import (
    AddDestination,
    Destination,
    DestinationKey,
    EditDestination,
    Entry,
    Operation,
    Service,
    ServiceKey,
    Table,
)
from pykeepalived.model.common import Family, Script
from pykeepalived.model.config import Config, LdirectordSettings
from pykeepalived.model.lvs import (
    AddressSelector,
    Forwarding,
    GroupAddress,
    GroupFwmark,
    GroupSelector,
    Protocol,
    SorryServer,
    VirtualServerGroup,
)
from tests.dialects.keepalived.fake_host import FakeHost
from tests.lvs.stage import KEY, VIP, Backend, Stage, config, place, real_server, virtual_server

SORRY = SorryServer(address="127.77.0.99", port=80)


@pytest.fixture
def one() -> Iterator[Backend]:
    backend = Backend("127.77.0.1")
    yield backend
    backend.close()


@pytest.fixture
def two() -> Iterator[Backend]:
    backend = Backend("127.77.0.2")
    yield backend
    backend.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    opened = Stage()
    yield opened
    opened.close()


def at(backend: Backend) -> str:
    return f"{backend.address}:{backend.port}"


@pytest.mark.shows("virtual_server.{inhibit_on_failure,sorry_server}")
@pytest.mark.shows("virtual_server.real_server.inhibit_on_failure")
def test_from_start_to_stop(stage: Stage, one: Backend, two: Backend) -> None:
    servers = virtual_server(real_server(one, 20), real_server(two, 8, inhibit_on_failure=True), sorry_server=SORRY)
    stage.program.start(config(servers))
    assert stage.weights() == {at(one): 20, at(two): 8}, "the table is there before any check has run"
    one.close()
    stage.until_weights({at(two): 8})
    two.close()
    stage.until_weights({at(two): 0, "127.77.0.99:80": 1})
    one.open()
    stage.until_weights({at(one): 20, at(two): 0})
    two.open()
    stage.until_weights({at(one): 20, at(two): 8})
    stage.stop()
    assert stage.dataplane.table == {}
    assert stage.memo.exit_code == 0
    assert not stage.memo.errors


def test_the_log_says_what_keepalived_says(stage: Stage, one: Backend, two: Backend) -> None:
    servers = virtual_server(real_server(one, 20), real_server(two, 8, inhibit_on_failure=True), sorry_server=SORRY)
    stage.program.start(config(servers))
    stage.until(lambda: sum("success" in line for line in stage.memo.lines) == 2, "both checks")
    del stage.memo.lines[:]
    one.close()
    stage.until_weights({at(two): 8})
    two.close()
    stage.until(lambda: len(stage.weights() or {}) == 2, "sorry server")
    vs, sorry = f"[{VIP}]:tcp:80", "[127.77.0.99]:tcp:80"
    first, second = (f"[{backend.address}]:tcp:{backend.port}" for backend in (one, two))
    assert stage.memo.lines == [
        f"TCP_CHECK on service {first} failed.",
        f"Removing service {first} from VS {vs}",
        f"TCP_CHECK on service {second} failed.",
        f"Disabling service {second} of VS {vs}",
        f"Lost quorum 1-0=1 > 0 for VS {vs}",
        f"Adding sorry server {sorry} to VS {vs}",
        f"Removing alive servers from the pool for VS {vs}",
    ]
    del stage.memo.lines[:]
    one.open()
    stage.until(lambda: stage.weights() == {at(one): 20, at(two): 0}, "the first is back")
    assert stage.memo.lines == [
        f"TCP connection to {first} success.",
        f"Adding service {first} to VS {vs}",
        f"Gained quorum 1+0=1 <= 20 for VS {vs}",
        f"Removing sorry server {sorry} from VS {vs}",
        f"Adding alive servers to the pool for VS {vs}",
    ]
    del stage.memo.lines[:]
    stage.stop()
    assert f"Shutting down service {first} from VS {vs}" in stage.memo.lines


def test_the_sorry_server_comes_before_the_last_server_goes(stage: Stage, one: Backend) -> None:
    stage.program.start(config(virtual_server(real_server(one), sorry_server=SORRY)))
    del stage.dataplane.applied[:]
    one.close()
    stage.until_weights({"127.77.0.99:80": 1})
    assert [type(operation).__name__ for operation in stage.dataplane.applied] == [
        "AddDestination",
        "DeleteDestination",
    ]


@pytest.mark.shows("virtual_server.{quorum_up,quorum_down}")
@pytest.mark.shows("virtual_server.real_server.{notify_up,notify_down}")
def test_scripts_of_servers_and_quorum(stage: Stage, one: Backend) -> None:
    server = real_server(one, notify_up=Script(("/up",)), notify_down=Script(("/down", "x")))
    service = virtual_server(server, quorum_up=Script(("/q-up",)), quorum_down=Script(("/q-down",)))
    stage.program.start(config(service))
    assert stage.memo.scripts == [("/q-up",)], "servers that are assumed to be up tell nobody"
    one.close()
    stage.until_weights({})
    assert stage.memo.scripts[1:] == [("/down", "x"), ("/q-down",)]
    one.open()
    stage.until_weights({at(one): 1})
    assert stage.memo.scripts[3:] == [("/up",), ("/q-up",)]
    stage.stop()
    assert len(stage.memo.scripts) == 5, "without omega nobody is told at the end"


@pytest.mark.shows("virtual_server.omega")
def test_omega_tells_at_the_end(stage: Stage, one: Backend) -> None:
    server = real_server(one, notify_down=Script(("/down",)))
    stage.program.start(config(virtual_server(server, omega=True, quorum_down=Script(("/q-down",)))))
    stage.stop()
    assert stage.memo.scripts == [("/down",), ("/q-down",)]


@pytest.mark.shows("global_defs.rs_init_notifies")
def test_init_notifies_tells_at_the_start(stage: Stage, one: Backend) -> None:
    stage.program.start(config(virtual_server(real_server(one, notify_up=Script(("/up",)))), rs_init_notifies=True))
    assert stage.memo.scripts == [("/up",)]


@pytest.mark.shows("virtual_server.alpha")
@pytest.mark.shows("virtual_server.real_server.alpha")
def test_alpha_waits_for_the_first_success(stage: Stage, one: Backend, two: Backend) -> None:
    two.close()
    stage.program.start(config(virtual_server(real_server(one, alpha=True), real_server(two, alpha=True))))
    assert stage.weights() == {}
    stage.until_weights({at(one): 1})
    stage.until(lambda: any("TCP_CHECK" in line for line in stage.memo.lines), "the failed check")
    assert stage.weights() == {at(one): 1}


def test_a_start_adopts_what_an_earlier_run_left(one: Backend, two: Backend) -> None:
    stage = Stage()
    stranger = DestinationKey("10.1.1.1", 80)
    foreign_key = ServiceKey.for_mark(99, Family.INET)
    left = Entry(
        Service(scheduler="wrr"),
        {
            place(one): Destination(weight=20, forwarding=Forwarding()),
            place(two): Destination(weight=1, forwarding=Forwarding()),
            stranger: Destination(weight=5, forwarding=Forwarding()),
        },
    )
    foreign = Entry(Service(scheduler="rr"), {stranger: Destination(weight=1, forwarding=Forwarding())})
    stage.dataplane.table = {KEY: left, foreign_key: foreign}
    stage.program.start(config(virtual_server(real_server(one, 20), real_server(two, 8))))
    assert [type(operation).__name__ for operation in stage.dataplane.applied] == ["EditDestination"]
    assert stage.weights() == {at(one): 20, at(two): 8, "10.1.1.1:80": 5}
    stage.close()
    assert list(stage.dataplane.table) == [foreign_key], "strangers' services stay"


def test_leave_ipvs_leaves_everything(one: Backend) -> None:
    stage = Stage(release_ipvs_on_stop=False)
    stage.program.start(config(virtual_server(real_server(one))))
    stage.close()
    assert stage.weights() == {at(one): 1}


def test_reload_keeps_what_is_known_and_changes_what_changed(stage: Stage, one: Backend, two: Backend) -> None:
    two.close()
    old = virtual_server(real_server(one, 3), real_server(two, 2))
    stage.program.start(config(old))
    stage.until_weights({at(one): 3})
    del stage.dataplane.applied[:]
    started = stage.program.status()["probes"]["probes_started"]
    stage.program.reload(config(virtual_server(real_server(one, 5), real_server(two, 4))))
    assert stage.weights() == {at(one): 5}, "a dead server stays dead, without being asked again"
    assert [type(operation) for operation in stage.dataplane.applied] == [EditDestination]
    assert stage.program.status()["probes"]["probes_started"] == started
    two.open()
    stage.until_weights({at(one): 5, at(two): 4})


def test_reload_that_changes_nothing_does_nothing(stage: Stage, one: Backend, two: Backend) -> None:
    def make() -> Any:
        return config(virtual_server(real_server(one, 3), real_server(two, 2), sorry_server=SORRY))

    stage.program.start(make())
    stage.until(lambda: sum("success" in line for line in stage.memo.lines) == 2, "both checks")
    del stage.dataplane.applied[:], stage.memo.lines[:], stage.memo.events[:]
    stage.program.reload(make())
    for _ in range(5):
        stage.reactor.turn(1000)
    assert (stage.dataplane.applied, stage.memo.lines, stage.memo.events) == ([], [], [])


def test_reload_adds_and_removes_servers_and_services(stage: Stage, one: Backend, two: Backend) -> None:
    other = msgspec.structs.replace(virtual_server(real_server(one)), selector=AddressSelector(VIP, 81))
    stage.program.start(config(virtual_server(real_server(one)), other))
    other_key = ServiceKey.for_address(Protocol.TCP, VIP, 81, Family.INET)
    assert stage.weights(other_key) == {at(one): 1}
    del stage.memo.lines[:]
    stage.program.reload(config(virtual_server(real_server(two))))
    assert stage.weights() == {at(two): 1}
    assert stage.weights(other_key) is None
    name = f"[{one.address}]:tcp:{one.port}"
    assert f"Removing Virtual Server [{VIP}]:tcp:81" in stage.memo.lines
    assert f"service {name} no longer exist" in stage.memo.lines
    assert f"Removing service {name} from VS [{VIP}]:tcp:80" in stage.memo.lines
    assert len(stage.program.status()["services"]) == 1
    assert stage.program.status()["probes"]["subscriptions"] == 1


def test_groups_stand_for_many_services(stage: Stage, one: Backend) -> None:
    group = VirtualServerGroup("G", (GroupAddress("10.77.1.1", "10.77.1.3", 80), GroupFwmark(9)))
    service = msgspec.structs.replace(virtual_server(real_server(one)), selector=GroupSelector("G"))
    both = msgspec.structs.replace(config(service), virtual_server_groups=(group,))
    stage.program.start(both)
    assert len(stage.dataplane.table) == 4
    assert all(list(entry.destinations) == [place(one)] for entry in stage.dataplane.table.values())
    smaller = msgspec.structs.replace(
        both, virtual_server_groups=(VirtualServerGroup("G", (GroupAddress("10.77.1.2", "10.77.1.2", 80),)),)
    )
    stage.program.reload(smaller)
    assert [key.address for key in stage.dataplane.table] == ["10.77.1.2"]


def test_refused_operations_are_named_and_tried_again(stage: Stage, one: Backend) -> None:
    stage.dataplane.refuse[AddDestination] = ("no-memory", "cannot allocate memory")
    stage.program.start(config(virtual_server(real_server(one))))
    assert stage.weights() == {}
    assert stage.memo.errors == [
        f"IPVS: cannot allocate memory [no-memory]: add destination [{one.address}]:{one.port} of [{VIP}]:tcp:80 "
        "refused, will try again"
    ]
    assert stage.program.status()["table"]["waiting_for_retry"] == 1
    stage.dataplane.refuse.clear()
    stage.until_weights({at(one): 1})
    assert stage.program.status()["table"]["waiting_for_retry"] == 0


class Busy(MemoryDataplane):
    """Says nothing while `mute`."""

    mute = True

    def snapshot(self) -> Table:
        self._speak()
        return super().snapshot()

    def apply(self, operations: Sequence[Operation]) -> list[Failure]:
        self._speak()
        return super().apply(operations)

    def _speak(self) -> None:
        if self.mute:
            raise OSError(errno.EBUSY, "busy")


def test_a_kernel_that_is_busy_at_the_start_gets_every_service_later(one: Backend, two: Backend) -> None:
    dataplane = Busy()
    stage = Stage(dataplane)
    services = [
        virtual_server(real_server(one)),
        msgspec.structs.replace(virtual_server(real_server(two)), selector=AddressSelector("10.77.1.2", 80)),
    ]
    stage.program.start(config(*services))
    assert stage.program.status()["table"]["waiting_for_retry"] == 2
    dataplane.mute = False
    stage.until(lambda: len(dataplane.table) == 2, "both services")
    stage.close()


def test_drift_is_repaired(one: Backend, two: Backend) -> None:
    stage = Stage(drift_interval_us=50_000)
    stage.program.start(config(virtual_server(real_server(one, 3), real_server(two, 2))))
    stranger = DestinationKey("10.1.1.1", 80)
    entry = stage.dataplane.table[KEY]
    entry.destinations[stranger] = Destination(weight=1, forwarding=Forwarding())
    del entry.destinations[place(one)]
    stage.until_weights({at(one): 3, at(two): 2, "10.1.1.1:80": 1})
    stage.dataplane.table.clear()
    stage.until_weights({at(one): 3, at(two): 2})
    assert sum("differed from ours" in line for line in stage.memo.lines) == 2
    stage.close()


@pytest.mark.shows("global_defs.lvs_repair_interval")
def test_the_interval_of_repairs_is_settable(one: Backend, tmp_path: Path) -> None:
    def configured(interval: str) -> Config:
        (tmp_path / "conf").write_text(f"global_defs {{\n lvs_repair_interval {interval}\n}}\n")
        found = load(str(tmp_path / "conf"), host=FakeHost())
        return msgspec.structs.replace(found.config, virtual_servers=(virtual_server(real_server(one, 3)),))

    stage = Stage(drift_interval_us=None)
    stage.program.start(configured("0"))
    stage.until_weights({at(one): 3})
    stage.dataplane.table.clear()
    with pytest.raises(AssertionError, match="repaired: not within"):
        stage.until(stage.weights, "repaired", 0.5)
    stage.program.reload(configured("0.1"))
    stage.until_weights({at(one): 3})
    stage.dataplane.table.clear()
    stage.until_weights({at(one): 3})
    stage.close()


def test_a_service_that_the_dataplane_cannot_do_is_refused_by_name(one: Backend) -> None:
    stage = Stage()
    stage.dataplane.unsupported = lambda table: [(key, "forwarding method DR needs IPVS") for key in table]
    stage.program.start(config(virtual_server(real_server(one))))
    assert stage.dataplane.table == {}
    assert stage.memo.errors == [f"VS [{VIP}]:tcp:80 is not served: forwarding method DR needs IPVS"]
    stage.close()


def test_two_virtual_servers_of_one_address(stage: Stage, one: Backend, two: Backend) -> None:
    stage.program.start(config(virtual_server(real_server(one)), virtual_server(real_server(two))))
    assert stage.weights() == {at(one): 1}, "the first one has it"
    assert stage.memo.errors == [f"VS [{VIP}]:tcp:80 is configured twice: only the first one is served"]
    one.close()
    stage.until_weights({})


def test_ldirectord_removes_strangers_and_keeps_its_servers(one: Backend, two: Backend) -> None:
    stage = Stage()
    two.close()
    held = {
        place(one): Destination(weight=3, forwarding=Forwarding()),
        place(two): Destination(weight=3, forwarding=Forwarding()),
        DestinationKey("10.1.1.1", 80): Destination(weight=5, forwarding=Forwarding()),
    }
    stage.dataplane.table = {KEY: Entry(Service(scheduler="wrr"), held)}
    servers = (real_server(one, 3, alpha=True), real_server(two, 3, alpha=True))
    wanted = msgspec.structs.replace(
        config(virtual_server(*servers, sorry_server=SORRY)), ldirectord=LdirectordSettings(path="/x")
    )
    stage.program.start(wanted)
    assert stage.weights() == {at(one): 3, at(two): 3}, "those found in the table stay until a check says otherwise"
    stage.until_weights({at(one): 3})
    stage.close()


@pytest.mark.shows("ldirectord.{global,virtual}.cleanstop")
def test_ldirectord_without_cleanstop_leaves_the_service(one: Backend) -> None:
    stage = Stage()
    wanted = msgspec.structs.replace(
        config(virtual_server(real_server(one), cleanstop=False)), ldirectord=LdirectordSettings(path="/x")
    )
    stage.program.start(wanted)
    stage.close()
    assert stage.weights() == {at(one): 1}


def test_status_is_plain_json(stage: Stage, one: Backend, two: Backend) -> None:
    stage.program.start(config(virtual_server(real_server(one, 3), real_server(two, 2), sorry_server=SORRY)))
    two.close()
    stage.until_weights({at(one): 3})
    status = msgspec.json.decode(msgspec.json.encode(stage.program.status()))
    assert status["dataplane"] == "memory"
    [service] = status["services"]
    assert service["name"] == f"[{VIP}]:tcp:80"
    assert service["quorum"] == {"up": True, "quorum": 1, "hysteresis": 0, "weight": 3}
    assert service["sorry_server"] == {"name": "[127.77.0.99]:tcp:80", "serves": False, "weight": 1}
    seen = {server["address"]: (server["alive"], server["table_weight"]) for server in service["servers"]}
    assert seen == {one.address: (True, 3), two.address: (False, None)}
    assert service["servers"][1]["checks"][0]["last"]["reason"] == "refused"


def test_dump_has_the_original_labels(stage: Stage, one: Backend) -> None:
    stage.program.start(config(virtual_server(real_server(one, 3), sorry_server=SORRY)))
    text = stage.program.dump("data")
    assert text is not None
    for line in (
        "------< LVS Topology >------",
        f" VS VIP = {VIP}, VPORT = 80",
        f"   RIP = {one.address}, RPORT = {one.port}, WEIGHT = 3 EFF WEIGHT = 3",
        "   quorum = 1, hysteresis = 0",
        "   quorum_state_up = 1",
        "   num failed checkers = 0",
        f" [{VIP}]:tcp:80 -> [{one.address}]:tcp:{one.port}",
    ):
        assert line in text.splitlines(), line
    assert stage.program.dump("stats") is None


def test_a_held_server_is_out_until_it_is_released(stage: Stage, one: Backend, two: Backend) -> None:
    stage.program.start(config(virtual_server(real_server(one, 3), real_server(two, 2))))
    where = (f"[{VIP}]:tcp:80", one.address, one.port)
    stage.program.holds.hold([where], "drain", "drained by the operator")
    stage.until_weights({at(two): 2})
    stage.program.holds.release([where], "drain")
    stage.until_weights({at(one): 3, at(two): 2})


def test_events_for_the_parent(stage: Stage, one: Backend) -> None:
    stage.program.start(config(virtual_server(real_server(one), smtp_alert=True)))
    del stage.memo.events[:]
    one.close()
    stage.until_weights({})
    names = [name for name, _ in stage.memo.events]
    assert names == ["mail", "real-server", "mail", "virtual-server"]
    assert stage.memo.events[0][1]["subject"].endswith(f"of virtual server [{VIP}]:tcp:80 - DOWN")
    assert stage.memo.events[0][1]["body"] == "=> TCP CHECK failed on service <="
    assert stage.memo.events[2][1]["body"] == "=> Lost quorum 1+0=1 <= 0 <="


def test_an_alpha_server_that_is_down_from_the_start_is_told_of_once(stage: Stage, one: Backend) -> None:
    one.close()
    stage.program.start(config(virtual_server(real_server(one, alpha=True, notify_down=Script(("/bin/down",))))))
    stage.until(lambda: stage.memo.scripts, "a script")
    assert stage.memo.scripts == [("/bin/down",)]
    assert not any(line.startswith("Removing service") for line in stage.memo.lines)
    assert stage.weights() == {}
