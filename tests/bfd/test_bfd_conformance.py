"""The ledger of RFC 5880 and RFC 5881: each rule that concerns us, and the tests that hold us to it.

A row names a case that shows the rule and one beside it that must not trigger it (they may be rows of one table), on
the core in `test_bfd_session.py`; `wire` is one that runs whole daemons.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
CORE = HERE / "test_bfd_session.py"
WIRES = [HERE.parent / "interop" / name for name in ("test_interop_bfd.py", "test_interop_bfd_wire.py")]


class Rule(NamedTuple):
    standard: str
    section: str
    level: str
    text: str
    shows: str
    spares: str
    wire: str = ""


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
HOPS = "test_how_many_routers_a_packet_may_have_crossed"

RULES = (
    Rule("5880", "6.8.6", "MUST", "discard another version", RUNGS, READ, EACH),
    Rule("5880", "6.8.6", "MUST", "discard a length below the minimum", RUNGS, READ, EACH),
    Rule("5880", "6.8.6", "MUST", "discard a length beyond the payload",
         "test_a_length_beyond_the_payload_is_refused", READ, EACH),
    Rule("5880", "6.8.6", "MUST", "discard a multiplier of zero", RUNGS, READ, EACH),
    Rule("5880", "6.8.6", "MUST", "discard the multipoint bit", RUNGS, READ, EACH),
    Rule("5880", "6.8.6", "MUST", "discard My Discriminator zero", RUNGS, READ, EACH),
    Rule("5880", "6.8.6", "MUST", "select by Your Discriminator, discard an unknown one", REFUSED, STATES, EACH),
    Rule("5880", "6.8.6", "MUST", "discard Init and Up without Your Discriminator", RUNGS, STATES, EACH),
    Rule("5880", "6.8.6", "MUST", "discard authenticated packets where none is configured", REFUSED, STATES, EACH),
    Rule("5880", "6.8.6", "MUST", "discard while AdminDown",
         "test_a_session_out_of_the_file_says_admin_down_and_is_gone_after_the_detection_time", STATES, RATES),
    Rule("5880", "6.8.6", "MUST", "follow the state machine", STATES, STATES, FRR),
    Rule("5880", "6.8.6", "MUST", "answer a poll at once with Final",
         "test_a_poll_is_answered_at_once_and_never_with_a_poll", STATES, SENT),
    Rule("5880", "6.8.1", "MUST", "forget the discriminator of a silent neighbour", SILENCE, STATES, KEEPALIVED),
    Rule("5880", "6.8.3", "MUST", "a wish of at least one second while not Up",
         "test_a_session_that_is_not_up_sends_once_a_second_at_most",
         "test_coming_up_asks_for_the_faster_rate_by_a_poll_sequence", SENT),
    Rule("5880", "6.8.3", "MUST", "a poll sequence when intervals change",
         "test_coming_up_asks_for_the_faster_rate_by_a_poll_sequence",
         "test_a_reload_with_the_same_words_changes_nothing", "test_debians_keepalived_hears_our_reload_and_our_stop"),
    Rule("5880", "6.8.3", "MUST NOT", "send more slowly before the poll sequence has ended",
         "test_a_slower_rate_counts_only_when_the_neighbour_has_confirmed_it",
         "test_coming_up_asks_for_the_faster_rate_by_a_poll_sequence", RATES),
    Rule("5880", "6.8.3", "MUST", "detect by the old interval before the poll sequence has ended",
         "test_a_faster_demand_counts_only_when_the_neighbour_has_confirmed_it", "test_the_slower_of_both_counts",
         RATES),
    Rule("5880", "6.8.4", "MUST", "Down with diagnostic 1 after the detection time", SILENCE, SILENCE, FRR),
    Rule("5880", "6.8.7", "MUST NOT", "send more often than the slower of both wishes",
         "test_the_slower_of_both_counts", PAUSES, RATES),
    Rule("5880", "6.8.7", "MUST", "jitter of 0 to 25 per cent, 10 to 25 with multiplier 1", PAUSES, PAUSES, RATES),
    Rule("5880", "6.8.7", "MUST NOT", "send in a passive role before the neighbour was heard",
         "test_a_passive_session_is_silent_until_it_hears", STATES, "test_words_of_a_session_between_two_of_ours"),
    Rule("5880", "6.8.7", "MUST NOT", "send periodically to a neighbour that requires no packets",
         "test_nothing_is_sent_to_a_neighbour_that_wants_nothing", PAUSES, SENT),
    Rule("5880", "6.8.7", "MUST NOT", "send periodically to a neighbour in demand mode",
         "test_a_neighbour_in_demand_mode_gets_no_periodic_packets", PAUSES, SENT),
    Rule("5880", "6.8.7", "MUST NOT", "set Poll and Final together",
         "test_a_poll_is_answered_at_once_and_never_with_a_poll", READ, SENT),
    Rule("5880", "6.8.16", "SHOULD", "say AdminDown when a session is taken away",
         "test_a_session_out_of_the_file_says_admin_down_and_is_gone_after_the_detection_time",
         "test_a_reload_with_the_same_words_changes_nothing", "test_debians_keepalived_hears_our_reload_and_our_stop"),
    Rule("5880", "6.3", "MUST", "discriminators unique and not zero",
         "test_a_thousand_sessions_have_discriminators_of_their_own", READ, SENT),
    Rule("5881", "5", "MUST", "discard a TTL below 255", HOPS, HOPS, "test_words_of_a_session_between_two_of_ours"),
    Rule("5881", "4", "MUST", "one source port of 49152 to 65535 for all packets of a session", "", "", SENT),
    Rule("5881", "5", "MUST", "send with TTL 255", "", "", SENT),
    Rule("5883", "5", "MUST", "several hops have a port of their own", REFUSED, STATES, EACH),
    Rule("5881", "3", "MUST", "select a first packet by its source", REFUSED, STATES, FORGED),
    Rule("5882", "4.2", "SHOULD", "a neighbour that is AdminDown has not failed",
         "test_a_neighbour_that_is_taken_down_on_purpose_has_not_failed", SILENCE,
         "test_debians_keepalived_hears_our_reload_and_our_stop"),
)  # fmt: skip


def cases_in(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.standard} {rule.section} {rule.text}")
def test_every_rule_has_its_cases(rule: Rule) -> None:
    known = cases_in(CORE)
    assert {rule.shows, rule.spares} <= known or (rule.wire and not rule.shows and not rule.spares)
    assert not rule.wire or any(rule.wire in cases_in(path) for path in WIRES)
