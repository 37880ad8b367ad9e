"""What a VRRP router looks like from outside at one instant: its instances with counters, groups and trackers."""

from __future__ import annotations

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.model.vrrp import VrrpState


class InstanceStats(msgspec.Struct):
    """Counters of one instance; names are those of keepalived.json (keepalived-behaviour 5.2)."""

    advert_rcvd: int = 0
    advert_sent: int = 0
    become_master: int = 0
    release_master: int = 0
    packet_len_err: int = 0
    advert_interval_err: int = 0
    ip_ttl_err: int = 0
    invalid_type_rcvd: int = 0
    addr_list_err: int = 0
    invalid_authtype: int = 0
    authtype_mismatch: int = 0
    auth_failure: int = 0
    auth_ext_missing: int = 0
    auth_ext_malformed: int = 0
    auth_ext_unknown_key: int = 0
    auth_ext_invalid_hmac: int = 0
    auth_ext_stale: int = 0
    auth_ext_replay: int = 0
    pri_zero_rcvd: int = 0
    pri_zero_sent: int = 0
    refusals: dict[str, int] = {}
    """By `Refusal` value; all of them."""
    other_checksum_form: int = 0
    """IPv4 v3 adverts whose checksum has the form that we do not send; they were used."""
    second_master: int = 0
    """Times that, settled as MASTER, we heard another one that has no right to be: two that did not hear each other."""


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one instance looks like from outside, at one instant."""

    name: str
    vrid: int
    interface: str | None
    family: Family
    state: VrrpState
    wanted: VrrpState
    base_priority: int
    effective_priority: int
    master_priority: int
    master_address: str | None
    last_transition_us: int
    faults: tuple[str, ...]
    """Why it is in FAULT or may not leave it, in words (`interface eth0 down`)."""
    stats: InstanceStats
    source: str | None = None
    """The address that its adverts come from; None: unknown."""
    master_interval_us: int = 0
    """The advert interval that the down timer counts with: the master's, or our own as master."""
    timer_us: int | None = None
    """When its timer runs out: the next advert, or the master's silence; None: it has none."""
    heard_priority: int = 0
    """Of the last master that was not us; 0: none was heard yet (`master_priority` in keepalived.json)."""
    addresses_set: bool = False
    """It is MASTER and its addresses were asked for (`vipset` in keepalived.json)."""
    group: str | None = None
    standby: bool = False
    """An operator holds it back."""


class GroupStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one sync group looks like from outside."""

    name: str
    state: VrrpState
    members: tuple[str, ...]
    faults: tuple[str, ...] = ()


class ScriptStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one vrrp_script looks like from outside."""

    name: str
    up: bool | None
    """None: it has not ended once yet."""
    last_status: int | None
    """Exit code, negative for a signal; None: no result yet, or it ran out of time."""
    timed_out: bool
    running: bool
    runs: int
    count: int = 0
    """How far between down for good (0) and up for good (rise + fall - 1) its results have brought it."""
    skipped: int
    """Runs left out because the one before was still active."""
    next_run_us: int | None


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one vrrp_track_process looks like from outside."""

    name: str
    up: bool
    count: int | None
    """None: nothing was counted yet."""
    waiting: bool
    """A change was seen and its delay runs."""
