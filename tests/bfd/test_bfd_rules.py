"""More sentences of RFC 5880 and RFC 5881, each with what must not trigger it: the ledger's rows name these cases."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator

import pytest

from pykeepalived.bfd.packet import State
from pykeepalived.model.bfd import BfdInstance
from pykeepalived.netio.bfd_sockets import open_sender
from tests.bfd.test_bfd_session import MS, SECOND, Play, changes, sent


def test_a_shorter_wish_of_the_neighbour_counts_at_once():
    play = Play()
    play.come_up()
    play.hear(state=State.UP, min_rx_us=60 * SECOND, multiplier=200)
    play.run(play.now + SECOND)
    play.sent.clear()
    actions = play.hear(state=State.UP, min_rx_us=50 * MS, multiplier=200)
    # The new pause is over long since: it is due now, not after what is left of a minute.
    assert sent(actions) or sent(play.run(play.now + 50 * MS))


def test_a_longer_wish_of_the_neighbour_makes_nothing_due():
    play = Play()
    play.come_up()
    assert sent(play.hear(state=State.UP, min_rx_us=60 * SECOND, multiplier=200)) == []


def test_a_change_of_state_is_said_at_once():
    play = Play()
    play.come_up()
    play.hear(state=State.UP, min_rx_us=60 * SECOND, multiplier=200)
    play.run(play.now + SECOND)
    assert [control.state for control in sent(play.hear(state=State.DOWN, min_rx_us=60 * SECOND))] == [State.DOWN]


def test_a_packet_that_changes_nothing_is_not_answered():
    play = Play()
    play.come_up()
    play.hear(state=State.UP, min_rx_us=60 * SECOND, multiplier=200)
    play.run(play.now + SECOND)
    assert sent(play.hear(state=State.UP, min_rx_us=60 * SECOND, multiplier=200)) == []


def test_an_active_session_speaks_without_having_heard_anything():
    play = Play()
    first = sent(play.run(3 * SECOND))
    assert first
    assert {control.your_discriminator for control in first} == {0}
    assert {control.state for control in first} == {State.DOWN}


def test_what_was_heard_last_is_said_back():
    play = Play()
    play.hear(your_discriminator=0, state=State.DOWN, multiplier=200)
    assert {control.your_discriminator for control in sent(play.run(play.now + 2 * SECOND))} == {99}


def test_no_demand_no_authentication_no_echo_is_ever_said():
    play = Play(multiplier=7)
    play.run(2 * SECOND)
    play.come_up()
    play.run(play.now + 100 * MS)
    assert play.sent
    for _, control in play.sent:
        assert (control.demand, control.authenticated, control.min_echo_us, control.multiplier) == (False, False, 0, 7)


def test_silence_takes_a_session_down_that_was_not_up_yet():
    play = Play()
    play.hear(your_discriminator=0, state=State.DOWN, multiplier=3, min_tx_us=SECOND)
    assert play.status.state is State.INIT
    actions = play.run(play.now + 3 * SECOND)
    assert play.status.state is State.DOWN
    assert play.status.diagnostic == 1
    assert changes(actions) == []


def test_a_neighbour_that_goes_on_speaking_keeps_it_there():
    play = Play()
    for _ in range(8):
        play.hear(your_discriminator=0, state=State.DOWN, multiplier=3, min_tx_us=SECOND)
        play.run(play.now + SECOND)
    assert play.status.state is State.INIT


def test_admin_down_is_said_for_a_detection_time():
    play = Play(multiplier=60)
    play.come_up()
    # Ours, which the neighbour counts with: 60 times 50 ms, and once a second something is said.
    actions = play._note(play.sessions.configure([], play.now)) + play.run(play.now + 5 * SECOND)
    said = [control.state for control in sent(actions)]
    assert set(said) == {State.ADMIN_DOWN}
    assert len(said) >= 2


def test_a_session_that_stays_says_nothing_of_the_kind():
    play = Play()
    play.come_up()
    play._note(play.sessions.configure([play.config], play.now))
    play.run(play.now + 100 * MS)
    assert {control.state for _, control in play.sent} == {State.UP}


def test_discriminators_are_drawn_and_not_counted():
    found = [Play(draw=draw).status.local_discriminator for draw in (0.1, 0.5, 0.9)]
    gaps = [after - before for before, after in itertools.pairwise(found)]
    assert min(abs(gap) for gap in gaps) > 1_000_000


# ---- the sockets (RFC 5881 sections 4 and 5) ----

PAIR = [BfdInstance(name=name, neighbor=neighbor, source="127.0.0.1") for name, neighbor in
        (("a", "127.0.0.2"), ("b", "127.0.0.3"))]  # fmt: skip


@pytest.fixture
def senders() -> Iterator[list[socket.socket]]:
    opened = [open_sender(config) for config in PAIR]
    yield opened
    for each in opened:
        each.close()


def test_source_ports_are_of_the_upper_range_and_of_one_session(senders):
    ports = [each.getsockname()[1] for each in senders]
    assert all(49152 <= port <= 65535 for port in ports)
    assert ports[0] != ports[1]


def test_packets_leave_with_a_ttl_of_255_from_the_source_of_the_file(senders):
    for each in senders:
        assert each.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 255
        assert each.getsockname()[0] == "127.0.0.1"


def test_the_file_may_want_another_ttl():
    config = BfdInstance(name="a", neighbor="127.0.0.2", source="127.0.0.1", ttl=254)
    with open_sender(config) as each:
        assert each.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 254


def test_without_a_source_the_kernel_chooses_it():
    with open_sender(BfdInstance(name="a", neighbor="127.0.0.2")) as each:
        assert each.getsockname()[0] == "0.0.0.0"
