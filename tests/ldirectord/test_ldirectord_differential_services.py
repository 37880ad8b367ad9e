"""Every service with its real server in the IPVS test kernel: the same table as from Debian's ldirectord.

One file has a section for every case of `test_ldirectord_beside_services.py` and for the types that ask nobody. What
the programs say meanwhile is compared there; here it is the kernel's table that counts.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from pykeepalived.tools.guest import run_in_guest
from tests.ldirectord.test_ldirectord_beside_services import CASES, FOUR, SIX, Case

HERE = Path(__file__).parent
#: As patient as a machine with one slow processor needs.
GLOBALS = "checktimeout=20\nnegotiatetimeout=20\ncheckinterval=2\n\n"
#: What no server decides, by virtual port.
ASKS_NOBODY = {1: "checktype=negotiate\nservice=none", 2: "checktype=on", 3: "checktype=off"}
SECTIONS: dict[str, Case] = CASES | {"ping": Case(4, "checktype=ping", ())}


def address(number: int, case: Case) -> str:
    return f"[fd77::{number}]" if case.six else f"10.77.0.{number}"


def section(virtual: str, case: Case, words: str) -> str:
    six = "6" if case.six else ""
    host = f"[{SIX}]" if case.six else FOUR
    lines = [f"real{six}={host}:{case.port} masq 2", *words.splitlines()]
    return f"virtual{six}={virtual}\n" + "".join(f"    {line}\n" for line in lines) + "\n"


def text(*, wrong: bool) -> str:
    """The file, with what makes each server's answer right or, where there is such a thing, wrong."""
    found = [GLOBALS]
    for number, case in enumerate(SECTIONS.values(), 10):
        words = case.words
        if wrong and case.wrong:
            old, new = case.wrong[0]
            assert old in words
            words = words.replace(old, new)
        found.append(section(f"{address(number, case)}:{case.port}", case, words))
    found += [section(f"10.77.0.1:{port}", Case(port, "", ()), words) for port, words in ASKS_NOBODY.items()]
    mark = section("7", Case(80, "", ()), "checktype=connect\ncheckport=80")
    found.append(mark.replace("masq 2", "masq 2 l:3 u:9"))
    return "".join(found)


def entry(number: int, case: Case) -> str:
    kind = "-u" if "protocol=udp" in case.words else "-t"
    host = f"[{SIX}]" if case.six else FOUR
    return f"-a {kind} {address(number, case)}:{case.port} -r {host}:{case.port} -m -w 2"


def steps() -> list[dict[str, Any]]:
    numbered: list[tuple[int, Case]] = list(enumerate(SECTIONS.values(), 10))
    asked = [*(entry(*each) for each in numbered), f"-a -f 7 -r {FOUR}:80 -m -w 2", f"{FOUR}:80 9 3"]
    nobody = [f"-a -t 10.77.0.1:{port} -r {FOUR}:{port} -m -w 2" for port in (1, 2)]
    pinged = [entry(number, case) for number, case in numbered if "checktype=ping" in case.words]
    refused = [each for each in asked if each not in pinged]
    well = {"has": asked + nobody}
    judged = [entry(number, case) for number, case in numbered if case.wrong]
    good, wrong = text(wrong=False), text(wrong=True)
    return [
        {"name": "start", "write": good, "action": "start", **well},
        {"name": "refused", "fate": ["refused", "add"], "has": nobody + pinged, "lacks": refused},
        {"name": "accepted again", "fate": ["refused", "delete"], **well},
        {"name": "wrong answers", "write": wrong, "action": "reload", "lacks": judged,
         "has": nobody + [each for each in asked if each not in judged]},
        {"name": "right answers", "write": good, "action": "reload", **well},
        {"name": "stopped", "action": "stop", "lacks": ["-a"]},
    ]  # fmt: skip


def judge(plan: dict[str, Any], report: dict[str, Any]) -> None:
    for step, point in zip(plan["steps"], report["points"], strict=True):
        ours, peer = (point["tables"][name] for name in ("ours", "peer"))
        assert ours == peer, (step["name"], set(ours) ^ set(peer), report["logs"])
        assert [part for part in step.get("has", ()) if part not in "\n".join(ours)] == [], step["name"]
        assert [part for part in step.get("lacks", ()) if part in "\n".join(ours)] == [], step["name"]
    assert report["points"][-1]["tables"]["ours"] == []
    assert [point["answers"] for point in report["points"][::5]] == [[[0, "", ""]] * 2] * 2


@pytest.mark.uml
@pytest.mark.peer
@pytest.mark.long
@pytest.mark.shows("ldirectord.virtual.{service,login,passwd,database,secret,request,receive}")
def test_every_service(tmp_path: Path) -> None:
    plan: dict[str, Any] = {"steps": steps(), "still_s": 10, "limit_s": 1500}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    script = f"exec python {HERE / 'guest_services.py'} {tmp_path / 'plan.json'}"
    result = run_in_guest(script, timeout_s=6000, share=tmp_path, memory_mb=1536)
    assert result.exit_code == 0, result.output
    judge(plan, json.loads(result.output.splitlines()[-1]))
