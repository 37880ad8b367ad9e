"""What an instance makes of what it hears: adverts that passed the ladder, and packets that did not.

The election (RFC 9568 section 6.4.2 and 6.4.3, keepalived-behaviour 7.5): a BACKUP believes adverts of at least its own
priority, of any priority with nopreempt or while preempt_delay runs, and lets the down timer run against the rest. A
MASTER yields to a higher priority, and to an equal one from a higher address, and contradicts anything lower at once.

Log lines about strangers' packets are bounded twice: an error is written once until its sender or our state changes,
and no instance writes more than a few such lines in a second. Answers to inferior masters are bounded as well, since
each costs an advert and gratuitous ARP for every address; counters count everything.
"""

from __future__ import annotations

from typing import Final

from pykeepalived.units import format_seconds
from pykeepalived.vrrp.events import Advert, PacketRefused, Refusal, UseOldChecksum
from pykeepalived.vrrp.hmac_trailer import time_window_s
from pykeepalived.vrrp.instance import BACKUP, MASTER, Instance, Rival
from pykeepalived.vrrp.output import Output
from pykeepalived.vrrp.status import InstanceStats
from pykeepalived.vrrp.timers import HIGHEST_BACKUP, OWNER, address_order

#: The counters of keepalived.json that refusals belong to; every refusal is counted by its own name as well.
_COUNTERS: Final[dict[Refusal, str]] = {
    Refusal.SHORT_IP_HEADER: "packet_len_err",
    Refusal.LENGTH: "packet_len_err",
    Refusal.TTL: "ip_ttl_err",
    Refusal.AUTH_TYPE_MISMATCH: "authtype_mismatch",
    Refusal.AUTH_TYPE_INVALID: "invalid_authtype",
    Refusal.AUTH_FAILURE: "auth_failure",
    Refusal.AH_MALFORMED: "auth_failure",
    Refusal.AH_REPLAY: "auth_failure",
    Refusal.HMAC_MISSING: "auth_ext_missing",
    Refusal.HMAC_MALFORMED: "auth_ext_malformed",
    Refusal.HMAC_STALE: "auth_ext_stale",
    Refusal.HMAC_UNKNOWN_KEY: "auth_ext_unknown_key",
    Refusal.HMAC_INVALID: "auth_ext_invalid_hmac",
    Refusal.HMAC_REPLAY: "auth_ext_replay",
    Refusal.ADVERT_INTERVAL: "advert_interval_err",
    Refusal.TYPE: "invalid_type_rcvd",
}
_REMEMBERED_SENDERS: Final = 16
#: Own intervals without a second master, after which another advert of one is another duel.
DUEL_INTERVALS: Final = 2


def count_refusal(stats: InstanceStats, refusal: Refusal) -> None:
    counter = _COUNTERS.get(refusal)
    if counter:
        setattr(stats, counter, getattr(stats, counter) + 1)
    stats.refusals[refusal.value] = stats.refusals.get(refusal.value, 0) + 1


def hear_refused(instance: Instance, event: PacketRefused, now_us: int, out: Output) -> None:
    """Count a packet that was refused for this instance, and say so once."""
    count_refusal(instance.stats, event.refusal)
    instance.recent.refuse(event, now_us)
    if event.detail:
        _report(instance, (event.refusal.value, event.source), event.detail, now_us, out)


def hear(instance: Instance, advert: Advert, now_us: int, out: Output) -> None:
    """Take an advert that passed the ladder."""
    instance.stats.advert_rcvd += 1
    instance.recent.hear(advert, now_us)
    if advert.priority == 0:
        instance.stats.pri_zero_rcvd += 1
    if instance.state is BACKUP:
        _check_content(instance, advert, now_us, out)
        _hear_as_backup(instance, advert, now_us, out)
    elif instance.state is MASTER:
        _check_content(instance, advert, now_us, out)
        _hear_as_master(instance, advert, now_us, out)


# ---- elections ----


def _hear_as_backup(instance: Instance, advert: Advert, now_us: int, out: Output) -> None:
    if advert.priority == 0:
        _say(instance, "Backup received priority 0 advertisement", now_us, out)
        instance.timer_us = max(now_us, instance.not_before_us) + instance.skew_us()
        return
    if advert.priority >= instance.priority:
        instance.preempt_from_us = None
    elif not _tolerates_lower(instance, now_us, out):
        text = f"received lower priority ({advert.priority}) advert from {advert.source} - discarding"
        _say(instance, text, now_us, out)
        return
    instance.wanted = BACKUP
    _remember_master(instance, advert, now_us, out)
    instance.timer_us = now_us + instance.master_down_us()


def _tolerates_lower(instance: Instance, now_us: int, out: Output) -> bool:
    """nopreempt, or preempt_delay still running; the first inferior advert starts it. An owner always preempts.

    Ours: preempt_after_sync runs from the moment at which the instance became BACKUP, which is when the kernel began to
    receive the connection table (`lvs_sync_daemon`)."""
    if instance.standby:
        return True
    if instance.owner:
        return False
    if instance.config.nopreempt or now_us < instance.last_transition_us + instance.config.preempt_after_sync_us:
        return True
    delay_us = instance.config.preempt_delay_us
    if not delay_us:
        return False
    if instance.preempt_from_us is None:
        instance.preempt_from_us = now_us + delay_us
        out.log(instance, f"({instance.name}) start preempt delay ({format_seconds(delay_us)} secs left)")
    return now_us < instance.preempt_from_us


def _hear_as_master(instance: Instance, advert: Advert, now_us: int, out: Output) -> None:
    name, source, ours = instance.name, advert.source, instance.priority
    if advert.priority == 0:
        if instance.answers.spend(now_us):
            out.log(instance, f"({name}) Master received priority 0 message")
            instance.send_advert(out)
            instance.timer_us = now_us + instance.own_interval_us()
        return
    if advert.priority == ours and source == instance.source:
        _say(instance, "WARNING - equal priority advert received from remote host with our IP address.", now_us, out)
        return
    if (
        advert.priority > ours
        or (advert.priority == ours and address_order(source) > address_order(instance.source or ""))
        or (ours == OWNER and _outlasted_by(instance, advert, now_us, out))
    ):
        _yield_to(instance, advert, now_us, out)
        return
    # One that has just lost to us may not have heard of it yet; one duel is one however many adverts it has.
    if now_us - max(instance.last_transition_us, instance.duel_us) > DUEL_INTERVALS * instance.own_interval_us():
        instance.stats.second_master += 1
    instance.duel_us = now_us
    if instance.answers.spend(now_us):
        _contradict(instance, advert, now_us, out)


def _outlasted_by(instance: Instance, advert: Advert, now_us: int, out: Output) -> bool:
    """An owner with a lower address goes on although it heard us: then we are the one who steps down, to 254.

    It has had the time in which it should have heard two adverts of ours (seen in 2.4.3; the RFCs have no two owners).
    """
    if advert.priority != OWNER:
        return False
    rival = instance.rival
    if rival is None:
        instance.rival = Rival(now_us, instance.stats.advert_sent)
        line = f"CONFIGURATION ERROR: {advert.source} is configured as address owner too, please fix"
        out.log(instance, f"({instance.name}) {line}")
        return False
    patience_us = max(instance.own_interval_us(), advert.interval_us) * 6 // 5
    if instance.stats.advert_sent < rival.advert_sent + 2 or now_us < rival.since_us + patience_us:
        return False
    line = f"{advert.source} is still advertising as address owner, please resolve - reducing our priority"
    out.log(instance, f"({instance.name}) {line}")
    instance.stepped_down = True
    instance.priority = HIGHEST_BACKUP
    return True


def _yield_to(instance: Instance, advert: Advert, now_us: int, out: Output) -> None:
    name, source, ours = instance.name, advert.source, instance.priority
    if advert.priority > ours:
        comparison = f"with higher priority {advert.priority}, ours {ours}"
    else:
        comparison = f"with same priority {advert.priority} but higher IP address than ours"
    out.log(instance, f"({name}) Master received advert from {source} {comparison}")
    if advert.priority == ours == OWNER:
        out.log(instance, f"({name}) CONFIGURATION ERROR: {source} is configured as address owner too, please fix")
    if instance.config.higher_prio_send_advert is not False:
        # After a duel the neighbours may have our hardware address. The winner may not have heard us: this is how it
        # learns that it has to announce its addresses again.
        instance.send_advert(out)
    # First the master's interval, then the timer that is counted with it.
    instance.master_address = None
    _remember_master(instance, advert, now_us, out)
    instance.become_backup(now_us, out)
    if instance.group:
        instance.group.left_for_backup(instance, now_us, out)


def _contradict(instance: Instance, advert: Advert, now_us: int, out: Output) -> None:
    """A router that should be BACKUP sends adverts: show that we are here, and repair the neighbours' caches."""
    config = instance.config
    text = f"({instance.name}) Received advert from {advert.source} with lower priority {advert.priority}"
    text += f", ours {instance.priority}"
    out.log(instance, text if config.lower_prio_no_advert else f"{text}, forcing new election")
    if not config.lower_prio_no_advert:
        instance.send_advert(out)
        instance.timer_us = now_us + instance.own_interval_us()
    instance.announce_against_lower(now_us, out)
    if instance.group:
        instance.group.heard_lower(instance, now_us, out)
    instance.notify("MASTER_RX_LOWER_PRI", out)


def _remember_master(instance: Instance, advert: Advert, now_us: int, out: Output) -> None:
    if advert.source != instance.master_address:
        before = instance.master_address
        text = f"master changed from {before} to {advert.source}" if before else f"master set to {advert.source}"
        _say(instance, text, now_us, out)
    instance.master_address = advert.source
    instance.master_priority = instance.heard_priority = advert.priority
    if instance.config.version == 3 and advert.interval_us != instance.master_interval_us:
        before_ms, after_ms = instance.master_interval_us // 1000, advert.interval_us // 1000
        text = f"advertisement interval updated from {before_ms}ms to {after_ms}ms by master"
        _say(instance, text, now_us, out)
        instance.master_interval_us = advert.interval_us


# ---- content that is noted and used all the same ----


def _check_content(instance: Instance, advert: Advert, now_us: int, out: Output) -> None:
    if advert.other_checksum_form:
        _note_other_form(instance, advert.source, out)
    if advert.old_checksum and not instance.uses_old_checksum:
        instance.uses_old_checksum = True
        out.log(instance, f"({instance.name}) Setting unicast VRRPv3 checksum to old version")
        out.put(instance, UseOldChecksum(instance.name))
    if advert.clock_skew_s:
        window_s = time_window_s(instance.config, instance.config.auth_hmac) if instance.config.auth_hmac else None
        text = f"authentication clock skew {advert.clock_skew_s} sec from {advert.source}"
        _report(instance, ("clock-skew", advert.source), f"{text} approaching window {window_s} sec", now_us, out)
    if advert.addresses != instance.advertised and not (
        instance.config.skip_check_adv_addr and advert.source == instance.master_address
    ):
        _compare_addresses(instance, advert, now_us, out)


def _compare_addresses(instance: Instance, advert: Advert, now_us: int, out: Output) -> None:
    """A list in another order is the same list."""
    ours, theirs = instance.advertised, advert.addresses
    if len(ours) != len(theirs):
        text = f"received an unexpected ip number count {len(theirs)}, expected {len(ours)}!"
    else:
        present = frozenset(theirs)
        missing = next((address for address in ours if address not in present), None)
        if missing is None:
            return
        text = f"ip address associated with VRID {instance.config.vrid} not present in MASTER advert : {missing}"
    instance.stats.addr_list_err += 1
    _report(instance, ("address-list", advert.source), text, now_us, out)


def _note_other_form(instance: Instance, source: str, out: Output) -> None:
    instance.stats.other_checksum_form += 1
    senders = instance.other_form_senders
    if source not in senders and len(senders) < _REMEMBERED_SENDERS:
        senders[source] = None
        form = "with" if instance.config.v3_checksum_as_v2 else "without"
        out.log(instance, f"({instance.name}) {source} sends VRRPv3 checksums {form} pseudo-header, accepted")


def _report(instance: Instance, error: tuple[str, str], text: str, now_us: int, out: Output) -> None:
    """Log a packet error, a kind and a sender, once per kind until its sender or the instance's state changes."""
    kind, source = error
    if instance.reported.get(kind) != source and instance.lines.spend(now_us):
        instance.reported[kind] = source
        out.log(instance, f"({instance.name}) {text}")


def _say(instance: Instance, text: str, now_us: int, out: Output) -> None:
    if instance.lines.spend(now_us):
        out.log(instance, f"({instance.name}) {text}")


def ignore_for_now(instance: Instance) -> None:
    """An advert that came before the start-up delay was over."""
    count_refusal(instance.stats, Refusal.STARTUP_DELAY)
