"""Parts of a vrrp_instance: authentication, gratuitous ARP, unicast peers, virtual MACs."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.model import (
    Authentication,
    AuthHmac,
    AuthType,
    Family,
    GarpSettings,
    HmacKey,
    UnicastPeer,
    VmacSettings,
    family_of,
)
from pykeepalived.units import SECOND_US

_PASSWORD: Final = 8
_KEY_SHORTEST: Final = 32
_KEY_LONGEST: Final = 64


def build_authentication(context: Context, draft: Draft, version: int, has_hmac: bool) -> Authentication | None:
    inner: Draft | None = draft.get("authentication")
    if inner is None or "auth_type" not in inner.values:
        return None
    at = inner.statement
    if has_hmac:
        context.error(
            "two-authentications", f"({draft.name}) auth_hmac is given too, authentication is not looked at", at, 0
        )
        return None
    if version == 3:
        context.warning(
            "authentication-in-v3",
            f"({draft.name}) VRRPv3 has no authentication, it is not looked at",
            at,
            0,
            help="leave the block out, or use auth_hmac",
        )
        return None
    if "auth_pass" not in inner.values:
        context.error("missing-password", f"({draft.name}) authentication has no auth_pass, it is not looked at", at, 0)
        return None
    statement = inner.where["auth_pass"]
    password = inner.values["auth_pass"].encode(statement.line.source.encoding, "replace")
    if len(password) > _PASSWORD:
        context.error(
            "password-too-long",
            f"({draft.name}) auth_pass is longer than {_PASSWORD} characters, the rest does not count",
            statement,
            1,
        )
    return Authentication(AuthType[inner.values["auth_type"]], password[:_PASSWORD])


def build_hmac(context: Context, draft: Draft) -> AuthHmac | None:
    inner: Draft | None = draft.get("auth_hmac")
    if inner is None:
        return None
    at = inner.statement
    keys: dict[int, HmacKey] = {}
    files = False
    for number, text in inner.get("keys", ()):
        statement = inner.where["keys"]
        if text.startswith("file:"):
            # Read, with a check of its rights, when HMAC comes into effect.
            files = True
            continue
        value = _key_value(context, text, statement)
        if value is None:
            continue
        if number in keys:
            context.error("duplicate-key", f"({draft.name}) key {number} is there already", statement, 1)
        elif not _KEY_SHORTEST <= len(value) <= _KEY_LONGEST:
            context.error(
                "bad-key",
                f"({draft.name}) key {number} must have {_KEY_SHORTEST} to {_KEY_LONGEST} bytes",
                statement,
                2,
            )
        else:
            keys[number] = HmacKey(number, value)
    if not keys and not files:
        context.error("missing-key", f"({draft.name}) auth_hmac has no usable key, it is not looked at", at, 0)
        return None
    active = inner.get("active_key")
    if active is None and len(keys) == 1:
        active = next(iter(keys))
    if active not in keys and not files:
        context.error("missing-key", f"({draft.name}) auth_hmac has no usable active_key", at, 0)
    return AuthHmac(
        keys=tuple(keys.values()),
        active_key=active,
        time_window_s=inner.get("time_window_s"),
        anti_replay=inner.get("anti_replay", "time"),
        mode=inner.get("mode", "enforce"),
    )


def _key_value(context: Context, text: str, statement: Any) -> bytes | None:
    if text.startswith("hex:"):
        try:
            return bytes.fromhex(text[4:])
        except ValueError:
            context.error("bad-key", "the key is not of hexadecimal digits", statement, 2)
            return None
    return text.encode()


def build_garp(context: Context, draft: Draft, settings: Draft) -> GarpSettings:
    """Own word, else global_defs, else built in.

    What is sent after a lower advert follows global_defs' words for a new MASTER, not the instance's (seen in 2.2.7).
    """
    del context
    minimal = settings.get("min_garp", False)

    def pick(field: str, built_in: int, least: int) -> int:
        return int(draft.get(field, settings.get(field, least if minimal else built_in)))

    lower_delay_us = settings.get("garp_delay_us", 0 if minimal else 5 * SECOND_US)
    lower_repeat = settings.get("garp_repeat", 1 if minimal else 5)
    extra = draft.get("garp_extra_if", settings.get("garp_extra_if"))
    return GarpSettings(
        delay_us=pick("garp_delay_us", 5 * SECOND_US, 0),
        repeat=pick("garp_repeat", 5, 1),
        refresh_us=pick("garp_refresh_us", 0, 0),
        refresh_repeat=pick("garp_refresh_repeat", 1, 1),
        lower_prio_delay_us=int(
            draft.get("garp_lower_prio_delay_us", settings.get("garp_lower_prio_delay_us", lower_delay_us))
        ),
        lower_prio_repeat=int(
            draft.get("garp_lower_prio_repeat", settings.get("garp_lower_prio_repeat", lower_repeat))
        ),
        extra_if_us=extra[1] if extra else 0,
        extra_if_all=bool(extra and extra[0]),
    )


def build_peers(context: Context, draft: Draft, family: Family) -> tuple[UnicastPeer, ...]:
    peers: dict[str, UnicastPeer] = {}
    for entry in draft.get("unicast_peers", ()):
        address = entry.values["address"]
        place = entry.places["address"]
        if family_of(address) is not family:
            context.error(
                "mixed-families",
                f"({draft.name}) peer `{address}` is of another family than the addresses, it is left out",
                entry.statement,
                place,
            )
        elif address in peers:
            context.error("duplicate-peer", f"({draft.name}) peer `{address}` is given twice", entry.statement, place)
        else:
            peers[address] = UnicastPeer(address, entry.get("min_ttl", 0), entry.get("max_ttl", 255))
    if "unicast_peers" in draft.values and not peers:
        context.warning("no-peers", f"({draft.name}) unicast_peer is empty", draft.where["unicast_peers"], 0)
    return tuple(peers.values())


def build_vmac(context: Context, draft: Draft, family: Family) -> VmacSettings | None:
    vmac, ipvlan = draft.get("use_vmac"), draft.get("use_ipvlan")
    if vmac is not None and ipvlan is not None:
        context.error(
            "two-kinds", f"({draft.name}) use_vmac and use_ipvlan exclude each other", draft.where["use_vmac"], 0
        )
        ipvlan = None
    if vmac is not None:
        mac = vmac.get("mac")
        if mac is not None and len(mac) == 5:
            mac += bytes((draft.values["vrid"],))
        return VmacSettings(
            ifname=vmac.get("ifname"),
            mac=mac,
            netlink_notify=bool(vmac.get("netlink_notify")),
            group=vmac.get("group"),
        )
    if ipvlan is None:
        return None
    if family is Family.INET and ipvlan.get("source") is None and "source" not in draft.values:
        context.error(
            "missing-source", f"({draft.name}) use_ipvlan needs a source address", draft.where["use_ipvlan"], 0
        )
    return VmacSettings(
        kind="ipvlan",
        ifname=ipvlan.get("ifname"),
        group=ipvlan.get("group"),
        ipvlan_flags=ipvlan.get("ipvlan_flags"),
        source=ipvlan.get("source"),
    )
