"""One virtual router and one sync group, thought a second time; `second` says for what."""

from __future__ import annotations

from pykeepalived.model.vrrp import SyncGroup, VrrpInstance, VrrpState
from pykeepalived.vrrp import events
from tests.simulation.standing import Standing

INIT, BACKUP, MASTER, FAULT = VrrpState.INIT, VrrpState.BACKUP, VrrpState.MASTER, VrrpState.FAULT
STOP = VrrpState.STOP
SECOND_US = 1_000_000
NEVER_US = 1 << 62
_ANSWERS_PER_S = 20

Word = tuple[object, ...]


def wire_us(item: VrrpInstance) -> int:
    """The interval as peers read it: whole seconds in version 2, hundredths in version 3."""
    unit_us = SECOND_US if item.version == 2 else 10_000
    return max(1, item.advert_interval_us // unit_us) * unit_us


def leads_at_once(item: VrrpInstance) -> bool:
    """An owner that is to begin as MASTER: the moment before is nobody's business (2.2.7 and 2.4.3, seen)."""
    return item.priority == 255 and item.initial_state is MASTER


class One:
    """One virtual router."""

    def __init__(self, item: VrrpInstance) -> None:
        self.item = item
        self.state = INIT
        self.priority = item.priority
        self.timer_us: int | None = None
        self.interval_us = wire_us(item)
        self.wants_to_lead = False
        self.failing = False
        self.waits = False
        self.held = False
        self.group: Several | None = None
        self.changed_us = 0
        self.preempts_us: int | None = None
        self.earliest_us = 0
        self.again_us: int | None = None
        self.refresh_us: int | None = None
        self.against_us: int | None = None
        self.own_address: str | None = None
        self.master: str | None = None
        self.master_priority = 0
        self.duel_us = 0
        self.heard = self.goodbyes_heard = self.sent = self.goodbyes_sent = self.led = self.left = 0
        self.duels = self.other_lists = 0
        self.due_us = NEVER_US
        self.answers_until_us = -1
        self.answers = 0
        self.said: list[Word] = []

    # ── times (RFC 3768 and RFC 9568, section 6.1) ────────────────────────────────────────────────────────────────

    def skew_us(self, priority: int | None = None) -> int:
        whole_us = SECOND_US if self.item.version == 2 else self.interval_us
        return (256 - (self.priority if priority is None else priority)) * whole_us // 256

    def down_us(self) -> int:
        return self.item.down_timer_adverts * self.interval_us + self.skew_us()

    def plan(self) -> None:
        """Note when it is due next."""
        due_us = NEVER_US if self.timer_us is None else self.timer_us
        for at_us in (self.again_us, self.refresh_us, self.against_us):
            if at_us is not None and at_us < due_us:
                due_us = at_us
        self.due_us = due_us

    def facts(self) -> tuple[object, ...]:
        """What status and counters must show."""
        counts = (self.heard, self.goodbyes_heard, self.sent, self.goodbyes_sent, self.led, self.left)
        return (self.master, self.master_priority, *counts, self.duels, self.other_lists)

    # ── transitions ───────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self, state: VrrpState, now_us: int) -> VrrpState:
        before, self.state, self.changed_us = self.state, state, now_us
        self.again_us = self.refresh_us = self.against_us = self.preempts_us = None
        return before

    def lead(self, now_us: int) -> None:
        self._turn(MASTER, now_us)
        self.wants_to_lead = True
        self.interval_us = wire_us(self.item)
        self.timer_us = now_us + self.interval_us
        self.led += 1
        self.master, self.master_priority = self.own_address, self.priority
        self.advert(self.priority)
        self.said.append(("add",))
        garp = self.item.garp
        self.again_us = now_us + garp.delay_us if garp.delay_us and garp.repeat else None
        self.refresh_us = now_us + garp.refresh_us if garp.refresh_us and garp.refresh_repeat else None
        self.announce(garp.repeat)
        self.tell("MASTER")

    def follow(self, now_us: int, wait_us: int | None = None, *, goodbye: bool = False) -> None:
        before = self._turn(BACKUP, now_us)
        self.wants_to_lead = False
        if before in (INIT, FAULT):
            self.interval_us = wire_us(self.item)
        self._let_go(before, goodbye)
        self.timer_us = max(now_us, self.earliest_us) + (self._first_wait_us(before) if wait_us is None else wait_us)
        if before is not INIT or not leads_at_once(self.item) or self.group is not None:
            self.tell("BACKUP")

    def fail(self, now_us: int) -> None:
        before = self._turn(FAULT, now_us)
        self.wants_to_lead = False
        self.timer_us = None
        self._let_go(before, True)
        self.tell("FAULT")

    def _let_go(self, before: VrrpState, goodbye: bool) -> None:
        if before is MASTER:
            self.left += 1
            if self.master == self.own_address:
                self.master = None
            if goodbye:
                self.advert(0)
            self.said.append(("remove",))

    def _first_wait_us(self, before: VrrpState) -> int:
        if self.group is None or all(mate.item.priority == 255 for mate in self.group.members):
            owner = self.item.priority == 255
            if before is INIT and owner:
                return 1
            if before is INIT and self.item.initial_state is MASTER:
                return self.interval_us + self.skew_us(255)
            if before is FAULT and owner:
                return self.interval_us + self.skew_us()
        return self.down_us()

    def advert(self, priority: int) -> None:
        self.sent += 1
        self.goodbyes_sent += priority == 0
        self.said.append(("advert", priority))

    def tell(self, state: str) -> None:
        self.said.append(("notify", state, self.priority))

    def announce(self, times: int) -> None:
        if times and self.item.addresses:
            self.said.append(("announce", times))

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now_us: int) -> None:
        if self.timer_us is not None and self.timer_us <= now_us:
            if self.state is MASTER:
                self._speak(now_us)
            elif self.state is BACKUP:
                self._silence(now_us)
        if self.state is MASTER:
            self._announce_again(now_us)

    def _speak(self, now_us: int) -> None:
        assert self.timer_us is not None
        item, interval_us = self.item, wire_us(self.item)
        highest = item.timer_expired_backup or 254
        unit_us = SECOND_US if item.version == 2 else interval_us
        patience_us = (item.down_timer_adverts - 1) * interval_us + (256 - highest) * unit_us // 256
        if now_us - self.timer_us > patience_us and item.timer_expired_backup is not None and item.nopreempt:
            self.follow(now_us)
            if self.group:
                self.group.follow(self, now_us)
            return
        self.advert(self.priority)
        self.timer_us = self.timer_us + interval_us if self.timer_us + interval_us > now_us else now_us + interval_us

    def _silence(self, now_us: int) -> None:
        if self.held:
            self.master = None
            self.timer_us = now_us + self.down_us()
            return
        self.wants_to_lead = True
        if self.waits or (self.group is not None and not self.group.agrees(self)):
            self.timer_us = now_us + self.down_us()
            return
        self.lead(now_us)
        if self.group is not None:
            self.group.lead(self, now_us)

    def _announce_again(self, now_us: int) -> None:
        garp = self.item.garp
        if self.again_us is not None and self.again_us <= now_us:
            self.again_us = None
            self.announce(garp.repeat)
        if self.against_us is not None and self.against_us <= now_us:
            self.against_us = None
            self.announce(garp.lower_prio_repeat)
        if self.refresh_us is not None and self.refresh_us <= now_us:
            self.refresh_us = max(self.refresh_us + garp.refresh_us, now_us + 1)
            self.announce(garp.refresh_repeat)

    # ── elections (6.4.2 and 6.4.3) ───────────────────────────────────────────────────────────────────────────────

    def hear(self, advert: events.Advert, own: bytes, source: bytes, now_us: int) -> None:
        self.heard += 1
        self.goodbyes_heard += advert.priority == 0
        if self.state in (BACKUP, MASTER):
            self._compare_lists(advert)
        if self.state is BACKUP:
            if advert.priority == 0:
                self.timer_us = max(now_us, self.earliest_us) + self.skew_us()
            elif self._believes(advert.priority, now_us):
                self.wants_to_lead = False
                self._remember(advert)
                self.timer_us = now_us + self.down_us()
        elif self.state is MASTER:
            self._hear_rival(advert, own, source, now_us)

    def _believes(self, priority: int, now_us: int) -> bool:
        item = self.item
        if priority >= self.priority:
            self.preempts_us = None
            return True
        if self.held:
            return True
        if item.priority == 255:
            return False
        if item.nopreempt:
            return True
        if item.preempt_delay_us == 0:
            return False
        if self.preempts_us is None:
            self.preempts_us = now_us + item.preempt_delay_us
        return now_us < self.preempts_us

    def _hear_rival(self, advert: events.Advert, own: bytes, source: bytes, now_us: int) -> None:
        item = self.item
        if advert.priority == 0:
            if self._may_answer(now_us):
                self.advert(self.priority)
                self.timer_us = now_us + wire_us(item)
        elif (advert.priority, source) > (self.priority, own):
            if item.higher_prio_send_advert is not False:
                self.advert(self.priority)
            self._remember(advert)
            self.follow(now_us)
            if self.group is not None:
                self.group.follow(self, now_us)
        else:
            if now_us - max(self.changed_us, self.duel_us) > 2 * wire_us(item):
                self.duels += 1
            self.duel_us = now_us
            if self._may_answer(now_us):
                self._contradict(now_us)

    def _contradict(self, now_us: int) -> None:
        if not self.item.lower_prio_no_advert:
            self.advert(self.priority)
            self.timer_us = now_us + wire_us(self.item)
        for one in [self] if self.group is None else [self, *self.group.others(self)]:
            if one.state is MASTER:
                one.say_against_lower(now_us)
        self.tell("MASTER_RX_LOWER_PRI")

    def _remember(self, advert: events.Advert) -> None:
        self.master, self.master_priority = advert.source, advert.priority
        if self.item.version == 3:
            self.interval_us = advert.interval_us

    def _compare_lists(self, advert: events.Advert) -> None:
        ours, theirs = {each.prefix.address for each in self.item.addresses}, set(advert.addresses)
        if ours != theirs and not (self.item.skip_check_adv_addr and advert.source == self.master):
            self.other_lists += 1

    def say_against_lower(self, now_us: int) -> None:
        garp = self.item.garp
        if garp.lower_prio_repeat and garp.lower_prio_delay_us:
            self.against_us = now_us + garp.lower_prio_delay_us
        self.announce(garp.lower_prio_repeat)

    def _may_answer(self, now_us: int) -> bool:
        """A second of answers begins with the first."""
        if now_us >= self.answers_until_us:
            self.answers_until_us, self.answers = now_us + SECOND_US, 0
        self.answers += 1
        return self.answers <= _ANSWERS_PER_S

    # ── trackers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def become_worth(self, priority: int, now_us: int) -> None:
        if priority == self.priority:
            return
        before_us, self.priority = self.skew_us(), priority
        if self.state is MASTER:
            self.master_priority = priority
        if self.state is BACKUP and self.timer_us is not None:
            self.timer_us = max(now_us, self.timer_us + self.skew_us() - before_us)
        if self.item.notify_priority_changes and self.state in (MASTER, BACKUP):
            self.tell(f"{self.state.name}_PRIORITY")

    def judge(self, standing: Standing, now_us: int) -> None:
        fails = standing.fails or (standing.tentative and self.state is FAULT)
        self.failing = fails
        self.become_worth(standing.priority, now_us)
        self.waits = standing.tentative or (self.state is INIT and standing.waits)
        if fails:
            if self.state is not FAULT:
                self.fail(now_us)
        elif not self.waits and self.state in (INIT, FAULT):
            self.follow(now_us)


class Several:
    """A sync group: all lead or none does (keepalived-behaviour 7.8)."""

    def __init__(self, config: SyncGroup, members: list[One]) -> None:
        self.config = config
        self.members = members
        self.state = INIT
        self.said: list[Word] = []
        for member in members:
            member.group = self

    def others(self, member: One) -> list[One]:
        return [mate for mate in self.members if mate is not member]

    def agrees(self, member: One) -> bool:
        return not any(
            not mate.wants_to_lead or mate.failing or mate.waits or mate.held for mate in self.others(member)
        )

    def reach(self, state: VrrpState) -> None:
        if self.state is not state:
            self.state = state
            self.said.append(("notify", state.name, 0))

    def lead(self, first: One, now_us: int) -> None:
        for mate in self.others(first):
            if mate.state is not MASTER:
                mate.lead(now_us)
        self.reach(MASTER)

    def follow(self, first: One, now_us: int) -> None:
        for mate in self.others(first):
            if mate.state is MASTER:
                mate.follow(now_us)
            mate.wants_to_lead = False
        self.reach(BACKUP)

    def judge(self, standings: list[Standing], now_us: int) -> None:
        failing = [s.fails or (s.tentative and m.state is FAULT) for m, s in zip(self.members, standings, strict=True)]
        fresh = all(member.state is INIT for member in self.members)
        waits = any(s.tentative for s in standings) or (fresh and any(s.waits for s in standings))
        for member, standing in zip(self.members, standings, strict=True):
            member.failing, member.waits = any(failing), waits
            member.become_worth(standing.priority, now_us)
        if any(failing):
            for member in self.members:
                if member.state is not FAULT:
                    member.fail(now_us)
            self.reach(FAULT)
        elif not waits and (movers := [member for member in self.members if member.state in (INIT, FAULT)]):
            for member in movers:
                member.follow(now_us)
            if not any(member.state is MASTER for member in self.members):
                self.reach(BACKUP)
