"""Dump files in $TMPDIR or /tmp: written whole under another name, then renamed (keepalived-behaviour 3.4, 5).

A reader never sees half a file. One that waits for the final name to be closed after writing (VyOS does) would wait in
vain for a rename, so the file is opened for writing and closed once more after it has its name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from pykeepalived.model.config import GlobalDefs


def dump_directory() -> str:
    return os.environ.get("TMPDIR") or "/tmp"


def dump_name(name: str, settings: GlobalDefs) -> str:
    """Where the dump that is usually called `name` (keepalived_check.data) goes.

    `state_dump_file`, `stats_dump_file` and `json_dump_file` name another file (a `/` at the end: another directory; no
    `/` in front: below the usual one); what tells processes apart stays before the extension. `data_use_instance` puts
    the names of namespace and instance there, too, in the files of SIGUSR1 (2.4.3 does it for no others).
    """
    stem, dot, extension = name.rpartition(".")
    daemon = settings.daemon
    words = {"data": daemon.state_dump_file, "stats": daemon.stats_dump_file, "json": daemon.json_dump_file}
    if (chosen := words.get(extension)) is not None:
        directory, slash, base = chosen.rpartition("/")
        process = stem.removeprefix("keepalived")
        if base:
            head, dot, extension = base.rpartition(".") if "." in base else (base, "", "")
            stem = f"{head}{process}"
        stem = f"{directory}{slash}{stem}"
    if daemon.data_use_instance and name.endswith(".data"):
        names = "_".join(name for name in (settings.net_namespace, settings.instance) if name)
        stem += f".{names}" if names else ""
    return os.path.join(dump_directory(), f"{stem}{dot}{extension}")  # noqa: PTH118


def write_dump(path: str, text: str, *, mode: int = 0o600) -> str:
    """Write a dump file, relative to the usual directory; returns its path. Raises OSError."""
    final = Path(dump_directory()) / path
    directory = final.parent
    # The directory is everybody's: a fresh name, made by us alone, never through somebody's link.
    draft = directory / f".{final.name}.{secrets.token_hex(8)}"
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
