"""ipvsadm's options as values: what a command line asks for (ipvsadm(8))."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import msgspec

from pykeepalived.lvs.table import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    EditDestination,
    EditService,
    Operation,
    Service,
    ServiceKey,
)
from pykeepalived.model.common import Family, family_of
from pykeepalived.model.lvs import Forwarding, ForwardingMethod, Protocol, SyncDaemon, TunnelType

_LONG: Final = {
    "--add-service": "-A", "--edit-service": "-E", "--delete-service": "-D", "--clear": "-C", "--restore": "-R",
    "--save": "-S", "--add-server": "-a", "--edit-server": "-e", "--delete-server": "-d", "--list": "-L", "-l": "-L",
    "--zero": "-Z", "--tcp-service": "-t", "--udp-service": "-u", "--fwmark-service": "-f", "--ipv6": "-6",
    "--scheduler": "-s", "--sched-flags": "-b", "--persistent": "-p", "--netmask": "-M", "--ops": "-o",
    "--real-server": "-r", "--gatewaying": "-g", "--ipip": "-i", "--masquerading": "-m", "--weight": "-w",
    "--u-threshold": "-x", "--l-threshold": "-y", "--numeric": "-n", "--connection": "-c",
}  # fmt: skip
_COMMANDS: Final = (
    "-A", "-E", "-D", "-C", "-R", "-S", "-a", "-e", "-d", "-L", "-Z", "--set", "--start-daemon", "--stop-daemon",
)  # fmt: skip
ROLES: Final = {"master": True, "backup": False}
_PROTOCOLS: Final = {"-t": Protocol.TCP, "-u": Protocol.UDP, "--sctp-service": Protocol.SCTP}
_VALUES: Final = (
    "-t", "-u", "--sctp-service", "-f", "-s", "-b", "-M", "--pe", "-r", "-w", "-x", "-y", "--tun-type", "--tun-port",
    "--dataplane", "--mcast-interface", "--syncid", "--sync-maxlen", "--mcast-group", "--mcast-port", "--mcast-ttl",
)  # fmt: skip
_FLAGS: Final = (
    "-n", "-c", "-o", "-6", "-g", "-i", "-m", "--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info",
    "--exact", "--nosort", "--sort", "--timeout", "--daemon", "--tun-nocsum", "--tun-csum", "--tun-remcsum",
)  # fmt: skip
_METHODS: Final = {"-g": ForwardingMethod.DR, "-i": ForwardingMethod.TUN, "-m": ForwardingMethod.NAT}
_PERSISTENT_S: Final = 360
FLAG_NAMES: Final = {
    "sh": ("sh-fallback", "sh-port", "flag-3"),
    "mh": ("mh-fallback", "mh-port", "flag-3"),
}
PLAIN_FLAGS: Final = ("flag-1", "flag-2", "flag-3")


class UsageError(Exception):
    """A command line that says nothing sensible; the text says what to do."""


class Words(msgspec.Struct, frozen=True):
    """A command line cut into its options."""

    command: str
    options: dict[str, str]
    times_s: tuple[int, ...] = ()
    """Of `--set`."""
    role: str = ""
    """Of `--start-daemon` and `--stop-daemon`: master or backup."""

    def __contains__(self, option: str) -> bool:
        return option in self.options


def cut(words: Sequence[str]) -> Words:
    """Read options in any order; short flags may stand together (`-Ln`). Raises UsageError."""
    waiting = [piece for word in words for piece in _apart(word)]
    command: str | None = None
    options: dict[str, str] = {}
    times_s: tuple[int, ...] = ()
    role = ""
    while waiting:
        word = waiting.pop(0)
        if word in _COMMANDS:
            if command is not None:
                raise UsageError(f"{command} and {word} are two commands; give one")
            command = word
            if word == "--set":
                times_s = tuple(number(item, "a timeout", 0, 2_678_400) for item in waiting[:3])
                del waiting[:3]
                if len(times_s) != 3:
                    raise UsageError("--set needs three timeouts in seconds: tcp tcpfin udp")
            elif word in {"--start-daemon", "--stop-daemon"}:
                role = waiting.pop(0) if waiting else ""
                if role not in ROLES:
                    raise UsageError(f"{word} needs a role: master or backup")
        elif word == "-p":
            options["-p"] = waiting.pop(0) if waiting and waiting[0].isdigit() else str(_PERSISTENT_S)
        elif word in _VALUES:
            if not waiting:
                raise UsageError(f"{word} needs a value")
            options[word] = waiting.pop(0)
        elif word in _FLAGS:
            options[word] = ""
        else:
            raise UsageError(f"unknown option {word}; the options are ipvsadm's (keepalivedctl ipvs --help)")
    return Words(command or "-L", options, times_s, role)


def daemon(words: Words) -> SyncDaemon:
    """The sync daemon that `--start-daemon` asks for; what is not given the kernel chooses. Raises UsageError."""
    options = words.options
    group = options.get("--mcast-group")
    if group is not None and not _is_multicast(group):
        raise UsageError(f"`{group[:60]}` is no multicast address")

    def given(option: str, what: str, most: int, least: int = 1) -> int | None:
        return number(options[option], what, least, most) if option in options else None

    return SyncDaemon(
        interface=options.get("--mcast-interface", ""),
        sync_id=given("--syncid", "a sync id", 255, 0),
        max_length=given("--sync-maxlen", "a length", 65535),
        port=given("--mcast-port", "a port", 65535),
        ttl=given("--mcast-ttl", "a TTL", 255),
        group=group,
    )


def _is_multicast(text: str) -> bool:
    try:
        return ip_address(text).is_multicast
    except ValueError:
        return False


def _apart(word: str) -> list[str]:
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return [_LONG.get(name, name), value] if equals else [_LONG.get(name, name)]
    if len(word) > 2 and word[0] == "-" and not word[1:].isdigit():
        return [_LONG.get(f"-{letter}", f"-{letter}") for letter in word[1:]]
    return [_LONG.get(word, word)]


def number(text: str, what: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise UsageError(f"`{text[:40]}` is not {what} from {least} to {most}")
    return int(text)


def service_key(words: Words) -> ServiceKey | None:
    """The service that the options name; None: none."""
    named = [option for option in (*_PROTOCOLS, "-f") if option in words]
    if not named:
        return None
    if len(named) > 1:
        raise UsageError(f"{named[0]} and {named[1]} name two services; give one")
    text = words.options[named[0]]
    if named[0] == "-f":
        family = Family.INET6 if "-6" in words else Family.INET
        return ServiceKey.for_mark(number(text, "a firewall mark", 1, 2**32 - 1), family)
    address, port = endpoint(text)
    return ServiceKey.for_address(_PROTOCOLS[named[0]], address, port, family_of(address))


def endpoint(text: str) -> tuple[str, int]:
    """ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; names are not looked up."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise UsageError(f"`{text[:60]}` is not [ADDRESS]:PORT")
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            address = socket.inet_ntop(family, socket.inet_pton(family, host))
        except (OSError, ValueError):
            continue
        return address, number(port, "a port", 0, 65535) if port else 0
    raise UsageError(f"`{text[:60]}` has no address; names are not looked up")


def operation(words: Words, present: Service | None) -> Operation:
    """The change that a command asks for. `present`: the service as the kernel has it, for -E."""
    key = service_key(words)
    if key is None:
        raise UsageError(f"{words.command} needs a service: -t, -u, --sctp-service or -f")
    match words.command:
        case "-A":
            return AddService(key, _service(words, Service(scheduler="wlc")))
        case "-E":
            return EditService(key, _service(words, present or Service(scheduler="wlc")))
        case "-D":
            return DeleteService(key)
    if "-r" not in words:
        raise UsageError(f"{words.command} needs a real server: -r ADDRESS:PORT")
    address, port = endpoint(words.options["-r"])
    given = ":" in words.options["-r"].rpartition("]")[2] or (family_of(address) is Family.INET6 and port)
    place = DestinationKey(address, port if given or not key.port else key.port)
    match words.command:
        case "-d":
            return DeleteDestination(key, place)
        case "-a":
            return AddDestination(key, place, _destination(words))
        case _:
            return EditDestination(key, place, _destination(words))


def _service(words: Words, base: Service) -> Service:
    scheduler = words.options.get("-s", base.scheduler)
    persistence_s = number(words.options["-p"], "a timeout", 1, 2_678_400) if "-p" in words else 0
    return Service(
        scheduler=scheduler,
        scheduler_flags=_scheduler_flags(scheduler, words.options["-b"]) if "-b" in words else 0,
        one_packet="-o" in words,
        persistence_timeout_s=persistence_s,
        persistence_prefix=_prefix(words.options["-M"]) if "-M" in words else None,
        persistence_engine=words.options.get("--pe"),
    )


def _scheduler_flags(scheduler: str, text: str) -> int:
    names = FLAG_NAMES.get(scheduler, PLAIN_FLAGS)
    flags = 0
    for name in text.split(","):
        for known in (names, PLAIN_FLAGS):
            if name in known:
                flags |= 1 << known.index(name)
                break
        else:
            raise UsageError(f"`{name[:40]}` is no flag of the scheduler {scheduler}; it knows {', '.join(names)}")
    return flags


def _prefix(text: str) -> int:
    if text.isdigit():
        return number(text, "a prefix length", 1, 128)
    try:
        bits = int.from_bytes(socket.inet_aton(text), "big")
    except OSError:
        bits = 0
    length = bits.bit_count()
    if not bits or bits != (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF:
        raise UsageError(f"`{text[:40]}` is no netmask")
    return length


def _destination(words: Words) -> Destination:
    method = next((method for option, method in _METHODS.items() if option in words), ForwardingMethod.DR)
    forwarding = Forwarding(method)
    if method is ForwardingMethod.TUN:
        kinds = {kind.value: kind for kind in TunnelType}
        kind = words.options.get("--tun-type", "ipip")
        if kind not in kinds:
            raise UsageError(f"`{kind[:40]}` is no tunnel type; there are {', '.join(kinds)}")
        checksum = next((name for name in ("csum", "remcsum") if f"--tun-{name}" in words), "nocsum")
        port = number(words.options.get("--tun-port", "0"), "a port", 0, 65535)
        forwarding = Forwarding(method, kinds[kind], port, checksum)
    return Destination(
        weight=number(words.options.get("-w", "1"), "a weight", 0, 65535),
        forwarding=forwarding,
        upper_threshold=number(words.options.get("-x", "0"), "a threshold", 0, 2**32 - 1),
        lower_threshold=number(words.options.get("-y", "0"), "a threshold", 0, 2**32 - 1),
    )
