"""The event loop: order, cancellation, descriptors, faulty callbacks."""

from __future__ import annotations

import socket

import pytest

from pykeepalived.reactor import READ, WRITE, Reactor, monotonic_us


@pytest.fixture
def reactor():
    made = Reactor()
    yield made
    made.close()


def run_for(reactor: Reactor, limit_us: int = 1_000_000) -> None:
    reactor.call_later(limit_us, reactor.stop)
    reactor.run()


def test_timers_run_in_order_of_time_then_of_asking(reactor):
    seen: list[str] = []
    now = monotonic_us()
    reactor.call_at(now + 3000, lambda: seen.append("c"))
    reactor.call_at(now + 1000, lambda: seen.append("a"))
    reactor.call_at(now + 1000, lambda: seen.append("b"))
    reactor.call_at(now + 4000, reactor.stop)
    reactor.run()
    assert seen == ["a", "b", "c"]


def test_a_timer_is_never_early_and_hardly_late(reactor):
    late: list[int] = []

    def tick(when: int) -> None:
        late.append(monotonic_us() - when)
        if len(late) == 20:
            reactor.stop()
        else:
            arm()

    def arm() -> None:
        when = monotonic_us() + 2000
        reactor.call_at(when, lambda: tick(when))

    arm()
    reactor.run()
    assert min(late) >= 0
    # A loop that rounds to milliseconds is late by up to one each time; a busy machine delays only some of them.
    assert min(late) < 500


def test_a_cancelled_timer_does_not_run(reactor):
    seen: list[int] = []
    timer = reactor.call_soon(lambda: seen.append(1))
    timer.cancel()
    timer.cancel()
    run_for(reactor, 1000)
    assert seen == []


def test_call_soon_from_call_soon_lets_descriptors_in(reactor):
    near, far = socket.socketpair()
    far.send(b"x")
    rounds = 0

    def again() -> None:
        nonlocal rounds
        rounds += 1
        reactor.call_soon(again)

    reactor.call_soon(again)
    reactor.watch(near.fileno(), READ, lambda _events: reactor.stop())
    reactor.run()
    assert rounds < 5
    near.close()
    far.close()


def test_cancelled_timers_do_not_pile_up(reactor):
    for _ in range(10_000):
        reactor.call_later(60_000_000, lambda: None).cancel()
    assert len(reactor._timers) < 2000


def test_watching_again_changes_events_and_handler(reactor):
    near, far = socket.socketpair()
    seen: list[str] = []
    reactor.watch(near.fileno(), READ, lambda _events: seen.append("read"))
    reactor.watch(near.fileno(), WRITE, lambda _events: (seen.append("write"), reactor.stop()))
    reactor.run()
    assert seen == ["write"]
    near.close()
    far.close()


def test_a_handler_removed_in_the_same_turn_is_not_called(reactor):
    pairs = [socket.socketpair() for _ in range(2)]
    seen: list[int] = []

    def handler(index: int) -> None:
        seen.append(index)
        reactor.unwatch(pairs[1 - index][0].fileno())
        reactor.unwatch(pairs[index][0].fileno())

    for index, (near, far) in enumerate(pairs):
        far.send(b"x")
        reactor.watch(near.fileno(), READ, lambda _events, index=index: handler(index))
    run_for(reactor, 10_000)
    assert len(seen) == 1
    for near, far in pairs:
        near.close()
        far.close()


def test_a_reused_descriptor_number_can_be_watched(reactor):
    near, far = socket.socketpair()
    number = near.fileno()
    reactor.watch(number, READ, lambda _events: None)
    near.close()
    far.close()
    other = socket.socketpair()
    assert other[0].fileno() == number
    seen: list[int] = []
    reactor.watch(number, WRITE, lambda _events: (seen.append(1), reactor.stop()))
    reactor.run()
    assert seen == [1]
    reactor.unwatch(number)
    for end in other:
        end.close()


def test_a_faulty_callback_is_reported_and_the_loop_goes_on():
    errors: list[BaseException] = []
    reactor = Reactor(on_error=errors.append)
    near, far = socket.socketpair()
    far.send(b"x")

    def broken(_events: int = 0) -> None:
        reactor.unwatch(near.fileno())
        raise ValueError("boom")

    reactor.watch(near.fileno(), READ, broken)
    reactor.call_soon(broken)
    run_for(reactor, 10_000)
    assert [str(error) for error in errors] == ["boom", "boom"]
    reactor.close()
    near.close()
    far.close()
