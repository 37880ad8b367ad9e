"""Conversions: golden results, nothing lost in silence, results that both keepaliveds accept, round trips."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.cli.keepalivedctl import main
from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived import load as load_keepalived
from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.model import Config, MiscCheck, VrrpState
from pykeepalived.tools.convert import Format, NotConvertible, convert, detect
from tests.dialects.keepalived.fake_host import FakeHost as KeepalivedHost
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost as LdirectordHost

HERE = Path(__file__).parent / "convert"
EXAMPLES = Path(__file__).parents[2] / "examples"
#: Result → the files that it is made of, and the routers of the result.
CASES = {
    "heartbeat": (["heartbeat/ha.cf", "heartbeat/haresources", "heartbeat/authkeys", "heartbeat/ldirectord.cf"],
                  ["balancer1", "balancer2"]),
    "heartbeat-two": (["heartbeat-two/ha.cf", "heartbeat-two/haresources", "heartbeat-two/authkeys"], ["a", "b"]),
    "piranha": (["lvs.cf"], ["primary", "backup"]),
    "ipvsadm": (["table.ipvsadm"], [""]),
    "ldirectord": (["everything.cf"], [""]),
}  # fmt: skip


def result_of(name: str) -> tuple[str, tuple[str, ...]]:
    texts = {file: (HERE / file).read_text() for file in CASES[name][0]}
    kinds = [detect(file, text) for file, text in texts.items()]
    assert kinds[0] is Format(name.removesuffix("-two"))
    length = 24 if name == "heartbeat" else None
    result = convert(texts, kinds[0], Format.KEEPALIVED, host=LdirectordHost(), prefix_length=length)
    return result.text, result.notes


def loaded(text: str, tmp_path: Path, router: str = "") -> Config:
    path = tmp_path / "result.conf"
    path.write_text(text)
    result = load_keepalived(str(path), config_id=router, host=KeepalivedHost())
    assert [item for item in result.findings.items if item.exit_class is not ExitClass.NONE] == []
    return result.config


@pytest.mark.parametrize("name", CASES)
def test_the_result_is_this_text(name: str) -> None:
    assert result_of(name)[0] == (HERE / f"{name}.expected").read_text()


@pytest.mark.parametrize("name", CASES)
def test_our_own_test_accepts_it(name: str, tmp_path: Path) -> None:
    text, notes = result_of(name)
    for router in CASES[name][1]:
        config = loaded(text, tmp_path, router)
        assert config.instances or config.virtual_servers
    for note in notes:
        assert f"#   - {note}" in text


@pytest.mark.peer
@pytest.mark.netns
@pytest.mark.skipif(shutil.which("keepalived") is None or os.geteuid() != 0, reason="needs keepalived and root")
def test_debians_keepalived_accepts_it(tmp_path: Path) -> None:
    commands = []
    for name, (_, routers) in CASES.items():
        (tmp_path / f"{name}.conf").write_text(result_of(name)[0])
        commands += [f"timeout 20 keepalived -t -i '{router}' -f {name}.conf; echo {name} $?" for router in routers]
    script = "ip link add eth0 type veth peer name eth1; " + "; ".join(commands)
    run = subprocess.run(
        ["unshare", "-n", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    verdicts = run.stdout.splitlines()
    assert len(verdicts) == sum(len(routers) for _, routers in CASES.values())
    assert {line.split()[1] for line in verdicts} == {"0"}, (verdicts, run.stderr)


def test_heartbeat_becomes_two_routers(tmp_path: Path) -> None:
    text, notes = result_of("heartbeat")
    first, second = (loaded(text, tmp_path, node) for node in ("balancer1", "balancer2"))
    (one,), (two,) = first.instances, second.instances
    assert (one.priority, two.priority) == (150, 100)
    assert one.nopreempt and two.nopreempt
    assert one.initial_state is two.initial_state is VrrpState.BACKUP
    assert one.advert_interval_us == 2_000_000 and one.down_timer_adverts == 30
    assert one.interface == "eth1"
    assert [str(item.prefix) for item in one.addresses] == ["10.10.10.100/24", "10.10.10.110/24", "10.0.0.1/24"]
    assert one.authentication is not None and one.authentication.password == b"TestLinu"
    assert first.globals.startup_delay_us == 120_000_000
    assert len(first.virtual_servers) == 5
    listed = "\n".join(notes)
    for word in ("warntime", "respawn", "apiauth", "mcast", "udpport", "logfile", "debug", "authkeys", "ftp", "pop"):
        assert word in listed


def test_piranha_keeps_checks_and_weights(tmp_path: Path) -> None:
    text, notes = result_of("piranha")
    config = loaded(text, tmp_path, "primary")
    (instance,) = config.instances
    assert instance.source == "192.0.2.3" and instance.unicast_peers[0].address == "192.0.2.4"
    assert [service.persistence_timeout_s for service in config.virtual_servers] == [60, 0, 0]
    first = config.virtual_servers[0].real_servers[0]
    assert (first.port, first.weight, first.alpha) == (8080, 2, True)
    assert "misc_dynamic" in text and "load-weight uptime 10.0.0.10" in text
    assert any("reentry" in note for note in notes)


def test_every_server_of_an_ipvs_table_is_there(tmp_path: Path) -> None:
    text, notes = result_of("ipvsadm")
    config = loaded(text, tmp_path)
    table = (HERE / "table.ipvsadm").read_text()
    assert sum(len(service.real_servers) for service in config.virtual_servers) == table.count("-a ")
    assert any("10.10.10.100:25" in note for note in notes)


# ── the two languages ────────────────────────────────────────────────────────────────────────────────────────────────

ROUND = """virtual=10.0.0.1:80
    real=10.1.1.1:80 masq 3
    real=10.1.1.2:81 masq 1 l:5 u:9
    protocol=tcp
    scheduler={scheduler}
    checktype={check}
    checktimeout=4
    negotiatetimeout=4
    {more}
"""


@settings(deadline=None, max_examples=60)
@given(
    scheduler=st.sampled_from(["wrr", "wlc", "sh"]),
    check=st.sampled_from(["connect", "negotiate", "on", "ping"]),
    more=st.sampled_from(["", 'request="/a b"', 'receive="[ab]+$"', "persistent=30", "quiescent=yes",
                          "fallback=10.9.9.9:80 gate", "failurecount=4", "virtualhost=www.example.org"]),
)  # fmt: skip
def test_a_round_trip_keeps_the_model(
    scheduler: str, check: str, more: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "checkinterval=7\n" + ROUND.format(scheduler=scheduler, check=check, more=more or "ops=no")
    before = load_text(text, "x.cf", host=LdirectordHost()).config
    there = convert({"x.cf": text}, Format.LDIRECTORD, Format.KEEPALIVED, host=LdirectordHost())
    assert there.notes == ()
    path = tmp_path_factory.mktemp("round") / "x.conf"
    path.write_text(there.text)
    middle = load_keepalived(str(path), host=KeepalivedHost()).config
    back = convert({"x.conf": there.text}, Format.KEEPALIVED, Format.LDIRECTORD, keepalived=middle)
    after = load_text(back.text, "x.cf", host=LdirectordHost()).config
    if check == "on":
        # Without a check there is no interval; everything else stays.
        assert [item.real_servers[0].address for item in after.virtual_servers] == ["10.1.1.1"]
        return
    assert after.virtual_servers == before.virtual_servers, back.text


def test_a_group_becomes_sections() -> None:
    path = Path(__file__).parents[1] / "dialects/keepalived/valid/lvs-groups.conf"
    config = load_keepalived(str(path), host=KeepalivedHost()).config
    result = convert({"x": path.read_text()}, Format.KEEPALIVED, Format.LDIRECTORD, keepalived=config)
    after = load_text(result.text, "x.cf", host=LdirectordHost())
    assert after.ok
    # One address, a range of ten, a range of four and a mark; then a mark and two addresses of their own.
    assert len(after.config.virtual_servers) == 1 + 10 + 4 + 1 + 3
    assert any("group web becomes 16" in note for note in result.notes)


def test_external_checks_become_scripts(tmp_path: Path) -> None:
    config = loaded(result_of("ldirectord")[0], tmp_path)
    found = [
        spec.question.script.argv
        for service in config.virtual_servers
        for server in service.real_servers
        for spec in server.checkers
        if isinstance(spec.question, MiscCheck)
    ]
    assert found == [("/usr/bin/true", "-x", "10.0.0.4", "80", "10.1.1.1", "80"), ("/bin/sh", "-c", "exit 1")]


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (Format.IPVSADM, "x", "-A -t 10.0.0.1:99999 -s rr"), (Format.IPVSADM, "x", '-A -t "10.0.0.1'),
        (Format.IPVSADM, "x", "-a -t 10.0.0.1:80 -r 10.0.0.2"), (Format.IPVSADM, "x", "-A -f x"),
        (Format.PIRANHA, "x", "virtual a {"), (Format.PIRANHA, "x", "}"), (Format.PIRANHA, "x", "network = odd"),
        (Format.HEARTBEAT, "ha.cf", "keepalive soon"), (Format.HEARTBEAT, "haresources", "# nothing"),
        (Format.LDIRECTORD, "x", "virtual=10.0.0.1:80\n    real=nonsense\n"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_a_reason(kind: Format, name: str, text: str) -> None:
    with pytest.raises(NotConvertible):
        convert({name: text}, kind, Format.KEEPALIVED, host=LdirectordHost())


LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from([
            "-A -t 1.2.3.4:80 -s rr", "-a -t 1.2.3.4:80 -r 1.2.3.5:80 -m", "virtual a {", "server b {", "}",
            "address = 1.2.3.4 eth0:1", "port = 80", "keepalive 2", "node a b", "a 1.2.3.4/24/eth0", "bcast eth1",
            "active = 1", "send = \"GET / HTTP/1.0\"", "deadtime = 0", "-p", "auth 1", "1 sha1 x",
        ]),
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(lines=LINES, kind=st.sampled_from([Format.IPVSADM, Format.PIRANHA, Format.HEARTBEAT]))
def test_any_text_is_converted_or_refused(lines: list[str], kind: Format) -> None:
    text = "\n".join(lines)
    files = {"ha.cf": text, "haresources": text, "authkeys": text} if kind is Format.HEARTBEAT else {"x": text}
    try:
        convert(files, kind, Format.KEEPALIVED, host=LdirectordHost())
    except NotConvertible as reason:
        assert str(reason)


def test_the_command(tmp_path: Path) -> None:
    run = CliRunner().invoke
    result = run(main, ["convert", str(EXAMPLES / "ldirectord.cf")])
    assert result.exit_code == 0
    assert "virtual_server 10.0.0.5 80 {" in result.stdout and 'regex "test page"' in result.stdout
    assert "note: autoreload" in result.stderr
    result = run(main, ["convert", str(EXAMPLES / "keepalived.conf"), "-i", "lb1"])
    assert result.exit_code == 0 and "virtual=10.0.0.5:80" in result.stdout
    assert "note: vrrp_instance outside" in result.stderr
    result = run(main, ["convert", "-"], input="-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 1\n")
    assert result.exit_code == 0 and "virtual_server 10.0.0.1 80" in result.stdout
    result = run(main, ["convert", str(tmp_path / "none")])
    assert (result.exit_code, result.stdout) == (2, "")
    result = run(main, ["convert", "-"], input="global_defs {\n}\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "must be a file" in result.stderr


@pytest.mark.parametrize(
    ("names", "source"), [(("ha.cf", "haresources"), Format.HEARTBEAT), (("lvs.cf",), Format.PIRANHA)], ids=str
)
def test_what_is_far_too_long_for_its_format_is_refused(names: tuple[str, ...], source: Format) -> None:
    with pytest.raises(NotConvertible, match="characters"):
        convert(dict.fromkeys(names, "x " * 4000000), source, Format.KEEPALIVED)


@pytest.mark.parametrize("port", ["ht\0tp", "h\udcffp", "no-such-port"])
def test_a_port_that_is_none_is_refused_by_its_line(port: str) -> None:
    with pytest.raises(NotConvertible, match="line 2: no port"):
        table = f"-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.1.1:{port} -m\n"
        convert({"x": table}, Format.IPVSADM, Format.KEEPALIVED)
