"""Neutron's functional keepalived tests on this program: `make clients`.

    python -m tests.clients.neutron_functional

Neutron comes from pip (see `openstack_release`). Its tests run in a network and a mount namespace with an empty /run,
where `keepalived` is this program. They also run 60 reloads through Neutron's keepalived manager; see `neutron_driver`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.clients.openstack_release import PLACE, ROOT, prepare

_INSIDE = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up && exec "$@"'
_LIMIT_S = 900


def run() -> int:
    python = prepare()
    programs = PLACE / "programs"
    programs.mkdir(exist_ok=True)
    link = programs / "keepalived"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(sys.executable).parent / "pykeepalived")
    environment = os.environ | {
        "PATH": f"{programs}:{PLACE / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "OS_SUDO_TESTING": "1",
        "OS_ROOTWRAP_CMD": "env",
        "OS_LOG_PATH": str(PLACE / "logs"),
    }
    words = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", _INSIDE, "clients"]
    driver = [str(python), "-W", "ignore", str(ROOT / "tests/clients/neutron_driver.py")]
    return subprocess.run([*words, *driver], env=environment, timeout=_LIMIT_S, check=False).returncode


if __name__ == "__main__":
    print(
        "Neutron's functional keepalived tests and 60 reloads: 3 minutes, and 4 for the first installation", flush=True
    )
    sys.exit(run())
