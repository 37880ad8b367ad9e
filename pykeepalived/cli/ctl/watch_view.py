"""What `keepalivedctl watch` shows: lines of a fixed width from a status, sorted and filtered. Nothing here waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from pykeepalived.cli.ctl import common

KEYS: Final = "s sort  r turn  / filter  f faults only  q quit"
ORDERS: Final = ("file", "name", "state", "latency")
_COLOURS: Final = {
    "MASTER": "green", "FAULT": "red", "BACKUP": "yellow", "STANDBY": "cyan",
    "up": "green", "down": "red", "held": "yellow",
}  # fmt: skip
_WELL: Final = frozenset({"MASTER", "BACKUP", "up"})
_FILTER_LIMIT: Final = 80


class View:
    """What the keys chose."""

    def __init__(self, *, filter: str = "", order: str = "file") -> None:
        self.filter = filter
        self.order = order
        self.turned = False
        self.faults_only = False
        self.typing = False

    def press(self, key: str) -> bool:
        """Take a key; False: the end."""
        if self.typing:
            self._type(key)
        elif key in {"q", "\x04"}:
            return False
        elif key == "s":
            self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        elif key == "r":
            self.turned = not self.turned
        elif key == "f":
            self.faults_only = not self.faults_only
        elif key == "/":
            self.typing, self.filter = True, ""
        return True

    def _type(self, key: str) -> None:
        if key in {"\r", "\n"}:
            self.typing = False
        elif key == "\x1b":
            self.typing, self.filter = False, ""
        elif key in {"\x7f", "\b"}:
            self.filter = self.filter[:-1]
        elif key.isprintable():
            self.filter = (self.filter + key)[:_FILTER_LIMIT]

    def shows(self, *words: str, state: str) -> bool:
        text = " ".join((*words, state)).lower()
        return self.filter.lower() in text and not (self.faults_only and state in _WELL)


class _Row:
    def __init__(self, cells: tuple[str, ...], *, name: str, state: str, latency_us: int = -1) -> None:
        self.cells, self.name, self.state, self.latency_us = cells, name, state, latency_us


def render(status: dict[str, Any], view: View, *, columns: int, lines: int, now: float) -> Iterator[str]:
    """At most `lines` lines of at most `columns` columns each."""
    made = _all(status, view, columns, now)
    for number, line in enumerate(made):
        if number + 1 >= lines:
            yield "…"
            return
        yield line


def _all(status: dict[str, Any], view: View, columns: int, now: float) -> Iterator[str]:
    up = common.duration(now - float(status.get("started") or now))
    head = f"{status.get('program', 'no answer yet')} pid {status.get('pid', '-')} up {up}"
    yield _cut(f"{head}  sort: {view.order}{' turned' if view.turned else ''}"
               f"{f'  filter: {view.filter}' if view.filter else ''}{'  faults only' if view.faults_only else ''}",
               columns)  # fmt: skip
    vrrp, checker = status.get("vrrp") or {}, status.get("checker") or {}
    rows = [_instance(item, now) for item in vrrp.get("instances", ())]
    yield from _table(("INSTANCE", "STATE", "PRIO", "MASTER", "SINCE"), rows, view, columns)
    for service in checker.get("services", ()):
        rows = [_server(item) for item in service["servers"]]
        quorum = "quorum" if service["quorum"]["up"] else "NO QUORUM"
        title = f"{service['name']} {service['scheduler']} {quorum}"
        yield from _table((title, "STATE", "WEIGHT", "MS", "LAST"), rows, view, columns)


def _instance(item: dict[str, Any], now: float) -> _Row:
    since = common.duration(now - float(item["last_transition"])) if item.get("last_transition") else "-"
    master = "here" if item["state"] == "MASTER" else (item.get("master_address") or "-")
    cells = (item["name"], item["state"], str(item["effective_priority"]), master, since)
    return _Row(cells, name=item["name"], state=item["state"])


def _server(item: dict[str, Any]) -> _Row:
    state = "held" if item.get("holds") else "up" if item["alive"] else "down"
    checks = item.get("checks", ())
    shown = next((check for check in checks if not check.get("up")), checks[0] if checks else None)
    last = (shown or {}).get("last") or {}
    latency_us = int(last.get("latency_us") or -1)
    weight = "-" if item["table_weight"] is None else str(item["table_weight"])
    took = f"{latency_us / 1000:.1f}" if latency_us >= 0 else "-"
    text = last.get("text") or last.get("reason") or ("not checked" if not checks else "")
    return _Row((item["name"], state, weight, took, text), name=item["name"], state=state, latency_us=latency_us)


def _table(head: tuple[str, ...], rows: list[_Row], view: View, columns: int) -> Iterator[str]:
    shown = [row for row in rows if view.shows(*row.cells, state=row.state)]
    if not shown:
        return
    keys: dict[str, Callable[[_Row], Any]] = {
        "name": lambda row: row.name,
        "state": lambda row: (row.state in _WELL, row.state),
        "latency": lambda row: -row.latency_us,
    }
    if view.order in keys:
        shown.sort(key=keys[view.order])
    if view.turned:
        shown.reverse()
    yield ""
    widths = _widths(head, shown, columns)
    yield click.style(_line(head, widths), bold=True)
    for row in shown:
        line = _line(row.cells, widths)
        word = f" {row.state}"
        at = line.find(word, widths[0])
        colour = _COLOURS.get(row.state)
        if at >= 0 and colour:
            line = line[: at + 1] + click.style(row.state, fg=colour) + line[at + len(word) :]
        yield line


def _widths(head: tuple[str, ...], rows: list[_Row], columns: int) -> list[int]:
    """The middle columns get what they need, the first and the last share the rest."""
    middle = [max(len(head[at]), *(min(20, len(row.cells[at])) for row in rows)) for at in range(1, len(head) - 1)]
    room = columns - sum(middle) - 2 * (len(head) - 1)
    first = max(len(head[0]), *(len(row.cells[0]) for row in rows))
    last = max(len(head[-1]), *(len(row.cells[-1]) for row in rows))
    first = max(8, min(first, room - min(last, max(6, room // 3))))
    return [first, *middle, max(0, room - first)]


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    cut = [_cut(common.clean(cell), width).ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(cut).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"[:width]
