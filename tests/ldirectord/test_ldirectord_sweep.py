"""Many small files through Debian's ldirectord and ours: the same table, the same answers, the same words (`sweep.py`).

Each file is about one corner of the language, each script about one corner of the actions. What differs on purpose
stands in docs/compatibility.md and is named here.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ldirectord.room import Room

pytestmark = [pytest.mark.netns, pytest.mark.peer, pytest.mark.long]

HERE = Path(__file__).parent
GLOBALS = "checktimeout=3\nnegotiatetimeout=3\ncheckinterval=1\n"
WEB = [f"10.77.1.{number} 80 test page" for number in (1, 2, 3, 4)]
SIX = ["fd77::11 80", "fd77::12 80"]
UP, DOWN = ["call", "{X}", "start"], ["call", "{X}", "stop"]
ASKED = ["call", "{X}", "status"]


def life(*dying: str) -> list[list[Any]]:
    """A start, servers that die and return, a stop."""
    dying = dying or ("10.77.1.1 80",)
    dead, back = ["tell", *(f"down {each}" for each in dying)], ["tell", *(f"up {each} test page" for each in dying)]
    rests = [["rest", name] for name in ("start", "dead", "back", "stopped")]
    return [UP, rests[0], dead, rests[1], back, rests[2], ASKED, DOWN, ["sleep", 1], rests[3], ASKED]


def pool(port: int, *lines: str, virtual: str = "10.77.0.1") -> str:
    return f"virtual={virtual}:{port}\n" + "".join(f"    {line}\n" for line in lines)


SCHEDULERS = {
    "rr": "", "wrr": "persistent=600", "lc": "persistent=60 netmask=255.255.0.0", "wlc": "netmask=255.255.255.0",
    "lblc": "", "lblcr": "", "dh": "", "sh": "schedflags=sh-fallback", "sed": "", "nq": "persistent=10",
}  # fmt: skip
HEARD = '#!/bin/sh\necho "$0|$1|$2|$3|$4" >> {top}/heard\ntest -e {top}/good\n'
PERL = "open(my $f, '>>', '{top}/heard'); print $f join('|', @_), \"\\n\"; close $f; exit(-e '{top}/good' ? 0 : 3);\n"
SIMPLE = GLOBALS + pool(80, "real=10.77.1.1:80 masq 3", "checktype=connect")
OTHER = SIMPLE.replace("10.77.0.1", "10.77.0.2")
STRICT = "# pyldirectord: compat=strict\n"
BROKEN = SIMPLE + "nonsense\n"

#: Name: the file, what else lies beside it, what is done.
FILES: dict[str, tuple[str, dict[str, str], list[list[Any]]]] = {
    "range": (GLOBALS + pool(80, "real=10.77.1.1->10.77.1.4:80 masq 7", "service=http", 'request="/x"',
                             'receive="test page"').replace("    ", "\t"), {}, life()),
    "own requests": (GLOBALS + pool(
        80, 'real=10.77.1.1:80 masq 7 "a b 9", "test page" l:2 u:5', 'real=10.77.1.3:80 masq 2 "x" "nothing"',
        'real=10.77.1.4:80 masq "y","page$" u:7', "checktype=negotiate"), {}, life()),
    "marks": (GLOBALS + "quiescent=yes\nvirtual=5\n    real=10.77.1.1:80 gate 2\n    real=10.77.1.2 ipip 3\n"
              "    protocol=fwm\n    checktype=connect\n    checkport=80\n    scheduler=wlc\nvirtual=6\n"
              "    real=10.77.1.3 masq\n    fallback=127.0.0.1 gate\n    service=http\n    receive=\"page\"\n",
              {}, life("10.77.1.1 80", "10.77.1.3 80")),
    "six": (GLOBALS + "fallback6=[::1]:80 masq\nvirtual6=[fd77::1]:80\n    real6=[fd77::11]:80 masq 4\n"
            "    real6=[fd77::12]:80 masq\n    checktype=connect\n    persistent=30\n    netmask=64\nvirtual6=9\n"
            "    real6=[fd77::11]:80 gate\n    checktype=connect\n    checkport=80\n    fallback6=[fd77::12]:80 masq\n",
            {}, life("fd77::11 80")),
    "fallbacks": (GLOBALS + "fallback=127.0.0.1 masq\n" + pool(80, "real=10.77.1.1:80 masq", "checktype=connect")
                  + pool(81, "real=10.77.1.2:80 masq", "fallback=10.77.1.5:8080 ipip", "checktype=connect")
                  + pool(82, "real=10.77.1.3:80 masq", "fallback=10.77.1.5", "checktype=connect")
                  + pool(83, "real=10.77.1.4:80 masq", "fallback=10.77.1.5:http", "checktype=connect", "quiescent=yes"),
                  {}, life(*(f"10.77.1.{number} 80" for number in (1, 2, 3, 4)))),
    "fallback commands": (GLOBALS + "fallbackcommand={top}/heard.sh global\n"
                          + pool(80, "real=10.77.1.1:80 masq", "checktype=connect")
                          + "virtual=7\n    checktype=connect\n"
                          "    real=10.77.1.2:80 masq\n    fallbackcommand=\"{top}/heard.sh 'two words'\"\n",
                          {"heard.sh": HEARD}, [*life("10.77.1.1 80", "10.77.1.2 80"), ["sh", "sort -u heard"]]),
    "quiescent": (GLOBALS + "quiescent = yes\n" + pool(
        80, "real = 10.77.1.1:80 masq 3", "real=10.77.1.2:80 masq 5 l:1 u:3", "checktype = connect", "quiescent = no")
                  + pool(81, "real=10.77.1.3:80 masq 3 u:9", "real=10.77.1.4:80 masq", "checktype=connect",
                         "fallback=127.0.0.1:81"), {}, life("10.77.1.1 80", "10.77.1.4 80")),
    "schedulers": (GLOBALS + "".join(
        pool(80 + number, f"real=10.77.1.{number}:80 masq", "checktype=on", f"scheduler={name}", *more.split())
        for number, (name, more) in enumerate(SCHEDULERS.items())), {},
        [UP, ["rest", "start"], DOWN, ["rest", "stopped"]]),
    "maintenance": (GLOBALS + "maintenancedir={top}/off\n" + pool(
        80, *(f"real=10.77.1.{number}:80 masq 3" for number in (1, 2, 3)), "checktype=connect", "failurecount=5")
        + pool(81, "real=10.77.1.4:80 masq 3", "checktype=external", "checkcommand=/bin/true", "quiescent=yes")
        + "virtual6=[fd77::1]:80\n    real6=[fd77::11]:80 masq\n    checktype=on\n", {"off/readme": ""},
        [UP, ["rest", "start"], ["sh", "touch off/10.77.1.1"], ["rest", "address"],
         ["sh", "mv off/10.77.1.1 off/10.77.1.2:80"], ["rest", "port"],
         ["sh", "rm off/10*; touch 'off/[fd77::11]' off/10.77.1.4"], ["rest", "six"],
         ["sh", "rm off/*; touch off/10.77.1.3:81"], ["rest", "none"], DOWN, ["rest", "stopped"]]),
    "external": (GLOBALS + pool(80, "real=10.77.1.1:80 masq 3", "checktype=external", 'checkcommand="{top}/heard.sh"')
                 + "virtual=8\n    real=10.77.1.1 gate\n    checktype=external\n    checkcommand={top}/heard.sh\n"
                 "    checkport=99\nvirtual6=[fd77::1]:80\n    real6=[fd77::11]:80 masq\n    checktype=external\n"
                 "    checkcommand={top}/heard.sh\n" + pool(82, "real=10.77.1.2:80 masq", "checktype=external"),
                 {"heard.sh": HEARD}, [UP, ["rest", "start"], ["sh", "touch good"], ["rest", "good"],
                                       ["sh", "sort -u heard"], DOWN, ["rest", "stopped"]]),
    "external-perl": (GLOBALS + pool(
        80, "real=10.77.1.1:80 masq 3", "checktype=external-perl", "checkcommand={top}/a.pl")
                      + "virtual=8\n    real=10.77.1.1 gate\n    checktype=external-perl\n    checkcommand={top}/a.pl\n"
                      + pool(81, "real=10.77.1.2:80 masq", "checktype=external-perl", 'checkcommand="{top}/broken.pl"')
                      + pool(82, "real=10.77.1.3:80 masq", "checktype=external-perl", "checkcommand={top}/no-exit.pl")
                      + pool(83, "real=10.77.1.4:80 masq", "checktype=external-perl", "checkcommand={top}/die.pl"),
                      {"a.pl": PERL, "broken.pl": "my $x = ;\n", "no-exit.pl": "my $x = 1;\n", "die.pl": "die 'x';\n"},
                      [UP, ["rest", "start"], ["sh", "touch good"], ["rest", "good"], ["sh", "sort -u heard"], DOWN,
                       ["rest", "stopped"]]),
    "comments and blanks": (
        "# first line\n\n   # indented comment\nchecktimeout=3   \ncheckinterval=1\n\nvirtual=10.77.0.1:80 # behind\n"
        "    # inside\n  # less\n# first column\n    real = 10.77.1.1:80   masq   4   # end\n"
        "\treal=10.77.1.2:80\tmasq\t2\n      checktype = connect   # c\n        scheduler=wlc#x\n\n#end\n"
        "quiescent=yes\n"
        "checktimeout=5 # x\n", {}, life()),
    "no last line end": (SIMPLE.rstrip("\n"), {}, life()),
    "DOS line ends": (SIMPLE.replace("\n", "\r\n"), {}, life()),
    "later lines win": ("checkinterval=9\n" + pool(80, "real=10.77.1.1:80 masq 3", "checktype=ping",
                        "checktype=connect foo", "scheduler=rr", "scheduler=wlc", "real=10.77.1.1:80 masq 3") + GLOBALS,
                        {}, life()),
    "a sample": (GLOBALS + 'quiescent=no\nlogfile="/var/log/ldirectord.log"\n' + pool(
        80, "real=10.77.1.1:http masq 3", "real=10.77.1.2:80 gate", "fallback=127.0.0.1:80 gate", "service=http",
        "scheduler=rr", "#persistent=600", "protocol=tcp", "checktype=negotiate", "checkport=80",
        'request="index.html"', 'receive="Test Page|test page"', "virtualhost=www.x.y.z"
        ).replace(":80\n", ":http\n", 1), {}, life()),
    "cleanstop": (GLOBALS + "cleanstop=no\n" + pool(80, "real=10.77.1.1:80 masq 3", "checktype=connect")
                  + pool(81, "real=10.77.1.2:80 masq 3", "checktype=connect", "cleanstop=yes"), {},
                  [UP, ["rest", "start"], DOWN, ["sleep", 1], ["rest", "stopped"], ["tell", "down 10.77.1.1 80"], UP,
                   ["rest", "start again"], DOWN]),
    "execute": (f"execute={{top}}/Y.cf\nexecute={{top}}/Z.cf\n{SIMPLE}", {
        "Y.cf": GLOBALS + pool(81, "real=10.77.1.1:80 masq", "checktype=on"),
        "Z.cf": GLOBALS + pool(81, "real=10.77.1.2:80 masq", "checktype=connect", virtual="10.77.0.2")},
        [UP, ["rest", "start"], ["sh", "sed -i /Z.cf/d X.cf"], ["call", "{X}", "reload"], ["rest", "reload"],
         ASKED, DOWN, ["rest", "stopped"], ASKED]),
    "counts": (GLOBALS + "failurecount=3\n" + pool(80, "real=10.77.1.1:80 masq 3", "checktype=connect")
               + pool(81, "real=10.77.1.2:80 masq 3", "checktype=connect", "failurecount=1"), {},
               life("10.77.1.1 80", "10.77.1.2 80")),
    "intervals": ("fork=yes\ncheckinterval=4\nchecktimeout=2\n" + pool(
        80, "real=10.77.1.1:80 masq 3", "checktype=external", "checkcommand={top}/often", "checkinterval=1")
        + pool(81, "real=10.77.1.2:80 masq 3", "checktype=external", "checkcommand={top}/seldom"),
        {"often": "#!/bin/sh\necho >> {top}/1\n", "seldom": "#!/bin/sh\necho >> {top}/2\n"},
        [UP, ["rest", "start"], ["sleep", 20],
         ["sh", "test $(wc -l < 1) -gt $((2 * $(wc -l < 2))) && echo more often"], DOWN, ["rest", "stopped"]]),
    **{f"readdquiescent {word}": (
        GLOBALS + f"readdquiescent={word}\nquiescent=yes\n" + pool(
            80, "real=10.77.1.1:80 masq 3", "real=10.77.1.2:80 masq 3", "checktype=connect"), {},
        [["tell", "down 10.77.1.1 80"], UP, ["rest", "start"], ["tell", "up 10.77.1.1 80"], ["rest", "up"],
         ["tell", "down 10.77.1.1 80"], ["rest", "down"], ["call", "{X}", "reload"], ["rest", "reload"], DOWN,
         ["rest", "stopped"]]) for word in ("yes", "no")},
}  # fmt: skip


def calls(*lines: str) -> list[list[Any]]:
    return [["call", *line.split()] for line in lines]


SCRIPTS: dict[str, tuple[str, dict[str, str], list[list[Any]]]] = {
    "nothing runs": (SIMPLE, {}, [*calls("{X} status", "{X} stop", "{X} reload", "{X} force-reload", "{X} try-restart",
                                         "{X} status extra words", "-- {X} status", "/no/such start", "/no/such stop"),
                                  ["rest", "nothing"]]),
    "two": (SIMPLE, {"Y.cf": OTHER}, [
        *calls("{X} start", "{top}/Y.cf start"), ["rest", "start"],
        *calls("{X} status", "{top}/Y.cf status", "{X} stop"), ["sleep", 3], ["rest", "one"],
        *calls("{X} status", "{top}/Y.cf status", "{top}/Y.cf reload"),
        ["rest", "reload"], *calls("{top}/Y.cf stop"), ["sleep", 3], ["rest", "stopped"]]),
    "again": (SIMPLE, {}, [
        UP, ["rest", "start"], *calls("{X} start", "{X} status", "{X} reload"), ["rest", "reload"],
        *calls("{X} try-restart"), ["sleep", 3], ["rest", "start again"], *calls("{X} restart"), ["sleep", 3],
        ["rest", "start once more"], *calls("{X} status", "{X} stop"), ["sleep", 3], *calls("{X} stop", "{X} status"),
        ["rest", "stopped"]]),
    "strict": (STRICT + SIMPLE, {"bad.cf": STRICT + BROKEN}, calls(
        *(f"{{top}}/bad.cf {action}" for action in ("start", "stop", "status", "reload", "restart", "try-restart")))),
    **{f"stale {what or 'empty'}": (SIMPLE, {}, [
        ["sh", f"echo {what} > /run/ldirectord.X.cf.pid"], *calls("{X} status", "{X} stop", "{X} reload", "{X} start"),
        ["rest", "start"], *calls("{X} status", "{X} stop"), ["sleep", 2], ["rest", "stopped"]])
        for what in ("99999", "1")},
}  # fmt: skip
CASES = FILES | SCRIPTS
#: Lines that one of the two has more, by their beginning.
MORE = ("LVS dataplane is", "Changed virtual server", "Configuration file", " - ", "Child not", "Spawned", "Killing",
        "Resetting soft failure", "system(")  # fmt: skip
#: At a start and a reload the original takes everything in and out again.
DETOUR = ("Added", "Deleted", "Quiescent", "Restored", "Readd Quiescent")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    top = tmp_path_factory.mktemp("sweep")
    program = top / "pyldirectord"
    root = HERE.parent.parent
    text = f"import sys\nsys.path.insert(0, {str(root)!r})\nfrom tests.ldirectord.memory_ldirectord import run\nrun()\n"
    program.write_text(f"#!{sys.executable}\n{text}")
    program.chmod(0o755)
    plan = [
        {"name": name, "files": {"X.cf": text} | files, "servers": WEB + SIX, "steps": steps}
        for name, (text, files, steps) in CASES.items()
    ]
    (top / "plan.json").write_text(json.dumps(plan))
    with Room() as room:
        room.give_ipvsadm()
        path = f"PATH={top}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        words = ("env", path, "LANG=C", sys.executable, str(HERE / "sweep.py"), str(top / "plan.json"))
        done = room.run(*words, timeout_s=3000)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def words_of(step: str, lines: list[str]) -> set[str]:
    more = (*MORE, *DETOUR) if "start" in step or "reload" in step else MORE
    return {line.rstrip() for line in lines if not line.startswith(more)}


def answer(seen: list[Any]) -> list[Any]:
    """Without Perl's remarks about itself, and without what either program thinks of the file."""
    code, output, errors = seen
    own = ("Use of uninitialized", "child: ", "Warning [", "Error [", "TOP/X.cf:", "TOP/bad.cf")
    return [
        code,
        *(
            "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith(own))
            for text in (output, errors)
        ),
    ]


@pytest.mark.parametrize("name", CASES)
def test_a_case(report: dict[str, Any], name: str) -> None:
    differences = []
    for step, sides in report[name]:
        ours, peer = sides["ours"], sides["peer"]
        if step.startswith("rest"):
            pairs = [(ours[key], peer[key]) for key in ("table", "processes")]
            pairs.append((words_of(step, ours["log"]), words_of(step, peer["log"])))
        elif ours is None:
            continue
        else:
            pairs = [(answer(ours), answer(peer))]
        differences += [(step, mine, theirs) for mine, theirs in pairs if mine != theirs]
    assert differences == []
    assert len(report[name]) >= 4
