"""All virtual routers of one process as one state machine.

An edge feeds events (`handle`) and does the returned actions in their order; it calls with `Tick` at `wake_at()`.
"""

from __future__ import annotations

from pykeepalived.model.config import Config
from pykeepalived.vrrp.events import Action, Event, GroupStatus, InstanceStatus, ScriptStatus


class Router:
    """The VRRP side of one configuration generation after the other.

    Before `Start`, feed `LinkChanged` for every interface that the configuration names and `SourceAddressChanged` for
    every instance; the same, for what is new, before `reload`. An interface that was never mentioned is down, and an
    instance without a configured source whose address was never mentioned has none.

    Packets that are already in the socket go in before `Tick`: after a pause of the whole process they tell that the
    master is alive, and a timer that is handled first would start a needless election.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def handle(self, event: Event, now_us: int) -> tuple[Action, ...]:
        """Take one event; the actions are to be done in their order. Never raises for any event."""
        return ()

    def wake_at(self) -> int | None:
        """The instant at which `Tick` is due, or None when nothing is pending."""
        return None

    def reload(self, config: Config, now_us: int) -> tuple[Action, ...]:
        """Change to another generation (keepalived-behaviour 7.9).

        Instances are matched by VRID, family and interface (unicast: also the source address), not by name. Actions
        about instances that are gone come first and name them as the old configuration does.
        """
        self._config = config
        return ()

    def status(self) -> tuple[InstanceStatus, ...]:
        """All instances in file order."""
        return ()

    def group_status(self) -> tuple[GroupStatus, ...]:
        """All sync groups in file order."""
        return ()

    def script_status(self) -> tuple[ScriptStatus, ...]:
        """All vrrp_scripts in file order."""
        return ()
