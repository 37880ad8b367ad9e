"""Carries out what a voice says about LVS events: log lines, scripts, FIFO lines, mails, events for the parent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pykeepalived.lvs.events import (
    LvsEvent,
    OperationRefused,
    QuorumGained,
    QuorumLost,
    ServerDown,
    ServerLeft,
    ServerUp,
    ServiceRemoved,
    SorryAdded,
    SorryRemoved,
    WeightChanged,
)
from pykeepalived.lvs.keepalived_voice import KeepalivedVoice
from pykeepalived.lvs.voice import Level, Line, Mail, ScriptIntent, Voice
from pykeepalived.model.config import GlobalDefs
from pykeepalived.notify.fifo import NotifyFifo, lvs_line
from pykeepalived.notify.mail import Mailer, keepalived_letter, relay_of
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Timer
from pykeepalived.runtime.fifo_readers import FifoReaders
from pykeepalived.runtime.program import Context


class Herald:
    """Tells the world, in the words of the present voice."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._voice: Voice = KeepalivedVoice()
        self._fifos: dict[str, NotifyFifo] = {}
        self._readers = FifoReaders(context)
        self._mailer = Mailer(context.reactor, context.log)
        self._globals = GlobalDefs()
        self._running = 0
        self._quiet: Callable[[], None] | None = None
        self._limit: Timer | None = None

    def configure(self, voice: Voice, globals_: GlobalDefs) -> None:
        """Take a new configuration's voice and FIFOs; FIFOs of the same path stay open."""
        self._voice = voice
        self._globals = globals_
        self._mailer.prepare(relay_of(globals_.mail))
        paths = [path for path in (globals_.notify_fifo, globals_.lvs_notify_fifo) if path is not None]
        for path in [path for path in self._fifos if path not in paths]:
            self._fifos.pop(path).close()
        for path in paths:
            if path not in self._fifos:
                self._fifos[path] = NotifyFifo(path, self._context.log.error)
        scripts = (
            (globals_.notify_fifo, globals_.notify_fifo_script),
            (globals_.lvs_notify_fifo, globals_.lvs_notify_fifo_script),
        )
        self._readers.keep({path: script for path, script in scripts if path is not None and self._fifos[path].usable})

    def tell(self, event: LvsEvent) -> None:
        notice = self._voice.tell(event)
        for line in notice.lines:
            self._write(line)
        for intent in notice.scripts:
            self._run(intent)
        for text in notice.fifo:
            for fifo in self._fifos.values():
                fifo.write(lvs_line(text))
        for mail in notice.mails:
            self._send(mail)
        named = _public(event)
        if named is not None:
            self._context.emit(*named)

    def when_quiet(self, limit_us: int, done: Callable[[], None]) -> None:
        """Call when all scripts have ended and all mails are gone, at the latest after `limit_us`."""
        left = {"mails", "scripts"}

        def ended(what: str) -> None:
            left.discard(what)
            if not left:
                done()

        self._mailer.when_idle(limit_us, lambda: ended("mails"))
        self._when_scripts_end(limit_us, lambda: ended("scripts"))

    def _when_scripts_end(self, limit_us: int, done: Callable[[], None]) -> None:
        self._quiet = done
        self._limit = self._context.reactor.call_later(limit_us, self._be_quiet)
        if self._running == 0:
            self._context.reactor.call_soon(self._be_quiet)

    def close(self) -> None:
        self._readers.close()
        for fifo in self._fifos.values():
            fifo.close()
        self._fifos.clear()

    def _write(self, line: Line) -> None:
        log = self._context.log
        {Level.INFO: log.info, Level.DETAIL: log.detail, Level.ERROR: log.error}[line.level](line.text)

    def _run(self, intent: ScriptIntent) -> None:
        self._running += 1

        def done(result: RunResult) -> None:
            self._running -= 1
            name = intent.script.argv[0] if intent.script.argv else ""
            if result.status in {126, 127} and result.output:
                reason = result.output.decode(errors="replace")
                self._context.log.error(f"Script `{name}` could not be started: {reason}")
            self._context.emit("script", {"queue": intent.queue, "script": name, "status": result.status})
            if self._running == 0:
                self._be_quiet()

        self._context.scripts.run(intent.script, timeout_us=None, done=done, queue=intent.queue)

    def _send(self, mail: Mail) -> None:
        self._context.emit(
            "mail",
            {
                "subject": mail.subject,
                "body": mail.body,
                "recipients": None if mail.recipients is None else list(mail.recipients),
            },
        )
        globals_ = self._globals
        relay = relay_of(globals_.mail)
        if relay is not None:
            letter = keepalived_letter(globals_.mail, globals_.router_id, mail.subject, mail.body, mail.recipients)
            self._mailer.send(relay, letter)

    def mail_status(self) -> dict[str, Any]:
        return self._mailer.status()

    def _be_quiet(self) -> None:
        done, self._quiet = self._quiet, None
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        if done is not None:
            done()


def _public(event: LvsEvent) -> tuple[str, dict[str, Any]] | None:
    """An event as the parent and `keepalivedctl events` see it; None: not of interest outside."""
    match event:
        case ServerUp(service, server, cause) | ServerDown(service, server, cause):
            state = "UP" if isinstance(event, ServerUp) else "DOWN"
            fields = {"state": state, "cause": cause.value, "effect": event.effect.value, "text": event.text}
            return "real-server", {"service": service.key, "server": service.server_name(server), **fields}
        case ServerLeft(service, server, cause):
            fields = {"state": "LEFT", "cause": cause.value, "effect": event.effect.value, "text": ""}
            return "real-server", {"service": service.key, "server": service.server_name(server), **fields}
        case WeightChanged(service, server, old, new):
            fields_ = {"service": service.key, "server": service.server_name(server), "old": old, "new": new}
            return "real-server-weight", fields_
        case QuorumLost(service, weight, cause) | QuorumGained(service, weight, cause):
            state = "UP" if isinstance(event, QuorumGained) else "DOWN"
            return "virtual-server", {"service": service.key, "state": state, "weight": weight, "cause": cause.value}
        case SorryAdded(service, sorry) | SorryRemoved(service, sorry):
            state = "SERVES" if isinstance(event, SorryAdded) else "RESTS"
            return "sorry-server", {"service": service.key, "server": service.server_name(sorry), "state": state}
        case ServiceRemoved(service, cause):
            return "virtual-server", {"service": service.key, "state": "LEFT", "weight": 0, "cause": cause.value}
        case OperationRefused(_, what, name, text, attempt):
            return "refused", {"operation": what, "name": name, "text": text, "attempt": attempt}
        case _:
            return None
