"""ldirectord's monitorfile: one line per check result (ldirectord-behaviour 7.2).

    [Sat Nov 21 07:27:53 2026] [896] negotiate http tcp 10.0.0.10 82 1 masq / test page [up] 200 OK

The file is opened for every line, so that rotation needs no signal. A file that cannot be written is named in the log
once and costs nothing but its lines; it ends ldirectord.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Final

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.model.checks import NegotiateCheck

#: Longer messages are cut: ldirectord writes whole web pages.
_MESSAGE_LIMIT: Final = 4096
_CODES: Final = {ord(char): f"%{ord(char):02x}" for char in "%|\r\n"}


#: Services of which ldirectord says something about a check that passed: the status line, or one word.
_STATUS_LINE: Final = frozenset({"http", "https", "http_proxy"})
_SUCCESS: Final = frozenset({"dns", "ldap", "ldaps"})


def message(question: object, outcome: Outcome) -> str:
    """What is said about a result: of one that passed the same as in ldirectord, of one that did not what was wrong.

    ldirectord has something to say about plain negotiations only.
    """
    if not isinstance(question, NegotiateCheck) or question.connects_between:
        return ""
    if not outcome.ok or question.service in _STATUS_LINE:
        return outcome.text
    return "Success" if question.service in _SUCCESS else ""


class MonitorFiles:
    """Appends lines. Never raises."""

    def __init__(self, log_error: Callable[[str], None]) -> None:
        self._log_error = log_error
        self._faulty: set[str] = set()

    def write(self, path: str, words: Sequence[str], up: bool, message: str) -> None:
        """`words`: the check, as `RealServer.monitor_words` has it. Empty ones vanish, as do backslashes."""
        name = re.sub(":+", " ", ":".join(words).replace("\\", ""))
        text = message[:_MESSAGE_LIMIT].translate(_CODES) or "-"
        line = f"[{time.ctime()}] [{os.getpid()}] {name} [{'up' if up else 'down'}] {text}\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        try:
            descriptor = os.open(path, flags, 0o644)
            try:
                os.write(descriptor, line.encode(errors="backslashreplace"))
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            if path not in self._faulty:
                self._faulty.add(path)
                self._log_error(f"cannot write monitorfile {path}: {getattr(error, 'strerror', None) or error}")
        else:
            self._faulty.discard(path)
