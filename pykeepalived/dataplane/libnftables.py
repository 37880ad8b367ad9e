"""Runs nft commands: in-process through libnftables, or through the nft program where the library is missing.

The library keeps its view of the ruleset between commands, which makes a change among a thousand services five times
faster than starting the program. Both speak the same text; one call is one transaction, all or nothing.
"""

from __future__ import annotations

import ctypes
import socket
import subprocess
from typing import Any, Final, Protocol

from pykeepalived.dataplane import DataplaneUnavailable

LIBRARY: Final = "libnftables.so.1"
PROGRAM: Final = "nft"
_PROGRAM_LIMIT_S: Final = 30
_NETLINK_NETFILTER: Final = 12
_FLAG_JSON, _FLAG_NUMERIC_PROTO, _FLAG_NUMERIC_SYMBOL = 16, 128, 512


class NftError(OSError):
    """nft refused a transaction; nothing of it was done. The text is nft's first line of complaint."""


class Runner(Protocol):
    name: str

    def run(self, commands: str, *, json: bool = False) -> str:
        """Run one transaction and return what it prints. Raises `NftError`."""
        ...

    def close(self) -> None: ...


def open_runner() -> Runner:
    """The library if it is installed, else the program. Raises `DataplaneUnavailable` when neither works here."""
    runner = quiet_runner()
    try:
        runner.run("add table ip pykeepalived_trial\ndelete table ip pykeepalived_trial\n")
    except NftError as error:
        runner.close()
        raise DataplaneUnavailable(f"nftables does not work here: {error}") from error
    return runner


def quiet_runner() -> Runner:
    """The library if it is installed, else the program, untried."""
    try:
        return LibraryRunner()
    except OSError:
        return ProgramRunner()


class LibraryRunner:
    """libnftables by ctypes. Raises OSError when the library is not installed or the kernel has no such netlink."""

    name = "libnftables"

    def __init__(self) -> None:
        # Where the kernel refuses this socket, the library ends the whole process.
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER).close()
        library = ctypes.CDLL(LIBRARY)
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_new.argtypes = [ctypes.c_uint32]
        for function in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            getattr(library, function).argtypes = [ctypes.c_void_p]
        for function in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(library, function).argtypes = [ctypes.c_void_p]
            getattr(library, function).restype = ctypes.c_char_p
        library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._library: Any = library
        self._context: int | None = library.nft_ctx_new(0)
        if not self._context:
            raise OSError("libnftables gives no context")
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str, *, json: bool = False) -> str:
        if self._context is None:
            raise NftError("the nftables dataplane is closed")
        flags = _FLAG_NUMERIC_PROTO | _FLAG_NUMERIC_SYMBOL | (_FLAG_JSON if json else 0)
        self._library.nft_ctx_output_set_flags(self._context, flags)
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        # Both buffers must be read, or they grow.
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
        errors: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise NftError(_first_complaint(errors.decode(errors="replace")))
        return output.decode(errors="replace")

    def close(self) -> None:
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None


class ProgramRunner:
    """The nft program, one process per transaction."""

    name = "nft"

    def run(self, commands: str, *, json: bool = False) -> str:
        arguments = [PROGRAM, "-n", *(["-j"] if json else []), "-f", "-"]
        if commands.startswith("list "):
            # With -j, a file is read as JSON; a listing is given as words instead.
            arguments = [PROGRAM, "-n", *(["-j"] if json else []), *commands.split()]
        try:
            done = subprocess.run(
                arguments, input=commands, capture_output=True, text=True, timeout=_PROGRAM_LIMIT_S, check=False
            )
        except FileNotFoundError:
            raise NftError("neither libnftables1 nor nftables is installed") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NftError(str(error)) from error
        if done.returncode:
            raise NftError(_first_complaint(done.stderr))
        return done.stdout

    def close(self) -> None:
        pass


def _first_complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "Error" in line), lines[0] if lines else "refused without a reason")
