"""Whether interfaces are up, as the instances are to see it: by netlink or polling, after the delays of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from pykeepalived.model.config import Config
from pykeepalived.netio.ethtool import LinkProbe
from pykeepalived.netio.links import Monitor
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.program import Logger
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp.events import Event, LinkChanged

#: As often as the original asks.
_POLL_US: Final = SECOND_US


class LinkStates:
    """Turns what the kernel reports into `LinkChanged`, at the right time."""

    def __init__(
        self, reactor: Reactor, monitor: Monitor, log: Logger, tell: Callable[[list[LinkChanged]], None]
    ) -> None:
        """`tell` takes what becomes known later, by a poll or at the end of a delay."""
        self._reactor = reactor
        self._monitor = monitor
        self._log = log
        self._tell = tell
        self._told: dict[str, bool] = {}
        self._delays: dict[str, tuple[int, int]] = {}
        self._pending: dict[str, Timer] = {}
        self._wanted: dict[str, str | None] = {}
        self._polled: dict[str, bool | None] = {}
        """What the last poll said; None: the interface answers no method."""
        self._methods: dict[str, str] = {}
        self._probe: LinkProbe | None = None
        self._timer: Timer | None = None

    def configure(self, config: Config, interfaces: Iterable[str]) -> None:
        """Follow a configuration that names these interfaces."""
        self._delays = {item.ifname: (item.down_us, item.up_us) for item in config.interface_delays}
        self._wanted = {item.ifname: item.method for item in config.polled_links}
        if config.poll_all_links:
            self._wanted = dict.fromkeys(interfaces) | self._wanted
        self._polled = {name: state for name, state in self._polled.items() if name in self._wanted}
        self._methods = {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._wanted:
            self._ask()
            self._timer = self._reactor.call_at(self._reactor.now_us() + _POLL_US, self._poll)

    def start(self, names: Iterable[str]) -> list[LinkChanged]:
        """The states as they are, without delays."""
        found = []
        for name in names:
            self._cancel(name)
            self._told[name] = self._up(name)
            found.append(LinkChanged(name, self._told[name]))
        return found

    def report(self, name: str, up: bool) -> list[LinkChanged]:
        """Netlink says that an interface is up or down: what the instances are to know of it now."""
        if self._polled.get(name) is not None or name in self._delays:
            return self.look([name])
        if self._told.get(name) is up:
            return []
        self._told[name] = up
        return [LinkChanged(name, up)]

    def look(self, names: Iterable[str]) -> list[LinkChanged]:
        """Look at interfaces again, with their delays."""
        found = []
        for name in names:
            up = self._up(name)
            if up == self._told.get(name):
                self._cancel(name)
            elif (delay_us := self._delays.get(name, (0, 0))[up]) == 0:
                self._cancel(name)
                self._told[name] = up
                found.append(LinkChanged(name, up))
            elif name not in self._pending:
                due_us = self._reactor.now_us() + delay_us
                self._pending[name] = self._reactor.call_at(due_us, partial(self._delay_over, name))
        return found

    def close(self) -> None:
        for name in list(self._pending):
            self._cancel(name)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    # ---- doing ----

    def _up(self, name: str) -> bool:
        link = self._monitor.link(name)
        polled = self._polled.get(name)
        if link is None or polled is None:
            return link is not None and link.up
        return link.admin_up and polled

    def _cancel(self, name: str) -> None:
        timer = self._pending.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _delay_over(self, name: str) -> None:
        self._pending.pop(name, None)
        up = self._up(name)
        if up != self._told.get(name):
            self._told[name] = up
            self._tell([LinkChanged(name, up)])

    def _poll(self) -> None:
        self._timer = self._reactor.call_at(self._reactor.now_us() + _POLL_US, self._poll)
        changed = self._ask()
        for name in changed:
            self._log.info(f"Linkbeat reports {name} {'up' if self._polled[name] else 'down'}")
        found = self.look([name for name in changed if name in self._told])
        if found:
            self._tell(found)

    def _ask(self) -> list[str]:
        """Ask all interfaces; returns those whose answer is another one than before."""
        try:
            self._probe = self._probe or LinkProbe()
        except OSError as error:
            self._log.error(f"Linkbeat: {error.strerror}")
            return []
        changed = []
        for name, wanted in self._wanted.items():
            method = self._methods.get(name) or self._choose(name, wanted)
            before = self._polled.get(name)
            state = self._probe.link(name, method) if method else None
            self._polled[name] = state
            if state != before and before is not None and state is not None:
                changed.append(name)
        return changed

    def _choose(self, name: str, wanted: str | None) -> str | None:
        assert self._probe is not None
        method = self._probe.choose(name, wanted)
        if method is None:
            return None
        self._methods[name] = method
        if wanted is not None and method != wanted:
            self._log.info(f"{name} does not answer {wanted}, its link is polled by {method}")
        else:
            self._log.info(f"The link of {name} is polled by {method}")
        return method


def links_up_last(happened: Sequence[Event]) -> list[Event]:
    """What was read at once, with the interfaces that are up in the end behind all else.

    An address may have gone while its interface was down: who hears of the interface first leaves FAULT for nothing.
    """
    last = {event.ifname: event for event in happened if isinstance(event, LinkChanged)}
    ups: list[Event] = [event for event in last.values() if event.up]
    return [event for event in happened if not any(event is up for up in ups)] + ups
