"""`keepalivedctl ipvs`: ipvsadm's commands, without ipvsadm."""

from __future__ import annotations

import errno
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from pykeepalived.cli.ctl.common import print_json
from pykeepalived.dataplane import DataplaneUnavailable
from pykeepalived.dataplane.ipvs import IpvsDataplane
from pykeepalived.dataplane.libnftables import Runner, quiet_runner
from pykeepalived.dataplane.nft_listing import NftablesListing
from pykeepalived.dataplane.nft_names import TABLE
from pykeepalived.tools.ipvs import as_json as structured
from pykeepalived.tools.ipvs import show
from pykeepalived.tools.ipvs.words import ROLES, UsageError, Words, cut, daemon, operation, service_key

_HEAD: Final = Path("/proc/net/ip_vs")
_CONNECTIONS: Final = Path("/proc/net/ip_vs_conn")
#: A file of rules is read up to here; 10,000 servers need 1 MB.
_RULES_BYTES: Final = 64 << 20
_RULES_AT_ONCE: Final = 1024
_RATES_S: Final = 1.0
_NFTABLES_HEAD: Final = f"Virtual services of nftables (table {TABLE})"


@click.command(
    name="ipvs",
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
)
@click.option("--json", "as_json", is_flag=True, help="Listings as JSON; before or after the other words.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...], as_json: bool) -> None:
    """Look at the kernel's table of virtual services and change it, with the options and the output of ipvsadm(8).

    \b
    -L [-n] [-t|-u|-f SERVICE]    list; with --stats, --rate, --thresholds, --persistent-conn, --tun-info, --exact
    -L -c [--persistent-conn]     list connections; with what persistence engines remember
    -L --timeout, -L --daemon     timeouts; connection synchronisation
    -S [-n]                       save: lines that -R reads
    -R                            restore from standard input
    -A|-E -t|-u|-f SERVICE [-s SCHEDULER] [-b FLAGS] [-p [SECONDS]] [-M NETMASK] [--pe NAME] [-o]
    -D -t|-u|-f SERVICE           delete a service
    -a|-e -t|-u|-f SERVICE -r SERVER [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER] [--tun-type …]
    -d -t|-u|-f SERVICE -r SERVER
    -C, -Z [-t|-u|-f SERVICE]     delete everything; zero the counters
    --set TCP TCPFIN UDP          timeouts in seconds
    --start-daemon master|backup  connection synchronisation; --mcast-interface, --syncid, --sync-maxlen, --mcast-group,
                                  --mcast-port, --mcast-ttl
    --stop-daemon master|backup

    Addresses are numbers, with -n and without. What a running daemon holds, it puts back within a minute.

    Where nftables balances (our table is there), -L, -S and -Z are about that table; it is changed by the configuration
    alone. --rate then counts for a second. --dataplane ipvs|nftables chooses.
    """
    say = _Say(as_json=as_json or "--json" in words)
    try:
        asked = cut([word for word in words if word != "--json"])
        if (listing := _nftables(asked)) is not None:
            _look(listing, asked, say)
            say.done()
            return
        dataplane = IpvsDataplane()
    except UsageError as error:
        _fail(str(error), 2)
    except (DataplaneUnavailable, OSError) as error:
        _fail(getattr(error, "strerror", None) or str(error), 1)
    try:
        _carry_out(dataplane, asked, say)
        say.done()
    except UsageError as error:
        _fail(str(error), 2)
    except OSError as error:
        _fail(error.strerror or str(error), 1)
    finally:
        dataplane.close()


class _Say:
    """Prints what a command has found: lines for people, or one JSON object."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._told = False

    def __call__(self, key: str, facts: Callable[[], Any], lines: Callable[[], Iterable[str]]) -> None:
        self._told = True
        if self.as_json:
            print_json({key: facts()})
            return
        for line in lines():
            click.echo(line)

    def done(self) -> None:
        """A command with nothing to show has done what it was told."""
        if self.as_json and not self._told:
            print_json({"done": True})


def _carry_out(dataplane: IpvsDataplane, asked: Words, say: _Say) -> None:
    match asked.command:
        case "-L":
            _list(dataplane, asked, say)
        case "-S":
            lines = list(show.saved(show.in_order(dataplane.listing()), asked))
            say("rules", lambda: lines, lambda: lines)
        case "-R":
            _restore(dataplane)
        case "-C":
            dataplane.flush()
        case "-Z":
            dataplane.zero(service_key(asked))
        case "--set":
            dataplane.set_timeouts(*asked.times_s)
        case "--start-daemon":
            dataplane.start_daemon(daemon(asked), master=ROLES[asked.role])
        case "--stop-daemon":
            dataplane.stop_daemon(master=ROLES[asked.role])
        case _:
            _change(dataplane, [asked])


def _list(dataplane: IpvsDataplane, asked: Words, say: _Say) -> None:
    if "-c" in asked:
        engines = "--persistent-conn" in asked
        with _CONNECTIONS.open(encoding="ascii", errors="replace") as file:
            next(file, None)
            found = show.ipvs_connections(file)
            say("connections", lambda: structured.connections(found), lambda: show.connections(found, engines=engines))
        return
    if "--timeout" in asked:
        times_s = dataplane.timeouts()
        named = dict(zip(("tcp_s", "tcpfin_s", "udp_s"), times_s, strict=True))
        say("timeouts", lambda: named, lambda: ["Timeout (tcp tcpfin udp): {} {} {}".format(*times_s)])
        return
    if "--daemon" in asked:
        daemons = dataplane.daemons()
        say("daemons", lambda: msgspec.to_builtins(daemons), lambda: map(show.daemon, daemons))
        return
    key = service_key(asked)
    services = dataplane.listing(key)
    if key is not None and not services:
        raise OSError(errno.ESRCH, "no such service")
    head = ""
    if key is None:
        with _HEAD.open(encoding="ascii", errors="replace") as file:
            head = file.readline().rstrip("\n")
    ordered = services if "--nosort" in asked else show.in_order(services)
    say("services", lambda: structured.services(ordered), lambda: show.table(ordered, asked, head))


# ---- nftables ----


def _nftables(asked: Words) -> NftablesListing | None:
    """nftables where it is asked for, or where our table stands; None: IPVS. Raises OSError when it is missing."""
    wish = asked.options.get("--dataplane")
    if wish not in {None, "ipvs", "nftables"}:
        raise UsageError("--dataplane is ipvs or nftables")
    runner: Runner | None = None if wish == "ipvs" else quiet_runner()
    if runner is None:
        return None
    listing = NftablesListing(runner)
    if listing.exists():
        return listing
    if wish == "nftables":
        raise OSError(errno.ENOENT, f"no nftables table {TABLE} in this network namespace: no daemon balances with it")
    runner.close()
    return None


def _look(listing: NftablesListing, asked: Words, say: _Say) -> None:
    key = service_key(asked)
    match asked.command:
        case "-L" if "-c" in asked:
            found = listing.connections()
            say("connections", lambda: structured.connections(found), lambda: show.connections(found))
        case "-L" if "--timeout" in asked or "--daemon" in asked:
            raise OSError(errno.EOPNOTSUPP, "timeouts and connection synchronisation are IPVS's; nftables has neither")
        case "-L":
            services = listing.listing(key, rates_over_s=_RATES_S if "--rate" in asked else 0.0)
            if key is not None and not services:
                raise OSError(errno.ESRCH, "no such service")
            ordered = services if "--nosort" in asked else show.in_order(services)
            head = "" if key is not None else _NFTABLES_HEAD
            say("services", lambda: structured.services(ordered), lambda: show.table(ordered, asked, head))
        case "-S":
            lines = list(show.saved(show.in_order(listing.listing()), asked))
            say("rules", lambda: lines, lambda: lines)
        case "-Z":
            listing.zero(key)
        case other:
            raise OSError(errno.EOPNOTSUPP, f"{other}: the nftables table is changed by the configuration alone")


# ---- IPVS ----


def _restore(dataplane: IpvsDataplane) -> None:
    text = sys.stdin.read(_RULES_BYTES + 1)
    if len(text) > _RULES_BYTES:
        raise UsageError("more than 64 MB of rules")
    waiting: list[Words] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            asked = cut(shlex.split(line))
            if asked.command not in {"-A", "-E", "-D", "-a", "-e", "-d"}:
                raise UsageError(f"{asked.command} is no rule")
            waiting.append(asked)
        except (UsageError, ValueError) as error:
            raise UsageError(f"line {number}: {error}") from None
    for start in range(0, len(waiting), _RULES_AT_ONCE):
        _change(dataplane, waiting[start : start + _RULES_AT_ONCE])


def _change(dataplane: IpvsDataplane, asked: list[Words]) -> None:
    operations = []
    for words in asked:
        present = None
        if words.command == "-E" and "-s" not in words and (key := service_key(words)) is not None:
            present = next((item.service for item in dataplane.listing(key)), None)
        operations.append(operation(words, present))
    failures = dataplane.apply(operations)
    if failures:
        first = failures[0]
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise OSError(errno.EINVAL, f"{first.text} [{first.name}]{more}")


def _fail(text: str, code: int) -> None:
    click.echo(f"keepalivedctl ipvs: {text}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    command()
