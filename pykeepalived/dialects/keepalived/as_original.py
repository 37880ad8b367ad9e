"""The exit code for files whose braces stand where no block is: templates, manual pages, braces of other programs.

keepalived ignores a `{` that opens nothing it knows, and the `}` behind it then ends the block around it. The lines
that follow are read one level further out, where most are unknown; whether a keyword without its word is met at all
(exit code 2, the process ends there) depends on that. The findings keep to what the writer meant; this module reads
the braces again as keepalived does, once for each of its processes, only to say which exit code comes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pykeepalived.diagnostics import ExitClass, Findings, Severity
from pykeepalived.dialects.keepalived.arguments import read_arguments, read_options
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.engine import apply_alone
from pykeepalived.dialects.keepalived.rows import Kind, Row, Table
from pykeepalived.dialects.keepalived.tables import ROOT
from pykeepalived.syntax import FoldedStatement, Statement

_CHECKERS: Final = frozenset({"virtual_server", "virtual_server_group", "SSL"})
_EVERYWHERE: Final = frozenset({"bfd_instance"})
_LISTS: Final = (Kind.LIST, Kind.WORDS)
#: Statements that are read again at most: enough for any manual page.
_STATEMENTS: Final = 20_000


def settle_missing_words(context: Context, statements: Sequence[Statement]) -> None:
    """Where braces are misplaced, let the findings count for the exit code as keepalived's reading would."""
    findings = context.findings
    misplaced = [
        item for item in findings.items if item.id == "unexpected-brace" or item.notes == ("its block is skipped",)
    ]
    if not misplaced or any(item.id == "no-such-namespace" for item in findings.items):
        return
    if not any(_Reading(context, words).ends(statements) for words in _passes()):
        findings.count_as(ExitClass.MISSING_WORD, ExitClass.GENERAL)
    elif findings.worst() is not ExitClass.MISSING_WORD:
        findings.replace(misplaced[0], ExitClass.MISSING_WORD)


def check_namespace(context: Context, root: Draft) -> None:
    """Where the namespace is missing, keepalived -t ends with 0 before it looks at the rest of the file."""
    name = root.get("net_namespace")
    if name is None:
        return
    try:
        context.host.file(f"/run/netns/{name}")
    except (OSError, ValueError):
        context.findings.demote({item.id for item in context.findings.items})
        context.say(
            Severity.NOTE,
            "no-such-namespace",
            f"there is no network namespace `{name}` here: the exit code is 0 as keepalived's, whatever the file says",
            root.where["net_namespace"],
            1,
            exit_class=ExitClass.NONE,
        )


def _passes() -> Iterator[frozenset[str]]:
    """The words of the top level that the parent, the VRRP process and the checkers read; they skip other blocks."""
    words = frozenset(ROOT.rows)
    vrrp = {name for name in words if ROOT.rows[name].kind is Kind.BLOCK or ROOT.rows[name].kind in _LISTS}
    vrrp -= _CHECKERS | {"global_defs"}
    yield words - vrrp - _CHECKERS
    yield frozenset(vrrp)
    yield _CHECKERS | _EVERYWHERE


class _Reading:
    """One process reads the file."""

    def __init__(self, context: Context, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self._context = Context(Findings(), context.host)
        self._root = Draft(None)
        self._blocks: list[tuple[Row, Draft]] = []
        self._skipped = 0
        self._expects: Row | None = None
        #: What the next `{` opens is skipped to its own end.
        self._skips = False

    def ends(self, statements: Sequence[Statement]) -> bool:
        """Whether keepalived ends at some line with exit code 2."""
        for number, (sign, statement) in enumerate(_events(statements)):
            if number > _STATEMENTS:
                break
            if sign == "{":
                self._open()
            elif sign == "}":
                self._close()
            elif not self._skipped and self._misses_word(statement):
                return True
        return False

    def _open(self) -> None:
        if self._skipped or self._skips:
            self._skipped += 1
            self._skips = False
        elif self._expects is not None:
            self._blocks.append((self._expects, Draft(None)))
        self._expects = None

    def _close(self) -> None:
        if self._skipped:
            self._skipped -= 1
        elif self._blocks:
            self._blocks.pop()

    def _misses_word(self, statement: Statement) -> bool:
        self._expects = None
        self._skips = False
        before = len(self._context.findings.items)
        row = self._blocks[-1][0] if self._blocks else None
        if row is not None and row.kind in _LISTS:
            if row.kind is Kind.LIST:
                read_options(self._context, row.options, statement, 0)
        else:
            self._keyword(row.block if row is not None else ROOT, statement)
        return any(item.exit_class is ExitClass.MISSING_WORD for item in self._context.findings.items[before:])

    def _keyword(self, table: Table, statement: Statement) -> None:
        row = table.rows.get(statement.keyword)
        if row is None:
            return
        opens = statement.brace is not None
        if row.kind is Kind.BLOCK or row.kind in _LISTS:
            if table is ROOT and row.name not in self._wanted:
                self._skips = opens
                return
            header = read_arguments(self._context, row, statement, 1)[0] if row.kind is not Kind.WORDS else []
            if header is None:
                self._skips = opens
            else:
                self._expects = row
        elif table is not ROOT or row.name in self._wanted:
            draft = self._blocks[-1][1] if self._blocks else self._root
            apply_alone(self._context, table, row, statement, draft)


def _events(statements: Iterable[Statement]) -> Iterator[tuple[str, Statement]]:
    """Words and braces in the order of the file."""
    for each in statements:
        # A block at the top level may stand inside another one by now, so its lines have to be seen.
        statement = each.unfold() if isinstance(each, FoldedStatement) else each
        if statement.is_extra_brace:
            yield "}", statement
            continue
        if statement.words:
            yield "", statement
        if statement.children is not None:
            # A block that was given its lines back has no `{` in the file.
            if statement.brace is not None:
                yield "{", statement
            yield from _events(statement.children)
            yield "}", statement
