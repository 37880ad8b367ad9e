"""The BFD process: control packets in and out, and news of sessions to the VRRP and the checker process."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from pykeepalived.bfd.events import Action, Changed, Close, Log, Open, Received, Send, Tick
from pykeepalived.bfd.sessions import Sessions
from pykeepalived.model.bfd import BfdInstance
from pykeepalived.model.config import Config
from pykeepalived.netio import bfd_sockets
from pykeepalived.netio.bfd_sockets import Place, place_of
from pykeepalived.netio.frames.bfd import PacketCache
from pykeepalived.reactor import READ, Timer
from pykeepalived.runtime import bfd_dump
from pykeepalived.runtime.bfd_link import BfdTeller
from pykeepalived.runtime.program import FIRST_PART, Context, StatusPart
from pykeepalived.units import SECOND_US

#: How soon a socket that could not be had is tried again.
_RETRY_US: Final = SECOND_US
_BURSTS: Final = 16


class BfdProgram:
    """Implements `runtime.program.Program`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._log = context.log
        self._reactor = context.reactor
        # Discriminators must not be guessed, and those of another run not come again.
        self._sessions = Sessions(random.SystemRandom().random)
        self._packets = PacketCache()
        self._config = Config()
        self._receivers: dict[Place, socket.socket] = {}
        self._configs: dict[int, BfdInstance] = {}
        self._senders: dict[int, socket.socket] = {}
        self._complaints: dict[object, str] = {}
        """What was said about a socket or a session, so that it is said once."""
        self._teller = BfdTeller(context.reactor, context.bfd, self._states)
        self._timer: Timer | None = None
        self._timer_us: int | None = None
        self._retry: Timer | None = None
        self._stopped = False

    # ---- Program ----

    def start(self, config: Config) -> None:
        self._take(config)

    def reload(self, config: Config) -> None:
        self._take(config)

    def stop(self) -> None:
        """The sockets are just closed, as the original does: the neighbours notice by the silence."""
        if self._stopped:
            return
        self._stopped = True
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        for place in list(self._receivers):
            self._close_receiver(place)
        for sender in self._senders.values():
            sender.close()
        self._senders.clear()
        self._teller.close()
        self._context.finished(0)

    def status(self, part: StatusPart = FIRST_PART) -> dict[str, Any]:
        return bfd_dump.status(self._sessions, self._reactor.now_us())

    def dump(self, kind: str) -> str | None:
        return bfd_dump.data(self._sessions, self._reactor.now_us()) if kind == "data" else None

    # ---- configuration ----

    def _take(self, config: Config) -> None:
        self._config = config
        self._perform(self._sessions.configure(config.bfd_instances, self._reactor.now_us()))
        self._open_sockets()
        self._teller.tell_all()
        self._feed_tick()

    def _states(self, word: str) -> Mapping[str, bool]:
        heard = {item.name for item in self._config.bfd_instances if getattr(item, word)}
        return {name: up for name, up in self._sessions.states().items() if name in heard}

    def _open_sockets(self) -> None:
        """Have the sockets that the sessions need; what cannot be had now is tried again."""
        wanted = {place_of(config) for config in self._configs.values()}
        for place in list(self._receivers):
            if place not in wanted:
                self._close_receiver(place)
        missing = False
        for place in sorted(wanted - set(self._receivers), key=lambda item: (item.family, item.multihop)):
            try:
                receiver = bfd_sockets.open_receiver(place)
            except OSError as error:
                missing = True
                self._complain(place, f"BFD cannot receive on port {place.port} - {error.strerror}")
                continue
            self._complaints.pop(place, None)
            self._receivers[place] = receiver
            self._reactor.watch(receiver.fileno(), READ, partial(self._on_packets, place))
        self._filter()
        for session, config in self._configs.items():
            if session not in self._senders:
                try:
                    self._senders[session] = bfd_sockets.open_sender(config)
                except OSError as error:
                    missing = True
                    self._complain(session, f"({config.name}) cannot send from {config.source} - {error.strerror}")
        if missing and self._retry is None:
            self._retry = self._reactor.call_later(_RETRY_US, self._try_again)

    def _filter(self) -> None:
        """What no session of a place would take does not get into its socket."""
        for place, receiver in self._receivers.items():
            least = min((item.least_ttl for item in self._configs.values() if place_of(item) == place), default=0)
            try:
                bfd_sockets.drop_low_ttls(receiver, place.family, least)
            except OSError as error:
                # The ladder refuses the same packets, only later.
                self._complain(("filter", place), f"BFD cannot filter by TTL - {error.strerror}")

    def _try_again(self) -> None:
        self._retry = None
        self._open_sockets()

    def _close_receiver(self, place: Place) -> None:
        receiver = self._receivers.pop(place)
        self._reactor.unwatch(receiver.fileno())
        receiver.close()

    def _complain(self, about: object, text: str) -> None:
        if self._complaints.get(about) != text:
            self._complaints[about] = text
            self._log.error(text)

    # ---- what comes in ----

    def _on_packets(self, place: Place, _ready: int) -> None:
        self._hear(place)
        self._arm()

    def _hear(self, place: Place) -> bool:
        """Take one burst; True when there may be more."""
        receiver = self._receivers.get(place)
        if receiver is None:
            return False
        count = 0
        for item in bfd_sockets.read(receiver):
            count += 1
            event = Received(item.data, item.source, item.ttl, place.multihop)
            self._perform(self._sessions.handle(event, self._reactor.now_us()))
        return count >= bfd_sockets.BURST

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_us = None
        # A neighbour whose packets are in the socket is not silent, however late we are.
        for place in list(self._receivers):
            for _ in range(_BURSTS):
                if not self._hear(place):
                    break
        self._feed_tick()

    def _feed_tick(self) -> None:
        self._perform(self._sessions.handle(Tick(), self._reactor.now_us()))
        self._arm()

    def _arm(self) -> None:
        due_us = None if self._stopped else self._sessions.wake_at()
        if due_us == self._timer_us:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_us = due_us
        self._timer = None if due_us is None else self._reactor.call_at(due_us, self._on_timer)

    # ---- what goes out ----

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send():
                    self._send(action)
                case Changed():
                    self._tell(action)
                case Log():
                    (self._log.detail if action.detail else self._log.info)(action.text)
                case Open():
                    self._configs[action.session] = action.config
                case Close():
                    self._forget(action.session)

    def _send(self, action: Send) -> None:
        sender, config = self._senders.get(action.session), self._configs.get(action.session)
        if sender is None or config is None:
            return
        try:
            bfd_sockets.send(sender, config, self._packets.packet(action.control))
        except BlockingIOError:
            pass
        except OSError as error:
            self._complain(action.session, f"({config.name}) cannot send - {error.strerror}")
        else:
            self._complaints.pop(action.session, None)

    def _tell(self, action: Changed) -> None:
        for item in self._config.bfd_instances:
            if item.name == action.name:
                for word, wanted in (("vrrp", item.vrrp), ("checker", item.checker)):
                    if wanted:
                        self._teller.tell(word, action.name, action.up)
        self._context.emit("bfd-session", {"name": action.name, "up": action.up})

    def _forget(self, session: int) -> None:
        self._configs.pop(session, None)
        self._complaints.pop(session, None)
        sender = self._senders.pop(session, None)
        if sender is not None:
            sender.close()
        self._open_sockets()
