"""Addresses and interfaces of a vrrp_instance: which family it is, what it carries, what is not on this machine."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.diagnostics import Label
from pykeepalived.dialects.keepalived.addresses import build_address
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft, Entry
from pykeepalived.model import Family, VirtualAddress, family_of

_MOST_ADDRESSES: Final = 255


class AddressLines:
    """Addresses and interfaces of all instances of one load."""

    def __init__(self, context: Context, *, dynamic: bool) -> None:
        """`dynamic`: interfaces may come later."""
        self._context = context
        self._dynamic = dynamic

    def check_interface(self, draft: Draft, field: str) -> None:
        known = self._context.host.interfaces()
        name = draft.get(field)
        if name is None or known is None or self._dynamic or name in known:
            return
        near = self._context.near(name, sorted(known)[:1000])
        self._context.error(
            "no-such-interface",
            f"({draft.name}) there is no interface `{name}`",
            draft.where[field],
            1,
            help=(f"did you mean `{near}`? " if near else "")
            + "with `dynamic_interfaces` in global_defs it may come later",
        )

    def check_device(self, draft: Draft, entry: Entry, field: str = "dev") -> None:
        known = self._context.host.interfaces()
        name = entry.get(field)
        if name is None or known is None or self._dynamic or name in known:
            return
        self._context.error(
            "no-such-interface",
            f"({draft.name}) there is no interface `{name}`",
            entry.statement,
            entry.places[field] + (field == "dev"),  # the name behind the word
            help="with `dynamic_interfaces` in global_defs it may come later",
        )

    def family(self, draft: Draft) -> Family:
        """The first word in the file that has a family decides; excluded addresses only when nothing else does."""
        for field, found in draft.values.items():
            if field == "native_ipv6":
                return Family.INET6
            if field in ("source", "multicast_group"):
                return family_of(found)
            if field == "addresses" and found:
                return family_of(found[0].values["prefix"].address)
            if field == "unicast_peers" and found:
                return family_of(found[0].values["address"])
        excluded = draft.get("excluded_addresses")
        return family_of(excluded[0].values["prefix"].address) if excluded else Family.INET

    def check_family(self, draft: Draft, family: Family, values: dict[str, Any]) -> None:
        for field in ("source", "multicast_group"):
            if field in values and family_of(values[field]) is not family:
                self._context.error(
                    "mixed-families",
                    f"({draft.name}) `{values[field]}` is of another family than the instance, it is not looked at",
                    draft.where[field],
                    1,
                )
                del values[field]
        if family is Family.INET and "native_ipv6" in draft.values:
            self._context.error(
                "mixed-families", f"({draft.name}) native_ipv6 does not go with IPv4 addresses",
                draft.where["native_ipv6"], 0,
            )  # fmt: skip
            del values["native_ipv6"]

    def addresses(self, draft: Draft, family: Family) -> tuple[tuple[VirtualAddress, ...], tuple[VirtualAddress, ...]]:
        context = self._context
        carried: list[VirtualAddress] = []
        seen: dict[str, Entry] = {}
        for entry in draft.get("addresses", ()):
            prefix = entry.values["prefix"]
            if family_of(prefix.address) is not family:
                context.error(
                    "mixed-families",
                    f"({draft.name}) `{prefix.address}` is of another family than the first address, it is left out",
                    entry.statement,
                    entry.places["prefix"],
                    help="move it to `virtual_ipaddress_excluded`",
                )
                continue
            if self._is_new(draft, entry, seen):
                carried.append(build_address(context, entry))
        excluded = [
            build_address(context, entry)
            for entry in draft.get("excluded_addresses", ())
            if self._is_new(draft, entry, seen)
        ]
        for entry in (*draft.get("addresses", ()), *draft.get("excluded_addresses", ())):
            self.check_device(draft, entry)
        if len(carried) > _MOST_ADDRESSES:
            context.error(
                "too-many-addresses",
                f"({draft.name}) an advert carries {_MOST_ADDRESSES} addresses, the rest is taken as excluded",
                draft.where["addresses"],
                0,
            )
            excluded = carried[_MOST_ADDRESSES:] + excluded
        return tuple(carried[:_MOST_ADDRESSES]), tuple(excluded)

    def _is_new(self, draft: Draft, entry: Entry, seen: dict[str, Entry]) -> bool:
        address = entry.values["prefix"].address
        first = seen.setdefault(address, entry)
        if first is entry:
            return True
        self._context.error(
            "duplicate-address",
            f"({draft.name}) `{address}` is given twice, the first one stays",
            entry.statement,
            entry.places["prefix"],
            secondary=(Label(first.statement.span(first.places["prefix"]), "first given here"),),
        )
        return False

    def enough_addresses(
        self,
        draft: Draft,
        addresses: tuple[VirtualAddress, ...],
        excluded: tuple[VirtualAddress, ...],
        values: dict[str, Any],
    ) -> bool:
        del excluded
        if addresses:
            return True
        needed = values["version"] == 3 or values["strict"]
        silenced = draft.get("no_virtual_ipaddress") and not values["strict"]
        if silenced:
            return True
        if _refused(draft) and self._context.says_more_is_wrong:
            return not needed  # every address of the block was refused, with a finding
        tail = "; version 3 needs one, it is left out" if needed else "; one at least is sensible"
        self._context.error(
            "no-addresses",
            f"({draft.name}) has no virtual_ipaddress{tail}",
            draft.statement,
            1,
            help="write `no_virtual_ipaddress` if that is meant" if not values["strict"] else None,
        )
        return not needed


def _refused(draft: Draft) -> bool:
    """Some `virtual_ipaddress` of the block has lines."""
    below = (draft.statement.children if draft.statement is not None else None) or ()
    return any(item.keyword == "virtual_ipaddress" and bool(item.children) for item in below)
