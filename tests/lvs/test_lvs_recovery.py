"""Slow start and flap damping: the core on a made-up clock, and a checker process with a server that comes and goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.dialects.keepalived import load
from pykeepalived.lvs.health import ServerHealth
from pykeepalived.lvs.recovery import WHOLE, Recoveries, Release, Share
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import RealServer, RecoveryRule
from tests.dialects.keepalived.fake_host import FakeHost
from tests.lvs.stage import Backend, Stage

PLACE = ("vs", "10.0.0.1", 80)
S = 1_000_000
SLOW = RecoveryRule(slow_start_us=10 * S)
FLAPS = RecoveryRule(flap_count=3, flap_window_us=20 * S, flap_hold_us=30 * S)


def test_a_return_starts_slowly_and_ends_whole() -> None:
    core = Recoveries()
    assert core.up(PLACE, SLOW, 0, fresh=True) == WHOLE
    assert core.wake_at() is None
    assert not core.down(PLACE, SLOW, 1 * S, by_check=True)
    assert core.up(PLACE, SLOW, 2 * S, fresh=False) == 0
    shares = []
    while (when := core.wake_at()) is not None:
        assert 2 * S < when <= 12 * S
        for item in core.due(when):
            assert isinstance(item, Share)
            shares.append(item.share)
            assert item.share == (when - 2 * S) * WHOLE // (10 * S)
    assert shares == sorted(shares)
    assert shares[-1] == WHOLE
    assert len(shares) == 50


def test_the_first_time_alive_is_no_return() -> None:
    core = Recoveries()
    assert core.up(PLACE, SLOW, 0, fresh=False) == WHOLE


def test_a_server_that_goes_down_again_begins_anew() -> None:
    core = Recoveries()
    core.up(PLACE, SLOW, 0, fresh=True)
    core.down(PLACE, SLOW, 1, by_check=True)
    core.up(PLACE, SLOW, 2, fresh=False)
    core.down(PLACE, SLOW, 5 * S, by_check=True)
    assert core.wake_at() is None
    assert core.up(PLACE, SLOW, 6 * S, fresh=False) == 0
    assert core.due(7 * S) == [Share(PLACE, 100)]


@given(st.integers(0, 65535), st.integers(0, WHOLE))
def test_a_share_of_a_weight_serves_and_is_not_more(weight: int, share: int) -> None:
    health = ServerHealth(RealServer(address="10.0.0.1", port=80, weight=weight), True)
    health.share = share
    assert min(1, weight) <= health.shown_weight <= weight
    assert health.weight == weight


def test_many_times_down_within_the_window_holds_it_out() -> None:
    core = Recoveries()
    assert [core.down(PLACE, FLAPS, when * S, by_check=True) for when in (0, 10, 19)] == [False, False, True]
    assert core.wake_at() is None
    core.checked(PLACE, True, 20 * S)
    assert core.wake_at() == 50 * S
    core.checked(PLACE, False, 40 * S)
    assert core.wake_at() is None
    core.checked(PLACE, True, 41 * S)
    core.checked(PLACE, True, 60 * S)
    assert core.due(71 * S - 1) == []
    assert core.due(71 * S) == [Release(PLACE)]
    assert not core.is_held(PLACE)
    # It begins to count anew.
    assert not core.down(PLACE, FLAPS, 72 * S, by_check=True)


def test_slow_flaps_and_what_an_operator_does_do_not_count() -> None:
    core = Recoveries()
    assert not any(core.down(PLACE, FLAPS, when * 11 * S, by_check=True) for when in range(20))
    assert not any(core.down(PLACE, FLAPS, 300 * S + when, by_check=False) for when in range(20))


def test_a_reload_may_end_both() -> None:
    core = Recoveries()
    for when in range(3):
        core.down(PLACE, FLAPS, when, by_check=True)
    assert core.configure(PLACE, FLAPS) == []
    assert core.configure(PLACE, SLOW) == [Release(PLACE)]
    core.up(PLACE, SLOW, 9, fresh=True)
    core.down(PLACE, SLOW, 10, by_check=True)
    core.up(PLACE, SLOW, 11, fresh=False)
    assert core.configure(PLACE, FLAPS) == [Share(PLACE, WHOLE)]
    core.keep(set())
    assert core.wake_at() is None
    assert not core.is_held(PLACE)


# ---- in the checker process ----


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend("127.0.0.1")
    yield made
    made.close()


def configured(tmp_path: Path, port: int, of_service: str = "", of_server: str = "") -> Config:
    file = tmp_path / "keepalived.conf"
    file.write_text(
        f"virtual_server 10.77.0.5 80 {{\n delay_loop 0.05\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n {of_service}\n"
        f" real_server 127.0.0.1 {port} {{\n weight 100\n {of_server}\n TCP_CHECK {{\n warmup 0\n retry 0\n"
        " connect_timeout 20\n }\n }\n}\n"
    )
    config = load(str(file), host=FakeHost()).config
    assert config is not None
    return config


def seen_weight(stage: Stage, port: int) -> int | None:
    return (stage.weights() or {}).get(f"127.0.0.1:{port}")


def why(stage: Stage) -> list[str]:
    return list(stage.program.command("explain", {"service": "", "server": "127.0.0.1"})["servers"][0]["why"])


@pytest.mark.shows("virtual_server.slow_start", "virtual_server.real_server.slow_start")
@pytest.mark.parametrize("where", ["of_service", "of_server"])
def test_a_server_that_comes_back_gets_its_weight_slowly(tmp_path: Path, backend: Backend, where: str) -> None:
    stage, port = Stage(), backend.port
    stage.program.start(configured(tmp_path, port, **{where: "slow_start 900"}))
    stage.until_weights({f"127.0.0.1:{port}": 100})
    backend.close()
    stage.until_weights({})
    backend.open()
    stage.until(lambda: seen_weight(stage, port), "a return")
    assert seen_weight(stage, port) == 1
    assert "slow start: it has come back, and has weight 1 of 100 by now" in why(stage)
    # Other rules reach a slow start that goes on: steps of 1.2 s, and one that is over.
    stage.program.reload(configured(tmp_path, port, **{where: "slow_start 60"}))
    stage.until(lambda: 1 < (seen_weight(stage, port) or 0) < 100, "growth")
    stage.program.reload(configured(tmp_path, port, **{where: "slow_start 0.1"}))
    stage.until_weights({f"127.0.0.1:{port}": 100})
    stage.close()


def test_slow_start_does_not_cost_the_quorum(tmp_path: Path, backend: Backend) -> None:
    stage, port = Stage(), backend.port
    stage.program.start(configured(tmp_path, port, "slow_start 600\n quorum 100\n sorry_server 127.0.0.9 9"))
    stage.until_weights({f"127.0.0.1:{port}": 100})
    backend.close()
    stage.until_weights({"127.0.0.9:9": 1})
    backend.open()
    stage.until(lambda: seen_weight(stage, port), "a return")
    assert (stage.weights() or {}).keys() == {f"127.0.0.1:{port}"}
    # A reload that takes the word out gives it all its weight.
    stage.program.reload(configured(tmp_path, port, "quorum 100\n sorry_server 127.0.0.9 9"))
    stage.until_weights({f"127.0.0.1:{port}": 100})
    stage.close()


@pytest.mark.shows("virtual_server.flap_limit", "virtual_server.real_server.flap_limit")
@pytest.mark.parametrize("where", ["of_service", "of_server"])
def test_a_server_that_flaps_stays_out_until_it_is_good_for_long(tmp_path: Path, backend: Backend, where: str) -> None:
    stage, port = Stage(), backend.port
    stage.program.start(configured(tmp_path, port, **{where: "flap_limit 2 600 600"}))
    for _ in range(2):
        stage.until_weights({f"127.0.0.1:{port}": 100})
        backend.close()
        stage.until_weights({})
        backend.open()
    assert any("went down 2 times within 600 s" in line for line in stage.memo.errors)
    (pool,) = stage.program._pools.values()
    stage.until(lambda: not pool.servers[0].failed_checks, "good checks")
    assert stage.weights() == {}
    assert "flap_limit" in why(stage)[0]
    # Good for long enough now.
    stage.program.reload(configured(tmp_path, port, **{where: "flap_limit 2 600 1"}))
    stage.until_weights({f"127.0.0.1:{port}": 100})
    stage.close()


def test_words_of_the_server_win(tmp_path: Path) -> None:
    (service,) = configured(
        tmp_path, 80, "slow_start 9\n flap_limit 5 6 7", "slow_start 0\n flap_limit 3"
    ).virtual_servers
    assert service.real_servers[0].recovery == RecoveryRule(
        flap_count=3, flap_window_us=60 * S, flap_hold_us=60 * S
    )  # fmt: skip
    (service,) = configured(tmp_path, 80, "", "").virtual_servers
    assert service.real_servers[0].recovery is None


@pytest.mark.parametrize(("weight", "said"), [("weight 1", True), ("weight 2", False)])
def test_slow_start_of_the_least_weight_is_told(tmp_path: Path, weight: str, said: bool) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text(
        "virtual_server 10.77.0.5 80 {\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n slow_start 9\n"
        f" real_server 127.0.0.1 80 {{\n {weight}\n }}\n}}\n"
    )
    found = {item.id for item in load(str(file), host=FakeHost()).findings.items}
    assert ("slow-start-of-one" in found) is said
