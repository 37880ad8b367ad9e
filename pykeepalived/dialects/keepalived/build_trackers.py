"""vrrp_script, track_file, vrrp_track_process, and the references to them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, TypeVar

from pykeepalived.diagnostics import Label
from pykeepalived.dialects.keepalived.build_bfd import build_sessions
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft, Entry
from pykeepalived.dialects.keepalived.scripts import Scripts
from pykeepalived.model import (
    Script,
    TrackBfd,
    TrackedFile,
    TrackedInterface,
    TrackedProcess,
    TrackedScript,
    TrackFile,
    TrackProcess,
    VrrpScript,
)
from pykeepalived.model.vrrp import ParamMatch

_Reference = TypeVar("_Reference", TrackedScript, TrackedFile, TrackedProcess, TrackBfd)


def _question(draft: Draft) -> tuple[str, ...] | None:
    """The words of a question that needs no program; None: a script. The first one of the block counts."""
    for kind in ("tcp", "http", "unix_socket"):
        if kind not in draft.values:
            continue
        given = draft.values[kind]
        if kind == "unix_socket":
            return (kind, str(given))
        words = (kind, *(str(word) for word in given if word is not None))
        return words if kind == "tcp" or len(words) > 3 else (*words, "/")
    return None


class Trackers:
    """All trackers of a load by kind and name."""

    def __init__(self, context: Context, root: Draft, scripts: Scripts) -> None:
        self._context = context
        self._defined = {
            field: {draft.name: draft.order for draft in reversed(root.get(blocks, ()))}
            for field, blocks in (
                ("track_script", "scripts"),
                ("track_file", "track_files"),
                ("track_process", "track_processes"),
                ("track_bfd", "bfd_instances"),
            )
        }
        self.scripts = {s.name: s for draft in root.get("scripts", ()) if (s := self._script(draft, scripts))}
        self.files = {f.name: f for draft in root.get("track_files", ()) if (f := self._file(draft))}
        self.processes = {p.name: p for draft in root.get("track_processes", ()) if (p := self._process(draft))}
        self.bfds = build_sessions(context, root)

    def defined_behind(self, field: str, name: str, draft: Draft) -> bool:
        """Whether the tracker stands further down in the file than the block that names it."""
        return int(self._defined[field].get(name, 0)) > draft.order

    # ── definitions ──────────────────────────────────────────────────────────────────────────────────────────────

    def _script(self, draft: Draft, scripts: Scripts) -> VrrpScript | None:
        question = _question(draft)
        resolved: Script | None
        if question is not None:
            resolved = Script(question)
        elif "script" not in draft.values or not draft.values["script"].argv:
            if not (draft.writes("script") and self._context.says_more_is_wrong):
                self._context.error(
                    "script-missing", f"vrrp_script `{draft.name}` has no script, it is left out", draft.statement, 1
                )
            return None
        else:
            resolved = scripts.resolve(draft.values["script"], draft.get("user"), draft.where.get("user"), tracked=True)
        if resolved is None:
            return None
        weight, reverse = draft.get("weight", (0, None))
        taken = {
            name: draft.values[name] for name in ("interval_us", "timeout_us", "rise", "fall") if name in draft.values
        }
        return VrrpScript(
            name=draft.name,
            script=resolved,
            question=question is not None,
            weight=weight,
            reverse=reverse is not None,
            init_fail=draft.get("init_fail", False),
            **taken,
        )

    def _file(self, draft: Draft) -> TrackFile | None:
        if "path" not in draft.values:
            self._context.error("missing-value", f"track_file `{draft.name}` has no `file`", draft.statement, 1)
            return None
        directory = posixpath.dirname(draft.values["path"])
        try:
            self._context.host.file(directory or ".")
        except (OSError, ValueError):
            self._context.error(
                "file-not-reachable",
                f"track_file `{draft.name}`: there is no directory `{directory}`, it is left out",
                draft.where["path"],
                1,
            )
            return None
        weight, reverse = draft.get("weight", (1, None))
        init = draft.get("init_file")
        return TrackFile(
            name=draft.name,
            path=draft.values["path"],
            weight=weight,
            reverse=reverse is not None,
            init_value=init.get("value", 0) if init is not None else None,
            init_overwrite=bool(init and init.get("overwrite")),
        )

    def _process(self, draft: Draft) -> TrackProcess | None:
        if "process" not in draft.values:
            self._context.error(
                "missing-value", f"vrrp_track_process `{draft.name}` has no `process`", draft.statement, 1
            )
            return None
        process, parameters = draft.values["process"]
        weight, reverse = draft.get("weight", (0, None))
        match = ParamMatch.EXACT if parameters else ParamMatch.NONE
        if "param_match" in draft.values:
            match = ParamMatch(draft.values["param_match"] or "exact")
        quorum, top = draft.get("quorum"), draft.get("quorum_max")
        if quorum is not None and top is not None and quorum > top:
            self._context.error(
                "quorum-order", f"quorum {quorum} is greater than quorum_max {top}", draft.where["quorum"], 1
            )
            top = None
        delay = draft.get("delay_us", 0)
        return TrackProcess(
            name=draft.name,
            process=process,
            parameters=tuple(parameters),
            param_match=match,
            weight=weight,
            reverse=reverse is not None,
            quorum=quorum if quorum is not None else (0 if top == 0 else 1),
            quorum_max=top,
            fork_delay_us=draft.get("fork_delay_us", delay),
            terminate_delay_us=draft.get("terminate_delay_us", delay),
            full_command=draft.get("full_command", False) or "param_match" in draft.values,
        )

    # ── references ───────────────────────────────────────────────────────────────────────────────────────────────

    def references(self, draft: Draft, who: str) -> dict[str, Any]:
        """The five tracker lists of an instance or group, as keywords for the model."""
        return {
            "track_interfaces": self._interfaces(draft, who),
            "track_scripts": self._named(draft, "track_script", self.scripts, TrackedScript, who),
            "track_files": self._named(draft, "track_file", self.files, TrackedFile, who),
            "track_processes": self._named(draft, "track_process", self.processes, TrackedProcess, who),
            "track_bfds": self._named(draft, "track_bfd", self.bfds, TrackBfd, who),
        }

    def _interfaces(self, draft: Draft, who: str) -> tuple[TrackedInterface, ...]:
        found: dict[str, TrackedInterface] = {}
        for entry in draft.get("track_interface", ()):
            name = entry.values["name"]
            if name in found:
                self._twice(entry, f"{who}: interface `{name}`", draft.values["track_interface"])
                continue
            self._check_weightless(entry)
            found[name] = TrackedInterface(name, entry.get("weight", 0) or 0, bool(entry.get("reverse")))
        return tuple(found.values())

    def _named(
        self, draft: Draft, field: str, known: Mapping[str, Any], kind: type[_Reference], who: str
    ) -> tuple[_Reference, ...]:
        found: dict[str, _Reference] = {}
        for entry in draft.get(field, ()):
            name = entry.values["name"]
            if self.defined_behind(field, name, draft):
                self._context.error(
                    "defined-later",
                    f"{who}: {field} `{name}` is defined further down, it is left out",
                    entry.statement,
                    entry.places["name"],
                    help="put the definition above",
                )
                continue
            if name not in known and name in self._defined[field]:
                # Its own block has said why it cannot be used.
                continue
            if name not in known:
                near = self._context.near(name, list(known)[:1000])
                self._context.error(
                    "unknown-tracker",
                    f"{who}: {field} `{name}` is not defined, it is left out",
                    entry.statement,
                    entry.places["name"],
                    help=f"did you mean `{near}`?" if near else None,
                )
                continue
            if name in found:
                self._twice(entry, f"{who}: {field} `{name}`", draft.values[field])
                continue
            self._check_weightless(entry)
            reverse = bool(getattr(known[name], "reverse", False))
            if entry.get("reverse"):
                reverse = True
            if entry.get("noreverse"):
                reverse = False
            found[name] = kind(name, entry.get("weight"), reverse)
        return tuple(found.values())

    def _check_weightless(self, entry: Entry) -> None:
        for word in ("reverse", "noreverse"):
            if entry.get(word) and "weight" not in entry.values:
                self._context.error(
                    "unknown-option", f"`{word}` stands behind a weight only", entry.statement, entry.places[word]
                )
                entry.values.pop(word)

    def _twice(self, entry: Entry, what: str, entries: list[Entry]) -> None:
        name = entry.values["name"]
        first = next(other for other in entries if other.values["name"] == name)
        self._context.error(
            "tracked-twice",
            f"{what} is tracked twice, the first one stays",
            entry.statement,
            entry.places["name"],
            secondary=(Label(first.statement.span(first.places["name"]), "the first one"),),
        )
