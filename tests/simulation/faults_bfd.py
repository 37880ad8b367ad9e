"""Faults planted in the BFD cores, as in `faults`."""

from __future__ import annotations

from tests.simulation.faults import PlantedFault


def _fault(name: str, module: str, before: str, after: str) -> PlantedFault:
    return PlantedFault(name, f"pykeepalived.bfd.{module}", before, after)


_INIT_TO_UP = "            elif remote is State.INIT:\n                self._enter(State.UP"

BFD_FAULTS: tuple[PlantedFault, ...] = (
    # Timers.
    _fault("neighbor-too-fast", "session", "max(self._used_tx_us, self.remote_min_rx_us)", "self._used_tx_us"),
    _fault(
        "only-the-neighbor-s-pace", "session", "max(self._used_tx_us, self.remote_min_rx_us)", "self.remote_min_rx_us"
    ),
    _fault("own-multiplier", "session", "return self.remote_multiplier *", "return self.config.multiplier *"),
    _fault("detection-of-one", "session", "return self.remote_multiplier *", "return"),
    _fault("detection-by-own-pace", "session", "max(self._used_rx_us, self.remote_min_tx_us)", "self._used_rx_us"),
    _fault(
        "detection-by-their-pace", "session", "max(self._used_rx_us, self.remote_min_tx_us)", "self.remote_min_tx_us"
    ),
    _fault("no-jitter", "session", "(1 - cut)", "1"),
    _fault("jitter-the-wrong-way", "session", "(1 - cut)", "(1 + cut)"),
    _fault("too-much-jitter", "session", "_CUT_MOST = 0.25", "_CUT_MOST = 0.5"),
    _fault("longer-wait-at-once", "session", "self.next_send_us = min(before, self.next_send_us)", "pass"),
    _fault("expires-never", "session", "now_us >= self.expires_us:", "False:"),
    _fault(
        "expires-at-once", "session", "self.expires_us = now_us + self.detection_time_us", "self.expires_us = now_us"
    ),
    _fault(
        "expiry-not-renewed",
        "session",
        "        self.expires_us = now_us + self.detection_time_us\n",
        "        self.expires_us = self.expires_us or now_us + self.detection_time_us\n",
    ),
    _fault(
        "sends-once",
        "session",
        "                self._send(actions)\n            self._schedule(now_us)\n",
        "                self._send(actions)\n            self.next_send_us = None\n",
    ),
    # States.
    _fault(
        "init-left-out", "session", "self._enter(State.INIT, self.diagnostic", "self._enter(State.UP, self.diagnostic"
    ),
    _fault(
        "down-believes-up", "session", _INIT_TO_UP, _INIT_TO_UP.replace("is State.INIT", "in {State.INIT, State.UP}")
    ),
    _fault("init-waits-for-up", "session", "if remote in {State.INIT, State.UP}:", "if remote is State.UP:"),
    _fault("init-deaf-to-up", "session", "if remote in {State.INIT, State.UP}:", "if remote is State.INIT:"),
    _fault("up-for-ever", "session", "        elif remote is State.DOWN:\n", "        elif False:\n"),
    _fault("admin-down-ignored", "session", "if remote is State.ADMIN_DOWN:", "if False:"),
    _fault("silence-keeps-init", "session", "if self.state in {State.INIT, State.UP}:", "if self.state is State.UP:"),
    _fault("silence-keeps-up", "session", "if self.state in {State.INIT, State.UP}:", "if self.state is State.INIT:"),
    _fault(
        "discriminator-kept-in-silence",
        "session",
        "        self.remote_discriminator = 0\n        self.remote_state = State.DOWN\n        self.polling",
        "        self.remote_state = State.DOWN\n        self.polling",
    ),
    _fault("wrong-reason", "session", "self._enter(State.DOWN, TIME_EXPIRED", "self._enter(State.DOWN, NEIGHBOR_DOWN"),
    # What trackers hear.
    _fault("admin-down-is-a-failure", "session", "if self.remote_state is not State.ADMIN_DOWN:", "if True:"),
    _fault("loss-not-told", "session", "self._tell(False, actions)", "pass"),
    _fault("coming-not-told", "session", "self._tell(True, actions)", "pass"),
    _fault("told-twice", "session", "if up is not self.told_up:", "if True:"),
    # Polls.
    _fault("poll-unanswered", "session", "if control.poll:", "if False:"),
    _fault("final-unheard", "session", "if control.final and self.polling:", "if False:"),
    _fault("poll-and-final", "session", "poll=self.polling and not final", "poll=self.polling"),
    _fault("slower-at-once", "session", "if not up or desired_tx_us < self._used_tx_us:", "if True:"),
    _fault("faster-demand-at-once", "session", "if not up or required_rx_us > self._used_rx_us:", "if True:"),
    _fault("polls-a-stranger", "session", "self.polling = self.remote_discriminator != 0", "self.polling = True"),
    _fault("idle-pace-kept", "session", "self._wish(self.config.min_tx_us, self.required_rx_us)", "pass"),
    _fault("busy-pace-kept", "session", "self._wish(self.config.idle_tx_us, self.required_rx_us)", "pass"),
    # Storms, passive sessions, farewells.
    _fault("endless-hurry", "session", "return self._hurries <= _HURRIES_PER_S", "return True"),
    _fault(
        "passive-speaks-first", "session", "if self.remote_discriminator == 0 and self.config.passive:", "if False:"
    ),
    _fault("leaves-without-a-word", "session", "(self.remote_detection_time_us if heard else 0)", "0"),
    _fault("change-not-sent", "session", "if self._may_hurry(now_us):", "if False:"),
    # The ladder and the book of sessions.
    _fault("hop-limit-ignored", "sessions", "if event.ttl < session.config.least_ttl:", "if False:"),
    _fault("wrong-port-believed", "sessions", "if session.config.multihop is not event.multihop:", "if False:"),
    _fault("admin-down-hears", "sessions", "if session.state is State.ADMIN_DOWN:", "if False:"),
    _fault("authenticated-believed", "sessions", "if control.authenticated:", "if False:"),
    _fault("reload-changes-nothing", "sessions", "known.adapt(config, now_us)", "pass"),
    _fault("never-closed", "sessions", "now_us >= session.leaves_us:", "False:"),
    _fault("gone-neighbor-remembered", "sessions", "                actions += session.leave(now_us)\n", ""),
)
