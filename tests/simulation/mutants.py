"""`make mutate`: small faults that nobody chose, put into the cores one at a time; the simulator must find them.

    python -m tests.simulation.mutants [--only WORD …] [--sample N] [--seconds S] [--seed N]

Each function of the cores is changed in one place: a comparison, a sign, a number, a condition turned round, `and` for
`or`, a statement left out. A changed function is put into a fork of this process, which plays the seeds that come to
the changed line until an invariant breaks. What survives is printed with its line: either the simulator looks away, or
the change changes nothing. Lines that no seed comes to are counted apart.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import functools
import importlib
import io
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

import msgspec

ROOT = Path(__file__).parents[2]
KINDS: dict[str, tuple[str, ...]] = {
    "clusters": (
        "vrrp.timers",
        "vrrp.instance",
        "vrrp.hearing",
        "vrrp.sync_group",
        "vrrp.router",
        "vrrp.world",
        "vrrp.adaptation",
        "vrrp.tracking",
        "vrrp.scripts",
        "vrrp.watched",
        "vrrp.processes",
        "vrrp.standby",
        "vrrp.succession",
        "vrrp.garp",
        "vrrp.announcing",
        "vrrp.receive",
        "vrrp.rungs",
        "vrrp.hmac_trailer",
    ),
    "directors": (
        "checkers.verdict",
        "checkers.misc",
        "lvs.health",
        "lvs.quorum",
        "lvs.pool",
        "lvs.desired",
        "lvs.reconcile",
        "lvs.recovery",
        "lvs.drain",
        "runtime.lvs_table",
        "runtime.lvs_departures",
    ),
    "sessions": ("bfd.session", "bfd.sessions", "bfd.packet"),
}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
#: Calls that only make words for people.
_WORDS = frozenset({"log", "detail", "_say", "_report", "log_addresses", "info", "error"})
#: Functions that only answer questions or only make words.
_SILENT = frozenset(
    {"status", "explain", "process_status", "script_status", "group_status", "unattributed", "fault_lines"}
)


class Mutant(NamedTuple):
    module: str
    function: str
    line: int
    what: str
    code: CodeType


def _inside(body: ast.AST) -> Iterator[ast.AST]:
    """All nodes, without annotations, words for people and error texts."""
    for name, value in ast.iter_fields(body):
        if name in {"annotation", "returns", "decorator_list", "type_comment"}:
            continue
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, ast.AST) or isinstance(item, ast.JoinedStr | ast.Raise | ast.Assert):
                continue
            if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant):
                continue
            if isinstance(item, ast.Expr) and isinstance(item.value, ast.Call):
                function = item.value.func
                if (function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")) in _WORDS:
                    continue
            yield item
            yield from _inside(item)


def _changes(node: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """What can be changed in this node: a word for it, and what does it in place."""
    match node:
        case ast.Compare(ops=[operator, *_]) if type(operator) in _COMPARISONS:
            other = _COMPARISONS[type(operator)]
            yield f"{type(operator).__name__} → {other.__name__}", lambda: node.ops.__setitem__(0, other())
        case ast.BoolOp():
            turned = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield f"→ {type(turned).__name__}", lambda: setattr(node, "op", turned)
        case ast.UnaryOp(op=ast.USub()):
            yield "- → +", lambda: setattr(node, "op", ast.UAdd())
        case ast.BinOp() if type(node.op) in _OPERATORS:
            sign = _OPERATORS[type(node.op)]
            yield f"{type(node.op).__name__} → {sign.__name__}", lambda: setattr(node, "op", sign())
        case ast.Constant(value=bool()):
            yield f"{node.value} → {not node.value}", lambda: setattr(node, "value", not node.value)
        case ast.Constant(value=int()):
            yield f"{node.value} → {node.value + 1}", lambda: setattr(node, "value", node.value + 1)
        case ast.If() | ast.IfExp() | ast.While():
            yield "condition turned round", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
        case ast.comprehension(ifs=[test, *_]):
            yield "filter turned round", lambda: node.ifs.__setitem__(0, ast.UnaryOp(ast.Not(), test))
        case ast.Call(func=ast.Name(id="max" | "min")):
            name = "min" if node.func.id == "max" else "max"
            yield f"{node.func.id} → {name}", lambda: setattr(node.func, "id", name)


def _left_out(body: ast.AST) -> Iterator[tuple[int, str, list[ast.stmt], int]]:
    """Statements that can be left out, where they stand."""
    for node in [body, *_inside(body)]:
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if not isinstance(block, list):
                continue
            for position, item in enumerate(block):
                whole = isinstance(item, ast.Expr | ast.AugAssign | ast.Delete | ast.Continue | ast.Break)
                stored = isinstance(item, ast.Assign) and not isinstance(item.targets[0], ast.Name | ast.Tuple)
                early = isinstance(item, ast.Return) and node is not body
                if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant):
                    continue
                if isinstance(item, ast.Expr) and isinstance(item.value, ast.Call):
                    call = item.value.func
                    if (call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "")) in _WORDS:
                        continue
                if whole or stored or early:
                    yield item.lineno, f"left out: {ast.unparse(item)[:70]}", block, position


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for item in tree.body:
        if isinstance(item, ast.FunctionDef):
            yield item.name, item
        elif isinstance(item, ast.ClassDef):
            for inner in item.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{item.name}.{inner.name}", inner


def _code_of(module: CodeType, function: str) -> CodeType:
    code = module
    for part in function.split("."):
        code = next(item for item in code.co_consts if isinstance(item, CodeType) and item.co_name == part)
    return code


def mutants(module: str) -> Iterator[Mutant]:
    """Every small fault of one module, each with the code of its function."""
    path = ROOT / "pykeepalived" / (module.replace(".", "/") + ".py")
    original = ast.parse(path.read_text())
    sites: list[tuple[str, int, str, Callable[[ast.Module], None]]] = []

    def nth(tree: ast.Module, function: str) -> ast.FunctionDef:
        return dict(_functions(tree))[function]

    for name, found in _functions(original):
        if found.name in _SILENT or any("setter" in ast.unparse(item) for item in found.decorator_list):
            continue
        for index, node in enumerate(_inside(found)):
            for number, (what, _) in enumerate(_changes(node)):

                def change(tree: ast.Module, name: str = name, index: int = index, number: int = number) -> None:
                    node = list(_inside(nth(tree, name)))[index]
                    list(_changes(node))[number][1]()

                line = getattr(node, "lineno", None) or getattr(getattr(node, "target", None), "lineno", found.lineno)
                sites.append((name, line, what, change))
        for index, (line, what, _, _) in enumerate(_left_out(found)):

            def leave_out(tree: ast.Module, name: str = name, index: int = index) -> None:
                _, _, block, position = list(_left_out(nth(tree, name)))[index]
                block[position] = ast.copy_location(ast.Pass(), block[position])

            sites.append((name, line, what, leave_out))
    for name, line, what, alter in sites:
        tree = copy.deepcopy(original)
        alter(tree)
        ast.fix_missing_locations(tree)
        code = compile(tree, str(path), "exec", flags=__import__("__future__").annotations.compiler_flag)
        yield Mutant(module, name, line, what, _code_of(code, name))


def put_in(mutant: Mutant) -> None:
    """Give the function its changed code, in this process."""
    found: Any = importlib.import_module(f"pykeepalived.{mutant.module}")
    for part in mutant.function.split("."):
        found = vars(found)[part]
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    while hasattr(found, "__wrapped__"):
        if isinstance(found, functools._lru_cache_wrapper):
            found.cache_clear()
        found = found.__wrapped__
    assert isinstance(found, FunctionType)
    found.__code__ = mutant.code


# ── playing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def trials(kind: str) -> list[Callable[[], Any]]:
    """Many short lives rather than few long ones."""
    if kind == "clusters":
        from tests.simulation.cluster import short  # noqa: PLC0415
        from tests.simulation.plan import Trial  # noqa: PLC0415

        return [functools.partial(lambda seed: Trial(seed, short(seed)).run(), seed) for seed in range(200)]
    if kind == "sessions":
        from tests.simulation.sessions import SessionTrial  # noqa: PLC0415

        return [functools.partial(lambda seed: SessionTrial(seed, 60).run(), seed) for seed in range(60)]
    from tests.simulation.farm import FarmTrial  # noqa: PLC0415

    return [functools.partial(lambda seed: FarmTrial(seed, 60).run(), seed) for seed in range(120)]


def lines_of(trial: Callable[[], Any], files: frozenset[str]) -> set[tuple[str, int]]:
    """Which lines of the cores a trial comes to."""
    seen: set[tuple[str, int]] = set()

    def within(frame: FrameType, event: str, _: Any) -> Any:
        seen.add((frame.f_code.co_filename, frame.f_lineno))
        return within

    def entered(frame: FrameType, event: str, _: Any) -> Any:
        return within(frame, event, _) if frame.f_code.co_filename in files else None

    sys.settrace(entered)
    try:
        trial()
    finally:
        sys.settrace(None)
    return seen


def judge(mutant: Mutant, chosen: list[Callable[[], Any]], seconds: float) -> str:
    """What became of it: `NAME of what found it`, or `survived`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        word = "survived"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                put_in(mutant)
                end_s = time.process_time() + seconds
                # Longer than all of them together: it hangs.
                resource.setrlimit(resource.RLIMIT_CPU, (int(3 * seconds) + 5, int(3 * seconds) + 6))
                resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
                for trial in chosen:
                    trial()
                    if time.process_time() > end_s:
                        break
            except BaseException as error:  # whatever it is: it was found
                word = getattr(error, "name", None) or type(error).__name__
                word = word if isinstance(word, str) else type(error).__name__
        os.write(writing, word.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        word = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return word or f"signal {signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else status}"


class Score(msgspec.Struct):
    found: int = 0
    survived: int = 0
    never_played: int = 0


def play(kind: str, modules: list[str], chosen: argparse.Namespace) -> Score:
    lives = trials(kind)
    files = frozenset(str(ROOT / "pykeepalived" / (name.replace(".", "/") + ".py")) for name in modules)
    visited = [lines_of(life, files) for life in lives[: chosen.traced]]
    score, chance = Score(), random.Random(chosen.seed)
    for module in modules:
        all_of_it = list(mutants(module))
        some = all_of_it if chosen.sample is None else chance.sample(all_of_it, min(chosen.sample, len(all_of_it)))
        path = str(ROOT / "pykeepalived" / (module.replace(".", "/") + ".py"))
        for mutant in sorted(some, key=lambda item: item.line):
            reaching = [life for life, lines in zip(lives, visited, strict=False) if (path, mutant.line) in lines]
            where = f"{mutant.module}:{mutant.line} {mutant.function}"
            if not reaching:
                score.never_played += 1
                if chosen.all:
                    print(f"NEVER PLAYED {where}: {mutant.what}", flush=True)
                continue
            word = judge(mutant, [*reaching, *lives[chosen.traced :]], chosen.seconds)
            if word == "survived":
                score.survived += 1
                print(f"SURVIVED {where}: {mutant.what}  ({len(reaching)} seeds come there)", flush=True)
            else:
                score.found += 1
        print(
            f"{module}: {score.found} found, {score.survived} survived, {score.never_played} never played", flush=True
        )
    return score


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("--only", nargs="*", default=[], help="parts of module names")
    parser.add_argument("--sample", type=int, help="so many of each module, chosen by --seed")
    parser.add_argument("--seconds", type=float, default=6, help="CPU time for each")
    parser.add_argument("--traced", type=int, default=24, help="seeds whose lines are looked at")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="say also what is never played")
    chosen = parser.parse_args()
    for kind, names in KINDS.items():
        modules = [name for name in names if not chosen.only or any(part in name for part in chosen.only)]
        if modules:
            score = play(kind, modules, chosen)
            print(f"{kind}: {msgspec.structs.asdict(score)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
