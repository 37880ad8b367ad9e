"""`keepalivedctl events`: what happened to instances, servers, processes and the configuration, and what happens."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Final

import click

from pykeepalived.cli.ctl import common

#: Said by the columns in front already.
_SHOWN: Final = ("seq", "event", "at")


@click.command(name="events")
@click.option("--follow", "-f", is_flag=True, help="Go on, with a line for each event as it happens.")
@click.option("--since", type=click.IntRange(min=0), default=0, metavar="NUMBER", help="Only events after this number.")
@common.json_option
@common.socket_option
def command(follow: bool, since: int, as_json: bool, path: str | None) -> None:
    """What happened lately: number, time, event, and what belongs to it.

    The daemon keeps the last 1,000 events. Numbers have no gaps, so --since continues where a reader stopped. With
    --json and --follow each event is a line of JSON. The exit code of --follow is 1 when the daemon ends.
    """
    arguments = {"since": since, "follow": follow}
    if not follow:
        answer = common.ask(path, "events", arguments)
        if as_json:
            common.print_json(answer)
        else:
            _show(answer)
        return
    with contextlib.suppress(KeyboardInterrupt):
        for answer in common.stream(path, "events", arguments):
            if as_json:
                for event in answer.get("events", ()):
                    common.print_line(event)
            else:
                _show(answer)


def _show(answer: dict[str, Any]) -> None:
    if answer.get("lost"):
        click.echo(f"{answer['lost']} earlier events are not kept any more", err=True)
    for event in answer.get("events", ()):
        click.echo(line(event))


def line(event: dict[str, Any]) -> str:
    """`12  2026-08-01 12:00:03.250  vrrp-state  kind=INSTANCE name=VI_1 state=MASTER priority=100`."""
    at = float(event["at"])
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
    words = [f"{key}={_word(value)}" for key, value in event.items() if key not in _SHOWN]
    return f"{event['seq']:>5}  {clock}  {common.clean(event['event'])}  {' '.join(words)}".rstrip()


def _word(value: Any) -> str:
    text = common.clean(value)
    return f'"{text}"' if " " in text or not text else text


if __name__ == "__main__":
    command()
