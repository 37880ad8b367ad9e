"""May this process make network namespaces, and if not, what helps: root directly, otherwise a user namespace."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pykeepalived.tools.lab import LabError

_USER_NAMESPACE_MARK = "PYKEEPALIVED_LAB_USER_NAMESPACE"


def why_no_namespaces() -> str | None:
    """None when this process can make namespaces as it is; else the reason in one line."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"the program {program} is missing"
    probe = subprocess.run(
        ["unshare", "--net", "--mount", "--", "true"], capture_output=True, text=True, timeout=20, check=False
    )
    return None if probe.returncode == 0 else probe.stderr.strip() or "unshare failed"


def why_no_user_namespace() -> str | None:
    """None when this process can make a user namespace with networks inside; else the reason, with the one command
    that allows it."""
    probe = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "--mount", "--", "ip", "link", "set", "lo", "up"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if probe.returncode == 0:
        return None
    switches = (
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "10000"),
    )
    for key, forbidding, allowing in switches:
        with contextlib.suppress(OSError):
            if Path("/proc/sys", key.replace(".", "/")).read_text().strip() == forbidding:
                return f"this system forbids user namespaces; allow them with: sudo sysctl -w {key}={allowing}"
    return f"no user namespace here ({probe.stderr.strip() or 'unshare failed'}); run it as root, with sudo"


def reexec_in_user_namespace() -> None:
    """Make sure that this process can make namespaces: return when it can, otherwise start it again, with the same
    arguments, as root of a user namespace. `LabError` says what helps when the system allows neither."""
    reason = why_no_namespaces()
    if reason is None:
        return
    if os.environ.get(_USER_NAMESPACE_MARK) or "missing" in reason:
        raise LabError(reason)
    if os.geteuid() == 0:
        raise LabError(f"not even root may make namespaces here ({reason}); a container needs --privileged")
    if forbidden := why_no_user_namespace():
        raise LabError(forbidden)
    os.environ[_USER_NAMESPACE_MARK] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    enter = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--"]
    os.execvp(enter[0], [*enter, sys.executable, *sys.orig_argv[1:]])
