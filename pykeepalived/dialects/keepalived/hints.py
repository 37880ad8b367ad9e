"""What people mean when they write a word that is none: near spellings, the field's folklore, misplaced words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

#: Words of other programs, of old versions and of the manual's mistakes, with what they stand for.
FOLKLORE: Final[Mapping[str, str]] = {
    "lvs_id": "router_id",
    "lvs_name": "router_id",
    "routerid": "router_id",
    "router-id": "router_id",
    "vrid": "virtual_router_id",
    "virtual_ip": "virtual_ipaddress",
    "virtual_ipaddresses": "virtual_ipaddress",
    "virtual_address": "virtual_ipaddress",
    "vip": "virtual_ipaddress",
    "advert_interval": "advert_int",
    "adver_int": "advert_int",
    "auth": "authentication",
    "password": "auth_pass",
    "no_preempt": "nopreempt",
    "non_preempt": "nopreempt",
    "notify_email": "notification_email",
    "email_to": "notification_email",
    "email_from": "notification_email_from",
    "smtp_timeout": "smtp_connect_timeout",
    "scheduler": "lb_algo",
    "forwarding_method": "lb_kind",
    "lb_method": "lb_kind",
    "persistence": "persistence_timeout",
    "persistent": "persistence_timeout",
    "nb_tcp_retry": "retry",
    "nb_sock_retry": "retry",
    "get_retry": "retry",
    "delay_before_check": "delay_before_retry",
    "timeout": "connect_timeout",
    "realserver": "real_server",
    "virtualserver": "virtual_server",
    "server": "real_server",
    "fallback": "sorry_server",
    "quiescent": "inhibit_on_failure",
    "checkinterval": "delay_loop",
    "chk_script": "track_script",
    "track_scripts": "track_script",
    "track_interfaces": "track_interface",
    "vrrp_track_script": "vrrp_script",
    "state_file_location": "state_dump_file",
    "stats_file_location": "stats_dump_file",
    "json_file_location": "json_dump_file",
    "state_file": "state_dump_file",
    "ip_proto": "ipproto",
    "readable": "read",
    "HTTP_CHECK": "HTTP_GET",
    "HTTPS_GET": "SSL_GET",
    "SSL_CHECK": "SSL_GET",
    "CONNECT_CHECK": "TCP_CHECK",
    "ICMP_CHECK": "PING_CHECK",
    "SCRIPT_CHECK": "MISC_CHECK",
}

_LONGEST: Final = 48


def near(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` most likely stands for."""
    if len(word) > _LONGEST or not word:
        return None
    choices = list(known)
    meant = FOLKLORE.get(word) or FOLKLORE.get(word.lower())
    if meant in choices:
        return meant
    folded = word.lower().replace("-", "_")
    for choice in choices:
        if choice.lower().replace("-", "_") == folded:
            return choice
    found = difflib.get_close_matches(word, choices, n=1, cutoff=0.75)
    return found[0] if found else None
