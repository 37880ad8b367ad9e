"""What operators ask of the checker process: explain, weight, checks run."""

from __future__ import annotations

import msgspec
import pytest

from pykeepalived.model.lvs import AddressSelector
from pykeepalived.runtime.control_shapes import KernelCounters
from pykeepalived.runtime.control_shapes_explain import Explained
from tests.lvs.stage import KEY, Backend, Stage, config, real_server, virtual_server

SERVICE = f"{KEY.address}:80"


@pytest.fixture
def backends():
    made = [Backend("127.0.0.2"), Backend("127.0.0.3")]
    yield made
    for backend in made:
        backend.close()


@pytest.fixture
def stage(backends):
    made = Stage()
    made.program.start(config(virtual_server(*(real_server(item) for item in backends))))
    made.until_weights({f"{item.address}:{item.port}": 1 for item in backends})
    yield made
    made.close()


def asked(stage, name, server="", **words):
    answer = stage.program.command(name, {"service": SERVICE, "server": server, **words})
    assert "error" not in answer, answer
    msgspec.convert(answer, Explained)
    return answer["servers"]


def test_why_a_server_is_up_and_why_it_is_down(stage, backends):
    one = f"{backends[0].address}:{backends[0].port}"
    stage.until(lambda: asked(stage, "explain", one)[0]["checks"][0]["has_run"], "a result")
    found = asked(stage, "explain", one)[0]
    assert found["why"] == ["up: every check is well"]
    assert (found["checks"][0]["retries_left"], found["configured_weight"]) == (1, 1)
    backends[0].close()
    stage.until(lambda: not asked(stage, "explain", one)[0]["alive"], "it goes down")
    found = asked(stage, "explain", one)[0]
    assert found["why"][0].startswith("down: tcp: ")
    assert found["checks"][0]["rise_left"] == 1
    assert len(asked(stage, "explain")) == 2
    backends[0].open()
    stage.until(lambda: asked(stage, "explain", one)[0]["alive"], "it comes back")


def test_an_operators_weight_stays_over_reloads_and_drains(stage, backends):
    one, two = (f"{item.address}:{item.port}" for item in backends)
    assert asked(stage, "weight", one, weight=7)[0]["why"][0] == (
        "weight 7 was set by an operator; the configuration says 1"
    )
    stage.until_weights({one: 7, two: 1})
    stage.program.reload(config(virtual_server(real_server(backends[0], weight=3), real_server(backends[1]))))
    stage.until_weights({one: 7, two: 1})
    stage.program.command("drain", {"service": SERVICE, "server": one, "timeout_s": 60})
    stage.until_weights({two: 1})
    stage.program.command("undrain", {"service": SERVICE, "server": one})
    stage.until_weights({one: 7, two: 1})
    asked(stage, "weight", one, weight=None)
    stage.until_weights({one: 3, two: 1})


def test_checks_run_at_once(stage, backends):
    slow = real_server(backends[0])
    timing = msgspec.structs.replace(slow.checkers[0].timing, delay_loop_us=3_600_000_000)
    slow = msgspec.structs.replace(slow, checkers=(msgspec.structs.replace(slow.checkers[0], timing=timing),))
    stage.program.reload(config(virtual_server(slow)))
    one = f"{backends[0].address}:{backends[0].port}"
    stage.until(lambda: asked(stage, "explain", one)[0]["checks"][0]["answers"], "a first result")
    before = asked(stage, "checks-run", one)[0]["checks"][0]["answers"]
    stage.until(lambda: asked(stage, "explain", one)[0]["checks"][0]["answers"] > before, "another result")


def test_names_that_mean_nothing_are_refused(stage):
    for service, server in (("", ""), ("10.9.9.9:80", ""), (SERVICE, "10.9.9.9:80"), ("", "10.9.9.9")):
        assert (
            "real server" in stage.program.command("explain", {"service": service, "server": server})["error"]
            or "no virtual server" in stage.program.command("explain", {"service": service, "server": server})["error"]
        )


def test_counters_come_in_pages_of_whole_virtual_servers(backends):
    made = Stage()
    try:
        servers = [
            virtual_server(real_server(backends[0]), selector=AddressSelector(KEY.address, port))
            for port in (80, 81, 82)
        ]
        made.program.start(config(*servers))
        ask = made.program.command
        made.until(lambda: len(ask("counters", {}).get("counters", ())) == 3, "three virtual servers")
        seen, first = [], 0
        while first is not None:
            page = ask("counters", {"first": first, "servers": 1})
            msgspec.convert(page, KernelCounters)
            seen += [item["service"] for item in page["counters"]]
            assert len(page["counters"]) == 1
            first = page["next"]
        assert seen == [f"{KEY.address}:{port}" for port in (80, 81, 82)]
        made.program._dataplane.counts_in_parts = False
        assert ask("counters", {})["next"] is None
    finally:
        made.close()
