"""BFD sessions under a hand-moved clock. Each case names the sentence of the RFC that it holds us to."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.bfd import BFD

from pykeepalived.bfd.events import Changed, Close, Log, Open, Received, Send, Tick
from pykeepalived.bfd.packet import Control, Refusal, State, decode
from pykeepalived.bfd.sessions import Sessions
from pykeepalived.model.bfd import BfdInstance
from pykeepalived.netio.frames.bfd import PacketCache, control_packet

MS = 1_000
SECOND = 1_000_000
PEER = "10.0.0.2"


def image(**fields) -> bytes:
    values = {"my_discriminator": 99, "multiplier": 3, "state": State.DOWN, "min_tx_us": 50 * MS, "min_rx_us": 50 * MS}
    return bytes(control_packet(Control(**(values | fields))))


class Play:
    """Sessions with one neighbour, and a clock."""

    def __init__(self, draw=0.5, **config) -> None:
        values = {"name": "s", "neighbor": PEER, "min_tx_us": 50 * MS, "min_rx_us": 50 * MS, "multiplier": 3}
        self.config = BfdInstance(**(values | config))
        self.now = 0
        self.sessions = Sessions(lambda: draw)
        self.done = list(self.sessions.configure([self.config], 0))
        self.sent: list[tuple[int, Control]] = []

    @property
    def status(self):
        return self.sessions.status()[0]

    def _note(self, actions):
        self.done += actions
        self.sent += [(self.now, action.control) for action in actions if isinstance(action, Send)]
        return list(actions)

    def hear(self, *, ttl=255, source=PEER, multihop=None, data=None, **fields):
        if data is None:
            yours = self.status.local_discriminator
            data = image(**({"your_discriminator": yours} | fields))
        multihop = self.config.multihop if multihop is None else multihop
        return self._note(self.sessions.handle(Received(data, source, ttl, multihop), self.now))

    def run(self, until):
        """Let the time pass."""
        actions = []
        while (at := self.sessions.wake_at()) is not None and at <= until:
            self.now = max(self.now, at)
            actions += self._note(self.sessions.handle(Tick(), self.now))
        self.now = until
        return actions

    def come_up(self):
        self.hear(your_discriminator=0, state=State.DOWN)
        self.hear(state=State.INIT)
        self.hear(state=State.UP, final=True)
        assert self.status.state is State.UP
        self.sent.clear()


def sent(actions):
    return [action.control for action in actions if isinstance(action, Send)]


def changes(actions):
    return [action.up for action in actions if isinstance(action, Changed)]


# ---- the packet (RFC 5880 sections 4.1 and 6.8.6) ----

GOOD = image(state=State.UP, your_discriminator=7)


def altered(offset, value):
    data = bytearray(GOOD)
    data[offset] = value
    return bytes(data)


REFUSED = {
    Refusal.SHORT: GOOD[:23],
    Refusal.VERSION: altered(0, 0x40),
    Refusal.LENGTH: altered(3, 23),
    Refusal.MULTIPLIER: altered(2, 0),
    Refusal.MULTIPOINT: altered(1, 0xC1),
    Refusal.MY_DISCRIMINATOR: GOOD[:4] + bytes(4) + GOOD[8:],
    Refusal.STATE: GOOD[:8] + bytes(4) + GOOD[12:],
}


@pytest.mark.parametrize("refusal", list(REFUSED), ids=lambda item: item.value)
def test_every_rung_without_a_session(refusal):
    assert decode(REFUSED[refusal]) is refusal


@pytest.mark.parametrize("data", [altered(3, 25), GOOD[:3] + b"\x19" + GOOD[4:] + b"x" * 0])
def test_a_length_beyond_the_payload_is_refused(data):
    assert decode(data) is Refusal.LENGTH


def test_an_authenticated_packet_must_have_26_bytes():
    data = bytearray(GOOD)
    data[1] |= 0x04
    assert decode(bytes(data)) is Refusal.LENGTH
    data[3] = 26
    found = decode(bytes(data) + b"\x01\x02")
    assert isinstance(found, Control)
    assert found.authenticated


def test_a_refused_packet_changes_nothing_and_is_counted():
    play = Play()
    play.come_up()
    before = play.status
    cases = dict(REFUSED)
    cases |= {
        Refusal.UNKNOWN_SESSION: image(state=State.DOWN, your_discriminator=before.local_discriminator ^ 1),
    }
    for refusal, data in cases.items():
        assert not sent(play.hear(data=data))
        assert play.sessions.refused[refusal.value] == 1
    play.hear(data=image(state=State.DOWN), source="10.0.0.3")
    play.hear(state=State.DOWN, ttl=254)
    play.hear(state=State.DOWN, multihop=True)
    data = bytearray(image(state=State.DOWN, your_discriminator=before.local_discriminator))
    data[1] |= 0x04
    data[3] = 26
    play.hear(data=bytes(data) + b"\1\2")
    for refusal in (Refusal.UNKNOWN_NEIGHBOR, Refusal.TTL, Refusal.WRONG_PORT, Refusal.AUTHENTICATED):
        assert play.sessions.refused[refusal.value] == 1, refusal
    assert play.status == before


@given(st.binary(max_size=64))
@settings(max_examples=500)
def test_no_bytes_break_the_decoder(data):
    found = decode(data)
    if isinstance(found, Control):
        assert found.my_discriminator
        assert found.multiplier


@given(
    st.builds(
        Control,
        state=st.sampled_from(State),
        diagnostic=st.integers(0, 31),
        poll=st.booleans(),
        final=st.booleans(),
        independent=st.booleans(),
        demand=st.booleans(),
        multiplier=st.integers(1, 255),
        my_discriminator=st.integers(1, 2**32 - 1),
        your_discriminator=st.integers(1, 2**32 - 1),
        min_tx_us=st.integers(0, 2**32 - 1),
        min_rx_us=st.integers(0, 2**32 - 1),
        min_echo_us=st.integers(0, 2**32 - 1),
    )
)
def test_what_is_built_is_read(control):
    data = PacketCache().packet(control)
    assert len(data) == 24
    assert decode(data) == control
    assert BFD(data).my_discriminator == control.my_discriminator
    assert struct.unpack_from("!I", data, 12)[0] == control.min_tx_us


@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 255), st.integers(0, 200 * MS)), max_size=30))
@settings(max_examples=200)
def test_no_traffic_breaks_a_session(traffic):
    play = Play()
    for data, ttl, pause in traffic:
        play.hear(data=data, ttl=ttl)
        play.run(play.now + pause)
    play.hear(your_discriminator=0, state=State.DOWN)
    play.hear(state=State.INIT)
    assert play.status.state is State.UP


# ---- the state machine (6.2, 6.8.6): every state and everything that can be heard ----


@pytest.mark.parametrize(
    ("state", "heard", "after", "diagnostic"),
    [
        (State.DOWN, State.ADMIN_DOWN, State.DOWN, 0),
        (State.DOWN, State.DOWN, State.INIT, 0),
        (State.DOWN, State.INIT, State.UP, 0),
        (State.DOWN, State.UP, State.DOWN, 0),
        (State.INIT, State.ADMIN_DOWN, State.DOWN, 3),
        (State.INIT, State.DOWN, State.INIT, 0),
        (State.INIT, State.INIT, State.UP, 0),
        (State.INIT, State.UP, State.UP, 0),
        (State.UP, State.ADMIN_DOWN, State.DOWN, 3),
        (State.UP, State.DOWN, State.DOWN, 3),
        (State.UP, State.INIT, State.UP, 0),
        (State.UP, State.UP, State.UP, 0),
    ],
)
def test_every_state_and_every_state_heard(state, heard, after, diagnostic):
    play = Play()
    if state is State.UP:
        play.come_up()
    elif state is State.INIT:
        play.hear(state=State.DOWN)
    assert play.status.state is state
    actions = play.hear(state=heard)
    assert (play.status.state, play.status.diagnostic) == (after, diagnostic)
    told = (state is State.UP) is not (after is State.UP) and heard is not State.ADMIN_DOWN
    assert changes(actions) == ([after is State.UP] if told else [])


def test_a_neighbour_that_is_taken_down_on_purpose_has_not_failed():
    """As keepalived 2.2.7, and RFC 5882 section 4.2: trackers are not told; coming up again is no news either."""
    play = Play()
    play.come_up()
    assert changes(play.hear(state=State.ADMIN_DOWN)) == []
    assert play.status.state is State.DOWN
    assert play.sessions.states() == {"s": True}
    assert changes(play.run(play.now + SECOND)) == []
    assert changes(play.hear(your_discriminator=0, state=State.DOWN)) == []
    assert changes(play.hear(state=State.INIT)) == []
    assert changes(play.run(play.now + SECOND)) == [False]


def test_silence_takes_an_up_session_down():
    play = Play()
    play.come_up()
    actions = play.run(150 * MS - 1)
    assert changes(actions) == []
    actions = play.run(150 * MS)
    assert changes(actions) == [False]
    assert any(isinstance(action, Log) and action.text == "(s) Expired after 150 ms" for action in actions)
    control = sent(actions)[-1]
    # The discriminator of a silent neighbour is forgotten (6.8.1), the reason is said (6.8.4).
    assert (control.state, control.diagnostic, control.your_discriminator) == (State.DOWN, 1, 0)


# ---- timers (6.8.2 to 6.8.4, 6.8.7) ----


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999999])
@pytest.mark.parametrize("multiplier", [1, 3])
def test_pauses_are_cut_by_10_to_25_per_cent(draw, multiplier):
    play = Play(draw=draw, multiplier=multiplier)
    play.come_up()
    while play.now < 2 * SECOND:
        play.run(play.now + 20 * MS)
        play.hear(state=State.UP)
    times = [at for at, _ in play.sent]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses
    assert all(75 * 50 * MS // 100 - 1 <= pause <= 90 * 50 * MS // 100 for pause in pauses), pauses


def test_a_session_that_is_not_up_sends_once_a_second_at_most():
    play = Play(draw=0.0)
    play.run(10 * SECOND)
    assert all(control.min_tx_us == SECOND for _, control in play.sent)
    assert len(play.sent) == 12


def test_the_slower_of_both_counts():
    play = Play()
    play.come_up()
    play.hear(state=State.UP, min_rx_us=400 * MS)
    assert play.status.tx_interval_us == 400 * MS
    play.hear(state=State.UP, min_rx_us=10 * MS, min_tx_us=200 * MS, multiplier=4)
    assert play.status.tx_interval_us == 50 * MS
    assert play.status.detection_time_us == 800 * MS


def test_nothing_is_sent_to_a_neighbour_that_wants_nothing():
    play = Play()
    play.come_up()
    play.hear(state=State.UP, min_rx_us=0)
    assert sent(play.run(100 * MS)) == []


def test_a_passive_session_is_silent_until_it_hears():
    play = Play(passive=True)
    assert sent(play.run(5 * SECOND)) == []
    assert sent(play.hear(your_discriminator=0, state=State.DOWN))[0].state is State.INIT
    play.run(play.now + 200 * MS)
    # Not heard any more: silent again.
    play.sent.clear()
    play.run(play.now + 5 * SECOND)
    assert play.sent == []


def test_a_neighbour_in_demand_mode_gets_no_periodic_packets():
    play = Play()
    play.come_up()
    play.hear(state=State.UP, demand=True, multiplier=200)
    assert sent(play.run(SECOND)) == []
    assert sent(play.hear(state=State.UP, demand=True, poll=True))[0].final


# ---- poll sequences (6.5, 6.8.3, 6.8.7) ----


def test_coming_up_asks_for_the_faster_rate_by_a_poll_sequence():
    play = Play()
    play.hear(your_discriminator=0, state=State.DOWN)
    up = sent(play.hear(state=State.INIT))[0]
    assert (up.state, up.poll, up.min_tx_us) == (State.UP, True, 50 * MS)
    assert all(control.poll for control in sent(play.run(100 * MS)))
    play.hear(state=State.UP, final=True)
    found = sent(play.run(200 * MS))
    assert found
    assert not any(control.poll for control in found)


def test_a_poll_is_answered_at_once_and_never_with_a_poll():
    play = Play()
    play.hear(your_discriminator=0, state=State.DOWN)
    play.hear(state=State.INIT)
    assert play.status.polling
    answers = sent(play.hear(state=State.UP, poll=True))
    assert [(control.poll, control.final) for control in answers] == [(False, True)]


def test_a_slower_rate_counts_only_when_the_neighbour_has_confirmed_it():
    play = Play()
    play.come_up()
    slower = BfdInstance(name="s", neighbor=PEER, min_tx_us=500 * MS, min_rx_us=50 * MS, multiplier=3)
    play.done += play.sessions.configure([slower], play.now)
    assert play.status.tx_interval_us == 50 * MS
    first = sent(play.run(play.now + 50 * MS))[0]
    assert (first.poll, first.min_tx_us) == (True, 500 * MS)
    play.hear(state=State.UP, final=True)
    assert play.status.tx_interval_us == 500 * MS


def test_a_faster_demand_counts_only_when_the_neighbour_has_confirmed_it():
    play = Play()
    play.come_up()
    play.hear(state=State.UP, min_tx_us=10 * MS)
    assert play.status.detection_time_us == 150 * MS
    faster = BfdInstance(name="s", neighbor=PEER, min_tx_us=50 * MS, min_rx_us=20 * MS, multiplier=3)
    play.sessions.configure([faster], play.now)
    assert play.status.detection_time_us == 150 * MS
    play.hear(state=State.UP, min_tx_us=10 * MS, final=True)
    assert play.status.detection_time_us == 60 * MS


# ---- configuration ----


def test_a_session_out_of_the_file_says_admin_down_and_is_gone_after_the_detection_time():
    play = Play()
    play.come_up()
    actions = play._note(play.sessions.configure([], play.now))
    assert [(control.state, control.diagnostic) for control in sent(actions)] == [(State.ADMIN_DOWN, 7)]
    assert changes(actions) == [False]
    assert play.sessions.status() == ()
    discriminator = next(action.session for action in play.done if isinstance(action, Open))
    play.hear(data=image(state=State.UP, your_discriminator=discriminator))
    assert play.sessions.refused == {Refusal.ADMIN_DOWN.value: 1}
    assert Close(discriminator) in play.run(play.now + SECOND)
    assert play.sessions.wake_at() is None


def test_other_addresses_make_another_session():
    play = Play()
    play.come_up()
    before = play.status.local_discriminator
    other = BfdInstance(name="s", neighbor="10.0.0.9")
    actions = play.sessions.configure([other], play.now)
    assert [type(action) for action in actions if isinstance(action, Open | Send)] == [Send, Open]
    assert play.status.local_discriminator != before
    assert play.status.state is State.DOWN


def test_a_reload_with_the_same_words_changes_nothing():
    play = Play()
    play.come_up()
    before = play.status
    assert play.sessions.configure([play.config], play.now) == ()
    assert play.status == before


@pytest.mark.parametrize(
    ("config", "ttl", "accepted"),
    [
        ({}, 255, True),
        ({}, 254, False),
        ({"max_hops": 2}, 253, True),
        ({"max_hops": 2}, 252, False),
        ({"max_hops": -1}, 1, True),
        ({"max_hops": 255}, 1, True),
        ({"multihop": True}, 60, True),
        ({"multihop": True, "max_hops": 3}, 251, False),
    ],
)
def test_how_many_routers_a_packet_may_have_crossed(config, ttl, accepted):
    play = Play(**config)
    play.hear(your_discriminator=0, state=State.DOWN, ttl=ttl)
    assert (play.status.state is State.INIT) is accepted


def test_a_thousand_sessions_have_discriminators_of_their_own():
    configs = [BfdInstance(name=f"s{n}", neighbor=f"10.1.{n // 250}.{n % 250 + 1}") for n in range(1000)]
    # A generator that always says the same must not make them equal.
    sessions = Sessions(lambda: 0.999999999999)
    sessions.configure(configs, 0)
    found = {item.local_discriminator for item in sessions.status()}
    assert len(found) == 1000
    assert all(0 < number < 2**32 for number in found)
