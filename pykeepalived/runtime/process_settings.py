"""What a child is to the kernel: name, nice value, real-time priority and its limit, CPUs, locked memory.

Applied at the start of the child and again, where the words changed, at a reload (keepalived-behaviour 3.1).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from pykeepalived.model.config import GlobalDefs
from pykeepalived.processes import names
from pykeepalived.units import SECOND_US

_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4
_SCHED_RESET_ON_FORK: Final = 0x40000000
_DEFAULT_NAME: Final = "keepalived"
#: Where the kernel kills a real-time child that never waits. The original's 10 ms are less than one turn of ours.
_RTTIME_END_US: Final = 10 * SECOND_US
#: By child word: what the words of its settings begin with, and its name under `process_names`.
_PREFIXES: Final = {"vrrp": "vrrp", "checker": "checker", "bfd": "bfd"}
_NAMES: Final = {"vrrp": "keepalived_vrrp", "checker": "keepalived_lvs", "bfd": "keepalived_bfd"}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What one child is to have."""

    name: str = _DEFAULT_NAME
    nice: int = 0
    rt_priority: int = 0
    rt_limit_us: int | None = None
    no_swap: bool = False
    cpus: tuple[int, ...] = ()


def parent_name(settings: GlobalDefs) -> str:
    """comm of the parent: `process_name`."""
    return settings.daemon.process_name or _DEFAULT_NAME


def standing(word: str, settings: GlobalDefs) -> Standing:
    """What global_defs say about the child `word`."""
    daemon = settings.daemon
    if word not in _PREFIXES:
        return Standing(name=f"keepalived_{word[:4]}" if daemon.process_names else parent_name(settings))
    prefix = _PREFIXES[word]
    name = getattr(daemon, f"{prefix}_process_name")
    if name is None:
        name = _NAMES[word] if daemon.process_names else parent_name(settings)
    return Standing(
        name=name,
        nice=getattr(settings, f"{prefix}_priority") or 0,
        rt_priority=getattr(settings, f"{prefix}_rt_priority") or 0,
        rt_limit_us=getattr(daemon, f"{prefix}_rlimit_rttime"),
        no_swap=getattr(settings, f"{prefix}_no_swap"),
        cpus=getattr(daemon, f"{prefix}_cpu_affinity"),
    )


class ProcessSettings:
    """Applies what differs from what the process has; says what the kernel refuses."""

    def __init__(self, word: str, log_error: Callable[[str], None]) -> None:
        self._word = word
        self._log_error = log_error
        self._has = Standing()
        self._all_cpus = os.sched_getaffinity(0)

    def apply(self, settings: GlobalDefs) -> None:
        old, new = self._has, standing(self._word, settings)
        self._has = new
        if new.name != old.name:
            names.set_comm(new.name)
        if new.cpus != old.cpus:
            self._set_cpus(new.cpus or self._all_cpus)
        if new.nice != old.nice:
            self._set_nice(new.nice)
        if new.rt_priority != old.rt_priority:
            self._set_rt_priority(new.rt_priority)
        if new.rt_priority and (new.rt_limit_us, 0) != (old.rt_limit_us, old.rt_priority and 0):
            self._set_rt_limit(new.rt_limit_us)
        if new.no_swap != old.no_swap:
            self._lock_memory(new.no_swap)

    def _set_cpus(self, cpus: Iterable[int]) -> None:
        try:
            os.sched_setaffinity(0, cpus)
        except OSError as error:
            self._log_error(f"Unable to run on CPUs {' '.join(map(str, sorted(cpus)))} - {error.strerror}")

    def _set_nice(self, nice: int) -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        except OSError as error:
            self._log_error(f"Unable to set process priority to {nice} - {error.strerror}")

    def _set_rt_priority(self, priority: int) -> None:
        policy = os.SCHED_RR | _SCHED_RESET_ON_FORK if priority else os.SCHED_OTHER
        try:
            os.sched_setscheduler(0, policy, os.sched_param(priority))
        except OSError as error:
            self._log_error(f"Unable to set realtime priority to {priority} - {error.strerror}")

    def _set_rt_limit(self, limit_us: int | None) -> None:
        """Told (SIGXCPU) where the words say, ended far beyond it: being killed in a long turn helps nobody."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGXCPU})
        end_us = max(_RTTIME_END_US, limit_us or 0)
        try:
            resource.setrlimit(resource.RLIMIT_RTTIME, (end_us if limit_us is None else limit_us, end_us))
        except (OSError, ValueError) as error:
            self._log_error(f"Unable to limit realtime CPU use to {limit_us} microseconds - {error}")

    def _lock_memory(self, locked: bool) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        # ONFAULT: only pages that are touched are locked, so the interpreter's idle pages cost nothing.
        done = libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) if locked else libc.munlockall()
        if done != 0:
            self._log_error(f"Unable to lock process in memory - {os.strerror(ctypes.get_errno())}")


class AutoPriority:
    """`max_auto_priority`: a child whose timers run late takes real-time priority, one step at a time.

    `late` is for `Reactor.on_late`; the threshold is `min_auto_priority_delay`.
    """

    def __init__(self, log: Callable[[str], None], title: str) -> None:
        self._log = log
        self._title = title
        self._ceiling = 0
        self.threshold_us = 0

    def configure(self, settings: GlobalDefs) -> bool:
        """Whether lateness matters at all."""
        self._ceiling = max(0, settings.daemon.max_auto_priority or 0)
        self.threshold_us = settings.daemon.min_auto_priority_delay
        return self._ceiling > 0

    def late(self, late_us: int) -> None:
        if late_us < self.threshold_us:
            return
        current = os.sched_getparam(0).sched_priority
        if current >= self._ceiling:
            return
        try:
            os.sched_setscheduler(0, os.SCHED_RR | _SCHED_RESET_ON_FORK, os.sched_param(current + 1))
        except OSError as error:
            self._ceiling = 0
            self._log(f"Unable to set realtime priority to {current + 1} - {error.strerror}")
            return
        self._log(
            f"A timer of the {self._title} process ran {late_us} microseconds late - "
            f"realtime priority is now {current + 1}"
        )
