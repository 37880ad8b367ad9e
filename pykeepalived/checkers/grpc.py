"""GRPC_CHECK: the unary call Check of the gRPC health checking protocol, version 1 (`grpc.health.v1.Health`).

The messages have one field each, so they are made and read here: a request has the service's name in field 1, an answer
its state in field 1 (protocol buffers' wire format; gRPC's length-prefixed messages over HTTP/2).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from pykeepalived.checkers import http2
from pykeepalived.checkers.conversation import Command, Connect, Conversation, Outcome, Reply, StartTls
from pykeepalived.checkers.http_message import host_and_port
from pykeepalived.model.checks import GrpcCheck, TlsClient
from pykeepalived.units import MILLISECOND_US

_PATH: Final = b"/grpc.health.v1.Health/Check"
_PREFIX: Final = 5
_STATE_FIELD: Final = 1
#: The answer has two bytes behind its prefix; fields of later versions are skipped.
ANSWER_LIMIT: Final = 4096
_SERVING: Final = 1
_STATES: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
#: gRPC's status codes as far as a health service or a proxy before it says them.
_STATUSES: Final = {4: "deadline exceeded", 5: "service not known", 7: "permission denied", 12: "no health service",
                    13: "internal error", 14: "unavailable", 16: "unauthenticated"}  # fmt: skip
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def grpc(check: GrpcCheck) -> Conversation:
    """Up is who answers SERVING."""
    yield Connect(options=check.socket)
    if check.tls:
        yield _start_tls(check)
    document = bytearray()

    def take(data: bytes) -> Generator[Command, Reply, Outcome | None]:
        yield from ()  # nothing here has to wait
        document.extend(data)
        if len(document) > ANSWER_LIMIT:
            return Outcome(False, f"gRPC answer of more than {ANSWER_LIMIT} bytes", "too-long")
        return None

    answer = yield from http2.exchange(_headers(check), message(check.service), take)
    return answer if isinstance(answer, Outcome) else judge(answer, bytes(document))


def _start_tls(check: GrpcCheck) -> StartTls:
    client = check.client or TlsClient()
    return StartTls(
        server_name=check.sni_name,
        verify=check.verify,
        check_name=check.sni_name is not None,
        valid_days=check.certificate_days,
        alpn=http2.ALPN,
        ca_file=client.ca,
        certificate_file=client.certificate,
        key_file=client.key,
        key_password=client.password,
    )


def _headers(check: GrpcCheck) -> http2.Headers:
    authority = check.virtualhost or check.sni_name or host_and_port(check.socket.address, check.socket.port)
    # At most eight digits.
    limit_ms = min(99_999_999, max(1, check.socket.timeout_us // MILLISECOND_US))
    return (
        (b":method", b"POST"),
        (b":scheme", b"https" if check.tls else b"http"),
        (b":authority", authority.encode("utf-8", "surrogateescape")),
        (b":path", _PATH),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"KeepAliveClient"),
        (b"grpc-timeout", b"%dm" % limit_ms),
    )


def message(service: str) -> bytes:
    """A request in its frame; the empty name is that of the whole server."""
    name = service.encode("utf-8", "surrogateescape")
    field = bytes((_STATE_FIELD << 3 | _LENGTH,)) + _varint(len(name)) + name if name else b""
    return b"\0" + len(field).to_bytes(4, "big") + field


def judge(answer: http2.Answer, document: bytes) -> Outcome:
    """What a whole answer means."""
    if answer.status != 200:
        return Outcome(False, f"gRPC: HTTP status {answer.status}", "status-code")
    said = dict(answer.headers) | dict(answer.trailers)
    if not said.get(b"content-type", b"").startswith(b"application/grpc"):
        return Outcome(False, "the answer is no gRPC", "no-grpc")
    code = said.get(b"grpc-status", b"")
    if code != b"0":
        number = int(code) if code.isdigit() and len(code) < 4 else None
        return Outcome(False, f"gRPC status {number}: {_STATUSES.get(number or 0, 'an error')}", "grpc-status")
    state = state_of(document)
    if state == _SERVING:
        return Outcome(True, "gRPC health: SERVING", "serving")
    if state is None:
        return Outcome(False, "the answer is no health message", "grpc-message")
    name = _STATES[state] if state < len(_STATES) else str(state)
    return Outcome(False, f"gRPC health: {name}", "not-serving")


def state_of(document: bytes) -> int | None:
    """The state in a framed, uncompressed answer; 0 (UNKNOWN) when it is not said, None when this is no message."""
    if len(document) < _PREFIX or document[0] != 0:
        return None
    body = document[_PREFIX:]
    if len(body) != int.from_bytes(document[1:_PREFIX], "big"):
        return None
    state = 0
    try:
        at = 0
        while at < len(body):
            key, at = _read_varint(body, at)
            value, at = _read_value(body, at, key & 7)
            if key >> 3 == _STATE_FIELD and key & 7 == _VARINT:
                state = value
    except (IndexError, ValueError):
        return None
    return state


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends. Raises IndexError, ValueError."""
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("varint")


def _read_value(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """A field's number, 0 for what is none, and where it ends. Raises IndexError, ValueError."""
    if kind == _VARINT:
        return _read_varint(data, at)
    if kind == _LENGTH:
        size, at = _read_varint(data, at)
    elif kind in (_FIXED64, _FIXED32):
        size = 8 if kind == _FIXED64 else 4
    else:
        raise ValueError("wire type")
    if at + size > len(data):
        raise ValueError("truncated")
    return 0, at + size
