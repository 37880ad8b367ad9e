"""Addresses that an earlier process left behind: found in its list or in the file, and taken away."""

from __future__ import annotations

from collections.abc import Iterable

from pykeepalived.model.common import IpPrefix
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VirtualAddress
from pykeepalived.netio import netlink
from pykeepalived.netio.addresses import AddressChange, apply
from pykeepalived.netio.links import Monitor
from pykeepalived.runtime.program import Logger, Options
from pykeepalived.runtime.vrrp_addresses import Placed
from pykeepalived.runtime.vrrp_farewell import say_goodbye
from pykeepalived.runtime.vrrp_journal import Entry, Journal, Undo
from pykeepalived.runtime.vrrp_kernel import take_away_left
from pykeepalived.runtime.vrrp_routes import take_away_lines


def take_away(
    requests: netlink.Requests, monitor: Monitor, leftovers: Iterable[Placed], log: Logger, by_whom: str
) -> list[Placed]:
    """Remove those that are there; each is named in the log, and each refusal. Returns what stays. Never raises."""
    entries = {item.entry: item for item in leftovers}
    present = [
        item for entry, item in entries.items() if monitor.has_address(entry.ifname, entry.address, entry.length)
    ]
    if not present:
        return []

    def index_of(ifname: str) -> int | None:
        link = monitor.link(ifname)
        return None if link is None else link.index

    try:
        refused = apply(requests, index_of, [AddressChange(False, item.ifname, item.address) for item in present])
        monitor.resynchronise()
    except OSError as error:
        log.error(f"Netlink: cannot remove addresses left by {by_whom} - {error.strerror or error}")
        return present
    failed = {(item.change.ifname, item.change.address) for item in refused}
    for item in present:
        if (item.ifname, item.address) not in failed:
            log.info(f"Removed {item.address.prefix} from {item.ifname}, left by {by_whom}")
    for refusal in refused:
        log.error(f"Netlink: cannot {refusal.change} - {refusal.reason}")
    return [item for item in present if (item.ifname, item.address) in failed]


def bare(entry: Entry) -> Placed:
    """An address of which only the list of a dead process tells."""
    return Placed(entry.ifname, VirtualAddress(prefix=IpPrefix(entry.address, entry.length)))


def clean_up(options: Options, log: Logger, config: Config) -> None:
    """Take away the addresses of a VRRP process that was killed, and say goodbye for it.

    Run by whoever survived it, in the same namespace; `config` is what the process ran with.
    """
    try:
        requests = netlink.Requests()
    except OSError as error:
        log.error(f"Netlink: {error.strerror or error}")
        return
    try:
        monitor = Monitor(requests)
        try:
            found = Journal(options.state_directory, log.error).leftovers()
            take_away_lines(requests, [item for item in found if isinstance(item, Undo)], log)
            leftovers = [bare(item) for item in found if isinstance(item, Entry)]
            take_away(requests, monitor, leftovers, log, "a killed process")
            say_goodbye(config, {item.entry for item in leftovers}, monitor, log)
            take_away_left(requests, monitor, options, log)
        finally:
            monitor.close()
    except OSError as error:
        log.error(f"Netlink: {error.strerror or error}")
    finally:
        requests.close()
