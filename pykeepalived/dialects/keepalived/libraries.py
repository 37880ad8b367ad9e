"""Words that need a Python library which is no part of a plain installation: absent, that is an error at load."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.syntax import Statement


def needs(module: str, extra: str, only: str | None = None) -> Callable[[Context, Statement, Draft, Any], Any]:
    """The check of a row (`Row.after`): without the library the word is refused and stores nothing.

    `only`: the one value of the word that needs it.
    """

    def check(context: Context, statement: Statement, draft: Draft, value: Any) -> Any:
        del draft
        if (only is not None and value != only) or find_spec(module) is not None:
            return value
        word = statement.words[0].text if only is None else f"{statement.words[0].text} {only}"
        context.error(
            "missing-library",
            f"`{word}` needs the Python library `{module}`, which is not installed",
            statement,
            help=f"install `pykeepalived[{extra}]`",
        )
        return None

    return check
