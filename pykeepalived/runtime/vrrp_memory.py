"""What the parent remembers for a VRRP process that may be killed: states of instances, results of scripts.

The process tells every change (`Context.remember`), and a successor gets all of it. Keys are `instance NAME` and
`script NAME`; an instance's value holds what it must still be for the memory to count: STATE VRID FAMILY INTERFACE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from pykeepalived.model.vrrp import AuthType, VrrpInstance, VrrpState
from pykeepalived.vrrp.events import Action, Notify, NotifyKind, Renamed
from pykeepalived.vrrp.facts import instance_family
from pykeepalived.vrrp.status import InstanceStatus, ScriptStatus

_INSTANCE: Final = "instance "
_SCRIPT: Final = "script "
_STATES: Final = {state.name: state for state in (VrrpState.MASTER, VrrpState.BACKUP)}


def _value(state: str, instance: VrrpInstance) -> str:
    return f"{state} {instance.vrid} {instance_family(instance).name} {instance.interface}"


def of_actions(actions: Iterable[Action], find: Callable[[str], VrrpInstance | None]) -> dict[str, str]:
    """What these actions change; an empty value: forget it."""
    facts: dict[str, str] = {}
    for action in actions:
        if isinstance(action, Notify) and action.kind is NotifyKind.INSTANCE and " " not in action.state:
            instance = find(action.name)
            if action.state in {"MASTER", "BACKUP", "FAULT"} and instance is not None:
                facts[f"{_INSTANCE}{action.name}"] = _value(action.state, instance)
            elif action.state in {"STOP", "DELETED"}:
                facts[f"{_INSTANCE}{action.name}"] = ""
        elif isinstance(action, Renamed):
            facts[f"{_INSTANCE}{action.old}"] = ""
    return facts


def of_router(
    states: Iterable[InstanceStatus], scripts: Iterable[ScriptStatus], instances: Mapping[str, VrrpInstance]
) -> dict[str, str]:
    """Everything, as it is now."""
    facts = {f"{_INSTANCE}{item.name}": _value(item.state.name, instances[item.name]) for item in states}
    return facts | of_scripts(scripts)


def of_scripts(scripts: Iterable[ScriptStatus]) -> dict[str, str]:
    return {f"{_SCRIPT}{item.name}": "" if item.up is None else str(int(item.up)) for item in scripts}


def states_of(facts: Mapping[str, str], instances: Sequence[VrrpInstance]) -> dict[str, VrrpState]:
    """The remembered state of each instance that is still the same virtual router."""
    found: dict[str, VrrpState] = {}
    for instance in instances:
        value = facts.get(f"{_INSTANCE}{instance.name}", "")
        state = _STATES.get(value.partition(" ")[0])
        # An AH header has a number that only the dead process knew, and the others refuse a smaller one.
        if _has_ah(instance):
            continue
        if state is not None and value == _value(state.name, instance):
            found[instance.name] = state
    return found


def _has_ah(instance: VrrpInstance) -> bool:
    return instance.authentication is not None and instance.authentication.type is AuthType.AH


def scripts_of(facts: Mapping[str, str]) -> dict[str, bool]:
    known = {key.removeprefix(_SCRIPT): value for key, value in facts.items() if key.startswith(_SCRIPT)}
    return {name: value == "1" for name, value in known.items() if value}
