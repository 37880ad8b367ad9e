"""From words of global_defs to what each process asks of the kernel, and to names and rights."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pykeepalived.dialects.keepalived import FileFacts
from pykeepalived.model.config import GlobalDefs
from pykeepalived.notify.mail import relay_of
from pykeepalived.processes import names
from pykeepalived.reactor import Reactor
from pykeepalived.runtime import process_settings
from pykeepalived.runtime.life_scripts import LifeScripts
from pykeepalived.runtime.process_settings import AutoPriority, ProcessSettings, parent_name
from tests.dialects.keepalived.fake_host import FakeHost
from tests.effects.test_effects_words import read

#: Every process with its words, written out: so is seen which test shows them.
WORDS = {
    "vrrp": (
        "vrrp_priority -3", "vrrp_no_swap", "vrrp_rt_priority 9", "vrrp_cpu_affinity 0", "vrrp_rlimit_rttime 20000",
    ),
    "checker": (
        "checker_priority -3", "checker_no_swap", "checker_rt_priority 9", "checker_cpu_affinity 0",
        "checker_rlimit_rttime 20000",
    ),
    "bfd": ("bfd_priority -3", "bfd_no_swap", "bfd_rt_priority 9", "bfd_cpu_affinity 0", "bfd_rlimit_rttime 20000"),
}  # fmt: skip
OLDER = {
    "vrrp": "vrrp_rlimit_rtime 30000",
    "checker": "checker_rlimit_rtime 30000",
    "bfd": "bfd_rlimit_rtime 30000",
}


def settings(tmp_path: Path, *words: str) -> GlobalDefs:
    result = read(tmp_path, "\n".join(["global_defs {", *words, "}", ""]))
    assert not result.exit_class, result.findings.items
    return result.config.globals


class Libc:
    """A C library that locks no memory and writes down that it was asked to."""

    def __init__(self, asked: list[tuple[Any, Any]]) -> None:
        self._asked = asked

    def mlockall(self, flags: int) -> int:
        self._asked.append(("locked", True))
        return 0

    def munlockall(self) -> int:
        self._asked.append(("locked", False))
        return 0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """What the kernel is asked for, in order."""
    found: list[tuple[Any, Any]] = []
    monkeypatch.setattr(os, "setpriority", lambda which, who, nice: found.append(("nice", nice)))
    monkeypatch.setattr(os, "sched_setscheduler", lambda pid, policy, param: found.append(("rt", param.sched_priority)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: found.append(("cpus", tuple(cpus))))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: found.append((what, limits)))
    monkeypatch.setattr(names, "set_comm", lambda name: found.append(("name", name)))
    monkeypatch.setattr(signal, "pthread_sigmask", lambda how, numbers: None)
    monkeypatch.setattr(process_settings.ctypes, "CDLL", lambda *_, **__: Libc(found))
    return found


@pytest.mark.shows(
    "global_defs.{vrrp,checker,bfd}_{priority,no_swap,rt_priority,cpu_affinity,rlimit_rttime}",
)
@pytest.mark.parametrize("process", WORDS)
def test_words_of_one_process(process: str, asked: list[tuple[Any, Any]], tmp_path: Path) -> None:
    complaints: list[str] = []
    for other in WORDS:
        ProcessSettings(other, complaints.append).apply(settings(tmp_path, *WORDS[process]))
        limit = (resource.RLIMIT_RTTIME, (20_000, 10_000_000))
        own = [("cpus", (0,)), ("nice", -3), ("rt", 9), limit, ("locked", True)]
        assert asked == (own if other == process else [])
        del asked[:]
    assert complaints == []


@pytest.mark.shows("global_defs.{vrrp,checker,bfd}_rlimit_rtime")
@pytest.mark.parametrize("process", OLDER)
def test_the_older_spelling_of_a_limit(process: str, asked: list[tuple[Any, Any]], tmp_path: Path) -> None:
    rt = next(word for word in WORDS[process] if "_rt_" in word)
    ProcessSettings(process, print).apply(settings(tmp_path, rt, OLDER[process]))
    assert (resource.RLIMIT_RTTIME, (30_000, 10_000_000)) in asked


@pytest.mark.shows("global_defs.{process_names,process_name,vrrp_process_name,checker_process_name,bfd_process_name}")
@pytest.mark.parametrize(
    ("process", "words", "name"),
    [
        ("vrrp", (), None),
        ("vrrp", ("process_names",), "keepalived_vrrp"),
        ("checker", ("process_names",), "keepalived_lvs"),
        ("vrrp", ("process_name router",), "router"),
        ("vrrp", ("process_names", "vrrp_process_name masters"), "masters"),
        ("checker", ("checker_process_name director",), "director"),
        ("bfd", ("bfd_process_name paths",), "paths"),
    ],
)
def test_names_of_processes(
    process: str, words: tuple[str, ...], name: str | None, asked: list[tuple[Any, Any]], tmp_path: Path
) -> None:
    found = settings(tmp_path, *words)
    ProcessSettings(process, print).apply(found)
    assert dict(asked).get("name") == name
    if "process_name router" in words:
        assert parent_name(found) == "router"


@pytest.mark.shows("global_defs.{max_auto_priority,min_auto_priority_delay}")
def test_how_far_a_late_process_raises_its_priority(
    asked: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getparam", lambda pid: os.sched_param(dict(asked).get("rt", 0)))
    automatic = AutoPriority(lambda line: None, "VRRP")
    assert not automatic.configure(settings(tmp_path))
    assert automatic.configure(settings(tmp_path, "max_auto_priority 2", "min_auto_priority_delay 5000"))
    automatic.late(4_999)
    assert asked == []
    for _ in range(3):
        automatic.late(5_000)
    assert [value for word, value in asked if word == "rt"][:2] == [1, 2]
    assert dict(asked)["rt"] == 2


class Programs(FakeHost):
    """Where every file is a program of root's."""

    def file(self, path: str) -> FileFacts:
        return super().file("/usr/bin/true")

    def real_path(self, path: str) -> str:
        return path


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    detail = error = info


@pytest.mark.shows("global_defs.{startup_script,shutdown_script}")
@pytest.mark.parametrize(
    ("moment", "said"), [("Startup", "Running startup script"), ("Shutdown", "Running shutdown script")]
)
def test_scripts_around_everything(moment: str, said: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/ran\n')
    script.chmod(0o755)
    words = ("script_user root", "enable_script_security", f'startup_script "{script} Startup"')
    text = "\n".join(["global_defs {", *words, f'shutdown_script "{script} Shutdown"', "}", ""])
    found = read(tmp_path, text, Programs()).config.globals
    log, ended, reactor = Log(), [], Reactor()
    scripts = LifeScripts(reactor, log)
    try:
        scripts.run(moment, found, lambda: ended.append(moment))
        deadline = time.monotonic() + 60
        while not ended and time.monotonic() < deadline:
            reactor.turn(20_000)
    finally:
        scripts.close()
        reactor.close()
    assert (ended, (tmp_path / "ran").read_text()) == ([moment], f"{moment}\n")
    assert log.lines == [f"{said} {script}"]


@pytest.mark.shows("global_defs.smtp_tls_verify")
@pytest.mark.parametrize(("word", "verifies"), [("", True), ("smtp_tls_verify off", False)])
def test_whether_a_mail_server_must_prove_who_it_is(word: str, verifies: bool, tmp_path: Path) -> None:
    mails = ("smtp_server 192.0.2.25", "notification_email {", "a@example.net", "}", "smtp_tls starttls", word)
    found = relay_of(settings(tmp_path, *mails).mail)
    assert found is not None and found.tls is not None
    assert found.tls.verify is verifies
