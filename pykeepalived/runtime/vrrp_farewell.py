"""The last word of a VRRP process that was killed, said by whoever survived it: priority 0 for what it was MASTER of.

The others then need not wait for their down timers, as if it had stopped in order. An AH header cannot be made: its
sequence number died with the process, and the others would refuse a smaller one.
"""

from __future__ import annotations

from collections.abc import Set

from pykeepalived.model.config import Config
from pykeepalived.netio.frames.vrrp import PROTOCOL_AH
from pykeepalived.netio.links import Monitor
from pykeepalived.netio.sockets import SocketPool
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_endpoints import SourceFinder, endpoints_of, virtual_addresses, wishes
from pykeepalived.runtime.vrrp_journal import Entry


def say_goodbye(config: Config, held: Set[Entry], monitor: Monitor, log: Logger) -> None:
    """`held` is what the dead process had put on interfaces. Never raises; what cannot be sent is named in the log."""
    endpoints = endpoints_of(config)
    masters = [
        endpoint
        for endpoint in endpoints.values()
        if endpoint.place.protocol != PROTOCOL_AH and any(item.entry in held for item in endpoint.addresses())
    ]
    finder = SourceFinder(monitor, virtual_addresses(endpoints.values()))
    pool = SocketPool()
    try:
        for endpoint in masters:
            endpoint.use_source(finder.source(endpoint))
        for place, reason in pool.update(wishes(masters, monitor)).items():
            log.error(f"VRRP cannot use {place.ifname or place.local}: {reason}")
        for endpoint in masters:
            endpoint.send(pool, 0, log)
            log.info(f"({endpoint.instance.name}) sent 0 priority for the killed process")
    finally:
        pool.close()
