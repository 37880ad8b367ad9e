"""Files, processes, BFD sessions and static track groups: faults, weights, delays (keepalived-behaviour 7.8 and 8)."""

import pytest

from pykeepalived.model.bfd import BfdInstance
from pykeepalived.model.common import IpPrefix
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import (
    SyncGroup,
    TrackBfd,
    TrackedFile,
    TrackedProcess,
    TrackFile,
    TrackGroup,
    TrackProcess,
    VirtualAddress,
)
from pykeepalived.vrrp.events import (
    BfdChanged,
    FileChanged,
    LinkChanged,
    Log,
    ProcessCount,
    SourceAddressChanged,
    Start,
    Tick,
)
from pykeepalived.vrrp.router import Router
from tests.vrrp.playbook import instance

SECOND = 1_000_000


def started(config, *values, now=0):
    router = Router(config)
    for name in {item.interface for item in config.instances} | {"eth1"}:
        router.handle(LinkChanged(name, True), now)
    for item in config.instances:
        router.handle(SourceAddressChanged(item.name, "10.0.0.1"), now)
    for value in values:
        router.handle(value, now)
    router.handle(Start(), now)
    return router


def standing(router, at=0):
    status = router.status()[at]
    return status.effective_priority, status.state.name


def lines(actions):
    return [action.text for action in actions if isinstance(action, Log)]


@pytest.mark.parametrize(
    ("content", "weight", "reverse", "priority", "state"),
    [
        (0, 0, False, 100, "BACKUP"),
        (1, 0, False, 100, "FAULT"),
        (-1, 0, False, 100, "FAULT"),
        (0, 0, True, 100, "FAULT"),
        (7, 0, True, 100, "BACKUP"),
        (5, 2, False, 110, "BACKUP"),
        (5, 2, True, 90, "BACKUP"),
        (-5, 2, False, 90, "BACKUP"),
        (500, 1, False, 254, "BACKUP"),
        (-253, 1, False, 1, "BACKUP"),
        (-254, 1, False, 100, "FAULT"),
        (127, -2, False, 100, "FAULT"),
        (-127, 2, True, 254, "BACKUP"),
        (None, 3, False, 100, "BACKUP"),
    ],
)
def test_what_a_tracked_file_does(content, weight, reverse, priority, state):
    config = Config(
        instances=(instance(track_files=(TrackedFile("f", weight, reverse),)),),
        track_files=(TrackFile(name="f", path="/f"),),
    )
    values = () if content is None else (FileChanged("f", content),)
    assert standing(started(config, *values)) == (priority, state)


def test_the_weight_of_the_file_counts_where_none_is_said():
    config = Config(
        instances=(instance(track_files=(TrackedFile("f"),)),), track_files=(TrackFile(name="f", path="/f", weight=3),)
    )
    router = started(config, FileChanged("f", 4))
    assert standing(router) == (112, "BACKUP")
    router.handle(FileChanged("f", -4), SECOND)
    assert standing(router) == (88, "BACKUP")


def test_a_file_has_lines_of_its_own_in_the_log():
    config = Config(
        instances=(instance(track_files=(TrackedFile("f", 0),)),), track_files=(TrackFile(name="f", path="/f"),)
    )
    router = started(config)
    assert "(A): tracked file f now FAULT state" in lines(router.handle(FileChanged("f", 1), SECOND))
    assert standing(router)[1] == "FAULT"
    assert "(A): tracked file f leaving FAULT state" in lines(router.handle(FileChanged("f", 0), 2 * SECOND))
    assert standing(router)[1] == "BACKUP"


@pytest.mark.parametrize(
    ("tracked", "weighted", "expected"),
    [
        (TrackedFile("f"), False, (100, "FAULT")),  # the default weight counts as 0
        (TrackedFile("f", 2), False, (100, "BACKUP")),  # a weight is ignored
        (TrackedFile("f", 0), False, (100, "FAULT")),
        (TrackedFile("f"), True, (105, "BACKUP")),
    ],
)
def test_files_in_a_sync_group(tracked, weighted, expected):
    config = Config(
        instances=(instance("A", track_files=(tracked,)), instance("B", vrid=2)),
        sync_groups=(SyncGroup(name="G", members=("A", "B"), tracking_weight=weighted),),
        track_files=(TrackFile(name="f", path="/f"),),
    )
    router = started(config, FileChanged("f", 5))
    assert standing(router) == expected
    assert standing(router, 1)[1] == expected[1]


@pytest.mark.parametrize("kind", ["file", "process", "bfd"])
def test_what_the_group_tracks_its_members_suffer(kind):
    lists = {
        "file": {"track_files": (TrackedFile("x", 0),)},
        "process": {"track_processes": (TrackedProcess("x"),)},
        "bfd": {"track_bfds": (TrackBfd("x"),)},
    }[kind]
    good, bad = {
        "file": (FileChanged("x", 0), FileChanged("x", 1)),
        "process": (ProcessCount("x", 1), ProcessCount("x", 0)),
        "bfd": (BfdChanged("x", True), BfdChanged("x", False)),
    }[kind]
    config = Config(
        instances=(instance("A"), instance("B", vrid=2)),
        sync_groups=(SyncGroup(name="G", members=("A", "B"), **lists),),
        track_files=(TrackFile(name="x", path="/x"),),
        track_processes=(TrackProcess(name="x", process="x"),),
        bfd_instances=(BfdInstance(name="x", neighbor="10.0.0.2"),),
    )
    router = started(config, good)
    assert [item.state.name for item in router.status()] == ["BACKUP", "BACKUP"]
    router.handle(bad, SECOND)
    assert [item.state.name for item in router.status()] == ["FAULT", "FAULT"]
    router.handle(good, 2 * SECOND)
    assert [item.state.name for item in router.status()] == ["BACKUP", "BACKUP"]


def process_config(**more):
    tracked = more.pop("tracked", TrackedProcess("p"))
    return Config(
        instances=(instance(track_processes=(tracked,)),),
        track_processes=(TrackProcess(name="p", process="p", **more),),
    )


@pytest.mark.parametrize(
    ("settings", "count", "up"),
    [
        ({}, 0, False),
        ({}, 1, True),
        ({}, 9, True),
        ({"quorum": 3}, 2, False),
        ({"quorum": 3}, 3, True),
        ({"quorum_max": 3}, 3, True),
        ({"quorum_max": 3}, 4, False),
        ({"quorum": 0, "quorum_max": 0}, 0, True),
        ({"quorum": 0, "quorum_max": 0}, 1, False),
    ],
)
@pytest.mark.parametrize(
    ("weight", "reverse", "well", "ill"),
    [
        (0, False, (100, "BACKUP"), (100, "FAULT")),
        (0, True, (100, "FAULT"), (100, "BACKUP")),
        (10, False, (110, "BACKUP"), (100, "BACKUP")),
        (-10, False, (100, "BACKUP"), (90, "BACKUP")),
        (10, True, (90, "BACKUP"), (100, "BACKUP")),
    ],
)
def test_what_a_tracked_process_does(*, settings, count, up, weight, reverse, well, ill):
    config = process_config(tracked=TrackedProcess("p", weight, reverse), **settings)
    assert standing(started(config, ProcessCount("p", count))) == (well if up else ill)


def test_a_process_that_was_never_counted_is_missing():
    assert standing(started(process_config()))[1] == "FAULT"


def test_losses_and_gains_wait_for_their_delays():
    router = started(process_config(terminate_delay_us=2 * SECOND, fork_delay_us=SECOND), ProcessCount("p", 1))
    assert standing(router)[1] == "BACKUP"
    router.handle(ProcessCount("p", 0), 1 * SECOND)
    assert standing(router)[1] == "BACKUP"
    assert router.process_status()[0].waiting
    # Back in time: nothing has happened.
    router.handle(ProcessCount("p", 1), 2 * SECOND)
    router.handle(Tick(), 3 * SECOND)
    assert standing(router)[1] == "BACKUP"
    router.handle(ProcessCount("p", 0), 3 * SECOND + 5)
    assert router.wake_at() <= 5 * SECOND + 5
    found = router.handle(Tick(), 5 * SECOND + 5)
    assert "Quorum lost for tracked process p" in lines(found)
    assert standing(router)[1] == "FAULT"
    router.handle(ProcessCount("p", 1), 6 * SECOND)
    assert standing(router)[1] == "FAULT"
    assert router.wake_at() == 7 * SECOND
    assert "Quorum gained for tracked process p" in lines(router.handle(Tick(), 7 * SECOND))
    assert standing(router)[1] == "BACKUP"


@pytest.mark.parametrize(
    ("tracked", "own", "up", "expected"),
    [
        (TrackBfd("b"), {}, None, (100, "FAULT")),
        (TrackBfd("b"), {}, True, (100, "BACKUP")),
        (TrackBfd("b", 0, True), {}, True, (100, "FAULT")),
        (TrackBfd("b"), {"weight": 20}, True, (120, "BACKUP")),
        (TrackBfd("b"), {"weight": -20}, False, (80, "BACKUP")),
        (TrackBfd("b", -30), {"weight": 20}, False, (70, "BACKUP")),
        (TrackBfd("b", 30, True), {}, True, (70, "BACKUP")),
    ],
)
def test_what_a_tracked_session_does(tracked, own, up, expected):
    config = Config(
        instances=(instance(track_bfds=(tracked,)),),
        bfd_instances=(BfdInstance(name="b", neighbor="10.0.0.2", **own),),
    )
    values = () if up is None else (BfdChanged("b", up),)
    assert standing(started(config, *values)) == expected


def test_values_outlive_a_reload_and_new_trackers_find_them():
    plain = Config(
        instances=(instance(),),
        track_files=(TrackFile(name="f", path="/f"),),
        track_processes=(TrackProcess(name="p", process="p"),),
        bfd_instances=(BfdInstance(name="b", neighbor="10.0.0.2"),),
    )
    router = started(plain, FileChanged("f", 0), ProcessCount("p", 1), BfdChanged("b", True))
    tracked = instance(
        track_files=(TrackedFile("f", 2),), track_processes=(TrackedProcess("p"),), track_bfds=(TrackBfd("b"),)
    )
    router.handle(FileChanged("f", 7), SECOND)
    found = router.reload(
        Config(
            instances=(tracked,),
            track_files=plain.track_files,
            track_processes=plain.track_processes,
            bfd_instances=plain.bfd_instances,
        ),
        2 * SECOND,
    )
    assert standing(router) == (114, "BACKUP")
    assert not [line for line in lines(found) if "FAULT" in line]


def test_the_interface_of_a_static_address_faults_its_track_group():
    address = VirtualAddress(prefix=IpPrefix("10.1.0.1", 24), dev="eth1", track_group="statics")
    config = Config(
        instances=(instance("A"), instance("B", vrid=2)),
        static_addresses=(address,),
        track_groups=(TrackGroup("statics", ("A",)),),
    )
    router = started(config)
    assert [item.state.name for item in router.status()] == ["BACKUP", "BACKUP"]
    router.handle(LinkChanged("eth1", False), SECOND)
    assert [item.state.name for item in router.status()] == ["FAULT", "BACKUP"]
    router.handle(LinkChanged("eth1", True), 2 * SECOND)
    assert [item.state.name for item in router.status()] == ["BACKUP", "BACKUP"]


def test_events_about_unknown_names_change_nothing():
    router = started(Config(instances=(instance(),)))
    for event in (FileChanged("x", 1), ProcessCount("x", 1), BfdChanged("x", True)):
        assert router.handle(event, SECOND) == ()
