"""Every word of the trackers, from the text of a file to the priority of an instance."""

import pytest

from pykeepalived.dialects.keepalived.load import load
from pykeepalived.vrrp.events import (
    BfdChanged,
    FileChanged,
    LinkChanged,
    ProcessCount,
    SourceAddressChanged,
    Start,
    Tick,
)
from pykeepalived.vrrp.router import Router
from tests.dialects.keepalived.fake_host import FakeHost

SECOND = 1_000_000
INSTANCE = """
vrrp_instance %s {
    interface eth0
    virtual_router_id %d
    priority 100
    virtual_ipaddress {
        10.0.0.%d
    }
    %s
}
"""
NEWS = {
    "file": (FileChanged("x", 4), FileChanged("x", 0)),
    "process": (ProcessCount("x", 1), ProcessCount("x", 0)),
    "bfd": (BfdChanged("x", True), BfdChanged("x", False)),
}


def run(tmp_path, text, *values):
    path = tmp_path / "keepalived.conf"
    path.write_text(text)
    config = load(str(path), config_id="lb1", host=FakeHost()).config
    router = Router(config)
    router.handle(LinkChanged("eth0", True), 0)
    for item in config.instances:
        router.handle(SourceAddressChanged(item.name, "10.0.0.250"), 0)
    for value in values:
        router.handle(value, 0)
    router.handle(Start(), 0)
    return router


def standing(router, at=0):
    status = router.status()[at]
    return "FAULT" if status.state.name == "FAULT" else status.effective_priority


def definition(kind, words):
    if kind == "file":
        return f"track_file x {{\n file /tmp/x\n {words}\n}}\n"
    if kind == "process":
        return f"vrrp_track_process x {{\n process nginx\n {words}\n}}\n"
    return f"bfd_instance x {{\n neighbor_ip 10.0.0.2\n {words}\n}}\n"


@pytest.mark.shows(
    "vrrp_instance.{track_file,track_process,track_bfd}.{weight,reverse,noreverse}",
    "{track_file,vrrp_track_process}.weight",
    "vrrp_instance.{track_file,track_process}",
)  # fmt: skip
@pytest.mark.parametrize("kind", list(NEWS))
@pytest.mark.parametrize(
    ("own", "reference", "well", "ill"),
    [
        ("weight 10", "", 110, 100),
        ("weight 10 reverse", "", 90, 100),
        ("weight 10 reverse", "weight 5 noreverse", 105, 100),
        ("weight 10", "weight 5 reverse", 95, 100),
        ("weight 10", "weight 0", 100, "FAULT"),
        ("weight 10", "weight 0 reverse", "FAULT", 100),
    ],
)
def test_weights_and_reverse_of_an_instance(*, tmp_path, kind, own, reference, well, ill):
    if kind == "file":
        # A number, not a condition: it is counted 4 times, and as a condition it is bad when it is not 0.
        times = {110: 140, 90: 60, 105: 120, 95: 80}
        if reference.startswith("weight 0"):
            well, ill = ill, well
        well, ill = times.get(well, well), times.get(ill, ill)
    text = definition(kind, own)
    text += INSTANCE % ("A", 51, 51, f"track_{kind} {{\n x {reference}\n}}")
    good, bad = NEWS[kind]
    assert standing(run(tmp_path, text, good)) == well
    assert standing(run(tmp_path, text, bad)) == ill


@pytest.mark.shows(
    "vrrp_sync_group.{track_file,track_process,track_bfd}.{weight,reverse,noreverse}",
    "vrrp_sync_group.{track_file,track_process,track_bfd}",
)
@pytest.mark.parametrize("kind", list(NEWS))
@pytest.mark.parametrize(
    ("reference", "changed", "plain"),
    [("weight 10", 110, 100), ("weight 10 reverse", 90, 100), ("weight 10 noreverse", 110, 100)],
)
def test_weights_and_reverse_of_a_sync_group(*, tmp_path, kind, reference, changed, plain):
    if kind == "file":
        changed = {110: 140, 90: 60}[changed]
    own = "weight 1 reverse" if "noreverse" in reference else "weight 1"
    text = definition(kind, own)
    text += INSTANCE % ("A", 51, 51, "") + INSTANCE % ("B", 52, 52, "")
    text += f"vrrp_sync_group G {{\n group {{\n A\n B\n}}\n track_{kind} {{\n x {reference}\n}}\n%s\n}}\n"
    good, bad = NEWS[kind]
    router = run(tmp_path, text % "sync_group_tracking_weight", good)
    assert [standing(router, 0), standing(router, 1)] == [changed, changed]
    router = run(tmp_path, text % "sync_group_tracking_weight", bad)
    assert [standing(router, 0), standing(router, 1)] == [plain, plain]
    # Without the word no weight counts.
    router = run(tmp_path, text % "", good)
    assert [standing(router, 0), standing(router, 1)] == [100, 100]


@pytest.mark.shows("vrrp_track_file", "vrrp_track_file.{file,weight}")
def test_the_older_name_of_a_track_file(tmp_path):
    text = "vrrp_track_file x {\n file /tmp/x\n weight 2\n}\n"
    text += INSTANCE % ("A", 51, 51, "track_file {\n x\n}")
    assert standing(run(tmp_path, text, FileChanged("x", 3))) == 106


@pytest.mark.shows("vrrp_track_process.{quorum,quorum_max}")
def test_quorum_words(tmp_path):
    text = definition("process", "quorum 2\n quorum_max 3")
    text += INSTANCE % ("A", 51, 51, "track_process {\n x\n}")
    found = {count: standing(run(tmp_path, text, ProcessCount("x", count))) for count in range(1, 5)}
    assert found == {1: "FAULT", 2: 100, 3: 100, 4: "FAULT"}


@pytest.mark.shows("vrrp_track_process.{delay,fork_delay,terminate_delay}")
@pytest.mark.parametrize(
    ("words", "loss_s", "gain_s"),
    [("delay 2", 2, 2), ("terminate_delay 3", 3, 0), ("fork_delay 1.5", 0, 1.5), ("", 0, 0)],
)
def test_delay_words(tmp_path, words, loss_s, gain_s):
    text = definition("process", words)
    text += INSTANCE % ("A", 51, 51, "track_process {\n x\n}")
    router = run(tmp_path, text, ProcessCount("x", 1))

    def change(count, at, wait_s):
        router.handle(ProcessCount("x", count), at)
        before = standing(router)
        router.handle(Tick(), at + int(wait_s * SECOND) - 1)
        if wait_s:
            assert standing(router) == before
        router.handle(Tick(), at + int(wait_s * SECOND))
        return standing(router)

    assert change(0, SECOND, loss_s) == "FAULT"
    assert change(1, 10 * SECOND, gain_s) == 100
