"""One virtual router: its state, its timers, and what each transition makes the edges do.

States and transitions (keepalived-behaviour 7.5, RFC 3768 and RFC 9568 section 6.4):

    INIT    until its trackers are known; then BACKUP, or FAULT
    BACKUP  listens; Master_Down_Interval without a master makes it MASTER
    MASTER  holds the addresses and sends an advert every interval; a better router makes it BACKUP
    FAULT   something that it needs is missing; the last fault gone makes it BACKUP
    STOP    the end; DELETED the end of one instance at a reload

The instance does not decide alone when it is in a sync group: `Coupling` is asked before it becomes MASTER and told of
every transition. What it hears from other routers is in `hearing`, what its trackers say in `tracking`, what a reload
makes of it in `adaptation`, what it says about its addresses in `announcing`.

`timer_us` is the one deadline of the protocol: the down timer in BACKUP, the next advert in MASTER, nothing otherwise.
"""

from __future__ import annotations

from typing import Final, Protocol

from pykeepalived.model.vrrp import VrrpInstance, VrrpState
from pykeepalived.units import format_seconds
from pykeepalived.vrrp.announcing import announce, log_addresses
from pykeepalived.vrrp.beginning import begins_as_master, first_timer_us
from pykeepalived.vrrp.events import (
    AddAddresses,
    AnnounceSource,
    Notify,
    NotifyKind,
    RemoveAddresses,
    SendAdvert,
    SyncDaemonRole,
)
from pykeepalived.vrrp.facts import (
    advert_interval_us,
    advertised_addresses,
    is_unicast,
)
from pykeepalived.vrrp.garp import GarpSchedule
from pykeepalived.vrrp.output import Budget, Output
from pykeepalived.vrrp.recent import Recent
from pykeepalived.vrrp.status import InstanceStats
from pykeepalived.vrrp.timers import HIGHEST_BACKUP, OWNER, master_down_us, skew_us
from pykeepalived.vrrp.tracking import TENTATIVE, Fault, Standing, fault_lines

#: What strangers can make one instance do in a second: error lines, answers to inferior masters.
_LINES_PER_S: Final = 10
_ANSWERS_PER_S: Final = 20

BACKUP: Final = VrrpState.BACKUP
MASTER: Final = VrrpState.MASTER
FAULT: Final = VrrpState.FAULT


class Coupling(Protocol):
    """What a sync group does with the transitions of its members."""

    name: str

    def may_lead(self, member: Instance) -> bool:
        """Whether all others want to be MASTER too."""
        ...

    def became_master(self, member: Instance, now_us: int, out: Output) -> None: ...

    def left_for_backup(self, member: Instance, now_us: int, out: Output) -> None: ...

    def lost_address(self, member: Instance, now_us: int, out: Output) -> None: ...

    def heard_lower(self, member: Instance, now_us: int, out: Output) -> None: ...

    def all_owners(self) -> bool: ...

    def begins_as_master(self) -> bool: ...


def must_wait(state: VrrpState, standing: Standing) -> bool:
    """Whether an instance in this state has to wait for what its standing lacks."""
    return standing.tentative or standing.gated or (state is VrrpState.INIT and bool(standing.waits_for))


def faults_in(state: VrrpState, standing: Standing) -> tuple[Fault, ...]:
    """What an instance in this state is to suffer. A tentative address leads nobody into or out of FAULT."""
    if standing.tentative and state is FAULT and not standing.faults:
        return (TENTATIVE,)
    return standing.faults


class Rival:
    """When another owner of the same addresses was first heard, and how many adverts we had sent until then."""

    __slots__ = ("advert_sent", "since_us")

    def __init__(self, since_us: int, advert_sent: int) -> None:
        self.since_us = since_us
        self.advert_sent = advert_sent


class Instance:
    """One virtual router. Methods put what is to be done into `out`."""

    def __init__(self, config: VrrpInstance) -> None:
        self.config = config
        self.state = VrrpState.INIT
        self.wanted = BACKUP
        self.priority = config.priority
        """Effective."""
        self.faults: tuple[Fault, ...] = ()
        self.waits = False
        """Something that it depends on is not known or not there yet: it stays in INIT or FAULT, and leads nobody."""
        self.source: str | None = config.source
        self.group: Coupling | None = None
        self.sync_daemon = False
        """The IPVS sync daemon follows this instance."""
        self.not_before_us = 0
        """Timers that start earlier start here (`vrrp_startup_delay`)."""
        self.timer_us: int | None = None
        self.garp = GarpSchedule(config.garp)
        self.preempt_from_us: int | None = None
        """With preempt_delay: from when on adverts of lower priority are discarded; None: none was heard yet."""
        self.master_address: str | None = None
        self.master_priority = 0
        self.heard_priority = 0
        """Of the last master that was not us; 0: none was heard yet."""
        self.master_interval_us = advert_interval_us(config)
        self.last_transition_us = 0
        self.duel_us = 0
        """When, as MASTER, it last heard another one that it outranks."""
        self.stats = InstanceStats()
        self.lines = Budget(_LINES_PER_S)
        self.answers = Budget(_ANSWERS_PER_S)
        self.rival: Rival | None = None
        """As an owner that is MASTER: somebody with a lower address who says that it owns the addresses too."""
        self.uses_old_checksum = config.old_unicast_checksum == "always"
        self.standby = False
        """An operator holds it back: it is no MASTER, whatever it hears (`vrrp.standby`)."""
        self.recent = Recent()
        self.stepped_down = False
        """As an owner: 254 is the priority until that rival is gone."""
        self.reported: dict[str, str] = {}
        """The sender that each kind of packet error was last logged for."""
        self.other_form_senders: dict[str, None] = {}
        self.advertised = advertised_addresses(config)
        self.queued_us: int | None = None
        """Where it stands in the router's heap."""

    # ---- what it is ----

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def owner(self) -> bool:
        """It has the addresses for its own (priority 255)."""
        return self.config.priority == OWNER

    def own_interval_us(self) -> int:
        return advert_interval_us(self.config)

    def skew_us(self) -> int:
        return skew_us(self.config.version, self.priority, self.master_interval_us)

    def master_down_us(self) -> int:
        return master_down_us(
            self.config.version, self.priority, self.master_interval_us, self.config.down_timer_adverts
        )

    def deadline_us(self) -> int | None:
        timer_us, garp_us = self.timer_us, self.garp.next_us
        if timer_us is None or (garp_us is not None and garp_us < timer_us):
            return garp_us
        return timer_us

    # ---- time ----

    def expire(self, now_us: int, out: Output) -> None:
        """Do what is due at this instant."""
        if self.timer_us is not None and self.timer_us <= now_us:
            if self.state is MASTER:
                self._advert_due(now_us, out)
            elif self.state is BACKUP:
                self._master_is_down(now_us, out)
        if self.state is MASTER:
            for repeat in self.garp.due(now_us):
                self.announce(repeat, out)

    def _master_is_down(self, now_us: int, out: Output) -> None:
        if self.standby:
            self.master_address = None
            self.timer_us = now_us + self.master_down_us()
            return
        out.detail(self, f"({self.name}) Receive advertisement timeout")
        self.wanted = MASTER
        if self.waits or (self.group and not self.group.may_lead(self)):
            self.timer_us = now_us + self.master_down_us()
            return
        self.become_master(now_us, out)
        if self.group:
            self.group.became_master(self, now_us, out)

    def _advert_due(self, now_us: int, out: Output) -> None:
        assert self.timer_us is not None
        late_us = now_us - self.timer_us
        interval_us = self.own_interval_us()
        config = self.config
        limit = config.timer_expired_backup or HIGHEST_BACKUP
        # The others restarted their down timers one interval before this advert was due.
        if late_us > master_down_us(config.version, limit, interval_us, config.down_timer_adverts) - interval_us:
            out.log(self, f"({self.name}) VRRP thread timer expired {format_seconds(late_us)} seconds ago")
            if config.timer_expired_backup is not None and config.nopreempt:
                self.become_backup(now_us, out)
                if self.group:
                    self.group.left_for_backup(self, now_us, out)
                return
        self.send_advert(out)
        self.timer_us += interval_us
        if self.timer_us <= now_us:
            self.timer_us = now_us + interval_us

    # ---- transitions ----

    def clean(self, out: Output) -> None:
        """Before anything else: take away what an earlier life may have left behind."""
        log_addresses(self, "removing", out)
        out.put(self, RemoveAddresses(self.name))

    def become_master(self, now_us: int, out: Output) -> None:
        config = self.config
        self._enter(MASTER, now_us)
        self.wanted = MASTER
        self.stats.become_master += 1
        restored, self.stepped_down = self.stepped_down, False
        if restored:
            self.priority = OWNER
        self.send_advert(out)
        out.log(self, f"({self.name}) Entering MASTER STATE")
        if restored:
            out.log(self, f"({self.name}) Restoring our priority to 255 since other address owner has disappeared")
        if self.master_interval_us != self.own_interval_us():
            out.log(
                self,
                f"({self.name}) changing advert interval from {self.master_interval_us // 1000}ms "
                f"to locally configured {self.own_interval_us() // 1000}ms",
            )
        self.master_interval_us = self.own_interval_us()
        self.master_address = self.source
        self.master_priority = self.priority
        self.timer_us = now_us + self.master_interval_us
        log_addresses(self, "setting", out)
        out.put(self, AddAddresses(self.name))
        self.announce(self.garp.became_master(now_us), out)
        self.notify("MASTER", out)
        if self.sync_daemon:
            out.put(self, SyncDaemonRole(config.name, True))

    def become_backup(
        self, now_us: int, out: Output, *, timer_us: int | None = None, farewell: bool = False, init: bool = False
    ) -> None:
        """Enter BACKUP; `timer_us` is the length of the down timer, Master_Down_Interval when it is not given."""
        before = self.state
        self._enter(BACKUP, now_us)
        self.wanted = BACKUP
        if before in {VrrpState.INIT, FAULT}:
            self.master_interval_us = self.own_interval_us()
            if is_unicast(self.config) and before is FAULT and now_us >= self.not_before_us:
                out.put(self, AnnounceSource(self.name))
        unsaid = before is VrrpState.INIT and begins_as_master(self)
        entering = "BACKUP STATE (init)" if init else "BACKUP STATE"
        self._let_go(before, None if unsaid else entering, out, farewell=farewell)
        if timer_us is None:
            timer_us = first_timer_us(self, before)
        self.timer_us = max(now_us, self.not_before_us) + timer_us
        if unsaid:
            out.moved(self)
        else:
            self.notify("BACKUP", out)

    def become_fault(self, now_us: int, out: Output, *, init: bool = False) -> None:
        before = self.state
        self._enter(FAULT, now_us)
        self.wanted = BACKUP
        self.timer_us = None
        self._let_go(before, "FAULT STATE (init)" if init else "FAULT STATE", out, farewell=True)
        self.notify("FAULT", out)

    def stop(self, now_us: int, out: Output, *, release: bool) -> None:
        """Leave for good: say goodbye and take the addresses away. The notify is for the caller to order."""
        before = self.state
        self._enter(VrrpState.STOP, now_us)
        self.timer_us = None
        if before is MASTER and release:
            self._farewell(out)
            self._take_away(out)

    def delete(self, now_us: int, out: Output) -> None:
        """A reload no longer has it."""
        before = self.state
        if before is MASTER:
            self._let_go(before, None, out, farewell=True)
        self._enter(VrrpState.DELETED, now_us)
        self.timer_us = None
        self.notify("DELETED" if self.config.use_deleted_state else "FAULT", out)

    def lose_address(self, now_us: int, out: Output) -> None:
        """Somebody took an address of a MASTER: start over quickly, so that addresses and announcements come anew."""
        self.become_backup(now_us, out, timer_us=self.skew_us(), farewell=True)

    def _enter(self, state: VrrpState, now_us: int) -> None:
        self.state = state
        self.last_transition_us = now_us
        self.preempt_from_us = None
        self.reported.clear()
        self.rival = None
        self.garp.clear()

    def _let_go(self, before: VrrpState, entering: str | None, out: Output, *, farewell: bool) -> None:
        """The steps out of MASTER, in their order; from any other state only the log line."""
        if before is MASTER and self.sync_daemon:
            out.put(self, SyncDaemonRole(self.name, False))
        if entering:
            out.log(self, f"({self.name}) Entering {entering}")
        if before is not MASTER:
            return
        self.stats.release_master += 1
        if self.master_address == self.source:
            self.master_address = None
        if farewell:
            self._farewell(out)
        self._take_away(out)

    def _farewell(self, out: Output) -> None:
        self.send_advert(out, resigning=True)
        out.detail(self, f"({self.name}) sent 0 priority")

    def _take_away(self, out: Output) -> None:
        log_addresses(self, "removing", out)
        out.put(self, RemoveAddresses(self.name))

    # ---- what it says ----

    def send_advert(self, out: Output, *, resigning: bool = False) -> None:
        self.stats.advert_sent += 1
        if resigning:
            self.stats.pri_zero_sent += 1
        out.put(self, SendAdvert(self.name, 0 if resigning else self.priority))

    def notify(self, state: str, out: Output) -> None:
        out.put(self, Notify(NotifyKind.INSTANCE, self.name, state, self.priority))

    def announce(self, repeat: int, out: Output) -> None:
        """Announce all addresses `repeat` times."""
        announce(self, repeat, out)

    def announce_against_lower(self, now_us: int, out: Output) -> None:
        """A router of lower priority was MASTER beside us; caches may point to it."""
        self.announce(self.garp.heard_lower(now_us), out)

    # ---- trackers and priority ----

    def judge(self, standing: Standing, now_us: int, out: Output, *, init: bool = False) -> None:
        """Go where the trackers want it; for instances in no sync group. `init`: at the start of the daemon."""
        faults = () if standing.gated else faults_in(self.state, standing)
        for line in fault_lines(self.name, self.faults, faults):
            out.log(self, line)
        self.faults = faults
        self.set_priority(standing.priority, now_us, out)
        self.waits = must_wait(self.state, standing)
        if standing.gated:
            return
        if faults:
            if self.state is not FAULT:
                self.become_fault(now_us, out, init=init)
        elif not self.waits and self.state in {VrrpState.INIT, FAULT}:
            self.become_backup(now_us, out, init=init)

    def set_priority(self, priority: int, now_us: int, out: Output) -> None:
        """Take a new effective priority; a running down timer moves by the difference in skew."""
        if self.stepped_down:
            priority = min(priority, HIGHEST_BACKUP)
        if priority == self.priority:
            return
        out.log(self, f"({self.name}) Changing effective priority from {self.priority} to {priority}")
        before_us = self.skew_us()
        self.priority = priority
        if self.state is MASTER:
            self.master_priority = priority
        elif self.state is BACKUP and self.timer_us is not None:
            self.timer_us = max(now_us, self.timer_us + self.skew_us() - before_us)
        if self.config.notify_priority_changes and self.state in {MASTER, BACKUP}:
            self.notify(f"{self.state.name}_PRIORITY", out)
