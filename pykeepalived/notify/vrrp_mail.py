"""What keepalived's mails say about instances and sync groups (keepalived-behaviour 6.4)."""

from __future__ import annotations

from typing import Final

from pykeepalived.vrrp.events import Notify, NotifyKind

_INSTANCE: Final = {
    "MASTER": ("Entering MASTER state", "=> VRRP Instance is now owning VRRP VIPs <="),
    "BACKUP": ("Entering BACKUP state", "=> VRRP Instance is no longer owning VRRP VIPs <="),
    "FAULT": ("Entering FAULT state", "=> VRRP Instance is no longer owning VRRP VIPs <="),
    "STOP": ("Stopping", "=> VRRP Instance stopping <="),
    "DELETED": ("Deleted", "=> VRRP Deleted at reload <="),
}
_GROUP: Final = {
    "MASTER": ("Entering MASTER state", "=> All VRRP group instances are now in MASTER state <="),
    "BACKUP": ("Entering BACKUP state", "=> All VRRP group instances are now in BACKUP state <="),
    "FAULT": ("Entering FAULT state", "=> All VRRP group instances are now in FAULT state <="),
    "STOP": ("Stopping", "=> All VRRP group instances are now stopping <="),
}


class VrrpMails:
    """Which events are worth a mail: the same state of the same object is not mailed twice in a row."""

    def __init__(self) -> None:
        self._last: dict[tuple[NotifyKind, str], str] = {}

    def text(self, event: Notify, *, faults: bool) -> tuple[str, str] | None:
        """Subject without the router's name, and body; None: no mail. `faults` False keeps FAULT quiet."""
        is_group = event.kind is NotifyKind.GROUP
        found = (_GROUP if is_group else _INSTANCE).get(event.state)
        if found is None or (event.state == "FAULT" and not faults):
            return None
        place = (event.kind, event.name)
        if self._last.get(place) == event.state:
            return None
        self._last[place] = event.state
        what = "Group" if is_group else "Instance"
        return f"VRRP {what} {event.name} - {found[0]}", found[1]
