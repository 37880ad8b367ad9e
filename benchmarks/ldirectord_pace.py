"""Do a thousand real servers with a 1 s interval get their checks in time, silent ones among them?

    python benchmarks/ldirectord_pace.py [--servers N] [--silent N] [--seconds S] [--check]

Takes S + 5 seconds (25 by default) and ends by itself. Everything happens on loopback addresses of this machine; the
table is one in memory. A server's gap between two checks, less the interval, is how late the second one starts; it is
taken where it matters, at the server. Prints one line of JSON; with --check the exit code is 1 when fewer than 99 % of
the checks start at most 100 ms late, or when a silent server delays the others.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from common import Row, finish, options_of

from pykeepalived.dataplane.memory import MemoryDataplane
from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.dialects.ldirectord.voice import LdirectordVoice
from pykeepalived.processes.runner import Runner
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.checker_process import CheckerProgram
from pykeepalived.runtime.program import Context, Options

LATE_S = 0.1
INTERVAL_S = 1.0


def addresses(first: int, count: int) -> list[str]:
    return [f"127.{first}.{number // 250}.{number % 250 + 1}" for number in range(count)]


def text_of(servers: list[str], silent: list[str], port: int, silent_port: int) -> str:
    """Twenty real servers a section; the silent ones stand among the others."""
    lines = ["checkinterval=1", "checktimeout=5", "negotiatetimeout=5", 'logfile="/tmp/unused"']
    rest = list(silent)
    for number in range(0, len(servers), 20):
        lines.append(f"virtual=10.9.{number // 5000}.{number // 20 % 250 + 1}:80")
        lines += [f"    real={address}:{port} masq" for address in servers[number : number + 20]]
        if rest:
            lines.append(f"    real={rest.pop()}:{silent_port} masq")
        lines += ["    service=smtp", ""]
    return "\n".join(lines) + "\n"


def direct(text: str) -> None:
    """The director's process: checks until it is killed."""
    result = load_text(text, "pace.cf")
    assert result.ok, result.findings.items
    reactor = Reactor()
    quiet: Any = SimpleNamespace(info=lambda text: None, detail=lambda text: None, error=print)
    runner = Runner(reactor, print)
    context = Context(
        reactor=reactor, log=quiet, scripts=runner, options=Options(), finished=lambda code: None,
        emit=lambda name, body: None,
    )  # fmt: skip
    CheckerProgram(context, voice=LdirectordVoice(), dataplane=MemoryDataplane()).start(result.config)
    reactor.run()


def serve(listener: socket.socket, silent: socket.socket, seconds: float) -> dict[str, list[float]]:
    """Answer everybody like a mail server; instants of connections by the address that was asked."""
    asked: dict[str, list[float]] = defaultdict(list)
    poll = select.epoll()
    for sock in (listener, silent):
        poll.register(sock, select.EPOLLIN)
    open_: dict[int, socket.socket] = {}
    kept: list[socket.socket] = []
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        for number, _ in poll.poll(end - now, 512):
            if number == silent.fileno():
                kept.append(silent.accept()[0])
            elif number == listener.fileno():
                for _ in range(64):
                    try:
                        connection, _peer = listener.accept()
                    except BlockingIOError:
                        break
                    asked[connection.getsockname()[0]].append(time.monotonic())
                    connection.setblocking(False)
                    connection.send(b"220 pace\r\n")
                    poll.register(connection, select.EPOLLIN)
                    open_[connection.fileno()] = connection
            else:
                connection = open_[number]
                try:
                    data = connection.recv(4096)
                    if data.startswith(b"EHLO"):
                        connection.send(b"250 pace\r\n")
                        continue
                except OSError:
                    pass
                poll.unregister(number)
                del open_[number]
                connection.close()
    return asked


def measure(servers: int, silent: int, seconds: float) -> dict[str, Any]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    listener = socket.create_server(("0.0.0.0", 0), backlog=4096)
    mute = socket.create_server(("0.0.0.0", 0), backlog=4096)
    listener.setblocking(False)
    text = text_of(addresses(1, servers), addresses(2, silent), listener.getsockname()[1], mute.getsockname()[1])
    director = os.fork()
    if director == 0:
        direct(text)
        os._exit(0)
    try:
        asked = serve(listener, mute, seconds)
    finally:
        os.kill(director, signal.SIGKILL)
        used = os.wait4(director, 0)[2]
    late = sorted(
        max(0.0, after - before - INTERVAL_S)
        for instants in asked.values()
        for before, after in itertools.pairwise(instants)
    )
    return {
        "servers": servers,
        "silent": silent,
        "asked": len(asked),
        "checks": len(late),
        "expected": int(servers * (seconds - 2)),
        "late_median_ms": round(1000 * late[len(late) // 2], 1) if late else None,
        "late_99_ms": round(1000 * late[int(len(late) * 0.99)], 1) if late else None,
        "late_worst_ms": round(1000 * late[-1], 1) if late else None,
        "cpu_us_per_check": round((used.ru_utime + used.ru_stime) * 1e6 / (len(late) + servers)),
        "in_time": round(sum(each <= LATE_S for each in late) / len(late), 5) if late else 0.0,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--servers", type=int, default=1000)
    parser.add_argument("--silent", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20)
    words = options_of(parser)
    sys.stderr.write(f"takes about {words.seconds + 5:.0f} s\n")
    figures = measure(words.servers, words.silent, words.seconds)
    sys.stdout.write(json.dumps(figures) + "\n")
    whole = figures["asked"] == words.servers and figures["checks"] >= figures["expected"]
    return finish(
        [
            Row(group="pace", what="1,000 servers of an ldirectord.cf every second: at most 100 ms late", unit="%",
                ours=[100 * figures["in_time"]] if whole else [], least=99),
            Row(group="pace", what="CPU for a check of a mail server", unit="µs", ours=[figures["cpu_us_per_check"]]),
        ],
        words,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
