"""Faults of ldirectord that are not copied, each by what ours does instead; every row of the table names tests.

The rows are those of docs/compatibility.md; faults that other tests show are named there, too.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.dialects.ldirectord.voice import LdirectordVoice
from pykeepalived.lvs.table import ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Protocol
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost
from tests.lvs.stage import Backend, Stage

TOP = Path(__file__).parents[2]


@pytest.fixture
def one() -> Iterator[Backend]:
    backend = Backend("127.78.0.1")
    yield backend
    backend.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    opened = Stage(voice=LdirectordVoice())
    yield opened
    opened.close()


def key(port: int) -> ServiceKey:
    return ServiceKey.for_address(Protocol.TCP, "10.1.0.1", port, Family.INET)


def test_a_life_in_which_three_faults_would_show(stage: Stage, one: Backend) -> None:
    """A shared check counts for each section alone; nothing untested enters; a gate server on another port returns."""
    text = f"""\
checkinterval=1
checktimeout=2
virtual=10.1.0.1:80
    real=127.78.0.1:{one.port} masq 2
    checktype=connect
    failurecount=2
virtual=10.1.0.1:81
    real=127.78.0.1:{one.port} masq 2
    checktype=connect
    failurecount=2
virtual=10.1.0.1:8080
    real=127.78.0.1:{one.port} gate 3
    checktype=connect
    quiescent=yes
virtual=10.1.0.1:82
    real=127.78.0.9:1 masq
    checktype=connect
"""

    def wait(weights: dict[str, int], port: int) -> None:
        stage.until(lambda: stage.weights(key(port)) == weights, f"{weights} on {port}", 60)

    stage.program.start(load_text(text, "x.cf", host=FakeHost()).config)
    # No check has passed yet: a quiescent server has weight 0, the others are not there.
    assert [stage.weights(key(port)) for port in (80, 81, 82, 8080)] == [{}, {}, {}, {"127.78.0.1:8080": 0}]
    well = {f"127.78.0.1:{one.port}": 2}
    for port in (80, 81):
        wait(well, port)
    # A server behind the service's own address is reached at the service's port, and known by it.
    wait({"127.78.0.1:8080": 3}, 8080)
    one.close()
    for port in (80, 81):
        wait({}, port)
    wait({"127.78.0.1:8080": 0}, 8080)
    for port in (80, 81):
        name = f"127.78.0.1:{one.port} (tcp:10.1.0.1:{port})"
        assert stage.memo.lines.count(f"Soft failure real server: {name} failure 1/2") == 1
    one.open()
    wait({"127.78.0.1:8080": 3}, 8080)
    assert stage.weights(key(82)) == {}
    assert not any(":1 (10.1.0.1:82)" in line for line in stage.memo.lines)


@pytest.mark.parametrize(
    "words",
    ['login="b"\n    passwd="c"', 'login="a"\n    passwd="d"', 'login="a"\n    passwd="c"\n    negotiatetimeout=7'],
)
def test_sections_that_differ_in_login_or_limit_have_checks_of_their_own(words: str) -> None:
    first = 'login="a"\n    passwd="c"'
    text = "".join(
        f"virtual=10.1.0.{number}:110\n    real=10.1.1.1:110 masq\n    {own}\n"
        for number, own in enumerate((first, words, first), 1)
    )
    servers = load_text(text, "x.cf", host=FakeHost()).config.virtual_servers
    questions = [server.real_servers[0].checkers[0].question for server in servers]
    assert questions[0] == questions[2]
    assert questions[0] != questions[1]


def test_every_row_of_the_table_names_tests() -> None:
    """Each row of the table names a test, and there is such a test."""
    text = (TOP / "docs" / "compatibility.md").read_text()
    rows = re.split(r"^## ", text.partition("\n## ldirectord\n")[2], maxsplit=1, flags=re.MULTILINE)[0].splitlines()
    rows = [row for row in rows if row.startswith("|")][2:]
    assert len(rows) > 40
    for row in rows:
        shown = row.rstrip("| ").rpartition("|")[2]
        names = re.findall(r"`(test_\w+)::(test_\w+)`", shown)
        assert names, f"no test is named: {row}"
        for module, name in names:
            (path,) = (TOP / "tests").rglob(f"{module}.py")
            assert f"def {name}(" in path.read_text(), f"{module}::{name}: {row}"
