"""One release of OpenStack (2025.1) in an environment of its own, for its code that drives keepalived."""

from __future__ import annotations

import shutil
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build/clients/openstack"
#: Neutron with what it needs; the libraries that changed under it later are held back.
PACKAGES = (
    "neutron==26.0.6", "neutron-lib==3.20.0", "SQLAlchemy<2.1", "pyroute2<0.8", "setuptools<80", "oslotest",
    "testtools", "WebTest", "ddt",
)  # fmt: skip
#: What Octavia's agent imports besides. Octavia itself demands much more, which the agent does not need.
MORE_PACKAGES = ("octavia-lib==3.8.0", "WSME==0.13.0", "SQLAlchemy-Utils", "flask", "distro", *PACKAGES)
ALONE = ("octavia==16.1.0",)
_LIMIT_S = 900


def prepare() -> Path:
    """The interpreter of that environment, which is made if need be and kept for the next run."""
    python = PLACE / "bin/python"
    done = PLACE / "installed"
    if not done.exists():
        shutil.rmtree(PLACE, ignore_errors=True)
        venv.create(PLACE, with_pip=True)
        words = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for more in (("--only-binary", ":all:", *PACKAGES), MORE_PACKAGES, ("--no-deps", *ALONE)):
            subprocess.run([*words, *more], check=True, timeout=_LIMIT_S)
        done.touch()
    return python
