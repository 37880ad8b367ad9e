"""Metrics as text: two parsers of Prometheus's own agree, hostile names do no harm, both exporters' names are there."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from pykeepalived.model.listening import ListenPlace, listen_place
from pykeepalived.runtime.histogram import LATENESS_BOUNDS_US, Histogram, added
from pykeepalived.runtime.telemetry.exposition import Family, render
from pykeepalived.runtime.telemetry.metrics import families

COUNTERS = (
    "advert_rcvd", "advert_sent", "become_master", "release_master", "packet_len_err", "advert_interval_err",
    "ip_ttl_err", "invalid_type_rcvd", "addr_list_err", "invalid_authtype", "authtype_mismatch", "auth_failure",
    "pri_zero_rcvd", "pri_zero_sent",
)  # fmt: skip
#: What stands on dashboards (both exporters' documentation); the exporter's own check script is not ours.
MEHDY = {
    "keepalived_up", "keepalived_vrrp_state", "keepalived_vrrp_excluded_state", "keepalived_gratuitous_arp_delay",
    "keepalived_advertisements_received", "keepalived_advertisements_sent", "keepalived_become_master",
    "keepalived_release_master", "keepalived_packet_length_errors", "keepalived_advertisements_interval_errors",
    "keepalived_ip_ttl_errors", "keepalived_invalid_type_received", "keepalived_address_list_errors",
    "keepalived_authentication_invalid", "keepalived_authentication_mismatch", "keepalived_authentication_failure",
    "keepalived_priority_zero_received", "keepalived_priority_zero_sent", "keepalived_script_status",
    "keepalived_script_state",
}  # fmt: skip
GEN2BRAIN = {"keepalived_up"} | {
    f"keepalived_vrrp_{name}" for name in COUNTERS
} | {f"keepalived_lvs_{one}_{what}" for one in ("vip", "rs")
     for what in ("in_packets", "out_packets", "in_bytes", "out_bytes", "conn")}  # fmt: skip
NASTY = 'a"b\\c\nd{}é'


def an_instance(name="VI_1", state="MASTER"):
    return {
        "name": name, "interface": "eth0", "vrid": 51, "state": state, "standby": False, "base_priority": 100,
        "effective_priority": 90, "last_transition": 1.5, "garp_delay_us": 5_000_000,
        "addresses": [
            {"address": "10.0.0.9/32", "interface": "eth1", "set": True, "excluded": False},
            {"address": "10.0.0.8/24", "interface": "eth0", "set": True, "excluded": True},
        ],
        "stats": {counter: number for number, counter in enumerate(COUNTERS)}
        | {"refusals": {"ttl": 3}, "second_master": 7},
    }  # fmt: skip


def of_both(found):
    return {(key[0].removesuffix("_total"), *key[1:]): value for key, value in found.items()}


def a_status():
    histogram = Histogram(LATENESS_BOUNDS_US)
    for late_us in (10, 50, 51, 10_000_000):
        histogram.observe(late_us)
    server = {
        "name": NASTY, "alive": True, "table_weight": None,
        "checks": [{"check": "tcp", "up": True, "answers": 5, "answers_failed": 2, "last": {"latency_us": 1500}},
                   {"check": "tcp", "up": True, "answers": 1, "answers_failed": 0, "last": None}],
    }  # fmt: skip
    service = {"name": "web", "quorum": {"up": True}, "sorry_server": {"serves": False}, "servers": [server, server]}
    return {
        "version": "1", "program": "keepalived", "started": 1.0, "generation": 2, "last_reload": {"ok": False},
        "processes": [{"name": "vrrp", "ready": True, "restarts": 1}],
        "vrrp": {"instances": [an_instance(), an_instance(NASTY, "STANDBY")], "lateness": histogram.told(),
                 "scripts": [{"name": "s", "up": True, "running": False}]},
        "checker": {"services": [service], "table": {"operations_done": 4},
                    "probes": {"probes_started": 3, "probes_saved": 9, "latencies": {"tcp": histogram.told()}}},
    }  # fmt: skip


COUNTED = [
    {"protocol": "tcp", "service": "10.0.0.9:80", "server": f"10.1.0.{number}:80", "connections": number,
     "packets_in": 1, "packets_out": 2, "bytes_in": 3, "bytes_out": 4, "active_connections": 1,
     "inactive_connections": 0, "persistent_connections": 0}
    for number in (1, 2)
]  # fmt: skip


def samples(found):
    """The parser of the plain form adds _total to counters that lack it."""
    return {(sample.name, *sorted(sample.labels.items())): sample.value for each in found for sample in each.samples}


@pytest.mark.parametrize("names", ["mehdy", "gen2brain"])
def test_both_parsers_read_the_same(names):
    made = families(a_status(), COUNTED, names)
    plain = render(made).decode()
    open_text = render(made, open_metrics=True).decode()
    known = samples(text_string_to_metric_families(plain))
    assert of_both(known) == of_both(samples(openmetrics.text_string_to_metric_families(open_text)))


@pytest.mark.parametrize(("names", "known"), [("mehdy", MEHDY), ("gen2brain", GEN2BRAIN)])
def test_the_exporter_s_names(names, known):
    found = {
        each.name for each in text_string_to_metric_families(render(families(a_status(), COUNTED, names)).decode())
    }
    assert known <= found


def test_labels_and_values_of_the_known_exporters():
    found = samples(text_string_to_metric_families(render(families(a_status(), COUNTED, "mehdy")).decode()))
    at = (("iname", "VI_1"), ("intf", "eth0"), ("vrid", "51"))
    assert found["keepalived_advertisements_sent_total", *at] == 1
    state = (("iname", "VI_1"), ("intf", "eth1"), ("ip_address", "10.0.0.9"), ("vrid", "51"))
    assert found["keepalived_vrrp_state", *state] == 2
    excluded = (("iname", "VI_1"), ("intf", "eth0"), ("ip_address", "10.0.0.8/24"), ("vrid", "51"))
    assert found["keepalived_vrrp_excluded_state", *excluded] == 2
    assert found["keepalived_vrrp_second_master_total", *at] == 7
    found = samples(text_string_to_metric_families(render(families(a_status(), COUNTED, "gen2brain")).decode()))
    at = (("intf", "eth0"), ("name", "VI_1"), ("state", "MASTER"), ("vrid", "51"))
    assert found["keepalived_vrrp_pri_zero_sent_total", *at] == 13
    assert found["keepalived_lvs_vip_conn_total", ("addr", "10.0.0.9:80"), ("proto", "6")] == 3


def test_names_with_quotes_and_line_ends_stay_one_label():
    found = samples(text_string_to_metric_families(render(families(a_status(), COUNTED, "mehdy")).decode()))
    assert found["keepalived_real_server_up", ("server", NASTY), ("service", "web")] == 1


def test_no_series_stands_twice():
    for names in ("mehdy", "gen2brain"):
        lines = [line.rpartition(" ")[0] for line in render(families(a_status(), COUNTED, names)).decode().splitlines()]
        series = [line for line in lines if not line.startswith("#")]
        assert len(series) == len(set(series))


def test_a_daemon_that_does_not_answer_is_down():
    assert render(families(None, [], "mehdy")).endswith(b"\nkeepalived_up 0\n")


def test_buckets_add_up():
    text = render(
        [Family(name="late_seconds", kind="histogram", help="x", samples=[({}, a_status()["vrrp"]["lateness"])])]
    )
    found = samples(text_string_to_metric_families(text.decode()))
    assert found["late_seconds_bucket", ("le", "5e-05")] == 2
    assert found["late_seconds_bucket", ("le", "0.0001")] == 3
    assert found["late_seconds_bucket", ("le", "+Inf")] == found["late_seconds_count",] == 4
    assert found["late_seconds_sum",] == pytest.approx(10.000111)
    twice = added([a_status()["vrrp"]["lateness"]] * 2)
    assert sum(twice["counts"]) == 8


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", ListenPlace()),
        ("9999", ListenPlace(port=9999)),
        ("10.0.0.1", ListenPlace(address="10.0.0.1")),
        ("10.0.0.1:80", ListenPlace(address="10.0.0.1", port=80)),
        ("::1", ListenPlace(address="::1")),
        ("[::1]:80", ListenPlace(address="::1", port=80)),
        ("/run/m.sock", ListenPlace(path="/run/m.sock")),
    ],
)
def test_places(text, place):
    assert listen_place(text) == place
    assert place.is_loopback == (place.path is None and place.address != "10.0.0.1")


@pytest.mark.parametrize("text", ["x", "10.0.0.1:0", "1:65536", "[::1]80", "[::1", "/" + "x" * 108, "٣"])
def test_places_that_are_none(text):
    with pytest.raises(ValueError, match=r"\w"):
        listen_place(text)
