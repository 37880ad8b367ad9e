"""From a directive of ldirectord.cf that a check's tests take as given to what is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import StartTls
from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.lvs.table import Entry
from pykeepalived.model.config import LdirectordSettings
from tests.checkers.playbook import feed, sent
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost
from tests.effects.test_effects_ldirectord import check
from tests.lvs.stage import KEY, Stage

WEB = ("service=https", "checktype=negotiate", 'receive="x"')


def asked(*lines: str, globals_: str = "") -> tuple[bytes, StartTls]:
    """The request of a check, and its handshake."""
    _, commands = feed(registry.converse(check(*WEB, *lines, globals_=globals_).question))
    (handshake,) = (command for command in commands if isinstance(command, StartTls))
    return sent(commands), handshake


@pytest.mark.shows("ldirectord.virtual.{httpmethod,virtualhost}")
def test_the_request_of_a_page() -> None:
    plain, _ = asked()
    assert plain.startswith(b"GET / HTTP/1.1\r\n")
    other, _ = asked("httpmethod=HEAD", "virtualhost=www.example")
    assert other.startswith(b"HEAD / HTTP/1.1\r\n")
    assert b"\r\nHost: www.example\r\n" in other


TLS = ("tlsverify=yes", 'tlsca="/tmp/ca.pem"', 'tlscert="/tmp/own.pem"', 'tlskey="/tmp/own.key"')


@pytest.mark.shows("ldirectord.{global,virtual}.{tlsverify,tlsca,tlscert,tlskey}", "ldirectord.virtual.tlsservername")
@pytest.mark.parametrize("everywhere", [True, False])
def test_the_handshake_of_a_page(everywhere: bool) -> None:
    def files(found: StartTls) -> tuple[object, ...]:
        return found.verify, found.ca_file, found.certificate_file, found.key_file

    assert files(asked()[1]) == (False, None, None, None)
    if everywhere:
        _, handshake = asked(globals_="".join(f"{line}\n" for line in TLS))
    else:
        _, handshake = asked(*TLS)
    assert files(handshake) == (True, "/tmp/ca.pem", "/tmp/own.pem", "/tmp/own.key")
    assert asked('tlsservername="www.example"')[1].server_name == "www.example"


@pytest.mark.shows("ldirectord.global.readdquiescent")
@pytest.mark.parametrize(("word", "returns"), [("readdquiescent=yes\n", True), ("readdquiescent=no\n", False)])
def test_a_server_without_weight_that_an_operator_takes_out(word: str, returns: bool, tmp_path: Path) -> None:
    """It is there with weight 0 because it is down; whether it is put back is what the word says."""
    text = f"quiescent=yes\n{word}virtual=10.77.0.5:80\n    real=10.1.1.1:80 masq\n    real=10.1.1.2:80 masq\n"
    result = load_text(text + "    checktype=off\n", "test.cf", host=FakeHost())
    assert result.ok, result.findings.items
    wanted = msgspec.structs.replace(
        result.config, ldirectord=msgspec.structs.replace(_settings(result.config), path=str(tmp_path / "x"))
    )
    stage = Stage(drift_interval_us=1_000)
    stage.program.start(wanted)
    try:
        stage.until_weights({"10.1.1.1:80": 0, "10.1.1.2:80": 0})
        entry: Entry = stage.dataplane.table[KEY]
        gone = next(iter(entry.destinations))
        del entry.destinations[gone]
        if returns:
            stage.until(lambda: gone in stage.dataplane.table[KEY].destinations, "its return")
        else:
            for _ in range(50):
                stage.reactor.turn(2_000)
            assert gone not in stage.dataplane.table[KEY].destinations
    finally:
        stage.close()


def _settings(config: Any) -> LdirectordSettings:
    found: LdirectordSettings | None = config.ldirectord
    assert found is not None
    return found
