"""What every dataplane must do. A test module imports the class and gives it a `dataplane` fixture.

`limits` of the fixture's module says what a dataplane refuses by name, so that the exclusions are one short list.
"""

from __future__ import annotations

from pykeepalived.dataplane import Dataplane
from pykeepalived.lvs.reconcile import diff
from pykeepalived.lvs.table import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    EditDestination,
    EditService,
    Entry,
    Operation,
    Service,
    ServiceKey,
    Table,
)
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, ForwardingMethod, Protocol

WEB = ServiceKey.for_address(Protocol.TCP, "10.9.0.5", 80, Family.INET)
DNS = ServiceKey.for_address(Protocol.UDP, "10.9.0.5", 53, Family.INET)
WEB6 = ServiceKey.for_address(Protocol.TCP, "2001:db8::5", 80, Family.INET6)
ALL = ServiceKey.for_address(Protocol.TCP, "10.9.0.6", 0, Family.INET)
MARK = ServiceKey.for_mark(7, Family.INET)
MARK6 = ServiceKey.for_mark(7, Family.INET6)
ONE, TWO, THREE = (DestinationKey(f"10.9.1.{number}", 80) for number in (1, 2, 3))
SIX = DestinationKey("2001:db8::1:1", 8080)
WRR = Service(scheduler="wrr")


def server(weight: int = 1) -> Destination:
    return Destination(weight=weight, forwarding=Forwarding())


def names(dataplane: Dataplane, operations: list[Operation]) -> list[str]:
    return [failure.name for failure in dataplane.apply(operations)]


FULL: Table = {
    WEB: Entry(Service(scheduler="wrr", persistence_timeout_s=50), {ONE: server(3), TWO: server(1), THREE: server(0)}),
    DNS: Entry(Service(scheduler="rr"), {DestinationKey("10.9.1.1", 53): server(1)}),
    WEB6: Entry(Service(scheduler="sh", scheduler_flags=2), {SIX: server(2)}),
    ALL: Entry(Service(scheduler="rr", persistence_timeout_s=360), {DestinationKey("10.9.1.1", 0): server(1)}),
    MARK: Entry(Service(scheduler="wlc"), {ONE: server(1)}),
    MARK6: Entry(Service(scheduler="rr", persistence_timeout_s=60, persistence_prefix=64), {SIX: server(1)}),
}


class DataplaneContract:
    """One behaviour a test; the fixture hands out an empty table each time."""

    def test_an_empty_table_is_empty(self, dataplane: Dataplane) -> None:
        assert dataplane.snapshot() == {}

    def test_everything_that_was_added_is_read_back(self, dataplane: Dataplane) -> None:
        assert dataplane.apply(diff(FULL, {})) == []
        assert dataplane.snapshot() == FULL

    def test_nothing_is_left_after_everything_was_removed(self, dataplane: Dataplane) -> None:
        dataplane.apply(diff(FULL, {}))
        assert dataplane.apply(diff({}, FULL)) == []
        assert dataplane.snapshot() == {}

    def test_a_second_service_of_the_same_name_is_refused(self, dataplane: Dataplane) -> None:
        assert names(dataplane, [AddService(WEB, WRR), AddService(WEB, Service(scheduler="rr"))]) == ["exists"]
        assert dataplane.snapshot() == {WEB: Entry(WRR, {})}

    def test_a_second_destination_of_the_same_name_is_refused(self, dataplane: Dataplane) -> None:
        operations = [AddService(WEB, WRR), AddDestination(WEB, ONE, server(2)), AddDestination(WEB, ONE, server(9))]
        assert names(dataplane, operations) == ["exists"]
        assert dataplane.snapshot()[WEB].destinations == {ONE: server(2)}

    def test_what_is_not_there_cannot_be_changed(self, dataplane: Dataplane) -> None:
        assert names(dataplane, [EditService(WEB, WRR)]) == ["no-service"]
        assert names(dataplane, [DeleteService(WEB)]) == ["no-service"]
        assert names(dataplane, [AddDestination(WEB, ONE, server())]) == ["no-service"]
        dataplane.apply([AddService(WEB, WRR)])
        assert names(dataplane, [EditDestination(WEB, ONE, server())]) == ["no-destination"]
        assert names(dataplane, [DeleteDestination(WEB, ONE)]) == ["no-destination"]

    def test_an_unknown_scheduler_is_refused_and_named(self, dataplane: Dataplane) -> None:
        assert names(dataplane, [AddService(WEB, Service(scheduler="nonsense"))]) in (["no-scheduler"], ["unsupported"])
        assert dataplane.snapshot() == {}

    def test_a_refused_operation_does_not_stop_the_later_ones(self, dataplane: Dataplane) -> None:
        operations: list[Operation] = [
            AddService(WEB, WRR),
            DeleteDestination(WEB, TWO),
            AddDestination(WEB, ONE, server()),
            AddService(WEB, WRR),
            AddService(DNS, WRR),
        ]
        assert sorted(names(dataplane, operations)) == ["exists", "no-destination"]
        assert dataplane.snapshot() == {WEB: Entry(WRR, {ONE: server()}), DNS: Entry(WRR, {})}

    def test_a_failure_names_its_operation(self, dataplane: Dataplane) -> None:
        operation = DeleteService(WEB)
        failures = dataplane.apply([operation])
        assert [failure.operation for failure in failures] == [operation]
        assert failures[0].text

    def test_weights_change_in_place(self, dataplane: Dataplane) -> None:
        dataplane.apply(diff({WEB: Entry(WRR, {ONE: server(3), TWO: server(1)})}, {}))
        assert dataplane.apply([EditDestination(WEB, ONE, server(0)), EditDestination(WEB, TWO, server(9))]) == []
        assert dataplane.snapshot()[WEB].destinations == {ONE: server(0), TWO: server(9)}

    def test_a_service_changes_in_place(self, dataplane: Dataplane) -> None:
        dataplane.apply(diff({WEB: Entry(WRR, {ONE: server()})}, {}))
        changed = Service(scheduler="sh", scheduler_flags=2, persistence_timeout_s=30, persistence_prefix=24)
        assert dataplane.apply([EditService(WEB, changed)]) == []
        assert dataplane.snapshot() == {WEB: Entry(changed, {ONE: server()})}
        assert dataplane.apply([EditService(WEB, WRR)]) == []
        assert dataplane.snapshot() == {WEB: Entry(WRR, {ONE: server()})}

    def test_a_service_goes_with_its_destinations(self, dataplane: Dataplane) -> None:
        dataplane.apply(diff({WEB: Entry(WRR, {ONE: server(), TWO: server()})}, {}))
        assert dataplane.apply([DeleteService(WEB), AddService(WEB, WRR)]) == []
        assert dataplane.snapshot() == {WEB: Entry(WRR, {})}

    def test_a_service_may_have_no_destination(self, dataplane: Dataplane) -> None:
        dataplane.apply(diff({WEB: Entry(WRR, {ONE: server()}), MARK: Entry(WRR, {})}, {}))
        assert dataplane.apply([DeleteDestination(WEB, ONE)]) == []
        assert dataplane.snapshot() == {WEB: Entry(WRR, {}), MARK: Entry(WRR, {})}

    def test_addresses_that_are_none_are_refused(self, dataplane: Dataplane) -> None:
        broken = DestinationKey("10.9.1.256", 80)
        assert len(names(dataplane, [AddService(WEB, WRR), AddDestination(WEB, broken, server())])) == 1
        assert dataplane.snapshot() == {WEB: Entry(WRR, {})}

    def test_counters_exist_for_each_destination(self, dataplane: Dataplane) -> None:
        dataplane.apply(diff({WEB: Entry(WRR, {ONE: server(), TWO: server(0)})}, {}))
        counters = dataplane.counters()
        assert set(counters) == {(WEB, ONE), (WEB, TWO)}
        assert {value.connections for value in counters.values()} == {0}

    def test_many_operations_in_one_call(self, dataplane: Dataplane) -> None:
        table: Table = {
            ServiceKey.for_address(Protocol.TCP, f"10.9.{high}.{low}", 80, Family.INET): Entry(
                WRR, {DestinationKey(f"10.8.{high}.{low}", 80): server(1), DestinationKey("10.8.9.9", 80): server(2)}
            )
            for high in range(10, 14)
            for low in range(1, 51)
        }
        assert dataplane.apply(diff(table, {})) == []
        assert dataplane.snapshot() == table
        assert dataplane.apply(diff({}, table)) == []
        assert dataplane.snapshot() == {}

    def test_what_it_cannot_do_is_said_before(self, dataplane: Dataplane) -> None:
        direct = Destination(weight=1, forwarding=Forwarding(ForwardingMethod.DR))
        table: Table = {WEB: Entry(WRR, {ONE: direct}), DNS: Entry(WRR, {ONE: server()})}
        reasons = dataplane.unsupported(table)
        assert all(reason for _, reason in reasons)
        refused = {key for key, _ in reasons}
        failures = dataplane.apply(diff(table, {}))
        assert {failure.operation.key for failure in failures} == refused
        assert refused <= {WEB}
