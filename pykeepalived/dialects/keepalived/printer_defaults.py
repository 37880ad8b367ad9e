"""Prints what global_defs say about blocks that say nothing: `vrrp_*`, `smtp_alert*` and their like."""

from __future__ import annotations

from typing import Final

from pykeepalived.dialects.keepalived.printer_text import Writer, decimal
from pykeepalived.model.defaults import Defaults

__all__ = ["default_words"]

_PLAIN: Final = Defaults()
#: Field, word of global_defs, word of the blocks that inherit it. Fields in `_us` are written in seconds.
_WORDS: Final = (
    ("version", "vrrp_version", "version"),
    ("garp_delay_us", "vrrp_garp_master_delay", "garp_master_delay"),
    ("garp_repeat", "vrrp_garp_master_repeat", "garp_master_repeat"),
    ("garp_refresh_us", "vrrp_garp_master_refresh", "garp_master_refresh"),
    ("garp_refresh_repeat", "vrrp_garp_master_refresh_repeat", "garp_master_refresh_repeat"),
    ("garp_lower_prio_delay_us", "vrrp_garp_lower_prio_delay", "garp_lower_prio_delay"),
    ("garp_lower_prio_repeat", "vrrp_garp_lower_prio_repeat", "garp_lower_prio_repeat"),
    ("down_timer_adverts", "vrrp_down_timer_adverts", "down_timer_adverts"),
    ("lower_prio_no_advert", "vrrp_lower_prio_no_advert", "lower_prio_no_advert"),
    ("higher_prio_send_advert", "vrrp_higher_prio_send_advert", "higher_prio_send_advert"),
    ("check_unicast_src", "vrrp_check_unicast_src", "check_unicast_src"),
    ("skip_check_adv_addr", "vrrp_skip_check_adv_addr", "skip_check_adv_addr"),
    ("strict", "vrrp_strict", "strict_mode"),
    ("notify_priority_changes", "vrrp_notify_priority_changes", "notify_priority_changes"),
    ("v3_checksum_as_v2", "v3_checksum_as_v2", "v3_checksum_as_v2"),
    ("use_symlink_paths", "use_symlink_paths", "use_symlink_paths"),
    ("smtp_alert", "smtp_alert", "smtp_alert"),
    ("smtp_alert_vrrp", "smtp_alert_vrrp", "smtp_alert"),
    ("smtp_alert_checker", "smtp_alert_checker", "smtp_alert"),
)


def default_words(writer: Writer, found: Defaults) -> frozenset[str]:
    """Write them; the words of other blocks that must now be said even where they say what is otherwise the default."""
    local = set()
    for field, name, inherited in _WORDS:
        value = getattr(found, field)
        if value == getattr(_PLAIN, field):
            continue
        local.add(inherited)
        if value is True or value is False:
            writer.line(name, *(() if value else ("false",)))
        else:
            writer.line(name, decimal(value) if field.endswith("_us") else value)
    if found.garp_extra_us or found.garp_extra_all:
        local.add("garp_extra_if")
        every = ("all",) if found.garp_extra_all else ()
        writer.line("vrrp_garp_extra_if", *every, decimal(found.garp_extra_us))
    # Where an instance says nothing of these, it has what is said for its announcements as master.
    local |= {
        word.replace("master", "lower_prio") for word in local if word in {"garp_master_delay", "garp_master_repeat"}
    }
    return frozenset(local)
