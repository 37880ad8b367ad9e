"""How a scheduler becomes an nftables expression: a number per new connection, and a table from numbers to servers.

| scheduler | expression | compared with IPVS |
|---|---|---|
| rr, wrr | counter modulo the slots | the same |
| lc, nq | as rr | approximation: live connection counts are not at hand |
| wlc, sed | as wrr | approximation, likewise |
| sh | hash of the client address (and port with sh-port) modulo the slots | the same property, another hash |
| dh | hash of the destination address | the same property, another hash |
| mh | the same hash into a table after Maglev | the same property: a server's loss moves only its own clients |
| fo | the server with the highest weight | the same |
| twos | as random | approximation |
| random | random number modulo the slots, so by weight | nothing of the name there |
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import blake2b
from math import gcd
from typing import Final, TypeVar

from pykeepalived.lvs.abilities import APPROXIMATIONS
from pykeepalived.lvs.table import Service
from pykeepalived.model.common import Family

T = TypeVar("T", bound=Hashable)

#: Two directors must hash a client to the same server.
HASH_SEED: Final = 0x706B6C76
#: Most entries that one service's table may have; larger weights are scaled down to it.
SLOT_LIMIT: Final = 1024
#: Entries of a Maglev table: prime, as the method demands, and as many as the kernel's own mh has.
MAGLEV_SIZE: Final = 4093
_FLAG_PORT: Final = 2


def slots(weighted: Sequence[tuple[T, int]]) -> list[T]:
    """Servers in a sequence in which each stands in proportion to its weight and as evenly spread as it can be.

    Exact when the weights, divided by what they have in common, add up to at most `SLOT_LIMIT`.
    """
    live = [(name, weight) for name, weight in weighted if weight > 0]
    common = gcd(*(weight for _, weight in live)) if live else 1
    shares = [(name, weight // common) for name, weight in live]
    total = sum(share for _, share in shares)
    if total > SLOT_LIMIT:
        room = max(SLOT_LIMIT, len(shares))
        shares = [(name, max(1, round(share * room / total))) for name, share in shares]
    places = [
        ((2 * turn + 1) / (2 * share), order, name)
        for order, (name, share) in enumerate(shares)
        for turn in range(share)
    ]
    places.sort(key=lambda place: place[:2])
    return [name for _, _, name in places]


def maglev(weighted: Sequence[tuple[T, int]]) -> list[T]:
    """A lookup table of `MAGLEV_SIZE` entries in which the loss of one server moves (almost) only its own entries."""
    live = sorted(((name, weight) for name, weight in weighted if weight > 0), key=lambda pair: repr(pair[0]))
    if not live:
        return []
    heaviest = max(weight for _, weight in live)
    names: list[T] = [name for name, _ in live]
    offsets: list[int] = []
    skips: list[int] = []
    for name in names:
        digest = blake2b(repr(name).encode(), digest_size=16).digest()
        offsets.append(int.from_bytes(digest[:8], "big") % MAGLEV_SIZE)
        skips.append(int.from_bytes(digest[8:], "big") % (MAGLEV_SIZE - 1) + 1)
    credits = [0] * len(live)
    table: dict[int, T] = {}
    while True:
        for number, (name, weight) in enumerate(live):
            # A server of half the weight takes its turn every other round.
            credits[number] += weight
            while credits[number] >= heaviest:
                credits[number] -= heaviest
                while offsets[number] in table:
                    offsets[number] = (offsets[number] + skips[number]) % MAGLEV_SIZE
                table[offsets[number]] = name
                if len(table) == MAGLEV_SIZE:
                    return [table[position] for position in range(MAGLEV_SIZE)]


def choice(service: Service, weighted: Sequence[tuple[T, int]], family: Family) -> tuple[str, list[T]]:
    """The expression that gives a number for a new connection, and the server for each number."""
    scheduler = APPROXIMATIONS.get(service.scheduler, service.scheduler)
    if scheduler in {"rr", "wrr"}:
        if scheduler == "rr":
            weighted = [(name, 1 if weight > 0 else 0) for name, weight in weighted]
        table = slots(weighted)
        return f"numgen inc mod {len(table)}", table
    if scheduler == "random":
        table = slots(weighted)
        return f"numgen random mod {len(table)}", table
    if scheduler == "fo":
        best = max(weighted, key=lambda pair: pair[1])[0]
        return "numgen inc mod 1", [best]
    word = "ip6" if family is Family.INET6 else "ip"
    source = f"{word} daddr" if scheduler == "dh" else f"{word} saddr"
    if service.scheduler_flags & _FLAG_PORT and scheduler in {"sh", "mh"}:
        source += " . th sport"
    table = maglev(weighted) if scheduler == "mh" else slots(weighted)
    return f"jhash {source} mod {len(table)} seed {HASH_SEED:#x}", table


def as_map(table: Sequence[T]) -> list[tuple[str, T]]:
    """A table as map elements: equal neighbours become one range (`0-5`)."""
    elements: list[tuple[str, T]] = []
    start = 0
    for position in range(1, len(table) + 1):
        if position == len(table) or table[position] != table[start]:
            last = position - 1
            elements.append((str(start) if start == last else f"{start}-{last}", table[start]))
            start = position
    return elements
