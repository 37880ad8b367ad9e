"""One thing that a reload would do."""

from __future__ import annotations

from collections.abc import Container
from enum import Enum
from typing import Any, Final

import msgspec

_SHOWN: Final = 60


class Verb(Enum):
    ADD = "add"
    REMOVE = "remove"
    CHANGE = "change"
    RENAME = "rename"
    REPLACE = "replace"
    """It goes and comes back as something else: what it held is let go in between."""
    CANNOT = "cannot change"


class Change(msgspec.Struct, frozen=True):
    kind: str
    name: str
    verb: Verb
    effect: str
    """What that means for whoever uses it."""
    details: tuple[str, ...] = ()


def differences(old: msgspec.Struct, new: msgspec.Struct, leave: Container[str] = ()) -> tuple[str, ...]:
    """`priority: 100 → 150` for each field that differs. Passwords are not shown."""
    found = []
    for name in new.__struct_fields__:
        before, after = getattr(old, name, None), getattr(new, name)
        if name in leave or before == after:
            continue
        if name in {"authentication", "auth_hmac", "password", "webhook_token"}:
            found.append(f"{name}: changed")
        elif isinstance(before, msgspec.Struct) and type(before) is type(after):
            found += [f"{name}.{line}" for line in differences(before, after)]
        elif isinstance(before, tuple) and isinstance(after, tuple):
            found += [f"{name}: - {_text(item)}" for item in before if item not in after]
            found += [f"{name}: + {_text(item)}" for item in after if item not in before]
            if not any(item not in after for item in before) and not any(item not in before for item in after):
                found.append(f"{name}: another order")
        else:
            found.append(f"{name}: {_text(before)} → {_text(after)}")
    return tuple(found)


def _text(value: Any) -> str:
    """A value in a few words."""
    if value is None:
        return "none"
    if isinstance(value, Enum):
        return str(value.name)
    if isinstance(value, msgspec.Struct):
        said = getattr(value, "name", None) or getattr(value, "ifname", None)
        prefix = getattr(value, "prefix", None) or getattr(value, "address", None)
        text = str(prefix or said or " ".join(_pairs(value)))
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _pairs(value: msgspec.Struct) -> list[str]:
    return [
        f"{name}={_text(getattr(value, name))}" for name in value.__struct_fields__ if getattr(value, name) is not None
    ]
