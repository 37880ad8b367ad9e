"""ldirectord's words for what happens to virtual and real servers (ldirectord-behaviour 6 and 7.1).

V is `VIP:PORT` or the mark, R is `RIP:PORT`, ID has the protocol in front (`tcp:VIP:PORT`, `fwm:N`, `fwm6:N`). Scripts
match these lines. What ldirectord says about its own detours (a server that is added at start only to be taken out in
the same second) has nothing to be said about here.
"""

from __future__ import annotations

from pykeepalived.lvs.events import (
    Cause,
    DestinationPurged,
    DrainBegan,
    DrainEnded,
    DriftRepaired,
    Effect,
    LvsEvent,
    OperationRefused,
    QuorumGained,
    QuorumLost,
    ServerDown,
    ServerLeft,
    ServerUp,
    ServiceAdded,
    ServiceChanged,
    ServiceRemoved,
    SoftFailure,
    SoftFailureReset,
    SorryAdded,
    SorryRemoved,
    WeightChanged,
)
from pykeepalived.lvs.keepalived_voice import drain_text
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.voice import SILENCE, Level, Line, Notice, ScriptIntent
from pykeepalived.model.common import Family, Script
from pykeepalived.model.lvs import (
    AddressSelector,
    ForwardingMethod,
    FwmarkSelector,
    RealServer,
    SorryServer,
    VirtualServer,
)


def endpoint(address: str, port: int) -> str:
    """`ADDRESS:PORT`, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def service_name(server: VirtualServer) -> str:
    """V: the address with its port, or the mark."""
    selector = server.selector
    if isinstance(selector, AddressSelector):
        return endpoint(selector.address, selector.port)
    return str(selector.fwmark) if isinstance(selector, FwmarkSelector) else selector.name


def service_id(server: VirtualServer) -> str:
    """ID: what names the service in lines about checks."""
    if isinstance(server.selector, FwmarkSelector):
        return f"{'fwm6' if server.family is Family.INET6 else 'fwm'}:{server.selector.fwmark}"
    return f"{_protocol(server)}:{service_name(server)}"


def _protocol(server: VirtualServer) -> str:
    return "fwm" if server.protocol is None else server.protocol.name.lower()


class LdirectordVoice:
    """Speaks for ldirectord.cf."""

    def tell(self, event: LvsEvent) -> Notice:
        match event:
            case QuorumLost(service):
                return _fallback_command(service, "start")
            case QuorumGained(service, _, cause):
                # A service that is found well at start had no fallback to take back.
                return SILENCE if cause is Cause.START else _fallback_command(service, "stop")
            case ServerUp():
                return _server_up(event)
            case ServerDown():
                return _server_down(event)
            case DrainBegan() | DrainEnded():
                return Notice(lines=(Line(drain_text(event)),))
            case _:
                text = _text(event)
                if text is None:
                    return SILENCE
                level = Level.ERROR if isinstance(event, OperationRefused) else Level.INFO
                return Notice(lines=(Line(text, level),))


def _named(service: ServiceRef, server: RealServer | SorryServer) -> str:
    """`R (V)`."""
    return f"{endpoint(server.address, server.port)} ({service_name(service.server)})"


def _kernel_port(service: ServiceRef, server: RealServer | SorryServer) -> int:
    """The kernel forwards to the port of the virtual service, whatever the file says, unless it translates."""
    selector = service.server.selector
    if server.forwarding.method is ForwardingMethod.NAT or not isinstance(selector, AddressSelector):
        return server.port
    return selector.port


def _named_by_kernel(service: ServiceRef, server: RealServer | SorryServer) -> str:
    """`R (V)`, R as it stands in the kernel's table."""
    return f"{endpoint(server.address, _kernel_port(service, server))} ({service_name(service.server)})"


def _mapped(service: ServiceRef, server: RealServer | SorryServer) -> str:
    """`R (V)`, or `R mapped from R (V)` where the kernel has another port than the file."""
    port = _kernel_port(service, server)
    if port == server.port:
        return _named(service, server)
    names = f"{endpoint(server.address, port)} mapped from {endpoint(server.address, server.port)}"
    return f"{names} ({service_name(service.server)})"


def _identified(service: ServiceRef, server: RealServer) -> str:
    """`R (ID)`."""
    return f"{endpoint(server.address, server.port)} ({service_id(service.server)})"


def _server_up(event: ServerUp) -> Notice:
    service, server = event.service, event.server
    if event.cause is Cause.START:
        return SILENCE
    lines: list[Line] = []
    if event.cause is Cause.CHECK:
        lines.append(Line(f"Resetting soft failure count: {_identified(service, server)}"))
    word = {Effect.ADDED: "Added", Effect.RESTORED: "Restored"}.get(event.effect)
    if word is not None:
        lines.append(Line(f"{word} real server: {_named(service, server)} (Weight set to {event.weight})"))
    return Notice(lines=tuple(lines))


def _server_down(event: ServerDown) -> Notice:
    name = _mapped(event.service, event.server)
    if event.cause is Cause.START:
        return SILENCE
    if event.effect is Effect.QUIESCED:
        return Notice(lines=(Line(f"Quiescent real server: {name} (Weight set to 0)"),))
    if event.effect is Effect.REMOVED:
        return Notice(lines=(Line(f"Deleted real server: {name}"),))
    return SILENCE


def _fallback_command(service: ServiceRef, action: str) -> Notice:
    """`fallbackcommand`, through the shell, with start|stop, the address and the protocol behind it."""
    server = service.server
    if server.fallback_command is None:
        return SILENCE
    where = ":0" if isinstance(server.selector, FwmarkSelector) else service_name(server)
    command = f"{server.fallback_command} {action} {where} {_protocol(server)}"
    return Notice(scripts=(ScriptIntent(Script(("/bin/sh", "-c", command)), service.key),))


def _text(event: LvsEvent) -> str | None:
    match event:
        case ServiceAdded(service, _, existed):
            return f"{'Changed' if existed else 'Added'} virtual server: {service_name(service.server)}"
        case ServiceChanged(service, cause):
            return None if cause is Cause.START else f"Changed virtual server: {service_name(service.server)}"
        case ServiceRemoved(service, cause):
            return f"Purged virtual server ({_when(cause)}): {service_name(service.server)}"
        case ServerLeft(service, server, cause, alive, effect, with_service):
            # A section that leaves the file is named alone, and at the end a quiescent server goes without a word.
            unsaid = (with_service and cause is Cause.RELOAD) or (cause is Cause.STOP and not alive)
            if effect is Effect.NONE or unsaid:
                return None
            # At the end ldirectord names the servers of the file, before it those of the kernel's table.
            name = _named(service, server) if cause is Cause.STOP else _named_by_kernel(service, server)
            return f"Purged real server ({_when(cause)}): {name}"
        case DestinationPurged(service, address, port, cause):
            return f"Purged real server ({_when(cause)}): {endpoint(address, port)} ({service_name(service.server)})"
        case WeightChanged(service, server, _, new, alive):
            return f"Restored real server: {_named(service, server)} (Weight set to {new})" if alive else None
        case SoftFailure(service, server, _, failures, limit):
            return f"Soft failure real server: {_identified(service, server)} failure {failures}/{limit}"
        case SoftFailureReset(service, server):
            return f"Resetting soft failure count: {_identified(service, server)}"
        case SorryAdded(service, sorry):
            return f"Added fallback server: {_named(service, sorry)} (Weight set to {sorry.weight})"
        case SorryRemoved(service, sorry):
            return f"Deleted fallback server: {_mapped(service, sorry)}"
        case _:
            return _kernel_text(event)


def _kernel_text(event: LvsEvent) -> str | None:
    match event:
        case OperationRefused(_, what, name, text, attempt):
            again = f" (attempt {attempt})" if attempt > 1 else ""
            return f"{what} failed: {text} [{name}], will try again{again}"
        case DriftRepaired(operations):
            return f"The kernel's table differed from ours, {operations} operations put it right"
        case _:
            return None


def _when(cause: Cause) -> str:
    """A reload says `start`, because ldirectord starts anew then."""
    return "stop" if cause is Cause.STOP else "start"
