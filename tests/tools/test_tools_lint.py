"""The linter: a file for each rule with what is said about it, renderers, exit codes."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.cli.keepalivedctl import main
from pykeepalived.diagnostics import Diagnostic, Label, Severity, Span
from pykeepalived.diagnostics.render import short
from pykeepalived.diagnostics.sarif import sarif
from pykeepalived.tools.lint import RULES, Exit, exit_code, lint
from tests.dialects.keepalived.fake_host import FakeHost as KeepalivedHost
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost as LdirectordHost

HERE = Path(__file__).parent
CASES = sorted([*(HERE / "lint").glob("*.conf"), *(HERE / "lint").glob("*.cf")])
EXAMPLES = HERE.parents[1] / "examples"


def linted(path: Path, config_id: str | None = None) -> list[Diagnostic]:
    return lint(
        path.name, config_id=config_id, environment={}, keepalived_host=KeepalivedHost(),
        ldirectord_host=LdirectordHost(),
    )  # fmt: skip


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_a_combination_is_found_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    found = [item for item in linted(path) if item.id != "no-effect-yet"]
    text = "".join(f"{short(item)}\n" for item in found)
    assert text == path.with_name(f"{path.name}.expected").read_text()
    assert {item.id for item in found if item.id in RULES} == {path.stem}
    assert all(item.span is not None for item in found)


def test_every_rule_has_a_file() -> None:
    assert {path.stem for path in CASES} == set(RULES)


@pytest.mark.parametrize("name", ["keepalived.conf", "ldirectord-vrrp.conf", "ldirectord.cf"])
def test_the_examples_are_clean(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    assert exit_code(linted(Path(name), "lb1")) is Exit.CLEAN


def test_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "lint")
    run = CliRunner().invoke
    assert run(main, ["lint", "sorry-is-real.conf"]).exit_code == 1
    bad = tmp_path / "bad.conf"
    bad.write_text("global_defs {\n nonsense\n}\n")
    assert run(main, ["lint", str(bad)]).exit_code == 2
    assert run(main, ["lint", str(tmp_path / "none"), "sorry-is-real.conf"]).exit_code == 2
    # Notes alone do not count.
    assert run(main, ["lint", "server-twice.conf"]).exit_code == 0


@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_damaged_files_give_findings_only(data: st.DataObject) -> None:
    """Lines cut, doubled, swapped and broken: whatever stands there, there is an answer, and it can be printed."""
    source = data.draw(st.sampled_from(CASES))
    lines = source.read_text().split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        how = data.draw(st.sampled_from(["cut", "double", "swap", "junk", "@"]))
        if how == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, 20))]
        elif how == "double":
            lines.insert(at, lines[at])
        elif how == "swap":
            lines[at], lines[-1] = lines[-1], lines[at]
        elif how == "junk":
            lines[at] = data.draw(st.text(max_size=20))
        else:
            lines[at] = f"@lb{at % 3} {lines[at]}"
    directory = Path(tempfile.mkdtemp(prefix="pykeepalived-lint-"))
    try:
        path = directory / source.name
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
        found = lint(str(path), environment={}, keepalived_host=KeepalivedHost(), ldirectord_host=LdirectordHost())
    finally:
        shutil.rmtree(directory)
    assert exit_code(found) in Exit
    assert "\n" not in "".join(short(item) for item in found)
    json.loads(sarif(found, version="0"))


@pytest.mark.parametrize("form", ["full", "short", "json", "sarif"])
def test_formats(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "lint")
    text = CliRunner().invoke(main, ["lint", "--format", form, "sorry-is-real.conf"]).stdout
    assert "sorry-is-real" in text
    if form == "full":
        assert "^^^^" in text
    elif form == "json":
        assert json.loads(text)[0]["span"]["line"] == 5
    elif form == "sarif":
        (result,) = json.loads(text)["runs"][0]["results"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert (region["startLine"], region["startColumn"], region["endColumn"]) == (5, 5, 33)


def test_sarif_has_the_form_of_the_standard() -> None:
    span = Span("a b#.conf", 3, 5, 9, "    word x")
    items = [
        Diagnostic(id="b-two", severity=Severity.ERROR, message="m", span=span, help="h", notes=("n",),
                   secondary=(Label(span, "first here"),)),
        Diagnostic(id="a-one", severity=Severity.NOTE, message="m2"),
    ]  # fmt: skip
    log = json.loads(sarif(items, version="1.2.3", rules={"a-one": "text of one"}))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == ["a-one", "b-two"]
    assert driver["rules"][0]["shortDescription"]["text"] == "text of one"
    first, second = run["results"]
    assert driver["rules"][first["ruleIndex"]]["id"] == first["ruleId"] == "b-two"
    assert first["level"] == "error" and second["level"] == "note"
    assert first["message"]["text"] == "m; n; help: h"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b%23.conf"
    assert place["region"]["startLine"] == 3
    assert first["relatedLocations"][0]["message"]["text"] == "first here"
    assert "locations" not in second


#: What users of keepalived suffered from and a file shows, each with the ids that name it.
BAD_COMBINATIONS = {
    "vrrp_strict with addresses that must answer": ("strict-drops-traffic",),
    "no_accept with addresses that must answer": ("no-accept-drops-service",),
    "nopreempt with equal priorities": ("routers-equal-priority",),
    "nopreempt with weighted scripts": ("nopreempt-weighted-tracker",),
    "nopreempt with trackers that fault": ("nopreempt-fault-tracker",),
    "weights without effect": ("weight-too-small", "weight-of-owner"),
    "real servers of weight 0 alone": ("all-weights-zero",),
    "advert_int that differs, or is too short": ("routers-disagree", "advert-interval-short"),
    "mails without a server": ("smtp-without-server",),
    "an own address among the peers": ("unicast-own-address",),
    "an empty list of peers": ("no-peers",),
    "flaps after a start": ("preempt-flapping",),
    "scripts that outlast their interval": ("script-timeout",),
    "scripts that may not run, and why": ("script-security", "script-not-found", "no-script-user"),
    "a MASTER that knows no connections": ("preempt-before-sync",),
    "HTTPS checks without a name": ("tls-without-name",),
    "passwords in the clear": ("password-readable",),
    "IPv6 without a link-local address": ("ipv6-not-link-local",),
    "checks that last longer than their interval": ("interval-below-timeout",),
    "members of a group that preempt differently": ("group-mixed-preemption",),
}


@pytest.mark.parametrize("name", BAD_COMBINATIONS)
def test_a_known_bad_combination_is_named(name: str) -> None:
    golden = [*(HERE / "lint").glob("*.expected"), *(HERE.parent / "dialects/keepalived/broken").glob("*.expected")]
    texts = [path.read_text(encoding="utf-8") for path in golden]
    for identifier in BAD_COMBINATIONS[name]:
        assert any(f"[{identifier}]" in text for text in texts), identifier
