"""Which instances an operator holds back, kept over reloads, killed processes and restarts of the daemon.

The names stand in `standby.json` of the daemon's state directory, with the instant (seconds since 1970) at which each
resumes by itself, or null. The file is written when an operator says something, never in the course of an election.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec

from pykeepalived.reactor import Reactor, Timer
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp.events import Standby
from pykeepalived.vrrp.status import InstanceStatus

_FILE: Final = "standby.json"
_FILE_LIMIT: Final = 1 << 20
LONGEST_S: Final = 30 * 86_400

_decoder: Final = msgspec.json.Decoder(dict[str, Annotated[float, msgspec.Meta(ge=0)] | None])


class StandbyKeeper:
    """`feed` takes the router's events. Instances are remembered by name."""

    def __init__(
        self, directory: str, reactor: Reactor, feed: Callable[[Standby], None], complain: Callable[[str], None]
    ) -> None:
        self._path = Path(directory) / _FILE
        self._reactor = reactor
        self._feed = feed
        self._complain = complain
        self._timers: dict[str, Timer] = {}
        self.until: dict[str, float | None] = {}

    def load(self) -> Standby | None:
        """What an earlier process was told; before the router starts."""
        try:
            with self._path.open("rb") as stream:
                found = _decoder.decode(stream.read(_FILE_LIMIT))
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            self._complain(f"Cannot read {self._path}: {error}; nobody is on standby")
            return None
        now_s = time.time()
        self.until = {name: until for name, until in found.items() if until is None or until > now_s}
        for name, until in self.until.items():
            self._plan(name, until)
        return Standby(tuple(self.until), True) if self.until else None

    def hold(self, names: Iterable[str], for_s: int | None) -> None:
        """Hold instances back, for so long or until `release`."""
        until = None if for_s is None else time.time() + for_s
        for name in names:
            self.until[name] = until
            self._plan(name, until)
        self._write()
        self._feed(Standby(tuple(names), True))

    def release(self, names: Iterable[str]) -> None:
        for name in names:
            self.until.pop(name, None)
            self._plan(name, None)
        self._write()
        self._feed(Standby(tuple(names), False))

    def reloaded(self, states: Iterable[InstanceStatus]) -> None:
        """A reload is done: an instance that came back under its name is held again, a renamed one goes on."""
        known = list(states)
        back = [item.name for item in known if item.name in self.until and not item.standby]
        if back:
            self._feed(Standby(tuple(back), True))
        self.follow(known)

    def follow(self, states: Iterable[InstanceStatus]) -> None:
        """Note who is held back, as the router says it: mates of a sync group, and instances with new names."""
        held = [item.name for item in states if item.standby]
        fresh = [name for name in held if name not in self.until]
        for name in fresh:
            self.until[name] = None
        if fresh:
            self._write()

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def _plan(self, name: str, until: float | None) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if until is not None:
            delay_us = max(0, int((until - time.time()) * SECOND_US))
            self._timers[name] = self._reactor.call_later(delay_us, lambda: self.release([name]))

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            if not self.until:
                with contextlib.suppress(FileNotFoundError):
                    self._path.unlink()
                return
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as stream:
                stream.write(msgspec.json.encode(self.until))
            fresh.rename(self._path)
        except OSError as error:
            self._complain(f"Cannot write {self._path}: {error.strerror}; a restart will forget who is on standby")
