"""pyparsing, taken in when the first grammar is made: that costs 50 ms, and most files hold nothing that needs one.

    from pykeepalived.syntax.grammar import pp

stands for `import pyparsing as pp`. Grammars are made by functions, so that a table of keywords can name them without
making them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyparsing as pp
else:

    class _Later:
        """pyparsing's names, looked up where they are used."""

        def __getattr__(self, name: str) -> Any:
            import pyparsing  # noqa: PLC0415

            return getattr(pyparsing, name)

    pp = _Later()

__all__ = ["pp"]
