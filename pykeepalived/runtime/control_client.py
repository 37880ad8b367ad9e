"""The other end of the control socket: find a daemon, ask it, follow its events.

Nothing that a daemon sends is trusted: an answer is bounded in bytes and time.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from pykeepalived.runtime.control_wire import PROTOCOL_VERSION, SOCKET_NAME, encoder

#: Directories of daemons that are looked at when one is searched for.
_SEARCH_LIMIT: Final = 256
_LINE_LIMIT: Final = 1 << 28
#: A stream says at least this often that it is alive; a daemon that does not has gone.
STREAM_SILENCE_S: Final = 30.0


def find_sockets(directory: str) -> list[str]:
    """Control sockets of the daemons that keep their state below `directory`, the default one first."""
    top = Path(directory)
    found = [top / SOCKET_NAME] if _is_there(top / SOCKET_NAME) else []
    with contextlib.suppress(OSError):
        entries = sorted(top.iterdir())[:_SEARCH_LIMIT]
        found += [entry / SOCKET_NAME for entry in entries if _is_there(entry / SOCKET_NAME)]
    return [str(path) for path in found]


def _is_there(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:
        return False


class ControlError(Exception):
    """The daemon refused a request; the text says why."""


class NotRunning(Exception):
    """Nobody listens on the socket."""


def ask(
    path: str,
    command: str,
    arguments: dict[str, Any] | None = None,
    *,
    timeout_s: float = 5,
    limit: int = _LINE_LIMIT,
) -> dict[str, Any]:
    """Send one request and wait for the answer, at most `timeout_s` seconds. Raises NotRunning, ControlError."""
    with contextlib.closing(_Line(path, command, arguments, timeout_s)) as line:
        return _result(line.read(time.monotonic() + timeout_s, limit))


def follow(
    path: str, command: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 5
) -> Iterator[dict[str, Any]]:
    """The answers of a request that streams, as they come; it ends when the daemon does.

    Raises NotRunning, ControlError.
    """
    with contextlib.closing(_Line(path, command, arguments, timeout_s)) as line:
        yield _result(line.read(time.monotonic() + timeout_s, _LINE_LIMIT))
        while True:
            yield _result(line.read(time.monotonic() + STREAM_SILENCE_S, _LINE_LIMIT))


class _Line:
    """One connection with one request."""

    def __init__(self, path: str, command: str, arguments: dict[str, Any] | None, timeout_s: float) -> None:
        body = {"version": PROTOCOL_VERSION, "command": command, "arguments": arguments or {}}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._input = bytearray()
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise NotRunning(f"{path}: {error.strerror or error}") from None
        try:
            self._socket.sendall(encoder.encode(body) + b"\n")
        except OSError as error:
            self._socket.close()
            raise ControlError(f"no answer: {error.strerror or error}") from None

    def close(self) -> None:
        self._socket.close()

    def read(self, until_s: float, limit: int) -> bytes:
        """One line. Raises ControlError."""
        searched = 0
        while (end := self._input.find(b"\n", searched)) < 0:
            searched = len(self._input)
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise ControlError("no answer: timed out")
            self._socket.settimeout(left_s)
            try:
                data = self._socket.recv(1 << 20)
            except OSError as error:
                raise ControlError(f"no answer: {error.strerror or error}") from None
            if not data or searched > limit:
                raise ControlError("the daemon closed the connection")
            self._input += data
        line = bytes(memoryview(self._input)[:end])
        del self._input[: end + 1]
        return line


def _result(line: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ControlError(f"not an answer: {error}") from None
    if not body.get("ok"):
        raise ControlError(str(body.get("error", "refused")))
    result = body.get("result")
    return result if isinstance(result, dict) else {}
