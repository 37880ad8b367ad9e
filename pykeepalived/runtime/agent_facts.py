"""What the agents process tells: status from the parent, counters from the kernel, both kept for a while."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, runtime_checkable

from pykeepalived import KEEPALIVED_VERSION, __version__
from pykeepalived.dataplane import Dataplane, DataplaneUnavailable
from pykeepalived.dataplane.listing import ListedService
from pykeepalived.dataplane.select import open_dataplane
from pykeepalived.lvs.table import DestinationKey, ServiceKey
from pykeepalived.model.config import Config
from pykeepalived.notify.snmp.facts import Counted, Facts, Traffic
from pykeepalived.runtime.program import Context
from pykeepalived.units import MILLISECOND_US, SECOND_US

#: A walk of a table asks for each row: so long it hears the same instant.
FRESH_US: Final = 500 * MILLISECOND_US
#: The parent may answer with a status that is so old: what follows an event is asked for after that.
_PARENT_KEEPS_US: Final = 250 * MILLISECOND_US
_ANSWER_LIMIT_US: Final = 4 * SECOND_US
_PAGE: Final = 2000
#: Pages of virtual servers, at most.
_PAGES: Final = 200

Given = Callable[[Facts], None]


class FactSource:
    """One per agents process."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reactor = context.reactor
        self._config = Config()
        self._began_us = self._reactor.now_us()
        self._waiting: list[Given] = []
        self._facts: Facts | None = None
        self._taken_us = 0
        self._asked = 0
        self._not_before_us = 0
        self._dataplane: Dataplane | None = None
        self._counted = Counted()
        self._counted_us = -(1 << 62)
        self._reasons: dict[str, int] = {}

    def configure(self, config: Config) -> None:
        self._config = config
        self._facts = None

    def close(self) -> None:
        if self._dataplane is not None:
            self._dataplane.close()
            self._dataplane = None

    def forget(self) -> None:
        """Something has happened: what is known is of before."""
        self._facts = None
        self._not_before_us = self._reactor.now_us() + _PARENT_KEEPS_US

    def give(self, given: Given) -> None:
        """Hand over the facts, at once when they are fresh enough."""
        if self._facts is not None and self._reactor.now_us() - self._taken_us < FRESH_US:
            given(self._facts)
            return
        self._waiting.append(given)
        if len(self._waiting) == 1:
            self._asked += 1
            number = self._asked
            self._reactor.call_at(self._not_before_us, lambda: self._ask(0, []))
            self._reactor.call_at(
                max(self._not_before_us, self._reactor.now_us()) + _ANSWER_LIMIT_US, lambda: self._give_up(number)
            )

    def _give_up(self, number: int) -> None:
        """The parent does not answer: what the configuration says is better than silence."""
        if self._waiting and number == self._asked:
            self._complete({}, [])

    def became_master(self, name: str) -> None:
        """Remember why an instance became MASTER (RFC 6527), from the facts of this moment."""
        self.give(lambda facts: self._reason(name, facts))

    def _reason(self, name: str, facts: Facts) -> None:
        for item in facts.instances:
            if item.config.name == name:
                own = int(item.status.get("effective_priority", item.config.priority))
                before = int(item.status.get("master_priority") or 0)
                if item.config.priority == 255:
                    self._reasons[name] = 1
                else:
                    self._reasons[name] = 2 if 0 < before < own and not item.config.nopreempt else 3

    # ---- from the parent ----

    def _ask(self, first: int, services: list[Mapping[str, Any]]) -> None:
        self._context.ask(
            "status", {"first": first, "servers": _PAGE}, lambda body: self._page(body.get("result") or {}, services)
        )

    def _page(self, status: Mapping[str, Any], services: list[Mapping[str, Any]]) -> None:
        checker = status.get("checker") or {}
        services.extend(checker.get("services", ()))
        following = checker.get("next")
        if following and len(services) < _PAGE * _PAGES:
            self._ask(following, services)
            return
        self._complete(status, services)

    def _complete(self, status: Mapping[str, Any], services: list[Mapping[str, Any]]) -> None:
        now_us = self._reactor.now_us()
        self._facts = Facts(
            self._config,
            vrrp=status.get("vrrp") or {},
            services=services,
            bfd=status.get("bfd") or {},
            links={name: number for number, name in socket.if_nameindex()},
            counted=self._counters(now_us),
            version=f"Keepalived v{KEEPALIVED_VERSION} (pykeepalived {__version__})",
            host=socket.gethostname(),
            now=time.time(),
            ticks=(now_us - self._began_us) // (SECOND_US // 100),
            reasons=self._reasons,
        )
        self._taken_us = now_us
        waiting, self._waiting = self._waiting, []
        for given in waiting:
            given(self._facts)

    # ---- from the kernel ----

    def _counters(self, now_us: int) -> Counted:
        settings = self._config.globals.agents
        if not settings.enable_snmp_checker or not self._config.virtual_servers:
            return Counted()
        age_us = settings.snmp_vs_stats_update_interval
        if settings.snmp_rs_stats_update_interval:
            # One reading of the kernel's table has both, so the shorter time rules.
            age_us = min(age_us, settings.snmp_rs_stats_update_interval)
        if now_us - self._counted_us >= age_us:
            self._counted_us = now_us
            self._counted = self._read()
        return self._counted

    def _read(self) -> Counted:
        try:
            if self._dataplane is None:
                self._dataplane = open_dataplane(self._config.globals.lvs_dataplane, lambda text: None)
            services = _listing(self._dataplane)
        except (OSError, DataplaneUnavailable):
            # It is the checkers' business to say so.
            return Counted()
        return counted(services)


@runtime_checkable
class _Listing(Protocol):
    """A dataplane that shows its table with everything that it counts."""

    def listing(self) -> list[ListedService]: ...


def _listing(dataplane: Dataplane) -> list[ListedService]:
    if dataplane.name == "nftables":
        from pykeepalived.dataplane.libnftables import open_runner  # noqa: PLC0415
        from pykeepalived.dataplane.nft_listing import NftablesListing  # noqa: PLC0415

        return NftablesListing(open_runner()).listing()
    return dataplane.listing() if isinstance(dataplane, _Listing) else []


def counted(services: list[ListedService]) -> Counted:
    """A listing as the MIBs want it."""
    whole: dict[ServiceKey, Traffic] = {}
    each: dict[tuple[ServiceKey, DestinationKey], Traffic] = {}
    for service in services:
        whole[service.key] = Traffic(service.traffic.totals, service.traffic.rates)
        for item in service.destinations:
            each[service.key, item.key] = Traffic(
                item.traffic.totals,
                item.traffic.rates,
                item.counters.active_connections,
                item.counters.inactive_connections,
                item.counters.persistent_connections,
            )
    return Counted(whole, each)
