"""Runs the tables over the statements: the one parser of all blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pykeepalived.diagnostics import ExitClass, Label, Severity
from pykeepalived.dialects.keepalived.arguments import closed, read_arguments, read_options, read_script
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft, Entry
from pykeepalived.dialects.keepalived.readers import Bad
from pykeepalived.dialects.keepalived.rows import Kind, Repeat, Row, Table
from pykeepalived.syntax import FoldedStatement, Statement


def read_block(context: Context, table: Table, statements: Sequence[Statement], draft: Draft) -> None:
    """Read the statements of one block into `draft`."""
    rows = table.rows
    previous: Statement | None = None
    for statement in _flattened(context, statements):
        row = rows.get(statement.words[0].text)
        if row is None:
            if context.unclosed and table.context != "(root)" and statement.children is not None:
                _stray(context, table, statement, previous)
            else:
                _unknown(context, table, statement, previous)
        else:
            if row.later is not None:
                context.no_effect_yet(table.context, row, statement)
            if row.replaced_by is not None:
                context.deprecated(row, statement, 0)
            _APPLY[row.kind](context, table, row, statement, draft)
        previous = statement


def _flattened(context: Context, statements: Sequence[Statement]) -> Iterator[Statement]:
    """The statements with words; a block that belongs to nothing is opened up, as keepalived ignores its `{`."""
    pending = list(reversed(statements))
    while pending:
        statement = pending.pop()
        if statement.words:
            yield statement
        elif statement.is_extra_brace:
            context.error("extra-brace", "this `}` closes nothing", statement)
        else:
            context.error("unexpected-brace", "this `{` belongs to no keyword", statement)
            pending.extend(reversed(statement.children or ()))


def _stray(context: Context, table: Table, statement: Statement, previous: Statement | None) -> None:
    """Inside an unclosed block a block of the top level is read as such; one fault is one finding."""
    from pykeepalived.dialects.keepalived.tables import ROOT  # noqa: PLC0415 - the tables import the engine's rows

    if statement.words[0].text not in ROOT.rows:
        _unknown(context, table, statement, previous)
        return
    if not context.strays:
        context.say(
            Severity.NOTE,
            "block-inside-block",
            f"`{statement.words[0].text}` starts here inside {table.context}, the missing `}}` belongs above",
            statement,
            0,
            exit_class=ExitClass.NONE,
        )
    context.strays.append(statement)


# ── what is wrong with a keyword ─────────────────────────────────────────────────────────────────────────────────────


def _unknown(context: Context, table: Table, statement: Statement, previous: Statement | None) -> None:
    word = statement.words[0].text
    where = "" if table.context == "(root)" else f" in {table.context.replace('.', ' → ')}"
    help_text: str | None = None
    if previous is not None and _lost_its_tail(table, previous, statement):
        joined = " ".join([w.text for w in previous.words] + [w.text for w in statement.words])
        help_text = f"join this line with the one above: `{joined}`"
    else:
        near = context.near(word, table.rows)
        if near is not None:
            help_text = f"did you mean `{near}`?"
        elif (home := _home_of(word, table)) is not None:
            help_text = f"`{word}` belongs in {home}"
    notes = ("its block is skipped",) if statement.children is not None else ()
    context.say(
        Severity.ERROR,
        "unknown-keyword",
        f"unknown keyword `{word}`{where}",
        statement,
        0,
        help=help_text,
        notes=notes,
    )


def _lost_its_tail(table: Table, previous: Statement, statement: Statement) -> bool:
    """Whether a line of one number is what the line above lacks, as when a port was broken off."""
    row = table.rows.get(previous.words[0].text)
    if row is None or len(statement.words) != 1 or previous.children is not None:
        return False
    lacking = row.arguments[len(previous.words) - 1 :]
    return bool(lacking) and bool(lacking[0].reader.accepts(statement.words[0].text))


def _home_of(word: str, table: Table) -> str | None:
    """The block that knows `word`, when just one kind of block does."""
    from pykeepalived.dialects.keepalived.tables import TABLES  # noqa: PLC0415 - the tables import the engine's rows

    homes = [other.context for other in TABLES if word in other.rows and other is not table]
    if not homes:
        return None
    shortest = min(homes, key=len)
    return "no block, at the top level" if shortest == "(root)" else f"a block `{shortest.replace('.', ' → ')}`"


def _no_block(context: Context, table: Table, row: Row, statement: Statement, draft: Draft) -> None:
    """A keyword without a block has one: keepalived ignores the brace and reads on at this level."""
    context.error("unexpected-brace", f"`{row.name}` has no block", statement.brace, help="remove the braces")
    if statement.children:
        read_block(context, table, statement.children, draft)


def _extra_words(
    context: Context, row: Row, statement: Statement, start: int, exit_class: ExitClass = ExitClass.NONE
) -> bool:
    """Whether there are more words than the keyword takes. keepalived mostly says nothing about them."""
    words = statement.words
    if start >= len(words):
        return False
    context.warning(
        "extra-words",
        f"`{row.name}` takes no more words, `{words[start].text}` is not looked at",
        statement.span_of(words[start].start, words[-1].end),
        exit_class=exit_class,
    )
    return True


def _store(context: Context, row: Row, statement: Statement, draft: Draft, value: Any) -> None:
    if row.after is not None:
        value = row.after(context, statement, draft, value)
        if value is None:
            draft.refused |= {row.field or row.name}
            return
    if row.field is None:
        return
    if row.repeat is Repeat.APPEND:
        draft.append(row.field, value, statement)
    elif row.repeat is Repeat.FIRST and row.field in draft.values:
        first = draft.where[row.field]
        context.error(
            "given-twice",
            f"`{row.name}` is given twice, the first one stays",
            statement,
            0,
            secondary=(Label(first.span(0), "first given here"),),
        )
    else:
        draft.put(row.field, value, statement)


# ── kinds of rows ────────────────────────────────────────────────────────────────────────────────────────────────────


def _apply_flag(context: Context, table: Table, row: Row, statement: Statement, draft: Draft) -> None:
    if statement.children is not None:
        _no_block(context, table, row, statement, draft)
    value = row.constant
    used = 1
    if row.arguments and len(statement.words) > 1:
        used = 2
        try:
            value = row.arguments[0].reader(statement.words[1].text)
        except Bad as problem:
            context.bad(problem, statement, 1)
            return
    _extra_words(context, row, statement, used)
    _store(context, row, statement, draft, value)


def _apply_value(context: Context, table: Table, row: Row, statement: Statement, draft: Draft) -> None:
    if statement.children is not None:
        _no_block(context, table, row, statement, draft)
    if not closed(context, statement):
        return
    values, used = read_arguments(context, row, statement, 1)
    if values is None:
        if row.field is not None:
            draft.refused |= {row.field}
        return
    _extra_words(context, row, statement, used)
    _store(context, row, statement, draft, values[0] if len(values) == 1 else tuple(values))


def _apply_options(context: Context, table: Table, row: Row, statement: Statement, draft: Draft) -> None:
    if statement.children is not None:
        _no_block(context, table, row, statement, draft)
    if not closed(context, statement):
        return
    if len(statement.words) <= row.required:
        context.missing_word(statement, row.name, row.shows + " …", soft=row.soft)
        return
    entry = read_options(context, row.options, statement, 1)
    if entry is None:
        draft.refused |= {row.field or row.name}
    else:
        _store(context, row, statement, draft, entry)


def _apply_script(context: Context, table: Table, row: Row, statement: Statement, draft: Draft) -> None:
    if statement.children is not None:
        _no_block(context, table, row, statement, draft)
    raw = read_script(context, row, statement)
    if raw is not None:
        _store(context, row, statement, draft, raw)


def _block_missing(context: Context, row: Row, statement: Statement) -> bool:
    if statement.children is not None:
        return False
    context.error(
        "missing-open-brace",
        f"`{row.name}` needs a block",
        statement,
        help="put a `{` at the end of the line, and a `}` behind the block",
    )
    return True


def _apply_list(context: Context, table: Table, row: Row, statement: Statement, draft: Draft) -> None:
    del table
    if _block_missing(context, row, statement):
        return
    first = 1
    target = draft
    if row.arguments:
        header, first = read_arguments(context, row, statement, 1)
        if header is None:
            return
        target = Draft(statement, tuple(header))
    # In front of a list keepalived minds; where the list has a name as well, it ends there.
    _extra_words(context, row, statement, first, ExitClass.MISSING_WORD if row.arguments else ExitClass.GENERAL)
    found: list[Entry] = []
    for line in _flattened(context, statement.children or ()):
        if line.children is not None:
            context.error("unexpected-brace", f"a line of `{row.name}` has no block", line.brace)
        if not closed(context, line):
            continue
        entry = read_options(context, row.options, line, 0)
        if entry is not None:
            found.append(entry)
    if row.arguments:
        target.values["entries"] = found
        _store(context, row, statement, draft, target)
    elif row.field is not None and row.repeat is Repeat.APPEND:
        kept = found if row.after is None else row.after(context, statement, draft, found)
        draft.values.setdefault(row.field, []).extend(kept)
        draft.where.setdefault(row.field, statement)
    else:
        _store(context, row, statement, draft, found)


def _apply_words(context: Context, table: Table, row: Row, statement: Statement, draft: Draft) -> None:
    del table
    if _block_missing(context, row, statement):
        return
    _extra_words(context, row, statement, 1, ExitClass.GENERAL)
    taken: list[tuple[Any, Statement, int]] = []
    for line in _flattened(context, statement.children or ()):
        if line.children is not None:
            context.error("unexpected-brace", f"a line of `{row.name}` has no block", line.brace)
        for index, word in enumerate(line.words):
            try:
                taken.append((row.arguments[0].reader(word.text), line, index))
            except Bad as problem:
                context.bad(problem, line, index)
    _store(context, row, statement, draft, taken)


def _apply_block(context: Context, table: Table, row: Row, statement: Statement, draft: Draft) -> None:
    if isinstance(statement, FoldedStatement):
        plain = context.folded(row, statement)
        if plain is not None:
            _store(context, row, statement, draft, plain)
            return
        statement = statement.unfold()
    header, used = read_arguments(context, row, statement, 1)
    if header is None or _block_missing(context, row, statement):
        return
    if row.soft and row.arguments and used < len(statement.words):
        # keepalived takes two words for no name at all.
        context.error("unusable-name", f"`{row.name}` takes one name, the block is left out",
                      statement.span_of(statement.words[1].start, statement.words[-1].end),
                      help="join the words, `VI_1` for `VI 1`")  # fmt: skip
        return
    _extra_words(context, row, statement, used)
    inner = Draft(statement, tuple(header))
    context.blocks += 1
    inner.order = context.blocks
    read_block(context, row.block, statement.children or (), inner)
    _store(context, row, statement, draft, inner)


_APPLY: Final[dict[Kind, Callable[[Context, Table, Row, Statement, Draft], None]]] = {
    Kind.FLAG: _apply_flag,
    Kind.VALUE: _apply_value,
    Kind.OPTIONS: _apply_options,
    Kind.SCRIPT: _apply_script,
    Kind.LIST: _apply_list,
    Kind.WORDS: _apply_words,
    Kind.BLOCK: _apply_block,
}


def apply_alone(context: Context, table: Table, row: Row, statement: Statement, draft: Draft) -> None:
    """Read the words of one statement, whatever block follows it."""
    alone = Statement(statement.line, statement.text, statement.segment, statement.mapped)
    _APPLY[row.kind](context, table, row, alone, draft)
