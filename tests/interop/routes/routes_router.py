"""One router with its routes and rules, run by us or by Debian's keepalived, and what the kernel then has."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from pykeepalived.tools.lab import Lab, Namespace, wait_until

PATIENCE_S = 120.0
OURS = "pykeepalived"
THEIRS = "keepalived"
_PROGRAMS = {OURS: str(Path(sys.executable).parent / "pykeepalived"), THEIRS: shutil.which("keepalived") or ""}
_OURS_IN_TABLE = {"keepalived", "static", "18"}

CONFIG = """
{head}
vrrp_instance a {{
    interface eth0
    virtual_router_id 51
    state MASTER
    priority {priority}
    {words}
    virtual_ipaddress {{
        192.0.2.50/24
        {addresses}
    }}
    virtual_routes {{
        {routes}
    }}
    virtual_rules {{
        {rules}
    }}
}}
"""


def config(
    *, routes: str = "", rules: str = "", addresses: str = "", words: str = "", head: str = "", priority: int = 255
) -> str:
    return CONFIG.format(routes=routes, rules=rules, addresses=addresses, words=words, head=head, priority=priority)


class Router:
    """A namespace with two interfaces, and one daemon in it."""

    def __init__(self, lab: Lab, program: str, into: Path) -> None:
        self.program = program
        self._into = into / program
        self._into.mkdir()
        self.space: Namespace = lab.namespace(program)
        far = lab.namespace(f"far-{program}")
        for name, address in (("eth0", "192.0.2.1/24"), ("eth1", "203.0.113.1/24")):
            lab.link(self.space, name, far, name)
            self.space.address(name, address)
        self.space.ip("-6", "addr", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
        self.log = self._into / "log"
        self.file = self._into / "keepalived.conf"
        self.process: subprocess.Popen[Any] | None = None

    def start(self, text: str) -> None:
        self.file.write_text(text)
        argv = [_PROGRAMS[self.program], "-n", "-l", "-D", "-f", str(self.file), "-p", str(self._into / "pid")]
        argv += ["-r", str(self._into / "vrrp.pid"), "-c", str(self._into / "checkers.pid")]
        with self.log.open("ab") as log:
            self.process = self.space.popen(*argv, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def start_as_master(self, text: str) -> None:
        self.start(text)
        wait_until(lambda: self.said("setting Virtual Rules") or self.said("setting VIPs"), PATIENCE_S, "MASTER")
        wait_until(lambda: self.space.has_address("192.0.2.50"), PATIENCE_S, "address")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE_S)

    def reload(self, text: str) -> None:
        self.file.write_text(text)
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def said(self, text: str) -> int:
        return self.log.read_text(errors="replace").count(text) if self.log.exists() else 0

    # ---- the kernel ----

    def _json(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.space.ip("-j", "-d", *words) or "[]")
        return found

    def routes(self) -> list[dict[str, Any]]:
        found = []
        for family in ("-4", "-6"):
            for item in self._json(family, "route", "show", "table", "all"):
                if item.get("protocol") in _OURS_IN_TABLE:
                    if "expires" in item:
                        item["expires"] = "later"
                    found.append(item)
        return sorted(found, key=lambda item: json.dumps(item, sort_keys=True))

    def destinations(self) -> set[str]:
        return {item["dst"] for item in self.routes()}

    def rules(self) -> list[dict[str, Any]]:
        found = [*self._json("-4", "rule"), *self._json("-6", "rule")]
        return [item for item in found if item["priority"] not in (0, 32766, 32767)]

    def preferences(self) -> set[int]:
        return {item["priority"] for item in self.rules()}

    def addresses(self) -> list[dict[str, Any]]:
        found = []
        for link in self._json("addr"):
            for item in link["addr_info"]:
                if "preferred_life_time" in item and 0 < item["preferred_life_time"] < 2**32 - 1:
                    item["preferred_life_time"] = "some"
                if item["local"].startswith("fe80:"):
                    continue
                found.append({"interface": link["ifname"], **item})
        return sorted(found, key=lambda item: json.dumps(item, sort_keys=True))
