"""Our Debian package over Debian's keepalived and back, in a system of its own: `make packages-check`.

    python -m tests.packaging.replacement PACKAGE

A small Debian is made with debootstrap from the mirror that apt uses here and kept in the user's cache directory; each
run works on a copy. In it keepalived is installed and run by its init script, with a virtual address on a link of a
network namespace. Then ours is installed over it, restarted, reloaded; then Debian's again. After each step the same
things are looked at: who runs, what it holds, what init script and pid file say. Nothing outside of the copy is
touched: the namespaces (mount, network, processes) end with the run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ADDRESS = "192.0.2.10"
CONFIGURATION = f"""\
global_defs {{
    router_id check
}}
vrrp_instance VI_1 {{
    state BACKUP
    interface lan0
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {{
        {ADDRESS}/24
    }}
}}
"""
LIMIT_S = 90
INSIDE = "PACKAGES_CHECK_INSIDE"


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def run(*words: str | Path, check: bool = True, **more: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in words], capture_output=True, text=True, timeout=1200, check=False, **more
    )
    if check and done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done  # type: ignore[no-any-return]


def until(what: str, true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: {what}: not within {LIMIT_S} s")
        time.sleep(0.1)
    say(what)


# ── The tree ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def apt_source() -> tuple[str, str]:
    """Mirror and suite of the first Debian or Ubuntu source that apt knows."""
    for words in re.findall(
        r"^.*$", run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)").stdout, re.M
    ):
        parts = words.split()
        if len(parts) == 3 and parts[2] == "main" and re.fullmatch(r"[a-z]+", parts[1]):
            return parts[0], parts[1]
    raise SystemExit("apt knows no mirror here")


def base_tree() -> Path:
    """The tree without any of the packages in question, made once."""
    mirror, suite = apt_source()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pykeepalived"
    tree = cache / f"tree-{suite}"
    if not (tree / "made").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        say(f"a tree of {suite} is made with debootstrap (once, 2 minutes or more)")
        wanted = "python3,libpcre2-8-0,iproute2,procps,init-system-helpers"
        run("debootstrap", "--variant=minbase", f"--include={wanted}", suite, tree, mirror)
        # The packages are fetched here, where there is a network.
        shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
        inside(tree, "apt-get", "-q", "update")
        inside(tree, "apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "install", "keepalived")
        (tree / "made").touch()
    return tree


def inside(tree: Path, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command of the tree, with nothing of our environment."""
    return run(
        "chroot",
        tree,
        *words,
        check=check,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C",
            "HOME": "/root",
        },
        stdin=subprocess.DEVNULL,
    )


# ── What is looked at ────────────────────────────────────────────────────────────────────────────────────────────────


class System:
    """The copy of the tree that a run works on."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree

    def do(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return inside(self.tree, *words, check=check)

    def install(self, *words: str) -> None:
        # There is no network here; what Debian's package needs was fetched before.
        self.do("apt-get", "-q", "-y", "--no-install-recommends", "install", *words)

    def pid(self) -> int:
        try:
            return int((self.tree / "run/keepalived.pid").read_text())
        except (OSError, ValueError):
            return 0

    def program(self) -> str:
        """Whose daemon runs: `ours`, `theirs`, or nobody's."""
        pid = self.pid()
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            file = str(Path(f"/proc/{pid}/exe").readlink())
        except OSError:
            return ""
        if os.path.basename(words[0]) != b"keepalived":  # noqa: PTH119
            return ""
        return "ours" if "python" in file else "theirs"

    def master(self) -> bool:
        return f"inet {ADDRESS}/24" in run("ip", "-4", "address", "show", "dev", "lan0").stdout

    def serves(self, whose: str) -> None:
        until(f"{whose} runs and holds {ADDRESS}", lambda: self.program() == whose and self.master())

    def service(self, action: str) -> None:
        self.do("/etc/init.d/keepalived", action)

    def stop_and_start(self) -> None:
        """Debian's own restart waits one second for the end, which can be too short."""
        self.service("stop")
        until("a stop ends it", lambda: self.program() == "" and not self.master())
        self.service("start")

    def links(self) -> int:
        return len(list((self.tree / "etc").glob("rc[2345].d/S*keepalived")))

    def dumped_state(self) -> str:
        """What the daemon's own dump says; the daemon is asked with the signal."""
        dump = self.tree / "tmp/keepalived.data"
        dump.unlink(missing_ok=True)
        os.kill(self.pid(), 10)
        until("the dump is written", lambda: dump.exists() and "State = " in dump.read_text())
        found = re.search(r"^ +State = (\w+)", dump.read_text(), re.M)
        return found[1] if found else ""


def expect(what: str, true: object) -> None:
    if not true:
        raise SystemExit(f"FAILED: {what}")
    say(what)


def check(tree: Path, package: Path) -> None:
    """The whole story."""
    prepare(tree, package)
    system = System(tree)
    print("Debian's keepalived, by its init script")
    system.install("keepalived")
    system.serves("theirs")
    expect("its state is MASTER", system.dumped_state() == "MASTER")
    # An administrator's option: it stays through everything that follows.
    default = tree / "etc/default/keepalived"
    default.write_text('# mine\nDAEMON_ARGS="-D"\n')
    check_over_it(system, tree, default)
    check_service(system)
    check_way_back(system, tree, default)
    check_purges(system, tree)


def prepare(tree: Path, package: Path) -> None:
    """The network, the configuration, the package, and no init that would start anything."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    run("ip", "address", "add", "192.0.2.1/24", "dev", "lan0")
    for name in ("lan0", "lan1"):
        run("ip", "link", "set", name, "up")
    (tree / "etc/keepalived").mkdir(exist_ok=True)
    (tree / "etc/keepalived/keepalived.conf").write_text(CONFIGURATION)
    shutil.copy(package, tree / "root/ours.deb")
    # There is no init in the tree; without one invoke-rc.d starts nothing unless it is told that it may.
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    policy.chmod(0o755)


def check_over_it(system: System, tree: Path, default: Path) -> None:
    """Ours is installed over Debian's while it serves."""
    print("ours over it")
    system.install("/root/ours.deb")
    system.serves("ours")
    expect("its state is MASTER", system.dumped_state() == "MASTER")
    expect("the administrator's options stay", "# mine" in default.read_text())
    words = Path(f"/proc/{system.pid()}/cmdline").read_bytes().split(b"\0")
    expect("and are in use", b"-D" in words)
    expect("Debian's package is gone", not (tree / "usr/share/doc/keepalived/copyright").exists())
    version = system.do("keepalived", "--version").stderr
    expect("keepalived is ours", "pykeepalived" in version and version.startswith("Keepalived v"))
    for name in ("ldirectord", "genhash", "keepalivedctl"):
        expect(
            f"{name} is there",
            (tree / "usr/sbin" / name).is_symlink()
            or (tree / "usr/bin" / name).exists()
            or (tree / "usr/bin" / name).is_symlink(),
        )


def check_service(system: System) -> None:
    """What the init script does with ours."""
    expect("status says that it runs", system.do("/etc/init.d/keepalived", "status").returncode == 0)
    before = system.pid()
    system.service("reload")
    expect("a reload keeps the process", system.pid() == before and system.program() == "ours")
    system.service("restart")
    system.serves("ours")
    expect("a restart starts another one", system.pid() != before)
    expect("its state is MASTER", system.dumped_state() == "MASTER")
    expect("nothing of the package was changed by running it", not changed(system))
    system.service("stop")
    until("a stop leaves no address", lambda: not system.master() and system.program() == "")
    expect(
        "status says that it does not run", system.do("/etc/init.d/keepalived", "status", check=False).returncode == 3
    )
    system.service("start")
    system.serves("ours")


def check_way_back(system: System, tree: Path, default: Path) -> None:
    """Debian's again, and ours purged."""
    print("and back")
    system.install("keepalived")
    system.serves("theirs")
    expect("the administrator's options stay", "# mine" in default.read_text())
    expect(
        "the program is a file again",
        (tree / "usr/sbin/keepalived").is_file() and not (tree / "usr/sbin/keepalived").is_symlink(),
    )
    system.stop_and_start()
    system.serves("theirs")
    system.do("apt-get", "-q", "-y", "purge", "pykeepalived")
    expect("purging ours leaves Debian's service alone", system.links() == 4 and system.program() == "theirs")
    expect(
        "and nothing of ours",
        not any(
            (tree / path).exists()
            for path in ("usr/lib/pykeepalived", "etc/logrotate.d/ldirectord", "etc/init.d/ldirectord")
        ),
    )
    system.stop_and_start()
    system.serves("theirs")


def check_purges(system: System, tree: Path) -> None:
    """Ours again, Debian's purged, and ours in the end."""
    print("ours again, and Debian's purged")
    system.install("/root/ours.deb")
    system.serves("ours")
    system.do("apt-get", "-q", "-y", "purge", "keepalived")
    expect("purging Debian's leaves our daemon alone", system.program() == "ours")
    # The purge takes the links to the script of this name away, whoever's script it is.
    system.do("update-rc.d", "keepalived", "defaults")
    expect("its links are made again with update-rc.d", system.links() == 4)
    system.service("restart")
    system.serves("ours")
    system.do("apt-get", "-q", "-y", "purge", "pykeepalived")
    until("purging ours ends it", lambda: system.program() == "" and not system.master())
    left = [
        name
        for name in ("usr/sbin/keepalived", "usr/sbin/ldirectord", "usr/bin/genhash")
        if os.path.lexists(tree / name)
    ]
    expect(f"and leaves no program {left}", not left)


def changed(system: System) -> str:
    """What differs from what the package brought, configuration files aside."""
    lines = system.do("dpkg", "--verify", "pykeepalived", check=False).stdout.splitlines()
    return "\n".join(line for line in lines if " c " not in line)


def main() -> None:
    package = Path(sys.argv[1]).resolve()
    if os.environ.get(INSIDE):
        tree = Path(os.environ[INSIDE])
        run("mount", "-t", "proc", "proc", tree / "proc")
        run("mount", "--bind", "/dev", tree / "dev")
        run("mount", "-t", "tmpfs", "tmpfs", tree / "run")
        check(tree, package)
        return
    if os.geteuid() != 0:
        raise SystemExit("This needs root: a system is installed and run in namespaces")
    print("Our package over Debian's keepalived and back: 6 minutes; with the first tree 3 more", flush=True)
    base = base_tree()
    with tempfile.TemporaryDirectory(prefix="packages-check-") as directory:
        tree = Path(directory) / "tree"
        run("cp", "-a", "--reflink=auto", base, tree)
        # A shell is process 1 there: it takes the ended daemons.
        again = f'"{sys.executable}" -m tests.packaging.replacement "{package}"; code=$?; exit $code'
        done = subprocess.run(
            [
                "unshare",
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "--propagation",
                "private",
                "--mount-proc",
                "sh",
                "-c",
                again,
            ],
            env={**os.environ, INSIDE: str(tree)},
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.returncode)
    print("The package takes keepalived's place and gives it back.")


if __name__ == "__main__":
    main()
