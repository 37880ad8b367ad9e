"""Sends mails without ever waiting for the mail server: a bounded queue, a few connections, deadlines.

    mailer = Mailer(reactor, log)
    mailer.send(Relay(address="127.0.0.1"), Letter(sender=…, recipients=(…,), message=compose(headers, body)))

A mail that cannot be delivered is lost, as in keepalived: the log says why, and counters are kept by the reason's name.
`keepalived_letter` makes the messages of keepalived (keepalived-behaviour 6.4); other programs compose their own.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from email.utils import formatdate
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import msgspec

from pykeepalived.model.config import MailSettings
from pykeepalived.notify.connection import Connection, Ended, TlsError, TlsOptions
from pykeepalived.notify.idle import IdleWait
from pykeepalived.notify.smtp import QUIT, Dialogue, DialogueError, Letter, Login, compose
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.units import SECOND_US

if TYPE_CHECKING:
    import ssl

__all__ = ["Letter", "MailFailure", "Mailer", "Relay", "compose", "keepalived_letter", "relay_of"]

#: Mails that wait; more are refused. A thousand servers that die at once still get theirs.
QUEUE_LIMIT: Final = 2000
#: Connections at a time. Mails leave in order, so with more than one they may arrive a little out of it.
SESSIONS: Final = 4
#: A whole dialogue may take as many of its reply limits as this.
_WHOLE: Final = 4


class Relay(msgspec.Struct, frozen=True, kw_only=True):
    """A mail server."""

    address: str
    """IPv4 or IPv6, no name: nothing here asks a resolver."""
    port: int = 25
    helo_name: str = ""
    """Empty: this machine's name."""
    tls: TlsOptions | None = None
    """None: no TLS."""
    tls_starts: Literal["at once", "later"] = "later"
    """With the connection (RFC 8314 section 3), or by STARTTLS (RFC 3207); a mail never goes without it then."""
    login: Login | None = None
    """AUTH PLAIN or LOGIN (RFC 4954), whichever the server offers."""
    timeout_us: int = 30 * SECOND_US
    """Limit of the connect and of each reply; the whole dialogue has four times that."""


class MailFailure(Enum):
    """Why a mail was lost. The value is counter, log word and test id."""

    QUEUE_FULL = "queue-full"
    BAD_ADDRESS = "bad-address"
    CONNECT = "connect"
    CONNECT_TIMEOUT = "connect-timeout"
    REPLY_TIMEOUT = "reply-timeout"
    CLOSED = "closed"
    REFUSED = "refused"
    TLS = "tls"
    NO_LOGIN = "no-login"
    REPLY_TOO_LONG = "reply-too-long"
    STOPPED = "stopped"


class Log(Protocol):
    """The two levels that a mailer writes on."""

    def detail(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...


class Mailer:
    """Sends letters. One per process, on its reactor's thread."""

    def __init__(self, reactor: Reactor, log: Log) -> None:
        self._reactor = reactor
        self._log = log
        self._waiting: deque[tuple[Relay, Letter]] = deque()
        self._sessions: set[_Session] = set()
        self._idle = IdleWait(reactor, self.close)
        self._full = False
        self._contexts: dict[TlsOptions, ssl.SSLContext] = {}
        self.sent = 0
        self.lost: Counter[str] = Counter()
        """By the values of `MailFailure`."""

    def prepare(self, relay: Relay | None) -> None:
        """Load what TLS needs now (tens of milliseconds), not with the first mail; a reload reads the files again."""
        self._contexts.clear()
        if relay is not None and relay.tls is not None:
            from pykeepalived.notify.tls import tls_context  # noqa: PLC0415

            # Files that cannot be read are told with the first mail, which is lost.
            with contextlib.suppress(TlsError):
                self._contexts[relay.tls] = tls_context(relay.tls)

    def send(self, relay: Relay, letter: Letter) -> bool:
        """Take a letter; False: it is lost at once, and the log has said so."""
        if len(self._waiting) >= QUEUE_LIMIT:
            self.lost[MailFailure.QUEUE_FULL.value] += 1
            if not self._full:
                self._full = True
                self._log.error(f"{QUEUE_LIMIT} mails wait for SMTP server {_name(relay)} - dropping further ones")
            return False
        self._waiting.append((relay, letter))
        self._begin()
        return True

    def when_idle(self, limit_us: int, done: Callable[[], None]) -> None:
        """Call once when nothing waits or is on its way, at the latest after `limit_us`; what is left then is lost."""
        self._idle.wait(limit_us, done, idle_now=not self._sessions and not self._waiting)

    def close(self) -> None:
        """End all connections; what waits is lost."""
        left = len(self._waiting) + len(self._sessions)
        self._waiting.clear()
        for session in list(self._sessions):
            session.abandon()
        self._sessions.clear()
        self._idle.cancel()
        if left:
            self.lost[MailFailure.STOPPED.value] += left
            self._log.error(f"{left} mails were not sent before the end")

    def status(self) -> dict[str, Any]:
        return {"sent": self.sent, "waiting": len(self._waiting) + len(self._sessions), "lost": dict(self.lost)}

    def _begin(self) -> None:
        while self._waiting and len(self._sessions) < SESSIONS:
            relay, letter = self._waiting.popleft()
            session = _Session(self._reactor, self._log, relay, letter, self._ended, contexts=self._contexts)
            self._sessions.add(session)
            session.start()
        self._full = self._full and len(self._waiting) >= QUEUE_LIMIT

    def _ended(self, session: _Session, failure: MailFailure | None) -> None:
        self._sessions.discard(session)
        if failure is None:
            self.sent += 1
        else:
            self.lost[failure.value] += 1
        self._begin()
        if not self._sessions and not self._waiting:
            self._idle.idle()


class _Session:
    """One connection for one letter."""

    def __init__(
        self,
        reactor: Reactor,
        log: Log,
        relay: Relay,
        letter: Letter,
        ended: Callable[[_Session, MailFailure | None], None],
        *,
        contexts: Mapping[TlsOptions, ssl.SSLContext],
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._relay = relay
        self._ended = ended
        self._contexts = contexts
        starts = relay.tls is not None and relay.tls_starts == "later"
        helo_name = relay.helo_name or socket.gethostname()
        self._dialogue = Dialogue(letter, helo_name, login=relay.login, start_tls=starts)
        self._connection = Connection(
            reactor, opened=self._opened, received=self._received, ended=self._connection_ended
        )
        self._abandoned = False
        self._in_tls = False
        self._refused = False
        self._timer: Timer | None = None
        self._until_us = reactor.now_us() + _WHOLE * relay.timeout_us

    def start(self) -> None:
        """Begin; the end is always told from a later turn of the loop, never from inside."""
        self._reactor.call_soon(self._connect)

    def abandon(self) -> None:
        """End without a word."""
        self._abandoned = True
        self._release()
        self._ended = lambda session, failure: None

    def _connect(self) -> None:
        if not self._abandoned:
            self._arm()
            self._connection.start(self._relay.address, self._relay.port)

    def _opened(self) -> None:
        """TCP stands, or TLS."""
        self._arm()
        tls = self._relay.tls
        if self._in_tls:
            self._connection.send(self._dialogue.secured())
            return
        self._log.detail(f"Remote SMTP server {_name(self._relay)} connected.")
        if tls is not None and self._relay.tls_starts == "at once":
            self._begin_tls()

    def _begin_tls(self) -> None:
        assert self._relay.tls is not None
        self._in_tls = True
        self._connection.start_tls(self._relay.tls, self._contexts.get(self._relay.tls))

    def _received(self, data: bytes) -> None:
        step = self._dialogue.step
        try:
            answer = self._dialogue.feed(data)
        except DialogueError as error:
            self._refuse(error)
            return
        if self._dialogue.ended:
            self._succeed()
            return
        if self._dialogue.step != step:
            # A step forward earns a new limit; a server that only drips does not.
            self._arm()
        self._connection.send(answer)
        if self._dialogue.wants_tls and not self._in_tls:
            self._begin_tls()

    def _connection_ended(self, reason: Ended, text: str) -> None:
        if self._refused:
            return
        relay, name = self._relay, _name(self._relay)
        match reason:
            case Ended.BAD_ADDRESS:
                text = f"SMTP server `{relay.address}` is not an address - mail lost"
                self._lose(MailFailure.BAD_ADDRESS, text)
            case Ended.CONNECT:
                self._lose(MailFailure.CONNECT, f"SMTP connection ERROR to {name}. ({text})")
            case Ended.TLS:
                self._lose(MailFailure.TLS, f"TLS with SMTP server {name} failed: {text} - mail lost")
            case Ended.CLOSED if self._dialogue.accepted:
                self._succeed()
            case Ended.CLOSED:
                self._lose(MailFailure.CLOSED, f"Remote SMTP server {name} has closed the connection.")

    def _refuse(self, error: DialogueError) -> None:
        name = _name(self._relay)
        # A connection that is found closed now is not the reason any more.
        self._refused = True
        self._connection.send(QUIT)
        if not error.code and error.step == "reply-too-long":
            self._lose(MailFailure.REPLY_TOO_LONG, f"SMTP server {name} sends an endless reply - mail lost")
        elif not error.code and error.step == "early-data":
            self._lose(MailFailure.TLS, f"SMTP server {name} sends data between STARTTLS and TLS - mail lost")
        elif not error.code and error.step == "no-login":
            self._lose(MailFailure.NO_LOGIN, f"SMTP server {name} offers neither AUTH PLAIN nor LOGIN - mail lost")
        else:
            text = f"Error processing {error.step} cmd on SMTP server {name}. SMTP status code = {error.code}"
            self._lose(MailFailure.REFUSED, text)

    def _timed_out(self) -> None:
        self._timer = None
        name = _name(self._relay)
        if not self._connection.connected:
            self._lose(MailFailure.CONNECT_TIMEOUT, f"Timeout connecting SMTP server {name}.")
        elif self._dialogue.accepted:
            self._succeed()
        else:
            self._lose(MailFailure.REPLY_TIMEOUT, f"Timeout reading data to remote SMTP server {name}.")

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due_us = min(self._reactor.now_us() + self._relay.timeout_us, self._until_us)
        self._timer = self._reactor.call_at(due_us, self._timed_out)

    def _succeed(self) -> None:
        self._log.detail("SMTP alert successfully sent.")
        self._release()
        self._ended(self, None)

    def _lose(self, failure: MailFailure, text: str) -> None:
        self._log.error(text)
        self._release()
        self._ended(self, failure)

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._connection.close()


def _name(relay: Relay) -> str:
    return f"[{relay.address}]:{relay.port}"


# ---- keepalived's mails ----


def relay_of(settings: MailSettings) -> Relay | None:
    """The mail server of global_defs; None: no mails are sent."""
    if settings.address is None or not settings.recipients:
        return None
    return Relay(
        address=settings.address,
        port=settings.port,
        helo_name=settings.helo_name or "",
        tls=None
        if settings.tls == "off"
        else TlsOptions(
            name=settings.server or settings.address, ca_file=settings.tls_ca_file, verify=settings.tls_verify
        ),
        tls_starts="at once" if settings.tls == "implicit" else "later",
        login=None if settings.user is None else Login(settings.user, settings.password or ""),
        timeout_us=settings.connect_timeout_us,
    )


def keepalived_letter(
    settings: MailSettings, router_id: str | None, subject: str, body: str, recipients: tuple[str, ...] | None = None
) -> Letter:
    """keepalived's message; `subject` without the router's name. Without a sender: our user at this machine."""
    host = socket.gethostname()
    sender = settings.sender or f"{pwd.getpwuid(os.geteuid()).pw_name}@{host}"
    to = settings.recipients if recipients is None else recipients
    headers = (
        ("Date", formatdate(time.time(), localtime=True)),
        ("From", sender),
        ("Subject", f"[{router_id or host}] {subject}"),
        ("X-Mailer", "Keepalived"),
        ("To", ",\n ".join(to)),
    )
    return Letter(sender=sender, recipients=to, message=compose(headers, f"{body}\n\n"))
