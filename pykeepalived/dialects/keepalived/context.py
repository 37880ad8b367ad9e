"""What every part of a load shares: where findings go, what the machine says, which words had no effect yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pykeepalived.diagnostics import Diagnostic, ExitClass, Findings, Label, Severity, Span
from pykeepalived.dialects.keepalived import hints
from pykeepalived.dialects.keepalived.readers import Bad
from pykeepalived.syntax import Statement

if TYPE_CHECKING:
    from pykeepalived.dialects.keepalived.drafts import Draft
    from pykeepalived.dialects.keepalived.host import HostFacts
    from pykeepalived.dialects.keepalived.reuse import PlainReader
    from pykeepalived.dialects.keepalived.rows import Row
    from pykeepalived.syntax import FoldedStatement

#: Searching for a near word is the slowest thing here; a file of nothing but nonsense must not make it count.
_HINTS: Final = 100

#: What a further finding could not make worse.
_COUNTING: Final = (ExitClass.MISSING_WORD, ExitClass.GENERAL)


class Context:
    def __init__(self, findings: Findings, host: HostFacts) -> None:
        self.findings = findings
        self.host = host
        self._later: dict[str, tuple[Row, Statement, int]] = {}
        self._hints = _HINTS
        self.blocks = 0
        """How many blocks were read."""
        self._looked = 0
        self._counts = False
        self.unclosed = False
        """Some block is never closed: what follows it stands inside it."""
        self.strays: list[Statement] = []
        """Blocks of the top level that were found inside an unclosed block."""
        self.preference = 16_384
        """That of the next rule which has none of its own; they count down (keepalived-behaviour section 9)."""
        self.plain: PlainReader | None = None
        self.words: list[tuple[str, tuple[str, ...]]] = []
        """Words of global_defs without effect yet, for the model."""

    def folded(self, row: Row, statement: FoldedStatement) -> Draft | None:
        """The draft of a block that stayed folded; None: it has to be read line by line."""
        return self.plain.read(row, statement) if self.plain is not None else None

    @property
    def says_more_is_wrong(self) -> bool:
        """Some finding counts as much for the exit code as a further one would: what only follows need not be said.

        Those of scripts may count no longer at the end (keepalived-behaviour 1.9), so they do not here.
        """
        items = self.findings.items
        while not self._counts and self._looked < len(items):
            item = items[self._looked]
            self._looked += 1
            self._counts = item.exit_class in _COUNTING and not item.id.startswith("script-")
        return self._counts

    # ── findings ─────────────────────────────────────────────────────────────────────────────────────────────────

    def say(
        self,
        severity: Severity,
        identifier: str,
        message: str,
        at: Statement | Span | None = None,
        index: int | None = None,
        *,
        help: str | None = None,
        notes: Sequence[str] = (),
        secondary: Sequence[Label] = (),
        exit_class: ExitClass = ExitClass.GENERAL,
    ) -> None:
        if self.findings.full:
            # Finding the place of one that is not shown would be most of the time that a file of nonsense takes.
            self.findings.drop(exit_class)
            return
        labels: tuple[Label, ...] = tuple(secondary)
        span: Span | None
        if isinstance(at, Statement):
            span = at.span(index)
            labels += at.labels()
        else:
            span = at
        self.findings.add(
            Diagnostic(
                id=identifier,
                severity=severity,
                message=_printable(message),
                span=span,
                secondary=labels,
                notes=tuple(notes),
                help=None if help is None else _printable(help),
                exit_class=exit_class,
            )
        )

    def error(
        self,
        identifier: str,
        message: str,
        at: Statement | Span | None = None,
        index: int | None = None,
        *,
        help: str | None = None,
        secondary: Sequence[Label] = (),
        exit_class: ExitClass = ExitClass.GENERAL,
    ) -> None:
        """Something that keepalived refuses or leaves out."""
        self.say(Severity.ERROR, identifier, message, at, index, help=help, secondary=secondary, exit_class=exit_class)

    def warning(
        self,
        identifier: str,
        message: str,
        at: Statement | Span | None = None,
        index: int | None = None,
        *,
        help: str | None = None,
        secondary: Sequence[Label] = (),
        exit_class: ExitClass = ExitClass.GENERAL,
    ) -> None:
        """Something that is taken in another sense than written, or most likely not meant."""
        self.say(
            Severity.WARNING, identifier, message, at, index, help=help, secondary=secondary, exit_class=exit_class
        )

    def bad(self, problem: Bad, statement: Statement, index: int, lead: str = "") -> None:
        """Report what a reader refused."""
        message = f"{lead}{problem}"
        if problem.counts:
            self.error(problem.id, message, statement, index, help=problem.help)
        else:
            self.warning(problem.id, message, statement, index, help=problem.help, exit_class=ExitClass.NONE)

    def missing_word(self, statement: Statement, keyword: str, shows: str, *, soft: bool = False) -> None:
        """keepalived ends at once with exit code 2 here, unless `soft`; the rest of the file is read all the same."""
        self.error(
            "missing-word",
            f"`{keyword}` needs a word behind it",
            statement,
            len(statement.words) - 1,
            help=f"write `{shows}`",
            exit_class=ExitClass.GENERAL if soft else ExitClass.MISSING_WORD,
        )

    def deprecated(self, row: Row, statement: Statement, index: int) -> None:
        self.warning(
            "deprecated-keyword",
            f"`{row.name}` is deprecated",
            statement,
            index,
            help=f"write `{row.replaced_by}`" if row.replaced_by else "leave it out",
            exit_class=ExitClass.NONE if row.quiet else ExitClass.GENERAL,
        )

    # ── hints and notes ──────────────────────────────────────────────────────────────────────────────────────────

    def near(self, word: str, known: Sequence[str] | dict[str, Row]) -> str | None:
        if self._hints <= 0:
            return None
        self._hints -= 1
        return hints.near(word, known)

    def no_effect_yet(self, context: str, row: Row, statement: Statement) -> None:
        """Remember a word whose effect comes later; one note a word, at its first place."""
        if context == "global_defs":
            self.words.append((row.name, tuple(word.text for word in statement.words[1:])))
        key = f"{context}.{row.name}"
        found = self._later.get(key)
        self._later[key] = (row, statement, 1) if found is None else (found[0], found[1], found[2] + 1)

    def flush_notes(self) -> None:
        for row, statement, count in self._later.values():
            self.say(
                Severity.NOTE,
                "no-effect-yet",
                f"`{row.name}` is known and checked, and has no effect yet ({row.later})",
                statement,
                0 if statement.words else None,
                notes=(f"used {count} times",) if count > 1 else (),
                exit_class=ExitClass.NONE,
            )


def _printable(text: str) -> str:
    """Control characters out, so that a file cannot write to the terminal that shows its findings."""
    shown = text[:400]
    return shown if shown.isprintable() else "".join(char if char.isprintable() else "?" for char in shown)
