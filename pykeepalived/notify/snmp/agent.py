"""The AgentX subagent: one session with the master agent, answered from trees of facts (RFC 2741).

Nothing here waits: a master that is not there, or goes, is tried again every `RETRY_US`; what it asks is answered when
the facts are fresh enough. What a master sends is bounded (`codec.PDU_LIMIT`), and so is what waits to be sent to it.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from pykeepalived.notify.receiving import receive
from pykeepalived.notify.snmp import codec
from pykeepalived.notify.snmp.codec import BadPdu, Head, Kind, Oid, Reader, Tag, VarBind
from pykeepalived.notify.snmp.tree import Tree
from pykeepalived.reactor import READ, WRITE, Reactor, Timer
from pykeepalived.units import SECOND_US

RETRY_US: Final = 15 * SECOND_US
_ANSWER_LIMIT_US: Final = 10 * SECOND_US
#: Seconds that the master waits for an answer of ours.
TIMEOUT_S: Final = 5
#: What waits for a master that does not read.
OUTPUT_LIMIT: Final = 4 << 20
#: Traps that wait for a session; the oldest are lost.
TRAPS_KEPT: Final = 1000
_BULK_LIMIT: Final = 500
_READ: Final = 65536
_SHUTDOWN: Final = 5

Given = Callable[[Tree], None]


class Log(Protocol):
    def info(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...


class Agent:
    """`tree` gives the current tree to its argument, now or soon."""

    def __init__(self, reactor: Reactor, log: Log, tree: Callable[[Given], None]) -> None:
        self._reactor = reactor
        self._log = log
        self._tree = tree
        self._target = ""
        self._subtrees: tuple[Oid, ...] = ()
        self._socket: socket.socket | None = None
        self._connected = False
        self._session: int | None = None
        self._packet = 0
        self._input = bytearray()
        self._output = bytearray()
        self._traps: deque[bytes] = deque(maxlen=TRAPS_KEPT)
        self._retry: Timer | None = None
        self._limit: Timer | None = None
        self._said = ""
        self._waiting: dict[int, tuple[Callable[[int], None]]] = {}

    # ---- settings ----

    def configure(self, target: str, subtrees: Sequence[Oid]) -> None:
        """Have a session with the master at `target` that serves these subtrees; none: have no session."""
        wanted = tuple(subtrees)
        if target == self._target and wanted == self._subtrees:
            return
        self.close()
        self._target, self._subtrees, self._said = target, wanted, ""
        if wanted:
            self._connect()

    def notify(self, trap: Oid, binds: Sequence[VarBind], trap_oid: Oid) -> None:
        """Send a notification, when there is a session."""
        payload = codec.put_varbind(VarBind(trap_oid, Tag.OID, trap)) + b"".join(map(codec.put_varbind, binds))
        self._traps.append(payload)
        self._send_traps()

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._send(Kind.CLOSE, codec.close_payload(_SHUTDOWN))
        self._drop()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._subtrees = ()

    @property
    def has_session(self) -> bool:
        return self._session is not None

    # ---- the connection ----

    def _connect(self) -> None:
        self._retry = None
        try:
            family, address = parse_target(self._target)
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            number = self._socket.connect_ex(address)
        except (OSError, ValueError) as error:
            self._lost(str(error))
            return
        if number not in {0, errno.EINPROGRESS}:
            self._lost(os.strerror(number))
            return
        self._limit = self._reactor.call_later(_ANSWER_LIMIT_US, lambda: self._lost("it does not answer"))
        self._reactor.watch(self._socket.fileno(), WRITE, self._ready)

    def _lost(self, why: str) -> None:
        """Without a session: say so once, try again later."""
        if why != self._said:
            self._said = why
            self._log.error(f"AgentX master {self._target}: {why} - trying again every {RETRY_US // SECOND_US} s")
        self._drop()
        if self._subtrees and self._retry is None:
            self._retry = self._reactor.call_later(RETRY_US, self._connect)

    def _drop(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        if self._socket is not None:
            self._reactor.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._connected = False
        self._session = None
        self._waiting.clear()
        self._input.clear()
        self._output.clear()

    def _ready(self, events: int) -> None:
        if self._socket is None:
            return
        if not self._connected:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                self._lost(os.strerror(number))
                return
            self._connected = True
            self._open()
        if events & ~WRITE:
            self._receive()
        self._flush()

    def _receive(self) -> None:
        assert self._socket is not None
        data = receive(self._socket, _READ, self._lost, ended="it closed the connection")
        if not data:
            return
        self._input += data
        try:
            while self._socket is not None and len(self._input) >= codec.HEADER.size:
                head = codec.read_head(self._input)
                size = codec.HEADER.size + head.length
                if len(self._input) < size:
                    return
                payload = bytes(memoryview(self._input)[codec.HEADER.size : size])
                del self._input[:size]
                self._handle(head, payload)
        except BadPdu as error:
            self._lost(f"it sends what is no AgentX ({error})")

    def _flush(self) -> None:
        if self._socket is None or not self._connected:
            return
        try:
            while self._output:
                sent = self._socket.send(memoryview(self._output)[:_READ])
                del self._output[:sent]
        except BlockingIOError:
            pass
        except OSError as error:
            self._lost(error.strerror or str(error))
            return
        self._reactor.watch(self._socket.fileno(), READ | WRITE if self._output else READ, self._ready)

    def _send(self, kind: Kind, payload: bytes) -> int:
        self._packet += 1
        self._output += codec.pdu(kind, self._session or 0, 0, self._packet, payload)
        self._flush()
        return self._packet

    # ---- the session ----

    def _open(self) -> None:
        number = self._send(Kind.OPEN, codec.open_payload(TIMEOUT_S, (), "pykeepalived"))
        self._waiting[number] = (self._opened,)

    def _opened(self, session: int) -> None:
        self._session = session
        for subtree in self._subtrees:
            number = self._send(Kind.REGISTER, codec.register_payload(subtree))
            self._waiting[number] = (lambda _: None,)
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        self._said = ""
        self._log.info(f"AgentX session with {self._target} is open")
        self._send_traps()

    def _send_traps(self) -> None:
        while self._session is not None and self._traps and len(self._output) < OUTPUT_LIMIT:
            self._send(Kind.NOTIFY, self._traps.popleft())

    def _handle(self, head: Head, payload: bytes) -> None:
        reader = Reader(payload)
        if head.kind == Kind.RESPONSE:
            self._answered(head, reader)
        elif head.kind in {Kind.GET, Kind.GET_NEXT, Kind.GET_BULK}:
            reader.context(head)
            bulk = reader.bulk() if head.kind == Kind.GET_BULK else (0, 1)
            ranges = reader.ranges()
            self._tree(lambda tree: self._answer(head, lookup(tree, Kind(head.kind), ranges, *bulk)))
        elif head.kind == Kind.CLOSE:
            self._lost("it closed the session")
        elif head.kind == Kind.TEST_SET:
            self._respond(head, codec.response_payload(codec.NOT_WRITABLE, 1))
        elif head.kind != Kind.CLEANUP_SET:
            self._respond(head, codec.response_payload(codec.GENERAL_ERROR, 0))

    def _answered(self, head: Head, reader: Reader) -> None:
        waiting = self._waiting.pop(head.packet, None)
        _, error, _ = reader.response()
        if waiting is None:
            return
        if error and self._session is None:
            self._lost(f"it refuses a session (error {error})")
        elif error:
            self._log.error(f"AgentX master {self._target} refuses to let us serve a subtree (error {error})")
        else:
            waiting[0](head.session)

    def _answer(self, head: Head, binds: Sequence[VarBind]) -> None:
        self._respond(head, codec.response_payload(0, 0, binds))

    def _respond(self, head: Head, payload: bytes) -> None:
        if self._session is None or len(self._output) > OUTPUT_LIMIT:
            return
        self._output += codec.pdu(Kind.RESPONSE, head.session, head.transaction, head.packet, payload)
        self._flush()


def lookup(
    tree: Tree, kind: Kind, ranges: Sequence[codec.SearchRange], without: int, repetitions: int
) -> list[VarBind]:
    """The answer to a Get, GetNext or GetBulk (RFC 2741 section 7.2.3)."""
    if kind is Kind.GET:
        return [tree.get(item.start) for item in ranges]
    if kind is Kind.GET_NEXT:
        return [tree.next(item.start, item.end, include=item.include) for item in ranges]
    found = [tree.next(item.start, item.end, include=item.include) for item in ranges[:without]]
    repeated = ranges[without:]
    count = min(repetitions, _BULK_LIMIT // max(1, len(repeated)) or 1)
    rows = [tree.bulk(item.start, item.end, include=item.include, count=count) for item in repeated]
    for at in range(count):
        for row, item in zip(rows, repeated, strict=True):
            found.append(row[at] if at < len(row) else VarBind(row[-1].name if row else item.start, Tag.END))
    return found


def parse_target(text: str) -> tuple[int, str | tuple[str, int]]:
    """Socket family and address of `unix:PATH`, `PATH`, `tcp:HOST:PORT`, `tcp6:[HOST]:PORT`. Raises ValueError."""
    kind, colon, rest = text.partition(":")
    if kind in {"tcp", "tcp6"} and colon:
        host, _, port = rest.rpartition(":")
        if not port.isdecimal() or not host:
            raise ValueError(f"`{text}` is no HOST:PORT")
        host = host.strip("[]")
        host = "127.0.0.1" if host == "localhost" else host
        return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(port))
    if kind == "unix" and colon:
        return socket.AF_UNIX, rest
    if text.startswith("/"):
        return socket.AF_UNIX, text
    raise ValueError(f"AgentX is spoken over unix:PATH or tcp:HOST:PORT, not `{text}`")
