"""IPVS, the kernel's load balancer, through generic netlink.

pyroute2 carries the family lookup and the dumps, with its IPVS message class corrected in `ipvs_messages`; its
own records of services and destinations are not used, as their "update" deletes and their defaults hide what the kernel
says. Changes go through `ipvs_codec` on a socket of ours, many messages in one send. The kernel always answers a
refusal; success is only acknowledged for the last message of a batch, and its answer closes the batch.

No answer within `_ANSWER_LIMIT_S`, or more answers than the receive buffer holds, is a named failure of every operation
of the batch that is in doubt: the caller reads the table again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from pykeepalived.dataplane import Counters, DataplaneUnavailable, Failure
from pykeepalived.dataplane import ipvs_codec as codec
from pykeepalived.dataplane.ipvs_messages import (
    decode_destination,
    decode_service,
    message_class,
    service_attributes,
)
from pykeepalived.lvs.table import (
    AddService,
    Destination,
    DestinationKey,
    EditService,
    Entry,
    Operation,
    Service,
    ServiceKey,
    Table,
)

_BATCH: Final = 128
_ANSWER_LIMIT_S: Final = 10.0
_RECEIVE_BUFFER: Final = 4 << 20
_SO_RCVBUFFORCE: Final = 33
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_MODPROBE_LIMIT_S: Final = 10
_MODPROBE_SETTING: Final = Path("/proc/sys/kernel/modprobe")
_PRESENT: Final = Path("/proc/net/ip_vs")

_ANSWER = struct.Struct("=IHHIIi")
_SCHEDULER_ATTRIBUTES = AddService | EditService


class IpvsDataplane:
    """The kernel's IPVS table of this network namespace.

    Raises `DataplaneUnavailable` when this kernel has no IPVS or does not let us at it.
    """

    name = "ipvs"

    def __init__(self) -> None:
        load_module()
        self._dumps = _dump_socket()
        try:
            self._family: int = self._dumps.prid
            self._socket = _change_socket()
            self._sequence = 0
            refused = self._send([(None, codec.GET_CONFIG, b"")])
            if refused:
                self._socket.close()
                raise DataplaneUnavailable(f"IPVS refuses access: {os.strerror(refused[0][1])}")
        except BaseException:
            self._dumps.close()
            raise

    def unsupported(self, table: Table) -> list[tuple[ServiceKey, str]]:
        """Nothing that the model can say: a scheduler that the kernel lacks is refused when it is applied."""
        return []

    def snapshot(self) -> Table:
        return self.read(None)

    def read(self, keys: Iterable[ServiceKey] | None) -> Table:
        """The table, or the part of it under some keys. Raises OSError when the kernel does not answer."""
        services = self._services() if keys is None else [found for key in keys for found in self._services(key)]
        return {
            key: Entry(service, {kept: value for kept, value, _ in self._destinations(key)})
            for key, service in services
        }

    def apply(self, operations: Sequence[Operation]) -> list[Failure]:
        failures: list[Failure] = []
        bodies: list[tuple[Operation | None, int, bytes]] = []
        for operation in operations:
            try:
                bodies.append((operation, codec.COMMANDS[type(operation)], codec.operation_body(operation)))
            except (OSError, ValueError, struct.error) as error:
                failures.append(Failure(operation, "invalid", str(error)))
        for start in range(0, len(bodies), _BATCH):
            for refused, number in self._send(bodies[start : start + _BATCH]):
                if refused is not None:
                    failures.append(_failure(refused, number))
        return failures

    def counters(self) -> dict[tuple[ServiceKey, DestinationKey], Counters]:
        return {(key, kept): counters for key, _ in self._services() for kept, _, counters in self._destinations(key)}

    def flush(self) -> None:
        """Empty the whole table, other programs' entries included (`lvs_flush`)."""
        self._command(codec.FLUSH, b"")

    def timeouts(self) -> tuple[int, int, int]:
        """Connection timeouts in seconds: tcp, tcpfin, udp."""
        for message in self._request(codec.GET_CONFIG, dump=False):
            values = [message.get_attr(f"IPVS_CMD_ATTR_TIMEOUT_{word}") for word in ("TCP", "TCP_FIN", "UDP")]
            if None not in values:
                tcp_s, tcpfin_s, udp_s = values
                return (tcp_s, tcpfin_s, udp_s)
        raise OSError(errno.EPROTO, "no timeouts in the answer")

    def set_timeouts(self, tcp_s: int, tcpfin_s: int, udp_s: int) -> None:
        """Set connection timeouts; 0 leaves one as it is. Raises OSError."""
        self._command(codec.SET_CONFIG, codec.timeouts_body(tcp_s, tcpfin_s, udp_s))

    def start_sync_daemon(
        self,
        *,
        master: bool,
        interface: str,
        sync_id: int,
        max_length: int = 0,
        group: str = "",
        port: int = 0,
        ttl: int = 0,
    ) -> None:
        """Start the connection synchronisation in one role. Raises OSError, FileExistsError when it runs already."""
        body = codec.daemon_body(
            master=master, interface=interface, sync_id=sync_id, max_length=max_length, group=group, port=port, ttl=ttl
        )
        self._command(codec.NEW_DAEMON, body)

    def stop_sync_daemon(self, *, master: bool) -> None:
        """Stop one role. Raises OSError, ProcessLookupError when it does not run."""
        self._command(codec.DEL_DAEMON, codec.daemon_body(master=master))

    def close(self) -> None:
        self._dumps.close()
        self._socket.close()

    # ---- changes ----

    def _command(self, command: int, body: bytes) -> None:
        refused = self._send([(None, command, body)])
        if refused:
            number = refused[0][1]
            raise OSError(number, os.strerror(number))

    def _send(self, batch: Sequence[tuple[Operation | None, int, bytes]]) -> list[tuple[Operation | None, int]]:
        """Send commands in one go and wait for the answer to the last; the refused ones with their errno."""
        first = self._sequence + 1
        self._sequence += len(batch)
        last = self._sequence
        data = b"".join(
            codec.message(self._family, command, number, body, ack=number == last)
            for number, (_, command, body) in enumerate(batch, start=first)
        )
        refused: list[tuple[Operation | None, int]] = []
        answered = first - 1
        try:
            self._socket.send(data)
            while answered < last:
                for sequence, number in self._answers():
                    # Late answers of an earlier batch, if any, have lower numbers.
                    if first <= sequence <= last:
                        answered = sequence
                        if number:
                            refused.append((batch[sequence - first][0], number))
        except OSError as error:
            # Answers are missing: everything after the last known one is in doubt.
            number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno or errno.EIO
            refused += [(operation, number) for operation, _, _ in batch[answered + 1 - first :]]
        return refused

    def _answers(self) -> list[tuple[int, int]]:
        data = self._socket.recv(1 << 16)
        answers: list[tuple[int, int]] = []
        offset = 0
        while offset + _ANSWER.size <= len(data):
            size, kind, _, sequence, _, code = _ANSWER.unpack_from(data, offset)
            if kind == codec.NLMSG_ERROR:
                answers.append((sequence, -code))
            offset += max(16, size + (-size % 4))
        return answers

    # ---- dumps ----

    def _request(self, command: int, *, dump: bool, key: ServiceKey | None = None) -> Iterable[Any]:
        from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415 (import is costly)

        request = message_class()()
        request["cmd"], request["version"] = command, codec.VERSION
        if key is not None:
            request["attrs"] = [["IPVS_CMD_ATTR_SERVICE", {"attrs": service_attributes(key)}]]
        flags = codec.NLM_F_REQUEST | (0x300 if dump else codec.NLM_F_ACK)
        try:
            return tuple(self._dumps.nlm_request(request, msg_type=self._family, msg_flags=flags))
        except NetlinkError as error:
            raise OSError(error.code, os.strerror(error.code)) from error

    def _services(self, key: ServiceKey | None = None) -> list[tuple[ServiceKey, Service]]:
        """All services, or the one of a key, if it is there."""
        try:
            messages = self._request(codec.GET_SERVICE, dump=key is None, key=key)
        except OSError as error:
            if error.errno in {errno.ESRCH, errno.ENOENT}:
                return []
            raise
        services = []
        for message in messages:
            nested = message.get_attr("IPVS_CMD_ATTR_SERVICE")
            if nested is not None:
                services.append(decode_service(dict(nested["attrs"])))
        return services

    def _destinations(self, key: ServiceKey) -> list[tuple[DestinationKey, Destination, Counters]]:
        try:
            messages = self._request(codec.GET_DEST, dump=True, key=key)
        except OSError as error:
            # The service went away between the two dumps.
            if error.errno in {errno.ESRCH, errno.ENOENT}:
                return []
            raise
        destinations = []
        for message in messages:
            nested = message.get_attr("IPVS_CMD_ATTR_DEST")
            if nested is not None:
                destinations.append(decode_destination(dict(nested["attrs"]), key.family))
        return destinations


def load_module() -> None:
    """Make the kernel load ip_vs if it is there to be loaded. Raises `DataplaneUnavailable` when it is not."""
    if _PRESENT.exists():
        return
    try:
        program = _MODPROBE_SETTING.read_text().strip()
    except OSError:
        program = ""
    reason = "the kernel loads no modules"
    if program and os.access(program, os.X_OK):
        reason = "the module ip_vs is not there"
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [program, "-q", "ip_vs"],
                timeout=_MODPROBE_LIMIT_S,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    if not _PRESENT.exists():
        raise DataplaneUnavailable(f"this kernel has no IPVS ({reason})")


def _change_socket() -> socket.socket:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 16)
    netlink.settimeout(_ANSWER_LIMIT_S)
    with contextlib.suppress(OSError):
        netlink.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
        # Short answers: the refused message is not sent back.
        with contextlib.suppress(OSError):
            netlink.setsockopt(_SOL_NETLINK, option, 1 if option == _NETLINK_CAP_ACK else 0)
    netlink.bind((0, 0))
    return netlink


def _dump_socket() -> Any:
    from pyroute2.netlink.generic import GenericNetlinkSocket  # noqa: PLC0415

    sock = GenericNetlinkSocket()
    try:
        sock.bind("IPVS", message_class())
    except Exception as error:
        sock.close()
        raise DataplaneUnavailable(f"IPVS does not answer: {error}") from error
    return sock


def _failure(operation: Operation, number: int) -> Failure:
    """What the kernel's error number means for this operation."""
    on_service = isinstance(operation, _SCHEDULER_ATTRIBUTES)
    names = {
        errno.EEXIST: ("exists", f"{'service' if on_service else 'destination'} already exists"),
        errno.ESRCH: ("no-service", "no such service"),
        errno.ENOENT: ("no-scheduler", "scheduler or persistence engine not found")
        if on_service
        else ("no-destination", "no such destination"),
        errno.EPERM: ("not-permitted", "permission denied"),
        errno.EINVAL: ("invalid", "invalid argument"),
        errno.ERANGE: ("out-of-range", "weight or thresholds out of range"),
        errno.ETIMEDOUT: ("no-answer", "the kernel did not answer"),
        errno.ENOBUFS: ("no-answer", "answers were lost"),
    }
    name, text = names.get(number, ("refused", os.strerror(number).lower()))
    return Failure(operation, name, text)
