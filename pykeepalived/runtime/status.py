"""What the supervisor tells about itself and its children, for the control socket.

The shape of `status`: the daemon's identity, one entry for each process, and under `vrrp` and `checker` what
`Program.status` of that child said (`{"error": …}` when it did not answer in time). Virtual servers come in pages: the
arguments are `StatusPart`'s, and `checker.next` is the `first` of the next page.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pykeepalived import KEEPALIVED_VERSION, __version__
from pykeepalived.diagnostics.render import short
from pykeepalived.reactor import monotonic_us
from pykeepalived.runtime.control import Request
from pykeepalived.runtime.program import StatusPart
from pykeepalived.runtime.reload import Loaded
from pykeepalived.runtime.slot import ChildSlot

#: What a checker process carries out itself.
DRAIN_COMMANDS: Final = frozenset({"drain", "undrain", "drains"})


class Report:
    """Facts that the supervisor notes down while it lives, and the answers that are made from them."""

    def __init__(self, *, pid_file: str, pattern: str) -> None:
        self._pid_file = pid_file
        self._pattern = pattern
        self._started = time.time()
        self.generation = 1
        self.last_reload: dict[str, Any] | None = None
        self.events: list[dict[str, Any]] = []

    def answer(
        self,
        request: Request,
        loaded: Loaded,
        slots: list[ChildSlot],
        *,
        reply: Callable[[dict[str, Any]], None],
        refuse: Callable[[str], None],
    ) -> None:
        """Answer one command of the control socket, now or when the children have answered."""
        command = request.command
        if command == "identity":
            reply(self._identity(loaded))
        elif command == "events":
            reply({"events": self.events})
        elif command == "status":
            try:
                part = status_part(request)
            except msgspec.ValidationError as error:
                refuse(f"status: {error}")
            else:
                self._collect(loaded, slots, part, reply)
        elif command in DRAIN_COMMANDS:
            checker = next((slot for slot in slots if slot.word == "checker" and slot.pid), None)
            if checker is None:
                refuse("no checker process is running")
            else:
                checker.ask_command(command, request.arguments, lambda body: settle(body, reply, refuse))
        else:
            refuse(f"unknown command {command!r}")

    def _identity(self, loaded: Loaded) -> dict[str, Any]:
        return {
            "program": "keepalived",
            "version": __version__,
            "keepalived_version": KEEPALIVED_VERSION,
            "pid": os.getpid(),
            "pid_file": self._pid_file,
            "configuration": self._pattern,
            "instance": loaded.config.globals.instance,
            "network_namespace": network_namespace(),
            "started": self._started,
        }

    def _collect(
        self, loaded: Loaded, slots: list[ChildSlot], part: StatusPart, reply: Callable[[dict[str, Any]], None]
    ) -> None:
        result = self._identity(loaded) | {
            "generation": self.generation,
            "last_reload": self.last_reload,
            "findings": [short(finding) for finding in loaded.findings],
            "processes": [_process(slot) for slot in slots if slot.wanted or slot.pid],
        }
        asked = [slot for slot in slots if slot.pid]
        waiting = {slot.word for slot in asked}
        if not asked:
            reply(result)

        def collected(word: str, body: dict[str, Any]) -> None:
            result[word] = body
            waiting.discard(word)
            if not waiting:
                reply(result)

        for slot in asked:
            slot.ask_status(part, lambda body, word=slot.word: collected(word, body))  # type: ignore[misc]


def settle(body: dict[str, Any], reply: Callable[[dict[str, Any]], None], refuse: Callable[[str], None]) -> None:
    """Hand on what a program answered to a command."""
    if "error" in body:
        refuse(str(body["error"]))
    else:
        reply(body)


def status_part(request: Request) -> StatusPart:
    """The page of virtual servers that a request asks for; raises msgspec.ValidationError."""
    return msgspec.convert(request.arguments, StatusPart)


def network_namespace() -> int | None:
    """The inode that names our network namespace."""
    try:
        return os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 - the link itself is meant
    except OSError:
        return None


def _process(slot: ChildSlot) -> dict[str, Any]:
    return {
        "name": slot.word,
        "pid": slot.pid or None,
        "ready": slot.ready,
        "uptime_us": monotonic_us() - slot.started_us if slot.pid else 0,
        "restarts": slot.restarts,
        "waiting_for_restart": slot.waiting_for_restart,
    }
