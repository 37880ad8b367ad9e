"""One virtual server's life as playbooks, and its laws under random lives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.lvs.events import (
    Cause,
    CheckChanged,
    Effect,
    LvsEvent,
    PoolRestored,
    PoolWithdrawn,
    QuorumBroken,
    QuorumGained,
    QuorumLost,
    ServerDown,
    ServerLeft,
    ServerUp,
    ServiceLeaving,
    ServiceRemoved,
    SorryAdded,
    SorryRemoved,
    WeightChanged,
)
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.pool import Policy, Pool
from pykeepalived.lvs.quorum import Thresholds, thresholds_of
from pykeepalived.model.checks import (
    CheckerSpec,
    CheckQuestion,
    CheckTiming,
    HttpCheck,
    HttpUrl,
    MiscCheck,
    OnCheck,
    PingCheck,
    SocketOptions,
    TcpCheck,
)
from pykeepalived.model.common import Script
from pykeepalived.model.lvs import AddressSelector, Protocol, RealServer, SorryServer, VirtualServer

SORRY = SorryServer(address="10.1.0.9", port=80)
TCP = CheckerSpec(question=TcpCheck(socket=SocketOptions(address="10.1.0.1", port=80)))
PING = CheckerSpec(question=PingCheck(socket=SocketOptions(address="10.1.0.1", port=0)))
MISC = CheckerSpec(question=MiscCheck(script=Script(("/x",)), timeout_us=1, dynamic=True))


def real(number: int, weight: int = 1, **fields: Any) -> RealServer:
    made = RealServer(**{"address": f"10.1.0.{number}", "port": 80, "weight": weight, "checkers": (TCP,), **fields})
    if not made.alpha:
        return made
    # As the front ends resolve it.
    alpha = CheckTiming(alpha=True)
    checkers = tuple(msgspec.structs.replace(checker, timing=alpha) for checker in made.checkers)
    return msgspec.structs.replace(made, checkers=checkers)


def virtual(*servers: RealServer, **fields: Any) -> ServiceRef:
    return ServiceRef(
        VirtualServer(
            **{
                "selector": AddressSelector("10.0.0.5", 80),
                "protocol": Protocol.TCP,
                "real_servers": servers,
                **fields,
            }
        )
    )


def pool(*servers: RealServer, policy: Policy | None = None, **fields: Any) -> Pool:
    made = Pool(virtual(*servers, **fields), policy)
    made.start()
    return made


def check(which: Pool, number: int, up: bool, *, index: int = 0, weight: int | None = None) -> list[LvsEvent]:
    health = which.servers[number - 1]
    return which.check_result(health, health.checks[index], up, weight, "said")


def table(which: Pool) -> dict[int, int]:
    """Last part of the address, and weight."""
    return {int(kept.address.rpartition(".")[2]): value.weight for kept, value in which.destinations()}


def kinds(events: list[LvsEvent]) -> list[type]:
    return [type(event) for event in events]


# ---- playbooks ----


def test_servers_are_assumed_to_be_well() -> None:
    made = Pool(virtual(real(1, 3), real(2, 2)))
    assert kinds(made.start()) == [ServerUp, ServerUp, QuorumGained]
    assert table(made) == {1: 3, 2: 2}


def test_alpha_servers_wait() -> None:
    made = Pool(virtual(real(1, alpha=True), real(2, alpha=True, inhibit_on_failure=True), sorry_server=SORRY))
    events = made.start()
    assert kinds(events) == [ServerDown, ServerDown, QuorumLost, SorryAdded, PoolWithdrawn]
    assert table(made) == {2: 0, 9: 1}
    assert kinds(check(made, 1, True)) == [ServerUp, QuorumGained, SorryRemoved, PoolRestored]
    assert table(made) == {1: 1, 2: 0}


def test_alpha_of_the_service_and_of_one_check() -> None:
    assert table(pool(real(1, alpha=True))) == {}
    checked = CheckerSpec(question=TCP.question, timing=CheckTiming(alpha=True))
    assert table(pool(real(1, checkers=(TCP, checked)), real(2))) == {2: 1}
    assert table(pool(real(1, checkers=(), alpha=True))) == {1: 1}, "nobody would ever find it well"


def test_all_checks_must_be_well() -> None:
    made = pool(real(1, checkers=(TCP, PING)), real(2))
    assert kinds(check(made, 1, False, index=1)) == [ServerDown]
    [second] = check(made, 1, False, index=0)
    assert isinstance(second, CheckChanged)
    assert (second.up, second.alive) == (False, False)
    assert check(made, 1, False, index=0) == []
    [back] = check(made, 1, True, index=1)
    assert isinstance(back, CheckChanged)
    assert (back.up, back.alive) == (True, False)
    assert table(made) == {2: 1}
    assert kinds(check(made, 1, True, index=0)) == [ServerUp]
    assert table(made) == {1: 1, 2: 1}


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (TCP.question, True),
        (PING.question, True),
        (HttpCheck(socket=SocketOptions(address="10.1.0.1", port=80), urls=(HttpUrl(path="/"),)), False),
        (MiscCheck(script=Script(("/bin/false",)), timeout_us=1), False),
    ],
)
def test_first_failure_of_an_alpha_server(question: CheckQuestion, told: bool) -> None:
    """2.4.3 tells of it, but not for web pages and scripts."""
    made = pool(real(1, checkers=(CheckerSpec(question=question),), alpha=True), real(2))
    assert kinds(check(made, 1, False)) == ([ServerDown] if told else [])
    assert check(made, 1, False) == []


def test_every_check_of_an_alpha_server_tells_its_first_failure() -> None:
    made = pool(real(1, checkers=(TCP, PING), alpha=True), real(2))
    assert kinds(check(made, 1, True, index=0)) == [CheckChanged]
    assert kinds(check(made, 1, False, index=1)) == [ServerDown]
    assert check(made, 1, False, index=1) == []


def test_repeated_results_say_nothing() -> None:
    made = pool(real(1), real(2))
    assert check(made, 1, True) == []
    check(made, 1, False)
    assert check(made, 1, False) == []


@pytest.mark.parametrize(
    ("inhibit", "down", "up"), [(False, Effect.REMOVED, Effect.ADDED), (True, Effect.QUIESCED, Effect.RESTORED)]
)
def test_what_becomes_of_the_destination(inhibit: bool, down: Effect, up: Effect) -> None:
    made = pool(real(1, 5, inhibit_on_failure=inhibit), real(2))
    [event] = check(made, 1, False)
    assert isinstance(event, ServerDown)
    assert event.effect is down
    assert table(made) == ({1: 0, 2: 1} if inhibit else {2: 1})
    [back] = check(made, 1, True)
    assert isinstance(back, ServerUp)
    assert (back.effect, back.weight) == (up, 5)


def test_the_last_one_dies_and_the_sorry_server_serves() -> None:
    made = pool(real(1), real(2), sorry_server=SORRY)
    check(made, 1, False)
    events = check(made, 2, False)
    assert kinds(events) == [ServerDown, QuorumLost, SorryAdded, PoolWithdrawn]
    assert table(made) == {9: 1}


def test_without_a_sorry_server_nobody_is_withdrawn() -> None:
    made = pool(real(1, 1), real(2, 3), quorum=3)
    assert kinds(check(made, 2, False)) == [ServerDown, QuorumLost]
    assert table(made) == {1: 1}


def test_alive_servers_are_withdrawn_without_a_quorum() -> None:
    made = pool(real(1, 1), real(2, 3, inhibit_on_failure=True), real(3, 2), quorum=4, sorry_server=SORRY)
    assert kinds(check(made, 3, False)) == [ServerDown]
    assert kinds(check(made, 1, False)) == [ServerDown, QuorumLost, SorryAdded, PoolWithdrawn]
    assert table(made) == {2: 0, 9: 1}, "alive, but kept out of the way"
    [up, *rest] = check(made, 3, True)
    assert kinds(rest) == [QuorumGained, SorryRemoved, PoolRestored]
    assert isinstance(up, ServerUp)
    assert up.effect is Effect.ADDED
    assert table(made) == {2: 3, 3: 2}


def test_a_server_that_brings_no_quorum_stays_out() -> None:
    made = pool(real(1, 1), real(2, 3), quorum=3, sorry_server=SORRY)
    check(made, 2, False)
    check(made, 1, False)
    [event] = check(made, 1, True)
    assert isinstance(event, ServerUp)
    assert event.effect is Effect.NONE
    assert table(made) == {9: 1}


def test_a_resting_sorry_server_may_stand_in_the_table() -> None:
    waiting = msgspec.structs.replace(SORRY, inhibit=True)
    made = pool(real(1), sorry_server=waiting)
    assert table(made) == {1: 1, 9: 0}
    events = check(made, 1, False)
    assert table(made) == {9: 1}
    assert next(event for event in events if isinstance(event, SorryAdded)).effect is Effect.RESTORED
    check(made, 1, True)
    assert table(made) == {1: 1, 9: 0}


def test_a_sorry_server_that_is_a_real_server_too() -> None:
    made = pool(real(1), real(9, 4), sorry_server=SORRY)
    assert table(made) == {1: 1, 9: 4}
    check(made, 1, False)
    check(made, 9 - 7, False)
    assert table(made) == {9: 1}


def test_hysteresis_keeps_what_is() -> None:
    made = pool(*(real(number) for number in range(1, 7)), quorum=4, hysteresis=1)
    steps = [(False, None), (False, None), (False, None), (False, QuorumLost)]
    for number, (up, told) in enumerate(steps, start=1):
        assert (kinds(check(made, number, up))[1:] or [None]) == [told], number
    assert (kinds(check(made, 1, True))[1:], kinds(check(made, 2, True))[1:]) == ([], [])
    assert kinds(check(made, 3, True))[1:] == [QuorumGained], "5 of 6 are needed to gain what 3 of 6 keep"


def test_weightless_servers_make_no_quorum() -> None:
    made = pool(real(1, 0), real(2, 5), sorry_server=SORRY)
    assert QuorumLost in kinds(check(made, 2, False))
    counting = pool(real(1, 0), real(2, 5), sorry_server=SORRY, policy=Policy(counts_servers=True))
    assert kinds(check(counting, 2, False)) == [ServerDown], "ldirectord: one alive is enough"
    assert table(counting) == {1: 0}


def test_dynamic_weights() -> None:
    made = pool(real(1, 10, checkers=(MISC,)), real(2, 1), quorum=5, sorry_server=SORRY)
    events = check(made, 1, True, weight=20)
    assert events == [WeightChanged(made.service, made.servers[0].server, 10, 20, True, Cause.CHECK)]
    assert table(made) == {1: 20, 2: 1}
    assert kinds(check(made, 1, True, weight=3)) == [WeightChanged, QuorumLost, SorryAdded, PoolWithdrawn]
    assert kinds(check(made, 1, True))[:2] == [WeightChanged, QuorumGained], "exit 0: the configured weight is back"
    assert table(made) == {1: 10, 2: 1}
    check(made, 1, True, weight=10**9)
    assert table(made)[1] == 65535


def test_a_forgiven_failure_keeps_a_dynamic_weight() -> None:
    made = pool(real(1, 4, checkers=(MISC,)))
    assert kinds(check(made, 1, True, weight=9)) == [WeightChanged]
    health = made.servers[0]
    assert made.check_result(health, health.checks[0], True, None, "exited with status 1", forgiven=True) == []
    assert health.weight == 9


def test_a_reload_keeps_a_dynamic_weight_by_the_script() -> None:
    """keepalived sets such servers to weight 0 here; the configured weight stays the base instead."""
    made = pool(real(1, 10, checkers=(MISC,)), real(2))
    check(made, 1, True, weight=20)
    made.reload(virtual(real(1, 4, checkers=(MISC,)), real(2)))
    assert table(made) == {1: 20, 2: 1}
    check(made, 1, True)
    assert table(made) == {1: 4, 2: 1}


def test_a_reload_with_another_check_begins_anew_as_keepalived_does() -> None:
    """Seen with 2.2.7 and 2.4.3: the server comes back, with notices, until the new check has failed."""
    made = pool(real(1), real(2), sorry_server=SORRY)
    check(made, 1, False)
    events = made.reload(virtual(real(1, 7, checkers=(PING,)), real(2, 3), real(3), sorry_server=SORRY))
    assert kinds(events) == [WeightChanged, ServerUp, WeightChanged, ServerUp]
    assert [event.cause for event in events if isinstance(event, ServerUp)] == [Cause.CHECK, Cause.RELOAD]
    assert table(made) == {1: 7, 2: 3, 3: 1}
    assert not made.servers[0].checks[0].checked, "its first failure counts"


@pytest.mark.parametrize(
    "changed",
    [
        msgspec.structs.replace(TCP, timing=CheckTiming(retry=5)),
        msgspec.structs.replace(TCP, timing=CheckTiming(alpha=True)),
    ],
)
def test_a_reload_with_other_times_keeps_what_a_check_has_found(changed: CheckerSpec) -> None:
    made = pool(real(1), real(2))
    check(made, 1, False)
    check(made, 2, True)
    assert made.reload(virtual(real(1, checkers=(changed,)), real(2, checkers=(changed,)))) == []
    assert table(made) == {2: 1}
    assert [item.checks[0].checked for item in made.servers] == [True, True]


def test_a_reload_with_another_time_limit_of_a_script_keeps_its_result() -> None:
    made = pool(real(1, checkers=(MISC,)))
    check(made, 1, False)
    longer = msgspec.structs.replace(MISC, question=msgspec.structs.replace(MISC.question, timeout_us=2))
    assert made.reload(virtual(real(1, checkers=(longer,)))) == []
    assert table(made) == {}


def test_a_dead_server_with_a_new_alpha_check_waits_for_its_first_success() -> None:
    made = pool(real(1), real(2))
    check(made, 1, False)
    alpha = msgspec.structs.replace(PING, timing=CheckTiming(alpha=True))
    assert made.reload(virtual(real(1, checkers=(alpha,)), real(2, checkers=(alpha,)))) == []
    assert table(made) == {2: 1}


def test_a_reload_without_the_failed_check_brings_the_server_back() -> None:
    made = pool(real(1, checkers=(TCP, PING)), real(2))
    check(made, 1, False, index=1)
    assert kinds(made.reload(virtual(real(1, checkers=(TCP,)), real(2)))) == [ServerUp]
    assert table(made) == {1: 1, 2: 1}


def test_a_reload_may_cost_the_quorum() -> None:
    made = pool(real(1, 3), real(2, 3), quorum=3, sorry_server=SORRY)
    check(made, 1, False)
    events = made.reload(virtual(real(1, 3), real(3, 3, alpha=True), quorum=3, sorry_server=SORRY))
    assert kinds(events) == [ServerLeft, QuorumBroken, QuorumLost, SorryAdded, PoolWithdrawn]
    assert table(made) == {9: 1}


def test_servers_that_a_reload_replaces_break_the_quorum_for_a_moment() -> None:
    made = pool(real(1, 3), real(2, 3), quorum=3)
    check(made, 1, False)
    assert kinds(made.reload(virtual(real(3, 3), quorum=3))) == [ServerLeft, ServerLeft, QuorumBroken, ServerUp]
    assert made.quorum_up
    assert kinds(made.reload(virtual(real(3, 3), real(4), quorum=3))) == [ServerUp], "nobody left"
    assert kinds(made.reload(virtual(real(3, 3), quorum=3))) == [ServerLeft], "who stays carries it"


def test_a_reload_changes_the_sorry_server_that_serves() -> None:
    made = pool(real(1), sorry_server=SORRY)
    check(made, 1, False)
    other = SorryServer(address="10.1.0.8", port=80)
    assert kinds(made.reload(virtual(real(1), sorry_server=other))) == [SorryRemoved, SorryAdded, PoolWithdrawn]
    assert table(made) == {8: 1}
    assert kinds(made.reload(virtual(real(1)))) == [SorryRemoved]
    assert table(made) == {}
    assert kinds(made.reload(virtual(real(1), sorry_server=SORRY))) == [SorryAdded, PoolWithdrawn]
    assert table(made) == {9: 1}


def test_the_end() -> None:
    made = pool(real(1), real(2), real(3, inhibit_on_failure=True))
    check(made, 1, False)
    events = made.leave(Cause.STOP)
    assert kinds(events) == [ServiceLeaving, ServerLeft, ServerLeft, ServerLeft, ServiceRemoved]
    effects = [(event.alive, event.effect) for event in events if isinstance(event, ServerLeft)]
    assert effects == [(False, Effect.NONE), (True, Effect.REMOVED), (True, Effect.REMOVED)]


def test_an_operator_holds_a_server_and_sets_its_weight() -> None:
    made = pool(real(1, 2), real(2, 2))
    health = made.servers[0]
    assert kinds(made.hold(health, "drain", "drained")) == [ServerDown]
    assert check(made, 1, True) == []
    assert table(made) == {2: 2}
    assert kinds(made.release(health, "drain")) == [ServerUp]
    assert kinds(made.override_weight(health, 9)) == [WeightChanged]
    assert table(made) == {1: 9, 2: 2}
    made.override_weight(health, None)
    assert table(made) == {1: 2, 2: 2}


def test_found_servers_stay_where_the_policy_says_so() -> None:
    service = virtual(real(1, alpha=True), real(2, alpha=True))
    made = Pool(service, Policy(keeps_found_alive=True))
    made.start(lambda server: server.address == "10.1.0.1")
    assert table(made) == {1: 1}
    assert kinds(check(made, 1, False)) == [ServerDown, QuorumLost]


def test_a_server_named_twice_is_there_once() -> None:
    made = pool(real(1, 3), real(1, 5))
    assert table(made) == {1: 3}
    check(made, 1, False)
    assert table(made) == {1: 5}


# ---- quorum ----


@pytest.mark.parametrize(
    ("quorum", "hysteresis", "weights", "expected"),
    [
        (1, 0, (1,), Thresholds(1, 0)),
        (5, 0, (1, 2), Thresholds(3, 0)),
        (5, 9, (9, 9), Thresholds(5, 4)),
        (2, 5, (1,), Thresholds(1, 0)),
        (4, 1, (), Thresholds(4, 1)),
        (4, 1, (0, 0), Thresholds(4, 1)),
    ],
)
def test_thresholds_are_corrected(quorum: int, hysteresis: int, weights: tuple[int, ...], expected: Thresholds) -> None:
    servers = (real(number, weight) for number, weight in enumerate(weights, start=1))
    assert thresholds_of(virtual(*servers, quorum=quorum, hysteresis=hysteresis).server) == expected


# ---- random lives ----

lives = st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=30)


@settings(max_examples=200, deadline=None)
@given(
    lives,
    st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans()), min_size=4, max_size=4),
    st.integers(1, 8),
    st.integers(0, 4),
    st.sampled_from([None, SORRY, msgspec.structs.replace(SORRY, inhibit=True)]),
)
def test_laws(
    life: list[tuple[int, bool]],
    servers: list[tuple[int, bool, bool]],
    quorum: int,
    hysteresis: int,
    sorry: SorryServer | None,
) -> None:
    reals = [
        real(number, weight, inhibit_on_failure=inhibit, alpha=alpha)
        for number, (weight, inhibit, alpha) in enumerate(servers, start=1)
    ]
    made = pool(*reals, quorum=quorum, hysteresis=hysteresis, sorry_server=sorry)
    up = made.quorum_up
    for number, well in life:
        events = check(made, number, well)
        thresholds, weight = made.thresholds, made.weight
        assert weight == sum(health.weight for health in made.servers if health.alive)
        assert made.quorum_up is (
            (weight > 0 and weight >= thresholds.lost_below) if up else weight >= thresholds.gained_at
        )
        told = [event for event in events if isinstance(event, QuorumLost | QuorumGained)]
        assert len(told) == (made.quorum_up is not up)
        up = made.quorum_up
        assert made.sorry_serves is (sorry is not None and not up)
        seen = table(made)
        for health in made.servers:
            own = int(health.server.address.rpartition(".")[2])
            if health.alive and not made.sorry_serves:
                assert seen[own] == health.weight
            else:
                assert seen.get(own, -1) == (0 if health.server.inhibit_on_failure else -1)
        if sorry is not None:
            assert seen.get(9, -1) == (1 if made.sorry_serves else 0 if sorry.inhibit else -1)
    assert made.reload(made.service) == [], "a reload that changes nothing tells nothing"


def test_checks_that_are_always_well() -> None:
    on = CheckerSpec(question=OnCheck(), timing=CheckTiming(alpha=True))
    made = pool(real(1, checkers=(on,)))
    assert table(made) == {}
    check(made, 1, True)
    assert table(made) == {1: 1}
