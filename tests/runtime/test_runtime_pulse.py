"""A child that hangs: noticed, killed, replaced; and nobody is blamed for a pause of the parent's own."""

from __future__ import annotations

import os
import signal

import pytest

from pykeepalived.runtime.pulse import LIMIT_US, Pulse, waited_us
from tests.runtime.test_runtime_supervisor import BOTH, Daemon


class Clock:
    """A reactor in virtual time, with one timer."""

    class Timer:
        def __init__(self, when_us, callback):
            self.when_us, self.callback = when_us, callback

        def cancel(self):
            self.callback = None

    def __init__(self):
        self.now = 0
        self.timer = None

    def now_us(self):
        return self.now

    def call_later(self, delay_us, callback):
        self.timer = self.Timer(self.now + delay_us, callback)
        return self.timer

    def run(self, late_us=0):
        self.now = self.timer.when_us + late_us
        callback, self.timer.callback = self.timer.callback, None
        if callback is not None:
            callback()


@pytest.fixture
def stage():
    clock, asked, silent = Clock(), [], []
    pulse = Pulse(clock, lambda: asked.append(clock.now), lambda: silent.append(clock.now))
    pulse.start()
    return clock, pulse, asked, silent


def test_who_answers_lives(stage):
    clock, pulse, asked, silent = stage
    for _ in range(100):
        clock.run()
        pulse.heard()
    assert len(asked) == 100
    assert silent == []


def test_silence_is_told_once(stage):
    clock, pulse, _, silent = stage
    pulse.heard()
    for _ in range(20):
        clock.run()
    assert silent == [LIMIT_US]


def test_a_pause_of_our_own_is_nobody_s_silence(stage):
    clock, _, _, silent = stage
    clock.run()
    clock.run(late_us=10 * LIMIT_US)
    clock.run()
    assert silent == []


def test_waiting_for_a_processor_is_nobody_s_silence_and_a_loop_without_end_is():
    clock, silent, waited = Clock(), [], [5_000_000]
    pulse = Pulse(clock, lambda: None, lambda: silent.append(clock.now), waited=lambda: waited[0])
    pulse.start()
    for _ in range(100):
        waited[0] += LIMIT_US // 5
        clock.run()
    assert silent == []
    while not silent and clock.now < 100 * LIMIT_US:
        waited[0] += LIMIT_US // 10
        clock.run()
    assert clock.now == 22 * LIMIT_US, "half of the time it had a processor"


def test_how_long_a_process_waited():
    assert waited_us(os.getpid()) >= 0
    assert waited_us(2**30) == 0


def test_a_child_that_hangs_is_killed_and_replaced(tmp_path):
    daemon = Daemon(tmp_path)
    try:
        daemon.configure(**BOTH)
        daemon.start()
        stopped = daemon.pid("vrrp")
        os.kill(stopped, signal.SIGSTOP)
        daemon.wait_log(f"VRRP child process({stopped}) has not answered for 10 seconds - killing it")
        daemon.wait_log(f"VRRP child process({stopped}) died: Respawning")
        daemon.wait(lambda: daemon.pid("vrrp") != stopped)
    finally:
        daemon.destroy()
