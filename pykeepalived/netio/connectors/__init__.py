"""The edge of the health checks: performs the commands of conversations on the reactor.

    connectors = Connectors(reactor, scripts, note)
    talk = connectors.perform(conversation, timeout_us, done)

`done(outcome)` is called exactly once, possibly before `perform` returns, unless `talk.cancel()` comes first. Parts:
`talk` runs one conversation, `stream` and `tls` carry bytes, `datagram` asks over UDP, `echo` pings, `names` resolves,
`listener` lets a server connect to us; `netio.clients` asks with libraries that block.
"""

from __future__ import annotations

from collections.abc import Callable

from pykeepalived.checkers.conversation import Conversation, Note, Outcome
from pykeepalived.checkers.udp import filler
from pykeepalived.netio.clients import ClientPool
from pykeepalived.netio.connectors.echo import EchoHub
from pykeepalived.netio.connectors.names import NameService
from pykeepalived.netio.connectors.talk import Talk
from pykeepalived.netio.connectors.tls import TlsContexts
from pykeepalived.processes.scripts import ScriptRunner
from pykeepalived.reactor import Reactor

__all__ = ["Connectors", "Talk"]


class Connectors:
    """Everything that conversations share: TLS settings, echoes, the resolver's thread, scripts, client processes."""

    def __init__(self, reactor: Reactor, scripts: ScriptRunner, note: Callable[[Note], None]) -> None:
        self.reactor = reactor
        self.scripts = scripts
        self.note = note
        self.tls_contexts = TlsContexts()
        self.echoes = EchoHub(reactor, filler)
        self.names = NameService(reactor)
        self.clients = ClientPool(reactor)

    def perform(self, conversation: Conversation, timeout_us: int, done: Callable[[Outcome], None]) -> Talk:
        """Run a conversation; it ends within `timeout_us` as a whole."""
        talk = Talk(self, conversation, timeout_us, done)
        talk.advance()
        return talk

    def close(self) -> None:
        """Release what is shared. Running talks are their owner's to cancel first."""
        self.echoes.close()
        self.names.close()
        self.clients.close()
