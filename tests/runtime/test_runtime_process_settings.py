"""global_defs words about processes: what each child asks of the kernel, and nothing of the others' words."""

import os
import resource
import signal

import pytest

from pykeepalived.model.config import GlobalDefs
from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.processes import names
from pykeepalived.runtime import process_settings
from pykeepalived.runtime.process_settings import AutoPriority, ProcessSettings, parent_name


@pytest.fixture
def taken(monkeypatch):
    """What the kernel is asked for, in order."""
    asked = []
    monkeypatch.setattr(os, "setpriority", lambda which, who, nice: asked.append(("nice", nice)))
    monkeypatch.setattr(os, "sched_setscheduler", lambda pid, policy, param: asked.append(("rt", param.sched_priority)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: asked.append(("cpus", tuple(cpus))))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: asked.append((what, limits)))
    monkeypatch.setattr(names, "set_comm", lambda name: asked.append(("name", name)))
    monkeypatch.setattr(signal, "pthread_sigmask", lambda how, numbers: None)

    class Libc:
        def __init__(self, *_, **__):
            pass

        def mlockall(self, flags):
            asked.append(("locked", True))
            return 0

        def munlockall(self):
            asked.append(("locked", False))
            return 0

    monkeypatch.setattr(process_settings.ctypes, "CDLL", Libc)
    return asked


@pytest.mark.shows("global_defs.{bfd_priority,bfd_no_swap,bfd_rt_priority}")
@pytest.mark.shows("global_defs.{vrrp_priority,vrrp_no_swap,vrrp_rt_priority}")
@pytest.mark.shows("global_defs.{checker_priority,checker_no_swap,checker_rt_priority}")
@pytest.mark.shows("global_defs.{vrrp_cpu_affinity,checker_cpu_affinity,bfd_cpu_affinity}")
@pytest.mark.shows("global_defs.{vrrp_rlimit_rttime,checker_rlimit_rttime,bfd_rlimit_rttime}")
@pytest.mark.parametrize("word", ["vrrp", "checker", "bfd"])
def test_each_process_takes_its_own_words_and_no_others(taken, word):
    complaints = []
    process = ProcessSettings(word, complaints.append)
    others = {}
    for other in {"vrrp", "checker", "bfd"} - {word}:
        others |= {f"{other}_priority": -5, f"{other}_no_swap": True, f"{other}_rt_priority": 3}
        others["daemon"] = DaemonSettings(**{f"{other}_cpu_affinity": (1,), f"{other}_rlimit_rttime": 5})
    process.apply(GlobalDefs(**others))
    assert taken == []
    own = {f"{word}_priority": -3, f"{word}_rt_priority": 9, f"{word}_no_swap": True}
    daemon = DaemonSettings(**{f"{word}_cpu_affinity": (0,), f"{word}_rlimit_rttime": 20_000})
    process.apply(GlobalDefs(**own, daemon=daemon))
    limits = (resource.RLIMIT_RTTIME, (20_000, 10_000_000))
    assert taken == [("cpus", (0,)), ("nice", -3), ("rt", 9), limits, ("locked", True)]
    del taken[:]
    process.apply(GlobalDefs(**own, daemon=daemon))
    assert taken == []  # a reload that changes nothing asks for nothing
    process.apply(GlobalDefs())
    assert ("nice", 0) in taken
    assert ("rt", 0) in taken
    assert ("locked", False) in taken
    assert complaints == []


@pytest.mark.shows("global_defs.{vrrp_rlimit_rtime,checker_rlimit_rtime,bfd_rlimit_rtime,lvs_process_name}")
def test_older_spellings_mean_the_same(tmp_path):
    from pykeepalived.dialects import keepalived as language  # noqa: PLC0415

    file = tmp_path / "keepalived.conf"
    words = [f"{name}_rlimit_rtime 30000" for name in ("vrrp", "checker", "bfd")]
    file.write_text("\n".join(["global_defs {", *words, "lvs_process_name director", "}"]))
    daemon = language.load(str(file), environment={}).config.globals.daemon
    assert (daemon.vrrp_rlimit_rttime, daemon.checker_rlimit_rttime, daemon.bfd_rlimit_rttime) == (30_000,) * 3
    assert daemon.checker_process_name == "director"


@pytest.mark.shows("global_defs.{process_names,process_name,vrrp_process_name,checker_process_name,bfd_process_name}")
def test_names(taken):
    def name(word, **words):
        del taken[:]
        ProcessSettings(word, print).apply(GlobalDefs(daemon=DaemonSettings(**words)))
        return dict(taken).get("name", "keepalived")

    assert name("vrrp") == "keepalived"
    assert [name(word, process_names=True) for word in ("vrrp", "checker", "bfd")] == [
        "keepalived_vrrp",
        "keepalived_lvs",
        "keepalived_bfd",
    ]
    assert name("vrrp", process_name="router") == "router"
    assert name("checker", process_names=True, checker_process_name="director") == "director"
    assert name("bfd", bfd_process_name="paths") == "paths"
    assert name("vrrp", vrrp_process_name="masters", process_names=True) == "masters"
    assert parent_name(GlobalDefs(daemon=DaemonSettings(process_name="router"))) == "router"


@pytest.mark.shows("global_defs.{max_auto_priority,min_auto_priority_delay}")
def test_a_late_process_raises_its_priority_step_by_step(taken, monkeypatch):
    priority = [0]
    monkeypatch.setattr(os, "sched_getparam", lambda pid: os.sched_param(priority[0]))
    monkeypatch.setattr(
        os, "sched_setscheduler", lambda pid, policy, param: priority.__setitem__(0, param.sched_priority)
    )
    lines = []
    automatic = AutoPriority(lines.append, "VRRP")
    assert not automatic.configure(GlobalDefs())
    assert not automatic.configure(GlobalDefs(daemon=DaemonSettings(max_auto_priority=-1)))
    assert automatic.configure(GlobalDefs(daemon=DaemonSettings(max_auto_priority=2, min_auto_priority_delay=5_000)))
    automatic.late(4_999)
    assert priority == [0]
    for expected in (1, 2, 2):
        automatic.late(5_000)
        assert priority == [expected]
    assert len(lines) == 2
