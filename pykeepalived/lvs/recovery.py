"""What happens to a real server that comes back: slow start, and flap damping. Ours; neither original has them.

- Slow start: after a return its weight in the table grows in even steps from 1 to its value. Quorum counts the whole
  value all the time. What stands at the start of the daemon, or is new in the configuration, has its weight at once.
- Flap damping: a server that went down COUNT times within a window is held out until its checks have been good for a
  hold time without a break; then it returns, with a slow start where it has one.

The core decides; whoever holds it says what happened, wakes it at `wake_at`, and carries out what `due` returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from typing import Final

import msgspec

from pykeepalived.model.lvs import RecoveryRule
from pykeepalived.units import MILLISECOND_US

Place = tuple[str, str, int]
"""Service key, address and port of the server."""

#: A whole weight.
WHOLE: Final = 1000
#: Steps of a slow start; fewer where they would come closer together than this.
_STEPS: Final = 50
_SHORTEST_STEP_US: Final = 100 * MILLISECOND_US


class Share(msgspec.Struct, frozen=True):
    """Give a server this part of its weight, in thousandths."""

    place: Place
    share: int


class Release(msgspec.Struct, frozen=True):
    """A server that was held out may come back."""

    place: Place


Due = Share | Release


class _State(msgspec.Struct):
    rule: RecoveryRule
    was_up: bool = False
    """It has been alive, so that the next return is one."""
    downs: deque[int] = msgspec.field(default_factory=deque)
    """When it went down, the last ones."""
    held: bool = False
    good_since_us: int | None = None
    """Held: since when all checks have been good."""
    ramp_from_us: int | None = None
    next_step_us: int = 0


class Recoveries:
    """All servers that have a rule."""

    def __init__(self) -> None:
        self._states: dict[Place, _State] = {}

    def up(self, place: Place, rule: RecoveryRule, now_us: int, *, fresh: bool) -> int:
        """A server is alive; the share to begin with. `fresh`: it is so from the start, or new."""
        state = self._state(place, rule)
        returns, state.was_up = state.was_up and not fresh, True
        if not returns or not rule.slow_start_us:
            return WHOLE
        state.ramp_from_us = now_us
        state.next_step_us = now_us + _step_us(rule)
        return 0

    def down(self, place: Place, rule: RecoveryRule, now_us: int, *, by_check: bool) -> bool:
        """A server is not alive any more; whether it is held out from now on. `by_check`: nobody took it out."""
        state = self._state(place, rule)
        state.ramp_from_us = None
        if not by_check or not rule.flap_count:
            return False
        state.downs.append(now_us)
        while len(state.downs) > rule.flap_count:
            state.downs.popleft()
        if len(state.downs) < rule.flap_count or now_us - state.downs[0] > rule.flap_window_us:
            return False
        state.held, state.good_since_us = True, None
        state.downs.clear()
        return True

    def checked(self, place: Place, well: bool, now_us: int) -> None:
        """A result has come; `well`: all checks of the server are good."""
        state = self._states.get(place)
        if state is None or not state.held:
            return
        if not well:
            state.good_since_us = None
        elif state.good_since_us is None:
            state.good_since_us = now_us

    def is_held(self, place: Place) -> bool:
        state = self._states.get(place)
        return state is not None and state.held

    def wake_at(self) -> int | None:
        """When `due` has something to say, on the clock of `now_us`; None: not before something happens."""
        return min((when for state in self._states.values() if (when := _when(state)) is not None), default=None)

    def due(self, now_us: int) -> list[Due]:
        """What is to be done now."""
        found: list[Due] = []
        for place, state in self._states.items():
            when_us = _when(state)
            if when_us is None or when_us > now_us:
                continue
            if state.held:
                state.held, state.good_since_us = False, None
                found.append(Release(place))
            elif state.ramp_from_us is not None:
                gone_us = now_us - state.ramp_from_us
                if gone_us >= state.rule.slow_start_us:
                    state.ramp_from_us = None
                    found.append(Share(place, WHOLE))
                else:
                    state.next_step_us = now_us + _step_us(state.rule)
                    found.append(Share(place, gone_us * WHOLE // state.rule.slow_start_us))
        return found

    def configure(self, place: Place, rule: RecoveryRule) -> list[Due]:
        """A reload may have brought another rule for a server that stays; what it ends is over at once."""
        state = self._states.get(place)
        if state is None or state.rule == rule:
            return []
        state.rule = rule
        state.next_step_us = 0
        found: list[Due] = []
        if state.held and not rule.flap_count:
            state.held, state.good_since_us = False, None
            found.append(Release(place))
        if state.ramp_from_us is not None and not rule.slow_start_us:
            state.ramp_from_us = None
            found.append(Share(place, WHOLE))
        return found

    def keep(self, places: Container[Place]) -> None:
        """Forget what is in no configuration any more."""
        self._states = {place: state for place, state in self._states.items() if place in places}

    def _state(self, place: Place, rule: RecoveryRule) -> _State:
        state = self._states.setdefault(place, _State(rule))
        state.rule = rule
        return state


def _step_us(rule: RecoveryRule) -> int:
    return max(_SHORTEST_STEP_US, rule.slow_start_us // _STEPS)


def _when(state: _State) -> int | None:
    if state.held:
        return None if state.good_since_us is None else state.good_since_us + state.rule.flap_hold_us
    if state.ramp_from_us is None:
        return None
    return min(state.next_step_us, state.ramp_from_us + state.rule.slow_start_us)
