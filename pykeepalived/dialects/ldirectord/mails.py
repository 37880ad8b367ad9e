"""Which changes ldirectord mails about, and what the mails say (ldirectord-behaviour 7.3)."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import msgspec

from pykeepalived.dialects.ldirectord.voice import LdirectordVoice, endpoint, service_name
from pykeepalived.lvs.events import LvsEvent
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.model.lvs import MailAlert, RealServer

_WORTH_A_MAIL: Final = re.compile(r"(Added|Restored|Quiescent|Deleted|Purged) (real|fallback) server")
_voice: Final = LdirectordVoice()


class Phase(Enum):
    """What the daemon is at: `emailalertstatus` and the body name it so."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    RELOADING = "reloading"


class AlertMail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail. `text` is its log line, and the subject without the service's name."""

    alert: MailAlert
    text: str
    subject: str
    body: str


def wanted(alert: MailAlert | None, phase: Phase) -> bool:
    """Whether mails are sent in this phase."""
    return alert is not None and ("all" in alert.states or phase.value in alert.states)


def on_event(event: LvsEvent, phase: Phase, host: str) -> AlertMail | None:
    """The mail about an event; None: nobody wants one."""
    service = getattr(event, "service", None)
    if not isinstance(service, ServiceRef) or not wanted(service.server.mail, phase):
        return None
    lines = [line.text for line in _voice.tell(event).lines if _WORTH_A_MAIL.match(line.text)]
    return compose(service, lines[-1], phase, host) if lines else None


def reminder(service: ServiceRef, server: RealServer, phase: Phase, host: str) -> AlertMail | None:
    """The mail about a server that is still dead."""
    if not wanted(service.server.mail, phase):
        return None
    text = f"Inaccessible real server: {endpoint(server.address, server.port)} ({service_name(service.server)})"
    return compose(service, text, phase, host)


def compose(service: ServiceRef, text: str, phase: Phase, host: str) -> AlertMail:
    server = service.server
    assert server.mail is not None
    subject = f"[{server.service_name}] {text}" if server.service_name else text
    lines = [f"ldirectord host: {host}", f"Log-Message: {subject}", f"Daemon-Status: {phase.value}"]
    notes = [f"Service name: {server.service_name}"] if server.service_name else []
    notes += [f"Comment: {server.comment}"] if server.comment else []
    if notes:
        lines += ["", *notes, ""]
    return AlertMail(alert=server.mail, text=text, subject=subject, body="\n".join(lines) + "\n")
