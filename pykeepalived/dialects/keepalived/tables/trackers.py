"""Trackers: vrrp_script, vrrp_track_process, track_file, and the lines that refer to them."""

# fmt: off

from __future__ import annotations

from typing import Any, Final

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.readers import Choice, Duration, Integer, Reader, Text
from pykeepalived.dialects.keepalived.rows import (
    Options,
    Row,
    Table,
    entries,
    flag,
    many,
    maybe,
    options,
    script,
    value,
    word_list,
)
from pykeepalived.dialects.keepalived.tables.common import (
    ADDRESS,
    COUNT,
    GROUP,
    INTERFACE,
    NAME,
    PATH,
    PORT,
    STRING,
    USER,
    WEIGHT_253,
    WEIGHT_254,
)
from pykeepalived.syntax import Statement
from pykeepalived.units import SECOND_US


def track_options(context: str, name: Reader, weight: Reader, *, noreverse: bool = True) -> Options:
    rows = [
        value("weight", weight, field="weight", help="added while well, taken away if negative while not; 0: FAULT"),
        flag("reverse", field="reverse", help="turn the sense around"),
    ]
    if noreverse:
        rows.append(flag("noreverse", field="noreverse", help="undo a reverse of the tracker"))
    return Options(context, *rows, slots=(("name", name),), need="name")


def track_rows(context: str, who: str) -> tuple[Row, ...]:
    """The five lists of trackers of an instance or a sync group."""
    return (
        entries("track_interface", track_options(f"{context}.track_interface", INTERFACE, WEIGHT_253, noreverse=False),
                field="track_interface", help=f"interfaces whose state faults {who} or changes its priority"),
        entries("track_script", track_options(f"{context}.track_script", NAME, WEIGHT_253),
                field="track_script", help="scripts that do"),
        entries("track_file", track_options(f"{context}.track_file", NAME, WEIGHT_254),
                field="track_file", help="files that do"),
        entries("track_process", track_options(f"{context}.track_process", NAME, WEIGHT_254),
                field="track_process", help="processes that do"),
        entries("track_bfd", track_options(f"{context}.track_bfd", NAME, WEIGHT_253),
                field="track_bfd", help="BFD sessions that do"),
    )


def weight_row(reader: Reader, default: str, *, soft: bool = False) -> Row:
    return value("weight", reader, maybe(Choice(("reverse",))), field="weight", default=default, soft=soft,
                 help="added to the priority, or taken away when negative; 0: failure means FAULT")


_INTERVAL: Final = Duration(0, 1000 * 3600 * SECOND_US, places=3)


def _interval(context: Context, statement: Statement, draft: Draft, duration_us: Any) -> Any:
    del draft
    if duration_us == 0:
        context.error("number-out-of-range", "an interval of 0 makes no sense, 1 second is taken", statement, 1)
        return SECOND_US
    return duration_us


VRRP_SCRIPT: Final = Table(
    "vrrp_script",
    script("script", field="script", soft=True, help="command; exit code 0 means well"),
    value("tcp", ADDRESS, PORT, field="tcp", ours=True, help="instead of a script: somebody accepts there"),
    value("http", ADDRESS, PORT, maybe(PATH), field="http", ours=True,
          help="instead of a script: GET PATH (default /) answers with a code from 200 to 299"),
    value("unix_socket", PATH, field="unix_socket", ours=True, help="instead of a script: somebody accepts there"),
    value("interval", _INTERVAL, field="interval_us", default="1", after=_interval, help="time between runs"),
    value("timeout", Duration(1_000, 1000 * 3600 * SECOND_US, places=3), field="timeout_us", default="interval",
          help="time after which a run counts as failed"),
    weight_row(WEIGHT_253, "0"),
    value("rise", COUNT, field="rise", default="1", help="successes in a row to be up"),
    value("fall", COUNT, field="fall", default="1", help="failures in a row to be down"),
    value("user", USER, maybe(GROUP), field="user", default="script_user", help="user of the script"),
    flag("init_fail", field="init_fail", help="starts failed"),
)

_DELAY: Final = Duration(1, 3600 * SECOND_US)

VRRP_TRACK_PROCESS: Final = Table(
    "vrrp_track_process",
    value("process", STRING, many(STRING, optional=True), field="process", help="name or path, and parameters"),
    value("param_match", maybe(Choice(("initial", "partial"))), field="param_match", default="exact",
          help="how parameters are compared"),
    weight_row(WEIGHT_254, "0", soft=True),
    value("quorum", Integer(1, 65535), field="quorum", default="1", help="fewest processes"),
    value("quorum_max", Integer(0, 65535), field="quorum_max", default="65535", help="most processes"),
    value("delay", _DELAY, field="delay_us", default="0", help="both delays"),
    value("terminate_delay", _DELAY, field="terminate_delay_us", default="0", help="wait before a loss counts"),
    value("fork_delay", _DELAY, field="fork_delay_us", default="0", help="wait before a gain counts"),
    flag("full_command", field="full_command", help="compare the whole command line"),
)

INIT_FILE: Final = Options(
    "track_file.init_file",
    flag("overwrite", field="overwrite", help="also when the file exists"),
    slots=(("value", Integer(-(2**31), 2**31 - 1)),),
)


def track_file_table(context: str) -> Table:
    return Table(
        context,
        value("file", PATH, field="path", soft=True, help="file that holds one integer"),
        weight_row(WEIGHT_254, "1", soft=True),
        options("init_file", INIT_FILE, required=0, field="init_file", help="create the file at start"),
    )


TRACK_FILE: Final = track_file_table("track_file")
VRRP_TRACK_FILE: Final = track_file_table("vrrp_track_file")

TRACK_GROUP: Final = Table(
    "track_group",
    word_list("group", NAME, field="group", help="member instances"),
)

_SECONDS_255: Final = Duration(0, 255 * SECOND_US)
UP_DOWN_DELAYS: Final = Options(
    "interface_up_down_delays",
    slots=(("interface", INTERFACE), ("down_us", _SECONDS_255), ("up_us", _SECONDS_255)),
    need="interface",
)
LINKBEAT: Final = Options(
    "linkbeat_interfaces",
    flag("MII", field="method", constant="MII", help="ask by the MII ioctl"),
    flag("ETHTOOL", field="method", constant="ETHTOOL", help="ask by the ethtool ioctl"),
    flag("IOCTL", field="method", constant="IOCTL", help="ask for the interface flags"),
    slots=(("interface", Text("INTERFACE", 15)),),
    need="interface",
)
