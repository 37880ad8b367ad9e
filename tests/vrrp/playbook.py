"""Events in, exact ordered actions out, in readable columns.

A `Playbook` holds a router and a clock. Each of its methods feeds one event and gives back what the router wants done,
one line an action, so that a test reads like the log of a router:

    advert A 100          send an advert          addresses A +         put its addresses in place
    announce A x5         gratuitous ARP          addresses A -         take them away
    notify INSTANCE A MASTER 100                  run chk 1.0           start a script, with its time limit
    log TEXT              a log line              -D TEXT               a detail line (only with detail=True)
"""

from __future__ import annotations

from pykeepalived.model.common import IpPrefix, Script
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.vrrp import AuthType, SyncGroup, VirtualAddress, VrrpInstance, VrrpScript
from pykeepalived.units import SECOND_US, seconds
from pykeepalived.vrrp import events
from pykeepalived.vrrp.router import Router
from pykeepalived.vrrp.status import InstanceStatus


def address(text: str, **words: object) -> VirtualAddress:
    where, _, length = text.partition("/")
    return VirtualAddress(prefix=IpPrefix(where, int(length or 24)), **words)  # type: ignore[arg-type]


def instance(name: str = "A", vrid: int = 51, **words: object) -> VrrpInstance:
    """An instance on eth0 with one address, 10.0.0.VRID."""
    values: dict[str, object] = {"interface": "eth0", "addresses": (address(f"10.0.0.{vrid}"),)}
    return VrrpInstance(name=name, vrid=vrid, **(values | words))  # type: ignore[arg-type]


def script(name: str = "chk", **words: object) -> VrrpScript:
    return VrrpScript(name=name, script=Script(("/bin/true",)), **words)  # type: ignore[arg-type]


def config(
    *instances: VrrpInstance,
    groups: tuple[SyncGroup, ...] = (),
    scripts: tuple[VrrpScript, ...] = (),
    settings: GlobalDefs | None = None,
) -> Config:
    return Config(instances=instances, sync_groups=groups, scripts=scripts, globals=settings or GlobalDefs())


def advert(
    priority: int, source: str = "10.0.0.2", *, vrid: int = 51, version: int = 2, **words: object
) -> events.Advert:
    values: dict[str, object] = {
        "source": source,
        "destination": "224.0.0.18",
        "ttl": 255,
        "version": version,
        "vrid": vrid,
        "priority": priority,
        "auth_type": AuthType.NONE,
        "interval_us": SECOND_US,
        "addresses": (f"10.0.0.{vrid}",),
    }
    return events.Advert(**(values | words))  # type: ignore[arg-type]


def line(action: events.Action) -> str:
    """One action as one line."""
    match action:
        case events.SendAdvert(name, priority):
            return f"advert {name} {priority}"
        case events.AddAddresses(name):
            return f"addresses {name} +"
        case events.RemoveAddresses(name):
            return f"addresses {name} -"
        case events.ReplaceAddresses(name, removed, added, routes):
            words = [f"-{item.prefix.address}" for item in removed] + [f"+{item.prefix.address}" for item in added]
            return " ".join([f"replace {name}", *words, *(["routes"] if routes else [])])
        case events.Announce(name, repeat, only):
            return " ".join([f"announce {name} x{repeat}", *only])
        case events.AnnounceSource(name):
            return f"announce-source {name}"
        case events.UseOldChecksum(name):
            return f"old-checksum {name}"
        case events.Renamed(old, new):
            return f"renamed {old} {new}"
        case events.Notify(kind, name, state, priority):
            return f"notify {kind.value} {name} {state} {priority}"
        case events.RunScript(name, timeout_us):
            return f"run {name} {timeout_us / SECOND_US}"
        case events.SyncDaemonRole(name, master):
            return f"sync-daemon {name} {'master' if master else 'backup'}"
        case events.Log(text, detail):
            return f"-D {text}" if detail else f"log {text}"


def column(text: str) -> list[str]:
    return [item.strip() for item in text.strip().splitlines()]


class Playbook:
    """A router under a hand-moved clock."""

    def __init__(
        self,
        configuration: Config,
        *,
        links: dict[str, bool] | None = None,
        sources: dict[str, str | None] | None = None,
        detail: bool = False,
    ) -> None:
        self.now_us = 0
        self.router = Router(configuration, log_detail=detail)
        for ifname, up in (links or {"eth0": True}).items():
            self.link(ifname, up)
        for item in configuration.instances:
            self.source(item.name, (sources or {}).get(item.name, "10.0.0.1"))

    def feed(self, event: events.Event) -> list[str]:
        return [line(action) for action in self.router.handle(event, self.now_us)]

    def start(self) -> list[str]:
        return self.feed(events.Start())

    def stop(self, *, release: bool = True) -> list[str]:
        return self.feed(events.Stop(release))

    def link(self, ifname: str, up: bool) -> list[str]:
        return self.feed(events.LinkChanged(ifname, up))

    def source(self, name: str, text: str | None) -> list[str]:
        return self.feed(events.SourceAddressChanged(name, text))

    def result(self, name: str, status: int | None) -> list[str]:
        return self.feed(events.ScriptResult(name, status))

    def hear(self, priority: int, source: str = "10.0.0.2", *, name: str = "A", **words: object) -> list[str]:
        return self.feed(events.AdvertReceived(name, advert(priority, source, **words)))  # type: ignore[arg-type]

    def reload(self, configuration: Config) -> list[str]:
        return [line(action) for action in self.router.reload(configuration, self.now_us)]

    def run(self, until_s: float) -> list[str]:
        """Tick whenever the router wants it, up to and including an instant; each line with its time in front."""
        lines: list[str] = []
        until_us = seconds(until_s)
        for _ in range(100_000):
            wake_us = self.router.wake_at()
            if wake_us is None or wake_us > until_us:
                self.now_us = until_us
                return lines
            self.now_us = max(self.now_us, wake_us)
            lines += [f"{self.now_us / SECOND_US:.6f} {item}" for item in self.feed(events.Tick())]
        raise AssertionError("the clock does not move")

    def to_master(self, until_s: float = 4.0) -> Playbook:
        """Start and run until it is MASTER."""
        self.start()
        self.run(until_s)
        assert {item.state.name for item in self.router.status()} == {"MASTER"}
        return self

    def state(self, name: str = "A") -> str:
        return next(item.state.name for item in self.router.status() if item.name == name)

    def status(self, name: str = "A") -> InstanceStatus:
        return next(item for item in self.router.status() if item.name == name)
