"""What happens to a master, told to ours and to keepalived in the same words: same addresses, same notify calls.

The router under test has priority 150; its peer is always Debian's keepalived.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.interop.vrrp.vrrp_pairs import Program, Router, Shape, pair

pytestmark = [pytest.mark.netns, pytest.mark.peer]


class Seen(msgspec.Struct):
    notified: list[str] = []
    addresses: list[set[tuple[str, ...]]] = []
    error: str | None = None


def interface_lost(one: Router, two: Router, seen: Seen) -> None:
    """One interface of a sync group loses its carrier: both instances go, and both come back."""
    one.unplug(1)
    one.wait_notified("GROUP G1 FAULT 0")
    two.wait_for("MASTER")
    seen.addresses.append(one.virtual())
    one.plug(1)
    one.wait_for("MASTER")
    one.wait_notified("GROUP G1 MASTER 0", count=2)
    two.wait_for("BACKUP")


def script_fails(one: Router, two: Router, seen: Seen) -> None:
    """A tracked script of weight -60 takes the priority from 150 to 90, below the peer's 100."""
    one.namespace.run("touch", "/run/bad")
    two.wait_for("MASTER")
    one.wait_notified("INSTANCE VI_0 BACKUP 90")
    seen.addresses.append(one.virtual())
    one.namespace.run("rm", "/run/bad")
    one.wait_for("MASTER")
    two.wait_for("BACKUP")


def address_removed(one: Router, two: Router, seen: Seen) -> None:
    """Somebody takes a virtual address away: BACKUP at once, MASTER again after the skew."""
    one.namespace.ip("addr", "del", "10.0.0.10/32", "dev", "eth0")
    one.wait_notified("INSTANCE VI_0 BACKUP 150", count=2)
    one.wait_for("MASTER")
    one.wait_notified("INSTANCE VI_0 MASTER 150", count=2)
    # The peer's down timer never ran out: it was told of the resignation and heard of the return within its skew.
    assert "to-master VI_0" not in two.notified()


def interface_down(one: Router, two: Router, seen: Seen) -> None:
    """The interface is set down by its administrator, and up again."""
    one.namespace.down("eth0")
    one.wait_notified("INSTANCE VI_0 FAULT 150")
    two.wait_for("MASTER")
    one.namespace.up("eth0")
    one.wait_for("MASTER")
    two.wait_for("BACKUP")


Story = Callable[[Router, Router, Seen], None]
STORIES: dict[str, tuple[Shape, Story]] = {
    "interface-lost": (Shape(interfaces=("eth0", "eth1")), interface_lost),
    "script-fails": (Shape(script=True), script_fails),
    # A second between adverts leaves 0.2 s between the two skews, which a busy machine does not turn round.
    "address-removed": (Shape(interval_us=1_000_000), address_removed),
    "interface-down": (Shape(), interface_down),
    "interface-lost-v2": (
        Shape(version=2, interval_us=1_000_000, password="secret", interfaces=("eth0", "eth1")),
        interface_lost,
    ),
}
PROGRAMS: tuple[Program, ...] = ("ours", "theirs")


def tell(name: str, program: Program, into: Path) -> Seen:
    shape, story = STORIES[name]
    seen = Seen()
    with pair(shape, program, "theirs", into) as (one, two):
        try:
            one.start()
            one.wait_for("MASTER")
            two.start()
            two.wait_notified("INSTANCE VI_0 BACKUP 100")
            one.wait_notified("INSTANCE VI_0 MASTER 150")
            seen.addresses.append(one.virtual())
            story(one, two, seen)
            seen.addresses.append(one.virtual())
            # keepalived's scripts run side by side: each must have written its line before the next event.
            names = [f"INSTANCE VI_{number}" for number in range(len(shape.interfaces))]
            for each in names:
                one.wait_notified(f"{each} MASTER 150", count=2)
            one.wait_notified("to-master VI_0", count=2)
            one.stop()
            for each in names:
                one.wait_notified(f"{each} STOP 150")
            if len(names) > 1:
                one.wait_notified("GROUP G1 STOP 0")
            seen.addresses.append(one.virtual())
            seen.notified = one.notified()
        except Exception as error:
            seen.error = f"{error}\n---- one\n{one.said()}\n---- two\n{two.said()}\n{one.notified()}"
    return seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, Program], Seen]:
    stories = [(name, program) for name in STORIES for program in PROGRAMS]
    places = {story: tmp_path_factory.mktemp("-".join(story)) for story in stories}
    with concurrent.futures.ThreadPoolExecutor(4) as workers:
        found = workers.map(lambda story: tell(*story, places[story]), stories)
        return dict(zip(stories, found, strict=True))


@pytest.mark.parametrize("name", STORIES)
def test_the_same_happens_as_with_keepalived(seen: dict[tuple[str, Program], Seen], name: str) -> None:
    ours, theirs = seen[name, "ours"], seen[name, "theirs"]
    assert ours.error is None, ours.error
    assert theirs.error is None, theirs.error
    assert ours.addresses == theirs.addresses
    assert ours.addresses[-1] == set()
    # Scripts of different objects run side by side, so only the order within an object is comparable.
    objects = {" ".join(line.split()[:2]) for line in theirs.notified}
    for each in objects:
        mine, other = ([line for line in side.notified if line.startswith(each)] for side in (ours, theirs))
        assert mine == other, each
    assert len(ours.notified) == len(theirs.notified)
