"""The demonstration: a whole cluster on this machine, from its start to a failover and back, in under a minute.

`demonstrate` chooses where it runs. nftables: network namespaces on this machine, as root or in a user namespace.
IPVS: likewise where the kernel has it, otherwise everything happens inside the test kernel (`guest.py`).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from pykeepalived.tools.demo.cluster import Programs
from pykeepalived.tools.demo.screen import Screen
from pykeepalived.tools.demo.story import tell
from pykeepalived.tools.guest import GuestError, run_in_guest
from pykeepalived.tools.lab import LabError
from pykeepalived.tools.lab_rights import reexec_in_user_namespace

_INSIDE = "PYKEEPALIVED_DEMO_IN_GUEST"
_GUEST_LIMIT_S = 180.0
_GUEST_PATIENCE = 3.0


class Wish(msgspec.Struct, frozen=True):
    """What to demonstrate. `dataplane`: auto, nftables or ipvs. `program`: another keepalived or ldirectord."""

    conf: Path
    dataplane: str = "auto"
    program: str | None = None
    plain: bool = False
    as_json: bool = False
    """JSON objects, one a line."""


class DemoError(Exception):
    """It cannot be shown here; the text names the cure."""


def demonstrate(wish: Wish) -> int:
    """Run the demonstration and return its exit code. Raises `DemoError` when it cannot start."""
    if not wish.conf.is_file():
        raise DemoError(f"{wish.conf}: no such file")
    inside = os.environ.get(_INSIDE) == "1"
    dataplane = wish.dataplane
    if dataplane == "auto":
        dataplane = "ipvs" if _host_has_ipvs() else "nftables"
    if dataplane == "ipvs" and not inside and not _host_has_ipvs():
        return _in_guest(wish)
    try:
        if not inside:
            reexec_in_user_namespace()
    except LabError as reason:
        raise DemoError(str(reason)) from reason
    logs = Path(tempfile.mkdtemp(prefix="pykeepalived-demo-"))
    size = shutil.get_terminal_size()
    screen = Screen(sys.stdout, live=_is_live(wish), width=size.columns, as_json=wish.as_json)
    dialect = "ldirectord" if is_ldirectord(wish.conf) else "keepalived"
    where = "in the test kernel" if inside else "on this machine"
    screen.say(f"{wish.conf} ({dialect}) with {dataplane} {where}")
    forced = dataplane == "nftables" and _host_has_ipvs()
    code = tell(
        programs(_without_ipvs(wish, logs) if forced else wish),
        screen,
        logs,
        patience=_GUEST_PATIENCE if inside else 1.0,
    )
    if code == 0:
        shutil.rmtree(logs, ignore_errors=True)
    return code


def is_ldirectord(conf: Path) -> bool:
    """Which language a file is in: only ldirectord's has lines like `virtual=10.0.0.5:80`."""
    with conf.open(encoding="utf-8", errors="replace") as text:
        return re.search(r"^virtual6?\s*=", text.read(1 << 20), re.MULTILINE) is not None


def programs(wish: Wish) -> Programs:
    """The command lines of a director. @NAME@ becomes the director's name."""
    conf = str(wish.conf.resolve())
    here = Path(sys.executable).parent

    def keepalived(program: str, *words: str) -> tuple[str, ...]:
        fixed = ("--dont-fork", "--log-console", "--no-syslog", "--log-detail", "--config-id", "@NAME@")
        return (program, *fixed, *words)

    if not is_ldirectord(wish.conf):
        program = wish.program or str(here / "pykeepalived")
        return Programs((keepalived(program, "--use-file", conf),))
    # ldirectord moves no addresses: a VRRP-only daemon beside it does (once that was Heartbeat's task).
    addresses = wish.conf.resolve().with_name("ldirectord-vrrp.conf")
    if not addresses.is_file():
        raise DemoError(f"{addresses}: no such file (the moving addresses of {wish.conf.name})")
    balancer = (wish.program or str(here / "pyldirectord"), conf, "start")
    mover = "keepalived" if wish.program else str(here / "pykeepalived")
    return Programs((balancer, keepalived(mover, "--vrrp", "--use-file", str(addresses))))


def _without_ipvs(wish: Wish, scratch: Path) -> Wish:
    """The same wish with a configuration that asks for nftables although the kernel has IPVS."""
    if is_ldirectord(wish.conf) or wish.program:
        raise DemoError("this kernel has IPVS, and only a keepalived.conf can ask for nftables instead")
    wrapped = scratch / "nftables.conf"
    wrapped.write_text(f"global_defs {{\n    lvs_dataplane nftables\n}}\ninclude {wish.conf.resolve()}\n")
    return msgspec.structs.replace(wish, conf=wrapped)


def _is_live(wish: Wish) -> bool:
    return sys.stdout.isatty() and not wish.plain and not wish.as_json


def _host_has_ipvs() -> bool:
    if not Path("/proc/net/ip_vs").exists() and os.geteuid() == 0 and shutil.which("modprobe"):
        subprocess.run(["modprobe", "-q", "ip_vs"], capture_output=True, timeout=20, check=False)
    return Path("/proc/net/ip_vs").exists()


def _in_guest(wish: Wish) -> int:
    live = _is_live(wish)
    size = shutil.get_terminal_size()

    def pass_on(piece: bytes) -> None:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()

    words = [sys.executable, "-m", "pykeepalived.cli.ctl.demo", "--conf", str(wish.conf), "--dataplane=ipvs"]
    words += [f"--program={wish.program}"] if wish.program else []
    words += ["--json"] if wish.as_json else []
    Screen(sys.stdout, live=False, as_json=wish.as_json).say(
        "This kernel has no IPVS; starting the test kernel, which has."
    )
    try:
        result = run_in_guest(
            shlex.join(words),
            timeout_s=_GUEST_LIMIT_S,
            environment={_INSIDE: "1", "COLUMNS": str(size.columns), "LINES": str(size.lines)},
            terminal=live,
            on_output=pass_on,
        )
    except GuestError as reason:
        raise DemoError(str(reason)) from reason
    return result.exit_code
