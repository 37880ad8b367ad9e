"""`pyldirectord` with a table in a file, where the kernel has no IPVS: what `ipvsadm -Sn` would say is in TABLE.

The table outlives the program, as the kernel's does, and every instance in one room has the same. It is IPVS that it
stands in for, so everything that nftables cannot do is there, too.
"""

import contextlib
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pykeepalived.cli.ldirectord import main
from pykeepalived.dataplane import Counters, Failure
from pykeepalived.dataplane.listing import ListedDestination, ListedService, Traffic
from pykeepalived.dataplane.memory import MemoryDataplane
from pykeepalived.lvs.table import Operation, Table
from pykeepalived.runtime import checker_process
from pykeepalived.tools.ipvs.show import saved
from pykeepalived.tools.ipvs.words import cut

TABLE = Path("/run/memory-table")
KEPT = Path("/run/memory-table.kept")


class KeptDataplane(MemoryDataplane):
    def snapshot(self) -> Table:
        self._recall()
        return super().snapshot()

    def apply(self, operations: Sequence[Operation]) -> list[Failure]:
        self._recall()
        failures = super().apply(operations)
        for path, data in ((KEPT, pickle.dumps(self.table)), (TABLE, self._text().encode())):
            new = path.with_suffix(".new")
            new.write_bytes(data)
            new.replace(path)
        return failures

    def _recall(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.table = pickle.loads(KEPT.read_bytes())

    def _text(self) -> str:
        none = Traffic()
        lines = []
        for key, entry in self.table.items():
            lines += saved([ListedService(key, entry.service, none)], cut(["-Sn"]))
            for where, each in entry.destinations.items():
                alone = (ListedDestination(where, each, Counters(), none),)
                _, line = saved([ListedService(key, entry.service, none, alone)], cut(["-Sn"]))
                thresholds = (("-x", each.upper_threshold), ("-y", each.lower_threshold))
                line = line.replace(" --tun-type ipip", "")
                lines.append(line + "".join(f" {option} {number}" for option, number in thresholds if number))
        return "".join(f"{line}\n" for line in lines)


def open_kept(_wish: str, say: Callable[[str], None], *_: Any) -> KeptDataplane:
    say("LVS dataplane is IPVS")
    return KeptDataplane()


def run() -> None:
    checker_process.open_dataplane = open_kept  # type: ignore[assignment]
    main()
