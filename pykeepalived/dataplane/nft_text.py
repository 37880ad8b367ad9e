"""The commands that turn one service into another; `nft_skeleton` has the picture of the table."""

from __future__ import annotations

from pykeepalived.dataplane.nft_comments import destination_comment, service_comment
from pykeepalived.dataplane.nft_direct import is_direct
from pykeepalived.dataplane.nft_members import Parts, active_of, ops_chain, parts_of
from pykeepalived.dataplane.nft_names import chain_of, guard_of, many, member_of, place_of, table_of
from pykeepalived.dataplane.nft_special import ops_back_elements
from pykeepalived.lvs.table import Entry, Service, ServiceKey


def change(key: ServiceKey, old: Entry | None, new: Entry | None) -> str:
    """Commands that turn a service from `old` into `new`; None: it does not exist."""
    place = table_of(key.family)
    before, after = parts_of(key, old), parts_of(key, new)
    lines = [f"add chain {place} {chain}" for chain in after.chains if chain not in before.chains]
    lines += _registration(key, old, new)
    was, now = _one_packet(key, old), _one_packet(key, new)
    for name in ("ops", "ops_back"):
        lines += many("delete", place, name, [each.split(" : ")[0] for each in was[name] if each not in now[name]])
    lines += _contents(place, before, after)
    for name in ("ops", "ops_back"):
        lines += many("add", place, name, [each for each in now[name] if each not in was[name]])
    lines += _members(key, old, new)
    return "\n".join(lines) + "\n"


def needs_places(entry: Entry | None) -> bool:
    return entry is not None and any(value.upper_threshold for value in entry.destinations.values())


def _contents(place: str, before: Parts, after: Parts) -> list[str]:
    lines = [f"delete element {place} {element.split(' : ')[0]} }}" for element in before.limited]
    if before.rules != after.rules or before.sets != after.sets:
        lines += [f"flush chain {place} {chain}" for chain in before.chains]
        replaced = [name for name, text in before.sets.items() if after.sets.get(name) != text]
        lines += [f"delete set {place} {name}" for name in replaced]
        new_sets = [(name, text) for name, text in after.sets.items() if before.sets.get(name) != text]
        lines += [f"add set {place} {name} {text}" for name, text in new_sets]
        lines += [f"add rule {place} {rule}" for rule in after.rules]
    lines += [f"add element {place} {element}" for element in after.limited]
    # First those that jump, then those that are jumped to.
    return lines + [f"delete chain {place} {chain}" for chain in before.chains if chain not in after.chains]


# ---- elements: services, members, refusals ----


def _registration(key: ServiceKey, old: Entry | None, new: Entry | None) -> list[str]:
    place = table_of(key.family)
    if old is not None and new is not None and old.service == new.service:
        return []
    lines = []
    if old is not None:
        lines.append(f"delete element {place} {_service_element(key, None)}")
    if new is not None:
        lines.append(f"add element {place} {_service_element(key, new.service)}")
    return lines


def _service_element(key: ServiceKey, service: Service | None) -> str:
    comment = f' comment "{service_comment(service)}"' if service is not None else ""
    verdict = f" : goto {chain_of(key)}" if service is not None else ""
    name = "marks" if key.fwmark else "services" if key.port else "all_ports"
    return f"{name} {{ {place_of(key)}{comment}{verdict} }}"


def _members(key: ServiceKey, old: Entry | None, new: Entry | None) -> list[str]:
    place = table_of(key.family)
    before = old.destinations if old is not None else {}
    after = new.destinations if new is not None else {}
    registry = "marked" if key.fwmark else "members"
    gone = [member_of(key, kept) for kept, value in before.items() if after.get(kept) != value]
    come = [
        f'{member_of(key, kept)} comment "{destination_comment(value)}"'
        for kept, value in after.items()
        if before.get(kept) != value
    ]
    lines = [*many("delete", place, registry, gone), *many("add", place, registry, come)]
    if key.fwmark or not key.port:
        name = "marked_to" if key.fwmark else "members_all"
        old_guards = dict.fromkeys(guard_of(key, kept) for kept in before)
        new_guards = dict.fromkeys(guard_of(key, kept) for kept in after)
        lines += many("delete", place, name, [guard for guard in old_guards if guard not in new_guards])
        lines += many("add", place, name, [guard for guard in new_guards if guard not in old_guards])
    return lines


# ---- one-packet scheduling ----


def _one_packet(key: ServiceKey, entry: Entry | None) -> dict[str, list[str]]:
    if entry is None or not entry.service.one_packet or is_direct(entry):
        return {"ops": [], "ops_back": []}
    there = [f"{place_of(key)} : goto {ops_chain(key)}"] if active_of(entry) else []
    return {"ops": there, "ops_back": ops_back_elements(key, entry)}
