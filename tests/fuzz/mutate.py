"""Plain mutation, for machines without a coverage-guided fuzzer and for the short form in `make test`."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_EDGES = (b"\0", b"\xff", b"\r\n", b"\n\n", b"{", b"}", b'"', b"-1", b"4294967296", b"\x7f\xff\xff\xff", b"\xc0\x0c")


def mutants(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """So many bent, cut, joined and lengthened messages; the same ones for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(seeds)) if chance.random() < 0.95 else bytearray(chance.randbytes(64))
        for _ in range(chance.choice((1, 1, 2, 4, 8))):
            at = chance.randrange(len(data) + 1)
            kind = chance.randrange(7)
            if kind == 0 and data:
                data[at % len(data)] = chance.randrange(256)
            elif kind == 1:
                data[at:at] = chance.choice(_EDGES)
            elif kind == 2:
                del data[at : at + chance.randrange(1, 20)]
            elif kind == 3:
                other = chance.choice(seeds)
                start = chance.randrange(len(other) + 1)
                data[at:at] = other[start : start + chance.randrange(1, 60)]
            elif kind == 4:
                data[at:at] = data[max(0, at - chance.randrange(1, 30)) : at]
            elif kind == 5 and data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            else:
                del data[at:]
        yield bytes(data[:8192])
