"""Faults planted in the cores, one at a time: the simulator is worth what it finds of them.

Each row is a module of `pykeepalived.vrrp`, a piece of its source that stands there once, and what takes its place. A
row whose piece no longer stands in the source is a fault of this table, and the tests say so.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple


class PlantedFault(NamedTuple):
    name: str
    module: str
    before: str
    after: str


def _fault(name: str, module: str, before: str, after: str) -> PlantedFault:
    return PlantedFault(name, f"pykeepalived.vrrp.{module}", before, after)


FAULTS: tuple[PlantedFault, ...] = (
    # Timers.
    _fault("skew-left-out", "timers", "return (256 - priority) * unit_us // 256", "return 0"),
    _fault("skew-turned-round", "timers", "(256 - priority) * unit_us", "priority * unit_us"),
    _fault("down-timer-of-two", "timers", "return adverts * interval_us", "return 2 * interval_us"),
    _fault("down-timer-of-nine", "timers", "return adverts * interval_us", "return 9 * interval_us"),
    _fault("advert-timer-doubled", "instance", "self.timer_us += interval_us", "self.timer_us += 2 * interval_us"),
    _fault(
        "first-advert-late",
        "instance",
        "self.timer_us = now_us + self.master_interval_us\n",
        "self.timer_us = now_us + 3 * self.master_interval_us\n",
    ),
    _fault(
        "no-first-wait",
        "beginning",
        "    return instance.master_down_us()\n",
        "    return 1\n",
    ),
    _fault("deadline-nearer-ignored", "router", "deadline_us < timed.queued_us)", "deadline_us > timed.queued_us)"),
    # Hearing as backup.
    _fault("priority-0-ignored", "hearing", "if advert.priority == 0:\n        _say", "if False:\n        _say"),
    _fault(
        "priority-0-waits-in-full",
        "hearing",
        "max(now_us, instance.not_before_us) + instance.skew_us()",
        "max(now_us, instance.not_before_us) + instance.master_down_us()",
    ),
    _fault(
        "equals-discarded",
        "hearing",
        "if advert.priority >= instance.priority:",
        "if advert.priority > instance.priority:",
    ),
    _fault("lower-always-believed", "hearing", "elif not _tolerates_lower(instance, now_us, out):", "elif False:"),
    _fault("nopreempt-forgotten", "hearing", "if instance.config.nopreempt or ", "if False or "),
    _fault("preempt-delay-forgotten", "hearing", "if not delay_us:", "if True:"),
    _fault("preempt-delay-endless", "hearing", "return now_us < instance.preempt_from_us", "return True"),
    _fault(
        "down-timer-not-restarted",
        "hearing",
        "master(instance, advert, now_us, out)\n    instance.timer_us = now_us + instance.master_down_us()",
        "master(instance, advert, now_us, out)",
    ),
    # Hearing as master.
    _fault("yields-to-lower", "hearing", "advert.priority > ours\n        or", "advert.priority < ours\n        or"),
    _fault(
        "never-yields",
        "hearing",
        "        _yield_to(instance, advert, now_us, out)\n        return\n",
        "        return\n",
    ),
    _fault(
        "tie-the-wrong-way",
        "hearing",
        "address_order(source) > address_order(",
        "address_order(source) < address_order(",
    ),
    _fault(
        "tie-undecided",
        "hearing",
        "advert.priority == ours and address_order(source) >",
        "False and address_order(source) >",
    ),
    _fault(
        "tie-by-text",
        "timers",
        'return ipaddress.ip_address(address.partition("%")[0]).packed',
        "return address.encode()",
    ),
    # Transitions.
    _fault("addresses-not-taken", "instance", "        out.put(self, AddAddresses(self.name))\n", ""),
    _fault(
        "addresses-kept",
        "instance",
        '"removing", out)\n        out.put(self, RemoveAddresses(self.name))\n\n    # ---- what',
        '"removing", out)\n\n    # ---- what',
    ),
    _fault("master-not-told", "instance", '        self.notify("MASTER", out)\n', ""),
    _fault("backup-not-told", "instance", 'self.notify("BACKUP", out)\n', "pass\n"),
    _fault("fault-not-told", "instance", '        self.notify("FAULT", out)\n', ""),
    _fault("not-announced", "instance", "        self.announce(self.garp.became_master(now_us), out)\n", ""),
    _fault(
        "master-enters-in-silence",
        "instance",
        '        self.send_advert(out)\n        out.log(self, f"({self.name}) Entering MASTER',
        '        out.log(self, f"({self.name}) Entering MASTER',
    ),
    _fault(
        "no-farewell",
        "instance",
        "        if before is MASTER and release:\n            self._farewell(out)\n",
        "        if before is MASTER and release:\n",
    ),
    _fault(
        "stop-keeps-addresses",
        "instance",
        "            self._farewell(out)\n            self._take_away(out)\n",
        "            self._farewell(out)\n",
    ),
    _fault("lost-address-ignored", "router", "        instance.lose_address(now_us, out)\n", ""),
    # Trackers.
    _fault(
        "fault-ignored",
        "instance",
        "        if faults:\n            if self.state is not FAULT:",
        "        if False:\n            if self.state is not FAULT:",
    ),
    _fault(
        "never-recovers",
        "instance",
        "self.state in {VrrpState.INIT, FAULT}:\n            self.become_backup",
        "self.state in {VrrpState.INIT}:\n            self.become_backup",
    ),
    _fault("link-stays-up", "router", "links[event.ifname] = event.up", "links[event.ifname] = True"),
    _fault(
        "link-stays-down",
        "router",
        "links[event.ifname] = event.up",
        "links[event.ifname] = event.up and not self._running",
    ),
    _fault(
        "weight-turned-round", "tracking", "elif weight and up is (weight > 0):", "elif weight and up is (weight < 0):"
    ),
    _fault(
        "priority-not-applied",
        "instance",
        "        self.priority = priority\n        if self.state is MASTER:",
        "        if self.state is MASTER:",
    ),
    _fault("script-result-lost", "scripts", "        self.running = False\n        timed_out", "        timed_out"),
    _fault("script-never-up", "scripts", "up = self._count >= rise", "up = self._count > rise + 99"),
    # Groups.
    _fault(
        "group-not-led", "instance", "            self.group.became_master(self, now_us, out)\n", "            pass\n"
    ),
    _fault(
        "group-not-told-of-yield",
        "hearing",
        "        instance.group.left_for_backup(instance, now_us, out)\n",
        "        pass\n",
    ),
    _fault(
        "group-mates-stay-master",
        "sync_group",
        "                mate.become_backup(now_us, out)\n",
        "                pass\n",
    ),
    _fault(
        "group-faults-alone",
        "sync_group",
        "        for member in movers:\n            member.become_fault",
        "        for member in movers[:1]:\n            member.become_fault",
    ),
    _fault(
        "group-leads-with-a-fault",
        "sync_group",
        "        if faults:\n            self._to_fault",
        "        if False:\n            self._to_fault",
    ),
    _fault(
        "group-loses-addresses-alone",
        "router",
        "            instance.group.lost_address(instance, now_us, out)\n",
        "            pass\n",
    ),
    # Reload.
    _fault(
        "reload-starts-anew",
        "world",
        "            if match is None:\n                fresh.append(item)",
        "            if True:\n                fresh.append(item)",
    ),
    _fault(
        "reload-forgets-priority", "world", "        self.judge((instance for instance, _ in kept), now_us, out)\n", ""
    ),
    _fault(
        "reload-restarts-timers",
        "adaptation",
        "instance.timer_us = now_us\n",
        "instance.timer_us = now_us + 4 * instance.master_interval_us\n",
    ),
)


class _Planter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from changed source."""

    def __init__(self, fault: PlantedFault) -> None:
        self._fault = fault

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._fault.module:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(damaged(self._fault), f"{self._fault.module} ({self._fault.name})", "exec"), module.__dict__)


def damaged(fault: PlantedFault) -> str:
    """The source with the fault in it. Raises LookupError when the piece is not there exactly once."""
    spec = importlib.machinery.PathFinder.find_spec(
        fault.module, importlib.import_module(fault.module.rpartition(".")[0]).__path__
    )
    assert spec is not None and spec.loader is not None
    source = spec.loader.get_source(fault.module)  # type: ignore[attr-defined]
    if source.count(fault.before) != 1:
        raise LookupError(f"{fault.name}: its piece stands {source.count(fault.before)} times in {fault.module}")
    return str(source.replace(fault.before, fault.after))


def plant(fault: PlantedFault) -> None:
    """Put the fault into this process, before anything of the cores is imported."""
    assert fault.module not in sys.modules
    sys.meta_path.insert(0, _Planter(fault))
