"""Runs a script inside a User Mode Linux kernel: a real Linux with IPVS, as an ordinary program, without a disk image.

The guest sees the files of this machine, at the same paths, through an overlay: it may write anywhere, and what it
writes is gone when it ends. Only the directory `share` is the machine's own. It boots in about two seconds, needs no
rights (inside it is root in any case) and has no network but its own: a cluster lives in namespaces inside one guest
(`lab.py` works there too).

    result = run_in_guest("ipvsadm -A -t 10.0.0.1:80 -s wrr && ipvsadm -Sn", timeout_s=30)
    assert result.exit_code == 0, result.output

Debian's package user-mode-linux has the kernel and its modules, among them ip_vs with all schedulers. What is different
inside: one processor, about three times slower; nf_tables has the bridge family only; programs must not use AVX (see
`guest_boot.py`), which the environment here tells the C library and OpenSSL. For the same reason name the modules you
need: the kernel starts modprobe by itself, too, but without that environment, and then it may fail.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

KERNEL = "linux.uml"
MODULES = Path("/usr/lib/uml/modules")
USUAL_MODULES = (
    *("ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_lc", "ip_vs_wlc", "ip_vs_lblc", "ip_vs_lblcr", "ip_vs_dh", "ip_vs_sh"),
    *("ip_vs_sed", "ip_vs_nq", "ip_vs_fo", "ip_vs_ovf", "ip_vs_mh", "ip_vs_ftp", "ip_vs_pe_sip"),
    *("veth", "bridge", "dummy", "macvlan", "8021q"),
)
_OUTPUT_LIMIT = 16 << 20

_WITHOUT_AVX = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps="
    "-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD,-AVX_Fast_Unaligned_Load,-XSAVE,-XSAVEC",
    "OPENSSL_ia32cap": "~0x1000000000000000:0",
}

# The first process of the guest. @NAMES@ are filled in by `_init_script`.
_INIT = r"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
stty -opost -echo 2>/dev/null
fail() { echo "guest: $*"; echo "@MARK@ exit 125"; echo o >/proc/sysrq-trigger; sleep 5; }
mount -t proc proc /proc || fail "no /proc"
mount -t tmpfs tmpfs /run
mkdir -p /run/kmod/lib/modules /run/upper /run/work /run/root
mount --bind @MODULES@ /run/kmod/lib/modules || fail "no modules"
modprobe -d /run/kmod overlay || fail "no overlay module"
mount -t overlay overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work /run/root || fail "no overlay"
cd /run/root && mkdir -p lib/modules .outer && pivot_root . .outer || fail "no new root"
cd /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /dev/shm /dev/pts
mount --bind /.outer@MODULES@ /lib/modules || fail "no modules"
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
[ -e /dev/null ] || fail "no /dev/null"
umount -l /.outer
ip link set lo up
@SHARE@
for module in @KERNEL_MODULES@; do set -- "$@" "$module"; done
[ $# -eq 0 ] || modprobe -a "$@" || fail "a module is missing"
@ENVIRONMENT@
cd @DIRECTORY@ || fail "no directory"
echo "@MARK@ begin"
if [ @TERMINAL@ = yes ]; then
    @SCRIPT@ </dev/null
    code=$?
else
    mkfifo /run/guest-output
    cat /run/guest-output & reader=$!
    @SCRIPT@ </dev/null >/run/guest-output 2>&1
    code=$?
    # What the script left running may hold the pipe open: the reader gets a moment for the rest, no more.
    exec 2>/dev/null
    (sleep 0.2; kill $reader) & wait $reader
fi
echo
echo "@MARK@ exit $code"
sync
echo o >/proc/sysrq-trigger
sleep 5
"""


class GuestError(Exception):
    """The guest did not boot or did not end in time. The text holds what it printed."""


class GuestResult(msgspec.Struct, frozen=True):
    """How the script ended."""

    exit_code: int
    output: str
    """What it printed on standard output and standard error, in order, at most 16 MiB."""
    duration_s: float
    """From power-on to power-off."""


def why_no_guest() -> str | None:
    """None when a guest can be started here, else the reason with its cure."""
    if shutil.which(KERNEL) is None or not MODULES.is_dir():
        return "the test kernel is missing: apt-get install user-mode-linux"
    if shutil.which("modprobe", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")) is None:
        return "modprobe is missing: apt-get install kmod"
    return None


def run_in_guest(
    script: str | Path,
    *,
    timeout_s: float,
    modules: Sequence[str] = USUAL_MODULES,
    share: Path | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    memory_mb: int = 512,
    terminal: bool = False,
    on_output: Callable[[bytes], None] | None = None,
    preload: Path | None = None,
) -> GuestResult:
    """Boot a guest, run `script` in it and return its exit code and output.

    `script` is shell text, or the path of an executable file. It finds the interpreter of this process first in its
    PATH, then the system's programs, and starts in `directory` (default: the current one). `share` is a directory
    that both sides see and the guest may write. `environment` adds variables. With `terminal`, the script's output is
    a terminal (for progress tables). `on_output` gets the output as it comes, too. `preload` is a library for the
    guest's kernel program.

    `timeout_s` bounds everything from power-on. Raises `GuestError` when it ran out or when the guest did not boot.
    """
    if reason := why_no_guest():
        raise GuestError(reason)
    with tempfile.TemporaryDirectory(prefix="pykeepalived-guest-") as scratch:
        mark = f"guest-{secrets.token_hex(8)}"
        init = Path(scratch, "init")
        if isinstance(script, str):
            own = Path(scratch, "script")
            own.write_text(f"#!/bin/sh\n{script}\n")
            own.chmod(0o755)
        else:
            own = script.resolve()
        text = _init_script(
            mark,
            own,
            modules=modules,
            share=share,
            environment=environment or {},
            directory=directory or Path.cwd(),
            terminal=terminal,
        )
        init.write_text(text)
        init.chmod(0o755)
        return _watch(_command(init, Path(scratch), memory_mb), mark, timeout_s, on_output, preload)


def _init_script(
    mark: str,
    script: Path,
    *,
    modules: Sequence[str],
    share: Path | None,
    environment: Mapping[str, str],
    directory: Path,
    terminal: bool,
) -> str:
    interpreter = Path(sys.executable).parent
    variables = {
        "PATH": f"{interpreter}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    shared = ""
    if share is not None:
        place = shlex.quote(str(share.resolve()))
        # Kernels from 6.11 on, called through util-linux 2.39 or newer, want the option by its name.
        ways = " || ".join(f"mount -t hostfs none {place} -o {prefix}{place}" for prefix in ("", "hostfs="))
        shared = f"mkdir -p {place} && {{ {ways}; }} || fail 'no share'"
    filled = {
        "MARK": mark,
        "MODULES": str(MODULES),
        "SHARE": shared,
        "KERNEL_MODULES": " ".join(map(shlex.quote, modules)),
        "ENVIRONMENT": "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
        "DIRECTORY": shlex.quote(str(directory.resolve())),
        "SCRIPT": shlex.quote(str(script)),
        "TERMINAL": "yes" if terminal else "no",
    }
    return re.sub("@([A-Z_]+)@", lambda found: filled[found[1]], _INIT)


def _command(init: Path, scratch: Path, memory_mb: int) -> list[str]:
    boot = Path(__file__).with_name("guest_boot.py")
    return [
        *(sys.executable, "-I", "-S", str(boot), KERNEL),
        *(f"mem={memory_mb}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"),
        *("con=null", "con0=fd:0,fd:1", "loglevel=1", f"uml_dir={scratch}/", "panic=-1"),
        *(f"{name}={value}" for name, value in _WITHOUT_AVX.items()),
    ]


class _Console:
    """Cuts the script's output out of what the console prints, as it comes."""

    def __init__(self, mark: str, on_output: Callable[[bytes], None] | None) -> None:
        self._begin = f"{mark} begin\n".encode()
        self._exit = re.compile(rf"\n?{mark} exit (\d+)\n".encode())
        self._tail = len(self._begin) + 16
        self._on_output = on_output
        self._waiting = bytearray()
        self.begun = False
        self.output = bytearray()
        self.boot = bytearray()
        self.exit_code: int | None = None

    def feed(self, data: bytes) -> None:
        if self.exit_code is not None:
            return
        self._waiting += data.replace(b"\r\n", b"\n")
        if not self.begun:
            before, found, after = self._waiting.partition(self._begin)
            if not found:
                self._find_exit(self.boot)
                return
            self.boot, self._waiting, self.begun = before, after, True
        if not self._find_exit(self.output):
            # A mark may be arriving in pieces: hold back as much as its beginning could be.
            keep = self._waiting.rfind(b"\n", max(0, len(self._waiting) - self._tail))
            self._pass_on(len(self._waiting) if keep < 0 else keep)

    def _find_exit(self, kept: bytearray) -> bool:
        found = self._exit.search(self._waiting)
        if found is None:
            return False
        self.exit_code = int(found[1])
        if kept is self.output:
            self._pass_on(found.start())
        else:
            kept += self._waiting[: found.start()]
        return True

    def _pass_on(self, count: int) -> None:
        piece = bytes(self._waiting[:count])
        del self._waiting[:count]
        if len(self.output) < _OUTPUT_LIMIT:
            self.output += piece
        if self._on_output is not None and piece:
            self._on_output(piece)

    def everything(self) -> str:
        return bytes(self.boot + self.output + self._waiting).decode(errors="replace").strip()


def _watch(
    command: Sequence[str],
    mark: str,
    timeout_s: float,
    on_output: Callable[[bytes], None] | None,
    preload: Path | None,
) -> GuestResult:
    started = time.monotonic()
    environment = os.environ | ({"GUEST_PRELOAD": str(preload)} if preload else {})
    console = _Console(mark, on_output)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment,
    ) as kernel:
        assert kernel.stdout is not None
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(kernel.stdout, selectors.EVENT_READ)
                while console.exit_code is None:
                    left = started + timeout_s - time.monotonic()
                    if left <= 0 or not selector.select(left):
                        raise GuestError(f"the guest ran longer than {timeout_s:g} s\n{console.everything()}")
                    data = os.read(kernel.stdout.fileno(), 1 << 16)
                    if not data:
                        break
                    console.feed(data)
            if console.exit_code is not None:
                # The answer is there; the kernel needs a few milliseconds to power off.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    kernel.wait(3)
        finally:
            if kernel.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(kernel.pid, signal.SIGKILL)
    if console.exit_code is None or not console.begun:
        raise GuestError(f"the guest did not boot\n{console.everything()}")
    return GuestResult(
        exit_code=console.exit_code,
        output=console.output.decode(errors="replace"),
        duration_s=time.monotonic() - started,
    )
