"""Everything that is told as metrics besides what the known exporters have: checks, servers, tables, processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pykeepalived.runtime.telemetry.exporters import EXPORTERS, labels_of
from pykeepalived.runtime.telemetry.exposition import Family

Samples = list[tuple[dict[str, Any], Any]]


def families(status: Mapping[str, Any] | None, counted: list[dict[str, Any]], names: str) -> list[Family]:
    """`status` as the control socket tells it, all pages in one; None: the daemon does not answer."""
    found = [gauge("up", "Whether the daemon answers", [({}, status is not None)])]
    if status is None:
        return found
    vrrp, checker = status.get("vrrp") or {}, status.get("checker") or {}
    found += EXPORTERS[names](vrrp, counted)
    found += _daemon(status)
    found += _vrrp(vrrp)
    found += _servers(checker.get("services", ()))
    found += _probes(checker.get("probes") or {}, checker.get("table") or {})
    found += _kernel(counted)
    return found


def gauge(name: str, text: str, samples: Samples) -> Family:
    return Family(name=f"keepalived_{name}", kind="gauge", help=text, samples=samples)


def counter(name: str, text: str, samples: Samples) -> Family:
    return Family(name=f"keepalived_{name}_total", kind="counter", help=text, samples=samples)


def histogram(name: str, text: str, samples: Samples) -> Family:
    return Family(name=f"keepalived_{name}_seconds", kind="histogram", help=text, samples=samples)


def _daemon(status: Mapping[str, Any]) -> Iterable[Family]:
    last = status.get("last_reload")
    processes = status.get("processes", ())
    labels = {"version": status["version"], "program": status["program"]}
    return (
        gauge("build_info", "The version, as a label", [(labels, 1)]),
        gauge("start_time_seconds", "When the daemon was started", [({}, float(status["started"]))]),
        gauge("config_generation", "Configurations that were taken since the start", [({}, status["generation"])]),
        gauge("config_findings", "What there is to say about the running configuration",
              [({}, len(status.get("findings", ())))]),
        gauge("config_last_reload_successful", "Whether the last reload was used", [({}, not last or last["ok"])]),
        gauge("process_ready", "Whether a process of the daemon works",
              [({"process": item["name"]}, item["ready"]) for item in processes]),
        counter("process_restarts", "Times a process died and was started again",
                [({"process": item["name"]}, item["restarts"]) for item in processes]),
    )  # fmt: skip


def _vrrp(vrrp: Mapping[str, Any]) -> Iterable[Family]:
    instances = vrrp.get("instances", ())
    labelled = [(labels_of(item), item) for item in instances]
    lateness = vrrp.get("lateness")
    refused = [
        (labels | {"reason": reason}, count)
        for labels, item in labelled
        for reason, count in item["stats"].get("refusals", {}).items()
    ]
    return (
        gauge("vrrp_priority", "Effective priority", [(at, item["effective_priority"]) for at, item in labelled]),
        gauge("vrrp_base_priority", "Configured priority", [(at, item["base_priority"]) for at, item in labelled]),
        gauge("vrrp_standby", "Whether an operator holds the instance back",
              [(at, item["standby"]) for at, item in labelled]),
        gauge("vrrp_last_transition_timestamp_seconds", "When the state last changed",
              [(at, float(item["last_transition"])) for at, item in labelled]),
        counter("vrrp_failovers", "Changes of the MASTER that this director took part in",
                [(at, item["stats"]["become_master"] + item["stats"]["release_master"]) for at, item in labelled]),
        counter("vrrp_second_master", "Times that the MASTER heard a second one, which it outranks",
                [(at, item["stats"].get("second_master", 0)) for at, item in labelled]),
        counter("vrrp_refused_adverts", "Adverts that were not used, by the reason", refused),
        histogram("advert_lateness", "How late adverts left", [({}, lateness)] if lateness else []),
    )  # fmt: skip


def _servers(services: Iterable[Mapping[str, Any]]) -> Iterable[Family]:
    up: Samples = []
    weights: Samples = []
    quorum: Samples = []
    sorry: Samples = []
    checks: Samples = []
    latencies: Samples = []
    answers: Samples = []
    seen: set[tuple[str, str, str]] = set()
    for service in services:
        at = {"service": service["name"]}
        quorum.append((at, service["quorum"]["up"]))
        if service["sorry_server"] is not None:
            sorry.append((at, service["sorry_server"]["serves"]))
        for server in service["servers"]:
            place = at | {"server": server["name"]}
            if (service["name"], server["name"], "") in seen:
                continue  # the same name twice, which a table of metrics cannot hold
            seen.add((service["name"], server["name"], ""))
            up.append((place, server["alive"]))
            weights.append((place, server["table_weight"] or 0))
            for number, check in enumerate(server["checks"]):
                name = check["check"] if (*place.values(), check["check"]) not in seen else f"{check['check']}-{number}"
                seen.add((service["name"], server["name"], check["check"]))
                one = place | {"check": name}
                checks.append((one, check["up"]))
                if check["last"] is not None:
                    latencies.append((one, check["last"]["latency_us"] / 1_000_000))
                answers.append((one | {"result": "failure"}, check["answers_failed"]))
                answers.append((one | {"result": "success"}, check["answers"] - check["answers_failed"]))
    return (
        gauge("virtual_server_up", "Whether a virtual server has its quorum", quorum),
        gauge("virtual_server_sorry", "Whether the sorry server serves", sorry),
        gauge("real_server_up", "Whether all checks of a real server are content", up),
        gauge("real_server_weight", "Weight in the kernel's table; 0 also for one that is not in it", weights),
        gauge("check_up", "What a check has found", checks),
        gauge("check_last_latency_seconds", "How long the last answer took", latencies),
        counter("check_answers", "Answers of a check", answers),
    )


def _probes(probes: Mapping[str, Any], table: Mapping[str, Any]) -> Iterable[Family]:
    def one(source: Mapping[str, Any], key: str) -> Samples:
        return [({}, source[key])] if key in source else []

    latencies = [({"check": kind}, told) for kind, told in sorted((probes.get("latencies") or {}).items())]
    return (
        counter("probes_started", "Questions that were put to real servers", one(probes, "probes_started")),
        counter("probe_answers", "Answers that were given to checks", one(probes, "answers_delivered")),
        counter("probes_saved", "Questions that were not put, because another check had just put them",
                one(probes, "probes_saved")),
        counter("probes_late", "Questions that were put more than 0.1 s late", one(probes, "started_late")),
        histogram("check_duration", "How long questions took, by the kind of check", latencies),
        gauge("table_services", "Virtual servers in the kernel's table", one(table, "services")),
        counter("table_operations", "Changes of the kernel's table", one(table, "operations_done")),
        counter("table_operations_refused", "Changes that the kernel refused", one(table, "operations_refused")),
        counter("table_drift_repairs", "Foreign changes of the kernel's table that were put right",
                one(table, "drift_repairs")),
    )  # fmt: skip


def _kernel(counted: list[dict[str, Any]]) -> Iterable[Family]:
    def taken(field: str) -> Samples:
        return [({key: line[key] for key in ("protocol", "service", "server")}, line[field]) for line in counted]

    for field, text in (
        ("connections", "Connections"),
        ("packets_in", "Packets from clients"),
        ("packets_out", "Packets to clients, where they come back this way"),
        ("bytes_in", "Bytes from clients"),
        ("bytes_out", "Bytes to clients, where they come back this way"),
    ):
        yield counter(f"dataplane_{field}", f"{text}, as the kernel counts them", taken(field))
    yield gauge("dataplane_active_connections", "Connections that are open", taken("active_connections"))
    yield gauge("dataplane_inactive_connections", "Connections that are ending", taken("inactive_connections"))
