"""Events as JSON to a web server, one POST each: in order, a bounded queue, a bounded number of tries.

    webhook = Webhook(reactor, log)
    webhook.configure(settings, "lb1")
    webhook.send(event)

A status of 2xx is success. After an answer that asks to come again (408, 425, 429, 5xx; RFC 9110 section 15), and when
none comes, there is another try, later each time; another status means that the event is lost. What is lost is counted
by the reason's name, and the log says so.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Protocol

import msgspec

from pykeepalived.model.agents import AgentSettings
from pykeepalived.model.webhook import WebhookPlace, webhook_place
from pykeepalived.notify.connection import Connection, Ended, TlsOptions
from pykeepalived.notify.idle import IdleWait
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.units import SECOND_US

__all__ = ["EVENTS", "Webhook", "WebhookFailure"]

#: The events that are told; mails, scripts and refusals stay here.
EVENTS: Final = frozenset({"vrrp-state", "real-server", "real-server-weight", "virtual-server", "sorry-server"})
#: Events that wait; more are lost.
QUEUE_LIMIT: Final = 1000
#: Pauses before the second and later tries of one event.
PAUSES_US: Final = (1 * SECOND_US, 2 * SECOND_US, 4 * SECOND_US, 8 * SECOND_US)
#: Of an answer's head; its body is not read.
_HEAD_LIMIT: Final = 16 * 1024
_AGAIN: Final = frozenset({408, 425, 429})


class WebhookFailure(Enum):
    """Why a try failed, or an event was lost. The value is counter, log word and test id."""

    QUEUE_FULL = "queue-full"
    UNKNOWN_HOST = "unknown-host"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    NOT_HTTP = "not-http"
    REPLY_TOO_LONG = "reply-too-long"
    BUSY = "busy"
    """A status that asks to come again."""
    REFUSED = "refused"
    STOPPED = "stopped"


#: Another try is of no use.
_FINAL: Final = frozenset({WebhookFailure.REFUSED, WebhookFailure.NOT_HTTP, WebhookFailure.REPLY_TOO_LONG})
_OF_CONNECTION: Final = {
    Ended.BAD_ADDRESS: WebhookFailure.UNKNOWN_HOST,
    Ended.CONNECT: WebhookFailure.CONNECT,
    Ended.TLS: WebhookFailure.TLS,
    Ended.CLOSED: WebhookFailure.CLOSED,
}


class Log(Protocol):
    def error(self, text: str) -> None: ...


class Webhook:
    """One per process, on its reactor's thread."""

    def __init__(self, reactor: Reactor, log: Log, pauses_us: tuple[int, ...] = PAUSES_US) -> None:
        self._reactor = reactor
        self._log = log
        self._pauses_us = pauses_us
        self._settings = AgentSettings()
        self._place: WebhookPlace | None = None
        self._router = ""
        self._waiting: deque[bytes] = deque()
        self._try: _Try | None = None
        self._tries = 0
        self._pause: Timer | None = None
        self._full = False
        self._idle = IdleWait(reactor, self.close)
        self.sent = 0
        self.lost: Counter[str] = Counter()
        """By the values of `WebhookFailure`."""
        self.retried: Counter[str] = Counter()

    def configure(self, settings: AgentSettings, router: str) -> None:
        """Take a configuration; what waits goes to its URL, or is lost when it has none."""
        self._settings = settings
        self._router = router
        self._place = webhook_place(settings.webhook_url) if settings.webhook_url is not None else None
        if self._place is None:
            self.close()

    def send(self, event: Mapping[str, Any]) -> None:
        """Tell of an event of `keepalivedctl events`, with the name of this router; others than `EVENTS` are not."""
        if self._place is None or event["event"] not in EVENTS:
            return
        if len(self._waiting) >= QUEUE_LIMIT:
            self.lost[WebhookFailure.QUEUE_FULL.value] += 1
            if not self._full:
                self._full = True
                self._log.error(f"{QUEUE_LIMIT} events wait for the webhook {self._name()} - dropping further ones")
            return
        self._waiting.append(msgspec.json.encode({**event, "router_id": self._router}))
        if self._try is None and self._pause is None:
            self._begin()

    def when_idle(self, limit_us: int, done: Callable[[], None]) -> None:
        """Call once when nothing waits, at the latest after `limit_us`; what is left then is lost."""
        self._idle.wait(limit_us, done, idle_now=not self._waiting)

    def close(self) -> None:
        """End; what waits is lost."""
        if self._try is not None:
            self._try.close()
            self._try = None
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._idle.cancel()
        if self._waiting:
            self.lost[WebhookFailure.STOPPED.value] += len(self._waiting)
            self._log.error(f"{len(self._waiting)} events were not sent to the webhook before the end")
            self._waiting.clear()

    def status(self) -> dict[str, Any]:
        lost, retried = dict(self.lost), dict(self.retried)
        return {"sent": self.sent, "waiting": len(self._waiting), "lost": lost, "retried": retried}

    def _begin(self) -> None:
        self._pause = None
        if self._place is None or not self._waiting:
            return
        self._tries += 1
        self._try = _Try(self._reactor, self._place, self._settings, self._waiting[0], self._ended)
        self._try.start()

    def _ended(self, failure: WebhookFailure | None, text: str) -> None:
        self._try = None
        if failure is None:
            self.sent += 1
        elif failure not in _FINAL and self._tries <= len(self._pauses_us):
            self.retried[failure.value] += 1
            self._pause = self._reactor.call_later(self._pauses_us[self._tries - 1], self._begin)
            return
        else:
            self.lost[failure.value] += 1
            self._log.error(f"Webhook {self._name()}: {text} - event lost after {self._tries} tries")
        self._waiting.popleft()
        self._tries = 0
        self._full = False
        if self._waiting:
            # From a later turn: a server that fails at once costs no depth of calls.
            self._pause = self._reactor.call_later(0, self._begin)
        else:
            self._idle.idle()

    def _name(self) -> str:
        return "" if self._place is None else self._place.authority


class _Try:
    """One request on a connection of its own. `ended` is told from a later turn of the loop, once."""

    def __init__(
        self,
        reactor: Reactor,
        place: WebhookPlace,
        settings: AgentSettings,
        body: bytes,
        ended: Callable[[WebhookFailure | None, str], None],
    ) -> None:
        self._reactor = reactor
        self._place = place
        self._settings = settings
        self._body = body
        self._ended = ended
        self._heard = b""
        self._secured = False
        self._told: Timer | None = None
        self._timer: Timer | None = None
        self._connection = Connection(
            reactor, opened=self._opened, received=self._received, ended=self._connection_ended
        )

    def start(self) -> None:
        # One limit for everything: a server that drips wins nothing.
        self._timer = self._reactor.call_later(self._settings.webhook_timeout, self._timed_out)
        self._connection.start(self._settings.webhook_address or "", self._place.port)

    def close(self) -> None:
        """End without a word."""
        for timer in (self._timer, self._told):
            if timer is not None:
                timer.cancel()
        self._connection.close()

    def _opened(self) -> None:
        if self._place.tls and not self._secured:
            self._secured = True
            self._connection.start_tls(TlsOptions(name=self._place.host, ca_file=self._settings.webhook_ca))
            return
        token = self._settings.webhook_token
        lines = [
            f"POST {self._place.target} HTTP/1.1",
            f"Host: {self._place.authority}",
            "User-Agent: pykeepalived",
            "Content-Type: application/json",
            f"Content-Length: {len(self._body)}",
            *([f"Authorization: Bearer {token}"] if token is not None else []),
            "Connection: close",
        ]
        self._connection.send("\r\n".join([*lines, "", ""]).encode() + self._body)

    def _received(self, data: bytes) -> None:
        self._heard += data
        if b"\r\n\r\n" in self._heard or b"\n\n" in self._heard:
            self._judge()
        elif len(self._heard) > _HEAD_LIMIT:
            self._end(WebhookFailure.REPLY_TOO_LONG, "endless answer")

    def _judge(self) -> None:
        version, _, rest = self._heard.partition(b"\n")[0].partition(b" ")
        code = int(rest[:3]) if version.startswith(b"HTTP/1.") and rest[:3].isdigit() else 0
        if not 200 <= code <= 599:
            self._end(WebhookFailure.NOT_HTTP, "the answer is no final answer of HTTP")
        elif code < 300:
            self._end(None, "")
        elif code >= 500 or code in _AGAIN:
            self._end(WebhookFailure.BUSY, f"status {code}")
        else:
            self._end(WebhookFailure.REFUSED, f"status {code}")

    def _connection_ended(self, reason: Ended, text: str) -> None:
        self._end(_OF_CONNECTION[reason], text)

    def _timed_out(self) -> None:
        self._end(WebhookFailure.TIMEOUT, "no answer in time")

    def _end(self, failure: WebhookFailure | None, text: str) -> None:
        self.close()
        self._told = self._reactor.call_soon(lambda: self._ended(failure, text))
