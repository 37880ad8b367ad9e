"""What global_defs want done around a reload, beside the reload: checks, marker files, copies of the configuration."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.diagnostics.render import short
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.reload import Loaded

_UNCHANGEABLE: Final = (
    ("net_namespace", "network namespace"),
    ("net_namespace_ipvs", "network namespace of IPVS"),
    ("instance", "instance name"),
    ("disable_local_igmp", "disable_local_igmp"),
)


def keep_unchangeable(config: Config, old: GlobalDefs, log: Logger) -> Config:
    """Settings that a running daemon cannot change keep their value (keepalived-behaviour 3.3)."""
    settings = config.globals
    kept = {}
    for field, words in _UNCHANGEABLE:
        if getattr(settings, field) != getattr(old, field):
            log.error(f"Cannot change {words} at a reload - please restart keepalived")
            kept[field] = getattr(old, field)
    if settings.daemon.tmp_config_directory != old.daemon.tmp_config_directory:
        log.error("Cannot change tmp_config_directory at a reload - please restart keepalived")
        directory = old.daemon.tmp_config_directory
        kept["daemon"] = msgspec.structs.replace(settings.daemon, tmp_config_directory=directory)
    if not kept:
        return config
    return msgspec.structs.replace(config, globals=msgspec.structs.replace(settings, **kept))


class ReloadDuties:
    """One for each daemon. Files that cannot be written are said and stop nothing."""

    def __init__(self, log: Logger, pid_file: str) -> None:
        self._log = log
        self._default_marker = f"{pid_file.removesuffix('.pid')}.reload"
        self._marker: str | None = None
        self._kept_copy: int | None = None

    # ---- reload_check_config ----

    def refused_by_test(self, settings: DaemonSettings, new: Loaded) -> bool:
        """`reload_check_config`: whether `-t` would find anything wrong; what it finds goes to the file of the word."""
        if settings.reload_check_config is None:
            return False
        file = settings.reload_check_config
        if file:
            self._write(file, "".join(f"{short(finding)}\n" for finding in new.findings))
        if not new.exit_class and not new.missing:
            return False
        self._log.error(f"New config failed validation, see {file or '/dev/null'} for details")
        return True

    # ---- reload_file ----

    def begin(self, settings: DaemonSettings) -> None:
        """`reload_file`: it is there from now until `end`."""
        self.end()
        if settings.reload_file is None:
            return
        path = settings.reload_file or self._default_marker
        if self._write(path, "", mode=0o644):
            self._marker = path

    def end(self) -> None:
        if self._marker is not None:
            with contextlib.suppress(OSError):
                Path(self._marker).unlink()
            self._marker = None

    # ---- config_save_dir, tmp_config_directory ----

    def save(self, loaded: Loaded, generation: int) -> None:
        """Keep a copy of the files of this generation, as the two words want it."""
        daemon = loaded.config.globals.daemon
        if daemon.config_save_dir is not None and self._make_save_directory(daemon.config_save_dir):
            name = f"{daemon.config_save_dir}/keepalived.conf.{os.getpid()}.{generation}"
            self._write(name, loaded.text)
        if daemon.tmp_config_directory is not None:
            self._keep(daemon.tmp_config_directory, loaded.text)

    def child_copy(self, settings: DaemonSettings, word: str, pid: int, generation: int, when: str) -> str | None:
        """`config_save_dir`: the file for what a child has made of its configuration, `pre` or `post` the reload."""
        if settings.config_save_dir is None or not self._make_save_directory(settings.config_save_dir):
            return None
        return f"{settings.config_save_dir}/keepalived_{word}.{pid}.{generation}.{when}"

    def close(self) -> None:
        self.end()
        if self._kept_copy is not None:
            os.close(self._kept_copy)
            self._kept_copy = None

    def _make_save_directory(self, directory: str) -> bool:
        try:
            Path(directory).mkdir(mode=0o700, exist_ok=True)
            # The daemon's umask takes the right to enter it away.
            if Path(directory).stat().st_uid == os.geteuid():
                Path(directory).chmod(0o700)
        except OSError as error:
            self._log.error(f"Cannot make config_save_dir {directory} - {error.strerror}")
            return False
        return True

    def _keep(self, directory: str, text: str) -> None:
        """A copy without a name, which is there as long as we are and can be read as /proc/PID/fd/N."""
        try:
            made = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._log.error(f"Cannot write to tmp_config_directory {directory} - {error.strerror}")
            return
        with contextlib.suppress(OSError), os.fdopen(os.dup(made), "wb") as stream:
            stream.write(text.encode(errors="surrogateescape"))
        if self._kept_copy is not None:
            os.close(self._kept_copy)
        self._kept_copy = made

    def _write(self, path: str, text: str, mode: int = 0o600) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(path, flags, mode)
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(text.encode(errors="surrogateescape"))
        except OSError as error:
            self._log.error(f"Cannot write {path} - {error.strerror}")
            return False
        return True
