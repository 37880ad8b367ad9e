"""Scripts that somebody else may change, or that cannot run."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from pykeepalived.model.common import Script
from pykeepalived.model.config import Config
from pykeepalived.tools.doctor.ailment import Ailment, fault, risk
from pykeepalived.tools.doctor.machine import Machine


def examine(machine: Machine, config: Config) -> Iterator[Ailment]:
    for path in sorted({script.argv[0] for script in all_scripts(config) if script.argv}):
        if not path.startswith("/"):
            continue
        way = machine.way_to(path)
        if not way or way[-1].path != path:
            yield fault("script-missing", f"the script {path} is not there", f"ls -l {path}")
            continue
        for place in way:
            sticky = bool(place.mode & stat.S_ISVTX) and place.path != path
            if place.mode & stat.S_IWOTH and not sticky:
                where = (
                    f"the script {path}" if place.path == path else f"{place.path}, which leads to the script {path},"
                )
                text = f"{where} is writable for everybody: every user can make the daemon run commands"
                yield fault("script-world-writable", text, f"chmod o-w {place.path}")
            elif place.mode & stat.S_IWGRP and place.gid and not sticky:
                text = f"{place.path} is writable for the group {place.gid}, and the script {path} runs from there"
                yield risk("script-group-writable", text, f"chmod g-w {place.path}")
            elif place.uid:
                text = f"{place.path} belongs to user {place.uid}, who can change what the script {path} does"
                yield risk("script-owner", text, f"chown root {place.path}")
        if not way[-1].mode & 0o111:
            yield fault("script-not-executable", f"the script {path} is not executable", f"chmod +x {path}")


def all_scripts(config: Config) -> Iterator[Script]:
    """Everything that the daemon would start."""
    found: list[Script | None] = [config.globals.startup_script, config.globals.shutdown_script]
    found += [item.script for item in config.scripts]
    for instance in config.instances:
        found += [
            instance.notify, instance.notify_master, instance.notify_backup, instance.notify_fault,
            instance.notify_stop, instance.notify_deleted, instance.notify_master_rx_lower_pri,
        ]  # fmt: skip
    for group in config.sync_groups:
        found += [getattr(group, name, None) for name in ("notify", "notify_master", "notify_backup", "notify_fault")]
    for service in config.virtual_servers:
        found += [service.quorum_up, service.quorum_down]
        for server in service.real_servers:
            found += [server.notify_up, server.notify_down]
            found += [getattr(spec.question, "script", None) for spec in server.checkers]
    yield from (item for item in found if isinstance(item, Script))
