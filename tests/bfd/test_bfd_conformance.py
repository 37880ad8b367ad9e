"""The ledger of RFC 5880 and RFC 5881: each rule that concerns us, and the tests that hold us to it.

A row names a case that shows the rule and one beside it that must not trigger it (they may be rows of one table), on
the core in `test_bfd_session.py` and `test_bfd_rules.py`; `wire` and `wire_spares` are the same with whole daemons.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conformance.ledger import Level, NotOurs

HERE = Path(__file__).parent
CORES = [HERE / name for name in ("test_bfd_session.py", "test_bfd_rules.py")]
WIRES = [HERE.parent / "interop" / name for name in ("test_interop_bfd.py", "test_interop_bfd_wire.py")]


class Rule(NamedTuple):
    standard: str
    section: str
    level: str
    text: str
    shows: str
    spares: str
    wire: str
    wire_spares: str


RUNGS = "test_every_rung_without_a_session"
READ = "test_what_is_built_is_read"
STATES = "test_every_state_and_every_state_heard"
REFUSED = "test_a_refused_packet_changes_nothing_and_is_counted"
FORGED = "test_forged_packets_change_no_state"
EACH = "test_each_refusal_once"
SENT = "test_what_it_sends"
FRR = "test_a_session_with_frr"
KEEPALIVED = "test_a_session_with_debians_keepalived_and_what_vrrp_makes_of_it"
PAUSES = "test_pauses_are_cut_by_10_to_25_per_cent"
SILENCE = "test_silence_takes_an_up_session_down"
RATES = "test_other_intervals_count_when_the_poll_has_ended_and_what_is_taken_out_stays_down"
WORDS = "test_words_of_a_session_between_two_of_ours"
PORTS = "test_two_sessions_have_ports_and_discriminators_of_their_own"
EARLY = "test_it_speaks_before_its_pause_is_over"
FORGETS = "test_a_neighbour_that_falls_silent_on_the_way_is_forgotten"
RELOADS = "test_debians_keepalived_hears_our_reload_and_our_stop"
ANY_SOURCE = "test_without_a_source_the_kernel_chooses_it"
LEAVING = "test_admin_down_is_said_for_a_detection_time"
HOPS = "test_how_many_routers_a_packet_may_have_crossed"

RULES = (
    Rule("5880", "4.1", "MUST", "say no demand, no authentication, no multipoint, no echo; a multiplier not zero",
         "test_no_demand_no_authentication_no_echo_is_ever_said", STATES, SENT, EACH),
    Rule("5880", "6.1", "MUST", "speak first in an active role",
         "test_an_active_session_speaks_without_having_heard_anything",
         "test_a_passive_session_is_silent_until_it_hears", SENT, WORDS),
    Rule("5880", "6.3", "MUST", "discriminators unique and not zero",
         "test_a_thousand_sessions_have_discriminators_of_their_own", READ, SENT, EACH),
    Rule("5880", "6.8.1", "MUST", "forget the discriminator of a silent neighbour", SILENCE, STATES, KEEPALIVED,
         FORGED),
    Rule("5880", "6.8.1", "SHOULD", "discriminators are random", "test_discriminators_are_drawn_and_not_counted",
         "test_a_thousand_sessions_have_discriminators_of_their_own", PORTS, SENT),
    Rule("5880", "6.8.3", "MUST", "a wish of at least one second while not Up",
         "test_a_session_that_is_not_up_sends_once_a_second_at_most",
         "test_coming_up_asks_for_the_faster_rate_by_a_poll_sequence", SENT, FRR),
    Rule("5880", "6.8.3", "MUST", "a poll sequence when intervals change",
         "test_coming_up_asks_for_the_faster_rate_by_a_poll_sequence",
         "test_a_reload_with_the_same_words_changes_nothing", RELOADS, FORGED),
    Rule("5880", "6.8.3", "MUST NOT", "send more slowly before the poll sequence has ended",
         "test_a_slower_rate_counts_only_when_the_neighbour_has_confirmed_it",
         "test_coming_up_asks_for_the_faster_rate_by_a_poll_sequence", RATES, SENT),
    Rule("5880", "6.8.3", "MUST", "detect by the old interval before the poll sequence has ended",
         "test_a_faster_demand_counts_only_when_the_neighbour_has_confirmed_it", "test_the_slower_of_both_counts",
         RATES, FRR),
    Rule("5880", "6.8.3", "MUST", "a shorter wish of the neighbour counts at once",
         "test_a_shorter_wish_of_the_neighbour_counts_at_once",
         "test_a_longer_wish_of_the_neighbour_makes_nothing_due", EARLY, RATES),
    Rule("5880", "6.8.4", "MUST", "Down with diagnostic 1 after the detection time", SILENCE, SILENCE, FRR, FORGED),
    Rule("5880", "6.8.4", "MUST", "Down after the detection time also from Init",
         "test_silence_takes_a_session_down_that_was_not_up_yet",
         "test_a_neighbour_that_goes_on_speaking_keeps_it_there", FORGETS, SENT),
    Rule("5880", "6.8.6", "MUST", "discard another version", RUNGS, READ, EACH, SENT),
    Rule("5880", "6.8.6", "MUST", "discard a length below the minimum", RUNGS, READ, EACH, SENT),
    Rule("5880", "6.8.6", "MUST", "discard a length beyond the payload",
         "test_a_length_beyond_the_payload_is_refused", READ, EACH, SENT),
    Rule("5880", "6.8.6", "MUST", "discard a multiplier of zero", RUNGS, READ, EACH, SENT),
    Rule("5880", "6.8.6", "MUST", "discard the multipoint bit", RUNGS, READ, EACH, SENT),
    Rule("5880", "6.8.6", "MUST", "discard My Discriminator zero", RUNGS, READ, EACH, SENT),
    Rule("5880", "6.8.6", "MUST", "select by Your Discriminator, discard an unknown one", REFUSED, STATES, EACH, SENT),
    Rule("5880", "6.8.6", "MUST", "discard Init and Up without Your Discriminator", RUNGS, STATES, EACH, SENT),
    Rule("5880", "6.8.6", "MUST", "discard authenticated packets where none is configured", REFUSED, STATES, EACH,
         SENT),
    Rule("5880", "6.8.6", "MUST", "discard while AdminDown",
         "test_a_session_out_of_the_file_says_admin_down_and_is_gone_after_the_detection_time", STATES, RATES, SENT),
    Rule("5880", "6.8.6", "MUST", "follow the state machine", STATES, STATES, FRR, FORGED),
    Rule("5880", "6.8.6", "MUST", "answer a poll at once with Final",
         "test_a_poll_is_answered_at_once_and_never_with_a_poll", STATES, SENT, RATES),
    Rule("5880", "6.8.7", "MUST NOT", "send more often than the slower of both wishes",
         "test_the_slower_of_both_counts", PAUSES, RATES, SENT),
    Rule("5880", "6.8.7", "MUST", "jitter of 0 to 25 per cent, 10 to 25 with multiplier 1", PAUSES, PAUSES, RATES,
         RATES),
    Rule("5880", "6.8.7", "MUST NOT", "send in a passive role before the neighbour was heard",
         "test_a_passive_session_is_silent_until_it_hears", STATES, WORDS, SENT),
    Rule("5880", "6.8.7", "MUST NOT", "send periodically to a neighbour that requires no packets",
         "test_nothing_is_sent_to_a_neighbour_that_wants_nothing", PAUSES, SENT, RATES),
    Rule("5880", "6.8.7", "MUST NOT", "send periodically to a neighbour in demand mode",
         "test_a_neighbour_in_demand_mode_gets_no_periodic_packets", PAUSES, SENT, RATES),
    Rule("5880", "6.8.7", "MUST NOT", "set Poll and Final together",
         "test_a_poll_is_answered_at_once_and_never_with_a_poll", READ, SENT, FRR),
    Rule("5880", "6.8.7", "MUST", "say the neighbour's discriminator back", "test_what_was_heard_last_is_said_back",
         "test_an_active_session_speaks_without_having_heard_anything", SENT, EACH),
    Rule("5880", "6.8.7", "SHOULD", "say a change of state at once", "test_a_change_of_state_is_said_at_once",
         "test_a_packet_that_changes_nothing_is_not_answered", EARLY, EARLY),
    Rule("5880", "6.8.16", "SHOULD", "say AdminDown when a session is taken away",
         "test_a_session_out_of_the_file_says_admin_down_and_is_gone_after_the_detection_time",
         "test_a_reload_with_the_same_words_changes_nothing", RELOADS, FORGED),
    Rule("5880", "6.8.16", "SHOULD", "say AdminDown for a detection time",
         LEAVING, "test_a_session_that_stays_says_nothing_of_the_kind", RATES, FORGED),
    Rule("5881", "3", "MUST", "select a first packet by its source", REFUSED, STATES, FORGED, SENT),
    Rule("5881", "4", "MUST", "one source port of 49152 to 65535 for all packets of a session",
         "test_source_ports_are_of_the_upper_range_and_of_one_session", ANY_SOURCE,
         SENT, PORTS),
    Rule("5881", "4", "SHOULD", "another source port for each session",
         "test_source_ports_are_of_the_upper_range_and_of_one_session", ANY_SOURCE,
         PORTS, SENT),
    Rule("5881", "5", "MUST", "discard a TTL below 255", HOPS, HOPS, WORDS, SENT),
    Rule("5881", "5", "MUST", "send with TTL 255", "test_packets_leave_with_a_ttl_of_255_from_the_source_of_the_file",
         "test_the_file_may_want_another_ttl", SENT, WORDS),
    Rule("5881", "6", "MUST", "addresses of the subnet that both are on",
         "test_packets_leave_with_a_ttl_of_255_from_the_source_of_the_file",
         ANY_SOURCE, PORTS, SENT),
    Rule("5882", "4.2", "SHOULD", "a neighbour that is AdminDown has not failed",
         "test_a_neighbour_that_is_taken_down_on_purpose_has_not_failed", SILENCE,
         RELOADS, KEEPALIVED),
    Rule("5883", "5", "MUST", "several hops have a port of their own", REFUSED, STATES, EACH, FRR),
)  # fmt: skip


def _other(section: str, level: Level, rule: str, reason: str, number: int = 5880) -> NotOurs:
    return NotOurs(f"RFC {number}", section, level, rule, reason)


_NO_ECHO = "the echo function is optional and not offered (Required Min Echo RX Interval is 0)"
NOT_OURS = (
    _other("6.4, 6.8.5", Level.MUST, "Echo packets: when they are sent, and what their loss means", _NO_ECHO),
    _other("6.6, 6.8.7", Level.MUST, "Demand mode: polls, and no packets while it is active",
           "keepalived has no word for it; a neighbour that asks for it is obeyed (above)"),
    _other("6.7", Level.MUST, "Authentication sections",
           "keepalived has no word for it; authenticated packets are refused (above)"),
    _other("6.8.17", Level.SHOULD, "Concatenated paths",
           "there is no path behind ours that we would speak for"),
    _other("7", Level.MUST, "Congestion control over several hops",
           "the rate is the file's, as in keepalived; nothing measures the path"),
    _other("4, 5", Level.MUST, "Echo packets: addresses, port 3785, TTL 255", _NO_ECHO, 5881),
    _other("9", Level.SHOULD, "Authentication where TTL 255 is not kept",
           "as above: keepalived has no word for it", 5881),
)  # fmt: skip


def cases_in(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.standard} {rule.section} {rule.text}")
def test_every_rule_has_its_cases(rule: Rule) -> None:
    assert {rule.shows, rule.spares} <= set().union(*map(cases_in, CORES))
    assert {rule.wire, rule.wire_spares} <= set().union(*map(cases_in, WIRES))
