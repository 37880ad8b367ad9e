"""The health of one real server: what its checkers say, whether it is alive, and what it weighs.

A server is alive when all its checkers are well and nobody holds it out (an operator's drain, a maintenance file). Its
effective weight is the configured one, moved by the checkers that have an opinion on weight.
"""

from __future__ import annotations

import msgspec

from pykeepalived.model.checks import CheckerSpec, CheckQuestion, MiscCheck
from pykeepalived.model.lvs import RealServer

#: The largest weight that IPVS schedulers calculate with safely, and that keepalived accepts.
WEIGHT_LIMIT = 65535


class CheckHealth:
    """One checker of one server."""

    __slots__ = ("checked", "failures", "first", "spec", "up", "weight_change")

    def __init__(self, spec: CheckerSpec, up: bool, first: bool = True) -> None:
        self.spec = spec
        self.up = up
        self.first = first
        """Nothing has been told of it or of a checker in its place: its first failure may be."""
        self.checked = False
        """A result has come since the checker began."""
        self.failures = 0
        """Failures in a row up to the last result."""
        self.weight_change = 0
        """What it adds to the configured weight."""

    def opinion(self, server: RealServer, asked: int | None) -> int:
        """The change of weight that an outcome asks for.

        MISC_CHECK misc_dynamic names the weight itself, and without one (exit 0) the configured weight returns; the
        other dynamic checkers name the difference.
        """
        if asked is None:
            return 0
        return asked - server.weight if isinstance(self.spec.question, MiscCheck) else asked


class ServerHealth:
    """One real server of one virtual server."""

    __slots__ = ("alive", "checks", "holds", "server", "share", "weight_override")

    def __init__(self, server: RealServer, alive: bool) -> None:
        self.server = server
        self.alive = alive
        self.checks = [CheckHealth(spec, starts_up(spec) or alive) for spec in server.checkers]
        self.holds: set[str] = set()
        """Reasons, besides checkers, for which the server is out (`drain`, `maintenance`)."""
        self.share = 1000
        """The part of its weight that it has in the table, in thousandths: slow start."""
        self.weight_override: int | None = None
        """An operator's weight, until it is taken back."""

    @property
    def key(self) -> tuple[str, int]:
        return (self.server.address, self.server.port)

    @property
    def healthy(self) -> bool:
        """What `alive` should be."""
        return not self.holds and all(check.up for check in self.checks)

    @property
    def weight(self) -> int:
        """Effective weight, 0 to 65535, whether alive or not."""
        if self.weight_override is not None:
            return self.weight_override
        wanted = self.server.weight + sum(check.weight_change for check in self.checks)
        return max(0, min(WEIGHT_LIMIT, wanted))

    @property
    def shown_weight(self) -> int:
        """What it weighs in the table while it serves: at least 1 of a weight that is not 0."""
        weight = self.weight
        return weight if self.share >= 1000 else max(min(1, weight), weight * self.share // 1000)

    @property
    def failed_checks(self) -> int:
        return sum(1 for check in self.checks if not check.up)

    def replace(self, server: RealServer) -> None:
        """Take a new configuration of the same server.

        Checkers that ask the same keep their state, whatever becomes of their times and retries. Others begin anew, as
        at a start: a server whose failed checker is not asked any more comes back until the new one has failed, an
        alive one stays.
        """
        old = list(self.checks)
        first = not any(check.checked for check in old)
        checks: list[CheckHealth] = []
        for spec in server.checkers:
            kept = next((check for check in old if check.spec == spec), None)
            if kept is not None:
                old.remove(kept)
                # A change of the configured weight moves with the base: the opinion of a weight is asked anew.
                if isinstance(spec.question, MiscCheck) and kept.weight_change:
                    kept.weight_change += self.server.weight - server.weight
            checks.append(kept or _carried(spec, old) or CheckHealth(spec, starts_up(spec) or self.alive, first))
        self.server = server
        self.checks = checks


def _carried(spec: CheckerSpec, old: list[CheckHealth]) -> CheckHealth | None:
    """A checker in the state of the one before it that asked the same at other times; that one is taken from `old`."""
    before = next((check for check in old if _asks(check.spec) == _asks(spec)), None)
    if before is None:
        return None
    old.remove(before)
    check = CheckHealth(spec, before.up, before.first)
    check.checked, check.failures, check.weight_change = before.checked, before.failures, before.weight_change
    return check


def _asks(spec: CheckerSpec) -> CheckQuestion:
    """What a checker asks, without the time limit of a script."""
    question = spec.question
    return msgspec.structs.replace(question, timeout_us=0) if isinstance(question, MiscCheck) else question


def starts_up(spec: CheckerSpec) -> bool:
    """Whether a checker is taken for well before its first result. Its own `alpha` counts, which is that of its server
    and virtual server where it has none: `alpha false` in a checker makes it begin as well in spite of them."""
    return not spec.timing.alpha


def starts_alive(server: RealServer) -> bool:
    """Whether a server is put into the table before any check: all its checkers begin as well, or nothing would ever
    check it."""
    return all(starts_up(spec) for spec in server.checkers)
