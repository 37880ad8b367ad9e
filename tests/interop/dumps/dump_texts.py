"""Dump files, ours and keepalived's: as facts that can be compared."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from pykeepalived.dialects.keepalived import RealHost, load
from pykeepalived.lvs.desired import services_of
from pykeepalived.lvs.pool import Pool
from pykeepalived.model.config import Config
from pykeepalived.runtime import vrrp_data, vrrp_dump
from pykeepalived.runtime.lvs_dump import checker_data
from pykeepalived.runtime.vrrp_view import View
from pykeepalived.vrrp import events
from pykeepalived.vrrp.router import Router

INTERFACES = ("eth0", "eth1", "eth2", "eth3")
SOURCE = "192.168.7.1"
Facts = dict[str, Counter[str]]

_SECTION = re.compile(r"^\s*------< (.*) >------")


class Host(RealHost):
    """This machine, with other interfaces."""

    def interfaces(self) -> frozenset[str]:
        return frozenset({"lo", *INTERFACES})


def load_model(path: Path) -> Config:
    """The model of a file. What keepalived says about a file as well (a word that is too long) is no matter here."""
    return load(str(path), host=Host()).config


def vrrp_text(config: Config) -> str:
    """What our VRRP process would write after its start."""
    return vrrp_data.data(vrrp_view(config))


def vrrp_objects(config: Config) -> list[dict[str, dict[str, object]]]:
    """What our keepalived.json would hold after the start."""
    return json.loads(vrrp_dump.json(vrrp_view(config)) or "[]")


def vrrp_counters(path: Path) -> str:
    """What our keepalived.stats would hold after the start."""
    return vrrp_dump.stats(vrrp_view(load_model(path)))


def vrrp_view(config: Config) -> View:
    """Everything that is dumped, after the start."""
    router = Router(config, log_detail=False)
    for name in INTERFACES:
        router.handle(events.LinkChanged(name, True), 0)
    for item in config.instances:
        router.handle(events.SourceAddressChanged(item.name, item.source or SOURCE), 0)
    router.handle(events.Start(), 0)
    return View(
        config=config,
        instances=router.status(),
        groups=router.group_status(),
        scripts=router.script_status(),
        processes=router.process_status(),
        files={item.name: 0 for item in config.track_files},
        links=(),
        held=frozenset(),
        places={},
        descriptors={},
        baseline={},
        now_us=0,
    )


def checker_text(config: Config) -> str:
    """What our checker process would write before its first check."""
    return checker_data(config, [Pool(ref) for ref in services_of(config)], {})


# ── the VRRP file ────────────────────────────────────────────────────────────────────────────────────────────────────

#: What is true at one instant only, what no configuration asks for, and what the two versions print differently.
_PASSING = re.compile(
    r"(State|Wantstate|Master router|Master priority|Master advert int|Number of|Flags|Using unicast|Last|Read timeout"
    r"|Master down timer|Using src_ip|fd_in|Effective|Total|Status|Result|Current proc|Have quorum|Insecure|Init state"
    r"|\w+ delay timer|Delay timer|Num member|VRRP instances|GARP next|GNA next|Bfd is|Highest other|unspecified"
    r"|interface \S+ (?:down|up)$|no source"
    r"|Path|Rogue|Roger|VRRPv3 uses|Master rx lower|Password|Fork delay timer|Terminate delay timer|Tracking VRRP)"
)
_UNREAD = ("Interfaces", "VRRP Sockpool", "Global definitions", "VRRP Track BFDs")


def vrrp_facts(text: str) -> Facts:
    """By object: its lines; a line of a list with the head of the list in front."""
    found: Facts = {}
    section, name, head = "", "", ""
    for line in text.splitlines():
        title = _SECTION.match(line)
        if title is not None:
            section = re.sub(r" \d+$", "", title[1])
            name = head = section
            continue
        if section in _UNREAD or not line.strip():
            continue
        depth, words = len(line) - len(line.lstrip()), _plain(line.strip())
        if depth == 1 and section != "GARP delay group":
            name, head = f"{section}: {words.split(', ')[0]}", ""
            found.setdefault(name, Counter())
        elif not _PASSING.match(words):
            if depth <= 3:
                head = words
            found.setdefault(name, Counter())[words if depth <= 3 else f"{head} {words}"] += 1
    return found


def _plain(words: str) -> str:
    """Without what differs between the versions and from moment to moment."""
    for pattern, text in (
        (r", is_up = \w+(, xmit_base = \w+|, type \w+)?", ""),
        (r"^(Multicast address \S+), ifindex \d+", r"\1"),
        (r" set$", ""),
        # The dump may be made before or after.
        (r" \[installed[^\]]*\]", ""),
        (r"^from 0\.0\.0\.0/0 ", "from all "),
        (r"^(GARP|GNA) interval = ([\d.]+?)0*$", r"\1 interval = \2"),
        (r"^add ", "prepend "),
    ):
        words = re.sub(pattern, text, words)
    return words


# ── keepalived.json ──────────────────────────────────────────────────────────────────────────────────────────────────

#: Their values are of the moment, or masked.
_OF_THE_MOMENT = (
    "master_priority", "last_transition", "effective_priority", "vipset", "master_adver_int", "state", "wantstate",
    "auth_data", "ifp_ifname",
)  # fmt: skip


def json_facts(data: dict[str, object]) -> list[tuple[str, object]]:
    """The keys in their order; with the value that the configuration gives, or its type."""

    def plain(value: object) -> object:
        if isinstance(value, list):
            return [_plain(str(each)) for each in value]
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def kind(value: object) -> str:
        return "number" if type(value) in (int, float) else type(value).__name__

    return [(key, kind(value) if key in _OF_THE_MOMENT else plain(value)) for key, value in data.items()]


# ── the checkers' file ───────────────────────────────────────────────────────────────────────────────────────────────

_PASSING_CHECKS = re.compile(
    r"(VS alive|alive|quorum_state|reloaded|Reloaded|set =|Alive:|effective weight|previous|num failed|RS set|Up ="
    r"|Has run|Current weight|Retries iterations|Default delay|Last|Regex ref|Regex options|ICMP|Enabled|Tracked Files"
    r"|Log all|initial weight|tls_compliant|weights, weight)"
)
#: What a virtual or real server says for its checkers stands in these in our model, and in their lines.
_FOR_CHECKERS = re.compile(r"(Retry count|Retry delay|Warmup =|connection timeout|delay_loop|Delay loop|Inhibit.*OFF)")


def checker_facts(text: str) -> Facts:
    """By object: its lines; a line of a list with the head of the list in front."""
    found: Facts = {}
    section, service, name, head = "", "", "", ""
    for line in text.splitlines():
        title = _SECTION.match(line)
        if title is not None:
            section = title[1]
            continue
        depth, words = len(line) - len(line.lstrip()), line.strip().removeprefix("default ")
        if section not in ("Virtual server group", "Virtual server", "Real server", "Health checkers") or not words:
            continue
        if words.startswith("RIP = "):
            where, weight = words.split(", WEIGHT = ")
            name = _unused(found, f"{service} / {where}")
            # A FILE_CHECK has a weight at once.
            found[name][f"weight {weight.split()[0]}"] += "FILE_CHECK" not in text
        elif depth == 1:
            name = _unused(found, f"{section}: {words}")
            service = name if section == "Virtual server" else service
        elif not _PASSING_CHECKS.match(words) and (section == "Health checkers" or not _FOR_CHECKERS.match(words)):
            head = words if depth <= 3 else head
            found[name][words if depth <= 4 or "RIP = " in name else f"{head} {words}"] += 1
    return found


def _unused(found: Facts, name: str) -> str:
    number = 0
    while f"{name} {number}" in found:
        number += 1
    found[f"{name} {number}"] = Counter()
    return f"{name} {number}"


def differences(theirs: Facts, ours: Facts) -> list[str]:
    """What only one of the two says."""
    found = [f"only keepalived has {name}" for name in theirs if name not in ours]
    found += [f"only we have {name}" for name in ours if name not in theirs]
    for name in theirs.keys() & ours.keys():
        found += [f"{name}: keepalived: {line}" for line in theirs[name] - ours[name]]
        found += [f"{name}: pykeepalived: {line}" for line in ours[name] - theirs[name]]
    return sorted(found)


# ── the labels of the VRRP file ──────────────────────────────────────────────────────────────────────────────────────

#: Lines of 2.2.7 that are not in ours, by how they begin: words of builds and libraries, what 2.4.3 says in other
#: words, and counts inside of keepalived.
NOT_OURS = (
    "SNMP", "DBus", "libnftnl version", "Number of interface and track script faults", "GARP next time",
    "GNA next time", "BFD realtime limit", "VRRP realtime limit", "Checker realtime limit", "nftables table name",
    "nftables base chain priority", "nftables don't force", "nftables force", "LVS syncd", "Highest other priority",
    "fd_in", "Flags", "Master advert int",
)  # fmt: skip
_LABEL = re.compile(r"\s*(?: = | : ?|:$| - |, ).*| \(?\d.*| '.*")


def labels(text: str) -> set[tuple[str, str]]:
    """Section and label of each line that has a label, in the three upper levels."""
    found, section = set(), ""
    for line in text.splitlines():
        title = _SECTION.match(line)
        if title is not None:
            section = re.sub(r" \d+$", "", title[1])
            continue
        depth = len(line) - len(line.lstrip())
        if section in ("Interfaces", "VRRP Sockpool") or depth > 3 or not line.strip():
            continue
        found.add((section, _LABEL.sub("", line.strip(), count=1)))
    return found
