"""Attributes of services and destinations as comments of elements: how a later run reads the table back."""

from __future__ import annotations

from pykeepalived.lvs.table import Destination, Service
from pykeepalived.model.lvs import Forwarding, ForwardingMethod


def service_comment(service: Service) -> str:
    prefix = "-" if service.persistence_prefix is None else str(service.persistence_prefix)
    flags = service.scheduler_flags
    return f"{service.scheduler} {flags} {service.persistence_timeout_s} {prefix} {int(service.one_packet)}"


def read_service_comment(comment: str) -> Service | None:
    """None when the comment is not one of ours."""
    words = comment.split()
    if len(words) != 5 or not all(words[place].isdecimal() for place in (1, 2, 4)):
        return None
    return Service(
        scheduler=words[0],
        scheduler_flags=int(words[1]),
        persistence_timeout_s=int(words[2]),
        persistence_prefix=int(words[3]) if words[3].isdecimal() else None,
        one_packet=words[4] == "1",
    )


def destination_comment(value: Destination) -> str:
    """The weight; then forwarding method and thresholds where they are not the usual ones."""
    if value.forwarding.method is ForwardingMethod.NAT and not (value.upper_threshold or value.lower_threshold):
        return str(value.weight)
    return f"{value.weight} {value.forwarding.method.value} {value.upper_threshold} {value.lower_threshold}"


def read_destination_comment(comment: str) -> Destination | None:
    """None when the comment is not one of ours."""
    words = comment.split()
    if len(words) == 1 and words[0].isdecimal():
        return Destination(weight=int(words[0]), forwarding=Forwarding())
    if len(words) != 4 or not all(words[place].isdecimal() for place in (0, 2, 3)):
        return None
    if words[1] not in ForwardingMethod.__members__:
        return None
    return Destination(
        weight=int(words[0]),
        forwarding=Forwarding(ForwardingMethod(words[1])),
        upper_threshold=int(words[2]),
        lower_threshold=int(words[3]),
    )
