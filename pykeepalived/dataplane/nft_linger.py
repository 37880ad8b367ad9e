"""What stays when the last service of a family goes: a table that lets connections go on which are translated already.

Without any chain of type nat the kernel stops translating what it has translated until then, and an established client
that says a word between a stop and the next start is reset by the director itself. A chain without a rule that
translates is enough: nothing new is balanced, what is open goes on, as with IPVS once its service is back. The first
service of the family takes the table away again, in the transaction that makes its own.

(What is routed directly is not translated: see `nft_routed`.)

With `lvs_nftables_removed reset`, and after `lvs_flush_on_stop`, nothing stays.
"""

from __future__ import annotations

from typing import Final

from pykeepalived.dataplane.nft_names import table_of, word_of
from pykeepalived.model.common import Family

LINGER: Final = "pykeepalived_linger"


def linger(family: Family) -> str:
    """Commands that put this table in the place of ours."""
    place = f"{word_of(family)} {LINGER}"
    hook = "type nat hook prerouting priority dstnat;"
    # The rule does nothing to anybody, but a rule that asks for it is what keeps connection tracking switched on.
    return (
        f"add table {place}\nadd chain {place} established {{ {hook} }}\nflush chain {place} established\n"
        f"add rule {place} established ct status dnat accept\n"
        f"add table {table_of(family)}\ndelete table {table_of(family)}\n"
    )


def no_linger(family: Family) -> str:
    """Commands that take it away, whether it is there or not."""
    place = f"{word_of(family)} {LINGER}"
    return f"add table {place}\ndelete table {place}\n"
