"""Every finding has a golden file: some file of the tests shows it word for word.

Most stand beside the broken and accepted configurations of the two dialects. Those that need a special machine,
several files or tight limits are made here; UPDATE_GOLDEN=1 writes them.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pykeepalived.diagnostics.render import short
from pykeepalived.dialects.keepalived import load
from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.syntax.limits import Limits
from tests.dialects.keepalived.fake_host import FakeHost
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost as LdirectordHost

ROOT = Path(__file__).parents[2]
GOLDENS = Path(__file__).parent / "goldens"
SAYING = {"add", "error", "warning", "note", "say", "hint", "rule", "Diagnostic", "Problem", "Bad"}
ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+")


class LinkedHost(FakeHost):
    """/bin is a link to /usr/bin."""

    def real_path(self, path: str) -> str:
        return path.replace("/bin", "/usr/bin", 1) if path.startswith("/bin") else path


_INSTANCE = """vrrp_instance VI_1 {{
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {{
        192.0.2.1
    }}
{}}}
"""
_SECURE = "global_defs {\n    enable_script_security\n    script_user root\n}\n"


def instance(*lines: str) -> str:
    return _INSTANCE.format("".join(f"    {line}\n" for line in lines))


#: What stands in the file, and how it is loaded.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "check-unavailable": (
        "virtual_server 10.0.0.1 80 {\n real_server 10.0.1.1 80 {\n  HTTP_GET {\n   url {\n    path /\n"
        '    regex "("\n   }\n  }\n }\n}\n',
        {},
    ),
    "block-inside-block": (
        instance().rstrip().removesuffix("}") + "\nvrrp_script s {\n    script /usr/bin/true\n}\n",
        {},
    ),
    "no-such-namespace": ("net_namespace nowhere\n" + instance(), {}),
    "script-by-search": (instance("notify_master true"), {}),
    "script-not-executable": ("global_defs {\n    script_user nobody\n}\n" + instance("notify /usr/bin/private"), {}),
    "script-behind-link": (_SECURE + instance("notify_master /bin/sh"), {"host": LinkedHost()}),
    "deprecated-form": ("global_defs {\n    lvs_sync_daemon eth0 VI_1 5\n}\n" + instance(), {}),
    "two-authentications": (
        instance("version 3", "authentication {", "auth_type PASS", "auth_pass x", "}",
                 "auth_hmac {", 'key 1 "0123456789abcdef0123456789abcdef"', "active_key 1", "}"),
        {},
    ),
    "duplicate-key": (
        instance("version 3", "auth_hmac {", 'key 1 "0123456789abcdef0123456789abcdef"',
                 'key 1 "fedcba9876543210fedcba9876543210"', "}"),
        {},
    ),
    "bad-mac": (instance("use_vmac vrrp.51 01:02:03:04:05:06"), {}),
    "empty-word": ('global_defs {\n    router_id ""\n}\n', {}),
    "delay-too-long": ("interface_up_down_delays {\n    eth0 9 9\n}\n" + instance(), {}),
    "two-firewalls": ("global_defs {\n    nftables\n    vrrp_iptables\n}\n" + instance(), {}),
    "needs-iptables": ("global_defs {\n    vrrp_ipsets\n}\n" + instance(), {}),
    "duplicate-vmac": (
        instance("use_vmac a 02:00:00:00:00:01")
        + instance("use_vmac b 02:00:00:00:00:01").replace("VI_1", "VI_2").replace("id 51", "id 52"),
        {},
    ),
    "unicast-without-peers": (instance("unicast_ttl 7"), {}),
    "too-many-findings": ("a\nb\nc\nd\n", {"limits": Limits(findings=2)}),
    "too-many-files": ("include other.conf\n", {"limits": Limits(include_depth=1)}),
    "include-of-itself": ("include *.conf\n", {}),
    "config-file-unusable": ("includer program.conf\n", {}),
    "line-too-long": (f"router_id {'x' * 30}\n", {"limits": Limits(line_characters=20)}),
    "definition-too-long": ("$A= \\\na \\\nb \\\nc\n", {"limits": Limits(definition_lines=2)}),
}  # fmt: skip


class BareHost(LdirectordHost):
    """No library, no program, and no file can be read."""

    def read_problem(self, path: str) -> str | None:
        del path
        return "No such file or directory"

    def has_module(self, name: str) -> bool:
        del name
        return False

    def has_program(self, name: str) -> bool:
        del name
        return False


def service(*lines: str) -> str:
    return "virtual=192.0.2.1:80\n\treal=192.0.2.10:80 masq\n" + "".join(f"\t{line}\n" for line in lines)


LDIRECTORD_CASES: dict[str, tuple[str, LdirectordHost]] = {
    "unknown-compat": ("# pyldirectord: compat=loose\nchecktimeout = 3\n", LdirectordHost()),
    "empty-fallback": ("fallback =\n", LdirectordHost()),
    "check-never-fails": (
        "# pyldirectord: compat=strict\n" + service("service=pop", "checktype=negotiate"),
        LdirectordHost(),
    ),
    "missing-library": (
        service("service=mysql", "checktype=negotiate", "login=a", "passwd=b", "database=c", "request=d"),
        BareHost(),
    ),
    "missing-program": (service('checkcommand="/bin/x"', "checktype=external-perl"), BareHost()),
    "unreadable-file": ('tlsca="/nowhere"\n', BareHost()),
}


def check(name: str, found: str) -> None:
    golden = GOLDENS / f"{name}.expected"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert f"[{name}]" in found
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_findings_of_special_places(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, more = CASES[name]
    monkeypatch.chdir(tmp_path)
    Path("a.conf").write_text(text)
    Path("other.conf").write_text("")
    Path("program.conf").write_text("")
    Path("program.conf").chmod(0o755)
    result = load("a.conf", config_id="lb1", **{"host": FakeHost(), **more})
    lines = [short(item) for item in result.findings.items if item.id != "no-effect-yet"]
    check(name, "\n".join([*lines, f"exit {int(result.exit_class)}", ""]))


@pytest.mark.parametrize("name", LDIRECTORD_CASES)
def test_findings_of_special_places_in_ldirectord_files(name: str) -> None:
    text, host = LDIRECTORD_CASES[name]
    result = load_text(text, "a.cf", host=host)
    check(name, "".join(f"{short(item)}\n" for item in result.findings.items))


def identifiers(tree: ast.AST) -> Iterator[str]:
    """The ids that a module says: the first plain string of a call that makes a finding, when it looks like one."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in SAYING:
            given = [*node.args[:2], *(each.value for each in node.keywords if each.arg in ("id", "identifier"))]
            for each in given:
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and ID.fullmatch(each.value):
                    yield each.value
                    break


def test_every_finding_of_the_languages_has_a_golden_file() -> None:
    """Those of `keepalivedctl doctor` are about machines: tests/doctor/test_doctor_rest.py counts them."""
    said: set[str] = set()
    for package in ("syntax", "dialects", "diagnostics", "tools/lint", "tools/fix", "tools/convert"):
        for path in (ROOT / "pykeepalived" / package).rglob("*.py"):
            said.update(identifiers(ast.parse(path.read_text(encoding="utf-8"))))
    shown: set[str] = set()
    for path in (ROOT / "tests").rglob("*"):
        if path.suffix in (".expected", ".txt"):
            shown.update(re.findall(r"(?:error|warning|note)\[([a-z0-9-]+)\]", path.read_text(encoding="utf-8")))
    # Said about a word of a table, whose number shrinks; tests/dialects/keepalived/test_keepalived_rows.py has it.
    shown.add("no-effect-yet")
    assert len(said) > 150
    assert sorted(said - shown) == []
