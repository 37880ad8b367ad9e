"""Faults planted in what keeps the kernel's table, one at a time; each must be found by a director's invariants."""

from __future__ import annotations

from tests.simulation.faults import PlantedFault


def _fault(name: str, module: str, before: str, after: str) -> PlantedFault:
    return PlantedFault(name, f"pykeepalived.{module}", before, after)


LVS_FAULTS: tuple[PlantedFault, ...] = (
    # Verdicts.
    _fault(
        "retry-too-many",
        "checkers.verdict",
        "if self.failures > timing.retry or",
        "if self.failures >= timing.retry or",
    ),
    _fault("retry-ignored", "checkers.verdict", "if self.failures > timing.retry or", "if True or"),
    _fault("never-down", "checkers.verdict", "if self.failures > timing.retry or", "if False and"),
    _fault(
        "first-failure-forgiven",
        "checkers.verdict",
        " or (first and timing.first_failure_counts):",
        ":",
    ),
    _fault(
        "success-forgets-nothing",
        "checkers.verdict",
        "        self.failures = 0\n        self._position = 0\n        changed",
        "        changed",
    ),
    _fault("never-up-again", "checkers.verdict", "self.up = changed = True", "changed = True"),
    _fault(
        "weight-0-is-ill", "checkers.misc", "if check.dynamic and status >= 2:", "if check.dynamic and status >= 3:"
    ),
    _fault("weight-off-by-one", "checkers.misc", "weight=status - 2)", "weight=status - 1)"),
    _fault(
        "timeout-is-well",
        "checkers.misc",
        '        return Outcome(False, TIMED_OUT, "timeout")',
        '        return Outcome(True, TIMED_OUT, "timeout")',
    ),
    # Servers.
    _fault(
        "one-good-check-is-enough", "lvs.health", "return not self.holds and all(", "return not self.holds and any("
    ),
    _fault(
        "weight-opinion-lost",
        "lvs.pool",
        "            check.weight_change = check.opinion(health.server, asked_weight)\n",
        "            pass\n",
    ),
    _fault("forgiven-failure-takes-weight", "lvs.pool", "        if up and not forgiven:", "        if up:"),
    _fault(
        "one-of-the-refused-waits",
        "runtime.lvs_table",
        "for key in keys]\n            told",
        "for key in keys][:1]\n            told",
    ),
    _fault(
        "lost-verdict",
        "lvs.pool",
        "        check.up = up\n",
        "        check.up = up or check.up\n",
    ),
    _fault("alpha-is-alive", "lvs.health", "return all(starts_up(", "return any(starts_up("),
    _fault("alpha-forgotten", "lvs.health", "return not spec.timing.alpha", "return True"),
    _fault("inhibit-forgotten", "lvs.pool", "return 0 if health.server.inhibit_on_failure else None", "return None"),
    _fault("dead-stay-listed", "lvs.pool", "if health.alive and not self.sorry_serves:", "if not self.sorry_serves:"),
    _fault(
        "kept-server-forgets",
        "lvs.pool",
        "                kept.replace(server)\n            servers.append(kept)",
        "                kept = ServerHealth(server, True)\n            servers.append(kept)",
    ),
    _fault(
        "weight-of-reload-lost",
        "lvs.health",
        "        self.server = server\n        self.checks = checks",
        "        self.checks = checks",
    ),
    # Quorum and sorry server.
    _fault(
        "hysteresis-upside-down",
        "lvs.quorum",
        "return self.quorum - self.hysteresis",
        "return self.quorum + self.hysteresis",
    ),
    _fault("quorum-gained-early", "lvs.quorum", "return weight >= self.gained_at", "return weight >= self.lost_below"),
    _fault("quorum-needs-more", "lvs.quorum", "return weight >= self.gained_at", "return weight > self.gained_at"),
    _fault(
        "quorum-beyond-all",
        "lvs.quorum",
        "quorum = min(server.quorum, total) if total else server.quorum",
        "quorum = server.quorum",
    ),
    _fault(
        "sorry-stays",
        "lvs.pool",
        "return [QuorumGained(self.service, self.weight, cause), *self._sorry_out(cause)]",
        "return [QuorumGained(self.service, self.weight, cause)]",
    ),
    _fault(
        "sorry-never-comes",
        "lvs.pool",
        "return [QuorumLost(self.service, self.weight, cause), *self._sorry_in(cause)]",
        "return [QuorumLost(self.service, self.weight, cause)]",
    ),
    _fault(
        "sorry-inhibit-forgotten",
        "lvs.pool",
        "if sorry is not None and (self.sorry_serves or sorry.inhibit):",
        "if sorry is not None and self.sorry_serves:",
    ),
    _fault(
        "sorry-of-the-old-file",
        "lvs.pool",
        "        if not self.quorum_up and not self.sorry_serves:\n            events += self._sorry_in(Cause.RELOAD)",
        "        pass",
    ),
    # The table.
    _fault(
        "removal-forgotten",
        "lvs.reconcile",
        "gone = [kept for kept in known.destinations if kept not in wanted.destinations and kept in named]",
        "gone: list[DestinationKey] = []",
    ),
    _fault(
        "strangers-removed",
        "lvs.reconcile",
        "if kept not in wanted.destinations and kept in named]",
        "if kept not in wanted.destinations]",
    ),
    _fault(
        "leaves-before-it-comes",
        "lvs.reconcile",
        "return [*first, *later, *(DeleteDestination(key, kept) for kept in gone)]",
        "return [*(DeleteDestination(key, kept) for kept in gone), *first, *later]",
    ),
    _fault("edit-forgotten", "lvs.reconcile", "            elif before != value:", "            elif False:"),
    _fault(
        "service-not-removed",
        "lvs.reconcile",
        "        return [*operations, DeleteService(key)]",
        "        return operations",
    ),
    _fault("refused-is-done", "runtime.lvs_table", "if id(operation) not in refused)", "if True)"),
    _fault(
        "no-second-try",
        "runtime.lvs_table",
        "        if self._refused and self._retry_timer is None:",
        "        if False:",
    ),
    _fault("retry-of-nothing", "runtime.lvs_table", "self._bring_about(list(self._refused))", "self._bring_about([])"),
    _fault(
        "drift-unseen",
        "runtime.lvs_table",
        "        drifted = [key for key in self._reconciler.drifted(found) if key in members]",
        "        drifted: list[ServiceKey] = []",
    ),
    _fault(
        "drift-once",
        "runtime.lvs_table",
        "        else:\n            self.watch_drift()",
        "        else:\n            pass",
    ),
    _fault("nothing-adopted", "runtime.checker_process", "        self._keeper.adopt(found)\n", ""),
    _fault(
        "left-behind",
        "runtime.checker_process",
        "                    if leaves:\n                        self._keeper.unwant(key)",
        "                    if leaves:\n                        pass",
    ),
    _fault(
        "result-not-shown",
        "runtime.checker_process",
        "            self._tell_all(events)\n            self._show(pool)\n\n    # ---- the table",
        "            self._tell_all(events)\n\n    # ---- the table",
    ),
    _fault(
        "departures-forgotten",
        "runtime.lvs_departures",
        "                keeper.purge(",
        "                (lambda *_: None)(",
    ),
    # Probes.
    _fault(
        "check-once",
        "runtime.probes",
        "        self.schedule(probe)\n        if self._waiting and",
        "        if self._waiting and",
    ),
    _fault(
        "shared-answer-for-one",
        "runtime.probes",
        "        for subscription in tuple(probe.subscriptions):\n            pause_us",
        "        for subscription in tuple(probe.subscriptions)[:1]:\n            pause_us",
    ),
    _fault(
        "checks-of-the-gone-go-on",
        "runtime.checker_process",
        "            self._checks.forget(pool)\n",
        "            pass\n",
    ),
)
