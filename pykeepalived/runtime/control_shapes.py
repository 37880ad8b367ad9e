"""The shapes of the answers on the control socket: the documented contract (docs/control.md is made from them).

Answers are made by the processes as plain values; a test takes real answers apart with these types, so neither side can
change alone. Fields may be added within version 1, and clients ignore what they do not know; nothing is renamed or
taken away. Times named `at`, `started`, `last_transition` are seconds since 1970, `_us` microseconds, `_s` seconds.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Shape(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are forbidden for the test's sake; clients do not look at them."""


class Asked(Shape):
    asked: bool
    since: int
    """The number of the last event before."""


class Identity(Shape):
    program: str
    """keepalived or ldirectord."""
    version: str
    pid: int
    pid_file: str
    configuration: str
    instance: str | None
    network_namespace: int | None
    """The inode of the namespace."""
    started: float
    keepalived_version: str = ""
    ldirectord_version: str = ""


class LastReload(Shape):
    ok: bool
    at: float = 0
    took_us: int = 0
    reasons: list[str] = []


class Process(Shape):
    name: str
    pid: int | None
    ready: bool
    uptime_us: int
    restarts: int
    waiting_for_restart: bool


class Address(Shape):
    address: str
    interface: str | None
    set: bool
    excluded: bool = False
    """It is not in adverts (virtual_ipaddress_excluded)."""


class InstanceState(Shape):
    name: str
    vrid: int
    interface: str | None
    family: str
    version: int
    state: str
    """INIT, BACKUP, MASTER, FAULT, or STANDBY where an operator holds it back."""
    wanted: str
    base_priority: int
    effective_priority: int
    master_priority: int
    master_address: str | None
    source: str | None
    advert_interval_us: int
    garp_delay_us: int
    master_interval_us: int
    last_transition: float
    group: str | None
    faults: list[str]
    unicast_peers: list[str]
    addresses: list[Address]
    stats: dict[str, Any]
    standby: bool = False
    standby_until: float | None = None
    """When it resumes by itself; null: when it is told to."""


class GroupState(Shape):
    name: str
    state: str
    members: list[str]
    faults: list[str]


class ScriptState(Shape):
    name: str
    up: bool | None
    last_status: int | None
    timed_out: bool
    running: bool
    runs: int
    skipped: int
    next_run_s: float | None


class FileState(Shape):
    name: str
    path: str
    value: int


class ProcessCountState(Shape):
    name: str
    up: bool
    count: int | None
    waiting: bool


class InterfaceState(Shape):
    name: str
    up: bool
    mac: str


class Histogram(Shape):
    bounds_us: list[int]
    """Upper ends of the buckets."""
    counts: list[int]
    """How many fell into each; one more at the end for what is beyond all."""
    sum_us: int


class VrrpPart(msgspec.Struct, kw_only=True):
    instances: list[InstanceState] = []
    groups: list[GroupState] = []
    scripts: list[ScriptState] = []
    files: list[FileState] = []
    processes: list[ProcessCountState] = []
    interfaces: list[InterfaceState] = []
    mails: dict[str, Any] = {}
    lateness: Histogram | None = None
    """Of the adverts that were due: until all that were due at the same time had been handed to the kernel."""
    error: str = ""
    """The process did not answer."""


class LastResult(Shape):
    ok: bool
    reason: str
    """The kind of failure; empty for a success."""
    text: str
    latency_us: int


class CheckState(Shape):
    key: str
    check: str
    up: bool
    has_run: bool
    failures: int
    answers: int
    answers_failed: int
    last: LastResult | None
    shared_with: int
    """Further real servers that ask the same question; it is asked once for all."""


class ServerState(Shape):
    name: str
    address: str
    port: int
    forwarding: str
    alive: bool
    weight: int
    table_weight: int | None
    """What the kernel's table has; null: it is not in the table."""
    holds: list[str]
    checks: list[CheckState]


class Quorum(Shape):
    up: bool
    quorum: int
    hysteresis: int
    weight: int


class Sorry(Shape):
    name: str
    serves: bool
    weight: int


class ServiceState(Shape):
    name: str
    key: str
    scheduler: str
    protocol: str | None
    quorum: Quorum
    sorry_server: Sorry | None
    served: bool
    """The kernel's table holds it."""
    servers: list[ServerState]


class Counts(Shape):
    services: int
    services_without_quorum: int
    servers: int
    servers_alive: int


class CheckerPart(msgspec.Struct, kw_only=True):
    dataplane: str | None = None
    table: dict[str, Any] = {}
    mails: dict[str, Any] = {}
    probes: dict[str, Any] = {}
    counts: Counts | None = None
    services: list[ServiceState] = []
    next: int | None = None
    """`first` of the next page; null: this is the last one."""
    error: str = ""


class KernelCounter(Shape):
    protocol: str
    """tcp, udp, sctp; mark: `service` is a firewall mark."""
    service: str
    server: str
    connections: int
    packets_in: int
    packets_out: int
    bytes_in: int
    bytes_out: int
    active_connections: int
    inactive_connections: int
    persistent_connections: int


class KernelCounters(Shape):
    counters: list[KernelCounter]
    next: int | None = None
    """Number of the first virtual server of the next page."""


class Status(Identity, kw_only=True):
    last_reload: LastReload | None
    findings: list[str]
    processes: list[Process]
    generation: int = 1
    vrrp: VrrpPart | None = None
    checker: CheckerPart | None = None
    bfd: dict[str, Any] | None = None


class Event(msgspec.Struct, kw_only=True):
    """Further fields depend on the event."""

    seq: int
    event: str
    at: float


class Events(Shape):
    epoch: str
    """Whose numbers these are: another daemon's begin anew."""
    last: int
    """The number of the last event that happened."""
    lost: int
    """Events after `since` that are not kept any more."""
    events: list[Event]


class Drain(Shape):
    service: str
    server: str
    state: str
    """draining, drained or serving."""
    connections: int | None
    left_us: int


class Drains(Shape):
    servers: list[Drain]


class StandbyState(Shape):
    name: str
    state: str
    standby: bool
    standby_until: float | None


class StandbyStates(Shape):
    instances: list[StandbyState]


class Announced(Shape):
    announced: list[str]
    """Those that are MASTER; the others have nothing to announce."""


class ScriptRun(Shape):
    ended: float
    status: int | None
    """Exit code, negative for a signal; null: it was ended at its time limit."""
    took_us: int
    queue: str | None
    output: str


class ScriptRuns(Shape):
    process: str
    command: str
    runs: list[ScriptRun]


class Scripts(Shape):
    scripts: list[ScriptRuns]


class RunningConfig(Identity, kw_only=True):
    config: dict[str, Any]
