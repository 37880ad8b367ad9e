"""Two masters on one network, and a third host that has to know which of them to ask; a child that is killed."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.interop.vrrp.vrrp_capture import capture, dissect, heard
from tests.interop.vrrp.vrrp_pairs import PATIENCE_S, Program, Router, Shape

pytestmark = [pytest.mark.netns, pytest.mark.peer]
SHAPE = Shape(interval_us=1_000_000)
ADDRESSES = ("10.0.0.9", "10.0.0.10")


class Duel:
    """The first router on one half of a network, the second and a host on the other half, with a cable between."""

    def __init__(self, lab: Lab, one: Router, two: Router, host: Namespace) -> None:
        self._lab = lab
        self.one = one
        self.two = two
        self.host = host

    def divide(self) -> None:
        self._lab.namespaces["switch"].down("cable1")

    def join(self) -> None:
        self._lab.namespaces["switch"].up("cable1")

    def cached(self) -> dict[str, str]:
        """What the host has in its ARP cache for the virtual addresses."""
        found = json.loads(self.host.ip("-j", "neigh", "show", "dev", "eth0"))
        return {item["dst"]: item["lladdr"] for item in found if item["dst"] in ADDRESSES and "lladdr" in item}

    def ask(self) -> None:
        for address in ADDRESSES:
            self.host.run("ping", "-c", "1", "-W", "2", address)


def hardware(router: Router) -> str:
    found: str = json.loads(router.namespace.ip("-j", "link", "show", "eth0"))[0]["address"]
    return found


@contextlib.contextmanager
def duel(first: Program, second: Program, into: Path) -> Iterator[Duel]:
    with Lab("duel") as lab:
        switch, host = lab.namespace("switch"), lab.namespace("host")
        spaces = [lab.namespace("a"), lab.namespace("b")]
        lab.link(switch, "cable1", switch, "cable2")
        for number, space in enumerate(spaces, 1):
            lab.bridge(switch, f"br{number}", f"cable{number}")
            lab.link(space, "eth0", switch, f"port0-{number}")
            switch.attach(f"br{number}", f"port0-{number}")
            space.address("eth0", SHAPE.own(0, number))
        lab.link(host, "eth0", switch, "host")
        switch.attach("br2", "host")
        host.address("eth0", "10.0.0.3/24")
        one, two = (
            Router(lab, space, program, shape=SHAPE, place=place, into=into)
            for place, (space, program) in enumerate(zip(spaces, (first, second), strict=True), 1)
        )
        yield Duel(lab, one, two, host)


def since_the_loser(passed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What is heard from the last advert of the second router on."""
    return passed[max(number for number, (source, _) in enumerate(passed) if source == "10.0.0.2") :]


@pytest.mark.parametrize(("first", "second"), [("ours", "ours"), ("theirs", "ours")])
def test_the_winner_of_a_duel_announces_all_addresses_again(first: Program, second: Program, tmp_path: Path) -> None:
    with duel(first, second, tmp_path) as scene:
        one, two = scene.one, scene.two
        one.start()
        one.wait_for("MASTER")
        two.start()
        two.wait_notified("INSTANCE VI_0 BACKUP 100")
        scene.divide()
        two.wait_for("MASTER")
        scene.ask()
        assert set(scene.cached().values()) == {hardware(two)}
        # The second announcement of the new master must not be what is seen at the end.
        time.sleep(1.2)
        with capture(two, tmp_path, announcements=True) as adverts:
            before = len(dissect(adverts))
            wait_until(lambda: len(dissect(adverts)) > before, PATIENCE_S, "an advert of the second")
            # The next one to cross is of the first: the second yields before anybody has heard it.
            scene.join()
            two.wait_for("BACKUP")
            wait_until(
                lambda: scene.cached() == dict.fromkeys(ADDRESSES, hardware(one)),
                PATIENCE_S,
                "the host knows where the addresses are",
            )
            # It may have known it before the loser, on a busy machine, had said its last word.
            wait_until(
                lambda: {(hardware(one), address) for address in ADDRESSES} <= set(since_the_loser(heard(adverts))),
                PATIENCE_S,
                "the winner announces its addresses after the loser's last word",
                interval_s=0.5,
            )
        assert len(one.virtual()) == 3
        # Within one interval: between the loser's last word and the winner's announcements is the advert that answers
        # it, and at most the next one.
        passed = since_the_loser(heard(adverts))
        for address in ADDRESSES:
            before = passed[: passed.index((hardware(one), address))]
            assert sum(source == "10.0.0.1" for source, _ in before) <= 2, passed
