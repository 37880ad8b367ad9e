"""What the VRRP process keeps in the kernel besides addresses: virtual MAC interfaces, settings, packet filter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pykeepalived.model.config import Config
from pykeepalived.netio import netlink, sysctls, vmac
from pykeepalived.netio.links import AddressUpdate, LinkUpdate, Monitor, Update
from pykeepalived.processes.scripts import Launcher
from pykeepalived.runtime.program import Logger, Options
from pykeepalived.runtime.vrrp_firewall import Firewall, remove_left
from pykeepalived.runtime.vrrp_forwarding import ForwardingGate
from pykeepalived.runtime.vrrp_links import LinkKeeper, merge, wanted_links
from pykeepalived.runtime.vrrp_links_journal import LinksJournal, Made


class KernelSide:
    """Takes over what a killed process left, and follows the configuration and the interfaces."""

    def __init__(
        self,
        requests: netlink.Requests,
        monitor: Monitor,
        options: Options,
        log: Logger,
        launcher: Launcher | None = None,
    ) -> None:
        self._journal = LinksJournal(options.state_directory, log.error)
        left = merge(self._journal.take_dead())
        if left.iptables:
            remove_left(Made(boot="", iptables=left.iptables), log, launcher)
        self._made = left
        self._config = Config()
        self._journal.write(self._made)
        # What was left stays in the list until it is used again or removed; `_ensure` says which of it fits.
        before, self._made.links = list(self._made.links), []
        self._before = before
        self.links = LinkKeeper(requests, monitor, self._journal, self._made, log)
        self.firewall = Firewall(monitor, self._journal, self._made, log, launcher)
        self.forwarding = ForwardingGate(log)
        self._requests = requests
        self._monitor = monitor
        self._log = log

    def start(self, config: Config) -> None:
        """Make what the configuration wants and remove what it does not want of what was left."""
        self._config = config
        self._size_buffers()
        stale_tables = [name for name in self._made.tables if name != config.globals.firewall.table]
        self.links.apply(config)
        remove_links([name for name in self._before if name not in self._made.links], self._requests, self._monitor)
        self.links.prune()
        self.forwarding.configure(config)
        if self._made.tables and not wanted_links(config):
            stale_tables = list(self._made.tables)
        remove_left(Made(boot="", tables=stale_tables), self._log)
        self.firewall.configure(config)
        self.links.seen()

    def reload(self, config: Config) -> None:
        """Before the instances move: everything that they will need is there."""
        self._config = config
        self._size_buffers()
        self.links.apply(config)
        self.forwarding.configure(config)
        self.firewall.configure(config)

    def reloaded(self) -> list[Update]:
        """After they moved: what nobody needs goes. Returns what changed in the picture on the way."""
        self.links.prune()
        self.firewall.refresh(self._config)
        return self.links.seen()

    def repair(self, updates: Sequence[Update]) -> list[Update]:
        """Interfaces or addresses changed. Returns what changed in the picture because of what was done about it."""
        further = self.links.repair(updates)
        names = {update.name for update in [*updates, *further] if isinstance(update, LinkUpdate)}
        if further or self.links.wants(names):
            self.firewall.refresh(self._config)
            self.forwarding.refresh()
        return further

    def report_addresses(self, updates: Iterable[Update]) -> None:
        """The log lines of -a."""
        for update in updates:
            if isinstance(update, AddressUpdate):
                link = self._monitor.link_by_index(update.address.index)
                where = f"{'added to' if update.present else 'removed from'} {link.name if link else 'unknown'}"
                self._log.info(f"Netlink reflector reports IP {update.address.address} {where}")

    def _size_buffers(self) -> None:
        settings = self._config.globals
        self._requests.set_buffer(settings.vrrp_netlink_cmd_rcv_bufs, force=settings.vrrp_netlink_cmd_rcv_bufs_force)
        self._monitor.set_buffer(
            settings.vrrp_netlink_monitor_rcv_bufs, force=settings.vrrp_netlink_monitor_rcv_bufs_force
        )

    def close(self, *, release: bool) -> None:
        self.firewall.close(release=release)
        self.links.close(release=release)
        self._journal.close(keep=not release)


def remove_links(names: Iterable[str], requests: netlink.Requests, monitor: Monitor) -> None:
    """Remove virtual MAC interfaces that a killed process left; others of the same name are not touched."""
    for name in names:
        link = monitor.link(name)
        if link is not None and link.kind in {"macvlan", "ipvlan"}:
            vmac.delete(requests, link.index)
    monitor.resynchronise()


def take_away_left(requests: netlink.Requests, monitor: Monitor, options: Options, log: Logger) -> None:
    """Undo everything that a killed process had done, for a daemon whose VRRP child is dead."""
    journal = LinksJournal(options.state_directory, log.error)
    left = merge(journal.take_dead())
    remove_left(left, log)
    try:
        remove_links(left.links, requests, monitor)
    except OSError as error:
        log.error(f"Netlink: cannot remove interfaces of a killed process - {error.strerror or error}")
    keeper = sysctls.Keeper(log.error, lambda: None)
    keeper.adopt(left.settings)
    for key in list(keeper.originals):
        keeper.restore(key)
