"""Dump files in $TMPDIR or /tmp: written whole under another name, then renamed (keepalived-behaviour 3.4, 5).

A reader never sees half a file. One that waits for the final name to be closed after writing (VyOS does) would wait in
vain for a rename, so the file is opened for writing and closed once more after it has its name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def dump_directory() -> str:
    return os.environ.get("TMPDIR") or "/tmp"


def write_dump(name: str, text: str, *, mode: int = 0o600) -> str:
    """Write a dump file; returns its path. Raises OSError."""
    directory = Path(dump_directory())
    final = directory / name
    # The directory is everybody's: a fresh name, made by us alone, never through somebody's link.
    draft = directory / f".{name}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode(errors="surrogateescape"))
        draft.rename(final)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    with contextlib.suppress(OSError):
        os.close(os.open(final, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
    return str(final)
