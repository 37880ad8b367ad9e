"""How long a configuration takes from file to checked model, beside the original's `keepalived -t` in the same run.

    python benchmarks/config_load.py [--runs N] [--check]

Writes configurations of 1,000, 10,000 and 37,205 real servers (the last has 2,326 virtual servers and 276,720 lines),
measures each N times in fresh processes, by turns with the peer, and prints medians. `--check` exits 1 when a bound is
not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common import Row, finish, options_of

SIZES = (1_000, 10_000, 37_205)
PER_SERVICE = 16
LARGEST = SIZES[-1]
#: Bounds: seconds and MB.
COLD_S, SMALL_PROCESS_S, AGAIN_S, MEMORY_MB, GROWTH = 1.5, 0.2, 0.12, 200.0, 11.0
_TIMEOUT_S = 120
_HEAD = "global_defs {\n    dynamic_interfaces\n}\n"
_SERVICE = """virtual_server 10.{a}.{b}.1 80 {{
    delay_loop 6
    lb_algo wlc
    lb_kind NAT
    protocol TCP
    quorum 1
{servers}}}
"""
_SERVER = """    real_server 10.{a}.{b}.{c} 80 {{
        weight 1
        TCP_CHECK {{
            connect_timeout 3
            retry 2
        }}
    }}
"""

#: Runs in a process of its own: loads, changes one line, loads again; says seconds and MB.
_INSIDE = """
import json, resource, sys, time
from pathlib import Path
from pykeepalived.dialects.keepalived import load

path = Path(sys.argv[1])
text = path.read_text()
times = []
configs = []
for _ in range(2):
    start = time.perf_counter()
    result = load(str(path))
    times.append(time.perf_counter() - start)
    if len(times) == 1:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    assert not result.findings.items, result.findings.items[:3]
    configs.append(sum(len(server.real_servers) for server in result.config.virtual_servers))
    middle = text.index("weight 1", len(text) // 2)
    path.write_text(text[:middle] + "weight 7" + text[middle + 8 :])
    del result
path.write_text(text)
print(json.dumps({"cold": times[0], "again": times[1], "peak": peak, "servers": configs}))
"""


def configuration(servers: int) -> str:
    """A keepalived.conf with that many real servers, seven lines each, and seven for every 16 of them."""
    parts = [_HEAD]
    for service, first in enumerate(range(0, servers, PER_SERVICE)):
        lines = [
            _SERVER.format(a=128 + (number >> 16), b=number >> 8 & 255, c=number & 255)
            for number in range(first, min(first + PER_SERVICE, servers))
        ]
        parts.append(_SERVICE.format(a=service >> 8, b=service & 255, servers="".join(lines)))
    return "".join(parts)


def _process(*words: str) -> tuple[float, str, int]:
    start = time.perf_counter()
    run = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    return time.perf_counter() - start, run.stdout + run.stderr, run.returncode


def _timed(*words: str) -> float:
    seconds, output, code = _process(*words)
    if code:
        raise SystemExit(f"{' '.join(words)} exits {code}:\n{output[:2000]}")
    return seconds


def _inside(path: Path) -> dict[str, float]:
    _, output, code = _process(sys.executable, "-c", _INSIDE, str(path))
    if code:
        raise SystemExit(output)
    answer: dict[str, float] = json.loads(output)
    return answer


def measure(path: Path, runs: int) -> dict[str, list[float]]:
    """All figures of one file."""
    ours, peer = Path(sys.executable).with_name("pykeepalived"), shutil.which("keepalived")
    _timed(str(ours), "-t", "-f", str(path))
    found: dict[str, list[float]] = {"process": [], "cold": [], "again": [], "peak": [], "peer": []}
    for _ in range(runs):
        found["process"].append(_timed(str(ours), "-t", "-f", str(path)))
        if peer is not None:
            found["peer"].append(_timed(peer, "-t", "-f", str(path)))
        for name, value in _inside(path).items():
            if name in found:
                found[name].append(value)
    return found


def _bounds(found: dict[int, dict[str, list[float]]]) -> list[tuple[str, float, float]]:
    middle = {size: {name: statistics.median(values or [0]) for name, values in one.items()}
              for size, one in found.items()}  # fmt: skip
    large = middle[LARGEST]
    return [
        (f"{LARGEST:,} real servers, load, s", large["cold"], COLD_S),
        (f"{LARGEST:,} real servers, peak memory, MB", large["peak"], MEMORY_MB),
        (f"{LARGEST:,} real servers, load after a change of one line, s", large["again"], AGAIN_S),
        ("1,000 real servers, whole process, s", middle[1_000]["process"], SMALL_PROCESS_S),
        ("time for 10 times the servers, ratio", middle[10_000]["cold"] / middle[1_000]["cold"], GROWTH),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    options = options_of(parser)
    found: dict[int, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        # As an installed program: its bytecode lies there already.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(directory, "bytecode"))
        print(f"{'real servers':>12} {'lines':>8} {'-t, s':>8} {'load, s':>8} {'again, s':>8} {'peak, MB':>9}"
              f" {'keepalived -t, s':>17} {'ratio':>6}")  # fmt: skip
        for size in SIZES:
            path = Path(directory, f"{size}.conf")
            text = configuration(size)
            path.write_text(text, encoding="ascii")
            path.chmod(0o644)
            found[size] = measure(path, options.runs)
            one = {name: statistics.median(values) for name, values in found[size].items() if values}
            peer = (
                f"{one['peer']:17.3f} {one['process'] / one['peer']:6.1f}" if "peer" in one else f"{'-':>17} {'-':>6}"
            )
            print(f"{size:12,} {text.count(chr(10)):8,} {one['process']:8.3f} {one['cold']:8.3f} {one['again']:8.3f}"
                  f" {one['peak']:9.1f} {peer}", flush=True)  # fmt: skip
    print()
    for name, value, bound in _bounds(found):
        print(f"{'ok  ' if value <= bound else 'OVER'} {name}: {value:.3f} (at most {bound:g})")
    load = os.getloadavg()[0]
    print(f"\n{os.cpu_count()} CPUs, load average {load:.1f}, Python {sys.version.split()[0]}, "
          f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime:.1f} s of CPU time in all")  # fmt: skip
    return finish([*_rows(found)], options)


def _rows(found: dict[int, dict[str, list[float]]]) -> Iterator[Row]:
    group = "load"
    for size, one in found.items():
        title, largest = f"{size:,} servers", size == LARGEST
        yield Row(group=group, what=f"-t with {title}", unit="s", ours=one["process"], theirs=one["peer"],
                  peer="keepalived -t", most=SMALL_PROCESS_S if size == SIZES[0] else None, size=size,
                  curve="-t")  # fmt: skip
        yield Row(group=group, what=f"file to model, {title}", unit="s", ours=one["cold"],
                  most=COLD_S if largest else None, size=size, curve="file to model")  # fmt: skip
        yield Row(group=group, what=f"again after one line changed, {title}", unit="s", ours=one["again"],
                  most=AGAIN_S if largest else None, size=size, curve="again")  # fmt: skip
        yield Row(group=group, what=f"peak memory, {title}", unit="MB", ours=one["peak"],
                  most=MEMORY_MB if largest else None, size=size, curve="peak memory")  # fmt: skip
    growth = [after / before for before, after in zip(found[SIZES[0]]["cold"], found[SIZES[1]]["cold"], strict=True)]
    yield Row(group=group, what="time for 10 times the servers", unit="times", ours=growth, most=GROWTH)
    peak = {size: statistics.median(one["peak"]) for size, one in found.items()}
    slope = (peak[LARGEST] - peak[SIZES[0]]) * 1000 / (LARGEST - SIZES[0])
    yield Row(group=group, what="memory of a server in the model", unit="kB", ours=[slope])


if __name__ == "__main__":
    sys.exit(main())
