"""Two routers on one switch, each of them ours or Debian's keepalived, and what can be seen of them from outside.

Ours is the whole command with the very file that keepalived gets; `process` is our VRRP process alone (`vrrp_host`),
with the same content as a model.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from pykeepalived.model import (
    Authentication,
    AuthType,
    Config,
    IpPrefix,
    Script,
    SyncGroup,
    TrackedScript,
    UnicastPeer,
    VirtualAddress,
    VrrpInstance,
    VrrpScript,
    VrrpState,
)
from pykeepalived.tools.lab import Lab, Namespace, wait_until

Program = Literal["ours", "theirs", "process"]
ROOT = Path(__file__).parents[3]
#: Seconds that one step may take on a loaded machine; the longest that is due is 3.6 s (VRRPv2).
PATIENCE_S = 120.0
_NICE = -15
OURS = "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the pair speaks."""

    version: int = 3
    interval_us: int = 300_000
    password: str | None = None
    auth: Literal["PASS", "AH"] = "PASS"
    unicast: bool = False
    ipv6: bool = False
    interfaces: tuple[str, ...] = ("eth0",)
    """One instance on each; more than one makes a sync group."""
    script: bool = False
    """A tracked script of weight -60 that fails while /run/bad exists."""
    nopreempt: bool = False
    plain_checksum: bool = False
    vmac: bool = False
    key: str | None = None
    """Of `auth_hmac`; only keepalived from 2.4 on has it."""
    more: bool = False
    """One address more, for a reload."""

    def addresses(self, number: int) -> tuple[str, ...]:
        """The virtual addresses of the instance on interface `number`, as they stand in the file."""
        if self.ipv6:
            more = (f"2001:db8:{number + 1}::b:9/64",) if self.more else ()
            return (f"fe80::{number + 1}:9/64", f"2001:db8:{number + 1}::9/64", *more)
        more = (f"10.0.{number}.11/32",) if self.more else ()
        return (f"10.0.{number}.9/24", f"10.0.{number}.10/32", *more)

    def excluded(self, number: int) -> tuple[str, ...]:
        return () if self.ipv6 else (f"10.1.{number}.9/32",)

    def own(self, number: int, place: int) -> str:
        return f"2001:db8:{number + 1}::{place}/64" if self.ipv6 else f"10.0.{number}.{place}/24"


#: Writes its arguments as one line, in one write: lines of scripts that run side by side do not mix.
NOTE = "/run/note"


def our_config(shape: Shape, place: int) -> Config:
    """What `their_config` says, as our model."""
    instances = []
    for number, ifname in enumerate(shape.interfaces):
        peer = shape.own(number, 3 - place).partition("/")[0]
        instances.append(
            VrrpInstance(
                name=f"VI_{number}",
                vrid=51 + number,
                interface=ifname,
                version=shape.version,
                initial_state=VrrpState.MASTER if place == 1 and not shape.nopreempt else VrrpState.BACKUP,
                priority=150 if place == 1 else 100,
                advert_interval_us=shape.interval_us,
                nopreempt=shape.nopreempt,
                native_ipv6=shape.ipv6,
                authentication=Authentication(AuthType[shape.auth], shape.password.encode())
                if shape.password
                else None,
                v3_checksum_as_v2=shape.plain_checksum,
                unicast_peers=(UnicastPeer(peer),) if shape.unicast else (),
                source=shape.own(number, place).partition("/")[0] if shape.unicast else None,
                addresses=tuple(_virtual(text) for text in shape.addresses(number)),
                excluded_addresses=tuple(_virtual(text) for text in shape.excluded(number)),
                track_scripts=(TrackedScript("chk"),) if shape.script else (),
                notify=Script((NOTE,)),
                notify_master=Script((NOTE, "to-master", f"VI_{number}")),
            )
        )
    groups = ()
    if len(instances) > 1:
        members = tuple(item.name for item in instances)
        groups = (SyncGroup(name="G1", members=members, notify=Script((NOTE,))),)
    check = VrrpScript(name="chk", script=Script(("/run/check",)), interval_us=1_000_000, weight=-60)
    return Config(instances=tuple(instances), sync_groups=groups, scripts=(check,) if shape.script else ())


def _virtual(text: str) -> VirtualAddress:
    address, _, length = text.partition("/")
    return VirtualAddress(prefix=IpPrefix(address, int(length)))


def their_config(shape: Shape, place: int) -> str:
    """keepalived.conf of the router at place 1 (priority 150) or 2 (priority 100)."""
    lines = ["global_defs {", "  enable_script_security", "  script_user root", "  vrrp_garp_master_delay 1", "}"]
    if shape.script:
        lines += ["vrrp_script chk {", "  script /run/check", "  interval 1", "  weight -60", "}"]
    if len(shape.interfaces) > 1:
        members = [f"    VI_{number}" for number in range(len(shape.interfaces))]
        lines += ["vrrp_sync_group G1 {", "  group {", *members, "  }", f"  notify {NOTE}", "}"]
    for number, ifname in enumerate(shape.interfaces):
        lines += [
            f"vrrp_instance VI_{number} {{",
            f"  state {'MASTER' if place == 1 and not shape.nopreempt else 'BACKUP'}",
            f"  interface {ifname}",
            f"  virtual_router_id {51 + number}",
            f"  version {shape.version}",
            f"  priority {150 if place == 1 else 100}",
            f"  advert_int {shape.interval_us / 1e6:g}",
            f"  notify {NOTE}",
            f'  notify_master "{NOTE} to-master VI_{number}"',
        ]
        if shape.nopreempt:
            lines.append("  nopreempt")
        if shape.ipv6:
            lines.append("  native_ipv6")
        if shape.plain_checksum:
            lines.append("  v3_checksum_as_v2")
        if shape.vmac:
            lines.append("  use_vmac")
        if shape.key:
            lines += ["  auth_hmac {", "    mode enforce", f"    key 1 {shape.key}", "    active_key 1", "  }"]
        if shape.password:
            lines += ["  authentication {", f"    auth_type {shape.auth}", f"    auth_pass {shape.password}", "  }"]
        if shape.unicast:
            own, peer = (shape.own(number, each).partition("/")[0] for each in (place, 3 - place))
            lines += [f"  unicast_src_ip {own}", "  unicast_peer {", f"    {peer}", "  }"]
        lines += ["  virtual_ipaddress {", *(f"    {text}" for text in shape.addresses(number)), "  }"]
        if shape.excluded(number):
            lines += ["  virtual_ipaddress_excluded {", *(f"    {text}" for text in shape.excluded(number)), "  }"]
        if shape.script:
            lines += ["  track_script {", "    chk", "  }"]
        lines.append("}")
    return "\n".join(lines) + "\n"


class Router:
    """One of the two."""

    def __init__(
        self, lab: Lab, namespace: Namespace, program: Program, *, shape: Shape, place: int, into: Path
    ) -> None:
        self.lab = lab
        self.namespace = namespace
        self.program = program
        self.shape = shape
        self.place = place
        self.log = into / f"{namespace.name}.log"
        self.file = into / f"{namespace.name}.conf"
        self.process: subprocess.Popen[Any] | None = None
        self.write(our_config(shape, place), their_config(shape, place))
        self._install(NOTE, 'echo "$*" >>/run/notify')
        self._install("/run/check", "[ ! -e /run/bad ]")

    def _install(self, path: str, command: str) -> None:
        put = 'printf "%s\\n" "#!/bin/sh" "$2" >"$1" && chmod 755 "$1"'
        self.namespace.run("sh", "-c", put, "install", path, command)

    def write(self, ours: Config, theirs: str) -> None:
        if self.program == "process":
            self.file.write_bytes(msgspec.json.encode(ours))
        else:
            self.file.write_text(theirs)
            self.file.chmod(0o600)

    def start(self) -> None:
        argv: Sequence[str | Path]
        options = ("-n", "-l", "-D", "-f", self.file, "-p", "/run/k.pid", "-r", "/run/v.pid", "-c", "/run/c.pid", "-P")
        if self.program == "process":
            argv = (sys.executable, "-m", "tests.interop.vrrp.vrrp_host", self.file, "/run/pykeepalived")
        elif self.program == "ours":
            argv = (sys.executable, "-c", OURS, *options)
        else:
            argv = ("keepalived", *options)
        self.process = self.lab.popen(self.namespace, *argv, log=self.log, cwd=ROOT)
        # Both programs alike, with their scripts: on a busy machine one that is starved loses its mastership, and
        # rightly so. (A real-time priority would be stronger, but keepalived is killed at a reload with it.)
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.pid}/autogroup").write_text(str(_NICE))

    def stop(self) -> None:
        """An orderly stop."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0, self.said()

    def kill(self) -> None:
        """All its processes at once, without a word."""
        assert self.process is not None
        pids = [self.process.pid]
        if self.program != "process":
            pids.append(int(self.namespace.run("cat", "/run/v.pid").stdout))
            # Stopped first: it would start its child again, and the child would say goodbye when its parent dies.
            os.kill(self.process.pid, signal.SIGSTOP)
        for pid in reversed(pids):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        # keepalived takes a pid file for a running daemon as long as nobody has collected the dead child.
        self.namespace.run("sh", "-c", "rm -f /run/*.pid")

    def unplug(self, number: int = 0) -> None:
        """Pull its cable; the other one keeps its carrier."""
        self.lab.namespaces["switch"].down(f"port{number}-{self.place}")

    def plug(self, number: int = 0) -> None:
        self.lab.namespaces["switch"].up(f"port{number}-{self.place}")

    # ---- what can be seen ----

    def said(self) -> str:
        with contextlib.suppress(OSError):
            return self.log.read_text()[-20_000:]
        return ""

    def virtual(self) -> set[tuple[str, ...]]:
        """Virtual addresses in the kernel: interface, address, length, scope, label, flags that differ from default."""
        found = set()
        own = {self.shape.own(number, self.place).partition("/")[0] for number in range(len(self.shape.interfaces))}
        for link in json.loads(self.namespace.ip("-j", "addr", "show")):
            for item in link["addr_info"]:
                plain = item["local"]
                if link["ifname"] == "lo" or plain in own or (plain.startswith("fe80") and not plain.endswith(":9")):
                    continue
                flags = sorted(key for key in ("secondary", "nodad", "deprecated", "noprefixroute") if item.get(key))
                fields = (plain, item["prefixlen"], item["scope"], item.get("label"), item.get("broadcast"), *flags)
                found.add((link["ifname"], *(str(field) for field in fields)))
        return found

    def notified(self) -> list[str]:
        text = self.namespace.run("cat", "/run/notify", check=False).stdout
        return text.splitlines()

    def wait_for(self, state: str, *, timeout_s: float = PATIENCE_S) -> None:
        """Until every instance has this state, by its addresses: all there, or none."""
        count = sum(
            len(self.shape.addresses(number)) + len(self.shape.excluded(number))
            for number in range(len(self.shape.interfaces))
        )
        wanted = count if state == "MASTER" else 0
        what = f"{self.program} at place {self.place} is {state}"
        try:
            wait_until(lambda: len(self.virtual()) == wanted, timeout_s, what)
        except Exception as error:
            raise AssertionError(f"{error}\n{self.virtual()}\n{self.said()}") from error

    def wait_notified(self, line: str, *, count: int = 1) -> None:
        what = f"{count} times {line!r} notified by {self.program} at place {self.place}"
        try:
            wait_until(lambda: self.notified().count(line) >= count, PATIENCE_S, what)
        except Exception as error:
            raise AssertionError(f"{error}\n{self.notified()}\n{self.said()}") from error


@contextlib.contextmanager
def pair(shape: Shape, first: Program, second: Program, into: Path) -> Iterator[tuple[Router, Router]]:
    """Two routers that are not started yet, the first with priority 150, the second with 100, on a switch."""
    with Lab("vrrp") as lab:
        switch = lab.namespace("switch")
        routers = []
        spaces = [lab.namespace("a"), lab.namespace("b")]
        for number, ifname in enumerate(shape.interfaces):
            lab.bridge(switch, f"br{number}")
            for place, space in enumerate(spaces, 1):
                lab.link(space, ifname, switch, f"port{number}-{place}")
                switch.attach(f"br{number}", f"port{number}-{place}")
                space.address(ifname, shape.own(number, place))
        for place, (space, program) in enumerate(zip(spaces, (first, second), strict=True), 1):
            routers.append(Router(lab, space, program, shape=shape, place=place, into=into))
        yield routers[0], routers[1]
