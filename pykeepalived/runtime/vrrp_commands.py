"""What the VRRP process does for the control socket: `explain`, `standby`, `resume`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpState
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.program import Context
from pykeepalived.runtime.vrrp_standby import StandbyKeeper
from pykeepalived.vrrp.events import Action, Announce
from pykeepalived.vrrp.router import Router


class Refused(Exception):
    """A command that cannot be carried out; the text says why."""


class VrrpCommands:
    """Carries commands out. `router` is asked at each command: a reload changes what it holds."""

    def __init__(
        self,
        context: Context,
        router: Router,
        keeper: StandbyKeeper,
        perform: Callable[[Sequence[Action]], None] = lambda actions: None,
    ) -> None:
        self._perform = perform
        self._context = context
        self._reactor: Reactor = context.reactor
        self._router = router
        self._keeper = keeper

    def command(self, name: str, arguments: Mapping[str, Any], config: Config) -> dict[str, Any]:
        """The answer; `error` says why there is none."""
        try:
            match name:
                case "explain":
                    return self._explain(str(arguments.get("name", "")), config)
                case "announce":
                    return self._announce(str(arguments.get("name", "")), config)
                case "standby" | "resume":
                    return self._standby(name == "standby", arguments, config)
                case _:
                    return {"error": f"unknown command {name!r}"}
        except Refused as refused:
            return {"error": str(refused)}

    def _explain(self, name: str, config: Config) -> dict[str, Any]:
        now_us = self._reactor.now_us()
        found = [self._router.explain(item, now_us) for item in _members(name, config)]
        for item in found:
            if item is not None:
                item["standby_until"] = self._keeper.until.get(item["name"])
        return {"instances": [item for item in found if item is not None]}

    def _announce(self, name: str, config: Config) -> dict[str, Any]:
        wanted = set(_members(name, config))
        found = [item for item in self._router.status() if item.name in wanted and item.state is VrrpState.MASTER]
        repeat = {item.name: item.garp.repeat for item in config.instances}
        for item in found:
            self._context.log.detail(f"({item.name}) Sending/queueing gratuitous ARPs or NAs, as somebody asked for")
        self._perform([Announce(item.name, repeat[item.name]) for item in found])
        return {"announced": [item.name for item in found]}

    def _standby(self, on: bool, arguments: Mapping[str, Any], config: Config) -> dict[str, Any]:
        wished = str(arguments.get("name", ""))
        names = _members(wished, config) if wished else [item.name for item in config.instances]
        if on:
            self._keeper.hold(names, arguments.get("for_s"))
        else:
            self._keeper.release(names)
        now = {item.name: item for item in self._router.status()}
        moved = [name for name in names if name in now]
        # A sync group goes as a whole.
        self._keeper.follow(now.values())
        for name in moved:
            self._context.emit(
                "vrrp-standby",
                {"name": name, "on": on, "until": self._keeper.until.get(name), "state": now[name].state.name},
            )
        return {
            "instances": [
                {
                    "name": item.name,
                    "state": "STANDBY" if item.standby and item.state.name == "BACKUP" else item.state.name,
                    "standby": item.standby,
                    "standby_until": self._keeper.until.get(item.name),
                }
                for item in now.values()
                if item.name in names or item.standby
            ]
        }


def _members(name: str, config: Config) -> list[str]:
    """The instance of that name, or the members of the sync group."""
    if any(item.name == name for item in config.instances):
        return [name]
    group = next((item for item in config.sync_groups if item.name == name), None)
    if group is None:
        raise Refused(f"no VRRP instance and no sync group is called {name[:100]!r}")
    return list(group.members)
