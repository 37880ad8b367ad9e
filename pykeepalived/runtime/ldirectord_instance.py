"""Which ldirectord a command line means: configuration, pid file, and whether it runs (ldirectord-behaviour 2)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.runtime.pidfiles import AlreadyRunning, PidFile

DEFAULT_CONFIGURATION: Final = "ldirectord.cf"
CONFIGURATION_DIRECTORIES: Final = ("/etc/ha.d", "/etc/ha.d/conf")
_RUN_DIRECTORY: Final = "/var/run"


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One daemon, as its command line names it."""

    name: str
    """In the pid file's name and in log lines: the last part of CONFIG as typed, or `ldirectord` without one."""
    typed: str
    """CONFIG as typed, or the default name."""
    path: str | None
    """The file that was found, as it is shown; None: there is none."""
    absolute_path: str
    """The same for a daemon that lives in `/`; empty without a file."""

    @property
    def shown(self) -> str:
        return self.path or self.typed

    @property
    def pid_path(self) -> str:
        return f"{_RUN_DIRECTORY}/ldirectord.{self.name}.pid"


def find_instance(typed: str | None) -> Instance:
    """Look the configuration up: /etc/ha.d/NAME, /etc/ha.d/conf/NAME, NAME as a path."""
    name = (os.path.basename(typed) or "ldirectord") if typed is not None else "ldirectord"  # noqa: PTH119
    wanted = typed if typed is not None else DEFAULT_CONFIGURATION
    places = [wanted] if wanted.startswith("/") else [*(f"{top}/{wanted}" for top in CONFIGURATION_DIRECTORIES), wanted]
    found = next((place for place in places if _is_file(place)), None)
    absolute = os.path.abspath(found) if found else ""  # noqa: PTH100 - links in the path stay
    return Instance(name=name, typed=wanted, path=found, absolute_path=absolute)


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


class Running(msgspec.Struct, frozen=True):
    """What the pid file says. `pid` 0: nothing runs; `stale`: the file names a process that is no ldirectord."""

    pid: int = 0
    stale: bool = False


def look(instance: Instance) -> Running:
    """Read the pid file and ask the process list, as ldirectord does, so that either program sees the other."""
    try:
        with Path(instance.pid_path).open("rb") as stream:
            text = stream.read(64)
    except (OSError, ValueError):
        return Running()
    try:
        pid = int(text)
    except ValueError:
        # An empty file says of nobody that he runs.
        return Running(stale=bool(text.strip()))
    try:
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return Running(stale=True)
    return Running(pid=pid) if pid > 0 and _is_ldirectord(command_line) else Running(stale=True)


def _is_ldirectord(command_line: bytes) -> bool:
    """Ours (`ldirectord CONFIG start`) or the original (`perl -w /usr/sbin/ldirectord CONFIG start`).

    ldirectord looks for its name anywhere in the text, so an editor of ldirectord.cf that was given the number of a
    dead daemon passes for one there, and `stop` would end it.
    """
    first_words = command_line.split(b"\0")[:3]
    return any(word.rpartition(b"/")[2] in {b"ldirectord", b"pyldirectord"} for word in first_words)


def send(pid: int, number: signal.Signals) -> str | None:
    """Send a signal; the reason in words when that failed. A process that has gone meanwhile is no failure."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    return None


def claim(instance: Instance) -> PidFile | str:
    """Make the pid file ours, or say why it cannot be: somebody starts at the same time, or it cannot be written.

    It holds our own number until the daemon puts in its own, so nobody ever sees it empty.
    """
    file = PidFile(instance.pid_path)
    try:
        file.claim(os.getpid())
    except AlreadyRunning:
        return "another ldirectord holds it"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return file
