"""FILE_CHECK and BFD_CHECK in the checker process: the table follows a file and a session."""

from __future__ import annotations

import pytest

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.dialects.keepalived.load import load
from pykeepalived.model.checks import FileCheck
from pykeepalived.model.vrrp import TrackFile
from pykeepalived.runtime.bfd_link import BfdLinks, BfdTeller
from pykeepalived.runtime.check_followers import Read, file_outcome
from tests.lvs.stage import Stage


@pytest.mark.shows("virtual_server.real_server.FILE_CHECK.weight")
@pytest.mark.parametrize(
    ("content", "words", "ok", "weight"),
    [
        (5, {}, True, 10),
        (-51, {}, True, -102),
        (5, {"weight": 3}, True, 15),
        (5, {"weight": 3, "reverse": True}, True, -15),
        (0, {"weight": 0}, True, None),
        (1, {"weight": 0}, False, None),
        (0, {"weight": 0, "reverse": True}, False, None),
        (1, {"weight": 0, "reverse": True}, True, None),
        (-1073741823, {}, True, -2147483646),
        (-1073741824, {}, False, None),
        (2147483647, {"weight": -5}, False, None),
        (2147483647, {}, True, 2147483647),
    ],
)
def test_what_a_file_means_for_a_server(content, words, ok, weight):
    """The numbers are what keepalived 2.2.7 made of them on a real IPVS."""
    found = file_outcome(FileCheck(track_file="f", **words), TrackFile(name="f", path="/f", weight=2), content)
    assert isinstance(found, Outcome)
    assert (found.ok, found.weight) == (ok, weight)


@pytest.mark.parametrize(
    ("read", "content", "ok"),
    [(Read.AT_START, 0, True), (Read.AT_START, 1, False), (Read.AT_RELOAD, 0, True), (Read.AT_RELOAD, 1, True)],
)
def test_a_reversed_file_at_start_and_reload(read: Read, content: int, ok: bool) -> None:
    """As keepalived 2.2.7 and 2.4.3 were seen to do on a real IPVS."""
    file = TrackFile(name="f", path="/f", weight=0, reverse=True)
    assert file_outcome(FileCheck(track_file="f"), file, content, read).ok is ok


SERVER = """
virtual_server 10.77.0.5 80 {
    protocol TCP
    lvs_sched wrr
    lvs_method NAT
    delay_loop 1
    real_server 127.0.0.1 81 {
        weight 100
        CHECK
    }
    real_server 127.0.0.1 82 {
        weight 100
        inhibit_on_failure
        CHECK
    }
}
"""


def configuration(tmp_path, text, check):
    path = tmp_path / "keepalived.conf"
    path.write_text(text + SERVER.replace("CHECK", check))
    result = load(str(path), config_id="lb1")
    assert [item.message for item in result.findings.items if item.exit_class.value] == []
    return result.config


@pytest.mark.shows("virtual_server.real_server.FILE_CHECK", "virtual_server.real_server.FILE_CHECK.track_file")
def test_the_table_follows_a_file(tmp_path):
    path = tmp_path / "load"
    path.write_text("0")
    text = f"track_file f {{\n file {path}\n weight 2\n}}\n"
    stage = Stage()
    stage.program.start(configuration(tmp_path, text, "FILE_CHECK {\n track_file f\n }"))
    stage.until_weights({"127.0.0.1:81": 100, "127.0.0.1:82": 100})
    path.write_text("5")
    stage.until_weights({"127.0.0.1:81": 110, "127.0.0.1:82": 110})
    path.write_text("-60")
    stage.until_weights({"127.0.0.1:81": 0, "127.0.0.1:82": 0})
    path.write_text("-1073741824")
    stage.until_weights({"127.0.0.1:82": 0})
    assert "([127.0.0.1]:tcp:81): tracked file f now FAULT state" in stage.memo.lines
    path.unlink()
    stage.until_weights({"127.0.0.1:81": 100, "127.0.0.1:82": 100})
    assert "([127.0.0.1]:tcp:81): tracked file f leaving FAULT state" in stage.memo.lines
    # Another weight at a reload counts at once.
    path.write_text("1")
    stage.until_weights({"127.0.0.1:81": 102, "127.0.0.1:82": 102})
    stage.program.reload(
        configuration(tmp_path, text.replace("weight 2", "weight 7"), "FILE_CHECK {\n track_file f\n }")
    )
    stage.until_weights({"127.0.0.1:81": 107, "127.0.0.1:82": 107})
    assert stage.program.status()["services"][0]["servers"][0]["checks"][0]["check"] == "file"
    stage.close()


@pytest.mark.shows(
    "virtual_server.real_server.BFD_CHECK", "virtual_server.real_server.BFD_CHECK.{name,alpha}", "bfd_instance.checker"
)
@pytest.mark.parametrize("alpha", [False, True])
def test_the_table_follows_a_session(tmp_path, alpha):
    links = BfdLinks()
    stage = Stage(bfd=links.ends("checker"))
    states = {}
    teller = BfdTeller(stage.reactor, links.ends("bfd"), lambda word: states if word == "checker" else {})
    check = "BFD_CHECK {\n name s\n ALPHA\n }".replace("ALPHA", "alpha" if alpha else "")
    stage.program.start(configuration(tmp_path, "bfd_instance s {\n neighbor_ip 127.0.0.1\n}\n", check))
    stage.reactor.turn(50_000)
    stage.reactor.turn(50_000)
    assert stage.weights() == ({"127.0.0.1:82": 0} if alpha else {"127.0.0.1:81": 100, "127.0.0.1:82": 100})
    states["s"] = True
    teller.tell("checker", "s", True)
    stage.until_weights({"127.0.0.1:81": 100, "127.0.0.1:82": 100})
    states["s"] = False
    teller.tell("checker", "s", False)
    stage.until_weights({"127.0.0.1:82": 0})
    assert "BFD check of [s] RS([127.0.0.1]:tcp:81) is DOWN" in stage.memo.lines
    teller.tell("checker", "s", True)
    stage.until_weights({"127.0.0.1:81": 100, "127.0.0.1:82": 100})
    assert "BFD check of [s] RS([127.0.0.1]:tcp:81) is UP" in stage.memo.lines
    teller.close()
    stage.close()
    links.close()
