"""Instances that are MASTER together or not at all (keepalived-behaviour 7.8).

A group has no timers and hears nothing. It couples machines: each member runs its own protocol, and after a member's
transition the group moves the others.

    A member's down timer expired    it leads only if every other member wants to be MASTER too; then all are, at once
    A member yielded                 all yield, without a farewell: the better router is already there for all of them
    A member lost an address         all start over as that member does
    A member's trackers failed       all are in FAULT, with a farewell each
    No member has a fault any more   all are BACKUP

The order is the original's (seen by running 2.2.7): the member that caused it first, with its notify, then the others,
then the group's own notify. Only at start the group speaks before its members.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pykeepalived.model.vrrp import SyncGroup, VrrpState
from pykeepalived.vrrp.events import Notify, NotifyKind
from pykeepalived.vrrp.instance import BACKUP, FAULT, MASTER, Instance, faults_in
from pykeepalived.vrrp.output import Output
from pykeepalived.vrrp.status import GroupStatus
from pykeepalived.vrrp.tracking import Fault, Standing, fault_lines


class Group:
    """The coupling of some instances. A group without members is never made."""

    def __init__(self, config: SyncGroup, members: Sequence[Instance]) -> None:
        self.config = config
        self.name = config.name
        self.members = tuple(members)
        self.state = VrrpState.INIT
        self.faults: tuple[str, ...] = ()
        for member in members:
            member.group = self

    # ---- what members ask and tell ----

    def may_lead(self, member: Instance) -> bool:
        return all(
            mate is member or (mate.wanted is MASTER and not mate.faults and not mate.waits and not mate.standby)
            for mate in self.members
        )

    def all_owners(self) -> bool:
        return all(member.owner for member in self.members)

    def begins_as_master(self) -> bool:
        return all(member.owner and member.config.initial_state is MASTER for member in self.members)

    def became_master(self, member: Instance, now_us: int, out: Output) -> None:
        out.log(self, f"VRRP_Group({self.name}) Syncing instances to MASTER state")
        for mate in self._others(member):
            if mate.state is not MASTER:
                mate.become_master(now_us, out)
        self._reach(MASTER, out)

    def left_for_backup(self, member: Instance, now_us: int, out: Output) -> None:
        out.log(self, f"VRRP_Group({self.name}) Syncing instances to BACKUP state")
        for mate in self._others(member):
            if mate.state is MASTER:
                mate.become_backup(now_us, out)
            mate.wanted = BACKUP
        self._reach(BACKUP, out)

    def lost_address(self, member: Instance, now_us: int, out: Output) -> None:
        """All start over. The original's group says nothing here, and that it is MASTER when it is so again."""
        for mate in self._others(member):
            if mate.state is MASTER:
                mate.lose_address(now_us, out)
        self.state = BACKUP

    def heard_lower(self, member: Instance, now_us: int, out: Output) -> None:
        for mate in self._others(member):
            if mate.state is MASTER:
                mate.announce_against_lower(now_us, out)

    # ---- what trackers say ----

    def judge(self, standings: Sequence[Standing], now_us: int, out: Output, *, init: bool = False) -> None:
        """Take the standing of every member, in member order, and move all of them together.

        `init`: this is the daemon's start, or the members are new.
        """
        gated = any(standing.gated for standing in standings)
        standings = [
            msgspec.structs.replace(standing, faults=() if gated else faults_in(member.state, standing))
            for member, standing in zip(self.members, standings, strict=True)
        ]
        faults = [fault for standing in standings for fault in standing.faults]
        # A member that waits holds back a group that starts; not one that a reload made of running members.
        waits = gated or any(standing.tentative for standing in standings)
        waits |= any(standing.waits_for for standing in standings) and all(
            member.state is VrrpState.INIT for member in self.members
        )
        culprit = next((at for at, standing in enumerate(standings) if standing.faults), 0)
        recovered = next((at for at, member in enumerate(self.members) if _healed(member, standings[at])), culprit)
        self.faults = tuple(dict.fromkeys(fault.words for fault in faults))
        for member, standing in zip(self.members, standings, strict=True):
            self._note(member, standing, bool(faults), out)
            member.waits = waits
            member.set_priority(standing.priority, now_us, out)
        if gated:
            return
        if faults:
            self._to_fault(self.members[culprit], now_us, out, init=init)
        elif not waits:
            self._to_backup(self.members[recovered], now_us, out, init=init)

    def _note(self, member: Instance, standing: Standing, failing: bool, out: Output) -> None:
        """A member suffers its own faults, and those of its mates through the group."""
        own = standing.faults
        if failing and not own:
            own = (Fault(f"sync group {self.name}", ""),)
        for line in fault_lines(member.name, member.faults, own):
            out.log(member, line)
        member.faults = own

    def _to_fault(self, first: Instance, now_us: int, out: Output, *, init: bool) -> None:
        movers = [member for member in (first, *self._others(first)) if member.state is not FAULT]
        if not movers and self.state is FAULT:
            return
        if init:
            self._reach(FAULT, out)
        for member in movers:
            member.become_fault(now_us, out, init=init)
            if not init and member is movers[0]:
                out.log(self, f"VRRP_Group({self.name}) Syncing instances to FAULT state")
        self._reach(FAULT, out)

    def _to_backup(self, first: Instance, now_us: int, out: Output, *, init: bool) -> None:
        movers = [member for member in (first, *self._others(first)) if member.state in {VrrpState.INIT, FAULT}]
        if not movers:
            return
        if self.state is VrrpState.INIT and self.begins_as_master():
            # Nothing is said of the group, not even that it is MASTER.
            self.state = MASTER
        elif init:
            self._reach(BACKUP, out)
        for member in movers:
            member.become_backup(now_us, out, init=init)
            if not init and member is movers[0]:
                out.log(self, f"VRRP_Group({self.name}) Syncing instances to BACKUP state")
        if self.state is not MASTER:
            self._reach(BACKUP, out)

    # ---- start, reload, stop ----

    def settle(self, new: Sequence[Instance], now_us: int, out: Output) -> None:
        """After a reload put instances together: they follow a MASTER if all others are new, else all are BACKUP.

        A group that serves goes on serving when an instance is added to it.
        """
        masters = [member for member in self.members if member.state is MASTER]
        others = [member for member in self.members if member.state is not MASTER]
        if not masters:
            state = self.members[0].state
            if state in {BACKUP, FAULT} and all(member.state is state for member in others):
                self._reach(state, out)
        elif all(member in new and not member.waits for member in others):
            for member in others:
                member.become_master(now_us, out)
            self._reach(MASTER, out)
        else:
            masters[0].become_backup(now_us, out)
            self.left_for_backup(masters[0], now_us, out)

    def stop(self, out: Output) -> None:
        self.state = VrrpState.STOP
        out.put(self, Notify(NotifyKind.GROUP, self.name, "STOP", 0))

    def status(self) -> GroupStatus:
        return GroupStatus(
            name=self.name,
            state=self.state,
            members=tuple(member.name for member in self.members),
            faults=self.faults,
        )

    def _others(self, member: Instance) -> list[Instance]:
        return [mate for mate in self.members if mate is not member]

    def _reach(self, state: VrrpState, out: Output) -> None:
        if self.state is not state:
            self.state = state
            out.put(self, Notify(NotifyKind.GROUP, self.name, state.name, 0))


def _healed(member: Instance, standing: Standing) -> bool:
    """Whether it had a fault of its own that is gone now."""
    return not standing.faults and any(fault.log for fault in member.faults)
