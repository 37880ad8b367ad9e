"""Heartbeat's ha.cf, haresources and authkeys as a keepalived.conf (migration-facts 1).

A resource group becomes a vrrp_instance. Heartbeat takes prefix lengths and devices from the routes of the machine; the
files do not tell them, so they are asked for by notes.
"""

from __future__ import annotations

import math
import re
import shlex
from typing import Final

import msgspec

from pykeepalived.dialects.keepalived.readers import canonical_address
from pykeepalived.model import (
    Authentication,
    AuthType,
    Config,
    GlobalDefs,
    IpPrefix,
    SyncDaemon,
    VirtualAddress,
    VrrpInstance,
    VrrpState,
)
from pykeepalived.tools.convert.result import Converted, NotConvertible, Notes
from pykeepalived.units import CENTISECOND_US, SECOND_US

_TIME: Final = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?)(?P<unit>ms|us|s)?")
_UNITS: Final = {"us": 1, "ms": 1_000, "s": SECOND_US, None: SECOND_US}
#: Directives that have no equivalent, with what to do.
_GONE: Final = {
    "warntime": "late adverts are not reported; the statistics count them",
    "udpport": "VRRP is an IP protocol of its own (112): allow it in packet filters",
    "serial": "no second path over a serial line",
    "baud": "no second path over a serial line",
    "ping": "write a vrrp_script that pings, and track it",
    "ping_group": "write a vrrp_script that pings, and track it",
    "deadping": "`interval`, `fall` and `rise` of that script",
    "respawn": "let systemd do it; a vrrp_track_process can watch it",
    "apiauth": "no such interface",
    "watchdog": "systemd's watchdog",
    "stonith": "no fencing; a notify script may call an agent",
    "stonith_host": "no fencing; a notify script may call an agent",
    "logfile": "log lines go to syslog, see the option -g",
    "debugfile": "log lines go to syslog, see the option -g",
    "logfacility": "see the option -S",
    "debug": "see the option -D",
    "realtime": "`vrrp_rt_priority` in global_defs",
    "rtprio": "`vrrp_rt_priority` in global_defs",
    "crm": "a cluster resource manager is another world",
    "pacemaker": "a cluster resource manager is another world",
}
_PREFERRED: Final = 150
_OTHER: Final = 100
_FIRST_VRID: Final = 51
_MOST_MISSED: Final = 100


class _HaCf(msgspec.Struct):
    nodes: list[str] = []
    devices: list[str] = []
    times_us: dict[str, int] = {}
    stays: bool = False


def convert(files: dict[str, str], notes: Notes, *, prefix_length: int | None = None) -> Converted:
    """`files`: text by name (ha.cf, haresources, authkeys). A further one is an ldirectord.cf, which others convert.

    Raises NotConvertible.
    """
    if "haresources" not in files:
        raise NotConvertible("haresources is missing: it says which addresses move")
    settings = _ha_cf(files.get("ha.cf", ""), notes)
    groups = _groups(files["haresources"])
    if not groups:
        raise NotConvertible("haresources has no resource group")
    nodes = list(dict.fromkeys([*settings.nodes, *(words[0] for words in groups)]))
    if len(nodes) == 1:
        notes.add("only one node is named: write the configuration of the other router by hand")
    password = _authkeys(files.get("authkeys", ""), notes)
    if password is not None and settings.times_us.get("keepalive", 2 * SECOND_US) % SECOND_US:
        notes.add("authkeys: intervals below a second need VRRPv3, which has no authentication")
        password = None
    services_come = bool(files.keys() - {"ha.cf", "haresources", "authkeys"})
    builder = _Builder(settings, password, prefix_length, notes, services_come=services_come)
    shared = [builder.group(number, words) for number, words in enumerate(groups)]
    configs = {}
    for node in nodes:
        found = tuple(_for_node(instance, words[0], node, settings) for instance, words in shared if instance)
        startup_us = min(settings.times_us.get("initdead", 0), 4_000 * SECOND_US)
        configs[node] = Config(
            globals=GlobalDefs(
                router_id=node, dynamic_interfaces=True, startup_delay_us=startup_us, sync_daemon=builder.sync_daemon
            ),
            instances=found,
        )
    return Converted(configs, notes.all())


def _for_node(found: VrrpInstance, preferred: str, node: str, settings: _HaCf) -> VrrpInstance:
    first = node == preferred
    state = VrrpState.MASTER if first and not settings.stays else VrrpState.BACKUP
    return msgspec.structs.replace(found, priority=_PREFERRED if first else _OTHER, initial_state=state)


def _ha_cf(text: str, notes: Notes) -> _HaCf:
    found = _HaCf()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        name, arguments = words[0], words[1:]
        if name == "node":
            found.nodes += arguments
        elif name in ("keepalive", "deadtime", "initdead"):
            found.times_us[name] = _time(arguments, number)
        elif name in ("bcast", "udp", "mcast", "mcast6", "ucast"):
            _medium(found, name, arguments, notes)
        elif name in ("auto_failback", "nice_failback"):
            found.stays = arguments[:1] == ["off" if name == "auto_failback" else "on"]
        else:
            notes.add(f"ha.cf: {name}: {_GONE.get(name, 'no equivalent')}")
    if not found.devices:
        notes.add("ha.cf names no interface: eth0 is written")
        found.devices.append("eth0")
    for device in dict.fromkeys(found.devices[1:]):
        if device != found.devices[0]:
            notes.add(f"ha.cf: {device}: adverts are sent on {found.devices[0]} only")
    return found


def _medium(found: _HaCf, name: str, arguments: list[str], notes: Notes) -> None:
    """bcast names devices; the others one device and where to send to."""
    if name in ("bcast", "udp"):
        found.devices += arguments
        return
    found.devices += arguments[:1]
    if name == "ucast":
        what = "multicast is written; unicast_src_ip and unicast_peer need the addresses of both routers"
    else:
        what = "VRRP's own group is used"
    notes.add(f"ha.cf: {name} {' '.join(arguments)}: {what}")


def _time(arguments: list[str], number: int) -> int:
    match = _TIME.fullmatch(arguments[0]) if arguments else None
    if match is None:
        raise NotConvertible(f"ha.cf line {number}: no time")
    return round(float(match["number"]) * _UNITS[match["unit"]])


def _groups(text: str) -> list[list[str]]:
    groups = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        words = line.split("#", 1)[0].split()
        if words:
            groups.append(words)
    return groups


def _authkeys(text: str, notes: Notes) -> bytes | None:
    chosen: str | None = None
    keys: dict[str, list[str]] = {}
    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        if words[:1] == ["auth"] and len(words) > 1:
            chosen = words[1]
        elif len(words) > 1:
            keys[words[0]] = words[1:]
    if chosen is None:
        return None
    method, *key = keys.get(chosen, [""])
    if method == "crc" or not key:
        notes.add(f"authkeys: method {method or '(none)'}: no authentication is written")
        return None
    password = key[0].encode()[:8]
    more = ", its first 8 characters" if len(key[0]) > 8 else ""
    notes.add(
        f"authkeys: the {method} key becomes a password in clear text{more}: keep strangers off the network of the "
        "adverts, or use auth_hmac (keepalived 2.4) in place of it"
    )
    if len(keys) > 1:
        notes.add("authkeys: the other keys are left out, both routers must change the password together")
    return password


class _Builder:
    def __init__(
        self,
        settings: _HaCf,
        password: bytes | None,
        prefix_length: int | None,
        notes: Notes,
        *,
        services_come: bool,
    ) -> None:
        self._services_come = services_come
        self._settings = settings
        self._password = password
        self._prefix_length = prefix_length
        self._notes = notes
        self.sync_daemon: SyncDaemon | None = None

    def group(self, number: int, words: list[str]) -> tuple[VrrpInstance | None, list[str]]:
        """The instance of one line, without what differs between the nodes; None when nothing moves."""
        name = f"VI_{number + 1}"
        addresses: list[VirtualAddress] = []
        for resource in words[1:]:
            address = self._resource(resource, name)
            if address is not None:
                addresses.append(address)
        if not addresses:
            self._notes.add(f"haresources: the group of {words[0]} has no address and is left out")
            return None, words
        carried = [item for item in addresses if (":" in item.prefix.address) == (":" in addresses[0].prefix.address)]
        keepalive_us = self._settings.times_us.get("keepalive", 2 * SECOND_US)
        version = 3 if keepalive_us % SECOND_US or ":" in addresses[0].prefix.address else 2
        keepalive_us = max(CENTISECOND_US, round(keepalive_us / CENTISECOND_US) * CENTISECOND_US)
        return (
            VrrpInstance(
                name=name,
                vrid=_FIRST_VRID + number,
                interface=self._settings.devices[0],
                version=version,
                advert_interval_us=min(keepalive_us, 40 * SECOND_US),
                down_timer_adverts=self._missed(keepalive_us),
                nopreempt=self._settings.stays,
                addresses=tuple(carried),
                excluded_addresses=tuple(item for item in addresses if item not in carried),
                authentication=Authentication(AuthType.PASS, self._password)
                if self._password is not None and version == 2
                else None,
            ),
            words,
        )

    def _missed(self, keepalive_us: int) -> int:
        dead_us = self._settings.times_us.get("deadtime", 30 * SECOND_US)
        missed = min(_MOST_MISSED, max(1, math.ceil(dead_us / keepalive_us)))
        self._notes.add(
            f"deadtime: down_timer_adverts {missed} keeps it ({missed * keepalive_us / SECOND_US:g} s); without that "
            f"line a BACKUP takes over after {3 * keepalive_us / SECOND_US:g} s. It must be the same on both routers"
        )
        return missed

    def _resource(self, text: str, instance: str) -> VirtualAddress | None:
        name, *arguments = text.split("::")
        if name in ("IPaddr", "IPaddr2", "IPv6addr") and arguments:
            return self._address(arguments[0], text)
        if canonical_address(name.split("/")[0]) is not None:
            return self._address(name, text)
        if name == "LVSSyncDaemonSwap" and len(arguments) >= 2:
            sync_id = int(arguments[2]) if len(arguments) > 2 and arguments[2].isdecimal() else None
            self.sync_daemon = SyncDaemon(interface=arguments[1], instance=instance, sync_id=sync_id)
        elif name == "ldirectord" and self._services_come:
            pass
        elif name == "ldirectord":
            self._notes.add(
                f"haresources: {text}: convert ldirectord.cf too, or run it beside this on both routers all the time"
            )
        elif name != "SendArp":
            self._notes.add(f"haresources: {text}: start and stop it by notify_master and notify_backup")
        return None

    def _address(self, text: str, resource: str) -> VirtualAddress | None:
        parts = text.split("/")
        address = canonical_address(parts[0])
        if address is None:
            self._notes.add(f"haresources: {resource}: `{parts[0]}` is no address and is left out")
            return None
        longest = 128 if ":" in address else 32
        length, device, broadcast = None, None, None
        for part in parts[1:]:
            if part.isdecimal() and len(part) < 4 and int(part) <= longest:
                length = int(part)
            elif (found := canonical_address(part)) is not None:
                broadcast = found
            elif part:
                device = part.split(":")[0]
        if length is None:
            length = min(self._prefix_length or longest, longest)
            self._notes.add(
                f"haresources: {address} has no prefix length, /{length} is written: Heartbeat took that of the route"
            )
        if device is None:
            self._notes.add(
                f"haresources: {address} names no interface: it goes to {self._settings.devices[0]}, else write "
                "`dev NAME` behind it"
            )
        return VirtualAddress(prefix=IpPrefix(address, length), dev=device, broadcast=broadcast)
