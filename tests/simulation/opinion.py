"""What a checker program should think of its servers, from the answers of their checks alone.

Written from keepalived-behaviour 10 and 11, not from our cores, so that a fault in them is a difference between two
opinions. It counts each answer of each check script; that is exact while no two servers share a script.
"""

from __future__ import annotations

from collections import Counter

from pykeepalived.model.checks import CheckerSpec, MiscCheck
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import AddressSelector, RealServer, VirtualServer


def script_of(spec: CheckerSpec) -> str:
    """The name under which a check script looks for its server."""
    assert isinstance(spec.question, MiscCheck)
    return spec.question.script.argv[1]


class _Judge:
    """One check of one server."""

    def __init__(self, spec: CheckerSpec, up: bool) -> None:
        self.spec = spec
        self.up = up
        self.fresh = True
        self.failures = 0
        self.weight: int | None = None

    def take(self, status: int | None) -> None:
        question, first, self.fresh = self.spec.question, self.fresh, False
        assert isinstance(question, MiscCheck)
        well = status == 0 or (question.dynamic and status is not None and 2 <= status <= 255)
        if well:
            self.up, self.failures = True, 0
            self.weight = None if status in (0, None) else status - 2
            return
        self.failures += 1
        if first or self.failures > self.spec.timing.retry:
            self.up = False


class _Place:
    """One real server of one virtual server."""

    def __init__(self, server: RealServer) -> None:
        self.server = server
        self.judges = [_Judge(spec, not spec.timing.alpha) for spec in server.checkers]
        self.alive = all(judge.up for judge in self.judges)

    @property
    def weight(self) -> int:
        asked = [judge.weight for judge in self.judges if judge.weight is not None]
        return max(0, self.server.weight + sum(weight - self.server.weight for weight in asked))


class _Service:
    def __init__(self, server: VirtualServer) -> None:
        self.server = server
        self.places = {(real.address, real.port): _Place(real) for real in server.real_servers}
        self.quorum = False
        self.settle()

    def settle(self) -> None:
        """The quorum, with its hysteresis around it (10.2)."""
        total = sum(real.weight for real in self.server.real_servers)
        quorum = min(self.server.quorum, total or self.server.quorum)
        slack = max(0, min(self.server.hysteresis, quorum - 1))
        weight = sum(place.weight for place in self.places.values() if place.alive)
        if self.quorum:
            self.quorum = weight > 0 and weight >= quorum - slack
        else:
            self.quorum = weight >= quorum + slack


class Opinion:
    """`exact`: no two servers share a script, so that every answer is for one of them."""

    def __init__(self, config: Config) -> None:
        self._services = {str(server.selector): _Service(server) for server in config.virtual_servers}
        self._note(config)

    def _note(self, config: Config) -> None:
        names = Counter(
            script_of(spec)
            for service in config.virtual_servers
            for real in service.real_servers
            for spec in real.checkers
        )
        self.exact = not names or max(names.values()) == 1

    def answered(self, script: str, status: int | None) -> None:
        for service in self._services.values():
            for place in service.places.values():
                for judge in place.judges:
                    if script_of(judge.spec) == script:
                        judge.take(status)
                        place.alive = all(each.up for each in place.judges)
                        service.settle()

    def reload(self, config: Config) -> None:
        """Servers that stay keep what is known of them; new ones begin as at a start."""
        services = {}
        for server in config.virtual_servers:
            key = str(server.selector)
            service = self._services.get(key)
            if service is None:
                services[key] = _Service(server)
                continue
            places = {}
            for real in server.real_servers:
                place = service.places.get((real.address, real.port))
                if place is not None:
                    place.server = real
                places[real.address, real.port] = place or _Place(real)
            service.server, service.places = server, places
            service.settle()
            services[key] = service
        self._services = services
        self._note(config)

    def names(self) -> set[str]:
        """Who may be told about: `SERVICE` and `SERVICE ADDRESS`."""
        found = set()
        for server in (service.server for service in self._services.values()):
            found.add(told_name(server))
            found.update(told_name(server, real) for real in server.real_servers)
        return found

    def state(self, name: str) -> str:
        for service in self._services.values():
            if name == told_name(service.server):
                return "up" if service.quorum else "down"
            for place in service.places.values():
                if name == told_name(service.server, place.server):
                    return "up" if place.alive else "down"
        return "gone"

    def table(self, server: VirtualServer) -> dict[str, int]:
        """What the kernel should list, by address."""
        service = self._services[str(server.selector)]
        sorry = server.sorry_server
        stands_in = sorry is not None and not service.quorum
        wanted = {}
        for place in service.places.values():
            if place.alive and not stands_in:
                wanted[place.server.address] = place.weight
            elif place.server.inhibit_on_failure:
                wanted[place.server.address] = 0
        if sorry is not None and (stands_in or sorry.inhibit):
            wanted[sorry.address] = sorry.weight if stands_in else 0
        return wanted


def told_name(service: VirtualServer, real: RealServer | None = None) -> str:
    """`ADDRESS`, or `ADDRESS SERVER`."""
    assert isinstance(service.selector, AddressSelector)
    name = service.selector.address
    return name if real is None else f"{name} {real.address}"
