"""What the process list calls us, asked of the tools that other people's scripts use."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pykeepalived.cli.names import program_of

ROOT = Path(__file__).parents[2]
COUNTER = itertools.count()


def start(
    directory: Path, *arguments: str, before: tuple[str, ...] = ()
) -> tuple[str, subprocess.Popen[str], list[int]]:
    """Start a script the way an installed command is; its name is one that nothing else on this machine has."""
    name = f"ka{os.getpid()}{next(COUNTER):02d}"
    script = directory / "keepalived"
    script.write_text(f"""#!{sys.executable}
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from pykeepalived.cli.names import adopt_name
adopt_name({name!r})
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
signal.pause()
""")
    script.chmod(0o755)
    started = subprocess.Popen([*before, str(script), *arguments], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    pids = [int(word) for word in started.stdout.readline().split()]
    started.stdout.close()
    return name, started, pids


def tool(*words: str) -> tuple[int, str]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout.strip()


@pytest.fixture
def processes(tmp_path):
    """Name, and pids of parent and forked child."""
    name, started, (parent, child) = start(tmp_path, "-n", "-f", "/etc/x y.conf", "")
    assert parent == started.pid
    yield name, parent, child
    for pid in (child, parent):
        os.kill(pid, signal.SIGKILL)
    started.wait()


def test_the_command_line_is_the_name_and_the_unchanged_arguments(processes):
    name, *pids = processes
    for pid in pids:
        assert Path(f"/proc/{pid}/cmdline").read_bytes() == name.encode() + b"\0-n\0-f\0/etc/x y.conf\0\0"
        assert Path(f"/proc/{pid}/comm").read_text() == name + "\n"


def test_the_tools_find_parent_and_child(processes):
    name, parent, child = processes
    assert sorted(map(int, tool("pidof", name)[1].split())) == [parent, child]
    assert tool("pgrep", "-o", name) == (0, str(parent))
    assert tool("pgrep", "-x", name) == (0, f"{parent}\n{child}")
    assert tool("killall", "-0", name)[0] == 0
    assert tool("ps", "-C", name, "-o", "pid=")[1].split() == [str(parent), str(child)]
    assert tool("ps", "-o", "args=", "-p", str(parent))[1] == f"{name} -n -f /etc/x y.conf"
    assert tool("pgrep", "-f", f"^{name} -n -f")[1].split() == [str(parent), str(child)]


def test_killall_reaches_them(tmp_path):
    name, started, _pids = start(tmp_path)
    assert tool("killall", "-9", name)[0] == 0
    assert started.wait(60) == -9


@pytest.mark.parametrize("refuse", ["nothing", "capability"])
def test_with_and_without_the_capability_the_tools_find_it(tmp_path, refuse):
    before: tuple[str, ...] = ()
    if refuse == "capability":
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            pytest.skip("needs root and setpriv to give the capability up")
        before = ("setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource")
    name, started, pids = start(tmp_path, "-n", before=before)
    text = Path(f"/proc/{pids[0]}/cmdline").read_bytes()
    assert text.startswith(name.encode() + b"\0-n\0")
    assert text.rstrip(b"\0") == name.encode() + b"\0-n"
    assert sorted(map(int, tool("pidof", name)[1].split())) == sorted(pids)
    assert tool("ps", "-o", "args=", "-p", str(pids[0]))[1].rstrip() == f"{name} -n"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    started.wait()


@pytest.mark.parametrize(
    ("path", "program"),
    [
        ("/usr/sbin/keepalived", "keepalived"),
        ("pykeepalived", "keepalived"),
        ("./ldirectord", "ldirectord"),
        ("/opt/x/genhash", "genhash"),
        ("/x/other", None),
    ],
)
def test_program_of(path, program):
    assert program_of(path) == program


def test_time_of_small_questions():
    """-v and --signum must not load the daemon: scripts ask them often."""
    for words in (["-v"], ["--signum=RELOAD"]):
        code = f"import sys; sys.argv[1:]={words!r}; from pykeepalived.cli.keepalived import run; run(sys.argv[1:])"
        code += "; print(sorted({'scapy', 'pyroute2', 'pyparsing', 'asyncio'} & set(sys.modules)))"
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
        assert time.monotonic() - began < 30
