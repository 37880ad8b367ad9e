"""`keepalivedctl watch`: the status, live, on a terminal of at least 60 columns."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Any, Final

import click

from pykeepalived.cli.ctl import common
from pykeepalived.cli.ctl.status import ask_status
from pykeepalived.cli.ctl.watch_view import KEYS, View, render
from pykeepalived.runtime import control

_INPUT: Final = 64
_HOME: Final = "\x1b[H"
_END_OF_LINE: Final = "\x1b[K"
_BELOW: Final = "\x1b[J"
_ALTERNATE: Final = ("\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l")


@click.command(name="watch")
@click.option("--interval", type=click.FloatRange(0.2, 3600), default=1, show_default=True, metavar="SECONDS",
              help="How often the daemon is asked.")  # fmt: skip
@click.option("--once", is_flag=True, help="One picture, then the end; also without a terminal.")
@click.option("--filter", "wanted", default="", metavar="TEXT", help="Only what has TEXT in its name or state.")
@common.json_option
@common.socket_option
def command(interval: float, *, once: bool, wanted: str, as_json: bool, path: str | None) -> None:
    """Instances, virtual and real servers, live.

    Keys: s sorts (file order, name, state, latency), r turns the order, / filters, f shows only what is not well,
    q ends. With --json the status is a line of JSON at each interval.
    """
    path = path or common.choose_socket_or_end()
    view = View(filter=wanted)
    if as_json or once or not sys.stdout.isatty():
        _plain(path, view, interval, once=once, as_json=as_json)
        return
    with _terminal() as descriptor, contextlib.suppress(KeyboardInterrupt):
        _live(path, view, interval, descriptor)


def _plain(path: str, view: View, interval: float, *, once: bool, as_json: bool) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            try:
                status = ask_status(path)
            except (control.NotRunning, control.ControlError) as error:
                common.fail(error)
            if as_json:
                common.print_line(status)
            else:
                for line in render(status, view, columns=_columns(), lines=10_000, now=time.time()):
                    click.echo(line)
            if once:
                return
            time.sleep(interval)


def _columns() -> int:
    return max(60, shutil.get_terminal_size((80, 24)).columns)


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        sys.stdout.write(_ALTERNATE[0])
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        sys.stdout.write(_ALTERNATE[1])
        sys.stdout.flush()


def _live(path: str, view: View, interval: float, descriptor: int) -> None:
    status: dict[str, Any] = {}
    trouble = ""
    due = 0.0
    while True:
        if time.monotonic() >= due:
            try:
                status, trouble = ask_status(path), ""
            except (control.NotRunning, control.ControlError) as error:
                trouble = str(error)
            due = time.monotonic() + interval
        _draw(status, view, trouble)
        ready, _, _ = select.select([descriptor], [], [], max(0.0, due - time.monotonic()))
        if ready:
            for key in os.read(descriptor, _INPUT).decode("utf-8", "replace"):
                if not view.press(key):
                    return


def _draw(status: dict[str, Any], view: View, trouble: str) -> None:
    size = shutil.get_terminal_size((80, 24))
    lines = list(render(status, view, columns=max(60, size.columns), lines=size.lines - 1, now=time.time()))
    foot = trouble or (f"filter: {view.filter}_" if view.typing else KEYS)
    body = "".join(f"{line}{_END_OF_LINE}\r\n" for line in lines[: size.lines - 1])
    sys.stdout.write(f"{_HOME}{body}{_BELOW}\x1b[{size.lines};1H\x1b[7m{common.clean(foot)[: size.columns - 1]}\x1b[0m")
    sys.stdout.flush()


if __name__ == "__main__":
    command()
