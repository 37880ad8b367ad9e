"""From words of load balancing to what the checker process does: a loop, servers on loopback, a table in memory."""

from __future__ import annotations

import grp
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.lvs.table import ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.config import Config, LdirectordSettings
from pykeepalived.model.lvs import Protocol
from pykeepalived.runtime.control_access import access_of
from pykeepalived.runtime.dumps import dump_name
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost as LdirectordHost
from tests.effects.test_effects_words import read
from tests.lvs.stage import Backend, Stage

VIP = ServiceKey.for_address(Protocol.TCP, "192.0.2.1", 80, Family.INET)
SECURE = "global_defs {\nscript_user root\nenable_script_security\n%s\n}\n"
#: Checks without retries, every 100 ms.
SERVICE = (
    "virtual_server 192.0.2.1 80 {\nlb_algo wrr\nlb_kind NAT\nprotocol TCP\ndelay_loop 0.1\n%s\n"
    "real_server %s %d {\nweight 5\n%s\nTCP_CHECK {\nretry 0\nwarmup 0\ndelay_before_retry 0.1\n}\n}\n}\n"
)


@pytest.fixture
def backend() -> Iterator[Backend]:
    opened = Backend("127.78.0.1")
    yield opened
    opened.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    opened = Stage()
    yield opened
    opened.close()


def config(tmp_path: Path, backend: Backend, *, service: str = "", server: str = "", settings: str = "") -> Config:
    text = SECURE % settings + SERVICE % (service, backend.address, backend.port, server)
    result = read(tmp_path, text)
    assert not result.exit_class, result.findings.items
    return result.config


@pytest.mark.shows("virtual_server.{inhibit_on_failure,real_server.inhibit_on_failure}")
@pytest.mark.parametrize("words", [{}, {"service": "inhibit_on_failure"}, {"server": "inhibit_on_failure"}])
def test_a_dead_server_may_stay_without_weight(
    words: dict[str, str], stage: Stage, backend: Backend, tmp_path: Path
) -> None:
    stage.program.start(config(tmp_path, backend, **words))
    at = f"{backend.address}:{backend.port}"
    assert stage.weights(VIP) == {at: 5}
    backend.close()
    stage.until_weights({at: 0} if words else {}, VIP)


@pytest.mark.shows("virtual_server.{quorum_up,quorum_down,real_server.notify_up,real_server.notify_down}")
def test_scripts_of_servers_and_of_enough_servers(stage: Stage, backend: Backend, tmp_path: Path) -> None:
    service = 'quorum_up "/usr/bin/true enough"\nquorum_down "/usr/bin/true too-few"'
    server = 'notify_up "/usr/bin/true up"\nnotify_down "/usr/bin/true down"'
    stage.program.start(config(tmp_path, backend, service=service, server=server))
    backend.close()
    stage.until_weights({}, VIP)
    assert [script[1] for script in stage.memo.scripts] == ["enough", "down", "too-few"]
    backend.open()
    stage.until(lambda: len(stage.memo.scripts) == 5, "the scripts of the return")
    assert [script[1] for script in stage.memo.scripts[3:]] == ["up", "enough"]


@pytest.mark.shows("global_defs.rs_init_notifies")
@pytest.mark.parametrize(("word", "told"), [("", []), ("rs_init_notifies", [("/usr/bin/true", "up")])])
def test_servers_tell_of_the_start(
    word: str, told: list[tuple[str, str]], stage: Stage, backend: Backend, tmp_path: Path
) -> None:
    stage.program.start(config(tmp_path, backend, server='notify_up "/usr/bin/true up"', settings=word))
    assert stage.memo.scripts == told


@pytest.mark.shows("global_defs.{lvs_notify_fifo,lvs_notify_fifo_script}")
def test_who_reads_the_events(stage: Stage, backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / "events"
    words = f'lvs_notify_fifo {path}\nlvs_notify_fifo_script "/usr/bin/true reader"'
    stage.program.start(config(tmp_path, backend, settings=words))
    assert stage.memo.scripts == [("/usr/bin/true", "reader", str(path))]
    assert path.is_fifo()


@pytest.mark.shows("ldirectord.{global,virtual}.cleanstop")
@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("answer", ["yes", "no"])
def test_whether_a_service_stays_after_the_end(everywhere: bool, answer: str, backend: Backend) -> None:
    word = f"cleanstop={answer}\n"
    text = (
        f"{word if everywhere else ''}virtual=10.77.0.5:80\n    real={backend.address}:{backend.port} masq\n"
        f"    checktype=connect\n{'' if everywhere else '    ' + word}"
    )
    result = load_text(text, "test.cf", host=LdirectordHost())
    assert result.ok, result.findings.items
    stage = Stage()
    stage.program.start(msgspec.structs.replace(result.config, ldirectord=LdirectordSettings(path="/x")))
    assert stage.weights() is not None
    stage.close()
    assert (stage.weights() is None) is (answer == "yes")


class Settings:
    """What the process would ask of IPVS as a whole."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def flush(self) -> None:
        self.asked.append("flush")

    def restore(self) -> None:
        self.asked.append("restore")


@pytest.mark.shows("global_defs.{lvs_flush_on_stop,lvs_flush_onstop}")
@pytest.mark.parametrize(
    ("word", "asked"),
    [("", ["restore"]), ("lvs_flush_on_stop", ["flush", "restore"]), ("lvs_flush_onstop", ["flush", "restore"])],
)
def test_ipvs_is_emptied_at_the_stop_when_asked(
    word: str, asked: list[str], stage: Stage, backend: Backend, tmp_path: Path
) -> None:
    result = read(tmp_path, SECURE % word + SERVICE % ("", backend.address, backend.port, ""))
    stage.program.start(result.config)
    settings: Any = Settings()
    stage.program._settings = settings
    stage.stop()
    assert settings.asked == asked


@pytest.mark.shows("global_defs.{control_group,control_read_group}")
def test_which_groups_may_look_or_steer(tmp_path: Path) -> None:
    def access(words: str) -> tuple[int | None, int | None]:
        found = access_of(read(tmp_path, f"global_defs {{\n{words}\n}}\n").config.globals.daemon, None)
        return found.steer_gid, found.read_gid

    mine = grp.getgrgid(0).gr_name
    assert access("") == (None, None)
    assert access(f"control_group {mine}") == (0, None)
    assert access(f"control_read_group {mine}") == (None, 0)


@pytest.mark.shows("global_defs.json_dump_file")
def test_where_the_dump_goes(tmp_path: Path) -> None:
    found = read(tmp_path, "global_defs {\njson_dump_file /var/j.json\n}\n").config.globals
    assert dump_name("keepalived.json", found) == "/var/j.json"
