"""strict_mode: what it takes back from an instance (keepalived-behaviour 7.7)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.model import Family, VrrpState

OWNER: Final = 255


def apply_strict(context: Context, draft: Draft, values: dict[str, Any], family: Family) -> bool:
    """keepalived-behaviour 7.7: what strict_mode takes back, and says so. False: the instance cannot run like this."""
    strict = _Strict(context, draft, values)
    if values["unicast_peers"] and "interface" in draft.values:
        strict.say("unicast_peers", "no unicast on an interface that can do multicast, the instance is left out")
        return False
    strict.timing_and_priority()
    strict.adverts()
    strict.acceptance()
    strict.virtual_mac()
    if family is Family.INET6 and values["addresses"]:
        first = values["addresses"][0].prefix.address
        if not first.lower().startswith("fe80:"):
            strict.say("addresses", "the first IPv6 address must be link-local")
    return True


class _Strict:
    """The rules for one instance, in groups."""

    def __init__(self, context: Context, draft: Draft, values: dict[str, Any]) -> None:
        self._context = context
        self._draft = draft
        self._values = values
        self._owner = values["priority"] == OWNER

    def say(self, field: str, why: str) -> None:
        at = self._draft.where.get(field, self._draft.statement)
        self._context.error("strict-mode", f"({self._draft.name}) strict_mode: {why}", at, 0)

    def _reset(self, field: str, value: Any, why: str) -> None:
        if self._values.get(field) not in (value, None) and field in self._draft.where:
            self.say(field, why)
        self._values[field] = value

    def timing_and_priority(self) -> None:
        values = self._values
        self._reset("preempt_delay_us", 0, "no preempt_delay")
        self._reset("down_timer_adverts", 3, "down_timer_adverts is 3")
        wished = VrrpState.MASTER if self._owner else VrrpState.BACKUP
        if values["initial_state"] is not wished:
            self.say("initial_state", "state MASTER belongs to priority 255 alone")
            values["initial_state"] = wished
        if self._owner and "owner_ignore_adverts" not in self._draft.values:
            values["owner_ignore_adverts"] = True

    def adverts(self) -> None:
        values = self._values
        if values["authentication"] is not None:
            self.say("authentication", "no authentication")
            values["authentication"] = None
        if values["auth_hmac"] is not None and values["auth_hmac"].mode != "enforce":
            self.say("auth_hmac", "auth_hmac is in mode enforce")
            values["auth_hmac"] = msgspec.structs.replace(values["auth_hmac"], mode="enforce")
        if values["higher_prio_send_advert"] is None:
            values["higher_prio_send_advert"] = False
        self._reset("higher_prio_send_advert", False, "no higher_prio_send_advert")
        self._reset("lower_prio_no_advert", True, "no advert because of one of lower priority")
        if values["garp"].lower_prio_repeat and "garp_lower_prio_repeat" in self._draft.where:
            self.say("garp_lower_prio_repeat", "no gratuitous ARP because of an advert of lower priority")
        values["garp"] = msgspec.structs.replace(values["garp"], lower_prio_repeat=0, lower_prio_delay_us=0)

    def acceptance(self) -> None:
        values = self._values
        if "no_virtual_ipaddress" in self._draft.values:
            self.say("no_virtual_ipaddress", "no_virtual_ipaddress does not go with it")
        if "accept" not in self._draft.values:
            values["accept"] = self._owner
        elif values["accept"] and values["version"] == 2 and not self._owner:
            self.say("accept", "VRRP version 2 knows no accept")
            values["accept"] = False

    def virtual_mac(self) -> None:
        values = self._values
        self._reset("vmac_xmit_base", False, "no vmac_xmit_base")
        if values["vmac"] is not None and values["vmac"].mac is not None:
            self.say("use_vmac", "no MAC address of one's own")
            values["vmac"] = msgspec.structs.replace(values["vmac"], mac=None)
