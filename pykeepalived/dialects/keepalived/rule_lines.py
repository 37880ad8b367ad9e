"""A line of virtual_rules or static_rules, whose words the tables have checked, as `VirtualRule`."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.dialects.keepalived.drafts import Entry
from pykeepalived.dialects.keepalived.routing_names import Names, ip_protocol
from pykeepalived.model import Family, IpPrefix, family_of
from pykeepalived.model.routing import VirtualRule

#: Words whose value has the same form in the model.
_PLAIN: Final = {
    "no_track": "no_track", "track_group": "track_group", "not": "invert", "uidrange": "uids", "sport": "source_ports",
    "dport": "destination_ports", "tunnel-id": "tunnel_id", "suppress_prefixlength": "suppress_prefix_length",
    "iif": "input", "dev": "input", "oif": "output", "protocol": "protocol",
}  # fmt: skip
_ACTIONS: Final = ("l3mdev", "nop", "blackhole", "unreachable", "prohibit")


def build_rule(entry: Entry, names: Names, preference: int) -> VirtualRule | None:
    """`preference` is taken when the line has none. None for a line that was refused before.

    Raises ValueError or OSError about a word that means nothing.
    """
    found = entry.values
    if entry.refused or ("table" not in found and "action" not in found):
        return None
    values: dict[str, Any] = {field: found[word] for word, field in _PLAIN.items() if word in found}
    words = tuple(word.text for word in entry.statement.words)
    values["family"] = _family(found.get("from"), found.get("to"), words)
    for word in ("tos", "dsfield"):
        if word in found:
            values["tos"] = names.tos(str(found[word]))
    if "realms" in found:
        values["realms"] = names.realms(str(found["realms"]))
    for word in ("suppress_ifgroup", "sup_group"):
        if word in found:
            values["suppress_group"] = names.group(str(found[word]))
    if "ipproto" in found:
        values["ip_protocol"] = ip_protocol(str(found["ipproto"]))
    if "fwmark" in found:
        values |= _mark(str(found["fwmark"]))
    values |= _action(found, words, names)
    for word, field in (("from", "source"), ("to", "destination")):
        prefix: IpPrefix | None = found.get(word)
        if prefix is not None and prefix.length:
            values[field] = prefix
    return VirtualRule(words=words, preference=found.get("preference", preference), **values)


def _family(source: IpPrefix | None, destination: IpPrefix | None, words: tuple[str, ...]) -> Family:
    """`all` has no family of its own."""
    if "inet6" in words:
        return Family.INET6
    for prefix in (source, destination):
        if prefix is not None and prefix.address != "0.0.0.0":
            return family_of(prefix.address)
    return Family.INET


def _mark(text: str) -> dict[str, int]:
    mark, slash, mask = text.partition("/")
    return {"mark": int(mark, 0), **({"mask": int(mask, 0)} if slash else {})}


def _action(found: dict[str, Any], words: tuple[str, ...], names: Names) -> dict[str, Any]:
    if "table" in found:
        return {"table": names.table(str(found["table"]))}
    if not isinstance(found["action"], bool):
        return {"action": "goto", "target": found["action"]}
    for word in words:
        if word in _ACTIONS:
            return {"action": word}
    raise ValueError("no action")
