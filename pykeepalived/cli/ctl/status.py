"""`keepalivedctl status`: what a running daemon does, as a table or as JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import click

from pykeepalived.cli.ctl import common
from pykeepalived.cli.ctl.status_trackers import tracker_tables
from pykeepalived.runtime import control

_WIDTH: Final = 80
_CERTAIN: Final = {"MASTER": "green", "FAULT": "red", "BACKUP": "yellow", "STANDBY": "cyan"}


@click.command(name="status")
@common.json_option
@click.option("--summary", is_flag=True, help="Virtual servers as counts alone.")
@common.socket_option
def command(as_json: bool, summary: bool, path: str | None) -> None:
    """Instances, virtual servers and real servers of a running daemon.

    Without --socket the daemon of this network namespace is asked. The exit code is 3 when no daemon runs, 2 when
    several do and none can be chosen, 1 when the daemon does not answer.
    """
    try:
        status = ask_status(path or common.choose_socket(), summary=summary)
    except (control.NotRunning, control.ControlError) as error:
        common.fail(error)
    if as_json:
        common.print_json(status)
        return
    for line in render(status, time.time()):
        click.echo(line)


def ask_status(path: str, *, summary: bool = False) -> dict[str, Any]:
    """The whole status: virtual servers come in pages. Raises NotRunning, ControlError."""
    if summary:
        return control.ask(path, "status", {"servers": 0})
    status = control.ask(path, "status")
    checker = status.get("checker") or {}
    following = checker.pop("next", None)
    while following is not None:
        page = control.ask(path, "status", {"first": following}).get("checker") or {}
        if "error" in page:
            raise control.ControlError(f"the checkers' status: {page['error']}")
        checker["services"] += page.get("services", [])
        # A reload may come between two pages; the numbers only grow, so this ends.
        after = page.get("next")
        following = after if after is not None and after > following else None
    return status


# ---- the table ----


def render(status: dict[str, Any], now: float) -> Iterator[str]:
    """The answer as lines of at most 80 columns (names and addresses that are longer are not cut)."""
    yield from _head(status, now)
    vrrp = status.get("vrrp") or {}
    if "error" in vrrp:
        yield f"VRRP: {vrrp['error']}"
    if vrrp.get("instances"):
        yield ""
        yield from _table(("INSTANCE", "STATE", "PRIO", "VRID", "INTERFACE", "MASTER", "SINCE"), _instances(vrrp, now))
        yield from _faults(vrrp["instances"])
    if vrrp.get("groups"):
        yield ""
        rows = [(group["name"], group["state"], " ".join(group["members"])) for group in vrrp["groups"]]
        yield from _table(("GROUP", "STATE", "MEMBERS"), rows)
    if vrrp.get("scripts"):
        yield ""
        yield from _table(("SCRIPT", "STATE", "RESULT", "RUNS"), _scripts(vrrp["scripts"]))
    yield from tracker_tables(status, _table)
    checker = status.get("checker") or {}
    if "error" in checker:
        yield f"Checkers: {checker['error']}"
    counts = checker.get("counts")
    if counts is not None and not checker.get("services") and counts["services"]:
        yield ""
        yield from _counts(counts)
    probes = checker.get("probes") or {}
    if probes.get("subscriptions"):
        yield ""
        yield (
            f"{probes['subscriptions']} checks ask {probes['questions']} questions: "
            f"{probes['probes_started']} were asked for {probes['answers_delivered']} answers"
        )
    for service in checker.get("services", ()):
        yield ""
        yield from _service(service)
    if status.get("findings"):
        yield ""
        yield f"{len(status['findings'])} finding(s) about the configuration; see: keepalived -t"


def _head(status: dict[str, Any], now: float) -> Iterator[str]:
    yield f"keepalived {status.get('keepalived_version', '')} (pykeepalived {status.get('version', '')})"
    up = common.duration(now - float(status.get("started") or now))
    yield f"pid {status.get('pid')}, up {up}, configuration {status.get('configuration')}"
    last = status.get("last_reload")
    if last is not None:
        ago = common.duration(now - float(last.get("at") or now))
        yield f"last reload {ago} ago: " + ("done" if last.get("ok") else "refused, the old configuration stays")
        for reason in last.get("reasons", ()):
            yield f"  {common.clean(reason)}"
    for process in status.get("processes", ()):
        if not process.get("ready"):
            waits = "waits for its restart" if process.get("waiting_for_restart") else "is starting"
            yield f"process {process['name']} {waits}"
        elif process.get("restarts"):
            yield f"process {process['name']} was restarted {process['restarts']} time(s)"


def _instances(vrrp: dict[str, Any], now: float) -> Iterator[tuple[str, ...]]:
    for item in vrrp["instances"]:
        since = common.duration(now - float(item["last_transition"])) if item.get("last_transition") else "-"
        master = "this machine" if item["state"] == "MASTER" else (item.get("master_address") or "-")
        priority = str(item["effective_priority"])
        if item["base_priority"] != item["effective_priority"]:
            priority += f"/{item['base_priority']}"
        yield (item["name"], item["state"], priority, str(item["vrid"]), item.get("interface") or "-", master, since)


def _faults(instances: Iterable[dict[str, Any]]) -> Iterator[str]:
    for item in instances:
        for fault in item.get("faults", ()):
            yield f"  {item['name']}: {common.clean(fault)}"


def _scripts(scripts: Iterable[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for item in scripts:
        result = "timed out" if item.get("timed_out") else str(item.get("last_status"))
        state = {True: "up", False: "down", None: "-"}[item.get("up")]
        yield (item["name"], state, "-" if result == "None" else result, str(item.get("runs", "-")))


def _counts(counts: dict[str, Any]) -> Iterator[str]:
    yield f"{counts['services']} virtual servers, {counts['services_without_quorum']} of them without quorum"
    yield f"{counts['servers']} real servers, {counts['servers_alive']} of them up"


def _service(service: dict[str, Any]) -> Iterator[str]:
    quorum = service["quorum"]
    words = [f"{service['name']} {service['scheduler']}"]
    words.append(
        "quorum " + ("held" if quorum["up"] else "lost") + f" (weight {quorum['weight']} of {quorum['quorum']})"
    )
    if not service.get("served", True):
        words.append("not in the kernel's table")
    yield "VIRTUAL SERVER " + ", ".join(words)
    rows = []
    for server in service["servers"]:
        state = "up" if server["alive"] else "down"
        if server.get("holds"):
            state = "held"
        table = "-" if server["table_weight"] is None else str(server["table_weight"])
        rows.append((server["name"], state, table, server["forwarding"], _last_result(server)))
    sorry = service.get("sorry_server")
    if sorry is not None:
        serves = "serves" if sorry["serves"] else "waits"
        rows.append((sorry["name"], serves, str(sorry["weight"]) if sorry["serves"] else "-", "", "sorry server"))
    yield from _table(
        ("  REAL SERVER", "STATE", "WEIGHT", "METHOD", "LAST RESULT"), [("  " + r[0], *r[1:]) for r in rows]
    )


def _last_result(server: dict[str, Any]) -> str:
    """What the check that failed said last, else the first one; further checks of the server are counted."""
    checks = server.get("checks", ())
    if not checks:
        return "no check"
    shown = next((check for check in checks if not check.get("up")), checks[0])
    last = shown.get("last")
    text = last["text"] or last["reason"] if last else "not checked yet"
    more = f" (+{len(checks) - 1})" if len(checks) > 1 else ""
    took = f" {last['latency_us'] / 1000:.1f} ms" if last and last.get("latency_us") else ""
    return f"{shown['check']}:{took} {text}{more}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as their widest cell; the last one is cut where the line would pass 80 columns."""
    cells = [head, *(tuple(common.clean(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for number, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False))
        room = max(8, _WIDTH - len(line) - 2)
        last = row[-1] if len(row[-1]) <= room else row[-1][: room - 1] + "…"
        line = f"{line}  {last}".rstrip()
        yield click.style(line, bold=True) if number == 0 else _paint(line, row)


def _paint(line: str, row: tuple[str, ...]) -> str:
    word = row[1]
    colour = _CERTAIN.get(word) or {"up": "green", "down": "red", "held": "yellow"}.get(word)
    return line.replace(f"  {word}", "  " + click.style(word, fg=colour), 1) if colour else line
