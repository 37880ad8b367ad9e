"""Notify scripts: which are started for which event, with which arguments, in which order (keepalived-behaviour 6.1).

For one transition of an instance the script of the state comes first, then `notify` with four words appended; the
group's scripts follow with the group's own event. Scripts of one object run one after the other, so that the effects
of MASTER and BACKUP cannot overtake each other; scripts of different objects run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from pykeepalived.model.common import Script
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import SyncGroup, VrrpInstance
from pykeepalived.processes.scripts import RunResult, ScriptRunner
from pykeepalived.vrrp.events import Notify, NotifyKind

#: States whose transition also starts the general `notify` script; the other words go to their own script or the FIFO.
_GENERAL_STATES = frozenset({"MASTER", "BACKUP", "FAULT", "STOP", "DELETED"})


def instance_scripts(instance: VrrpInstance, state: str, priority: int) -> Iterator[Script]:
    """The scripts of one event of an instance, in starting order, with their final arguments."""
    own = {
        "MASTER": instance.notify_master,
        "BACKUP": instance.notify_backup,
        "FAULT": instance.notify_fault,
        "STOP": instance.notify_stop,
        "DELETED": instance.notify_deleted,
        "MASTER_RX_LOWER_PRI": instance.notify_master_rx_lower_pri,
    }.get(state)
    if own is not None:
        yield own
    if instance.notify is not None and state in _GENERAL_STATES:
        yield with_words(instance.notify, "INSTANCE", instance.name, state, str(priority))


def group_scripts(group: SyncGroup, state: str) -> Iterator[Script]:
    """The scripts of one event of a sync group; its priority word is always 0."""
    own = {
        "MASTER": group.notify_master,
        "BACKUP": group.notify_backup,
        "FAULT": group.notify_fault,
        "STOP": group.notify_stop,
    }.get(state)
    if own is not None:
        yield own
    if group.notify is not None and state in _GENERAL_STATES:
        yield with_words(group.notify, "GROUP", group.name, state, "0")


def with_words(script: Script, *words: str) -> Script:
    """The same script with words appended to its arguments."""
    return msgspec.structs.replace(script, argv=(*script.argv, *words))


class ScriptNotifier:
    """Starts notify scripts and says in the log which could not be started."""

    def __init__(self, runner: ScriptRunner, log_error: Callable[[str], None]) -> None:
        self._runner = runner
        self._log_error = log_error

    def vrrp(self, config: Config, event: Notify) -> None:
        """Start what an event of an instance or sync group asks for; an unknown name starts nothing."""
        if event.kind is NotifyKind.INSTANCE:
            for instance in config.instances:
                if instance.name == event.name:
                    self.instance(instance, event.state, event.priority)
        else:
            for group in config.sync_groups:
                if group.name == event.name:
                    self.group(group, event.state)

    def instance(self, instance: VrrpInstance, state: str, priority: int) -> None:
        for script in instance_scripts(instance, state, priority):
            self.run(script, f"INSTANCE {instance.name}")

    def group(self, group: SyncGroup, state: str) -> None:
        for script in group_scripts(group, state):
            self.run(script, f"GROUP {group.name}")

    def run(self, script: Script, queue: str) -> None:
        """Start any notify script (`notify_up`, `quorum_down`, …), after the earlier ones of its queue."""

        def done(result: RunResult) -> None:
            if result.status in {126, 127} and result.output:
                reason = result.output.decode(errors="replace")
                self._log_error(f"Script `{script.argv[0] if script.argv else ''}` could not be started: {reason}")

        self._runner.run(script, timeout_us=None, done=done, queue=queue)
