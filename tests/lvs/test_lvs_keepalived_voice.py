"""keepalived's words. The order and choice of lines in real life is compared in tests/interop/lvs."""

from __future__ import annotations

from typing import Any

import pytest

from pykeepalived.lvs.events import (
    Cause,
    CheckFailed,
    CheckingStarted,
    CheckSucceeded,
    DriftRepaired,
    Effect,
    LvsEvent,
    OperationRefused,
    PoolRestored,
    PoolWithdrawn,
    QuorumGained,
    QuorumLost,
    ServerDown,
    ServerLeft,
    ServerUp,
    ServiceAdded,
    ServiceLeaving,
    ServiceRemoved,
    SoftFailure,
    SorryAdded,
    SorryRemoved,
    WeightChanged,
)
from pykeepalived.lvs.keepalived_voice import KeepalivedVoice
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.voice import Level, Mail, Notice, ScriptIntent
from pykeepalived.model.checks import (
    CheckerSpec,
    DnsCheck,
    GrpcCheck,
    HttpCheck,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    SocketOptions,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.model.common import Script
from pykeepalived.model.lvs import AddressSelector, Protocol, RealServer, SorryServer, VirtualServer

SOCKET = SocketOptions(address="192.168.0.12", port=80)
TCP = CheckerSpec(question=TcpCheck(socket=SOCKET))
UP, DOWN = Script(("/up",)), Script(("/down",))
Q_UP, Q_DOWN = Script(("/q-up",)), Script(("/q-down",))
RS, VS, SORRY_NAME = "[192.168.0.12]:tcp:80", "[10.0.0.5]:tcp:80", "[192.168.0.20]:tcp:80"
SORRY = SorryServer(address="192.168.0.20", port=80)
RESTING = SorryServer(address="192.168.0.20", port=80, inhibit=True)


def real(**fields: Any) -> RealServer:
    return RealServer(address="192.168.0.12", port=80, notify_up=UP, notify_down=DOWN, checkers=(TCP,), **fields)


def service(**fields: Any) -> ServiceRef:
    return ServiceRef(
        VirtualServer(
            **{
                "selector": AddressSelector("10.0.0.5", 80),
                "protocol": Protocol.TCP,
                "real_servers": (real(weight=5),),
                "quorum": 3,
                "hysteresis": 1,
                "quorum_up": Q_UP,
                "quorum_down": Q_DOWN,
                "sorry_server": SORRY,
                **fields,
            }
        )
    )


A, HELD = real(), real(inhibit_on_failure=True)
S = service()


def tell(event: LvsEvent, **how: Any) -> Notice:
    return KeepalivedVoice(**how).tell(event)


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (ServerUp(S, A, Cause.CHECK, Effect.ADDED, 1), [f"Adding service {RS} to VS {VS}"]),
        (ServerUp(S, HELD, Cause.CHECK, Effect.RESTORED, 1), [f"Enabling service {RS} of VS {VS}"]),
        (ServerUp(S, A, Cause.START, Effect.ADDED, 1), []),
        (ServerUp(S, A, Cause.RELOAD, Effect.ADDED, 1), [f"Adding service {RS} to VS {VS}"]),
        (ServerDown(S, A, Cause.CHECK, Effect.REMOVED), [f"Removing service {RS} from VS {VS}"]),
        (ServerDown(S, HELD, Cause.CHECK, Effect.QUIESCED), [f"Disabling service {RS} of VS {VS}"]),
        (ServerDown(S, A, Cause.START, Effect.NONE), []),
        (ServerLeft(S, A, Cause.STOP, True), [f"Shutting down service {RS} from VS {VS}"]),
        (ServerLeft(S, A, Cause.STOP, False), []),
        (ServerLeft(S, HELD, Cause.STOP, False), [f"Shutting down (inhibited) service {RS} from VS {VS}"]),
        (
            ServerLeft(S, A, Cause.RELOAD, True),
            [f"service {RS} no longer exist", f"Removing service {RS} from VS {VS}"],
        ),
        (
            ServerLeft(S, HELD, Cause.RELOAD, False),
            [f"service {RS} no longer exist", f"Removing (inhibited) service {RS} from VS {VS}"],
        ),
        (ServerLeft(S, A, Cause.RELOAD, False), [f"service {RS} no longer exist"]),
        (ServiceLeaving(S, Cause.RELOAD), [f"Removing Virtual Server {VS}"]),
        (ServiceLeaving(S, Cause.STOP), []),
        (ServiceAdded(S, Cause.START), []),
        (QuorumLost(S, 1, Cause.CHECK), [f"Lost quorum 3-1=2 > 1 for VS {VS}"]),
        (QuorumGained(S, 9, Cause.CHECK), [f"Gained quorum 3+1=4 <= 9 for VS {VS}"]),
        (QuorumLost(S, 0, Cause.START), [f"Starting with quorum down 3-1=4 > 0 for VS {VS}"]),
        (QuorumLost(service(sorry_server=None), 0, Cause.START), []),
        (SorryAdded(S, SORRY, Cause.CHECK), [f"Adding sorry server {SORRY_NAME} to VS {VS}"]),
        (SorryAdded(S, RESTING, Cause.CHECK), [f"Enabling sorry server {SORRY_NAME} of VS {VS}"]),
        (SorryRemoved(S, SORRY, Cause.CHECK), [f"Removing sorry server {SORRY_NAME} from VS {VS}"]),
        (SorryRemoved(S, RESTING, Cause.CHECK), [f"Disabling sorry server {SORRY_NAME} of VS {VS}"]),
        (PoolWithdrawn(S, Cause.CHECK), [f"Removing alive servers from the pool for VS {VS}"]),
        (PoolRestored(S, Cause.CHECK), [f"Adding alive servers to the pool for VS {VS}"]),
        (
            WeightChanged(S, A, 3, 4, True, Cause.CHECK),
            [f"Changing weight from 3 to 4 for active service {RS} of VS {VS}"],
        ),
        (
            WeightChanged(S, A, 3, 4, False, Cause.RELOAD),
            [f"Changing weight from 3 to 4 for inactive service {RS} of VS {VS}"],
        ),
        (CheckingStarted(S, A, TCP), [f"Activating healthchecker for service {RS} for VS {VS}"]),
        (CheckFailed(S, A, TCP, 0, "x"), [f"TCP_CHECK on service {RS} failed."]),
        (CheckFailed(S, A, TCP, 2, "x"), [f"TCP_CHECK on service {RS} failed after 2 retries."]),
        (CheckSucceeded(S, A, TCP, "x"), [f"TCP connection to {RS} success."]),
        (SoftFailure(S, A, TCP, 1, 2, "x"), []),
        (
            OperationRefused(None, "add service FWM 5", "no-scheduler", "scheduler not found", 3),
            ["IPVS: scheduler not found [no-scheduler]: add service FWM 5 refused, will try again (attempt 3)"],
        ),
        (DriftRepaired(2), ["IPVS: the kernel's table differed from ours, 2 operations put it right"]),
    ],
    ids=str,
)
def test_lines(event: LvsEvent, lines: list[str]) -> None:
    notice = tell(event)
    assert [line.text for line in notice.lines] == lines
    wanted = Level.ERROR if isinstance(event, OperationRefused) else Level.INFO
    assert {line.level for line in notice.lines} <= {wanted}


@pytest.mark.parametrize(
    ("question", "failed", "succeeded"),
    [
        (HttpCheck(socket=SOCKET, urls=()), "HTTP_CHECK", f"Remote Web server {RS} succeed on service."),
        (HttpCheck(socket=SOCKET, urls=(), tls=True), "SSL_CHECK", f"Remote Web server {RS} succeed on service."),
        (SmtpCheck(socket=SOCKET, helo_name="x"), "SMTP_CHECK", f"Remote SMTP server {RS} succeed on service."),
        (UdpCheck(socket=SOCKET), "UDP_CHECK", f"UDP connection to {RS} success."),
        (PingCheck(socket=SOCKET), "PING_CHECK", f"ICMP connection to {RS} success."),
    ],
)
def test_checks_have_their_own_words(question: Any, failed: str, succeeded: str) -> None:
    spec = CheckerSpec(question=question)
    [line] = tell(CheckFailed(S, A, spec, 1, "x")).lines
    assert line.text == f"{failed} on service {RS} failed after 1 retries."
    [line] = tell(CheckSucceeded(S, A, spec, "x")).lines
    assert line.text == succeeded


def test_a_check_of_ours_says_why() -> None:
    spec = CheckerSpec(question=GrpcCheck(socket=SOCKET))
    [line] = tell(CheckFailed(S, A, spec, 1, "gRPC health: NOT_SERVING")).lines
    assert line.text == f"GRPC_CHECK on service {RS} failed after 1 retries: gRPC health: NOT_SERVING"
    [line] = tell(CheckSucceeded(S, A, spec, "x")).lines
    assert line.text == f"gRPC health of {RS} success."


def test_scripts_and_fifo_of_servers() -> None:
    up = tell(ServerUp(S, A, Cause.CHECK, Effect.ADDED, 1, TCP))
    assert up.scripts == (ScriptIntent(UP, f"{VS} {RS}"),)
    assert up.fifo == (f"RS {RS} {VS} UP",)
    down = tell(ServerDown(S, A, Cause.CHECK, Effect.REMOVED, TCP))
    assert down.scripts == (ScriptIntent(DOWN, f"{VS} {RS}"),)
    assert down.fifo == (f"RS {RS} {VS} DOWN",)
    assert tell(ServerDown(S, A, Cause.START, Effect.NONE)) == Notice()


def test_at_start_servers_are_told_only_on_request() -> None:
    event = ServerUp(S, A, Cause.START, Effect.ADDED, 1)
    assert tell(event) == Notice()
    told = tell(event, init_notifies=True)
    assert (told.fifo, told.scripts, told.mails) == ((f"RS {RS} {VS} UP",), (ScriptIntent(UP, f"{VS} {RS}"),), ())


def test_quorum_tells() -> None:
    gained, lost = QuorumGained(S, 9, Cause.CHECK), QuorumLost(S, 1, Cause.CHECK)
    assert (tell(gained).fifo, tell(gained).scripts) == ((f"VS {VS} UP",), (ScriptIntent(Q_UP, VS),))
    assert (tell(lost).fifo, tell(lost).scripts) == ((f"VS {VS} DOWN",), (ScriptIntent(Q_DOWN, VS),))
    assert tell(QuorumLost(S, 0, Cause.START)).fifo == (f"VS {VS} DOWN",)
    assert tell(QuorumLost(service(sorry_server=None), 0, Cause.START)) == Notice()


@pytest.mark.parametrize("omega", [True, False])
def test_the_end_is_told_with_omega(omega: bool) -> None:
    ref = service(omega=omega)
    left = tell(ServerLeft(ref, A, Cause.STOP, True))
    removed = tell(ServiceRemoved(ref, Cause.STOP, True, 5))
    assert bool(left.fifo and left.scripts) is omega
    assert bool(removed.fifo and removed.scripts) is omega
    assert tell(ServiceRemoved(ref, Cause.STOP, False, 0)) == Notice()
    assert tell(ServerLeft(ref, A, Cause.STOP, False)).fifo == ()


def test_leaving_the_configuration_is_always_told() -> None:
    left = tell(ServerLeft(S, A, Cause.RELOAD, True))
    assert left.fifo == (f"RS {RS} {VS} DOWN",)
    assert left.mails == (Mail(f"Realserver {RS} of virtual server {VS} - DOWN", "=> Removing <="),)
    assert tell(ServiceRemoved(S, Cause.RELOAD, True, 5)).fifo == (f"VS {VS} DOWN",)


@pytest.mark.parametrize(
    ("question", "up", "down"),
    [
        (TCP.question, "=> TCP CHECK succeed on service <=", "=> TCP CHECK failed on service <="),
        (UdpCheck(socket=SOCKET), "=> UDP CHECK succeed on service <=", "=> UDP CHECK failed on service <="),
        (PingCheck(socket=SOCKET), "=> ICMP CHECK succeed on service <=", "=> ICMP CHECK failed on service <="),
        (DnsCheck(socket=SOCKET), "=> DNS_CHECK: succeed on service <=", "=> DNS_CHECK: failed on service <="),
        (
            MiscCheck(script=UP, timeout_us=1),
            "=> MISC CHECK succeeded on service <=",
            "=> MISC CHECK failed on service <=",
        ),
        (
            HttpCheck(socket=SOCKET, urls=()),
            "=> CHECK succeed on service <=",
            "=> CHECK failed on service : HTTP/SSL request failed <=",
        ),
    ],
)
def test_mails_of_servers(question: Any, up: str, down: str) -> None:
    spec = CheckerSpec(question=question)
    subject = f"Realserver {RS} of virtual server {VS}"
    assert tell(ServerUp(S, A, Cause.CHECK, Effect.ADDED, 1, spec)).mails == (Mail(f"{subject} - UP", up),)
    assert tell(ServerDown(S, A, Cause.CHECK, Effect.REMOVED, spec)).mails == (Mail(f"{subject} - DOWN", down),)
    assert tell(ServerDown(S, real(smtp_alert=False), Cause.CHECK, Effect.REMOVED, spec)).mails == ()


def test_mails_of_services_are_off_unless_asked_for() -> None:
    assert tell(QuorumLost(S, 1, Cause.CHECK)).mails == ()
    begins = tell(QuorumLost(service(smtp_alert=True), 0, Cause.START))
    assert begins.mails[0].body == "=> Starting with quorum down 3+1=4 <= 0 <="
    told = tell(QuorumLost(service(smtp_alert=True), 1, Cause.CHECK))
    assert told.mails == (Mail(f"Virtualserver {VS} - DOWN", "=> Lost quorum 3+1=2 <= 1 <="),)
