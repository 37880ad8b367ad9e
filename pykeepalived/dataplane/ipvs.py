"""IPVS, the kernel's load balancer, through generic netlink.

pyroute2 carries the family lookup and the dumps, with its IPVS message class corrected in `ipvs_messages`; its
own records of services and destinations are not used, as their "update" deletes and their defaults hide what the kernel
says. Changes go through `ipvs_codec` and `ipvs_commands`, many messages in one send.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec

from pykeepalived.dataplane import Counters, DataplaneUnavailable, Failure
from pykeepalived.dataplane import ipvs_codec as codec
from pykeepalived.dataplane.ipvs_commands import Commands
from pykeepalived.dataplane.ipvs_listing import (
    ListedDaemon,
    listed_daemon,
    listed_destination,
    listed_service,
)
from pykeepalived.dataplane.ipvs_messages import (
    decode_destination,
    decode_service,
    message_class,
    service_attributes,
)
from pykeepalived.dataplane.listing import ListedService
from pykeepalived.lvs.abilities import ipvs_refusals
from pykeepalived.lvs.table import (
    AddService,
    DeleteService,
    Destination,
    DestinationKey,
    EditService,
    Entry,
    Operation,
    Service,
    ServiceKey,
    Table,
)
from pykeepalived.model.lvs import SyncDaemon

_BATCH: Final = 128
#: TCP and SCTP.
_WITH_STATES: Final = (6, 132)
_SCHEDULER_ATTRIBUTES = AddService | EditService


class IpvsDataplane:
    """The kernel's IPVS table of this network namespace.

    Raises `DataplaneUnavailable` when this kernel has no IPVS or does not let us at it.
    """

    name = "ipvs"
    counts_in_parts = True

    def __init__(self) -> None:
        self._commands = Commands()
        try:
            self._dumps = _dump_socket()
        except BaseException:
            self._commands.close()
            raise
        self._family = self._commands.family

    def unsupported(self, table: Table) -> list[tuple[ServiceKey, str]]:
        """What no IPVS can do; a scheduler that this kernel lacks is refused when it is applied."""
        return [(key, refusal.reason) for key, entry in table.items() for refusal in ipvs_refusals(entry)]

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
            for refused, number in self._commands.send(bodies[start : start + _BATCH]):
                if refused is not None:
                    failures.append(_failure(refused, number))
        return failures

    def counters(self, keys: Collection[ServiceKey] | None = None) -> dict[tuple[ServiceKey, DestinationKey], Counters]:
        services = [key for key, _ in self._services()] if keys is None else keys
        return {(key, kept): counters for key in services for kept, _, counters in self._destinations(key)}

    def connections(
        self, places: Iterable[tuple[ServiceKey, DestinationKey]]
    ) -> dict[tuple[ServiceKey, DestinationKey], int]:
        """Of UDP and marks those too that IPVS calls inactive: it has no states to tell them by."""
        wanted = set(places)
        return {
            (key, kept): counters.active_connections
            + (0 if key.protocol in _WITH_STATES else counters.inactive_connections)
            for key in {key for key, _ in wanted}
            for kept, _, counters in self._destinations(key)
            if (key, kept) in wanted
        }

    def flush(self) -> None:
        """Empty the whole table, other programs' entries included (`lvs_flush`)."""
        self._commands.run(codec.FLUSH, b"")

    def zero(self, key: ServiceKey | None) -> None:
        """Set the counters of one service, or of all, to zero. Raises OSError."""
        self._commands.run(codec.ZERO, b"" if key is None else codec.operation_body(DeleteService(key)))

    def listing(self, key: ServiceKey | None = None) -> list[ListedService]:
        """Everything that the kernel tells about the table or one service, in its order. Raises OSError."""
        services = [listed_service(fields) for fields in self._service_fields(key)]
        return [
            msgspec.structs.replace(
                item,
                destinations=tuple(
                    listed_destination(fields, item.key.family) for fields in self._destination_fields(item.key)
                ),
            )
            for item in services
        ]

    def daemons(self) -> list[ListedDaemon]:
        """The running connection synchronisation, master first. Raises OSError."""
        nested = [message.get_attr("IPVS_CMD_ATTR_DAEMON") for message in self._request(codec.GET_DAEMON, dump=True)]
        return [listed_daemon(dict(item["attrs"])) for item in nested if item is not None]

    def start_daemon(self, settings: SyncDaemon, *, master: bool) -> None:
        """Start one role of connection synchronisation. Raises OSError."""
        self._commands.run(codec.NEW_DAEMON, codec.sync_daemon_body(settings, settings.sync_id or 0, master=master))

    def stop_daemon(self, *, master: bool) -> None:
        """Stop one role, whoever started it. Raises OSError."""
        self._commands.run(codec.DEL_DAEMON, codec.daemon_body(master=master))

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
        self._commands.run(codec.SET_CONFIG, codec.timeouts_body(tcp_s, tcpfin_s, udp_s))

    def set_buffer(self, size: int | None, *, force: bool) -> None:
        """`lvs_netlink_cmd_rcv_bufs`: bytes, None for our own size."""
        self._commands.set_buffer(size, force=force)

    def close(self) -> None:
        self._dumps.close()
        self._commands.close()

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
        return [decode_service(fields) for fields in self._service_fields(key)]

    def _service_fields(self, key: ServiceKey | None) -> list[dict[str, Any]]:
        try:
            messages = self._request(codec.GET_SERVICE, dump=key is None, key=key)
        except OSError as error:
            if error.errno in {errno.ESRCH, errno.ENOENT}:
                return []
            raise
        nested = [message.get_attr("IPVS_CMD_ATTR_SERVICE") for message in messages]
        return [dict(item["attrs"]) for item in nested if item is not None]

    def _destinations(self, key: ServiceKey) -> list[tuple[DestinationKey, Destination, Counters]]:
        return [decode_destination(fields, key.family) for fields in self._destination_fields(key)]

    def _destination_fields(self, key: ServiceKey) -> list[dict[str, Any]]:
        try:
            messages = self._request(codec.GET_DEST, dump=True, key=key)
        except OSError as error:
            # The service went away between the two dumps.
            if error.errno in {errno.ESRCH, errno.ENOENT}:
                return []
            raise
        nested = [message.get_attr("IPVS_CMD_ATTR_DEST") for message in messages]
        return [dict(item["attrs"]) for item in nested if item is not None]


def _dump_socket() -> Any:
    import pyroute2  # noqa: F401, PLC0415 (as a whole: parts may be here, see netio.pyroute)
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
