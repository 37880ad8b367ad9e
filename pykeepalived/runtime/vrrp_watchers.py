"""What VRRP instances track besides links, addresses and scripts, as events for the router."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import SyncGroup, VrrpInstance
from pykeepalived.processes.file_watch import FileWatcher
from pykeepalived.processes.proc_watch import ProcessWatcher
from pykeepalived.runtime.bfd_link import BfdListener
from pykeepalived.runtime.program import Context
from pykeepalived.vrrp.events import BfdChanged, Event, FileChanged, ProcessCount


class Watchers:
    """Track files, processes and BFD sessions; `feed` gets what changes after `update`."""

    def __init__(self, context: Context, feed: Callable[[Sequence[Event]], None]) -> None:
        reactor, log = context.reactor, context.log
        self._files = FileWatcher(reactor, log, lambda name, value: feed([FileChanged(name, value)]))
        self._processes = ProcessWatcher(reactor, log, lambda name, count: feed([ProcessCount(name, count)]))
        self._sessions = BfdListener(reactor, context.bfd.get("vrrp"), lambda name, up: feed([BfdChanged(name, up)]))

    def update(self, config: Config) -> list[Event]:
        """Watch what this configuration names, and return how it stands."""
        self._sessions.ask()
        settings = config.globals
        self._processes.set_buffer(settings.process_monitor_rcv_bufs, force=settings.process_monitor_rcv_bufs_force)
        owners: tuple[VrrpInstance | SyncGroup, ...] = (*config.instances, *config.sync_groups)
        files = {item.name for owner in owners for item in owner.track_files}
        processes = {item.name for owner in owners for item in owner.track_processes}
        values = self._files.update(item for item in config.track_files if item.name in files)
        counts = self._processes.update(item for item in config.track_processes if item.name in processes)
        return [
            *(FileChanged(name, value) for name, value in values.items()),
            *(ProcessCount(name, count) for name, count in counts.items()),
        ]

    def close(self) -> None:
        self._files.close()
        self._processes.close()
        self._sessions.close()
