"""Ask for known vulnerabilities of every package in the lock: `python packaging/audit.py LOCK`, called by `make audit`.

The exit code is 1 when one is known. A package, or a service, that could not be asked is said and is no failure: a
build without a way to the advisories must not look like a build with a fault.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

_LIMIT_S = 240


def ask(lock: str) -> str:
    """pip-audit's answer as JSON; empty when it came to none."""
    command = [Path(sys.executable).with_name("pip-audit"), "--requirement", lock, "--disable-pip", "--format", "json"]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner", "off"],
            capture_output=True, text=True, check=False, timeout=_LIMIT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def main(lock: str) -> int:
    named = re.findall(r"(?m)^[A-Za-z0-9][\w.-]*==", Path(lock).read_text())
    try:
        packages = json.loads(ask(lock))["dependencies"]
    except (ValueError, KeyError):
        print(f"audit: the advisories could not be asked about the {len(named)} packages of {lock}")
        return 0
    silent = [each["name"] for each in packages if "skip_reason" in each]
    bad = [(each, fault) for each in packages for fault in each.get("vulns", ())]
    for each, fault in bad:
        cure = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"audit: {each['name']} {each['version']}: {fault['id']}; mended in {cure}")
    print(f"audit: {len(packages) - len(silent)} of {len(packages)} packages asked about, {len(bad)} known faults")
    if silent:
        print(f"audit: no answer about {len(silent)}: {' '.join(silent[:6])}{' …' if len(silent) > 6 else ''}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
