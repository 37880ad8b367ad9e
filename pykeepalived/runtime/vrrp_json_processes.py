"""The part `track_process` of keepalived.json, version 2 (keepalived-behaviour 5.2)."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.model.vrrp import ParamMatch
from pykeepalived.runtime.vrrp_view import View, number
from pykeepalived.units import SECOND_US

_MATCHES: Final = {
    ParamMatch.NONE: "none", ParamMatch.EXACT: "exact", ParamMatch.PARTIAL: "partial", ParamMatch.INITIAL: "initial",
}  # fmt: skip


def process_objects(view: View) -> list[dict[str, Any]]:
    """One object for each vrrp_track_process, in file order."""
    states = {item.name: item for item in view.processes}
    found = []
    for config in view.config.track_processes:
        state = states.get(config.name)
        waiting = state is not None and state.waiting
        up = state is not None and state.up
        each: dict[str, Any] = {"process": config.name}
        if config.parameters:
            each["parameters"] = " ".join(config.parameters)
        each["param_match"] = _MATCHES[config.param_match]
        each["min_processes"] = config.quorum
        if config.quorum_max is not None:
            each["max_processes"] = config.quorum_max
        each |= {
            "current_processes": 0 if state is None or state.count is None else state.count,
            "have_quorum": up,
            "weight": -config.weight if config.reverse else config.weight,
            "terminate_delay": number(config.terminate_delay_us / SECOND_US),
            "fork_delay": number(config.fork_delay_us / SECOND_US),
            "fork_delay_timer_running": waiting and not up,
            "terminate_delay_timer_running": waiting and up,
            "full_command": config.full_command,
        }
        found.append(each)
    return found
