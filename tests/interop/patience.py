"""A test kernel whose clock a busy machine does not disturb, and in which waiting takes no time.

`guest_clock.c` says how. For guests that wait on checks, timeouts and daemons; not for a guest that measures speed.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pykeepalived.tools.guest import USUAL_MODULES, GuestResult, run_in_guest

_SOURCE = Path(__file__).with_name("guest_clock.c")
#: Keeps the directory until this process ends.
_PLACES: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def clock_library() -> Path | None:
    """The library for the kernel program, built once. None without a compiler: the guest then has the real time."""
    if shutil.which("gcc") is None:
        return None
    place = tempfile.TemporaryDirectory(prefix="guest-clock-")
    _PLACES.append(place)
    built = Path(place.name, "guest_clock.so")
    command = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(built), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return built


def run_patiently(
    script: str,
    *,
    timeout_s: float,
    directory: Path,
    modules: Sequence[str] = USUAL_MODULES,
    environment: Mapping[str, str] | None = None,
    memory_mb: int = 512,
    on_output: Callable[[bytes], None] | None = None,
) -> GuestResult:
    """`run_in_guest` with that clock. `timeout_s` is the machine's time."""
    return run_in_guest(
        script,
        timeout_s=timeout_s,
        directory=directory,
        modules=modules,
        environment=environment,
        memory_mb=memory_mb,
        on_output=on_output,
        preload=clock_library(),
    )
