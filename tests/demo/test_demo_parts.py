"""The parts of the demonstration that can be told apart: what it reads, counts and draws."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest

from pykeepalived.tools.demo import DemoError, Wish, demonstrate, is_ldirectord, programs
from pykeepalived.tools.demo.cluster import read_ip_vs, read_members
from pykeepalived.tools.demo.screen import Screen, ServerRow, View
from pykeepalived.tools.demo.story import tell
from pykeepalived.tools.demo.traffic import Answer, failures, in_a_row, longest_gap_s, shares
from pykeepalived.tools.demo.web import answer

EXAMPLES = Path(__file__).parents[2] / "examples"

IP_VS = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A000009:0050 wrr
  -> C0A8000D:0050      Masq    9      0          0
TCP  0A000005:0050 wrr
  -> C0A8000D:0050      Masq    2      0          0
  -> C0A8000C:0050      Masq    0      0          0
  -> C0A80063:0050      Masq    1      0          0
TCP  0A000005:01BB wrr
  -> C0A8000E:0050      Masq    1      0          0
"""


def test_the_kernels_ipvs_table_is_read_for_the_site_only() -> None:
    assert read_ip_vs(IP_VS) == {"web2": 2, "web1": 0, "192.168.0.99": 1}
    assert read_ip_vs(IP_VS.replace("0A000005:0050", "0A000006:0050")) is None


def test_the_nftables_dataplanes_members_are_read_for_the_site_only() -> None:
    members = [
        {"elem": {"val": {"concat": ["10.0.0.5", "tcp", 80, "192.168.0.12", 80]}, "comment": "3"}},
        {"elem": {"val": {"concat": ["10.0.0.5", "tcp", 443, "192.168.0.13", 80]}, "comment": "2"}},
        {"elem": {"val": {"concat": ["10.0.0.5", "tcp", 80, "192.168.0.99", 80]}, "comment": "0"}},
        {"elem": {"val": {"concat": ["10.0.0.5", 6, 80, "192.168.0.14", 80]}, "comment": "1"}},
    ]
    listing = {"nftables": [{"metainfo": {}}, {"set": {"name": "members", "elem": members}}]}
    assert read_members(json.dumps(listing)) == {"web1": 3, "192.168.0.99": 0, "web3": 1}
    assert read_members('{"nftables": [{"set": {"name": "members"}}]}') == {}


def test_gaps_are_times_without_an_answer() -> None:
    answers = [Answer(1.0, "web1"), Answer(1.5, None), Answer(2.5, "web2"), Answer(2.75, "web2"), Answer(3.0, None)]
    assert longest_gap_s(answers, 0.5, 3.0) == 1.5
    assert longest_gap_s(answers, 0.5, 5.0) == 2.25
    assert longest_gap_s([], 1.0, 4.0) == 3.0
    assert failures(answers) == 2
    assert shares(answers) == {"web1": 1, "web2": 2}


def test_a_row_is_of_all_these_servers_and_unbroken() -> None:
    good = [Answer(at=float(i), server=name) for i, name in enumerate(("web2", "web3", "web2"))]
    lost = Answer(at=9.0, server=None)
    assert in_a_row([lost, *good], {"web2", "web3"}, 3)
    assert not in_a_row([*good[:1], lost, *good[1:]], {"web2", "web3"}, 3)
    assert not in_a_row(good, {"web2", "web3"}, 4)
    assert not in_a_row(good, {"web2", "web3", "web1"}, 3)
    assert not in_a_row(good, {"web2"}, 3)


def test_the_web_server_names_itself_and_its_test_page() -> None:
    assert answer(b"GET / HTTP/1.0\r\n\r\n", "web1").endswith(b"\r\n\r\nweb1\n")
    assert b"test page of web1" in answer(b"GET /test.html HTTP/1.1\r\nHost: x\r\n\r\n", "web1")
    assert answer(b"nonsense\r\n\r\n", "web1").startswith(b"HTTP/1.0 400")


VIEW = View(
    directors=(("lb1", "MASTER"), ("lb2", "BACKUP")),
    servers=(ServerRow("web1", 3, 0.5, running=True), ServerRow("web2", None, 0.0, running=False)),
    requests=12,
    gap_s=0.25,
)


def test_without_a_terminal_there_are_plain_lines_only() -> None:
    out = io.StringIO()
    screen = Screen(out, live=False)
    screen.say("something happens")
    screen.show(VIEW)
    screen.say("it is so", good=True)
    screen.close(["done"])
    lines = out.getvalue().splitlines()
    assert [line[8:] for line in lines[:2]] == ["  something happens", "✓ it is so"]
    assert lines[2:] == ["", "done"]
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_the_table_is_drawn_again_below_the_lines() -> None:
    out = io.StringIO()
    screen = Screen(out, live=True, width=60)
    screen.show(VIEW)
    first = out.getvalue()
    assert "lb1: MASTER     lb2: BACKUP" in first
    assert "weight  3   50% " + "█" * 15 in first
    assert "web2   weight  –    0%" in first
    screen.say("next")
    rest = out.getvalue()[len(first) :]
    assert rest.startswith(f"\x1b[{first.count(chr(10))}F\x1b[0J")
    assert rest.index("next") < rest.index("lb1: MASTER")
    assert all(len(line) <= 60 for line in first.splitlines())


@pytest.mark.parametrize(("name", "expected"), [("keepalived.conf", False), ("ldirectord.cf", True)])
def test_the_language_of_a_file_is_recognised(name: str, expected: bool) -> None:
    assert is_ldirectord(EXAMPLES / name) is expected


def test_ldirectord_gets_a_daemon_that_moves_the_addresses() -> None:
    balancer, mover = programs(Wish(conf=EXAMPLES / "ldirectord.cf")).commands
    assert balancer[-2:] == (str(EXAMPLES / "ldirectord.cf"), "start")
    assert "--vrrp" in mover
    assert mover[-1] == str(EXAMPLES / "ldirectord-vrrp.conf")
    with pytest.raises(DemoError, match="no such file"):
        demonstrate(Wish(conf=EXAMPLES / "missing.conf"))


@pytest.mark.netns
def test_directors_that_do_nothing_fail_the_demonstration(tmp_path: Path) -> None:
    """The expectations can fail: with directors that never take the addresses, the exit code is 1."""
    out = io.StringIO()
    idle = programs(Wish(conf=EXAMPLES / "keepalived.conf", program="true"))
    assert tell(idle, Screen(out, live=False), tmp_path, patience=0.1) == 1
    assert "✗ not within 2 s: lb1 has both addresses, lb2 has none" in out.getvalue()
    assert "✗ both directors start" in out.getvalue()
    assert "not reached" in out.getvalue()


@pytest.mark.netns
def test_a_program_that_fails_ends_the_demonstration_at_once(tmp_path: Path) -> None:
    out = io.StringIO()
    failing = programs(Wish(conf=EXAMPLES / "keepalived.conf", program="false"))
    start = time.monotonic()
    assert tell(failing, Screen(out, live=False), tmp_path, patience=10) == 1
    assert "✗ false on lb1 ended with exit code 1; waited for: lb1 has both addresses" in out.getvalue()
    assert time.monotonic() - start < 20
