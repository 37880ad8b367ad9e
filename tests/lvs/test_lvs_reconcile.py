"""The reconciler: right result, right order, nothing of anybody else's touched."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.dataplane.memory import MemoryDataplane
from pykeepalived.lvs.reconcile import Reconciler, describe, diff
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
from pykeepalived.model.lvs import Forwarding, Protocol

WEB = ServiceKey.for_address(Protocol.TCP, "10.0.0.5", 80, Family.INET)
MARK = ServiceKey.for_mark(7, Family.INET)
ONE, TWO, SORRY = (DestinationKey(f"10.1.0.{number}", 80) for number in (1, 2, 9))
RR = Service(scheduler="rr")


def server(weight: int) -> Destination:
    return Destination(weight=weight, forwarding=Forwarding())


keys = st.sampled_from([WEB, MARK, ServiceKey.for_mark(8, Family.INET), ServiceKey.for_mark(8, Family.INET6)])
entries = st.builds(
    Entry,
    st.sampled_from([RR, Service(scheduler="wrr"), Service(scheduler="rr", persistence_timeout_s=9)]),
    st.dictionaries(
        st.builds(DestinationKey, st.sampled_from(["10.1.0.1", "10.1.0.2", "10.1.0.3"]), st.just(80)),
        st.builds(server, st.integers(0, 3)),
    ),
)
tables = st.dictionaries(keys, entries)


def copy(table: Table) -> Table:
    return {key: Entry(entry.service, dict(entry.destinations)) for key, entry in table.items()}


def settle(reconciler: Reconciler, kernel: MemoryDataplane) -> list[Operation]:
    operations = reconciler.plan()
    assert kernel.apply(operations) == []
    reconciler.done(operations)
    return operations


@settings(max_examples=300)
@given(tables, tables)
def test_any_table_becomes_any_other(before: Table, after: Table) -> None:
    kernel = MemoryDataplane()
    kernel.table = copy(before)
    assert kernel.apply(diff(after, before)) == []
    assert kernel.table == after
    assert diff(after, kernel.snapshot()) == []


@settings(max_examples=300)
@given(tables, st.lists(tables, min_size=1, max_size=5))
def test_strangers_are_left_alone(strangers: Table, generations: list[Table]) -> None:
    """What no generation named is as it was, and what the last one wants is there."""
    kernel = MemoryDataplane()
    kernel.table = copy(strangers)
    reconciler = Reconciler()
    named: dict[ServiceKey, set[DestinationKey]] = {}
    for number, wanted in enumerate(generations):
        for key in list(reconciler.wanted):
            if key not in wanted:
                reconciler.unwant(key)
        for key, entry in wanted.items():
            reconciler.want(key, entry)
            named.setdefault(key, set()).update(entry.destinations)
            if number == 0 or key not in reconciler.known:
                reconciler.learn(kernel.snapshot(), [key])
        settle(reconciler, kernel)
        assert reconciler.plan() == [], "a second look finds nothing to do"
    last = generations[-1]
    for key, entry in strangers.items():
        if key not in named:
            assert kernel.table[key] == entry
    for key, entry in last.items():
        held = kernel.table[key]
        assert held.service == entry.service
        assert {kept: held.destinations.get(kept) for kept in entry.destinations} == entry.destinations
    for key in set(named) - set(last):
        assert key not in kernel.table


def test_what_comes_is_there_before_what_leaves_is_gone() -> None:
    before = {WEB: Entry(RR, {ONE: server(1), TWO: server(3)})}
    after = {WEB: Entry(Service(scheduler="wrr"), {SORRY: server(1), TWO: server(0)})}
    assert [type(operation) for operation in diff(after, before)] == [
        EditService,
        AddDestination,
        EditDestination,
        DeleteDestination,
    ]


def test_higher_weights_come_before_lower_ones() -> None:
    before = {WEB: Entry(RR, {ONE: server(1), TWO: server(0)})}
    after = {WEB: Entry(RR, {ONE: server(0), TWO: server(1)})}
    operations = diff(after, before)
    assert operations == [EditDestination(WEB, TWO, server(1)), EditDestination(WEB, ONE, server(0))]


def test_nothing_is_deleted_to_be_changed() -> None:
    before = {WEB: Entry(RR, {ONE: server(1)})}
    after = {WEB: Entry(Service(scheduler="sh"), {ONE: server(9)})}
    assert not [step for step in diff(after, before) if isinstance(step, DeleteDestination | DeleteService)]


def test_a_service_is_removed_with_its_servers_first() -> None:
    operations = diff({}, {WEB: Entry(RR, {ONE: server(1), TWO: server(1)})})
    assert operations == [DeleteDestination(WEB, ONE), DeleteDestination(WEB, TWO), DeleteService(WEB)]


def test_a_dead_server_left_by_an_earlier_run_is_removed() -> None:
    reconciler = Reconciler()
    reconciler.want(WEB, Entry(RR, {ONE: server(1)}))
    reconciler.name(WEB, [TWO])
    reconciler.learn({WEB: Entry(RR, {ONE: server(1), TWO: server(1), SORRY: server(1)})})
    assert reconciler.plan() == [DeleteDestination(WEB, TWO)]
    assert reconciler.foreign(WEB) == [SORRY]


def test_a_forgotten_service_is_not_touched() -> None:
    reconciler = Reconciler()
    reconciler.want(WEB, Entry(RR, {ONE: server(1)}))
    reconciler.learn({WEB: Entry(RR, {ONE: server(1)})})
    reconciler.forget(WEB)
    assert reconciler.plan() == []


def test_refused_operations_stay_to_be_done() -> None:
    reconciler = Reconciler()
    reconciler.want(WEB, Entry(RR, {ONE: server(1), TWO: server(1)}))
    first, second, third = reconciler.plan()
    reconciler.done([first, third])
    assert reconciler.plan() == [second]


def test_drift_is_what_differs_in_ours_alone() -> None:
    reconciler = Reconciler()
    reconciler.want(WEB, Entry(RR, {ONE: server(1)}))
    reconciler.want(MARK, Entry(RR, {ONE: server(1)}))
    reconciler.done(reconciler.plan())
    found = {
        WEB: Entry(RR, {ONE: server(1), SORRY: server(5)}),
        MARK: Entry(RR, {ONE: server(2)}),
        ServiceKey.for_mark(99, Family.INET): Entry(RR, {}),
    }
    assert reconciler.drifted(found) == [MARK]
    assert reconciler.drifted({}) == [WEB, MARK]
    reconciler.learn(found, [MARK])
    assert reconciler.plan([MARK]) == [EditDestination(MARK, ONE, server(1))]


def test_operations_in_words() -> None:
    six = ServiceKey.for_address(Protocol.UDP, "2001:db8::1", 53, Family.INET6)
    assert describe(AddService(WEB, RR)) == "add service [10.0.0.5]:tcp:80"
    assert describe(DeleteDestination(six, ONE)) == "delete destination [10.1.0.1]:80 of [2001:db8::1]:udp:53"
    assert describe(EditService(MARK, RR)) == "edit service FWM 7"
