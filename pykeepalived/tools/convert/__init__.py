"""`keepalivedctl convert`: configurations of other programs, and of the two languages into each other.

    text → reader of its format → model (one for each router) and notes → printer of the wished language

What has no equivalent is a note; notes stand at the head of the result, so that nothing is dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Final

import msgspec

from pykeepalived.diagnostics import Severity
from pykeepalived.dialects.keepalived.printer import print_config as print_keepalived
from pykeepalived.dialects.ldirectord import Host, SystemHost, load_text
from pykeepalived.dialects.ldirectord.printer import print_config as print_ldirectord
from pykeepalived.model import Config
from pykeepalived.tools.convert import heartbeat, ipvsadm, piranha
from pykeepalived.tools.convert.from_ldirectord import to_keepalived
from pykeepalived.tools.convert.result import Converted, NotConvertible, Notes
from pykeepalived.tools.convert.to_ldirectord import to_ldirectord
from pykeepalived.tools.fix import Language, language_of

__all__ = ["Format", "NotConvertible", "Result", "convert", "detect"]

_PIRANHA: Final = re.compile(r"^\s*(?:serial_no\s*=|virtual\s+\S+\s*\{|lvs\s*=)", re.MULTILINE)
_IPVSADM: Final = re.compile(r"^\s*(?:ipvsadm\s+)?(?:-[Aa]|--add-service|--add-server)\s", re.MULTILINE)
_HEARTBEAT_FILES: Final = ("ha.cf", "haresources", "authkeys")


class Format(Enum):
    KEEPALIVED = "keepalived"
    LDIRECTORD = "ldirectord"
    HEARTBEAT = "heartbeat"
    PIRANHA = "piranha"
    IPVSADM = "ipvsadm"


class Result(msgspec.Struct, frozen=True):
    """The text in the wished language, and what has no equivalent."""

    text: str
    notes: tuple[str, ...]


#: What a table may hold; files that people write are shorter.
_MOST_OF_A_TABLE: Final = 64 * 1024 * 1024
_MOST_CHARACTERS: Final = {Format.HEARTBEAT: 1024 * 1024, Format.PIRANHA: 4 * 1024 * 1024}


def detect(name: str, text: str) -> Format:
    """The format of a file, by its name where it is one of Heartbeat's, else by its text."""
    if PurePath(name).name in _HEARTBEAT_FILES:
        return Format.HEARTBEAT
    if _PIRANHA.search(text) and "virtual_server" not in text:
        return Format.PIRANHA
    if _IPVSADM.search(text):
        return Format.IPVSADM
    return Format.LDIRECTORD if language_of(text) is Language.LDIRECTORD else Format.KEEPALIVED


def convert(
    files: Mapping[str, str],
    source: Format,
    target: Format,
    *,
    host: Host | None = None,
    keepalived: Config | None = None,
    prefix_length: int | None = None,
) -> Result:
    """Convert the texts of `files`, by name, from one format.

    With Heartbeat's files an ldirectord.cf may come along, its services are added. A keepalived.conf comes as the model
    `keepalived`, as its includes and variables need its place. Raises NotConvertible.
    """
    notes = Notes()
    _bounded(files, source)
    if source is Format.HEARTBEAT:
        named = {PurePath(name).name: text for name, text in files.items()}
        converted = heartbeat.convert(named, notes, prefix_length=prefix_length)
        services = _beside(files, host or SystemHost(check_writable=False), notes)
        configs = {node: _joined(config, services) for node, config in converted.configs.items()}
        converted = Converted(configs)
    elif source is Format.PIRANHA:
        converted = piranha.convert(_only(files), notes)
    elif source is Format.IPVSADM:
        converted = Converted({"": ipvsadm.read(_only(files), notes)})
    elif source is Format.LDIRECTORD:
        loaded = _ldirectord(_only(files), next(iter(files)), host or SystemHost(check_writable=False))
        converted = Converted({"": loaded if target is Format.LDIRECTORD else to_keepalived(loaded, notes)})
    else:
        converted = Converted({"": keepalived or Config()})
    if target is Format.LDIRECTORD:
        return _as_ldirectord(converted, source, notes)
    return _as_keepalived(converted, source, notes)


def _bounded(files: Mapping[str, str], source: Format) -> None:
    most = _MOST_CHARACTERS.get(source, _MOST_OF_A_TABLE)
    for name, text in files.items():
        if len(text) > most and (source is not Format.HEARTBEAT or PurePath(name).name in _HEARTBEAT_FILES):
            raise NotConvertible(f"{name}: more than {most:,} characters, that is no file of {source.value}")


def _only(files: Mapping[str, str]) -> str:
    if len(files) != 1:
        raise NotConvertible("one file at a time, please")
    return next(iter(files.values()))


def _ldirectord(text: str, name: str, host: Host) -> Config:
    result = load_text(text, name, host=host)
    if not result.ok:
        first = next(item for item in result.findings.items if item.severity is Severity.ERROR)
        where = f" in line {first.span.line}" if first.span else ""
        raise NotConvertible(f"{name}: {first.message}{where}; see `keepalivedctl lint` and `keepalivedctl fix`")
    return result.config


def _beside(files: Mapping[str, str], host: Host, notes: Notes) -> Config:
    for name, text in files.items():
        if PurePath(name).name not in _HEARTBEAT_FILES:
            return to_keepalived(_ldirectord(text, name, host), notes)
    return Config()


def _joined(addresses: Config, services: Config) -> Config:
    replace = msgspec.structs.replace
    settings = replace(
        addresses.globals,
        mail=services.globals.mail,
        enable_script_security=services.globals.enable_script_security,
        script_user=services.globals.script_user,
    )
    return replace(addresses, globals=settings, virtual_servers=services.virtual_servers)


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _as_keepalived(converted: Converted, source: Format, notes: Notes) -> Result:
    texts: dict[str, list[str]] = {}
    for node, config in converted.configs.items():
        printed = print_keepalived(config)
        for what in printed.unsaid:
            notes.add(what)
        texts[node] = printed.text.rstrip("\n").split("\n")
    head = _head(source, notes)
    if len(texts) > 1:
        head += [
            "#",
            "# One file for all routers: a line that begins with @NAME counts where the program was started with",
            f"# `-i NAME`, NAME being one of: {', '.join(texts)}.",
        ]
    return Result("\n".join([*head, "", *_merged(texts)]) + "\n", notes.all())


def _as_ldirectord(converted: Converted, source: Format, notes: Notes) -> Result:
    config = next(iter(converted.configs.values()))
    if source is not Format.LDIRECTORD:
        config = to_ldirectord(config, notes)
    printed = print_ldirectord(config)
    for what in printed.unsaid:
        notes.add(what)
    if source is Format.LDIRECTORD and not notes.all():
        # The first line may choose a mode of compatibility, so it stays the first.
        return Result(printed.text, ())
    return Result("\n".join([*_head(source, notes), "", printed.text]), notes.all())


def _head(source: Format, notes: Notes) -> list[str]:
    lines = [f"# Converted from {source.value} by keepalivedctl."]
    if notes.all():
        lines += ["#", "# Read this; it has no equivalent, or is done in another way:"]
        lines += [f"#   - {note}" for note in notes.all()]
    return lines


def _merged(texts: dict[str, list[str]]) -> list[str]:
    """Lines that all routers have in common stand once, others behind `@NAME`; the texts differ in values only."""
    if len(texts) == 1 or len({len(lines) for lines in texts.values()}) > 1:
        return next(iter(texts.values()))
    merged = []
    for row in zip(*texts.values(), strict=True):
        if len(set(row)) == 1:
            merged.append(row[0])
            continue
        for node, line in zip(texts, row, strict=True):
            indent = line[: len(line) - len(line.lstrip())]
            merged.append(f"{indent}@{node} {line.lstrip()}")
    return merged
