"""Single-token grammar elements for the hot path.

pyparsing defines the token; its compiled expression is used directly where a line of a file costs one match. The same
statement through `scan_string` costs four times as much, through combinators twenty times.
"""

from __future__ import annotations

import re

from pyparsing import Regex


def token(pattern: str) -> re.Pattern[str]:
    """The compiled expression of a pyparsing `Regex` element."""
    compiled: re.Pattern[str] = Regex(pattern, as_match=True).re
    return compiled
