"""Sends ldirectord's alert mails: by SMTP to `smtp=`, else through the machine's own mailer, never waiting for either.

Reminders go out every `emailalertfreq` seconds while a server is dead.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from collections.abc import Callable
from typing import Final

from pykeepalived.checkers.conversation import ConversationError
from pykeepalived.dialects.ldirectord.mails import AlertMail, Phase, on_event, reminder
from pykeepalived.lvs.events import Cause, LvsEvent, ServerDown, ServerLeft, ServerUp, ServiceRemoved
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.model.common import Script
from pykeepalived.model.lvs import RealServer
from pykeepalived.netio.connectors.names import NameService
from pykeepalived.notify.mail import Letter, Mailer, Relay, compose
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Timer
from pykeepalived.runtime.program import Context
from pykeepalived.units import SECOND_US

_MAILER_LIMIT_US: Final = 60 * SECOND_US
#: An orderly stop waits this long for the mails about it.
STOP_LIMIT_US: Final = 3 * SECOND_US
_SENDMAIL_PATH: Final = "/usr/sbin:/usr/lib:/usr/bin:/sbin:/bin"
_FEED: Final = 'printf "%s" "$1" | "$2" -oi -t'

Key = tuple[str, str, int]


class AlertMails:
    """All mails of one daemon."""

    def __init__(self, context: Context) -> None:
        self.phase = Phase.STARTING
        self.sender: str | None = None
        """`emailalertfrom`."""
        self._context = context
        self._mailer = Mailer(context.reactor, context.log)
        self._names = NameService(context.reactor)
        self._host = socket.gethostname()
        self._reminders: dict[Key, Timer] = {}
        self._no_mailer_told = False

    def happened(self, event: LvsEvent) -> None:
        """Mail about an event, and begin or end reminders."""
        mail = on_event(event, self.phase, self._host)
        if mail is not None:
            self._send(mail)
        match event:
            case ServerDown(service, server, _):
                self._remind_later(service, server)
            case ServerUp(service, server, _) | ServerLeft(service, server, _):
                self._forget((service.key, server.address, server.port))
            case ServiceRemoved(service, cause):
                if cause is not Cause.STOP:
                    for key in [key for key in self._reminders if key[0] == service.key]:
                        self._forget(key)

    def stop(self) -> None:
        """No reminders any more; what is on its way is still sent."""
        for key in list(self._reminders):
            self._forget(key)

    def close(self) -> None:
        self._mailer.close()
        self._names.close()

    def when_idle(self, done: Callable[[], None]) -> None:
        """Call `done` when all mails are out, or could not be sent in time."""
        # A turn later: mails to a host by its address are handed over in the next one.
        self._context.reactor.call_soon(lambda: self._mailer.when_idle(STOP_LIMIT_US, done))

    # ---- reminders ----

    def _remind_later(self, service: ServiceRef, server: RealServer) -> None:
        mail = service.server.mail
        key = (service.key, server.address, server.port)
        self._forget(key)
        if mail is None or not mail.frequency_s:
            return
        self._reminders[key] = self._context.reactor.call_later(
            mail.frequency_s * SECOND_US, lambda: self._remind(service, server)
        )

    def _remind(self, service: ServiceRef, server: RealServer) -> None:
        mail = reminder(service, server, self.phase, self._host)
        if mail is not None:
            self._send(mail)
        self._remind_later(service, server)

    def _forget(self, key: Key) -> None:
        timer = self._reminders.pop(key, None)
        if timer is not None:
            timer.cancel()

    # ---- sending ----

    def _send(self, mail: AlertMail) -> None:
        self._context.log.info(f"emailalert: {mail.text}")
        own = f"{pwd.getpwuid(os.geteuid()).pw_name}@{self._host}"
        headers = (
            ("From", self.sender or own),
            ("To", ", ".join(mail.alert.recipients)),
            ("Subject", mail.subject),
        )
        letter = Letter(sender=own, recipients=mail.alert.recipients, message=compose(headers, mail.body))
        if mail.alert.smtp is None:
            self._send_locally(letter)
            return
        name = mail.alert.smtp

        def found(address: bytes | None, error: ConversationError | None) -> None:
            if address is None:
                self._context.log.error(f"failed to send SMTP email message: {error.text if error else name}")
                return
            self._mailer.send(Relay(address=address.decode(), helo_name="localhost.localdomain"), letter)

        try:
            self._names.look_up(name, found)
        except ConversationError as error:
            found(None, error)

    def _send_locally(self, letter: Letter) -> None:
        """Hand the message to sendmail, as ldirectord's library does."""
        log = self._context.log
        program = shutil.which("sendmail", path=_SENDMAIL_PATH)
        if program is None:
            if not self._no_mailer_told:
                self._no_mailer_told = True
                log.error("failed to send email message: no sendmail on this machine (set smtp=)")
            return

        def done(result: RunResult) -> None:
            if result.status != 0:
                log.error(f"failed to send email message: {program} ended with status {result.status}")

        script = Script(("/bin/sh", "-c", _FEED, "ldirectord", letter.message, program))
        self._context.scripts.run(script, timeout_us=_MAILER_LIMIT_US, done=done, queue="mail")
