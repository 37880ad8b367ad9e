"""`json PATH VALUE` of a url: a value in a JSON document must be what the file says (ours)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pykeepalived.checkers.conversation import Outcome

#: A health page is small; a longer one is refused rather than kept.
BODY_LIMIT: Final = 256 * 1024
_PASSED: Final = Outcome(True, "JSON value success", "json")
_SHOWN: Final = 40


def judge(body: bytes, path: str, wanted: str) -> Outcome:
    """PATH is names and numbers with dots between (`checks.0.status`); a string is compared as it is, anything else as
    JSON writes it (`true`, `3`, `null`)."""
    if len(body) > BODY_LIMIT:
        return Outcome(False, f"JSON of more than {BODY_LIMIT} bytes", "json-too-long")
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Outcome(False, "the page is no JSON", "json-syntax")
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and len(step) < 10 and int(step) < len(value):
            value = value[int(step)]
        else:
            return Outcome(False, f"JSON has no {path}", "json-missing")
    found = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if found == wanted:
        return _PASSED
    shown = found if len(found) <= _SHOWN else found[:_SHOWN] + "…"
    return Outcome(False, f"JSON {path} is {shown}", "json")
