"""The words behind a keyword: arguments in order, options in any order, command lines."""

from __future__ import annotations

from typing import Any

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Entry, RawScript
from pykeepalived.dialects.keepalived.readers import Bad
from pykeepalived.dialects.keepalived.rows import Argument, Options, Row
from pykeepalived.syntax import ScriptTextError, Statement, script_words


def closed(context: Context, statement: Statement) -> bool:
    for index, word in enumerate(statement.words):
        if not word.closed:
            context.error("unmatched-quote", "the quote is never closed", statement, index, help='add a `"`')
            return False
    return True


def read_arguments(
    context: Context, row: Row, statement: Statement, start: int, within: Options | None = None
) -> tuple[list[Any] | None, int]:
    """Read the words of `row` from word number `start`. Returns (values or None when refused, next word number).

    `within` are the options of the line, whose words end an optional argument.
    """
    soft = row.soft if within is None else within.soft
    stop_words = within.rows if within is not None else {}
    values: list[Any] = []
    words = statement.words
    index = start
    refused = False
    for argument in row.arguments:
        if argument.many:
            taken, index, ok = _read_many(context, argument, statement, index)
            if not taken and not argument.optional and ok:
                context.missing_word(statement, row.name, row.shows, soft=soft)
                return None, index
            values.append(tuple(taken))
            continue
        if index >= len(words):
            if not argument.optional:
                context.missing_word(statement, row.name, row.shows, soft=soft)
                return None, index
            values.append(None)
            continue
        text = words[index].text
        last = argument is row.arguments[-1]
        if argument.optional and not last and not argument.reader.accepts(text):
            values.append(None)
            continue
        if argument.optional and last and text in stop_words:
            values.append(None)
            continue
        try:
            values.append(argument.reader(text))
        except Bad as problem:
            context.bad(problem, statement, index)
            values.append(problem.value)
            refused = refused or problem.value is None
        index += 1
    return (None if refused else values), index


def _read_many(context: Context, argument: Argument, statement: Statement, start: int) -> tuple[list[Any], int, bool]:
    taken: list[Any] = []
    ok = True
    for index in range(start, len(statement.words)):
        try:
            taken.append(argument.reader(statement.words[index].text))
        except Bad as problem:
            context.bad(problem, statement, index)
            ok = False
    return taken, len(statement.words), ok


class _Line:
    """One line of options while it is read."""

    def __init__(self, context: Context, grammar: Options, statement: Statement) -> None:
        self.context = context
        self.grammar = grammar
        self.statement = statement
        self.free = dict(grammar.slots)
        self.values: dict[str, Any] = {}
        self.places: dict[str, int] = {}
        self.refused = False

    def _fill(self, name: str, value: Any, index: int) -> None:
        self.values[name] = value
        self.places[name] = index
        del self.free[name]

    def take_bare(self, index: int) -> bool:
        """Give a bare word to the first free slot that takes it. False: the whole line is refused."""
        text = self.statement.words[index].text
        refusal: Bad | None = None
        for name, reader in self.free.items():
            try:
                self._fill(name, reader(text), index)
                return True
            except Bad as problem:
                if name != self.grammar.need and problem.value is None:
                    refusal = refusal or problem
                    continue
                self.context.bad(problem, self.statement, index)
                if problem.value is None:
                    return False
                self._fill(name, problem.value, index)
                return True
        self.refused = True
        near = self.context.near(text, self.grammar.rows)
        if refusal is not None and near is None and not text[:1].isalpha():
            self.context.bad(refusal, self.statement, index)
        else:
            self.context.error(
                "unknown-option",
                f"unknown word `{text}`",
                self.statement,
                index,
                help=f"did you mean `{near}`?" if near else None,
            )
        return True

    def take_option(self, row: Row, index: int) -> int:
        """Read an option and its arguments; the number of the next word."""
        if row.later is not None:
            self.context.no_effect_yet(self.grammar.context, row, self.statement)
        if row.replaced_by is not None:
            self.context.deprecated(row, self.statement, index)
        field = row.field or row.name
        self.places[field] = index
        if not row.arguments:
            self.values[field] = row.constant
            return index + 1
        taken, following = read_arguments(self.context, row, self.statement, index + 1, self.grammar)
        if taken is not None:
            self.values[field] = taken[-1]
        else:
            self.refused = True
        return following


def read_options(context: Context, grammar: Options, statement: Statement, start: int) -> Entry | None:
    """Read option words and bare words from word number `start`. None: the line is refused."""
    line = _Line(context, grammar, statement)
    index = start
    while index < len(statement.words):
        word = statement.words[index]
        row = None if word.quoted else grammar.rows.get(word.text)
        if row is not None:
            index = line.take_option(row, index)
        elif line.take_bare(index):
            index += 1
        else:
            return None
    if grammar.need and grammar.need not in line.values:
        context.error("missing-value", f"the line has no {grammar.need}", statement)
        return None
    return Entry(line.values, statement, line.places, line.refused)


def read_script(context: Context, row: Row, statement: Statement) -> RawScript | None:
    """The first word behind the keyword is the command line and is split once more; then user and group."""
    text = statement.argument_text()
    offset = statement.words[0].end
    try:
        outer = script_words(text)
        if row.verbatim and outer:
            return RawScript((outer[0][0],), None, None, statement)
        inner = script_words(outer[0][0]) if outer else ()
    except ScriptTextError as error:
        where = statement.span_of(offset + min(error.position, max(0, len(text) - 1)), offset + len(text))
        context.error("unmatched-quote", f"{error}", where)
        return None
    if not inner:
        if row.required and not outer:
            context.missing_word(statement, row.name, f'{row.name} "COMMAND …" [USER [GROUP]]', soft=row.soft)
            return None
        return RawScript((), None, None, statement)
    if len(outer) > 3:
        span = statement.span_of(offset + outer[3][1], offset + outer[-1][2])
        context.warning(
            "extra-words",
            f"`{row.name}` takes a command, a user and a group; `{outer[3][0]}` is not looked at",
            span,
            help="put a command with arguments in quotes",
            exit_class=ExitClass.NONE,
        )
    return RawScript(
        tuple(word for word, _, _ in inner),
        outer[1][0] if len(outer) > 1 else None,
        outer[2][0] if len(outer) > 2 else None,
        statement,
    )
