"""Every service of Debian's ldirectord beside ours, with the real server of its kind: the same table, the same words.

Both are given the same file and the same fates: success, a wrong answer or a refused login, a connection that is
refused, a host that does not answer, a server that accepts and says nothing, one that resets, and each time the return
(`fates.py`). At every rest point the tables must be equal, and what log and monitorfile said on the way.
"""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.ldirectord.room import Room

HERE = Path(__file__).parent
FOUR, SIX = "10.88.0.9", "fd88::9"
GLOBALS = "checktimeout=8\nnegotiatetimeout=8\ncheckinterval=1\n"
MAILBOX = 'login="checker"\npasswd="secret"'
PAGE, PASSWORD = ("test page", "other page"), ('passwd="secret"', 'passwd="wrong"')
ALL_FATES = ("refused", "silent", "mute", "cut")


class Case(msgspec.Struct, frozen=True):
    """A section, and what in it is replaced so that the server's answer is wrong."""

    port: int
    words: str
    wrong: tuple[tuple[str, str], ...]
    fates: tuple[str, ...] = ALL_FATES
    six: bool = False

    def text(self) -> str:
        number = "6" if self.six else ""
        virtual, real = ("[fd77::1]", f"[{SIX}]") if self.six else ("10.77.0.1", FOUR)
        body = f"real{number}={real}:{self.port} masq 2\n{self.words}\nmonitorfile=/var/log/monitor"
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        return f"{GLOBALS}\nvirtual{number}={virtual}:{self.port}\n{lines}"

    def entry(self) -> str:
        kind = "-u" if "protocol=udp" in self.words else "-t"
        virtual, real = ("[fd77::1]", f"[{SIX}]") if self.six else ("10.77.0.1", FOUR)
        return f"-a {kind} {virtual}:{self.port} -r {real}:{self.port} -m -w 2"


SILENT = ("refused", "silent")
#: Databases and pop have no limit in ldirectord once they are connected: a server that says nothing stops its checks.
PATIENT = ("refused", "silent", "cut")
WEB = 'request="index.html"\nreceive="test page"'
LDAP = 'request="/dc=example"\nreceive="dc=example"'
ADMIN = 'request="/dc=example"\nlogin="cn=admin,dc=example"\npasswd="secret"'
CASES: dict[str, Case] = {
    "connect": Case(80, "checktype=connect", (), SILENT),
    "http": Case(80, WEB, (PAGE, ("index.html", "none.html"), ("index.html", "secret"))),
    "https": Case(443, WEB, (PAGE, ("index.html", "none.html"))),
    "http_proxy": Case(3128, f'request="http://{FOUR}/index.html"\nreceive="test page"', (PAGE,)),
    "ftp": Case(21, 'service=ftp\ncheckport=2122\nrequest="welcome.txt"\nreceive="Hello from"', (("Hello", "Goodbye"),
                ("welcome.txt", "none.txt"))),
    "smtp": Case(25, "checkport=25", (("checkport=25", "checkport=2525"),)),
    "submission": Case(587, "checkport=587", (("checkport=587", "checkport=2525"),)),
    "pop": Case(110, MAILBOX, (PASSWORD,), PATIENT),
    "pops": Case(995, MAILBOX, (PASSWORD,)),
    "imap": Case(143, MAILBOX, (PASSWORD,)),
    "imaps": Case(993, MAILBOX, (PASSWORD,)),
    "ldap": Case(389, LDAP, (('receive="dc=example"', 'receive="dc=other"'), ("/dc=example", "/dc=none"))),
    "ldaps": Case(636, ADMIN, (PASSWORD,)),
    "nntp": Case(119, "checkport=119", (("checkport=119", "checkport=1119"),)),
    "radius": Case(1812, f'protocol=udp\n{MAILBOX}\nsecret="shared"', (PASSWORD, ("shared", "other")),
                   ("refused", "silent", "mute")),
    "mysql": Case(3306, f'request="/SELECT * FROM goods"\n{MAILBOX}\ndatabase="shop"',
                  (PASSWORD, ("goods", "empty"), ("goods", "nothing")), PATIENT),
    "pgsql": Case(5432, f'request="/SELECT 1"\n{MAILBOX}\ndatabase="postgres"',
                  (PASSWORD, ("SELECT 1", "SELECT 1 WHERE false"), ("postgres", "nothing")), PATIENT),
    "dns": Case(53, 'protocol=udp\nrequest="www.example"\nreceive="192.0.2.80"',
                (("192.0.2.80", "192.0.2.99"), ("www.example", "none.example")), ("refused", "silent", "mute")),
    "dns over tcp": Case(53, 'protocol=tcp\nservice=dns\nrequest="www.example"\nreceive="192.0.2.80"',
                         (("192.0.2.80", "192.0.2.99"),)),
    "sip": Case(5060, "protocol=udp\nservice=sip\ncheckport=5060", (("checkport=5060", "checkport=5061"),),
                ("refused", "silent", "mute")),
    "simpletcp": Case(7, 'service=simpletcp\ncheckport=25\nrequest="QUIT\\n"\nreceive="^220 mail"',
                      (("220 mail", "220 other"),)),
    "N": Case(80, f"checktype=2\n{WEB}", (PAGE,)),
    "connect 6": Case(80, "checktype=connect", (), SILENT, six=True),
    "http 6": Case(80, WEB, (PAGE,), six=True),
    "nntp 6": Case(119, "checkport=119", (("checkport=119", "checkport=1119"),), six=True),
    "dns 6": Case(53, 'protocol=udp\nrequest="www.example"\nreceive="192.0.2.80"', (("192.0.2.80", "192.0.2.99"),),
                  ("refused", "silent", "mute"), six=True),
    "sip 6": Case(5060, "protocol=udp\nservice=sip\ncheckport=5060", (("checkport=5060", "checkport=5061"),),
                  ("refused", "silent", "mute"), six=True),
    "simpletcp 6": Case(7, 'service=simpletcp\ncheckport=25\nrequest="QUIT\\n"\nreceive="^220 mail"',
                        (("220 mail", "220 other"),), six=True),
}  # fmt: skip


def life_of(name: str, case: Case, top: Path) -> dict[str, Any]:
    folder = top / name.replace(" ", "-")
    folder.mkdir()
    good, entry = case.text(), [case.entry()]
    # What the original adds before it has checked is the detour of its start or reload.
    well = {"has": entry, "hears": "Resetting soft failure count"}
    ill = {"lacks": entry, "hears": "Deleted real server"}
    steps: list[dict[str, Any]] = [{"name": "start", "write": good, "action": "start", **well}]
    for fate in case.fates:
        steps.append({"name": fate, "fate": [fate, "add"], **ill})
        steps.append({"name": f"return after {fate}", "fate": [fate, "delete"], **well})
    for old, new in case.wrong:
        assert old in good, old
        steps.append({"name": f"wrong: {new}", "write": good.replace(old, new), "action": "reload", **ill})
        steps.append({"name": f"right again after {new}", "write": good, "action": "reload", **well})
    steps.append({"name": "status", "action": "status", "has": entry})
    steps.append({"name": "stop", "action": "stop", "lacks": ["-A"], "there": False})
    return {"name": name, "folder": str(folder), "steps": steps}


#: What both write when they come to look at the file: which of the two has just looked, nothing orders.
LOOKED = ("Configuration file ", " - ignore new configuration")


def said(lines: list[str]) -> list[str]:
    """Log lines without time, name and process; and without what docs/compatibility.md says one of the two has more."""
    kept: list[str] = []
    for line in lines:
        match = re.fullmatch(r"\[\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\|(ours|peer)\.cf\|\d+\] (.*)", line)
        assert match, line
        text = match[2].replace("/peer.cf", "/X.cf").replace("/ours.cf", "/X.cf").rstrip()
        text = re.sub(r"invoked as: \S+ldirectord ", "invoked as: PROGRAM ", text)
        if text.startswith(("LVS dataplane is", "Changed virtual server", *LOOKED)):
            continue
        checked = any(each.startswith("Resetting") for each in kept)
        if (
            kept
            and not checked
            and text.startswith("Deleted real")
            and kept[-1].startswith(text.replace("Deleted", "Added", 1))
        ):
            # The detour of a start or a reload: in, and out again.
            kept.pop()
            continue
        if text.startswith("Reloading") and kept and kept[-1].startswith("Deleted real"):
            # The signal cuts short the check that the original is at, and it fails before the reload begins.
            kept.insert(-1, text)
            continue
        kept.append(re.sub(r"pid: \d+", "pid: N", text))
    return kept


def answer(side: dict[str, Any]) -> list[Any] | None:
    """Exit code, standard output and standard error of a call."""
    if side["answer"] is None:
        return None
    code, output, errors = side["answer"]
    texts = []
    for text in (output, errors):
        # Perl's own remarks about itself are no answer of the program.
        kept = [line for line in text.splitlines() if not line.startswith(("Use of uninitialized", "child: "))]
        joined = "\n".join(kept).replace("/peer.cf", "/X.cf").replace("/ours.cf", "/X.cf")
        texts.append(re.sub(r"pid: \d+", "pid: N", joined))
    return [code, *texts]


def verdicts(lines: list[str]) -> set[tuple[str, str, str]]:
    """Which check had which result, as the monitorfiles say; and what they say about one that passed."""
    found = set()
    for line in lines:
        match = re.fullmatch(r"\[[^]]*\] \[\d+\] (.*?) \[(up|down)\] (.*)", line)
        assert match, line
        # N: the original says something about the negotiation, nothing about what comes between.
        silent = match[2] == "down" or match[1].startswith("combined ")
        found.add((match[1], match[2], "" if silent else match[3]))
    return found


def differences_in(points: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Where the two differ: step, ours, the original's."""
    differences: list[tuple[Any, ...]] = []
    judged: dict[str, set[tuple[str, str, str]]] = {"ours": set(), "peer": set()}
    for point in points:
        ours, peer = point["ours"], point["peer"]
        if not point["rested"]:
            differences.append((point["name"], ours["table"], peer["table"]))
        for mine, theirs in ((said(ours["log"]), said(peer["log"])), (answer(ours), answer(peer))):
            if mine != theirs:
                differences.append((point["name"], mine, theirs))
        for program in judged:
            judged[program] |= verdicts(point[program]["monitor"])
    if judged["ours"] != judged["peer"]:
        differences.append(("monitorfile", judged["ours"], judged["peer"]))
    return differences


def play(lives: list[dict[str, Any]], top: Path) -> dict[str, Any]:
    (top / "plan.json").write_text(json.dumps({"lives": lives, "still_s": 2.2, "limit_s": 120}))
    with Room() as room:
        room.give_ipvsadm()
        done = room.run(*room.python(HERE / "fates.py", top / "plan.json"), timeout_s=3000)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    top = tmp_path_factory.mktemp("fates")
    found = play([life_of(name, case, top) for name, case in CASES.items()], top)
    # Where the machine was too slow for somebody's limits, a server came and went by itself: those lives once more.
    for _ in range(2):
        odd = [name for name in CASES if differences_in(found[name])]
        if not odd:
            break
        top = tmp_path_factory.mktemp("again")
        found |= play([life_of(name, CASES[name], top) for name in odd], top)
    return found


@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.long
@pytest.mark.shows("ldirectord.virtual.{service,login,passwd,database,secret,request,receive}")
@pytest.mark.parametrize("name", CASES)
def test_a_service(report: dict[str, Any], name: str) -> None:
    assert differences_in(report[name]) == []
