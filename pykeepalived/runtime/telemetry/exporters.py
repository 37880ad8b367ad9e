"""The metrics of VRRP under the names of the two exporters that dashboards are made for. Their labels clash, so one of
the two is chosen (`metrics_names`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pykeepalived.runtime.telemetry.exposition import Family

_STATES: Final = {"INIT": 0, "BACKUP": 1, "STANDBY": 1, "MASTER": 2, "FAULT": 3}
#: Counter of ours, name with mehdy, name with gen2brain, help.
_COUNTERS: Final = (
    ("advert_rcvd", "advertisements_received_total", "advert_rcvd", "Adverts received"),
    ("advert_sent", "advertisements_sent_total", "advert_sent", "Adverts sent"),
    ("become_master", "become_master_total", "become_master", "Times the instance became MASTER"),
    ("release_master", "release_master_total", "release_master", "Times the instance stopped being MASTER"),
    ("packet_len_err", "packet_length_errors_total", "packet_len_err", "Adverts of a wrong length"),
    ("advert_interval_err", "advertisements_interval_errors_total", "advert_interval_err",
     "Adverts with another interval"),
    ("ip_ttl_err", "ip_ttl_errors_total", "ip_ttl_err", "Adverts with a wrong TTL"),
    ("invalid_type_rcvd", "invalid_type_received_total", "invalid_type_rcvd", "VRRP packets of an unknown type"),
    ("addr_list_err", "address_list_errors_total", "addr_list_err", "Adverts with other addresses"),
    ("invalid_authtype", "authentication_invalid_total", "invalid_authtype",
     "Adverts with an unknown kind of authentication"),
    ("authtype_mismatch", "authentication_mismatch_total", "authtype_mismatch",
     "Adverts with another kind of authentication"),
    ("auth_failure", "authentication_failure_total", "auth_failure", "Adverts whose authentication failed"),
    ("pri_zero_rcvd", "priority_zero_received_total", "pri_zero_rcvd", "Adverts of priority 0 received"),
    ("pri_zero_sent", "priority_zero_sent_total", "pri_zero_sent", "Adverts of priority 0 sent"),
)  # fmt: skip
_PROTOCOL_NUMBERS: Final = {"tcp": 6, "udp": 17, "sctp": 132, "mark": 0}
_TRAFFIC: Final = (
    ("in_packets", "packets_in", "Packets in"),
    ("out_packets", "packets_out", "Packets out"),
    ("in_bytes", "bytes_in", "Bytes in"),
    ("out_bytes", "bytes_out", "Bytes out"),
    ("conn", "connections", "Connections"),
)

Counted = list[dict[str, Any]]


def labels_of(instance: Mapping[str, Any]) -> dict[str, Any]:
    return {"iname": instance["name"], "intf": instance["interface"] or "", "vrid": instance["vrid"]}


def mehdy(vrrp: Mapping[str, Any], counted: Counted) -> list[Family]:
    """Names and labels as of mehdy/keepalived-exporter; the state is that of each address."""
    del counted
    instances = vrrp.get("instances", ())
    families = [
        Family(
            name=f"keepalived_{theirs}",
            kind="counter",
            help=text,
            samples=[(labels_of(item), item["stats"][ours]) for item in instances],
        )
        for ours, theirs, _, text in _COUNTERS
    ]
    states: list[tuple[dict[str, Any], Any]] = []
    excluded: list[tuple[dict[str, Any], Any]] = []
    for item in instances:
        value = _STATES.get(item["state"], 0)
        for address in item["addresses"]:
            labels = labels_of(item) | {"intf": address["interface"] or "", "ip_address": _bare(address["address"])}
            (excluded if address.get("excluded") else states).append((labels, value))
        if not any(not address.get("excluded") for address in item["addresses"]):
            states.append((labels_of(item) | {"ip_address": ""}, value))
    scripts = vrrp.get("scripts", ())
    return [
        Family(name="keepalived_vrrp_state", kind="gauge", samples=states,
               help="State of the instance: 0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT"),
        Family(name="keepalived_vrrp_excluded_state", kind="gauge", samples=excluded,
               help="The same, for addresses that are not in adverts"),
        Family(name="keepalived_gratuitous_arp_delay_total", kind="counter",
               help="Seconds until the second round of gratuitous ARP",
               samples=[(labels_of(item), item.get("garp_delay_us", 0) // 1_000_000) for item in instances]),
        Family(name="keepalived_script_status", kind="gauge", help="Result of a vrrp_script: 1 good, 0 bad",
               samples=[({"name": item["name"]}, int(bool(item["up"]))) for item in scripts]),
        Family(name="keepalived_script_state", kind="gauge", help="Whether a vrrp_script runs: 0 idle, 1 running",
               samples=[({"name": item["name"]}, int(item["running"])) for item in scripts]),
        *families,
    ]  # fmt: skip


def gen2brain(vrrp: Mapping[str, Any], counted: Counted) -> list[Family]:
    """Names and labels as of gen2brain/keepalived_exporter; the state is a label."""
    families = [
        Family(
            name=f"keepalived_vrrp_{theirs}",
            kind="counter",
            help=text,
            samples=[
                (
                    {
                        "name": item["name"],
                        "intf": item["interface"] or "",
                        "vrid": item["vrid"],
                        "state": "BACKUP" if item["state"] == "STANDBY" else item["state"],
                    },
                    item["stats"][ours],
                )
                for item in vrrp.get("instances", ())
            ],
        )
        for ours, _, theirs, text in _COUNTERS
    ]
    for what, field in (("vip", "service"), ("rs", "server")):
        for suffix, ours, text in _TRAFFIC:
            # A real server of two virtual servers stands there once.
            sums: dict[tuple[str, int], int] = {}
            for line in counted:
                key = (line[field], _PROTOCOL_NUMBERS.get(line["protocol"], 0))
                sums[key] = sums.get(key, 0) + line[ours]
            families.append(
                Family(
                    name=f"keepalived_lvs_{what}_{suffix}",
                    kind="counter",
                    help=f"{text} of a {'virtual' if what == 'vip' else 'real'} server",
                    samples=[({"addr": addr, "proto": proto}, value) for (addr, proto), value in sums.items()],
                )
            )
    return families


EXPORTERS: Final[dict[str, Callable[[Mapping[str, Any], Counted], list[Family]]]] = {
    "mehdy": mehdy,
    "gen2brain": gen2brain,
}


def _bare(prefix: str) -> str:
    """An address of one host without its length, as in the dump files that the exporter reads."""
    return prefix.removesuffix("/32") if ":" not in prefix else prefix.removesuffix("/128")
