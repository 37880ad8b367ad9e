"""`pygenhash`, also started as `genhash`: the MD5 digest of a web page, for `digest` in HTTP_GET and SSL_GET.

Request and body are read by the same code as HTTP_GET's, so the digest is the one that the checker accepts. Options,
texts and exit codes are genhash's (keepalived-behaviour 12): only wrong options give exit 1; a server that cannot be
asked is a line on standard output and exit 0.
"""

from __future__ import annotations

import getopt
import hashlib
import ipaddress
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import click
import msgspec

from pykeepalived.checkers.conversation import (
    Command,
    Connect,
    Conversation,
    ConversationError,
    FailureKind,
    Note,
    Outcome,
    Reply,
    Send,
    StartTls,
)
from pykeepalived.checkers.http import Judgement, read_body, request, server_name
from pykeepalived.checkers.http_message import Head, announced_length, receive_head
from pykeepalived.model.checks import HttpCheck, HttpUrl, SocketOptions
from pykeepalived.model.common import Script
from pykeepalived.netio.connectors import Connectors
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Reactor
from pykeepalived.units import SECOND_US

USAGE: Final = """\
Usage: {name} COMMAND [OPTIONS]
Commands:
   -s server-address -p port -u url
   -S -s server-address -p port -u url
   -h

Options:
Either long or short options are allowed.
   --use-ssl         -S       Use SSL connection to remote server.
   --use-sni         -I       Use SNI during SSL handshake (uses virtualhost setting; see -V).
   --server          -s       Use the specified remote server address.
   --port            -p       Use the specified remote server port.
   --url             -u       Use the specified remote server url.
   --use-virtualhost -V       Use the specified virtualhost in GET query.
   --verbose         -v       Use verbose mode output.
   --help            -h       Display this short inlined help screen.
   --fwmark          -m       Use the specified FW mark.
   --protocol        -P       Use the specified HTTP protocol - '1.0', 1.0c', '1.1'.
                                1.0c means 1.0 with 'Connection: close'
   --timeout         -t       Timeout in seconds
"""
_SHORT: Final = "Is:p:u:SV:vhm:P:t:"
LONG_OPTIONS: Final = {
    "use-sni": "-I",
    "server=": "-s",
    "port=": "-p",
    "url=": "-u",
    "use-ssl": "-S",
    "use-virtualhost=": "-V",
    "verbose": "-v",
    "help": "-h",
    "fwmark=": "-m",
    "protocol=": "-P",
    "timeout=": "-t",
}
_PROTOCOLS: Final = {"1.0": "1.0", "1.0c": "1.0C", "1.0C": "1.0C", "1.1": "1.1"}
#: Without -t genhash 2.2.7 still waited for a silent server after 90 s; ours gives up in the end.
DEFAULT_TIMEOUT_US: Final = 300 * SECOND_US
#: The original reads with a buffer of this size, which shows in the verbose dump.
_PIECE: Final = 4095
_DUMP_WIDTH: Final = 16


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask."""

    check: HttpCheck
    verbose: bool


class _Command(click.Command):
    """Leaves the words alone: getopt_long's abbreviations and bundles are read by `read_arguments`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["words"] = tuple(args)
        return []


@click.command(cls=_Command, add_help_option=False)
def main(words: tuple[str, ...]) -> None:
    """Print the MD5 digest of a web page."""
    arguments = read_arguments(words)
    output = sys.stdout.buffer
    try:
        run(arguments, output)
        output.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing is left to flush at exit.
        sys.stdout = None
    except KeyboardInterrupt:
        sys.exit(130)


# ---- options ----


def read_arguments(words: tuple[str, ...]) -> Arguments:
    """Read the command line; ends the program with usage and exit 1 where the original does."""
    if len(words) < 2:
        _usage()
    try:
        pairs, rest = getopt.gnu_getopt(list(words), _SHORT, list(LONG_OPTIONS))
    except getopt.GetoptError as error:
        _usage(_option_error(error, words))
    values: dict[str, str] = {}
    short_of = {f"--{name.removesuffix('=')}": short for name, short in LONG_OPTIONS.items()}
    for option, value in pairs:
        short = short_of.get(option, option)
        if short == "-h":
            _usage()
        values[short] = value
        _check_value(short, value)
    if rest:
        _usage(f"Unexpected argument(s): {' '.join(rest)}")
    if not {"-s", "-p", "-u"} <= values.keys():
        _usage()
    return _arguments(values)


def _option_error(error: getopt.GetoptError, words: tuple[str, ...]) -> str:
    name = f"-{error.opt}" if len(error.opt) == 1 else f"--{error.opt}"
    if "requires argument" in error.msg:
        return f"Missing parameter for option {name}"
    whole = next((word for word in words if word.partition("=")[0] == name), name)
    return f"Unknown option {whole}"


def _check_value(short: str, value: str) -> None:
    match short:
        case "-s" if not _is_address(value):
            _usage(f"server should be an IP, not {value}")
        case "-p" if not 1 <= (_number(value) or 0) <= 65535:
            _usage(f"invalid port number '{value}'")
        case "-m" if _number(value) is None:
            _usage(f"invalid fwmark '{value}'")
        case "-t" if _number(value) is None:
            _usage(f"invalid timeout '{value}'")
        case "-P" if value not in _PROTOCOLS:
            _usage(f"invalid HTTP protocol version '{value}'")
        case _:
            pass


def _arguments(values: dict[str, str]) -> Arguments:
    timeout = _number(values["-t"]) if "-t" in values else None
    options = SocketOptions(
        address=str(ipaddress.ip_address(values["-s"])),
        port=_number(values["-p"]) or 0,
        timeout_us=DEFAULT_TIMEOUT_US if timeout is None else min(timeout, 1 << 31) * SECOND_US,
        fwmark=(_number(values.get("-m", "0")) or 0) & 0xFFFFFFFF,
    )
    check = HttpCheck(
        socket=options,
        urls=(HttpUrl(path=values["-u"]),),
        tls="-S" in values,
        virtualhost=values.get("-V"),
        protocol=_PROTOCOLS[values.get("-P", "1.0")],
        enable_sni="-I" in values,
    )
    return Arguments(check=check, verbose="-v" in values)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _number(text: str) -> int | None:
    """A decimal number the way strtoul reads it, without a sign that is a minus; None when it is none."""
    digits = text.lstrip(" \t\n\v\f\r").removeprefix("+")
    return int(digits[:32]) if digits.isascii() and digits.isdigit() else None


def _usage(message: str | None = None) -> NoReturn:
    if message is not None:
        print(message, file=sys.stderr)
    print(USAGE.format(name=Path(sys.argv[0]).name), end="", file=sys.stderr)
    sys.exit(1)


# ---- the page ----


class _Page:
    """Hashes the body, and in verbose mode shows everything on its way."""

    def __init__(self, output: BinaryIO, verbose: bool) -> None:
        self._output = output
        self._verbose = verbose
        self._body_begun = False
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.received = False

    def reading_head(self) -> None:
        """A piece has come; the original shows its heading for each until the blank line is there."""
        if self._verbose:
            self._show(b"-----------------------[    HTTP Header Buffer    ]-----------------------\n")

    def head(self, raw: bytes) -> None:
        self.received = True
        if self._verbose:
            self._show(dump(raw))
            self._show(b"-----------------------[ HTTP Header Ascii Buffer ]-----------------------\n" + raw + b"\n")

    def take(self, data: bytes) -> Judgement:
        self._md5.update(data)
        if self._verbose and data:
            if not self._body_begun:
                self._show(b"-----------------------[        HTML Buffer        ]-----------------------\n")
                self._body_begun = True
            self._show(dump(data))
        yield from ()
        return None

    def end(self) -> None:
        """The digest, and around it what verbose mode says."""
        if self._verbose:
            self._show(b"\n-----------------------[    HTML hash resulting    ]-----------------------\n")
            self._show(dump(self._md5.digest()))
            self._show(b"-----------------------[ HTML hash final resulting ]-----------------------\n")
        if self.received:
            self._show(self._md5.hexdigest().encode() + b"\n")

    def _show(self, data: bytes) -> None:
        self._output.write(data)


def dump(data: bytes) -> bytes:
    """A hexadecimal dump, sixteen bytes a line with decimal offsets."""
    lines = []
    for offset in range(0, len(data), _DUMP_WIDTH):
        row = data[offset : offset + _DUMP_WIDTH]
        cells = " ".join(f"{byte:02x}" for byte in row[:8])
        if len(row) > 8:
            cells += " - " + " ".join(f"{byte:02x}" for byte in row[8:])
        else:
            cells = f"{cells:<23} -"
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset:04d}  {cells:<49}   {text:<16}\n")
    return "".join(lines).encode("ascii")


def run(arguments: Arguments, output: BinaryIO) -> None:
    """Fetch the page and write what genhash writes."""
    page = _Page(output, arguments.verbose)
    reactor = Reactor()
    connectors = Connectors(reactor, _NoScripts(), _ignore)
    outcomes: list[Outcome] = []
    started_us = reactor.now_us()
    connectors.perform(_hash(arguments.check, page), arguments.check.socket.timeout_us, outcomes.append)
    while not outcomes:
        reactor.turn()
    elapsed_us = reactor.now_us() - started_us
    connectors.close()
    reactor.close()
    if outcomes[0].ok:
        page.end()
        output.flush()
        if not page.received:
            print("no data received from remote webserver", file=sys.stderr)
    else:
        output.write(outcomes[0].text.encode() + b"\n")
    if arguments.verbose:
        path = arguments.check.urls[0].path.encode("utf-8", "surrogateescape")
        output.write(b"\nGlobal response time for [%b] = %d usecs\n" % (path, elapsed_us))


def _hash(check: HttpCheck, page: _Page) -> Conversation:
    """HTTP_GET's conversation for one url, up to the verdict."""
    url = check.urls[0]
    step = "Connection failed"
    try:
        yield Connect(options=check.socket)
        if check.tls:
            step = "SSL handshake/communication error connecting to"
            yield StartTls(server_name=server_name(check, url))
        step = "Read error with server"
        yield Send(request(check, url))
        head = yield from _watched(receive_head(piece=_PIECE), page.reading_head)
        if head is not None:
            page.head(head.raw)
            yield from read_body(head.rest, announced_length(head), page.take, piece=_PIECE)
    except ConversationError as error:
        if error.kind is FailureKind.TIMEOUT:
            step = "Timeout WEB read" if step.startswith("Read") else "Timeout connecting"
        return Outcome(False, step)
    return Outcome(True, "")


def _watched(
    reading: Generator[Command, Reply, Head | None], seen: Callable[[], None]
) -> Generator[Command, Reply, Head | None]:
    """Read a head and report each piece of it."""
    reply: Reply = None
    while True:
        try:
            command = reading.send(reply)
        except StopIteration as stop:
            head: Head | None = stop.value
            return head
        reply = yield command
        if reply:
            seen()


class _NoScripts:
    """Nobody runs a script here."""

    def run(
        self, script: Script, *, timeout_us: int | None, done: Callable[[RunResult], Any], queue: str | None = None
    ) -> None:
        done(RunResult(127))


def _ignore(note: Note) -> None:
    return
