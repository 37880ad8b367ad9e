"""The agents process: SNMP, D-Bus, journal and webhook, told by the parent what happens, asking it what it is asked.

It changes nothing by itself and nothing waits for it: when it is slow, or ends, adverts and checks go on.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from pykeepalived.model.config import Config
from pykeepalived.notify.dbus.service import Service
from pykeepalived.notify.journal import Journal
from pykeepalived.notify.snmp.agent import Agent, Given
from pykeepalived.notify.snmp.facts import Facts
from pykeepalived.notify.snmp.modules import Module, served
from pykeepalived.notify.snmp.traps import TRAP_OID, traps
from pykeepalived.notify.snmp.tree import Tree
from pykeepalived.notify.webhook import Webhook
from pykeepalived.runtime import signals
from pykeepalived.runtime.agent_facts import FactSource
from pykeepalived.runtime.capabilities import NET_ADMIN, lacks, of_agents, permitted
from pykeepalived.runtime.program import FIRST_PART, Context, StatusPart
from pykeepalived.units import SECOND_US

#: At the end: how long the last news may take to arrive and leave.
_LAST_WORDS_US: Final = SECOND_US
#: What a successor is to know: the number of the last event.
_TOLD: Final = "told"
#: Events that may be traps.
_TRAPPED: Final = frozenset(("vrrp-state", "real-server", "virtual-server", "packet-refused"))
#: The signals that have the daemon write its files.
_DUMPS: Final = {
    f"Print{word}": next(number for number, kind in signals.DUMPS.items() if kind == what)
    for word, what in (("Data", "data"), ("Stats", "stats"), ("StatsClear", "stats_clear"))
}


class AgentsProgram:
    """Implements `runtime.program.Program`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._config = Config()
        self._facts = FactSource(context)
        self._modules: tuple[Module, ...] = ()
        self._agent = Agent(context.reactor, context.log, self._give_tree)
        self._dbus = Service(context.reactor, context.log, act=self._act, state=self._state_of)
        self._journal = Journal(context.log)
        self._webhook = Webhook(context.reactor, context.log)
        self._tree: tuple[Facts, Tree] | None = None
        self._stopped = False
        self._ended = False
        self._news = 0
        self._rights = False

    # ---- Program ----

    def start(self, config: Config) -> None:
        # Who is started without rights has none to get back.
        self._rights = not lacks((NET_ADMIN,), permitted())
        self._take(config)
        # What a predecessor has told is not told again.
        since = int(self._context.memory.get(_TOLD, "0"))
        self._context.ask("events", {"follow": True, "since": since}, self._heard)

    def reload(self, config: Config) -> None:
        if self._rights and lacks(of_agents(config.globals), permitted()):
            self._context.log.info("Agents: the new configuration needs rights that were given up - starting again")
            self._close()
            return
        self._take(config)
        self._dbus.daemon_changed("VrrpReloaded")

    def stop(self) -> None:
        """The parent has sent all news before the answer to a last question."""
        if self._stopped:
            return
        self._stopped = True
        self._context.reactor.call_later(_LAST_WORDS_US, self._end)
        self._context.ask("identity", {}, lambda body: self._facts.give(lambda facts: self._end()))

    def status(self, part: StatusPart = FIRST_PART) -> dict[str, Any]:
        return {
            "snmp": self._agent.has_session,
            "dbus": self._dbus.owns,
            "news": self._news,
            "webhook": self._webhook.status(),
        }

    def dump(self, kind: str) -> str | None:
        return None

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._webhook.when_idle(_LAST_WORDS_US, self._close)

    def _close(self) -> None:
        self._webhook.close()
        self._dbus.daemon_changed("VrrpStopped")
        self._dbus.close()
        self._journal.close()
        self._agent.close()
        self._facts.close()
        self._context.finished(0)

    def _take(self, config: Config) -> None:
        self._config = config
        settings = config.globals.agents
        self._facts.configure(config)
        self._modules = served(settings)
        self._tree = None
        self._dbus.configure(config)
        self._webhook.configure(settings, config.globals.router_id or socket.gethostname())
        self._agent.configure(settings.snmp_socket, [module.subtree for module in self._modules])

    # ---- news ----

    def _heard(self, body: Mapping[str, Any]) -> None:
        for event in (body.get("result") or {}).get("events", ()):
            self._news += 1
            self._tell(event)
            self._context.remember({_TOLD: str(event["seq"])})

    def _tell(self, event: Mapping[str, Any]) -> None:
        settings = self._config.globals.agents
        if settings.journal_events:
            self._journal.send(event)
        self._webhook.send(event)
        if event["event"] == "vrrp-state" and event["kind"] == "INSTANCE":
            self._dbus.status_changed(str(event["name"]), str(event["state"]))
        if not settings.snmp or event["event"] not in _TRAPPED:
            return
        self._facts.forget()
        if event.get("state") == "MASTER":
            self._facts.became_master(str(event["name"]))
        if settings.enable_traps:
            self._facts.give(lambda facts: self._send_traps(event, facts))

    def _send_traps(self, event: Mapping[str, Any], facts: Facts) -> None:
        for trap, binds in traps(event, facts, self._config.globals.agents):
            self._agent.notify(trap, binds, TRAP_OID)

    # ---- questions ----

    def _act(self, method: str, instance: str) -> None:
        """What a call of D-Bus asks for: dumps as by the signals, a reload, or announcements."""
        self._context.log.info(f"D-Bus: {method} {instance}".rstrip())
        if method == "ReloadConfig":
            self._context.ask("reload", {}, lambda body: None)
        elif method == "SendGarp":
            self._context.ask("announce", {"name": instance}, lambda body: None)
        else:
            with contextlib.suppress(OSError):
                os.kill(os.getppid(), _DUMPS[method])

    def _state_of(self, name: str, told: Callable[[str], None]) -> None:
        def answer(facts: Facts) -> None:
            told(next((item.state for item in facts.instances if item.config.name == name), "INIT"))

        self._facts.give(answer)

    def _give_tree(self, given: Given) -> None:
        self._facts.give(lambda facts: given(self._grown(facts)))

    def _grown(self, facts: Facts) -> Tree:
        """One tree for one set of facts."""
        if self._tree is None or self._tree[0] is not facts:
            self._tree = facts, Tree([table for module in self._modules for table in module.tables], facts)
        return self._tree[1]
