"""bfd_instance and track_group."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, TypeVar

import msgspec

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.model import BfdInstance, TrackGroup, VirtualAddress, VirtualRoute, VirtualRule

_Entry = TypeVar("_Entry", VirtualAddress, VirtualRoute, VirtualRule)

_TAKEN: Final = (
    "source", "min_rx_us", "min_tx_us", "idle_tx_us", "multiplier", "passive", "ttl", "max_hops", "multihop",
)  # fmt: skip


def build_sessions(context: Context, root: Draft) -> dict[str, BfdInstance]:
    """All sessions that can be run; of two with one neighbour the first."""
    found: dict[str, BfdInstance] = {}
    neighbors: dict[str, str] = {}
    for draft in root.get("bfd_instances", ()):
        session = _session(context, draft)
        if session is None:
            continue
        if session.neighbor in neighbors:
            context.error(
                "duplicate-neighbor",
                f"bfd_instance `{draft.name}` has the neighbour of `{neighbors[session.neighbor]}`, it is left out",
                draft.where["neighbor"],
                1,
            )
            continue
        neighbors[session.neighbor] = session.name
        found[session.name] = session
    return found


def _session(context: Context, draft: Draft) -> BfdInstance | None:
    if "neighbor" not in draft.values:
        if "neighbor" not in draft.refused:
            context.error("missing-value", f"bfd_instance `{draft.name}` has no `neighbor_ip`", draft.statement, 1)
        return None
    source = draft.get("source")
    if source is not None and (":" in source) != (":" in draft.values["neighbor"]):
        context.error(
            "wrong-family",
            f"bfd_instance `{draft.name}`: source_ip and neighbor_ip are of different families",
            draft.where["source"],
            1,
        )
        return None
    weight, reverse = draft.get("weight", (0, None))
    vrrp, checker = draft.get("vrrp", False), draft.get("checker", False)
    taken: dict[str, Any] = {field: draft.values[field] for field in _TAKEN if field in draft.values}
    return BfdInstance(
        name=draft.name,
        neighbor=draft.values["neighbor"],
        weight=weight,
        reverse=reverse is not None,
        # One of the two words alone leaves the other process out.
        vrrp=vrrp or not checker,
        checker=checker or not vrrp,
        **taken,
    )


def build_track_groups(context: Context, root: Draft, instances: Collection[str]) -> tuple[TrackGroup, ...]:
    """Groups with the members that exist; static entries that name a group without any are not tracked."""
    groups = []
    for draft in root.get("track_groups", ()):
        members = []
        for name, line, index in draft.get("group", ()):
            if name in instances:
                members.append(name)
            else:
                context.warning(
                    "unknown-instance",
                    f"track_group `{draft.name}`: there is no instance `{name}`, it is left out",
                    line,
                    index,
                    exit_class=ExitClass.NONE,
                )
        if not draft.get("group"):
            context.error("missing-value", f"track_group `{draft.name}` has no members", draft.statement, 1)
        if members:
            groups.append(TrackGroup(draft.name, tuple(dict.fromkeys(members))))
    return tuple(groups)


def tracked_only_by(groups: Collection[str], entries: tuple[_Entry, ...]) -> tuple[_Entry, ...]:
    """The static entries, those of a track_group that has lost all members as entries that nothing tracks."""
    return tuple(_untracked(entry) if entry.track_group not in (None, *groups) else entry for entry in entries)


def _untracked(entry: _Entry) -> _Entry:
    if isinstance(entry, VirtualAddress):
        return msgspec.structs.replace(entry, track_group=None)
    at = entry.words.index("track_group")
    return msgspec.structs.replace(entry, track_group=None, words=entry.words[:at] + entry.words[at + 2 :])
