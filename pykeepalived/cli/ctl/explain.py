"""`keepalivedctl explain`: why an instance is MASTER or not, why a real server is up or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from pykeepalived.cli.ctl import common
from pykeepalived.cli.ctl.names import INSTANCE


@click.command(name="explain")
@click.argument("name", type=INSTANCE)
@click.argument("server", required=False, default="")
@common.json_option
@common.socket_option
def command(name: str, server: str, as_json: bool, path: str | None) -> None:
    """Why NAME is in its state. NAME is a VRRP instance, a sync group, a virtual server or a real server.

    With SERVER only that real server of the virtual server NAME. The first sentence decides; below it the sums and
    the facts. The exit code is 1 when there is no such thing.
    """
    answer = common.ask(path, "explain", {"name": name, "server": server})
    if as_json:
        common.print_json(answer)
        return
    blocks = [*map(instance_lines, answer.get("instances", ())), *map(server_lines, answer.get("servers", ()))]
    for number, lines in enumerate(blocks):
        if number:
            click.echo()
        for text in lines:
            click.echo(common.clean(text))


def instance_lines(item: dict[str, Any]) -> Iterator[str]:
    yield f"{item['name']}: {item['state']} for {common.duration(item['since_us'] / 1e6)}"
    for sentence in item["why"]:
        yield f"  {sentence}"
    priority = item["priority"]
    parts = [str(priority["base"])] + [
        f"{part['adds']:+d} ({part['what']})" for part in item["trackers"] if part["adds"]
    ]
    yield f"  priority {priority['effective']} = {' '.join(parts)}"
    for part in item["trackers"]:
        state = {True: "up", False: "down", None: "-"}[part["up"]]
        effect = "FAULT" if part["fault"] else f"{part['adds']:+d}" if part["weight"] else "no fault"
        reverse = " reverse" if part["reverse"] else ""
        yield f"  tracks {part['what']}: {state}, weight {part['weight']}{reverse}: {effect}"
    for script in item["waits_for"]:
        yield f"  waits for the first result of script {script}"
    group = item.get("group")
    if group:
        members = ", ".join(f"{mate['name']} {mate['state']}" for mate in group["members"])
        yield f"  sync group {group['name']} {group['state']}: {members}"
    for heard in item["heard"]:
        yield (
            f"  heard {heard['source']} with priority {heard['priority']} {_ago(heard['age_us'])}, "
            f"interval {heard['interval_us'] / 1e6:g} s, {heard['count']} adverts"
        )
    for refused in item["refused"]:
        yield f"  refused {refused['reason']} from {refused['source']} {_ago(refused['age_us'])}: {refused['detail']}"
    timer = item.get("timer")
    if timer:
        yield f"  {timer['what']} in {max(0, timer['in_us']) / 1e6:.3f} s"
    if item.get("standby_until"):
        yield f"  resumes by itself at {common.clock(item['standby_until'])}"


def server_lines(item: dict[str, Any]) -> Iterator[str]:
    state = "up" if item["alive"] else "down"
    yield f"{item['name']} of {item['service']}: {state}, weight {item['weight']}"
    for sentence in item["why"]:
        yield f"  {sentence}"
    for check in item["checks"]:
        last = check.get("last") or {}
        words = [f"{check['check']}: {'up' if check['up'] else 'down'}"]
        if last:
            text = last.get("text") or last.get("reason") or "well"
            words.append(f"last {text} ({last.get('latency_us', 0) / 1000:.1f} ms)")
        if check["up"]:
            words.append(f"{check['retries_left']} failures left")
        else:
            words.append(f"{check['rise_left']} successes to go")
        if check.get("next_in_us") is not None:
            words.append(f"next in {check['next_in_us'] / 1e6:.1f} s")
        if check.get("suspended"):
            words.append("suspended")
        yield "  " + ", ".join(words)


def _ago(age_us: int) -> str:
    return f"{age_us / 1e6:.1f} s ago"


if __name__ == "__main__":
    command()
