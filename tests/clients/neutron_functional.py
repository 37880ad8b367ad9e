"""Neutron's functional keepalived tests on this program: `make clients`.

    python -m tests.clients.neutron_functional

Neutron is installed with pip into an environment of its own (build/clients/neutron, kept for the next run). Its tests
then run in a network and a mount namespace with an empty /run, where `keepalived` is this program. They also run 60
reloads through Neutron's keepalived manager; see `neutron_driver`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build/clients/neutron"
#: One release of OpenStack (2025.1); the libraries that changed under it later are held back.
PACKAGES = (
    "neutron==26.0.6", "neutron-lib==3.20.0", "SQLAlchemy<2.1", "pyroute2<0.8", "setuptools<80", "oslotest",
    "testtools", "WebTest", "ddt",
)  # fmt: skip
_INSIDE = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up && exec "$@"'
_LIMIT_S = 900


def prepare() -> Path:
    """Neutron's interpreter, installed if need be."""
    python = PLACE / "bin/python"
    done = PLACE / "installed"
    if not done.exists():
        shutil.rmtree(PLACE, ignore_errors=True)
        venv.create(PLACE, with_pip=True)
        words = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run([*words, *PACKAGES], check=True, timeout=_LIMIT_S)
        done.touch()
    return python


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
        "Neutron's functional keepalived tests and 60 reloads: 3 minutes, and 2 for the first installation", flush=True
    )
    sys.exit(run())
