"""The benchmark book: asks every question, one after the other, and writes down what came of it.

    python benchmarks/book.py [--long] [--only NAME…] [--write DIRECTORY]

Each question is a program beside this one; it interleaves ours and the peer's itself. A question that fails or takes
too long is named in the book and stops no other one. Writes benchmarks.json, benchmarks.md and the plots into DIRECTORY
(docs). Exit code: 0 when every target holds, 1 when one is missed, 2 when a question gave no answer.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import plots
from common import ROOT, Row

#: Judged by ratio to the original: none above, and so many at or below 1.
RATIO_GROUPS, RATIO_LIMIT, AT_OR_BELOW_ONE = ("failover", "adverts", "checks", "programming", "reload"), 2.5, 8


class Question(NamedTuple):
    """Seconds are what it usually takes; it is ended after three times as long."""

    name: str
    short: str | None
    short_s: int
    long: str
    long_s: int


QUESTIONS = (
    Question("config_load", "--runs 2", 12, "--runs 5", 25),
    Question("start", "--rounds 3", 20, "--rounds 5", 35),
    Question("failover", "--rounds 10", 85, "--rounds 15 --stress", 200),
    Question("adverts", "--seconds 5", 95, "--seconds 10 --rounds 2", 165),
    Question("many", None, 0, "", 240),
    Question("flood", None, 0, "--seconds 10", 140),
    Question("storm", None, 0, "--seconds 60", 180),
    Question("checks", "--seconds 3 --rounds 2", 90, "--seconds 6 --rounds 3", 235),
    Question("syscalls", "--seconds 3", 42, "--seconds 5", 50),
    Question("programming", "", 110, "", 110),
    Question("nftables", "--rounds 3", 25, "--rounds 7", 60),
    Question("reload", "--rounds 2", 50, "--rounds 5", 90),
    Question("pace", "--seconds 20", 40, "--seconds 600", 620),
    Question("ldirectord_pace", "--seconds 15", 20, "--seconds 20", 25),
    Question("detection", None, 0, "", 360),
)


class Answer(msgspec.Struct, kw_only=True):
    """What one question said."""

    name: str
    words: str
    rows: list[Row] = []
    problem: str = ""
    seconds: float = 0


class Book(msgspec.Struct, kw_only=True):
    """Everything, as it is written to benchmarks.json."""

    date: str
    machine: str
    load: float
    answers: list[Answer]

    @property
    def rows(self) -> list[Row]:
        return [row for answer in self.answers for row in answer.rows]

    @property
    def judged(self) -> list[Row]:
        """Those that are compared with an original and count for the rule about ratios."""
        return [row for row in self.rows if row.group in RATIO_GROUPS and row.ratio is not None]


def ask(question: Question, *, long: bool, into: Path) -> Answer:
    """Run one question to its end, or to its limit."""
    words = (question.long if long else question.short) or ""
    limit_s = 120 + 3 * (question.long_s if long else question.short_s)
    file = into / f"{question.name}.json"
    argv = [sys.executable, str(ROOT / "benchmarks" / f"{question.name}.py"), *words.split(), "--json", str(file)]
    answer = Answer(name=question.name, words=words)
    began = time.monotonic()
    process = subprocess.Popen(argv, cwd=ROOT, start_new_session=True)
    try:
        code = process.wait(limit_s)
        # 1 says that a target is missed, which the rows say too.
        if code not in (0, 1):
            answer.problem = f"exit code {code}"
    except subprocess.TimeoutExpired:
        answer.problem = f"no end after {limit_s} s"
    finally:
        _end(process)
    answer.seconds = time.monotonic() - began
    try:
        answer.rows = msgspec.json.decode(file.read_bytes(), type=list[Row])
    except (OSError, msgspec.MsgspecError) as error:
        answer.problem = answer.problem or f"no rows: {error}"
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    """First kindly: a question takes its network namespaces down."""
    for number, patience_s in ((signal.SIGINT, 15), (signal.SIGKILL, 15)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue


def figure(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread(values: list[float]) -> str:
    return f"{figure(min(values))} to {figure(max(values))}" if len(values) > 1 else ""


def table(rows: list[Row]) -> list[str]:
    lines = ["| what | unit | ours | spread | peer | peer's | spread | ratio | target | |"]
    lines.append("|---|---|---:|---|---|---:|---|---:|---|---|")
    for row in rows:
        verdict = {None: "", True: "holds", False: "**missed**"}[row.holds]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        cells = [row.what, row.unit, figure(row.middle), spread(row.ours), row.peer, figure(row.peers_middle)]
        lines.append("| " + " | ".join([*cells, spread(row.theirs), ratio, row.promise, verdict]) + " |")
    return lines


def verdict(book: Book) -> tuple[list[str], bool]:
    """The rule about all ratios, in words, and whether it holds."""
    ratios = [row.ratio for row in book.judged if row.ratio is not None]
    low, high = sum(ratio <= 1 for ratio in ratios), [r.what for r in book.judged if (r.ratio or 0) > RATIO_LIMIT]
    fine = low >= AT_OR_BELOW_ONE and not high
    above = f"above {RATIO_LIMIT:g}: {', '.join(high)}" if high else f"none above {RATIO_LIMIT:g}"
    return [
        f"Of {len(ratios)} ratios to the originals for {', '.join(RATIO_GROUPS[:-1])} and {RATIO_GROUPS[-1]}, {low} are"
        f" at or below 1 (wanted: {AT_OR_BELOW_ONE}); {above}. This {'holds' if fine else 'does **not** hold'}."
    ], fine


def page(book: Book, curves: dict[str, str]) -> str:
    """The Markdown page."""
    promised = [row for row in book.rows if row.holds is not None]
    kept = sum(row.holds is True for row in promised)
    command = f"`make bench{' LONG=1' if any(answer.name == 'detection' for answer in book.answers) else ''}`"
    lines = ["# Benchmarks", ""]
    lines += [f"Written by {command}, {book.date}, on {book.machine}; load average at the start {book.load:.1f}.", ""]
    lines += ["Medians; a spread goes from the least to the largest sample. A ratio is ours over the peer's, both from"]
    lines += ["the same run: below 1, ours needs less. `benchmarks/README.md` says how each question is asked.", ""]
    lines += ["## Targets", "", f"{kept} of {len(promised)} hold.", "", *verdict(book)[0], ""]
    lines += [*table(promised), ""]
    problems = [answer for answer in book.answers if answer.problem]
    if problems:
        lines += ["## Without an answer", ""]
        lines += [f"- {answer.name}: {answer.problem}" for answer in problems] + [""]
    if book.judged:
        lines += ["![ratios](benchmarks/ratios.svg)", ""]
    for answer in book.answers:
        if answer.rows:
            lines += [f"## {answer.name.replace('_', ' ')}", ""]
            lines += [
                f"`benchmarks/{answer.name}.py {answer.words}`".replace(" `", "`") + f", {answer.seconds:.0f} s",
                "",
            ]
            lines += [*table(answer.rows), ""]
            lines += [f"![{file}](benchmarks/{file})\n" for name, file in curves.items() if name == answer.name]
    return "\n".join(lines).rstrip() + "\n"


def draw(book: Book, into: Path) -> dict[str, str]:
    """Write the plots; file names of growth curves by question."""
    into.mkdir(exist_ok=True)
    if book.judged:
        (into / "ratios.svg").write_text(plots.ratios([(row.what, row.ratio or 0) for row in book.judged]))
    drawn = {}
    for answer in book.answers:
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in answer.rows:
            if row.size is not None and row.ours:
                lines.setdefault(f"{row.curve}, ours", []).append((row.size, row.middle))
                if row.peers_middle:
                    lines.setdefault(f"{row.curve}, {row.peer}", []).append((row.size, row.peers_middle))
        lines = {name: line for name, line in lines.items() if len(line) > 1}
        if lines:
            drawn[answer.name] = f"{answer.name}.svg"
            unit = next(row.unit for row in answer.rows if row.size is not None)
            (into / drawn[answer.name]).write_text(plots.growth(lines, "size", unit))
    return drawn


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[question.name for question in QUESTIONS])
    parser.add_argument("--write", type=Path, default=ROOT / "docs", metavar="DIRECTORY")
    options = parser.parse_args()
    chosen = [
        each
        for each in QUESTIONS
        if (options.long or each.short is not None or options.only) and (not options.only or each.name in options.only)
    ]
    chosen = [each for each in chosen if (ROOT / "benchmarks" / f"{each.name}.py").exists()]
    seconds = sum(each.long_s if options.long or each.short is None else each.short_s for each in chosen)
    print(f"{len(chosen)} questions, about {seconds / 60:.0f} minutes", flush=True)
    # As an installed program: its bytecode lies there already.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(ROOT / "pykeepalived")], check=False)
    book = Book(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}",
        load=os.getloadavg()[0],
        answers=[],
    )
    with tempfile.TemporaryDirectory(prefix="bench-book-") as directory:
        for question in chosen:
            print(f"\n── {question.name} ──", flush=True)
            book.answers.append(ask(question, long=options.long or question.short is None, into=Path(directory)))
            if book.answers[-1].problem:
                print(f"{question.name}: {book.answers[-1].problem}", file=sys.stderr, flush=True)
    options.write.mkdir(parents=True, exist_ok=True)
    (options.write / "benchmarks.json").write_bytes(msgspec.json.encode(book) + b"\n")
    curves = draw(book, options.write / "benchmarks")
    (options.write / "benchmarks.md").write_text(page(book, curves))
    return conclude(book)


def conclude(book: Book) -> int:
    """Say what came of it."""
    missed = [row for row in book.rows if row.holds is False]
    silent = [answer.name for answer in book.answers if answer.problem]
    words, fine = verdict(book)
    print("\n" + "\n".join([*words, *(f"missed: {row.what}: {row.promise}" for row in missed)]))
    print(f"{len(book.rows)} rows, {len(missed)} targets missed, without an answer: {', '.join(silent) or 'none'}")
    whole = len(book.answers) >= len([each for each in QUESTIONS if each.short is not None]) - 1
    return 2 if silent else int(bool(missed) or (whole and not fine))


if __name__ == "__main__":
    sys.exit(main())
