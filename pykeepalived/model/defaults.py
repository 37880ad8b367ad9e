"""What global_defs say about instances that say nothing: already in each instance, kept here for who asks for it."""

from __future__ import annotations

import msgspec

from pykeepalived.units import SECOND_US


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """`vrrp_*`, `smtp_alert*` and their like of global_defs, as they are in effect. None: not set in the file."""

    version: int = 2
    garp_delay_us: int = 5 * SECOND_US
    garp_repeat: int = 5
    garp_refresh_us: int = 0
    garp_refresh_repeat: int = 1
    garp_lower_prio_delay_us: int | None = None
    garp_lower_prio_repeat: int | None = None
    garp_extra_us: int = 0
    """Period of GARP from the base interface of virtual MACs."""
    garp_extra_all: bool = False
    down_timer_adverts: int = 3
    lower_prio_no_advert: bool = False
    higher_prio_send_advert: bool = False
    check_unicast_src: bool = False
    skip_check_adv_addr: bool = False
    strict: bool = False
    notify_priority_changes: bool = False
    v3_checksum_as_v2: bool = False
    use_symlink_paths: bool = False
    smtp_alert: bool | None = None
    smtp_alert_vrrp: bool | None = None
    smtp_alert_checker: bool | None = None
