"""`keepalivedctl status`: track files, tracked processes and BFD sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Table = Callable[[tuple[str, ...], Iterable[tuple[str, ...]]], Iterator[str]]


def tracker_tables(status: dict[str, Any], table: Table) -> Iterator[str]:
    """One table for each kind of tracker that there is, with an empty line in front."""
    vrrp = status.get("vrrp") or {}
    if vrrp.get("files"):
        yield ""
        rows = [(item["name"], str(item["value"]), item["path"]) for item in vrrp["files"]]
        yield from table(("TRACK FILE", "VALUE", "PATH"), rows)
    if vrrp.get("processes"):
        yield ""
        yield from table(("TRACK PROCESS", "STATE", "COUNT"), map(_process, vrrp["processes"]))
    bfd = status.get("bfd") or {}
    if "error" in bfd:
        yield f"BFD: {bfd['error']}"
    if bfd.get("sessions"):
        yield ""
        head = ("BFD SESSION", "STATE", "NEIGHBOR", "DETECT", "REMOTE", "LAST DIAGNOSTIC")
        yield from table(head, map(_session, bfd["sessions"]))


def _process(item: dict[str, Any]) -> tuple[str, ...]:
    waits = " (waiting)" if item.get("waiting") else ""
    return item["name"], ("up" if item["up"] else "down") + waits, str(item["count"])


def _session(item: dict[str, Any]) -> tuple[str, ...]:
    detect_us = item["detection_time_us"]
    return (
        item["name"],
        item["state"],
        item["neighbor"],
        f"{detect_us / 1000:g} ms" if detect_us else "-",
        item["remote_state"],
        item["diagnostic"],
    )
