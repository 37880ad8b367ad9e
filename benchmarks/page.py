"""The book as a Markdown page and its plots, and the rule about all ratios.

First the table of ratios with targets and verdicts, how to repeat it and on what machine; then a section for each
question.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import plots
from common import NEVER, Row
from questions import QUESTIONS, Question

#: Judged by ratio to the originals: none above, and so many at or below 1.
RATIO_GROUPS, RATIO_LIMIT, AT_OR_BELOW_ONE = ("failover", "adverts", "checks", "programming", "reload"), 2.5, 8
_VERDICTS = {None: "", True: "holds", False: "**missed**"}


class Answer(msgspec.Struct, kw_only=True):
    """What one question said."""

    name: str
    words: str
    long: bool
    date: str = ""
    load: float = 0
    """Load average before it was asked."""
    rows: list[Row] = []
    problem: str = ""
    seconds: float = 0


class Book(msgspec.Struct, kw_only=True):
    """Everything, as it is written to benchmarks.json."""

    machine: str
    programs: str
    answers: list[Answer] = []

    @property
    def rows(self) -> list[Row]:
        return [row for answer in self.answers for row in answer.rows]

    @property
    def judged(self) -> list[Row]:
        """Those that are compared with an original and count for the rule about ratios."""
        return [row for row in self.rows if row.group in RATIO_GROUPS and row.ratio is not None]


def judgement(book: Book) -> tuple[str, bool]:
    """The rule about all ratios, in words, and whether it holds."""
    ratios = [row.ratio for row in book.judged if row.ratio is not None]
    low = sum(ratio <= 1 for ratio in ratios)
    high = [f"{row.what} ({row.ratio:.2f})" for row in book.judged if (row.ratio or 0) > RATIO_LIMIT]
    asked = {row.group for row in book.judged}
    unasked = [group for group in RATIO_GROUPS if group not in asked]
    fine = low >= AT_OR_BELOW_ONE and not high and not unasked
    above = f"above {RATIO_LIMIT:g}: {', '.join(high)}" if high else f"none above {RATIO_LIMIT:g}"
    words = f"Of {len(ratios)} ratios to the originals for {', '.join(RATIO_GROUPS[:-1])} and {RATIO_GROUPS[-1]}, "
    words += f"{low} are at or below 1 (wanted: at least {AT_OR_BELOW_ONE}); {above}."
    if unasked:
        words += f" Without a figure: {', '.join(unasked)}."
    return f"{words} This {'holds' if fine else 'does **not** hold'}.", fine


def figure(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    if value >= NEVER:
        return "never"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _spread(values: Sequence[float]) -> str:
    return f"{figure(min(values))} to {figure(max(values))}" if len(values) > 1 else ""


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f}"


def _summary(book: Book) -> Iterator[str]:
    yield "| question | figure | ours | peer | peer's | ratio | target | |"
    yield "|---|---|---:|---|---:|---:|---|---|"
    for answer in book.answers:
        title = answer.name.replace("_", " ")
        anchor = f"[{title}](#{answer.name.replace('_', '-')})"
        for row in answer.rows:
            if row.holds is None and (row.ratio is None or row.group not in RATIO_GROUPS):
                continue
            ours, theirs = figure(row.middle), figure(row.peers_middle)
            unit = f" {row.unit}" if row.unit else ""
            cells = [anchor, row.what, f"{ours}{unit}", row.peer if theirs else "", f"{theirs}{unit}" if theirs else ""]
            yield "| " + " | ".join([*cells, _ratio(row), row.promise, _VERDICTS[row.holds]]) + " |"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield "| what | unit | ours | spread | peer | peer's | spread | ratio | target | |"
    yield "|---|---|---:|---|---|---:|---|---:|---|---|"
    for row in rows:
        peer = row.peer if row.theirs else ""
        cells = [row.what, row.unit, figure(row.middle), _spread(row.ours), peer, figure(row.peers_middle)]
        yield "| " + " | ".join([*cells, _spread(row.theirs), _ratio(row), row.promise, _VERDICTS[row.holds]]) + " |"


def _curves(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows that grow with something, by curve and unit, those with at least two sizes."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.size is not None and row.ours:
            found.setdefault((row.curve, row.unit), []).append(row)
    return {key: sorted(line, key=lambda row: row.size or 0) for key, line in found.items() if len(line) > 1}


def _slope(points: Sequence[tuple[float, float]]) -> float | None:
    """The exponent of the growth from the smallest to the largest size: 1 is linear."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    return math.log(y1 / y0) / math.log(x1 / x0) if min(x0, y0, y1) > 0 and x1 > x0 else None


def _growth(rows: Sequence[Row]) -> Iterator[str]:
    curves = _curves(rows)
    if not curves:
        return
    yield "Growth with the size: 10 times the size takes 10 to the power of the exponent times as much."
    yield ""
    yield "| what | sizes | exponent, ours | peer's |"
    yield "|---|---|---:|---:|"
    for (curve, unit), line in curves.items():
        ours = _slope([(row.size or 0, row.middle) for row in line])
        theirs = _slope([(row.size or 0, row.peers_middle or 0) for row in line if row.peers_middle is not None] or
                        [(0, 0), (0, 0)])  # fmt: skip
        sizes = ", ".join(figure(row.size) for row in line)
        yield f"| {curve}, {unit} | {sizes} | {figure(ours)} | {figure(theirs)} |"
    yield ""


def page(book: Book, drawn: dict[str, list[str]], *, long: bool) -> str:
    """The Markdown page."""
    promised = [row for row in book.rows if row.holds is not None]
    kept = sum(row.holds is True for row in promised)
    lines = ["# Benchmarks", ""]
    lines += ["Why Python? Because it need not be slower where it counts: this is what a failover, an advert, a health"]
    lines += [
        "check, a change of the kernel's table and a reload take, beside keepalived and ldirectord, each pair from"
    ]
    lines += ["one run on one machine. A ratio is ours over the peer's: below 1, ours needs less.", ""]
    lines += [f"{kept} of {len(promised)} targets hold. {judgement(book)[0]}", ""]
    lines += [*_summary(book), ""]
    problems = [answer for answer in book.answers if answer.problem]
    if problems:
        lines += ["Without an answer, or without all of it:", ""]
        lines += [f"- {answer.name}: {answer.problem}" for answer in problems] + [""]
    if "" in drawn:
        lines += [*(f"![ratios](benchmarks/{file})" for file in drawn[""]), ""]
    lines += ["## How to repeat it", "", *_how(long=long), ""]
    lines += ["## The machine", "", book.machine, "", book.programs, ""]
    for answer in book.answers:
        if answer.rows:
            lines += [*_section(answer, drawn.get(answer.name, []))]
    return "\n".join(lines).rstrip() + "\n"


def _how(*, long: bool) -> Iterator[str]:
    yield f"This page was written by `make bench{' LONG=1' if long else ''}`. The short book takes about 14 minutes,"
    yield "the long one (`LONG=1`) 35; `RESUME=1` goes on with one that was interrupted, `ONLY='checks failover'` asks"
    yield "some questions again and keeps the other answers. Nothing leaves the machine: everything happens in network"
    yield "namespaces and in a kernel for tests. The machine should have nothing else to do. Figures are medians, a"
    yield "spread goes from the least to the largest sample; ours and the peer's are measured by turns."
    yield "`docs/benchmarks.json` has the samples, `benchmarks/README.md` says how each question is asked."


def _section(answer: Answer, files: Sequence[str]) -> Iterator[str]:
    question = next((each for each in QUESTIONS if each.name == answer.name), None)
    title = question.title if question else answer.name
    yield f'<a id="{answer.name.replace("_", "-")}"></a>'
    yield ""
    yield f"## {title}"
    yield ""
    if question:
        yield from _wrapped(question)
        yield ""
    command = f"`python benchmarks/{answer.name}.py {answer.words}".rstrip() + "`"
    yield f"{command}, {answer.date}, {answer.seconds:.0f} s, load average before it {answer.load:.1f}."
    yield ""
    yield from _table(answer.rows)
    yield ""
    notes = [row for row in answer.rows if row.note]
    if notes:
        yield from (f"- {row.what}: {row.note}" for row in notes)
        yield ""
    yield from _growth(answer.rows)
    for file in files:
        yield f"![{answer.name}](benchmarks/{file})"
        yield ""


def _wrapped(question: Question) -> Iterator[str]:
    line = ""
    for word in question.why.split():
        if len(line) + len(word) > 118:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


def draw(book: Book, into: Path) -> dict[str, list[str]]:
    """Write the plots; file names by question, that of all ratios under the empty name."""
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.svg"):
        old.unlink()
    drawn: dict[str, list[str]] = {}

    def keep(name: str, file: str, text: str) -> None:
        (into / file).write_text(text)
        drawn.setdefault(name, []).append(file)

    if book.judged:
        keep("", "ratios.svg", plots.bars([bar for row in book.judged if (bar := _beside_peer(row))], "the peer's"))
    for answer in book.answers:
        beside = [bar for row in answer.rows if (bar := _beside_peer(row))]
        if beside:
            keep(answer.name, f"{answer.name}.svg", plots.bars(beside, "the peer's"))
        against = [bar for row in answer.rows if not _beside_peer(row) and (bar := _of_target(row))]
        if against:
            keep(answer.name, f"{answer.name}-targets.svg", plots.bars(against, "the target"))
        by_unit: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for (curve, unit), line in _curves(answer.rows).items():
            lines = by_unit.setdefault(unit, {})
            lines[f"{curve}, ours"] = [(row.size or 0, row.middle) for row in line]
            theirs = [(row.size or 0, row.peers_middle) for row in line if row.peers_middle]
            if len(theirs) > 1:
                lines[f"{curve}, {line[0].peer}"] = theirs
        for number, (unit, lines) in enumerate(by_unit.items(), 1):
            keep(answer.name, f"{answer.name}-growth-{number}.svg", plots.growth(lines, "size", unit))
    return drawn


def _beside_peer(row: Row) -> plots.Bar | None:
    ratio, peers = row.ratio, row.peers_middle
    if ratio is None or not peers:
        return None
    most = row.most_ratio if row.most_ratio is not None else None
    if row.least_times is not None:
        most = 1 / row.least_times
    return plots.Bar(row.what, ratio, min(row.ours) / peers, max(row.ours) / peers, most)


def _of_target(row: Row) -> plots.Bar | None:
    """Only of those that have to stay below."""
    if not row.most or not row.ours or max(row.ours) >= NEVER:
        return None
    return plots.Bar(row.what, row.middle / row.most, min(row.ours) / row.most, max(row.ours) / row.most, 1)
