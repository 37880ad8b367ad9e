"""Ours and Debian's keepalived through the same events, log line by log line: a router here, a director in the test
kernel. Part of `make interop`.
"""

from __future__ import annotations

import sys

from pykeepalived.tools.guest import USUAL_MODULES
from tests.interop.logs import vrrp_lines
from tests.interop.patience import run_patiently
from tests.interop.vrrp.vrrp_pairs import ROOT

_LIMIT_S = 900


def director() -> int:
    print("The log of a director, the same way", flush=True)
    result = run_patiently(
        "python -m tests.interop.logs.lvs_lines",
        timeout_s=_LIMIT_S,
        modules=USUAL_MODULES,
        directory=ROOT,
        memory_mb=768,
        on_output=lambda data: print(data.decode(errors="replace"), end="", flush=True),
    )
    return result.exit_code


if __name__ == "__main__":
    codes = [life() for life in (vrrp_lines.main, director)]
    sys.exit(max(codes))
