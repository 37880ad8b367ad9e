"""The benchmark book: asks every question, one after the other, and writes down what came of it.

    python benchmarks/book.py [--long] [--resume] [--only NAME…] [--minutes N] [--write DIRECTORY]

Each question is a program beside this one (`questions.py` has the list); it interleaves ours and the peer's itself. A
question that fails or takes too long is named in the book and stops no other one. benchmarks.json, benchmarks.md and
the plots in DIRECTORY (docs) are written anew after each answer: `--resume` keeps the answers that are there and asks
what is missing, `--only` asks some questions again. Exit code: 0 when every target holds, 1 when one is missed, 2 when
a question gave no answer.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from common import ROOT, Row
from page import Answer, Book, draw, judgement, page
from questions import QUESTIONS, Question

#: For a book as a whole. Questions for which there is no time left are named and not asked.
SHORT_MINUTES, LONG_MINUTES = 20, 36


def ask(question: Question, *, long: bool, left_s: float, into: Path) -> Answer:
    """Run one question to its end, or to its limit."""
    words, usual_s = (question.long, question.long_s) if long else (question.short or "", question.short_s)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    answer = Answer(name=question.name, words=words, long=long, date=date, load=round(os.getloadavg()[0], 2))
    if left_s < 0.9 * usual_s:
        answer.problem = f"not asked: it takes about {usual_s} s, and {max(0, left_s):.0f} were left"
        return answer
    limit_s = min(left_s, 60 + 3 * usual_s)
    file = into / f"{question.name}.json"
    argv = [sys.executable, str(ROOT / "benchmarks" / f"{question.name}.py"), *words.split(), "--json", str(file)]
    began = time.monotonic()
    process = subprocess.Popen(argv, cwd=ROOT, start_new_session=True)
    try:
        code = process.wait(limit_s)
        # 1 says that a target is missed, which the rows say too.
        if code not in (0, 1):
            answer.problem = f"exit code {code}"
    except subprocess.TimeoutExpired:
        answer.problem = f"no end after {limit_s:.0f} s"
    finally:
        _end(process)
    answer.seconds = round(time.monotonic() - began, 1)
    try:
        answer.rows = msgspec.json.decode(file.read_bytes(), type=list[Row])
    except (OSError, msgspec.MsgspecError) as error:
        answer.problem = answer.problem or f"no rows: {error}"
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    """First kindly: a question takes its network namespaces down."""
    for number, patience_s in ((signal.SIGINT, 15), (signal.SIGTERM, 5), (signal.SIGKILL, 15)):
        if process.poll() is not None:
            return
        try:
            os.killpg(process.pid, number)
            process.wait(patience_s)
        except (subprocess.TimeoutExpired, ProcessLookupError):
            continue


def machine() -> str:
    """The machine in a sentence."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    memory_kib = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return (
        f"{os.cpu_count()} processors ({model}), {memory_kib / (1 << 20):.0f} GiB of memory,"
        f" Linux {platform.release()}, Python {platform.python_version()}."
    )


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


def peers() -> str:
    """What ours is compared with, as Debian has it."""
    found = []
    for package in ("keepalived", "ldirectord", "ipvsadm", "nftables"):
        argv = ["dpkg-query", "-W", "-f", "${Version}", package]
        if shutil.which("dpkg-query") is None:
            continue
        said = subprocess.run(argv, check=False, capture_output=True, text=True)
        if said.returncode == 0 and said.stdout:
            found.append(f"{package} {said.stdout}")
    return f"Debian's {', '.join(found)}." if found else "No peer is installed."


def kept(file: Path, *, every: bool, long: bool) -> list[Answer]:
    """Answers of the book that is there: all of them, or those that need not be asked again."""
    try:
        answers = msgspec.json.decode(file.read_bytes(), type=Book).answers
    except (OSError, msgspec.MsgspecError):
        return []
    return [answer for answer in answers if every or (answer.long is long and not answer.problem)]


def write(book: Book, into: Path, *, long: bool) -> None:
    """All files anew, in the order of the questions."""
    places = {question.name: place for place, question in enumerate(QUESTIONS)}
    book.answers.sort(key=lambda answer: places.get(answer.name, len(places)))
    into.mkdir(parents=True, exist_ok=True)
    new = into / "benchmarks.json.new"
    new.write_bytes(msgspec.json.encode(book) + b"\n")
    new.rename(into / "benchmarks.json")
    (into / "benchmarks.md").write_text(page(book, draw(book, into / "benchmarks"), long=long))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="all questions, more thoroughly")
    parser.add_argument("--resume", action="store_true", help="ask only what the book has no answer to")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[question.name for question in QUESTIONS])
    parser.add_argument("--minutes", type=float, help="for the whole book")
    parser.add_argument("--write", type=Path, default=ROOT / "docs", metavar="DIRECTORY")
    options = parser.parse_args()
    long = options.long
    chosen = [
        each for each in QUESTIONS if (each.name in options.only if options.only else long or each.short is not None)
    ]
    before: list[Answer] = []
    if options.resume or options.only:
        before = kept(options.write / "benchmarks.json", every=bool(options.only), long=long)
    if options.resume:
        chosen = [each for each in chosen if each.name not in {answer.name for answer in before}]
    before = [answer for answer in before if answer.name not in {each.name for each in chosen}]
    seconds = sum(each.long_s if long or each.short is None else each.short_s for each in chosen)
    print(f"{len(chosen)} questions, about {seconds / 60:.0f} minutes", flush=True)
    # As an installed program: its bytecode lies there already.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(ROOT / "pykeepalived")], check=False)
    book = Book(machine=machine(), programs=peers(), answers=before)
    end = time.monotonic() + 60 * (options.minutes or (LONG_MINUTES if long else SHORT_MINUTES))
    with tempfile.TemporaryDirectory(prefix="bench-book-") as directory:
        for question in chosen:
            print(f"\n── {question.name} ──", flush=True)
            thorough = long or question.short is None
            answer = ask(question, long=thorough, left_s=end - time.monotonic(), into=Path(directory))
            print(f"{question.name}: {answer.seconds:.0f} s{answer.problem and f'; {answer.problem}'}", flush=True)
            book.answers.append(answer)
            write(book, options.write, long=long)
    return conclude(book, [each.name for each in chosen])


def conclude(book: Book, asked: list[str]) -> int:
    """Say what came of it."""
    missed = [row for row in book.rows if row.holds is False]
    silent = [answer.name for answer in book.answers if answer.problem]
    print("\nratios to the originals:")
    for row in book.judged:
        print(f"  {row.ratio:6.2f}  {row.what} ({row.peer}){f', {row.promise}' if row.promise else ''}")
    words, fine = judgement(book)
    print("\n".join([words.replace("**", ""), *(f"missed: {row.what}: {row.promise}" for row in missed)]))
    print(f"{len(book.rows)} figures, {len(missed)} targets missed, without an answer: {', '.join(silent) or 'none'}")
    if silent:
        return 2
    # A part of the book is judged by the targets alone.
    whole = {question.name for question in QUESTIONS if question.short is not None} <= {*asked} | {
        answer.name for answer in book.answers
    }
    return int(bool(missed) or (whole and not fine))


if __name__ == "__main__":
    sys.exit(main())
