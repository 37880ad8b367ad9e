"""Elections of two routers in every mix of ours and Debian's keepalived.

Each story runs once, several side by side (they mostly wait), and the tests look at what came of it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.interop.vrrp.vrrp_capture import capture, dissect
from tests.interop.vrrp.vrrp_pairs import Program, Router, Shape, pair

pytestmark = [pytest.mark.netns, pytest.mark.peer]

SECOND_US = 1_000_000
SHAPES = {
    "v2": Shape(version=2, interval_us=SECOND_US),
    "v2-pass": Shape(version=2, interval_us=SECOND_US, password="secret"),
    "v2-unicast-pass": Shape(version=2, interval_us=SECOND_US, unicast=True, password="12345678"),
    "v2-ah": Shape(version=2, interval_us=SECOND_US, password="secret", auth="AH"),
    "v3": Shape(),
    "v3-unicast": Shape(unicast=True),
    "v3-ipv6": Shape(ipv6=True),
}
MIXES: list[tuple[Program, Program]] = [("ours", "ours"), ("ours", "theirs"), ("theirs", "ours")]
STORIES = [(shape, *mix) for shape in SHAPES for mix in MIXES]
SIDE_BY_SIDE = 4


class Outcome(msgspec.Struct):
    """What was seen on the way."""

    first_master: set[tuple[str, ...]] = set()
    after_kill: set[tuple[str, ...]] = set()
    left_by_killed: set[tuple[str, ...]] = set()
    first_notified: list[str] = []
    second_notified: list[str] = []
    adverts: list[list[str]] = []
    error: str | None = None


def tell(shape: Shape, first: Program, second: Program, into: Path) -> Outcome:
    """Elect, kill the master, let it come back, stop it in order, stop the other one."""
    seen = Outcome()
    with pair(shape, first, second, into) as (one, two), capture(two, into) as adverts, both_logs(one, two):
        one.start()
        one.wait_for("MASTER")
        two.start()
        two.wait_notified("INSTANCE VI_0 BACKUP 100")
        seen.first_master = one.virtual()
        assert two.virtual() == set()
        one.kill()
        one.unplug()
        seen.left_by_killed = one.virtual()
        two.wait_for("MASTER")
        seen.after_kill = two.virtual()
        one.plug()
        one.start()
        two.wait_for("BACKUP")
        one.wait_for("MASTER")
        one.wait_notified("INSTANCE VI_0 MASTER 150", count=2)
        two.wait_notified("INSTANCE VI_0 BACKUP 100", count=2)
        one.stop()
        assert one.virtual() == set()
        two.wait_for("MASTER")
        two.wait_notified("INSTANCE VI_0 MASTER 100", count=2)
        two.stop()
        two.wait_notified("INSTANCE VI_0 STOP 100")
        one.wait_notified("INSTANCE VI_0 STOP 150")
        assert two.virtual() == set()
        seen.first_notified, seen.second_notified = one.notified(), two.notified()
    seen.adverts = dissect(adverts)
    return seen


@contextlib.contextmanager
def both_logs(one: Router, two: Router) -> Iterator[None]:
    """Whatever fails, what the two said is part of the message."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{error}\n---- one\n{one.said()}\n---- two\n{two.said()}") from error


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Outcome]:
    places = {story: tmp_path_factory.mktemp("-".join(story)) for story in STORIES}

    def run(story: tuple[str, Program, Program]) -> Outcome:
        shape, first, second = story
        try:
            return tell(SHAPES[shape], first, second, places[story])
        except Exception as error:
            return Outcome(error=f"{type(error).__name__}: {error}")

    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as workers:
        return dict(zip(STORIES, workers.map(run, STORIES), strict=True))


def expected(shape: Shape) -> set[tuple[str, ...]]:
    """What keepalived 2.2.7 puts on the interface for the addresses of the shape."""
    if shape.ipv6:
        return {
            ("eth0", "fe80::1:9", "64", "link", "None", "None", "nodad"),
            ("eth0", "2001:db8:1::9", "64", "global", "None", "None", "nodad"),
        }
    return {
        ("eth0", "10.0.0.9", "24", "global", "eth0", "None", "secondary"),
        ("eth0", "10.0.0.10", "32", "global", "eth0", "None"),
        ("eth0", "10.1.0.9", "32", "global", "eth0", "None"),
    }


@pytest.mark.parametrize(("shape", "first", "second"), STORIES, ids=["-".join(story) for story in STORIES])
def test_elect_fail_over_and_fail_back(
    outcomes: dict[tuple[str, str, str], Outcome], shape: str, first: Program, second: Program
) -> None:
    seen = outcomes[shape, first, second]
    assert seen.error is None, seen.error
    spoken = SHAPES[shape]
    assert seen.first_master == expected(spoken)
    assert seen.after_kill == expected(spoken)
    assert seen.left_by_killed == expected(spoken), "what a killed master leaves is what its next start removes"
    assert strings(seen.first_notified) == [
        "INSTANCE VI_0 BACKUP 150",
        "to-master VI_0",
        "INSTANCE VI_0 MASTER 150",
        "INSTANCE VI_0 BACKUP 150",
        "to-master VI_0",
        "INSTANCE VI_0 MASTER 150",
        "INSTANCE VI_0 STOP 150",
    ]
    assert strings(seen.second_notified) == [
        "INSTANCE VI_0 BACKUP 100",
        "to-master VI_0",
        "INSTANCE VI_0 MASTER 100",
        "INSTANCE VI_0 BACKUP 100",
        "to-master VI_0",
        "INSTANCE VI_0 MASTER 100",
        "INSTANCE VI_0 STOP 100",
    ]


def strings(lines: list[str]) -> list[str]:
    """keepalived starts the two scripts of a transition side by side: which line is first is chance."""
    found = list(lines)
    for at in range(len(found) - 1):
        if found[at].startswith("INSTANCE") and "MASTER" in found[at] and found[at + 1].startswith("to-master"):
            found[at], found[at + 1] = found[at + 1], found[at]
    return found


@pytest.mark.parametrize(("shape", "first", "second"), STORIES, ids=["-".join(story) for story in STORIES])
def test_tshark_reads_every_advert_without_complaint(
    outcomes: dict[tuple[str, str, str], Outcome], shape: str, first: Program, second: Program
) -> None:
    seen = outcomes[shape, first, second]
    assert seen.error is None, seen.error
    assert len(seen.adverts) >= 5
    assert {(row[2], row[3]) for row in seen.adverts} == {(str(SHAPES[shape].version), "51")}
    assert {row[4] for row in seen.adverts} == {"150", "100", "0"}
    for row in seen.adverts:
        assert row[5] == "1", f"VRRP checksum: {row}"
        assert row[6] in {"", "Advertisement"}, row
        assert row[7] in {"", "1"}, f"IP checksum: {row}"
