"""Printing a model as keepalived.conf and loading it again gives the same model."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived import load
from pykeepalived.dialects.keepalived.printer import Printed, print_config
from pykeepalived.dialects.keepalived.printer_text import command, pattern
from pykeepalived.model import Config, VrrpInstance
from pykeepalived.syntax import script_words
from tests.dialects.keepalived.fake_host import FakeHost

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples"
DUMPED = HERE.parents[1] / "interop" / "dumps"
CASES = sorted(
    [
        *HERE.glob("valid/*.conf"),
        *HERE.glob("broken/*.conf"),
        *HERE.glob("newer/*.conf"),
        *EXAMPLES.glob("*.conf"),
        *DUMPED.glob("*/*.conf"),
    ]
)


class FakeAccounts:
    """Those of the machine that never changes."""

    def primary_group(self, user: str) -> int | None:
        found = FakeHost().user(user)
        return found.gid if found else None

    def group_name(self, gid: int) -> str | None:
        return next((name for name, number in FakeHost().groups.items() if number == gid), None)


def printed(config: Config, *, everything: bool = False) -> Printed:
    return print_config(config, everything=everything, accounts=FakeAccounts())


def load_text(text: str, tmp_path: Path) -> Config:
    path = tmp_path / "printed.conf"
    path.write_text(text, encoding="utf-8")
    return load(str(path), config_id="lb1", host=FakeHost()).config


def sayable(config: Config) -> Config:
    """The model without what the printer says it cannot say: blocks known by name only."""
    return msgspec.structs.replace(config, unowned_blocks=())


@pytest.mark.parametrize("everything", [False, True], ids=["brief", "everything"])
@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_same_model_comes_back(
    path: Path, everything: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    before = load(path.name, config_id="lb1", host=FakeHost()).config
    result = printed(before, everything=everything)
    after = load_text(result.text, tmp_path)
    if path.parent.name == "broken" and result.unsaid:
        # What a refused word leaves behind may have no spelling.
        return
    assert sayable(after) == sayable(before), result.text
    again = printed(after, everything=everything)
    if not before.unowned_blocks:
        assert again.text == result.text
    if before != after:
        assert result.unsaid


def test_a_valid_file_is_still_valid_when_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "valid")
    for path in sorted((HERE / "valid").glob("*.conf")):
        config = load(path.name, config_id="lb1", host=FakeHost()).config
        target = tmp_path / path.name
        target.write_text(printed(config, everything=True).text, encoding="utf-8")
        findings = load(str(target), config_id="lb1", host=FakeHost()).findings.items
        assert [item for item in findings if item.exit_class is not ExitClass.NONE] == [], path.name


#: 2.2.7 -t ends itself with SIGTERM on some files with scripts.
TERMINATED = {"lvs-checkers.conf", "vrrp-trackers.conf"}


@pytest.mark.peer
@pytest.mark.netns
@pytest.mark.skipif(shutil.which("keepalived") is None or os.geteuid() != 0, reason="needs keepalived and root")
def test_debians_keepalived_accepts_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "valid")
    paths = sorted((HERE / "valid").glob("*.conf"))
    for path in paths:
        config = load(path.name, config_id="lb1", host=FakeHost()).config
        (tmp_path / path.name).write_text(printed(config).text, encoding="utf-8")
    script = (
        "ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up && "
        "for file in *.conf; do timeout 20 keepalived -t -i lb1 -f $file >/dev/null 2>&1; echo $file $?; done"
    )
    run = subprocess.run(
        ["unshare", "-n", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    theirs = dict(line.split() for line in run.stdout.splitlines())
    assert len(theirs) == len(paths)
    assert {name for name, code in theirs.items() if code != "0"} <= TERMINATED


def test_blocks_known_by_name_only_are_listed() -> None:
    result = printed(Config(unowned_blocks=("garp_group eth0",)))
    assert len(result.unsaid) == 1
    assert "garp_group eth0" in result.unsaid[0]
    assert f"# not expressed: {result.unsaid[0]}" in result.text


def test_a_name_that_cannot_be_written_is_listed() -> None:
    config = Config(instances=(VrrpInstance(name='a"b', vrid=1, interface="eth0"),))
    result = printed(config)
    assert len(result.unsaid) == 1
    assert "vrrp_instance" in result.unsaid[0]
    assert result.text.count("{") == result.text.count("}")


ARGUMENT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(ARGUMENT, min_size=1, max_size=4))
def test_any_command_line_can_be_written(argv: list[str]) -> None:
    text = command(tuple(argv))
    assert text[0] == text[-1] == '"' and '"' not in text[1:-1]
    assert "\n" not in text and "$" not in text
    (outer,) = script_words(text)
    assert [item for item, _, _ in script_words(outer[0])] == argv


@given(ARGUMENT)
def test_any_pattern_can_be_written(regex: str) -> None:
    (outer,) = script_words(pattern(regex))
    assert outer[0] == regex


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=15)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=NAMES,
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8),
    argv=st.lists(ARGUMENT, min_size=0, max_size=3),
    words=st.lists(NAMES, min_size=1, max_size=3),
)
def test_odd_texts_survive_or_are_listed(name: str, password: str, argv: list[str], words: list[str]) -> None:
    quoted = " ".join('"' + item.replace('"', "") + '"' for item in words if item.replace('"', ""))
    text = (
        "vrrp_instance A {\n interface eth0\n virtual_router_id 9\n authentication {\n auth_type PASS\n"
        " auth_pass x\n }\n virtual_ipaddress {\n 10.0.0.1\n }\n notify /usr/bin/true\n}\n"
        f"global_defs {{\n enable_dbus {quoted}\n}}\n"
    )
    directory = Path(tempfile.mkdtemp(prefix="pykeepalived-print-"))
    try:
        config = load_text(text, directory)
        (found,) = config.instances
        assert found.authentication is not None and found.notify is not None
        replace = msgspec.structs.replace
        found = replace(
            found,
            name=name,
            authentication=replace(found.authentication, password=password.encode()),
            notify=replace(found.notify, argv=("/usr/bin/true", *argv)),
        )
        config = replace(config, instances=(found,))
        result = printed(config)
        assert load_text(result.text, directory) == config or result.unsaid
    finally:
        shutil.rmtree(directory)


FOUR = st.ip_addresses(v=4, network="10.0.0.0/8").map(str)
SIX = st.ip_addresses(v=6, network="2001:db8::/32").map(str)
TIMES = st.integers(1, 5000).map(lambda ms: f"{ms // 1000}.{ms % 1000:03d}")


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """A line of static_ipaddress."""
    words = [draw(FOUR) + "/" + str(draw(st.integers(1, 32)))]
    if draw(st.booleans()):
        words = [f"{draw(SIX)}/{draw(st.integers(1, 128))}"]
        words += draw(st.sampled_from([[], ["preferred_lft", "7"], ["preferred_lft", "forever"], ["home", "-nodad"]]))
    else:
        words += draw(st.sampled_from([[], ["brd", "+"], ["scope", "link"], ["label", "eth0:1"], ["noprefixroute"]]))
        words += ["peer", f"{draw(FOUR)}/{draw(st.integers(1, 32))}"] if draw(st.booleans()) else []
    return " ".join([*words, "dev", draw(st.sampled_from(["eth0", "eth1"]))])


@st.composite
def routes(draw: st.DrawFn) -> str:
    """A line of static_routes."""
    start = draw(st.sampled_from(["", "blackhole ", "unreachable "]))
    words = [f"{start}{draw(FOUR)}/32", *draw(st.sampled_from([[], ["table", "9"], ["metric", "4"], ["tos", "0x10"]]))]
    if not start:
        words += [*(["via", draw(FOUR)] if draw(st.booleans()) else []), "dev", "eth0"]
        words += draw(st.sampled_from([[], ["mtu", "lock", "1400"], ["rtt", "300ms"], ["initcwnd", "4", "onlink"]]))
    return " ".join([*words, *draw(st.sampled_from([[], ["no_track"]]))])


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A line of static_rules."""
    words = [*draw(st.sampled_from([[], ["not"]])), "from", f"{draw(FOUR)}/32"]
    words += draw(st.sampled_from([["table", "9"], ["blackhole"], ["prohibit"], ["goto", "32000"]]))
    words += draw(st.sampled_from([[], ["iif", "eth1"], ["fwmark", "0x10/0xff"], ["uidrange", "1-9"]]))
    return " ".join([*words, "preference", str(draw(st.integers(1, 31000)))])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(addresses(), max_size=4),
    ways=st.lists(routes(), max_size=4),
    choices=st.lists(rules(), max_size=4),
    gaps=st.tuples(TIMES, TIMES),
)
def test_any_lines_about_the_network_come_back(
    lines: list[str], ways: list[str], choices: list[str], gaps: tuple[str, str], tmp_path: Path
) -> None:
    blocks = (("static_ipaddress", lines), ("static_routes", ways), ("static_rules", choices))
    text = "".join(f"{name} {{\n" + "".join(f"  {line}\n" for line in found) + "}\n" for name, found in blocks)
    text += f"garp_group {{\n garp_interval {gaps[0]}\n gna_interval {gaps[1]}\n interface eth0\n}}\n"
    config = load_text(text, tmp_path)
    assert config.garp_groups
    assert load_text(printed(config).text, tmp_path) == config
