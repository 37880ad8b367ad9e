"""Events in systemd's journal: the datagrams, and that nothing waits for a journal that is not there."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.dialects.keepalived import load
from pykeepalived.notify import journal
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.agents_process import AgentsProgram
from pykeepalived.runtime.program import Context

EVENT = {
    "seq": 7,
    "event": "vrrp-state",
    "at": 1.5,
    "kind": "INSTANCE",
    "name": "VI_1",
    "state": "FAULT",
    "priority": 90,
}


def decode(data: bytes) -> dict[str, str]:
    """What the journal makes of a datagram."""
    found = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equal, value = line.partition(b"=")
        if not equal:
            (length,) = struct.unpack("<Q", rest[:8])
            value, data = rest[8 : 8 + length], rest[9 + length :]
        else:
            data = rest
        found[name.decode()] = value.decode("utf-8", "surrogateescape")
    return found


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,20}", fullmatch=True), st.text(max_size=80), max_size=8))
def test_any_value_arrives_as_it_was(fields: dict[str, str]) -> None:
    fields = {name: value for name, value in fields.items() if value.isprintable() or "\n" in value}
    assert decode(journal.encode(fields)) == fields


def test_fields_name_the_event_and_its_parts() -> None:
    found = journal.fields_of({**EVENT, "nested": {"a": 1}})
    assert found["KEEPALIVED_EVENT"] == "vrrp-state"
    assert (found["KEEPALIVED_NAME"], found["KEEPALIVED_STATE"]) == ("VI_1", "FAULT")
    assert (found["PRIORITY"], found["SYSLOG_IDENTIFIER"]) == ("4", "Keepalived")
    assert "KEEPALIVED_NESTED" not in found and "VI_1" in found["MESSAGE"]
    assert len(journal.encode({"MESSAGE": "x" * 100_000})) < 5000


class Log:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, text: str) -> None:
        self.errors.append(text)

    def info(self, text: str) -> None: ...


def test_without_a_journal_events_are_lost_and_that_is_said_once(tmp_path: Path) -> None:
    log = Log()
    subject = journal.Journal(log, str(tmp_path / "none"))
    for _ in range(3):
        subject.send(EVENT)
    subject.close()
    assert (subject.lost, len(log.errors)) == (3, 1)


@pytest.mark.shows("global_defs.journal_events")
@pytest.mark.parametrize("word", ["journal_events", ""])
def test_the_word_sends_each_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    (tmp_path / "conf").write_text(f"global_defs {{\n    {word}\n}}\n")
    monkeypatch.setattr(journal.Journal.__init__, "__defaults__", (str(tmp_path / "journal"),))
    questions: dict[str, Any] = {}

    def ask(command: str, arguments: Mapping[str, Any], answered: Any) -> None:
        questions[command] = answered

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(tmp_path / "journal"))
        there.setblocking(False)
        context = Context(
            reactor=Reactor(),
            log=Log(),
            scripts=None,
            options=None,
            finished=None,
            emit=None,
            ask=ask,  # type: ignore[arg-type]
        )
        config = load(str(tmp_path / "conf")).config
        assert config.globals.agents.active is bool(word)
        program = AgentsProgram(context)
        program.start(config)
        questions["events"]({"ok": True, "result": {"events": [EVENT]}})
        if word:
            assert decode(there.recv(65536))["KEEPALIVED_NAME"] == "VI_1"
        else:
            with pytest.raises(BlockingIOError):
                there.recv(65536)
        program._journal.close()
