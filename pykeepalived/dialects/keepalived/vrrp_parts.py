"""Parts of a vrrp_instance: authentication, gratuitous ARP, unicast peers, virtual MACs."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.diagnostics import ExitClass
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
_KEY_FILE_BYTES: Final = 4096


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
    """None, which is reported, without a key that could be used: keepalived 2.4.3 then does without the trailer."""
    inner: Draft | None = draft.get("auth_hmac")
    if inner is None:
        return None
    at = inner.statement
    keys: dict[int, HmacKey] = {}
    for number, text in inner.get("keys", ()):
        statement = inner.where["keys"]
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
    if not keys and "keys" in inner.values:
        # Each of them is reported.
        return None
    if not keys:
        context.error("missing-key", f"({draft.name}) auth_hmac has no usable key, it is not looked at", at, 0)
        return None
    active = inner.get("active_key")
    if active not in keys and "active_key" in inner.refused:
        return None
    if active not in keys:
        context.error(
            "missing-key", f"({draft.name}) auth_hmac has no usable active_key, it is not looked at", at, 0,
            help=f"write `active_key {min(keys)}`",
        )  # fmt: skip
        return None
    return AuthHmac(
        keys=tuple(keys.values()),
        active_key=active,
        time_window_s=inner.get("time_window_s"),
        anti_replay=inner.get("anti_replay", "time"),
        mode=inner.get("mode", "enforce"),
    )


def _key_of_file(context: Context, path: str, statement: Any) -> bytes | None:
    """What is in a key file, without the end of its line; a text, or hexadecimal digits behind `hex:`."""
    try:
        facts = context.host.file(path)
        content = context.host.content(path, _KEY_FILE_BYTES)
    except (OSError, ValueError):
        context.error("bad-key", f"the key file `{path}` cannot be opened", statement, 2)
        return None
    if facts.mode & 0o077:
        context.error(
            "key-file-rights",
            f"group or others may read the key file `{path}`",
            statement,
            2,
            help=f"chmod go= {path}",
            exit_class=ExitClass.SECURITY,
        )
    return content.removesuffix(b"\n")


def _key_value(context: Context, text: str, statement: Any) -> bytes | None:
    value: bytes | None = text.encode()
    if text.startswith("file:"):
        value = _key_of_file(context, text[len("file:") :], statement)
    if value is None or not value.startswith(b"hex:"):
        return value
    try:
        return bytes.fromhex(value[4:].decode("ascii"))
    except ValueError:
        context.error("bad-key", "the key is not of hexadecimal digits", statement, 2)
        return None


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
            if entry.get("min_ttl", 0) > entry.get("max_ttl", 255):
                context.error(
                    "ttl-range", f"({draft.name}) min_ttl is greater than max_ttl, no advert gets in", entry.statement
                )
            peers[address] = UnicastPeer(address, entry.get("min_ttl", 0), entry.get("max_ttl", 255))
    if "unicast_peers" in draft.values and not peers:
        context.warning("no-peers", f"({draft.name}) unicast_peer is empty", draft.where["unicast_peers"], 0)
    if not peers and "unicast_peers" not in draft.values:
        _check_needless_unicast(context, draft)
    return tuple(peers.values())


def _check_needless_unicast(context: Context, draft: Draft) -> None:
    source = draft.where.get("source")
    words = [draft.where[field] for field in ("check_unicast_src", "old_unicast_checksum") if field in draft.where]
    words += [source] if source is not None and source.keyword == "unicast_src_ip" else []
    for statement in words:
        context.warning(
            "unicast-without-peers",
            f"({draft.name}) `{statement.keyword}` is given and no unicast_peer, multicast is used",
            statement,
            0,
            help="write `mcast_src_ip`" if statement is source else "leave it out",
        )
    if "unicast_ttl" in draft.where:
        context.error(
            "unicast-without-peers",
            f"({draft.name}) unicast_ttl needs unicast_peer, it is not looked at",
            draft.where["unicast_ttl"],
            0,
        )


def _check_link_words(context: Context, draft: Draft) -> None:
    """Names that use_vmac and use_ipvlan refer to, and what goes with them."""
    for field in ("use_vmac", "use_ipvlan"):
        entry = draft.get(field)
        name = entry.get("ifname") if entry is not None else None
        known = context.host.interfaces()
        if name is not None and known is not None and name in known and not context.host.is_stacked_link(name):
            context.error(
                "interface-in-use",
                f"({draft.name}) the interface `{name}` exists and is of another kind, the name is not looked at",
                draft.where[field],
            )
        group = entry.get("group") if entry is not None else None
        if group is not None and not group.isdigit() and group not in context.host.routing_names("group"):
            context.error("unknown-name", f"({draft.name}) there is no interface group `{group}`", draft.where[field])
    if "vmac_xmit_base" in draft.values and "use_vmac" not in draft.values:
        context.warning("needs-vmac", f"({draft.name}) vmac_xmit_base needs use_vmac", draft.where["vmac_xmit_base"], 0)
    if "unicast_peers" in draft.values and "use_vmac" in draft.values and "vmac_xmit_base" not in draft.values:
        context.warning(
            "needs-xmit-base",
            f"({draft.name}) unicast with use_vmac sends from the base interface, vmac_xmit_base is set",
            draft.where["use_vmac"],
            0,
            help="write `vmac_xmit_base`",
        )


def build_vmac(context: Context, draft: Draft, family: Family) -> VmacSettings | None:
    _check_link_words(context, draft)
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
