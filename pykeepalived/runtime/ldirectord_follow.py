"""`--ldirectord`: the pools of an ldirectord.cf in one daemon with a keepalived.conf, and with its VRRP state.

A virtual service is served while its address is on this machine, where VRRP puts it when it becomes MASTER: on arrival
it comes into the table and its real servers are asked at once, on departure it leaves the table and its checks end. A
service by firewall mark has no address; it is served while any address of a VRRP instance is here. Together with
`lvs_sync_daemon`, whose role follows the instance, this does what Heartbeat and a watching cron job did around
ldirectord.

Virtual servers of the keepalived.conf live beside them, as keepalived has them: two checker programs write to one
dataplane, each its own services in the words of its own dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pykeepalived.dataplane import Dataplane, DataplaneUnavailable
from pykeepalived.dataplane.select import open_dataplane
from pykeepalived.dialects.ldirectord.voice import LdirectordVoice
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import AddressSelector, VirtualServer
from pykeepalived.reactor import Timer
from pykeepalived.runtime.checker_process import EXIT_FATAL, CheckerProgram
from pykeepalived.runtime.ldirectord_companions import Companions
from pykeepalived.runtime.lvs_checks import AddressWatch
from pykeepalived.runtime.program import FIRST_PART, Context, StatusPart
from pykeepalived.units import MILLISECOND_US

#: VRRP brings its addresses within this time of one another; one change of the table serves them all.
_TOGETHER_US: Final = 5 * MILLISECOND_US


class FollowingProgram:
    """`Program` of the checker child. Without an ldirectord.cf in the configuration it is the plain checker program.

    `dataplane`: use this one instead of choosing.
    """

    def __init__(self, context: Context, *, dataplane: Dataplane | None = None) -> None:
        self._context = context
        self._dataplane = dataplane
        self._config = Config()
        self._companions: Companions | None = None
        self._addresses = AddressWatch(context, self._changed)
        self._pending: Timer | None = None
        self._served: tuple[VirtualServer, ...] = ()
        self._plain: CheckerProgram | None = None
        """Keepalived's half."""
        self._following: CheckerProgram | None = None
        """Ldirectord's half."""

    def start(self, config: Config) -> None:
        self._config = config
        context = self._context
        if config.ldirectord is None:
            self._plain = CheckerProgram(context, dataplane=self._dataplane)
            self._plain.start(config)
            return
        if self._dataplane is None:
            try:
                self._dataplane = open_dataplane(config.globals.lvs_dataplane, context.log.info)
            except DataplaneUnavailable as error:
                context.log.error(f"IPVS: Can't initialize ipvs: {error}")
                context.finished(EXIT_FATAL)
                return
        # This one first: it may empty the table, as lvs_flush says.
        self._plain = CheckerProgram(
            msgspec.structs.replace(context, finished=self._plain_ended), dataplane=self._dataplane
        )
        self._plain.start(_keepalived_half(config))
        self._addresses.open()
        self._companions = Companions(context, config.ldirectord.path, executes=False)
        self._following = CheckerProgram(
            msgspec.structs.replace(context, finished=self._following_ended),
            voice=LdirectordVoice(), observer=self._companions, dataplane=self._dataplane,
        )  # fmt: skip
        present = self._present()
        self._served = present.virtual_servers
        self._companions.prepare(present)
        self._following.start(present)
        self._companions.start(self._following.holds)

    def reload(self, config: Config) -> None:
        self._config = config
        if self._plain is not None:
            self._plain.reload(config if self._companions is None else _keepalived_half(config))
        if self._companions is not None:
            self._follow()

    def stop(self) -> None:
        self._addresses.close()
        if self._pending is not None:
            self._pending.cancel()
        if self._companions is not None:
            self._companions.stop()
            self._companions.close()
        if self._following is not None:
            self._following.stop()
        elif self._plain is not None:
            self._plain.stop()

    def _following_ended(self, _code: int) -> None:
        assert self._plain is not None
        self._plain.stop()

    def _plain_ended(self, code: int) -> None:
        if self._dataplane is not None:
            self._dataplane.close()
        self._context.finished(code)

    def status(self, part: StatusPart = FIRST_PART) -> dict[str, Any]:
        if self._plain is None:
            return {}
        if self._following is None:
            return self._plain.status(part)
        waiting = len(self._config.ldirectord_servers) - len(self._served)
        return _both_status(self._following, self._plain, part) | {"services_elsewhere": waiting}

    def dump(self, kind: str) -> str | None:
        texts = [text for half in (self._plain, self._following) if half is not None and (text := half.dump(kind))]
        return "".join(texts) or None

    # ---- following ----

    def _changed(self) -> None:
        """Addresses have come or gone."""
        if self._pending is None and self._following is not None:
            self._pending = self._context.reactor.call_later(_TOGETHER_US, self._look)

    def _look(self) -> None:
        self._pending = None
        if self._present().virtual_servers != self._served:
            self._follow()

    def _follow(self) -> None:
        assert self._companions is not None
        assert self._following is not None
        present = self._present()
        self._served = present.virtual_servers
        self._companions.about_to_reload()
        self._following.reload(present)
        self._companions.reload(present)

    def _present(self) -> Config:
        """Ldirectord's half: the virtual servers that are served here now. What there is once is the other half's."""
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

        globals_ = msgspec.structs.replace(
            config.globals, sync_daemon=None, lvs_flush=False, lvs_flush_on_stop=None, lvs_timeouts=None,
            notify_fifo=None, lvs_notify_fifo=None,
        )  # fmt: skip
        return Config(
            globals=globals_,
            virtual_servers=tuple(server for server in config.ldirectord_servers if here(server)),
            ldirectord=config.ldirectord,
        )


def _keepalived_half(config: Config) -> Config:
    return msgspec.structs.replace(config, ldirectord=None, ldirectord_servers=())


def _both_status(first: CheckerProgram, second: CheckerProgram, part: StatusPart) -> dict[str, Any]:
    """The virtual servers of both, numbered on, with counts of all."""
    counts = first.status(StatusPart(0, 0)), second.status(StatusPart(0, 0))
    both = counts[0] | {name: _sum(counts[0][name], counts[1][name]) for name in ("table", "mails", "probes", "counts")}
    services: list[dict[str, Any]] = []
    room, number, following = part.servers, part.first, None
    start = 0
    for half, count in zip((first, second), counts, strict=True):
        end = start + count["counts"]["services"]
        if start <= number < end and part.servers:
            if room <= 0:
                following = number
                break
            page = half.status(StatusPart(number - start, room))
            services += page["services"]
            room -= sum(max(1, len(service["servers"])) for service in page["services"])
            if page["next"] is not None:
                following = start + page["next"]
                break
            number = end
        start = end
    return both | {"services": services, "next": following}


def _sum(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers added, also those inside."""
    return {
        name: _sum(value, second.get(name, {})) if isinstance(value, Mapping) else value + second.get(name, 0)
        for name, value in (dict.fromkeys(second, 0) | dict(first)).items()
    }
