"""One router with two interfaces, ours or Debian's keepalived on the same file, and what it makes of the kernel."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.interop.vrrp.vrrp_pairs import OURS, PATIENCE_S, ROOT


class Single:
    """The router in its namespace; the other end of its cables is `peer`."""

    def __init__(self, lab: Lab, program: str, text: str, into: Path) -> None:
        self.lab = lab
        self.program = program
        self.here: Namespace = lab.namespace("router")
        self.peer: Namespace = lab.namespace("peer")
        for number, ifname in enumerate(("eth0", "eth1")):
            lab.link(self.here, ifname, self.peer, ifname)
            self.here.address(ifname, f"10.{9 - number}.0.1/24")
            self.peer.address(ifname, f"10.{9 - number}.0.2/24")
        self.file = into / f"{program}.conf"
        self.log = into / f"{program}.log"
        self.process: subprocess.Popen[Any] | None = None
        self.write(text)

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)

    def start(self, env: dict[str, str] | None = None, options: tuple[str, ...] = ("-P",)) -> None:
        files = ("-f", self.file, "-p", "/run/k.pid", "-r", "/run/v.pid", "-c", "/run/c.pid")
        options = ("-n", "-l", "-D", *map(str, files), *options)
        argv = ("keepalived", *options) if self.program == "theirs" else (sys.executable, "-c", OURS, *options)
        self.process = self.lab.popen(self.here, *argv, log=self.log, cwd=ROOT, env=env)

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0, self.said()

    def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """All processes at once, without a word."""
        assert self.process is not None
        child = int(self.here.run("cat", "/run/v.pid").stdout)
        os.kill(self.process.pid, signal.SIGSTOP)
        os.kill(child, signal.SIGKILL)
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self.here.run("sh", "-c", "rm -f /run/*.pid")

    # ---- what can be seen ----

    def said(self) -> str:
        with contextlib.suppress(OSError):
            return self.log.read_text()
        return ""

    def wait_said(self, text: str, *, count: int = 1, timeout_s: float = PATIENCE_S) -> None:
        try:
            wait_until(lambda: self.said().count(text) >= count, timeout_s, f"{self.program} says {text!r}")
        except Exception as error:
            raise AssertionError(f"{error}\n{self.said()}") from error

    def links(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.here.ip("-d", "-j", "addr", "show"))
        return found

    def virtual_links(self) -> dict[str, tuple[Any, ...]]:
        """By name: base, kind and mode, MAC address, group, up, addresses with what distinguishes them."""
        found = {}
        for item in self.links():
            info = item.get("linkinfo", {})
            if info.get("info_kind") in {"macvlan", "ipvlan"}:
                found[item["ifname"]] = (
                    item.get("link"), info["info_kind"], info.get("info_data", {}).get("mode"), item["address"],
                    item.get("group"), "UP" in item["flags"], sorted(self._addresses(item)),
                )  # fmt: skip
        return found

    def addresses(self, ifname: str) -> list[tuple[str, ...]]:
        return next(sorted(self._addresses(item)) for item in self.links() if item["ifname"] == ifname)

    def _addresses(self, item: dict[str, Any]) -> list[tuple[str, ...]]:
        found = []
        for each in item["addr_info"]:
            local = re.sub(r"^fe80::[0-9a-f]+:.*", "LINK-LOCAL", each["local"])
            flags = sorted(key for key in ("secondary", "nodad", "deprecated", "noprefixroute") if each.get(key))
            found.append((local, str(each["prefixlen"]), str(each["scope"]), *flags))
        return found

    def settings(self) -> dict[str, str]:
        """All kernel settings of interfaces. With dots as slashes: a name of an interface may hold a dot."""
        text = self.here.run(
            "sh", "-c", "cd /proc/sys/net && grep -r . ipv4/conf ipv6/conf ipv4/igmp_* 2>/dev/null", check=False
        ).stdout
        pairs = (line.split(":", 1) for line in text.splitlines())
        return {pair[0]: pair[1] for pair in pairs if "stable_secret" not in pair[0]}

    def ruleset(self) -> str:
        """`nft list ruleset` in one form: elements in order, link-local addresses and counters without their value."""
        text = self.here.run("nft", "list", "ruleset").stdout
        text = re.sub(r"packets \d+ bytes \d+", "packets N bytes N", text)
        text = re.sub(r"fe80::[0-9a-f]+:[0-9a-f:]+", "LINK-LOCAL", text)
        return re.sub(
            r"elements = \{([^}]*)\}", _in_order,
            re.sub(r",\s+", ", ", text),
        )  # fmt: skip


def _in_order(found: re.Match[str]) -> str:
    return "{" + ",".join(sorted(found[1].replace("\n", " ").split(","))) + "}"


@contextlib.contextmanager
def single(program: str, text: str, into: Path) -> Iterator[Single]:
    with Lab("single") as lab:
        router = Single(lab, program, text, into)
        yield router
        if router.process is not None and router.process.poll() is None:
            router.process.kill()
