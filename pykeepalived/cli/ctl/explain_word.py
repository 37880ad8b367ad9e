"""`keepalivedctl explain-word`: what a keyword of either language means, from the tables of their parsers."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from typing import Final

import click

from pykeepalived.dialects.keepalived import rows as keepalived
from pykeepalived.dialects.keepalived.hints import near
from pykeepalived.dialects.keepalived.states import later_of
from pykeepalived.dialects.keepalived.tables import all_rows
from pykeepalived.dialects.ldirectord import rows as ldirectord

_WIDTH: Final = 96
_SCOPES: Final = {
    ldirectord.Scope.GLOBAL: "the global part",
    ldirectord.Scope.VIRTUAL: "a section virtual= or virtual6=",
    ldirectord.Scope.REAL: "a line real= or real6=",
}
_STATES: Final = {
    ldirectord.State.EFFECT: "in effect",
    ldirectord.State.LATER: "known and checked, no effect yet",
    ldirectord.State.DEPRECATED: "in effect, deprecated",
    ldirectord.State.UNUSED: "read and never used, as in the original",
    ldirectord.State.REMOVED: "removed: an error",
}
Facts = list[tuple[str, str]]


@click.command(name="explain-word")
@click.argument("word")
@click.option("--json", "as_json", is_flag=True, help="A list of rows as JSON.")
def command(word: str, *, as_json: bool) -> None:
    """Explain WORD, a keyword of keepalived.conf or a directive of ldirectord.cf.

    Shows where it may stand, what may follow it with units and ranges, its default, whether it is deprecated and
    whether it has an effect. The exit code is 1 when no language knows the word.
    """
    found = list(explain(word))
    if not found:
        known = {row.name for _, row in all_rows()} | {row.name for row in ldirectord.TABLE}
        guess = near(word, sorted(known))
        shown = "".join(char if char.isprintable() else "?" for char in word[:80])
        click.echo(f"keepalivedctl: no keyword `{shown}`" + (f"; did you mean `{guess}`?" if guess else ""), err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps([{"form": title, **{name.replace(" ", "_"): text for name, text in facts}}
                               for title, facts in found]))  # fmt: skip
        return
    for number, (title, facts) in enumerate(found):
        if number:
            click.echo()
        click.echo(click.style(title, bold=True))
        for name, text in facts:
            lead = f"  {name:<9} "
            click.echo(textwrap.fill(text, _WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)))


def explain(word: str) -> Iterator[tuple[str, Facts]]:
    """A title and facts for each row of the word; rows that say the same in several places are told once."""
    told: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for context, row in all_rows():
        if row.name == word:
            told.setdefault((form_of(row), tuple(_keepalived_facts(row, later_of(context, row)))), []).append(context)
    for (form, facts), contexts in told.items():
        places = ", ".join(_place(context) for context in contexts)
        yield f"keepalived.conf: {form}", [("stands in", places), *facts]
    for directive in ldirectord.TABLE:
        if directive.name == word:
            yield f"ldirectord.cf: {_directive_form(directive)}", _ldirectord_facts(directive)


def _place(context: str) -> str:
    return "the top level" if context == "(root)" else context.replace(".", " → ")


def form_of(row: keepalived.Row) -> str:
    """The keyword with everything that may follow it."""
    match row.kind:
        case keepalived.Kind.SCRIPT:
            text = f'{row.name} "COMMAND …" [USER [GROUP]]'
        case keepalived.Kind.BLOCK | keepalived.Kind.LIST:
            text = f"{row.shows} {{ … }}"
        case keepalived.Kind.WORDS:
            text = f"{row.name} {{ {' '.join(argument.shows for argument in row.arguments)} }}"
        case keepalived.Kind.OPTIONS:
            text = f"{row.name} …"
        case _:
            text = row.shows
    return text


def _keepalived_facts(row: keepalived.Row, later: str | None) -> Facts:
    facts = [("does", row.help)]
    if row.options is not None:
        words = [f"{name.replace('_', ' ')} ({reader.shows})" for name, reader in row.options.slots]
        words += [option.shows for option in row.options.rows.values()]
        facts.append(("words", ", ".join(words)))
    if row.block is not None:
        facts.append(("holds", ", ".join(row.block.rows)))
    if row.default:
        facts.append(("default", row.default))
    if row.same_as:
        facts.append(("same as", row.same_as))
    if row.replaced_by is not None:
        facts.append(("old word", f"deprecated, write {row.replaced_by}" if row.replaced_by else "deprecated"))
    if row.repeat is not keepalived.Repeat.LAST:
        again = {"append": "all uses count", "first": "the first one stays"}[row.repeat.value]
        facts.append(("again", again))
    facts.append(("state", f"known and checked, no effect yet ({later})" if later else "in effect"))
    facts.append(("since", "pykeepalived only" if row.ours else f"keepalived {row.since}"))
    return facts


def _directive_form(row: ldirectord.Row) -> str:
    if row.scope is ldirectord.Scope.REAL:
        return row.name
    return f"{row.name} = {row.reader.expected}"


def _ldirectord_facts(row: ldirectord.Row) -> Facts:
    facts = [("stands in", _SCOPES[row.scope]), ("does", row.help)]
    if row.default:
        facts.append(("default", row.default))
    if row.repeatable:
        facts.append(("again", "all uses count"))
    facts.append(("state", _STATES[row.state]))
    return facts


if __name__ == "__main__":
    command()
