"""All tutorials: those that need IPVS in the test kernel where this one lacks it.

python -m tests.docs.check
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from pykeepalived.tools.guest import USUAL_MODULES, run_in_guest

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "tests.docs.tutorial"]
#: The test kernel has one processor, which is slow.
GUEST_LIMIT_S = 1500


def pass_on(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.flush()


def main() -> int:
    pages = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs/tutorials").glob("*.md"))
    inside = [page for page in pages if "lab: needs ipvs" in (ROOT / page).read_text(encoding="utf-8")]
    if Path("/proc/net/ip_vs").exists():
        inside = []
    code = subprocess.run([*RUN, *(page for page in pages if page not in inside)], cwd=ROOT, check=False).returncode
    if inside:
        done = run_in_guest(
            f"cd {shlex.quote(str(ROOT))} && {shlex.join([*RUN, *inside])}",
            timeout_s=GUEST_LIMIT_S,
            modules=(*USUAL_MODULES, "veth", "bridge", "ipip"),
            on_output=pass_on,
        )
        code = code or done.exit_code
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
