"""`--ldirectord`: the pools of an ldirectord.cf in one daemon with a keepalived.conf, and with its VRRP state.

A virtual service is served while its address is on this machine, where VRRP puts it when it becomes MASTER: on arrival
it comes into the table and its real servers are asked at once, on departure it leaves the table and its checks end. A
service by firewall mark has no address; it is served while any address of a VRRP instance is here. Together with
`lvs_sync_daemon`, whose role follows the instance, this does what Heartbeat and a watching cron job did around
ldirectord.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pykeepalived.dialects.ldirectord.voice import LdirectordVoice
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import AddressSelector, VirtualServer
from pykeepalived.reactor import Timer
from pykeepalived.runtime.checker_process import CheckerProgram
from pykeepalived.runtime.ldirectord_companions import Companions
from pykeepalived.runtime.lvs_checks import AddressWatch
from pykeepalived.runtime.program import FIRST_PART, Context, StatusPart
from pykeepalived.units import MILLISECOND_US

#: VRRP brings its addresses within this time of one another; one change of the table serves them all.
_TOGETHER_US: Final = 5 * MILLISECOND_US


class FollowingProgram:
    """`Program` of the checker child. Without an ldirectord.cf in the configuration it is the plain checker program."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._config = Config()
        self._companions: Companions | None = None
        self._addresses = AddressWatch(context, self._changed)
        self._pending: Timer | None = None
        self._served: tuple[VirtualServer, ...] = ()
        self._program: CheckerProgram | None = None

    def start(self, config: Config) -> None:
        self._config = config
        context = self._context
        if config.ldirectord is None:
            self._program = CheckerProgram(context)
            self._program.start(config)
            return
        self._addresses.open()
        self._companions = Companions(context, config.ldirectord.path, executes=False)
        self._program = CheckerProgram(context, voice=LdirectordVoice(), observer=self._companions)
        present = self._present()
        self._served = present.virtual_servers
        self._companions.prepare(present)
        self._program.start(present)
        self._companions.start(self._program)

    def reload(self, config: Config) -> None:
        self._config = config
        if self._companions is None:
            if self._program is not None:
                self._program.reload(config)
            return
        self._follow()

    def stop(self) -> None:
        self._addresses.close()
        if self._pending is not None:
            self._pending.cancel()
        if self._companions is not None:
            self._companions.stop()
            self._companions.close()
        if self._program is not None:
            self._program.stop()

    def status(self, part: StatusPart = FIRST_PART) -> dict[str, Any]:
        if self._program is None:
            return {}
        if self._companions is None:
            return self._program.status(part)
        waiting = len(self._config.virtual_servers) - len(self._served)
        return self._program.status(part) | {"services_elsewhere": waiting}

    def dump(self, kind: str) -> str | None:
        return None if self._program is None else self._program.dump(kind)

    # ---- following ----

    def _changed(self) -> None:
        """Addresses have come or gone."""
        if self._pending is None and self._program is not None:
            self._pending = self._context.reactor.call_later(_TOGETHER_US, self._look)

    def _look(self) -> None:
        self._pending = None
        if self._present().virtual_servers != self._served:
            self._follow()

    def _follow(self) -> None:
        assert self._companions is not None
        assert self._program is not None
        present = self._present()
        self._served = present.virtual_servers
        self._companions.about_to_reload()
        self._program.reload(present)
        self._companions.reload(present)

    def _present(self) -> Config:
        """The configuration with the virtual servers that are served here now."""
        config = self._config
        floating = [
            each.prefix.address
            for instance in config.instances
            for each in (*instance.addresses, *instance.excluded_addresses)
        ]
        marks = not floating or any(self._addresses.has(address) for address in floating)

        def here(server: VirtualServer) -> bool:
            if isinstance(server.selector, AddressSelector):
                return self._addresses.has(server.selector.address)
            return marks

        return msgspec.structs.replace(
            config, virtual_servers=tuple(server for server in config.virtual_servers if here(server))
        )
