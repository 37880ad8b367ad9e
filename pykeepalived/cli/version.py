"""The text of `keepalived --version`, in the shape that exporters and deployment tools read (clients.md 1 and 5).

The first line names the keepalived release whose behaviour we answer for; what follows says who really answers. The
words among the options are the original's names for what this program can do.
"""

from __future__ import annotations

import contextlib
import os
import platform
from typing import Final

from pykeepalived import KEEPALIVED_VERSION, __version__

RELEASE_DATE: Final = "11/21,2026"
TITLE: Final = f"Keepalived v{KEEPALIVED_VERSION} ({RELEASE_DATE})"

_CONFIGURE_OPTIONS: Final = "--enable-json --enable-regex --enable-nftables --enable-bfd --enable-log-file"
_CONFIG_OPTIONS: Final = (
    "NFTABLES LVS REGEX VRRP VRRP_AUTH VRRP_VMAC JSON BFD OLD_CHKSUM_COMPAT FILE_LOGGING LOG_FILE_APPEND INIT=systemd "
    "SYSTEMD_NOTIFY"
)


def version_text() -> str:
    """Everything that `-v` prints, to standard error, as the original does."""
    system = os.uname()
    lines = [
        TITLE,
        "",
        f"pykeepalived {__version__}, a replacement in Python ({platform.python_version()}); GPL-2.0-or-later",
        "",
        f"Running on {system.sysname} {system.release} {system.version}",
    ]
    with contextlib.suppress(OSError, KeyError):
        lines.append(f"Distro: {platform.freedesktop_os_release()['PRETTY_NAME']}")
    lines += ["", f"configure options: {_CONFIGURE_OPTIONS}", "", f"Config options:  {_CONFIG_OPTIONS}"]
    return "\n".join(lines)
