"""What global_defs says about the daemon itself: its processes, buffers, files and reloads.

The fields of `DaemonSettings` have the names of the words, so that table, builder and printer go by the name.
"""

from __future__ import annotations

import msgspec

from pykeepalived.units import SECOND_US


class DaemonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The words of global_defs that change processes and files, not what VRRP or the checkers decide."""

    process_names: bool = False
    """The children are called keepalived_vrrp, keepalived_lvs and keepalived_bfd where no word names them."""
    process_name: str | None = None
    vrrp_process_name: str | None = None
    checker_process_name: str | None = None
    bfd_process_name: str | None = None
    vrrp_cpu_affinity: tuple[int, ...] = ()
    checker_cpu_affinity: tuple[int, ...] = ()
    bfd_cpu_affinity: tuple[int, ...] = ()
    vrrp_rlimit_rttime: int | None = None
    """RLIMIT_RTTIME of a child with real-time priority, in microseconds; None: 10,000."""
    checker_rlimit_rttime: int | None = None
    bfd_rlimit_rttime: int | None = None
    max_auto_priority: int | None = None
    """Real-time priority to which a child whose timers run late may raise itself; None, 0, -1: never."""
    min_auto_priority_delay: int = SECOND_US
    """How late a timer must be for that, in microseconds."""
    lvs_netlink_cmd_rcv_bufs: int | None = None
    """Receive buffers in bytes; None: our own size. `_force`: beyond the system's limit (net.core.rmem_max)."""
    lvs_netlink_cmd_rcv_bufs_force: bool = False
    lvs_netlink_monitor_rcv_bufs: int | None = None
    lvs_netlink_monitor_rcv_bufs_force: bool = False
    set_supplementary_groups: bool = False
    random_seed: int | None = None
    reload_check_config: str | None = None
    """A reload needs a file that `-t` finds nothing wrong with; findings go to this file, with "" to the log only."""
    reload_time_file: str | None = None
    reload_repeat: bool = False
    reload_file: str | None = None
    """This file is there while a reload goes on; "": beside the parent's pid file, `.reload` instead of `.pid`."""
    config_save_dir: str | None = None
    tmp_config_directory: str | None = None
    data_use_instance: bool = False
    json_version: int = 1
    state_dump_file: str | None = None
    stats_dump_file: str | None = None
    json_dump_file: str | None = None
    fifo_write_vrrp_states_on_reload: bool = False
    control_group: str | None = None
    """Its members may use the control socket as root does."""
    control_read_group: str | None = None
    iproute_usr_dir: str | None = None
    """Where the file's names of routing tables, protocols and realms were looked up; numbers stand in the model."""
    iproute_etc_dir: str | None = None
    """Its members may look, not steer."""
    metrics_listen: str | None = None
    """Where metrics and the status page are served (`model.listening`); "": usual port on loopback; None: nowhere."""
    metrics_names: str = "mehdy"
    """Whose names metrics of VRRP have: those of mehdy's exporter or of gen2brain's."""
