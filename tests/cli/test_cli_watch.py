"""What `keepalivedctl watch` shows: nothing wraps at 60 columns, keys sort and filter, text steers nothing."""

from __future__ import annotations

import random

import click
import pytest

from pykeepalived.cli.ctl.watch_view import View, render
from tests.cli.test_cli_status import ANSWER


def lines(status=ANSWER, view=None, columns=60, limit=1000):
    found = list(render(status, view or View(), columns=columns, lines=limit, now=1100.0))
    return [click.unstyle(line) for line in found]


def press(view, keys):
    for key in keys:
        assert view.press(key)
    return view


def servers(count):
    """As many real servers, with names, states and latencies in no order."""
    chance = random.Random(5)
    made = []
    for number in range(count):
        name = f"[2001:db8:1234:5678:9abc:def0:1111:{number:x}]:tcp:80"
        last = {"text": "x" * chance.randrange(90), "reason": "", "latency_us": chance.randrange(10**7)}
        made.append({
            "name": name, "alive": chance.random() < 0.7, "table_weight": 1, "holds": [], "forwarding": "NAT",
            "weight": 1,
            "checks": [{"check": "http", "up": True, "last": last}],
        })  # fmt: skip
    chance.shuffle(made)
    service = dict(ANSWER["checker"]["services"][0], servers=made)
    return ANSWER | {"checker": {"services": [service]}}


@pytest.mark.parametrize("columns", [60, 61, 80, 132, 200])
@pytest.mark.parametrize("status", [ANSWER, servers(50), {}], ids=["small", "many", "nothing"])
def test_no_line_is_wider_than_the_terminal(status, columns):
    assert max(map(len, lines(status, columns=columns))) <= columns


def test_everything_is_there_at_60_columns():
    text = "\n".join(lines())
    for word in ("VI_1", "FAULT", "90", "10.0.0.2", "[192.168.0.12]:tcp:80", "up", "down", "connected"):
        assert word in text


def test_a_screen_is_not_passed():
    assert len(lines(servers(200), limit=20)) == 20


def test_sorting_and_turning():
    def shown(keys):
        body = lines(servers(30), press(View(), keys), columns=200)
        return [line.split()[0] for line in body if line.startswith("[2001")]

    assert shown("s") == sorted(shown(""))
    assert shown("sr") == sorted(shown(""), reverse=True)
    states = [
        line.split()[1] for line in lines(servers(30), press(View(), "ss"), columns=200) if line.startswith("[2001")
    ]
    assert states == sorted(states, key=lambda state: state != "down")
    times = [
        float(line.split()[3])
        for line in lines(servers(30), press(View(), "sss"), columns=200)
        if line.startswith("[2001")
    ]
    assert times == sorted(times, reverse=True)
    assert press(View(), "ssss").order == "file"


def test_filtering():
    view = press(View(), "/0.13\r")
    assert [line for line in lines(view=view) if "[192" in line] == [line for line in lines() if ".13]" in line]
    assert press(View(), "/abc\x7f\x1b").filter == ""
    faults = lines(view=press(View(), "f"))
    assert any("down" in line for line in faults)
    assert not any("0.12" in line for line in faults)
    assert len(press(View(), "/" + "x" * 500).filter) == 80


def test_q_ends_it_but_not_inside_a_filter():
    view = View()
    assert view.press("/")
    assert view.press("q")
    assert view.press("\r")
    assert not view.press("q")


def test_text_of_strangers_does_not_steer_the_terminal():
    last = {"text": "\x1b[2J\x07evil", "reason": "", "latency_us": 5}
    status = servers(1)
    status["checker"]["services"][0]["servers"][0]["checks"][0]["last"] = last
    assert "\x1b" not in "".join(lines(status))
    assert "\x07" not in "".join(lines(status))
