"""Kernel settings of IPVS beside its table: connection timeouts, the flush of everything; the settings of nftables."""

from __future__ import annotations

import contextlib
from typing import Protocol, runtime_checkable

from pykeepalived.dataplane import Dataplane
from pykeepalived.dataplane.nft_options import Options
from pykeepalived.model.config import Config
from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.runtime.program import Logger


@runtime_checkable
class _Adjustable(Protocol):
    """A dataplane with IPVS's further commands."""

    def flush(self) -> None: ...

    def timeouts(self) -> tuple[int, int, int]: ...

    def set_timeouts(self, tcp_s: int, tcpfin_s: int, udp_s: int) -> None: ...

    def set_buffer(self, size: int | None, *, force: bool) -> None: ...


@runtime_checkable
class _Configurable(Protocol):
    """A dataplane with settings of its own."""

    def configure(self, options: Options) -> None: ...

    def flush(self) -> None: ...


def nftables_options(config: Config) -> Options:
    settings = config.globals
    return Options(settings.lvs_nftables_masquerade, settings.lvs_nftables_removed == "reset")


class KernelSettings:
    """Sets what the configuration asks for and puts it back at the end; a failure is a log line."""

    def __init__(self, dataplane: Dataplane, log: Logger) -> None:
        self._ipvs = dataplane if isinstance(dataplane, _Adjustable) else None
        self._own = dataplane if isinstance(dataplane, _Configurable) else None
        self._log = log
        self._before: tuple[int, int, int] | None = None

    def flush(self) -> None:
        """Empty the whole table, with IPVS other programs' entries included (lvs_flush)."""
        whole = self._ipvs or self._own
        if whole is None:
            return
        try:
            whole.flush()
        except OSError as error:
            self._log.error(f"IPVS: cannot flush the table: {error}")

    def configure(self, options: Options) -> None:
        """What nftables is told by the configuration, at a reload."""
        if self._own is None:
            return
        try:
            self._own.configure(options)
        except OSError as error:
            self._log.error(f"nftables: cannot change the settings: {error}")

    def set_timeouts(self, wanted: tuple[int, int, int] | None) -> None:
        """`lvs_timeouts`: tcp, tcpfin, udp in seconds; 0 leaves one as it is."""
        if wanted is None or self._ipvs is None:
            return
        try:
            if self._before is None:
                self._before = self._ipvs.timeouts()
            self._ipvs.set_timeouts(*wanted)
        except OSError as error:
            self._log.error(f"IPVS: cannot set the timeouts: {error}")

    def set_buffers(self, settings: DaemonSettings) -> None:
        """`lvs_netlink_cmd_rcv_bufs`."""
        if self._ipvs is not None:
            self._ipvs.set_buffer(settings.lvs_netlink_cmd_rcv_bufs, force=settings.lvs_netlink_cmd_rcv_bufs_force)

    def restore(self) -> None:
        if self._before is not None and self._ipvs is not None:
            with contextlib.suppress(OSError):
                self._ipvs.set_timeouts(*self._before)
