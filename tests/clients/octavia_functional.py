"""Octavia's renderers, its amphora agent's functions and its queries on this program: `make clients`.

    python -m tests.clients.octavia_functional [theirs]

Octavia comes from pip (see `openstack_release`). The amphora is the test kernel, with IPVS; `/usr/sbin/keepalived` is
this program there, or Debian's keepalived with the word `theirs`. See `octavia_driver`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pykeepalived.tools.guest import USUAL_MODULES, run_in_guest
from tests.clients import openstack_release

_LIMIT_S = 900


def run(*, theirs: bool = False) -> int:
    python = openstack_release.prepare()
    driver = openstack_release.ROOT / "tests/clients/octavia_driver.py"
    ours = f"ln -sf {Path(sys.executable).parent / 'pykeepalived'} /usr/sbin/keepalived; "
    result = run_in_guest(
        f"hostname amphora; {'' if theirs else ours}exec {python} -W ignore {driver}",
        timeout_s=_LIMIT_S,
        directory=openstack_release.ROOT,
        memory_mb=768,
        modules=(*USUAL_MODULES, "sctp"),
        on_output=lambda data: print(data.decode(errors="replace"), end="", flush=True),
    )
    return result.exit_code


if __name__ == "__main__":
    print("Octavia's amphora agent with five listeners and VRRP, in the test kernel: 3 minutes", flush=True)
    sys.exit(run(theirs="theirs" in sys.argv[1:]))
