"""Files that are refused and files that hold traps: each with the findings it must give, word for word.

`broken/*.cf` must be refused, `accepted/*.cf` must not; beside each stands what the short renderer prints. The test
marked `peer` asks Debian's ldirectord for its verdict on every one of them.
"""

import subprocess
from pathlib import Path

import pytest

from pykeepalived.diagnostics.render import full, short
from pykeepalived.dialects.ldirectord import load_text
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.cf"))
ACCEPTED = sorted((HERE / "accepted").glob("*.cf"))

#: Files on which the two programs part, and why.
EXPLAINED = {
    "real-range-too-long": "ldirectord hangs over a range of 16 million addresses, or takes them all",
    "number-of-forty-digits": "ldirectord takes it and would wait for ever",
    "real-weight-of-eleven-digits": "ldirectord takes the line, and ipvsadm then refuses the server",
}


def findings_of(path: Path) -> tuple[bool, str]:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    result = load_text(text, path.name, host=FakeHost())
    return result.ok, "".join(f"{short(item)}\n" for item in result.findings.items)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_with_these_words(path: Path) -> None:
    accepted, findings = findings_of(path)
    assert findings == path.with_suffix(".txt").read_text()
    assert not accepted


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_a_trap_is_accepted_and_named(path: Path) -> None:
    accepted, findings = findings_of(path)
    assert findings == path.with_suffix(".txt").read_text()
    assert accepted


def test_there_are_enough_broken_files_and_all_differ() -> None:
    assert len(BROKEN) >= 50
    assert len({path.read_bytes() for path in BROKEN}) == len(BROKEN)


@pytest.mark.parametrize("path", [*BROKEN, *ACCEPTED], ids=lambda path: path.stem)
def test_carets_stand_under_text_of_their_line(path: Path) -> None:
    result = load_text(path.read_bytes().decode("utf-8", "surrogateescape"), path.name, host=FakeHost())
    for item in result.findings.items:
        assert item.span is not None
        assert 1 <= item.span.column < item.span.end_column <= len(item.span.text) + 2
        assert full(item)


# ---- the original ----

#: Runs in namespaces of its own, where logs and pid files go nowhere.
_VERDICTS = """
mount -t tmpfs none /run && mount -t tmpfs none /var/log && mount -t tmpfs none /etc/ha.d && ip link set lo up || exit 9
for file in "$@"; do
    timeout 10 /usr/sbin/ldirectord "$file" status >/dev/null 2>&1 </dev/null
    echo "$? $file"
done
"""


@pytest.mark.peer
@pytest.mark.netns
def test_debians_ldirectord_gives_the_same_verdicts() -> None:
    """Exit code 2 is "bad file", 3 is "stopped" after the file was read well."""
    asked = [path for path in (*BROKEN, *ACCEPTED) if path.stem not in EXPLAINED]
    halves = [asked[0::2], asked[1::2]]
    runs = [
        subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-c", _VERDICTS, "sh", *map(str, half)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for half in halves
    ]
    output = "".join(run.communicate(timeout=300)[0] for run in runs)
    verdicts = dict(line.split(" ", 1)[::-1] for line in output.splitlines())
    expected = {str(path): "2" if path in BROKEN else "3" for path in asked}
    assert verdicts == expected
