"""Workers make the checks: nothing is asked twice, a dead worker is replaced, and nothing of them stays."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.model.checks import CheckerSpec, CheckTiming, HttpCheck, HttpUrl, SocketOptions
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import AddressSelector, RealServer, VirtualServer
from pykeepalived.runtime.check_workers import load_of, workers_for
from tests.dialects.keepalived.fake_host import FakeHost
from tests.lvs.stage import Backend, Stage, config, real_server, virtual_server

_LIMIT_S = 60.0


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    opened = [Backend(f"127.78.0.{number}") for number in range(1, 6)]
    yield opened
    for backend in opened:
        backend.close()


def configured(tmp_path: Path, workers: int, *servers: VirtualServer) -> Config:
    file = tmp_path / "conf"
    file.write_text(f"global_defs {{\n lvs_check_workers {workers}\n}}\n")
    return msgspec.structs.replace(load(str(file), host=FakeHost()).config, virtual_servers=servers)


def counts(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.program.status()["probes"]
    return found


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.shows("global_defs.lvs_check_workers")
def test_workers_make_the_checks_and_one_that_dies_is_replaced(backends: list[Backend], tmp_path: Path) -> None:
    stage = Stage()
    servers = [real_server(each, 3) for each in backends]
    # The second one asks the same questions.
    both = (virtual_server(*servers), virtual_server(*servers, selector=AddressSelector("10.77.0.6", 80)))
    everything = {f"{each.address}:{each.port}": 3 for each in backends}
    stage.program.start(configured(tmp_path, 2, *both))
    try:
        # Both say what they do once a second.
        stage.until(lambda: counts(stage)["subscriptions"] == 10 and counts(stage)["answers_delivered"] >= 20,
                    "the workers ask", _LIMIT_S)  # fmt: skip
        found = counts(stage)
        assert (found["questions"], len(set(found["workers"]))) == (5, 2)
        assert stage.program._checks is not None
        assert stage.program._checks._engine.probes_started == 0
        assert stage.weights() == everything
        first = backends[0]
        first.close()
        gone = {place: weight for place, weight in everything.items() if not place.startswith(f"{first.address}:")}
        stage.until(lambda: stage.weights() == gone, "the death of a server", _LIMIT_S)

        killed = found["workers"][0], found["workers"][1]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        stage.until(lambda: 0 not in counts(stage)["workers"] and not {*killed} & {*counts(stage)["workers"]},
                    "other workers", _LIMIT_S)  # fmt: skip
        assert stage.weights() == gone
        second = backends[1]
        second.close()
        first.open()
        back = {place: weight for place, weight in everything.items() if not place.startswith(f"{second.address}:")}
        stage.until(lambda: stage.weights() == back, "what the new workers see", _LIMIT_S)
        pids = counts(stage)["workers"]
    finally:
        stage.close()
    assert not [pid for pid in (*pids, *killed) if alive(pid)]
    assert [line for line in stage.memo.errors if "Check worker, pid" in line]


def test_checks_that_come_and_go_at_a_reload(backends: list[Backend], tmp_path: Path) -> None:
    stage = Stage()
    stage.program.start(configured(tmp_path, 1, virtual_server(*(real_server(each) for each in backends[:3]))))
    try:
        stage.until(lambda: counts(stage)["subscriptions"] == 3, "three checks", _LIMIT_S)
        stage.program.reload(configured(tmp_path, 1, virtual_server(*(real_server(each) for each in backends[2:]))))
        backends[4].close()
        wanted = {f"{each.address}:{each.port}": 1 for each in backends[2:4]}
        stage.until(lambda: stage.weights() == wanted, "the check of a new server", _LIMIT_S)
        stage.until(lambda: counts(stage)["questions"] == 3, "old checks have ended", _LIMIT_S)
    finally:
        stage.close()


def http(number: int, *, tls: bool) -> CheckerSpec:
    socket = SocketOptions(address=f"10.1.{number // 250}.{number % 250}", port=443)
    question = HttpCheck(socket=socket, urls=(HttpUrl(path="/"),), tls=tls)
    return CheckerSpec(question=question, timing=CheckTiming(delay_loop_us=1_000_000))


def test_without_the_word_the_load_decides() -> None:
    def of(count: int, *, tls: bool) -> Config:
        checkers = tuple(http(number, tls=tls) for number in range(count))
        return config(virtual_server(RealServer(address="10.9.9.9", port=80, checkers=checkers)))

    assert load_of(of(200, tls=False)) == pytest.approx(0.016)
    assert workers_for(of(200, tls=False)) == 0
    busy = of(1500, tls=True)
    assert load_of(busy) == pytest.approx(1.5)
    assert workers_for(busy) == min(3, len(os.sched_getaffinity(0)))
    twice = msgspec.structs.replace(busy, virtual_servers=busy.virtual_servers * 2)
    assert load_of(twice) == load_of(busy)
