"""What a keyword row holds. The tables made of these rows are the parser, the help and the coverage list.

A row says: the keyword, what may stand behind it (argument readers with units and ranges), the default, the model
field that gets the value, whether the word is old, one line of help, and whether the word has an effect today. A row
with `later` is known and checked, and its effect comes with the named area.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

from pykeepalived.dialects.keepalived.readers import Boolean, Reader

if TYPE_CHECKING:
    from pykeepalived.dialects.keepalived.context import Context
    from pykeepalived.dialects.keepalived.drafts import Draft
    from pykeepalived.syntax import Statement


class Kind(Enum):
    FLAG = "flag"
    """No argument, or an optional truth value (`switch`)."""
    VALUE = "value"
    """One or more arguments in order."""
    OPTIONS = "options"
    """A line of words with options in any order."""
    SCRIPT = "script"
    """A command line and perhaps a user."""
    LIST = "list"
    """A block of entries, one a line."""
    WORDS = "words"
    """A block of words, any number a line."""
    BLOCK = "block"
    """A block of keywords."""


class Repeat(Enum):
    """What a second use of the keyword in one block does."""

    LAST = "last"
    FIRST = "first"
    """The first stays, the second is reported."""
    APPEND = "append"
    """All are kept, in order."""


class Argument(msgspec.Struct, frozen=True):
    """One place behind a keyword."""

    reader: Any
    optional: bool = False
    many: bool = False
    """Takes all words that are left; needs one at least unless optional."""

    @property
    def shows(self) -> str:
        text = self.reader.shows + (" …" if self.many else "")
        return f"[{text}]" if self.optional else text


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One keyword. See the head of the module."""

    name: str
    kind: Kind
    help: str
    arguments: tuple[Argument, ...] = ()
    required: int = 0
    default: str = ""
    field: str | None = None
    constant: Any = True
    """What a flag stores."""
    later: str | None = None
    """The area that will give the word its effect; None: in effect."""
    replaced_by: str | None = None
    """The newer word for a deprecated one. An empty string: deprecated without successor."""
    same_as: str | None = None
    """A second spelling of another keyword, not deprecated."""
    since: str = "2.2.7"
    repeat: Repeat = Repeat.LAST
    options: Any = None
    """`Options` of an OPTIONS row, or of each entry of a LIST."""
    block: Any = None
    """`Table` of a BLOCK."""
    after: Callable[[Context, Statement, Draft, Any], Any] | None = None
    """A check beyond the readers; returns the value to store, None to store nothing."""
    soft: bool = False
    """keepalived goes on when the required word is missing (exit code 5); without it the process ends (exit code 2)."""
    quiet: bool = False
    """A deprecated word that does not count for the exit code of -t."""
    verbatim: bool = False
    """A script row whose first word is taken as it is, not split once more (regex)."""
    ours: bool = False
    """A word of pykeepalived's own."""

    @property
    def shows(self) -> str:
        """The keyword with its arguments, for help texts."""
        return " ".join([self.name, *(argument.shows for argument in self.arguments)])


class Options:
    """A line grammar: bare words into slots, and option words with arguments, in any order.

    `slots` are tried in order for a word that is no option: the first free slot whose reader takes it gets it.
    """

    def __init__(
        self, context: str, *rows: Row, slots: tuple[tuple[str, Reader], ...] = (), need: str = "", soft: bool = True
    ) -> None:
        self.context = context
        self.rows = {row.name: row for row in rows}
        self.slots = slots
        self.soft = soft
        """As `Row.soft`, for the words of options."""
        self.need = need
        """The slot without which the line is refused."""


class Table:
    """The rows of one block of the manual. `context` is the path of block names."""

    def __init__(self, context: str, *rows: Row) -> None:
        self.context = context
        self.rows: dict[str, Row] = {}
        for row in rows:
            if row.name in self.rows:
                raise ValueError(f"{context} holds `{row.name}` twice")
            self.rows[row.name] = row


BOOLEAN = Boolean()


def need(reader: Reader) -> Argument:
    return Argument(reader)


def maybe(reader: Reader) -> Argument:
    return Argument(reader, optional=True)


def many(reader: Reader, optional: bool = False) -> Argument:
    return Argument(reader, optional=optional, many=True)


def _arguments(given: tuple[Reader | Argument, ...]) -> tuple[Argument, ...]:
    return tuple(item if isinstance(item, Argument) else Argument(item) for item in given)


def value(name: str, *arguments: Reader | Argument, help: str, **more: Any) -> Row:
    """A keyword with arguments in order."""
    taken = _arguments(arguments)
    required = sum(1 for argument in taken if not argument.optional)
    return Row(name=name, kind=Kind.VALUE, arguments=taken, required=required, help=help, **more)


def flag(name: str, *, help: str, **more: Any) -> Row:
    """A keyword that stands alone."""
    return Row(name=name, kind=Kind.FLAG, help=help, **more)


def switch(name: str, *, help: str, **more: Any) -> Row:
    """A keyword that stands alone or with a truth value."""
    return Row(name=name, kind=Kind.FLAG, arguments=(Argument(BOOLEAN, True),), help=help, **more)


def script(name: str, *, help: str, required: int = 1, **more: Any) -> Row:
    """A command line, quoted when it has arguments, then perhaps user and group."""
    return Row(name=name, kind=Kind.SCRIPT, required=required, help=help, **more)


def options(name: str, grammar: Options, *, help: str, required: int = 1, **more: Any) -> Row:
    return Row(name=name, kind=Kind.OPTIONS, options=grammar, required=required, help=help, **more)


def entries(name: str, grammar: Options, *, help: str, **more: Any) -> Row:
    """A block whose lines are entries."""
    return Row(name=name, kind=Kind.LIST, options=grammar, help=help, **more)


def word_list(name: str, reader: Reader, *, help: str, **more: Any) -> Row:
    """A block of words, any number a line."""
    return Row(name=name, kind=Kind.WORDS, arguments=(Argument(reader, many=True),), help=help, **more)


def block(name: str, table: Table, *arguments: Reader | Argument, help: str, **more: Any) -> Row:
    """A block of keywords."""
    taken = _arguments(arguments)
    required = sum(1 for argument in taken if not argument.optional)
    more.setdefault("repeat", Repeat.APPEND)
    return Row(name=name, kind=Kind.BLOCK, arguments=taken, required=required, block=table, help=help, **more)
