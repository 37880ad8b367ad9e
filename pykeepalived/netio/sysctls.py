"""Kernel settings under /proc/sys/net that we change, with what they were before.

Settings of the host are put back when the last user of them goes; those of an interface that we made go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/proc/sys/net")


def read(key: str) -> str | None:
    """The value of a setting such as `ipv4/conf/eth0/arp_ignore`; None when the kernel has no such setting."""
    try:
        return (_ROOT / key).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def write(key: str, value: int | str) -> None:
    """Raises OSError; a setting that the kernel does not have is passed over."""
    path = _ROOT / key
    if path.exists():
        path.write_text(f"{value}\n", encoding="ascii")


def of_interface(family: int, ifname: str, name: str) -> str:
    """The key of a setting of one interface; `family` 4 or 6."""
    return f"ipv{family}/conf/{ifname}/{name}"


class Keeper:
    """Changes settings and remembers what they were; `changed` is called after each change, to write it down."""

    def __init__(self, log_error: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._log_error = log_error
        self._changed = changed
        self.originals: dict[str, tuple[str, str]] = {}
        """By key: what was there before, and what we wrote."""

    def adopt(self, originals: Mapping[str, tuple[str, str]]) -> None:
        """Take over what a process that died had changed."""
        for key, pair in originals.items():
            if read(key) == pair[1]:
                self.originals.setdefault(key, pair)

    def set(self, key: str, value: int) -> bool:
        """Make a setting have a value. True: it had another one."""
        before = read(key)
        if before is None or before == str(value):
            return False
        kept = self.originals.get(key)
        self.originals[key] = (kept[0] if kept else before, str(value))
        self._changed()
        return self._write(key, str(value))

    def restore(self, key: str) -> str | None:
        """Put a setting back and return its value, unless somebody else has changed it since: then it is theirs."""
        pair = self.originals.pop(key, None)
        if pair is None:
            return None
        done = read(key) == pair[1] and self._write(key, pair[0])
        self._changed()
        return pair[0] if done else None

    def _write(self, key: str, value: str) -> bool:
        try:
            write(key, value)
        except OSError as error:
            self._log_error(f"Cannot set {key.replace('/', '.')} to {value} - {error.strerror}")
            return False
        return True
