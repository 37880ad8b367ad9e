"""`keepalivedctl ipvs`: ipvsadm's commands, without ipvsadm."""

from __future__ import annotations

import errno
import shlex
import sys
from pathlib import Path
from typing import Final

import click

from pykeepalived.dataplane import DataplaneUnavailable
from pykeepalived.dataplane.ipvs import IpvsDataplane
from pykeepalived.dataplane.libnftables import Runner, quiet_runner
from pykeepalived.dataplane.nft_listing import NftablesListing
from pykeepalived.dataplane.nft_names import TABLE
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
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> None:
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
    try:
        asked = cut(words)
        if (listing := _nftables(asked)) is not None:
            _look(listing, asked)
            return
        dataplane = IpvsDataplane()
    except UsageError as error:
        _fail(str(error), 2)
    except (DataplaneUnavailable, OSError) as error:
        _fail(getattr(error, "strerror", None) or str(error), 1)
    try:
        _carry_out(dataplane, asked)
    except UsageError as error:
        _fail(str(error), 2)
    except OSError as error:
        _fail(error.strerror or str(error), 1)
    finally:
        dataplane.close()


def _carry_out(dataplane: IpvsDataplane, asked: Words) -> None:
    match asked.command:
        case "-L":
            _list(dataplane, asked)
        case "-S":
            for line in show.saved(show.in_order(dataplane.listing()), asked):
                click.echo(line)
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


def _list(dataplane: IpvsDataplane, asked: Words) -> None:
    if "-c" in asked:
        with _CONNECTIONS.open(encoding="ascii", errors="replace") as file:
            next(file, None)
            for line in show.connections(show.ipvs_connections(file), engines="--persistent-conn" in asked):
                click.echo(line)
        return
    if "--timeout" in asked:
        click.echo("Timeout (tcp tcpfin udp): {} {} {}".format(*dataplane.timeouts()))
        return
    if "--daemon" in asked:
        for item in dataplane.daemons():
            click.echo(show.daemon(item))
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
    for line in show.table(ordered, asked, head):
        click.echo(line)


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


def _look(listing: NftablesListing, asked: Words) -> None:
    key = service_key(asked)
    match asked.command:
        case "-L" if "-c" in asked:
            lines = show.connections(listing.connections())
        case "-L" if "--timeout" in asked or "--daemon" in asked:
            raise OSError(errno.EOPNOTSUPP, "timeouts and connection synchronisation are IPVS's; nftables has neither")
        case "-L":
            services = listing.listing(key, rates_over_s=_RATES_S if "--rate" in asked else 0.0)
            if key is not None and not services:
                raise OSError(errno.ESRCH, "no such service")
            ordered = services if "--nosort" in asked else show.in_order(services)
            lines = show.table(ordered, asked, "" if key is not None else _NFTABLES_HEAD)
        case "-S":
            lines = show.saved(show.in_order(listing.listing()), asked)
        case "-Z":
            listing.zero(key)
            return
        case other:
            raise OSError(errno.EOPNOTSUPP, f"{other}: the nftables table is changed by the configuration alone")
    for line in lines:
        click.echo(line)


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
