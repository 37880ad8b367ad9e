"""`keepalivedctl fix`: what is mended, what is left alone, and that mending twice is mending once."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pykeepalived.cli.ctl.fix import command
from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.tools.fix import Language, language_of, mend
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost

HERE = Path(__file__).parent
AS_PRINTED = HERE / "fix" / "ldirectord-as-printed.cf"
BROKEN = HERE.parent / "dialects" / "ldirectord" / "broken"

KEEPALIVED_AS_PRINTED = """\
global_defs {
    notification_email_from keepalived@domaine.tld
    lvs_id LVS_MAIN
    }
vrrp_instance VI_1 {
    state SLAVE
    }
    virtual_server 192.168.0.1 80 {
    lb_kind NAT
sorry_server 192.168.0.1
   80
    real_server 192.168.0.12
    80 {
    weight 20
    }
    }
# state SLAVE
"""


def test_the_printed_ldirectord_file() -> None:
    mended = mend(AS_PRINTED.read_text())
    assert mended.language is Language.LDIRECTORD
    lines = mended.text.splitlines()
    at = lines.index("virtual=10.10.10.100:80")
    assert lines[at + 1] == "    real=10.0.0.10:80 masq 1"
    assert lines[at + 3] == "    # real=192.168.6.6:80 gate"
    assert lines[at + 13 :][:2] == ["", "# Linux FTP Server"]
    assert "quiescent=no" in lines, "a global directive stays where it is"
    result = load_text(mended.text, "fixed.cf", host=FakeHost())
    assert result.ok
    assert [server.selector.port for server in result.config.virtual_servers] == [80, 21, 25, 110, 80, 21]  # type: ignore[union-attr]
    assert [str(change) for change in mended.changes][:2] == [
        "lines 22 to 33: indented by four blanks",
        "lines 37 to 50: indented by four blanks",
    ]


@pytest.mark.peer
@pytest.mark.netns
def test_debians_ldirectord_takes_the_mended_file(tmp_path: Path) -> None:
    fixed = tmp_path / "fixed.cf"
    fixed.write_text(mend(AS_PRINTED.read_text()).text)
    script = 'mount -t tmpfs none /run && mount -t tmpfs none /var/log && exec /usr/sbin/ldirectord "$1" status'
    for path, code in ((fixed, 3), (AS_PRINTED, 2)):
        command_ = ["unshare", "--mount", "--net", "sh", "-c", script, "sh", str(path)]
        assert subprocess.run(command_, capture_output=True, timeout=60, check=False).returncode == code


def test_the_printed_keepalived_file() -> None:
    mended = mend(KEEPALIVED_AS_PRINTED)
    assert mended.language is Language.KEEPALIVED
    assert "    router_id LVS_MAIN\n" in mended.text
    assert "    state BACKUP\n" in mended.text
    assert "sorry_server 192.168.0.1 80\n    real_server 192.168.0.12 80 {\n" in mended.text
    assert mended.text.endswith("# state SLAVE\n"), "comments are left alone"
    assert [str(change) for change in mended.changes] == [
        "line 3: `lvs_id` replaced by `router_id`",
        "line 6: `SLAVE` replaced by `BACKUP`",
        "line 11: joined with the line above",
        "line 13: joined with the line above",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("virtual=10.0.0.1:80\n  real=10.0.0.2:80 masq\n", "virtual=10.0.0.1:80\n    real=10.0.0.2:80 masq\n"),
        ("virtual=10.0.0.1:80\n\treal=10.0.0.2:80 masq\n", "virtual=10.0.0.1:80\n\treal=10.0.0.2:80 masq\n"),
        (
            "virtual=10.0.0.1:80\n    real=10.0.0.2:80 masq\n\n    service=http\n",
            "virtual=10.0.0.1:80\n    real=10.0.0.2:80 masq\n    #\n    service=http\n",
        ),
        (" checktimeout=5\nvirtual=5\n", "checktimeout=5\nvirtual=5\n"),
        ("virtual=5\nreal=10.0.0.2 gate\nchecktimeout=5\n", "virtual=5\n    real=10.0.0.2 gate\n    checktimeout=5\n"),
        ("virtual=5\nreal=10.0.0.2 gate\n\nchecktimeout=5\n", "virtual=5\n    real=10.0.0.2 gate\n\nchecktimeout=5\n"),
        ("virtual=5\n    real=10.0.0.2 gate\nautoreload=yes \n", "virtual=5\n    real=10.0.0.2 gate\nautoreload=yes\n"),
        ("autoreload=yes # now\r\nvirtual=5\r\n", "autoreload=yes\nvirtual=5\n"),
        ("virtual=5\nrequest=“a b”\n", 'virtual=5\n    request="a b"\n'),
        ("virtual=5\n\u00a0\n", "virtual=5\n\n"),
        ("virtual_server 10.0.0.1\n{\n}\n", "virtual_server 10.0.0.1\n{\n}\n"),
        ("nb_get_retry 3\n", "retry 3\n"),
    ],
)
def test_small_repairs(before: str, after: str) -> None:
    assert mend(before).text == after
    assert mend(after).changes == ()


@pytest.mark.parametrize(
    "name", ["lost-indentation", "too-little-indentation", "line-after-empty-line", "blanks-only-line",
             "tabs-only-line", "byte-order-mark", "no-break-space", "leading-blank", "yes-with-blank",
             "yes-with-comment", "dos-yes"],
)  # fmt: skip
def test_these_broken_files_can_be_used_afterwards(name: str) -> None:
    mended = mend((BROKEN / f"{name}.cf").read_bytes().decode())
    assert mended.changes
    assert load_text(mended.text, "x", host=FakeHost()).ok


def test_languages() -> None:
    assert language_of("virtual=10.0.0.1:80\n") is Language.LDIRECTORD
    assert language_of("  virtual6 = 5\n") is Language.LDIRECTORD
    assert language_of("virtual_server 10.0.0.1 80 {\n}\n") is Language.KEEPALIVED
    assert language_of("") is Language.KEEPALIVED


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["virtual=5", "real=10.0.0.2 gate", "    real=10.0.0.3 gate", "", "  ", "# c", "checktimeout=5",
             "servise=x", "\tquiescent=yes ", "autoreload=no #", "sorry_server 10.0.0.1", "80", "80 {",
             "state SLAVE", "lvs_id x"]
        ),
        st.text(max_size=12),
    ),
    max_size=20,
).map("\n".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(LINES)
@example("\r\xad")
def test_mending_twice_is_mending_once(text: str) -> None:
    once = mend(text)
    assert mend(once.text).text == once.text
    assert (once.text == text) == (not once.changes)


# ---- the command ----


def test_the_command_prints_the_text_and_the_changes_apart(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(AS_PRINTED)])
    assert result.exit_code == 0
    assert result.stdout == mend(AS_PRINTED.read_text()).text
    assert f"{AS_PRINTED}: lines 22 to 33: indented by four blanks\n" in result.stderr
    again = tmp_path / "fixed.cf"
    again.write_text(result.stdout)
    result = CliRunner().invoke(command, [str(again)])
    assert (result.exit_code, result.stderr) == (0, f"{again}: nothing to mend\n")


def test_a_diff(tmp_path: Path) -> None:
    file = tmp_path / "a.cf"
    file.write_text("virtual=5\nreal=10.0.0.2 gate")
    result = CliRunner().invoke(command, ["--diff", str(file)])
    assert result.stdout.splitlines()[2:] == [
        "@@ -1,2 +1,2 @@",
        " virtual=5",
        "-real=10.0.0.2 gate",
        "+    real=10.0.0.2 gate",
    ]


def test_faults_that_remain(tmp_path: Path) -> None:
    file = tmp_path / "a.cf"
    file.write_text("virtual=5\nreal=10.0.0.2 nat\n")
    result = CliRunner().invoke(command, [str(file)])
    assert result.exit_code == 1
    assert result.stdout == "virtual=5\n    real=10.0.0.2 nat\n"
    assert f"{file}:2:19: error[bad-method]: gate, masq or ipip, not `nat`" in result.stderr


def test_bytes_that_are_no_text_come_out_as_they_went_in(tmp_path: Path) -> None:
    file = tmp_path / "a.cf"
    file.write_bytes(b"virtual=5\nreal=10.0.0.2 gate\n# caf\xe9\n")
    result = CliRunner().invoke(command, [str(file)])
    assert result.stdout_bytes == b"virtual=5\n    real=10.0.0.2 gate\n    # caf\xe9\n"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(tmp_path / "no")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"keepalivedctl: {tmp_path / 'no'}: No such file or directory\n"


def test_faults_that_remain_in_a_keepalived_conf(tmp_path: Path) -> None:
    (tmp_path / "part.conf").write_text("vrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 300\n}\n")
    file = tmp_path / "a.conf"
    file.write_text("global_defs {\n    lvs_id LB1\n}\ninclude part.conf\nvirtual_sever 10.0.0.1 80 {\n}\n")
    result = CliRunner().invoke(command, [str(file)])
    assert result.exit_code == 1
    assert "    router_id LB1\n" in result.stdout
    assert f"{tmp_path / 'part.conf'}:3:23: error[" in result.stderr
    assert f"{file}:5:1: " in result.stderr
    assert "`virtual_server`" in result.stderr


def test_a_keepalived_conf_that_is_right_afterwards(tmp_path: Path) -> None:
    """For a machine with an interface that this one lacks; nothing is left beside the file."""
    file = tmp_path / "a.conf"
    file.write_text(
        "global_defs {\n    lvs_id LB1\n}\nvrrp_instance VI_1 {\n    state SLAVE\n    interface far0\n"
        "    virtual_router_id 3\n    priority 100\n    virtual_ipaddress {\n        10.0.0.9/24\n    }\n}\n"
    )
    result = CliRunner().invoke(command, [str(file)])
    assert (result.exit_code, "error" in result.stderr) == (0, False), result.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["a.conf"]
