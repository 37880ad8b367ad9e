"""KEEPALIVED-MIB, branch 2: trackers, and the scripts, files, sessions and processes themselves."""

# fmt: off

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pykeepalived.model.vrrp import ParamMatch
from pykeepalived.notify.snmp.facts import Facts, Rows, command, path
from pykeepalived.notify.snmp.mib_vrrp import VRRP
from pykeepalived.notify.snmp.syntax import INDEX, INT, TEXT, TRUE_FALSE, UNSIGNED, WEIGHT, numbers
from pykeepalived.notify.snmp.tree import Column, Syntax, Table
from pykeepalived.units import SECOND_US

_MATCHES: Final = {ParamMatch.NONE: 0, ParamMatch.EXACT: 1, ParamMatch.PARTIAL: 2, ParamMatch.INITIAL: 3}


class Tracked:
    """A tracker with its weight: where none is written, that of what it tracks."""

    def __init__(self, tracker: Any, own: Any) -> None:
        self.name: str = getattr(tracker, "name", None) or tracker.ifname
        weight = tracker.weight
        self.weight: int = weight if weight is not None else getattr(own, "weight", 0)
        self.reverse: bool = tracker.reverse if weight is not None else getattr(own, "reverse", tracker.reverse)


def _tracked(field: str, things: str, *, groups: bool) -> Callable[[Facts], Rows]:
    """Rows of the trackers of one sort: of all instances, or of all groups."""
    def rows(facts: Facts) -> Rows:
        own: Mapping[str, Any] = {}
        if things:
            own = {item.name: item for item in getattr(facts.config, things)}
        return [
            ((owner.number, number), Tracked(tracker, own.get(tracker.name)))
            for owner in (facts.groups if groups else facts.instances)
            for number, tracker in enumerate(getattr(owner.config, field), 1)
        ]
    return rows


def _interfaces(*, groups: bool) -> Callable[[Facts], Rows]:
    """Trackers of interfaces go by the number of the interface."""
    def rows(facts: Facts) -> Rows:
        return [
            ((owner.number, facts.links[tracker.ifname]), Tracked(tracker, None))
            for owner in (facts.groups if groups else facts.instances)
            for tracker in owner.config.track_interfaces
            if tracker.ifname in facts.links
        ]
    return rows


def _tracker_table(number: int, word: str, field: str, things: str, weight: Syntax, *, groups: bool) -> Table:
    name = f"vrrp{'Sync' if groups else ''}Tracked{word}"
    owner = "vrrpSyncGroupIndex" if groups else "vrrpInstanceIndex"
    what = {"Script": "script", "File": "file", "Bfd": "BFD session", "Process": "process"}[word]
    return Table(
        name=name, oid=(*VRRP, number, 1), rows=_tracked(field, things, groups=groups), index=(owner, f"{name}Index"),
        help=f"every {what} that {'a group' if groups else 'an instance'} tracks",
        columns=(
            Column(1, f"{name}Index", INDEX, lambda r: None, "Number of the tracker.", "not-accessible"),
            Column(2, f"{name}Name", TEXT, lambda r: r.name, f"Name of the {what}."),
            Column(3, f"{name}Weight", weight, lambda r: r.weight, "What it adds to the priority; 0: FAULT."),
            Column(4, f"{name}WgtRev", TRUE_FALSE, lambda r: r.reverse, "Whether it counts the other way round."),
        ),
    )


def _interface_table(number: int, *, groups: bool) -> Table:
    name = f"vrrp{'Sync' if groups else ''}TrackedInterface"
    return Table(
        name=name, oid=(*VRRP, number, 1), rows=_interfaces(groups=groups),
        index=("vrrpSyncGroupIndex" if groups else "vrrpInstanceIndex", "ifIndex"),
        help=f"every interface that {'a group' if groups else 'an instance'} tracks",
        columns=(
            Column(1, f"{name}Name", TEXT, lambda r: r.name, "Name of the interface."),
            Column(2, f"{name}Weight", INT, lambda r: r.weight, "What it adds to the priority; 0: FAULT."),
            Column(3, f"{name}WgtRev", TRUE_FALSE if groups else INT, lambda r: r.reverse,
                   "Whether it counts the other way round."),
        ),
    )


class Thing:
    """A script, file, session or process as it was configured, with what is known of it."""

    def __init__(self, config: Any, status: Mapping[str, Any]) -> None:
        self.config = config
        self.status = status


def _things(field: str, part: str) -> Callable[[Facts], Rows]:
    def rows(facts: Facts) -> Rows:
        status = facts.named(part)
        return [
            ((number,), Thing(item, status.get(item.name, {})))
            for number, item in enumerate(getattr(facts.config, field), 1)
        ]
    return rows


def _sessions(facts: Facts) -> Rows:
    status = {item["name"]: item for item in facts.bfd.get("sessions", ())}
    every = [item for item in facts.config.bfd_instances if item.vrrp]
    return [((number,), Thing(item, status.get(item.name, {}))) for number, item in enumerate(every, 1)]


def _script_result(item: Thing) -> str:
    up = item.status.get("up")
    if up is None:
        return "initfailed" if item.config.init_fail else "init"
    return "good" if up else "bad"


TABLES: Final = (
    _interface_table(4, groups=False),
    _tracker_table(5, "Script", "track_scripts", "scripts", INT, groups=False),
    Table(
        name="vrrpScript", oid=(*VRRP, 9, 1), rows=_things("scripts", "scripts"), index=("vrrpScriptIndex",),
        help="periodic scripts",
        columns=(
            Column(1, "vrrpScriptIndex", INDEX, lambda r: None, "Number of the script.", "not-accessible"),
            Column(2, "vrrpScriptName", TEXT, lambda r: r.config.name, "Name of the script."),
            Column(3, "vrrpScriptCommand", TEXT, lambda r: command(r.config.script), "What is run."),
            Column(4, "vrrpScriptInterval", INT, lambda r: r.config.interval_us // SECOND_US,
                   "Seconds between two runs."),
            Column(5, "vrrpScriptWeight", INT, lambda r: r.config.weight, "What it adds to priorities; 0: FAULT."),
            Column(6, "vrrpScriptResult", numbers(init=1, bad=2, good=3, initfailed=5), _script_result,
                   "What its runs say."),
            Column(7, "vrrpScriptRise", UNSIGNED, lambda r: r.config.rise, "Successes that make it good."),
            Column(8, "vrrpScriptFall", UNSIGNED, lambda r: r.config.fall, "Failures that make it bad."),
            Column(9, "vrrpScriptWgtRev", TRUE_FALSE, lambda r: r.config.reverse,
                   "Whether it counts the other way round."),
            Column(10, "vrrpScriptPath", TEXT, lambda r: path(r.config.script), "The program alone."),
            Column(11, "vrrpScriptIntervalUsec", UNSIGNED, lambda r: r.config.interval_us,
                   "Microseconds between two runs."),
            Column(12, "vrrpScriptTimeoutUsec", UNSIGNED, lambda r: r.config.timeout_us,
                   "Microseconds that a run may take."),
        ),
    ),
    _tracker_table(12, "File", "track_files", "track_files", WEIGHT, groups=False),
    Table(
        name="vrrpFile", oid=(*VRRP, 13, 1), rows=_things("track_files", "files"), index=("vrrpFileIndex",),
        help="files whose number counts",
        columns=(
            Column(1, "vrrpFileIndex", INDEX, lambda r: None, "Number of the file.", "not-accessible"),
            Column(2, "vrrpFileName", TEXT, lambda r: r.config.name, "Name of the entry."),
            Column(3, "vrrpFilePath", TEXT, lambda r: r.config.path, "Where the file is."),
            Column(4, "vrrpFileResult", INT, lambda r: r.status.get("value"), "The number in it."),
            Column(5, "vrrpFileWeight", WEIGHT, lambda r: r.config.weight, "What its number is multiplied with."),
            Column(6, "vrrpFileWgtRev", TRUE_FALSE, lambda r: r.config.reverse,
                   "Whether it counts the other way round."),
        ),
    ),
    _interface_table(14, groups=True),
    _tracker_table(15, "Script", "track_scripts", "scripts", INT, groups=True),
    _tracker_table(16, "File", "track_files", "track_files", WEIGHT, groups=True),
    _tracker_table(17, "Bfd", "track_bfds", "bfd_instances", WEIGHT, groups=False),
    Table(
        name="vrrpBfd", oid=(*VRRP, 18, 1), rows=_sessions, index=("vrrpBfdIndex",), help="BFD sessions",
        columns=(
            Column(1, "vrrpBfdIndex", INDEX, lambda r: None, "Number of the session.", "not-accessible"),
            Column(2, "vrrpBfdName", TEXT, lambda r: r.config.name, "Name of the session."),
            Column(3, "vrrpBfdResult", INT, lambda r: int(r.status.get("state") == "Up"), "1 while it is up."),
            Column(4, "vrrpBfdWeight", WEIGHT, lambda r: r.config.weight, "What it adds to priorities; 0: FAULT."),
            Column(5, "vrrpBfdWgtRev", TRUE_FALSE, lambda r: r.config.reverse,
                   "Whether it counts the other way round."),
        ),
    ),
    _tracker_table(19, "Bfd", "track_bfds", "bfd_instances", WEIGHT, groups=True),
    _tracker_table(20, "Process", "track_processes", "track_processes", WEIGHT, groups=False),
    Table(
        name="vrrpProcess", oid=(*VRRP, 21, 1), rows=_things("track_processes", "processes"),
        index=("vrrpProcessIndex",), help="processes that are watched",
        columns=(
            Column(1, "vrrpProcessIndex", INDEX, lambda r: None, "Number of the entry.", "not-accessible"),
            Column(2, "vrrpProcessName", TEXT, lambda r: r.config.name, "Name of the entry."),
            Column(3, "vrrpProcessPath", TEXT, lambda r: r.config.process, "Program that must run."),
            Column(4, "vrrpProcessParams", TEXT, lambda r: " ".join(r.config.parameters), "With these arguments."),
            Column(5, "vrrpProcessParamMatch", numbers(none=0, exact=1, partial=2, initial=3),
                   lambda r: _MATCHES[r.config.param_match], "How arguments are compared."),
            Column(6, "vrrpProcessWeight", WEIGHT, lambda r: r.config.weight, "What it adds to priorities; 0: FAULT."),
            Column(7, "vrrpProcessWgtRev", TRUE_FALSE, lambda r: r.config.reverse,
                   "Whether it counts the other way round."),
            Column(8, "vrrpProcessQuorum", UNSIGNED, lambda r: r.config.quorum, "Fewest processes."),
            Column(9, "vrrpProcessQuorumMax", INT,
                   lambda r: -1 if r.config.quorum_max is None else r.config.quorum_max,
                   "Most processes; -1: any number."),
            Column(10, "vrrpProcessForkDelay", UNSIGNED, lambda r: r.config.fork_delay_us,
                   "Microseconds until a new process counts."),
            Column(11, "vrrpProcessTerminateDelay", UNSIGNED, lambda r: r.config.terminate_delay_us,
                   "Microseconds until a process that has ended counts."),
            Column(12, "vrrpProcessFullCommand", TRUE_FALSE, lambda r: r.config.full_command,
                   "Whether the whole command line is compared."),
            Column(13, "vrrpProcessCurProc", INT, lambda r: r.status.get("count") or 0, "Processes there are."),
            Column(14, "vrrpProcessResult", TRUE_FALSE, lambda r: bool(r.status.get("up")), "Whether that will do."),
        ),
    ),
    _tracker_table(22, "Process", "track_processes", "track_processes", WEIGHT, groups=True),
)
