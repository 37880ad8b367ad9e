"""`keepalivedctl ipvs` prints and does what ipvsadm prints and does, byte for byte. Runs inside the test kernel."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from pykeepalived.cli.ctl.ipvs import command
from pykeepalived.tools.lab import Lab, Namespace

OURS = (sys.executable, "-m", "pykeepalived.cli.keepalivedctl", "ipvs")
RULES = """\
-A -t 10.0.0.5:80 -s wlc -p 50
-a -t 10.0.0.5:80 -r 192.168.0.12:80 -m -w 20 -x 100 -y 50
-a -t 10.0.0.5:80 -r 127.0.0.1:8080 -m -w 65535
-A -t 10.0.0.4:443 -s sh -b sh-port,sh-fallback -p 77
-a -t 10.0.0.4:443 -r 192.168.0.12:443 -g -w 0
-A -t 10.0.0.4:444 -s mh -b mh-port
-A -t 10.0.0.4:445 -s rr -b flag-1,flag-3
-A -u 10.0.0.3:53 -s rr -o
-a -u 10.0.0.3:53 -r 192.168.0.13:53 -i -w 1
-a -u 10.0.0.3:53 -r 192.168.0.14:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -u 10.0.0.3:53 -r 192.168.0.15 -i -w 1 --tun-type gre
-a -u 10.0.0.3:53 -r 192.168.0.16:53 -i -w 1 --tun-type gue --tun-port 6081 --tun-remcsum
-a -u 10.0.0.3:53 -r 192.168.0.17:53 -i --tun-type gue --tun-port 6081
-A -u 10.0.0.3:5060 -s rr -p 60 -M 255.255.255.0 --pe sip -o
-A -u 10.0.0.3:5061 -s sh -b sh-port -p 60 -M 255.255.255.0 --pe sip -o
-A -f 5 -s wrr -p
-a -f 5 -r 192.168.0.12:0 -g -w 7
-A -f 6 -6 -s lc -p 10 -M 64
-a -f 6 -6 -r [2001:db8::12]:80 -g -w 7
-A -t [2001:db8::5]:80 -s wlc -p 20 -M 96
-a -t [2001:db8::5]:80 -r [2001:db8:1111:2222:3333:4444:5555:6666]:8080 -m -w 7
-a -t [2001:db8::5]:80 -r 192.168.0.12:80 -i -w 3
-A --sctp-service 10.0.0.5:99
-a --sctp-service 10.0.0.5:99 -r 192.168.0.12:99 -m
"""
LISTINGS = (
    "-Ln", "-Ln --stats", "-Ln --rate -u 10.0.0.3:53",
    "-Ln --exact --stats", "-Ln --thresholds", "-Ln --persistent-conn",
    "-Ln --tun-info", "-Ln --nosort", "-Ln --sort", "-Sn", "-Ln --timeout", "-Lnc",
    "-L -n -t 10.0.0.5:80",
    "-Ln -f 6 -6", "--list --numeric --udp-service 10.0.0.3:53",
)  # fmt: skip


def run(space: Namespace, *argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(space.command(argv), input=text, capture_output=True, text=True, timeout=60, check=False)


def ours_here(space: Namespace, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Our command within this process, in a namespace: a Python that starts costs a second here."""
    with space.inside():
        done = CliRunner().invoke(command, words, input=text)
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def spaces() -> Iterator[tuple[Namespace, Namespace]]:
    """Theirs and ours, each filled by its own program."""
    with Lab("lvs-ipvsadm") as lab:
        theirs, ours = lab.namespace("theirs"), lab.namespace("ours")
        assert run(theirs, "ipvsadm", "-R", text=RULES).returncode == 0
        done = run(ours, *OURS, "-R", text=RULES)
        assert done.returncode == 0, done.stderr
        theirs.address("lo", "10.0.0.5/32")
        with theirs.inside():
            server = socket.create_server(("127.0.0.1", 8080))
            clients = [socket.create_connection(("10.0.0.5", 80)) for _ in range(3)]
        for client in clients:
            client.sendall(b"x" * 2000)
        yield theirs, ours
        for client in (*clients, server):
            client.close()


@pytest.mark.parametrize("listing", LISTINGS)
def test_the_same_bytes(spaces: tuple[Namespace, Namespace], listing: str) -> None:
    """Both programs show one and the same kernel, with connections in it."""
    theirs = spaces[0]
    for _ in range(5):
        # A second may pass between two looks at connections and rates.
        wanted = run(theirs, "ipvsadm", *listing.split()).stdout
        shown = ours_here(theirs, *listing.split())
        if _without_times(shown.stdout) == _without_times(wanted):
            break
    assert _without_times(shown.stdout) == _without_times(wanted)
    assert wanted
    assert shown.returncode == 0


def test_the_same_connections() -> None:
    """IPv6, persistence templates and what the engine sip remembers."""
    with Lab("lvs-connections") as lab:
        space = lab.namespace("a")
        space.address("lo", "10.0.0.5/32", "2001:db8::5/128", "2001:db8:1111:2222:3333:4444:5555:6666/128")
        rules = """\
-A -u 10.0.0.5:5060 -s rr -p 60 -M 255.255.255.0 --pe sip
-a -u 10.0.0.5:5060 -r 127.0.0.1:5070 -m
-a -u 10.0.0.5:5060 -r 127.100.100.100:15070 -m
-A -t [2001:db8::5]:80 -s rr -p 50
-a -t [2001:db8::5]:80 -r [2001:db8:1111:2222:3333:4444:5555:6666]:8080 -m
"""
        assert ours_here(space, "-R", text=rules).returncode == 0
        with space.inside():
            # A call of its own needs a flow of its own.
            callers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
            server = socket.create_server(("::", 8080), family=socket.AF_INET6)
            client = socket.create_connection(("2001:db8::5", 80))
        with callers[0], callers[1], server, client:
            calls = (b"one@host", b"two-0123456789-0123456789@host.example")
            for caller, call in zip(callers, calls, strict=True):
                caller.sendto(b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nCall-ID: " + call + b"\r\n\r\n",
                              ("10.0.0.5", 5060))  # fmt: skip
            for words in (["-Lnc"], ["-Lnc", "--persistent-conn"]):
                wanted = run(space, "ipvsadm", *words).stdout
                assert _without_times(ours_here(space, *words).stdout) == _without_times(wanted)
            # /proc is that of the process: the program as a whole sees the same.
            assert _without_times(run(space, *OURS, "-Lnc", "--persistent-conn").stdout) == _without_times(wanted)
        assert wanted.count("ESTABLISHED") == 1
        assert "sip                two-0123456789-0123456789@host.example" in wanted


def test_the_same_sync_daemons() -> None:
    """In a place of their own: beside a sync daemon the kernel takes no destination of another family."""
    with Lab("lvs-daemons") as lab:
        space, far = lab.namespace("a"), lab.namespace("far")
        lab.link(space, "eth0", far, "eth0")
        space.address("eth0", "10.9.0.1/24")
        more = ("--sync-maxlen", "1400", "--mcast-group", "224.0.0.99", "--mcast-port", "9999", "--mcast-ttl", "3")
        for given in (("--syncid", "9"), ("--syncid", "7", *more), ()):
            seen = []
            for who in (run_theirs, ours_here):
                for role in ("master", "backup"):
                    done = who(space, "--start-daemon", role, "--mcast-interface", "eth0", *given)
                    assert done.returncode == 0, done.stderr
                seen.append([look(space, "-Ln", "--daemon").stdout for look in (run_theirs, ours_here)])
                for role in ("master", "backup"):
                    assert who(space, "--stop-daemon", role).returncode == 0
            assert seen[0][0].count("\n") == 2
            assert len({text for pair in seen for text in pair}) == 1, seen
        assert run_theirs(space, "-Ln", "--daemon").stdout == ""


#: What guides to LVS tell their readers to type, in their spelling.
GUIDES = (
    "-A -t 192.168.1.10:80 -s rr", "-a -t 192.168.1.10:80 -r 10.0.0.11 -m", "-a -t 192.168.1.10:80 -r 10.0.0.12 -m",
    "-A -t 192.168.1.10:5001 -s wrr", "-a -t 192.168.1.10:5001 -r 10.0.0.13:5001 -g -w 1",
    "-a -t 192.168.1.10:5001 -r 10.0.0.14:5001 -g -w 1", "-A -u 192.168.1.10:5001 -s wrr",
    "-l -n", "-l -n --stats", "-ln", "-Ln", "-L -c -n", "-L -n --stats", "-S -n", "--save -n", "-C", "--restore",
    "--start-daemon=master --mcast-interface=eth0", "--start-daemon=backup --mcast-interface=eth0", "-L --daemon -n",
    "--stop-daemon backup", "--stop-daemon master", "--clear", "",
)  # fmt: skip


def test_what_guides_say() -> None:
    """Each command does with both programs the same, and shows the same."""
    with Lab("lvs-guides") as lab:
        theirs, ours, far = (lab.namespace(name) for name in ("theirs", "ours", "far"))
        for space in (theirs, ours):
            lab.link(space, "eth0", far, space.name.split("-")[-1])
            space.address("eth0", "10.9.0.1/24")
        saved = ""
        for words in GUIDES:
            text = saved if words == "--restore" else ""
            wanted = run(theirs, "ipvsadm", *words.split(), text=text)
            shown = ours_here(ours, *words.split(), text=text)
            assert (shown.returncode, shown.stdout) == (wanted.returncode, wanted.stdout), (words, shown.stderr)
            assert wanted.returncode == 0, (words, wanted.stderr)
            assert run_theirs(ours, "-Sn").stdout == run_theirs(theirs, "-Sn").stdout, words
            saved = wanted.stdout if words == "-S -n" else saved
        assert saved.count("\n") == 7


def run_theirs(space: Namespace, *words: str) -> subprocess.CompletedProcess[str]:
    return run(space, "ipvsadm", *words)


def _without_times(text: str) -> str:
    """The seconds that a connection has left go down while one looks."""
    return re.sub(r"^([A-Z]+ +)\d\d:\d\d ", r"\1MM:SS ", text, flags=re.M)


def test_what_we_restore_is_what_they_restore(spaces: tuple[Namespace, Namespace]) -> None:
    theirs, ours = (run(space, "ipvsadm", "-Ln", "--thresholds", "--sort").stdout for space in spaces)
    assert _without_counts(ours) == _without_counts(theirs)
    saved = [run(space, "ipvsadm", "-Sn").stdout for space in spaces]
    assert saved[0] == saved[1]


def _without_counts(text: str) -> list[list[str]]:
    return [line.split()[:4] for line in text.splitlines()]


@pytest.mark.parametrize(
    "words",
    [
        "-E -t 10.0.0.5:80 -s rr",
        "-E -t 10.0.0.4:444 -s mh -b mh-fallback -p 30 -M 255.255.0.0",
        "-e -t 10.0.0.5:80 -r 192.168.0.12:80 -m -w 3",
        "-e -u 10.0.0.3:53 -r 192.168.0.13:53 -g -w 9",
        "-d -t 10.0.0.5:80 -r 192.168.0.12:80",
        "-a -t 10.0.0.5:80 -r 192.168.0.33:80 -m",
        "-D -t 10.0.0.4:443",
        "-Z",
        "-Z -t 10.0.0.5:80",
        "--set 100 50 20",
        "-C",
    ],
)
def test_the_same_changes(spaces: tuple[Namespace, Namespace], words: str) -> None:
    theirs, ours = spaces
    assert run(theirs, "ipvsadm", *words.split()).returncode == 0
    done = ours_here(ours, *words.split())
    assert done.returncode == 0, done.stderr
    for listing in (["-Sn"], ["-L", "--timeout"]):
        assert run(ours, "ipvsadm", *listing).stdout == run(theirs, "ipvsadm", *listing).stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("-D -t 10.9.9.9:80", 1),
        ("-a -t 10.9.9.9:80 -r 10.1.1.1:80", 1),
        ("-A -t somewhere:80", 2),
        ("-A -t 10.0.0.1:80 -s nosuch", 1),
        ("-A -D -t 10.0.0.1:80", 2),
        ("--nonsense", 2),
        ("-a -t 10.0.0.1:80", 2),
        ("--start-daemon nobody", 2),
        ("--start-daemon master --syncid 300", 2),
        ("--start-daemon master --mcast-group 10.0.0.1", 2),
        ("--start-daemon master", 1),
        ("--stop-daemon master", 1),
    ],
)
def test_refusals_say_why(spaces: tuple[Namespace, Namespace], words: str, code: int) -> None:
    done = ours_here(spaces[1], *words.split())
    assert done.returncode == code
    assert done.stderr.startswith("keepalivedctl ipvs: ")
    assert "Traceback" not in done.stderr
