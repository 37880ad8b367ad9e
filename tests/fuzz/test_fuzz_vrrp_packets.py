"""The short form of `make fuzz`."""

from __future__ import annotations

import msgspec
import pytest

from pykeepalived.vrrp.events import PacketRefused, Refusal
from pykeepalived.vrrp.status import InstanceStats
from tests.fuzz.vrrp_packets import instances, play
from tests.vrrp.playbook import Playbook, config, instance

#: What 20,000 packets are sure to meet; the long form meets everything that strangers can.
SURE = {
    Refusal.SHORT_IP_HEADER, Refusal.NOT_VRRP, Refusal.LENGTH, Refusal.TTL, Refusal.UNKNOWN_VRID, Refusal.VERSION,
    Refusal.CHECKSUM, Refusal.AUTH_FAILURE, Refusal.HMAC_INVALID, Refusal.HMAC_STALE, Refusal.HMAC_MALFORMED,
}  # fmt: skip


def test_hostile_packets_change_nothing() -> None:
    bench = play(20_000, seed=7)
    assert set(bench.believed) == {item.name for item in instances()}
    assert set(bench.refused) >= {refusal.value for refusal in SURE}


@pytest.mark.parametrize("state", ["BACKUP", "MASTER", "FAULT"])
@pytest.mark.parametrize("refusal", list(Refusal), ids=lambda refusal: refusal.value)
def test_no_refusal_changes_a_state(refusal: Refusal, state: str) -> None:
    book = Playbook(config(instance()), links={"eth0": state != "FAULT"})
    book.start()
    if state == "MASTER":
        book.run(4)
    assert book.state() == state
    before = msgspec.structs.replace(book.status(), stats=InstanceStats()), book.router.wake_at()
    for name in ("A", "", "nobody"):
        lines = book.feed(PacketRefused(name, refusal, "10.0.0.2", "something"))
        assert all(line.startswith("log ") for line in lines)
    assert (msgspec.structs.replace(book.status(), stats=InstanceStats()), book.router.wake_at()) == before
