"""strict_mode: what it takes back from an instance (keepalived-behaviour 7.7)."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.model import Family, VrrpState

OWNER: Final = 255


def apply_strict(context: Context, draft: Draft, values: dict[str, Any], family: Family) -> None:
    """keepalived-behaviour 7.7: what strict_mode takes back, and says so."""
    owner = values["priority"] == OWNER

    def reset(field: str, value: Any, why: str) -> None:
        if values.get(field) not in (value, None) and field in draft.where:
            context.error("strict-mode", f"({draft.name}) strict_mode: {why}", draft.where[field], 0)
        values[field] = value

    if values["authentication"] is not None:
        context.error("strict-mode", f"({draft.name}) strict_mode: no authentication", draft.where["authentication"], 0)
        values["authentication"] = None
    reset("preempt_delay_us", 0, "no preempt_delay")
    reset("down_timer_adverts", 3, "down_timer_adverts is 3")
    reset("higher_prio_send_advert", False, "no higher_prio_send_advert")
    values["lower_prio_no_advert"] = True
    wished = VrrpState.MASTER if owner else VrrpState.BACKUP
    if values["initial_state"] is not wished:
        at = draft.where.get("initial_state", draft.statement)
        context.error("strict-mode", f"({draft.name}) strict_mode: state MASTER belongs to priority 255 alone", at, 0)
        values["initial_state"] = wished
    if "accept" not in draft.values:
        values["accept"] = owner
    if family is Family.INET6 and values["addresses"]:
        first = values["addresses"][0].prefix.address
        if not first.lower().startswith("fe80:"):
            context.error(
                "strict-mode", f"({draft.name}) strict_mode: the first IPv6 address must be link-local",
                draft.where["addresses"], 0,
            )  # fmt: skip
