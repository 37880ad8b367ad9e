"""keepalived's words for LVS events: log texts that monitoring matches, scripts, FIFO lines and mails.

Texts: keepalived-behaviour 4.1; who is told what: 6.1, 6.3 (FIFO), 6.4 (mail), 10.3. Compared with the logs of
keepalived 2.2.7 in the IPVS test kernel.
"""

from __future__ import annotations

import msgspec

from pykeepalived.lvs import http_voice
from pykeepalived.lvs.events import (
    Cause,
    CheckChanged,
    CheckFailed,
    CheckingStarted,
    CheckingSuspended,
    CheckSucceeded,
    DestinationPurged,
    DrainBegan,
    DrainEnded,
    DriftRepaired,
    LvsEvent,
    OperationRefused,
    PoolRestored,
    PoolWithdrawn,
    QuorumBroken,
    QuorumGained,
    QuorumLost,
    ServerDown,
    ServerLeft,
    ServerUp,
    ServiceLeaving,
    ServiceRemoved,
    SoftFailure,
    SorryAdded,
    SorryRemoved,
    WeightChanged,
)
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.quorum import thresholds_of
from pykeepalived.lvs.voice import SILENCE, Level, Line, Mail, Notice, ScriptIntent
from pykeepalived.model.checks import (
    BfdCheck,
    CheckerSpec,
    DnsCheck,
    FileCheck,
    GrpcCheck,
    HttpCheck,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.model.common import Script
from pykeepalived.model.lvs import RealServer


class KeepalivedVoice:
    """Speaks for keepalived.conf. `init_notifies`: `rs_init_notifies`; `mails_checks`: not `no_checker_emails`."""

    def __init__(self, *, init_notifies: bool = False, mails_checks: bool = True) -> None:
        self._init_notifies = init_notifies
        self._mails_checks = mails_checks

    def tell(self, event: LvsEvent) -> Notice:
        match event:
            case ServerUp():
                return self._server_up(event)
            case ServerDown():
                return _server_down(event)
            case ServerLeft():
                return _server_left(event)
            case SoftFailure(service, server, checker, _, _, text):
                return Notice(lines=_every_failure(service, server, checker, text))
            case CheckFailed(service, server, checker, retries, text):
                last = _check_failed(service, server, checker, retries, text)
                each = _every_failure(service, server, checker, text)
                return Notice(lines=each if last is None else (*each, last))
            case CheckChanged():
                return self._check_changed(event)
            case QuorumLost() | QuorumGained():
                return _quorum(event)
            case QuorumBroken(service):
                return _quorum_notices(service, "DOWN", service.server.quorum_down, "=> Removing <=")
            case ServiceRemoved():
                return _service_removed(event)
            case CheckSucceeded(service, server, CheckerSpec(question=HttpCheck() as check), recovered=True):
                told = http_voice.recovery(service.server_name(server), check)
                return Notice(lines=tuple(Line(text) for text in told))
            case _:
                line = _line(event)
                return SILENCE if line is None else Notice(lines=(line,))

    def _server_up(self, event: ServerUp) -> Notice:
        service, server = event.service, event.server
        if event.cause is Cause.START:
            # Assumed to be up: nobody is told, unless the file asks for it.
            if not self._init_notifies:
                return SILENCE
            notice = _server_notices(service, server, "UP", server.notify_up, None)
            return msgspec.structs.replace(notice, lines=())
        name = service.server_name(server)
        text = (
            f"Enabling service {name} of VS {service.name}"
            if server.inhibit_on_failure
            else f"Adding service {name} to VS {service.name}"
        )
        if event.cause is Cause.RELOAD:
            return Notice(lines=(Line(text),))
        notice = _server_notices(service, server, "UP", server.notify_up, _mail_text(event.checker, True, event.text))
        return msgspec.structs.replace(notice, lines=(Line(text),))

    def _check_changed(self, event: CheckChanged) -> Notice:
        """The subject says what the server is, the text what the check found."""
        service, server = event.service, event.server
        if not self._mails_checks or not server.smtp_alert:
            return SILENCE
        state = "UP" if event.alive else "DOWN"
        text = _mail_text(event.checker, event.up, event.text)
        return Notice(mails=(_server_mail(service, server, state, text),))


def _server_down(event: ServerDown) -> Notice:
    if event.cause is Cause.START:
        return SILENCE
    service, server = event.service, event.server
    name = service.server_name(server)
    text = (
        f"Disabling service {name} of VS {service.name}"
        if server.inhibit_on_failure
        else f"Removing service {name} from VS {service.name}"
    )
    notice = _server_notices(service, server, "DOWN", server.notify_down, _mail_text(event.checker, False, event.text))
    return notice if event.never_up else msgspec.structs.replace(notice, lines=(Line(text),))


def _server_left(event: ServerLeft) -> Notice:
    service, server = event.service, event.server
    name = service.server_name(server)
    inhibited = "(inhibited) " if server.inhibit_on_failure and not event.alive else ""
    in_table = event.alive or bool(inhibited)
    stops = event.cause is Cause.STOP
    lines = [] if stops else [Line(f"service {name} no longer exist")]
    if in_table:
        word = "Shutting down" if stops else "Removing"
        lines.append(Line(f"{word} {inhibited}service {name} from VS {service.name}"))
    # At an orderly stop only omega asks for it; a server that leaves the configuration is always told of.
    if not event.alive or (stops and not service.server.omega):
        return Notice(lines=tuple(lines))
    body = "=> Shutting down <=" if stops else "=> Removing <="
    notice = _server_notices(service, server, "DOWN", server.notify_down, body)
    return msgspec.structs.replace(notice, lines=tuple(lines))


def _service_removed(event: ServiceRemoved) -> Notice:
    service = event.service
    stops = event.cause is Cause.STOP
    if not event.had_quorum or (stops and not service.server.omega):
        return SILENCE
    body = "=> Shutting down <=" if stops else "=> Removing <="
    return _quorum_notices(service, "DOWN", service.server.quorum_down, body)


def _quorum(event: QuorumLost | QuorumGained) -> Notice:
    service = event.service
    thresholds = thresholds_of(service.server)
    if isinstance(event, QuorumGained):
        sum_text = f"{thresholds.quorum}+{thresholds.hysteresis}={thresholds.gained_at} <= {event.weight}"
        words = "Starting with quorum up" if event.cause is Cause.START else "Gained quorum"
        notice = _quorum_notices(service, "UP", service.server.quorum_up, f"=> {words} {sum_text} <=")
        return msgspec.structs.replace(notice, lines=(Line(f"Gained quorum {sum_text} for VS {service.name}"),))
    # A start counts from no quorum, so the number is that at which there would be one.
    threshold = thresholds.gained_at if event.cause is Cause.START else thresholds.lost_below
    sum_text = f"{thresholds.quorum}-{thresholds.hysteresis}={threshold} > {event.weight}"
    words = "Lost quorum"
    if event.cause is Cause.START:
        # It is worth a word only when somebody else serves instead.
        if service.server.sorry_server is None:
            return SILENCE
        words = "Starting with quorum down"
    # The mail writes the signs of the gain, also here; the log does not.
    mail_sum = f"{thresholds.quorum}+{thresholds.hysteresis}={threshold} <= {event.weight}"
    notice = _quorum_notices(service, "DOWN", service.server.quorum_down, f"=> {words} {mail_sum} <=")
    return msgspec.structs.replace(notice, lines=(Line(f"{words} {sum_text} for VS {service.name}"),))


def _server_notices(
    service: ServiceRef, server: RealServer, state: str, script: Script | None, mail_text: str | None
) -> Notice:
    name = service.server_name(server)
    scripts = (ScriptIntent(script, f"{service.key} {name}"),) if script else ()
    mails: tuple[Mail, ...] = ()
    if mail_text is not None and server.smtp_alert:
        mails = (_server_mail(service, server, state, mail_text),)
    return Notice(scripts=scripts, fifo=(f"RS {name} {service.name} {state}",), mails=mails)


def _server_mail(service: ServiceRef, server: RealServer, state: str, text: str) -> Mail:
    return Mail(f"Realserver {service.server_name(server)} of virtual server {service.name} - {state}", text)


def _quorum_notices(service: ServiceRef, state: str, script: Script | None, mail_text: str) -> Notice:
    scripts = (ScriptIntent(script, service.key),) if script else ()
    mails = (Mail(f"Virtualserver {service.name} - {state}", mail_text),) if service.server.smtp_alert else ()
    return Notice(scripts=scripts, fifo=(f"VS {service.name} {state}",), mails=mails)


def _line(event: LvsEvent) -> Line | None:
    match event:
        case ServiceLeaving(service, Cause.RELOAD):
            return Line(f"Removing Virtual Server {service.name}")
        case SorryAdded(service, sorry):
            name = service.server_name(sorry)
            if sorry.inhibit:
                return Line(f"Enabling sorry server {name} of VS {service.name}")
            return Line(f"Adding sorry server {name} to VS {service.name}")
        case SorryRemoved(service, sorry):
            name = service.server_name(sorry)
            if sorry.inhibit:
                return Line(f"Disabling sorry server {name} of VS {service.name}")
            return Line(f"Removing sorry server {name} from VS {service.name}")
        case PoolRestored(service):
            return Line(f"Adding alive servers to the pool for VS {service.name}")
        case PoolWithdrawn(service):
            return Line(f"Removing alive servers from the pool for VS {service.name}")
        case WeightChanged(service, server, old, new, alive):
            activity = "active" if alive else "inactive"
            name = service.server_name(server)
            return Line(f"Changing weight from {old} to {new} for {activity} service {name} of VS {service.name}")
        # Those two follow what others watch: nothing is started for them.
        case CheckingStarted(service, server, checker) if not isinstance(checker.question, FileCheck | BfdCheck):
            name = service.server_name(server)
            return Line(f"Activating healthchecker for service {name} for VS {service.name}")
        case CheckingSuspended(service, server):
            return Line(f"Suspending healthchecker for service {service.server_name(server)} for VS {service.name}")
        case CheckSucceeded(service, server, checker):
            return _check_succeeded(service, server, checker)
        case _:
            return _kernel_line(event)


def drain_text(event: DrainBegan | DrainEnded) -> str:
    """What both dialects say of a drain."""
    name = f"{event.service.server_name(event.server)} of VS {event.service.name}"
    if isinstance(event, DrainBegan):
        return f"Draining service {name}, for at most {event.timeout_s} s"
    if event.connections is None:
        return f"Drained service {name}, its connections could not be counted"
    rest = f", {event.connections} connections are cut off" if event.connections else ""
    return f"Drained service {name}{rest}"


def _kernel_line(event: LvsEvent) -> Line | None:
    match event:
        case DrainBegan() | DrainEnded():
            return Line(drain_text(event))
        case OperationRefused(_, what, name, text, attempt):
            again = f" (attempt {attempt})" if attempt > 1 else ""
            return Line(f"IPVS: {text} [{name}]: {what} refused, will try again{again}", Level.ERROR)
        case DriftRepaired(operations):
            return Line(f"IPVS: the kernel's table differed from ours, {operations} operations put it right")
        case DestinationPurged(service, address, port):
            return Line(f"Removing unknown destination [{address}]:{port} from VS {service.name}")
        case _:
            return None


def _every_failure(service: ServiceRef, server: RealServer, checker: CheckerSpec, text: str) -> tuple[Line, ...]:
    """What log_all_failures adds: a line for each failure of a check that was well, forgiven or not."""
    if not checker.timing.log_all_failures:
        return ()
    name = service.server_name(server)
    match checker.question:
        case TcpCheck():
            return (Line(f"TCP connection to {name} failed."),)
        case UdpCheck():
            return (Line(f"UDP connection to {name} failed."),)
        case HttpCheck() if (said := http_voice.failure(name, text)) is not None:
            return (Line(said),)
        case _:
            word = _CHECK_WORDS.get(type(checker.question), "Check")
            return (Line(f"{word} on service {name}: {text}"),)


def _check_failed(
    service: ServiceRef, server: RealServer, checker: CheckerSpec, retries: int, text: str
) -> Line | None:
    name = service.server_name(server)
    match checker.question:
        case FileCheck(track_file=track_file):
            return Line(f"({name}): tracked file {track_file} now FAULT state")
        case BfdCheck(name=session):
            return Line(f"BFD check of [{session}] RS({name}) is DOWN")
    word = _CHECK_WORDS.get(type(checker.question))
    if word is None:
        return None
    if isinstance(checker.question, HttpCheck) and checker.question.tls:
        word = "SSL_CHECK"
    after = f" after {retries} retries" if retries else ""
    if isinstance(checker.question, GrpcCheck):
        # No line of the original's: this one may say why.
        return Line(f"{word} on service {name} failed{after}: {text}")
    return Line(f"{word} on service {name} failed{after}.")


def _check_succeeded(service: ServiceRef, server: RealServer, checker: CheckerSpec) -> Line | None:
    name = service.server_name(server)
    match checker.question:
        case TcpCheck():
            return Line(f"TCP connection to {name} success.")
        case UdpCheck():
            return Line(f"UDP connection to {name} success.")
        case PingCheck():
            return Line(f"ICMP connection to {name} success.")
        case HttpCheck():
            return Line(http_voice.success(name))
        case GrpcCheck():
            return Line(f"gRPC health of {name} success.")
        case SmtpCheck():
            return Line(f"Remote SMTP server {name} succeed on service.")
        case FileCheck(track_file=track_file):
            return Line(f"({name}): tracked file {track_file} leaving FAULT state")
        case BfdCheck(name=session):
            return Line(f"BFD check of [{session}] RS({name}) is UP")
        case _:
            return None


_CHECK_WORDS: dict[type[msgspec.Struct], str] = {
    TcpCheck: "TCP_CHECK",
    HttpCheck: "HTTP_CHECK",
    SmtpCheck: "SMTP_CHECK",
    DnsCheck: "DNS_CHECK",
    UdpCheck: "UDP_CHECK",
    PingCheck: "PING_CHECK",
    GrpcCheck: "GRPC_CHECK",
}


def _mail_text(checker: CheckerSpec | None, up: bool, text: str) -> str:
    """The body of a real server's mail (keepalived-behaviour 6.4); `text` is the check's own word."""
    question = None if checker is None else checker.question
    match question:
        case TcpCheck():
            return f"=> TCP CHECK {'succeed' if up else 'failed'} on service <="
        case UdpCheck():
            return f"=> UDP CHECK {'succeed' if up else 'failed'} on service <="
        case PingCheck():
            return f"=> ICMP CHECK {'succeed' if up else 'failed'} on service <="
        case DnsCheck():
            return f"=> DNS_CHECK: {'succeed' if up else 'failed'} on service <="
        case MiscCheck():
            word = "succeeded" if up else "timed out" if text == "timed out" else "failed"
            return f"=> MISC CHECK {word} on service <="
        case SmtpCheck() if not up:
            return f"=> CHECK failed on service : {text} <="
        case HttpCheck():
            return "=> CHECK succeed on service <=" if up else "=> CHECK failed on service : HTTP/SSL request failed <="
        case _:
            return "=> CHECK succeed on service <=" if up else "=> CHECK failed on service <="
