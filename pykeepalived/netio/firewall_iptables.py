"""The packet filter by iptables and ipset, for who names `vrrp_iptables`.

Rules go into chains of our own, `PREFIX-in` and `PREFIX-out`, to which the configured chains jump: so everything that
is ours can be removed by name, and a rule of somebody else's is never touched. With `vrrp_ipsets` the addresses stand
in sets; without, each has its rules.

The programs are run by the script runner and waited for, a few milliseconds each; nftables needs none and is the better
choice.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from typing import Final

from pykeepalived.model.common import Family
from pykeepalived.netio.firewall import FAMILIES, Blocked, Shape
from pykeepalived.processes.scripts import Launcher, RunResult
from pykeepalived.units import SECOND_US

_PREFIX: Final = "keepalived"
_LIMIT_US: Final = 3 * SECOND_US
_NOT_FOUND: Final = 127
_PROGRAMS: Final = {Family.INET: "iptables", Family.INET6: "ip6tables"}
_DISCOVERY: Final = ("135", "136")
#: Rules for virtual MAC interfaces: types of ICMPv6 that may not leave (reports of membership, router solicitation).
_NOISE6: Final = ("132", "143", "133")


class Directly:
    """Runs programs as children of this process, for one that may fork."""

    def ask(self, argv: Sequence[str], text: str, *, timeout_us: int) -> RunResult:
        try:
            done = subprocess.run(
                argv, input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_us / 1e6,
                check=False,
            )  # fmt: skip
        except FileNotFoundError:
            return RunResult(127)
        except subprocess.TimeoutExpired:
            return RunResult(None)
        return RunResult(done.returncode, done.stdout)


class Iptables:
    """One pair of chains in each family."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def make(self, shape: Shape, blocked: Iterable[Blocked]) -> None:
        wanted = sorted(set(blocked), key=str)
        self.undo(self.undoing(shape))
        if shape.settings.sets is not None:
            _run(self._launcher, ["ipset", "restore"], _set_text(shape.settings.sets, wanted))
        for family in FAMILIES:
            _restore(
                self._launcher, family, _chain_text(family, shape, [item for item in wanted if item.family is family])
            )

    def change(self, shape: Shape, changes: Sequence[tuple[bool, Blocked]]) -> None:
        if shape.settings.sets is not None:
            lines = [_element(shape.settings.sets, item, "add" if add else "del") for add, item in changes]
            _run(self._launcher, ["ipset", "restore"], "".join(lines))
            return
        for family in FAMILIES:
            rules = [
                rule.replace("-A ", "-A " if add else "-D ", 1)
                for add, item in changes
                if item.family is family
                for rule in _address_rules(item, outward=len(shape.settings.chains or ()) > 1)
            ]
            if rules:
                _restore(self._launcher, family, "".join(rules))

    def remove(self, shape: Shape) -> None:
        self.undo(self.undoing(shape))

    def close(self) -> None:
        pass

    @staticmethod
    def undoing(shape: Shape) -> list[tuple[str, ...]]:
        """The commands that remove everything of ours, whether it is there or not."""
        chains = shape.settings.chains or ()
        found: list[tuple[str, ...]] = []
        for program in _PROGRAMS.values():
            for chain, own in zip(chains, (f"{_PREFIX}-in", f"{_PREFIX}-out"), strict=False):
                found += [
                    (program, "-w", "2", "-D", chain, "-j", own),
                    (program, "-w", "2", "-F", own),
                    (program, "-w", "2", "-X", own),
                ]
        return found + [("ipset", "destroy", name) for name in shape.settings.sets or ()]

    def undo(self, commands: Iterable[tuple[str, ...]]) -> None:
        """What was not there is no error. Raises OSError when a program is missing."""
        for command in commands:
            _run(self._launcher, list(command), tolerant=True)


def _set_text(names: Sequence[str], blocked: Sequence[Blocked]) -> str:
    kinds = ("hash:ip family inet", "hash:ip family inet6", "hash:net,iface family inet6")
    made = [f"create {name} {kind}\n" for name, kind in zip(names, kinds, strict=False)]
    return "".join(made + [_element(names, item, "add") for item in blocked])


def _element(names: Sequence[str], item: Blocked, words: str) -> str:
    if item.link_local:
        return f"{words} {names[2]} {item.address},{item.ifname}\n"
    return f"{words} {names[0] if item.family is Family.INET else names[1]} {item.address}\n"


def _chain_text(family: Family, shape: Shape, blocked: Sequence[Blocked]) -> str:
    chains = shape.settings.chains or ()
    own = (f"{_PREFIX}-in", f"{_PREFIX}-out")[: len(chains)]
    lines = [f":{name} - [0:0]\n" for name in own]
    if len(own) > 1:
        lines += _noise_rules(family, shape)
    if family is Family.INET6:
        lines += [f"-A {name} -p icmpv6 --icmpv6-type {kind} -j RETURN\n" for name in own for kind in _DISCOVERY]
    sets = shape.settings.sets
    if sets is None:
        lines += [rule for item in blocked for rule in _address_rules(item, outward=len(own) > 1)]
    else:
        for name, side, interface in zip(own, ("dst", "src"), ("src", "dst"), strict=False):
            if family is Family.INET:
                lines.append(f"-A {name} -m set --match-set {sets[0]} {side} -j DROP\n")
            else:
                lines.append(f"-A {name} -m set --match-set {sets[2]} {side},{interface} -j DROP\n")
                lines.append(f"-A {name} -m set --match-set {sets[1]} {side} -j DROP\n")
    lines += [f"-I {chain} 1 -j {name}\n" for chain, name in zip(chains, own, strict=False)]
    return "".join(lines)


def _noise_rules(family: Family, shape: Shape) -> list[str]:
    links = [link.ifname for link in shape.links if link.family is family]
    if family is Family.INET:
        return [f"-A {_PREFIX}-out -o {name} -p igmp -j DROP\n" for name in links]
    return [
        f"-A {_PREFIX}-out -o {name} -p icmpv6 --icmpv6-type {kind} -j DROP\n" for name in links for kind in _NOISE6
    ]


def _address_rules(item: Blocked, *, outward: bool) -> list[str]:
    into = f" -i {item.ifname}" if item.link_local else ""
    out = f" -o {item.ifname}" if item.link_local else ""
    rules = [f"-A {_PREFIX}-in -d {item.address}{into} -j DROP\n"]
    return [*rules, f"-A {_PREFIX}-out -s {item.address}{out} -j DROP\n"] if outward else rules


def _restore(launcher: Launcher, family: Family, text: str) -> None:
    _run(launcher, [f"{_PROGRAMS[family]}-restore", "-w", "2", "--noflush"], f"*filter\n{text}COMMIT\n")


def _run(launcher: Launcher, command: list[str], text: str = "", *, tolerant: bool = False) -> None:
    result = launcher.ask(command, text, timeout_us=_LIMIT_US)
    if result.status == _NOT_FOUND:
        raise OSError(2, f"the program {command[0]} is not installed")
    if result.status is None:
        raise OSError(110, f"{command[0]} did not end within {_LIMIT_US / SECOND_US:g} s")
    if result.status and not tolerant:
        lines = result.output.decode("utf-8", "replace").splitlines()
        complaint = next((line.strip() for line in lines if line.strip()), "refused")
        raise OSError(5, f"{command[0]}: {complaint[:200]}")
