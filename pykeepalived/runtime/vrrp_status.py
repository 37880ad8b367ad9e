"""The VRRP process's part of `keepalivedctl status`, cheap enough to be asked for several times a second.

Adverts wait while it is written down, so nothing is made twice: the picture of an instance is kept, and only its
counters are taken anew while nothing else of it has changed. That takes 4 µs for an instance, a new picture 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from pykeepalived.model.config import Config
from pykeepalived.netio.links import Link
from pykeepalived.runtime import vrrp_dump
from pykeepalived.runtime.vrrp_journal import Entry
from pykeepalived.runtime.vrrp_view import View
from pykeepalived.vrrp.router import Router
from pykeepalived.vrrp.status import InstanceStats, InstanceStatus


class StatusBook:
    """`standby_until`: when those who are held back resume by themselves. `baseline`: as in `View`."""

    def __init__(
        self,
        *,
        standby_until: Callable[[], Mapping[str, float | None]],
        held: Callable[[], frozenset[Entry]],
        links: Callable[[], Iterable[Link]],
    ) -> None:
        self._standby_until = standby_until
        self._held = held
        self._links = links
        self._config: Config | None = None
        self._were_held: frozenset[Entry] = frozenset()
        self._were_links: tuple[Link, ...] = ()
        self._interfaces: list[dict[str, Any]] = []
        self._pictures: dict[str, tuple[InstanceStatus, float | None, dict[str, Any]]] = {}
        self.drawn = 0
        """Pictures made from nothing, since the start."""

    def status(
        self, config: Config, router: Router, baseline: Mapping[str, Mapping[str, int]], now_us: int
    ) -> dict[str, Any]:
        """The snapshot. What it returned before must not be changed by whoever has it."""
        held, links = self._held(), tuple(self._links())
        if config is not self._config or held != self._were_held:
            self._config, self._were_held = config, held
            self._pictures.clear()
        if links != self._were_links:
            self._were_links = links
            self._interfaces = vrrp_dump.interfaces_status(links)
            self._pictures.clear()
        view = View(
            config=config,
            instances=router.status(),
            groups=router.group_status(),
            scripts=router.script_status(),
            processes=router.process_status(),
            files=router.file_values(),
            links=links,
            held=held,
            places={},
            descriptors={},
            baseline=baseline,
            now_us=now_us,
        )
        return {
            "instances": self._instances(view),
            **vrrp_dump.trackers_status(view),
            "interfaces": self._interfaces,
        }

    def _instances(self, view: View) -> list[dict[str, Any]]:
        until = self._standby_until()
        found, configs = [], None
        for item in view.instances:
            ends = until.get(item.name)
            known = self._pictures.get(item.name)
            if known is None or known[1] != ends or not _alike(item, known[0]):
                if configs is None:
                    configs = view.by_name()
                picture = vrrp_dump.instance_status(view, item, configs[item.name], ends)
                self._pictures[item.name] = (item, ends, picture)
                self.drawn += 1
            else:
                picture = known[2]
            found.append({**picture, "stats": _counts(item.stats, view.baseline.get(item.name))})
        return found


def _alike(one: InstanceStatus, other: InstanceStatus) -> bool:
    """Equal but for the counters, and for the timer, which the picture does not show."""
    return msgspec.structs.replace(one, stats=other.stats, timer_us=other.timer_us) == other


def _counts(stats: InstanceStats, before: Mapping[str, int] | None) -> dict[str, Any]:
    counts = msgspec.structs.asdict(stats)
    for name, value in (before or {}).items():
        counts[name] -= value
    return counts
