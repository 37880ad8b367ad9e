"""The requests of the control socket: rights, arguments, numbered events, one question to the children for all."""

from __future__ import annotations

import types

import msgspec
import pytest

from pykeepalived.model.config import Config
from pykeepalived.runtime.control import Request
from pykeepalived.runtime.event_ring import EventRing
from pykeepalived.runtime.requests import ROWS, dispatch, status


class Child:
    def __init__(self, word):
        self.word = word
        self.asked = []
        self.commands = []

    def ask_status(self, part, answer):
        self.asked.append(answer)

    def ask_command(self, name, arguments, answer):
        self.commands.append((name, arguments))
        answer({"error": "not here"} if arguments.get("server") == "x" else {"servers": []})


class Desk:
    def __init__(self, *words):
        self.events = EventRing(kept=5)
        self.running = [Child(word) for word in words]
        self.reloads = 0

    def identity(self):
        return {"program": "keepalived"}

    def overview(self):
        return {"processes": []}

    def children(self):
        return self.running

    def configuration(self):
        return Config()

    def reload(self):
        self.reloads += 1


class Answer:
    def __init__(self, steers=True):
        self.steers = steers
        self.result = self.error = None
        self.streamed = []

    def reply(self, result):
        self.result = msgspec.json.decode(result) if isinstance(result, msgspec.Raw) else result

    def refuse(self, text):
        self.error = text

    def begin(self, result):
        self.streamed.append(result)
        self.stream = types.SimpleNamespace(send=self.streamed.append, gone=lambda: None)
        return self.stream


def asked(desk, command, steers=True, **arguments):
    answer = Answer(steers)
    dispatch(desk, Request(command, arguments=arguments), answer)
    return answer


def test_a_reader_is_refused_whatever_steers():
    desk = Desk("checker", "vrrp")
    for row in ROWS.values():
        answer = asked(desk, row.name, steers=False)
        assert row.steers is (answer.error is not None and "control_group" in answer.error), row.name
    assert desk.reloads == 0


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("events", {"since": -1}), ("events", {"wrong": 1}), ("status", {"servers": 10**9}), ("drain", {"service": "a"}),
     ("drain", {"service": "a" * 400, "server": "b"}), ("nothing", {})],
)  # fmt: skip
def test_wrong_arguments_are_refused_by_name(command, arguments):
    answer = asked(Desk("checker"), command, **arguments)
    assert answer.result is None
    assert command in answer.error


def test_the_children_are_asked_once_for_all_who_ask_together(monkeypatch):
    monkeypatch.setattr(status, "monotonic_us", lambda: 1_000_000)
    desk = Desk("vrrp", "checker")
    answers = [asked(desk, "status") for _ in range(100)]
    assert [len(child.asked) for child in desk.running] == [1, 1]
    desk.running[0].asked[0]({"instances": []})
    assert all(answer.result is None for answer in answers)
    desk.running[1].asked[0]({"services": []})
    assert all(answer.result["vrrp"] == {"instances": []} for answer in answers)
    # Within the same moment nobody is asked again, later they are.
    assert asked(desk, "status").result["checker"] == {"services": []}
    assert len(desk.running[0].asked) == 1


def test_an_older_answer_is_not_told(monkeypatch):
    desk = Desk("vrrp")
    clock = [1_000_000]
    monkeypatch.setattr(status, "monotonic_us", lambda: clock[0])
    asked(desk, "status")
    desk.running[0].asked[0]({"n": 1})
    clock[0] += status.FRESH_US + 1
    answer = asked(desk, "status")
    desk.running[0].asked[1]({"n": 2})
    assert answer.result["vrrp"] == {"n": 2}


def test_who_takes_long_to_answer_is_asked_less_often(monkeypatch):
    desk = Desk("vrrp")
    clock = [1_000_000]
    monkeypatch.setattr(status, "monotonic_us", lambda: clock[0])
    asked(desk, "status")
    clock[0] += 50_000
    desk.running[0].asked[0]({"n": 1})
    clock[0] += 900_000
    assert asked(desk, "status").result["vrrp"] == {"n": 1}
    clock[0] += 200_000
    asked(desk, "status")
    assert len(desk.running[0].asked) == 2


def test_events_are_numbered_and_bounded_and_say_what_is_lost():
    desk = Desk()
    for number in range(1, 9):
        desk.events.add("happened", {"n": number, "text": "x" * 5000})
    body = asked(desk, "events").result
    assert [event["seq"] for event in body["events"]] == [4, 5, 6, 7, 8]
    assert (body["last"], body["lost"]) == (8, 3)
    assert len(body["events"][0]["text"]) == 2000
    assert [event["seq"] for event in asked(desk, "events", since=6).result["events"]] == [7, 8]
    assert asked(desk, "events", since=6).result["lost"] == 0
    assert asked(desk, "events", since=8).result["events"] == []


def test_numbers_of_another_daemon_mean_nothing_here():
    desk = Desk()
    desk.events.add("happened", {})
    assert len(asked(desk, "events", since=500, epoch="another").result["events"]) == 1


def test_a_follower_hears_each_event_until_it_leaves():
    desk = Desk()
    desk.events.add("before", {})
    answer = asked(desk, "events", follow=True)
    desk.events.add("after", {"name": "VI_1"})
    assert [[event["event"] for event in body["events"]] for body in answer.streamed] == [["before"], ["after"]]
    answer.stream.gone()
    desk.events.add("late", {})
    assert len(answer.streamed) == 2


def test_what_a_child_refuses_is_refused():
    desk = Desk("checker")
    assert asked(desk, "drains", service="a", server="x").error == "not here"
    assert asked(desk, "drain", service="a", server="b").result == {"servers": []}
    assert desk.running[0].commands[-1] == ("drain", {"service": "a", "server": "b", "timeout_s": 300})
    assert "no checker process" in asked(Desk("vrrp"), "drains", service="a", server="b").error
