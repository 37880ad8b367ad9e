"""Virtual servers that are built once for the same text.

A large configuration is thousands of virtual servers that look alike, and a reload changes one of them. So a block
`virtual_server` of plain lines stays folded while the file is read (`syntax.folding`), and three things are remembered:

- equal blocks `real_server` are read once in a load; what differs is their header;
- the `VirtualServer` of a text lives on to the next load (`Memory`), under the settings that its making depends on;
- nothing else is: no draft, no statement, no position.

All of this holds only for blocks about which there is nothing to say and whose making looks at nothing outside of them
but those settings and scripts. That is not decided beforehand: they are read and built in a context in which every
finding, every word without effect, and every look at groups or trackers raises `NeedsCare`. Then the block is read
again with its places, by the same code, in the ordinary context. So findings are always made the ordinary way.

A script is looked at once in a load, and a server is remembered with what came of its scripts: only if today the same
comes of them, and there is nothing to say about them, it is taken again.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NoReturn

from pykeepalived.diagnostics import Findings
from pykeepalived.dialects.keepalived.arguments import read_arguments
from pykeepalived.dialects.keepalived.build_checks import CheckBuilder
from pykeepalived.dialects.keepalived.build_lvs import ServerBuilder
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft, RawScript
from pykeepalived.dialects.keepalived.engine import read_block
from pykeepalived.dialects.keepalived.host import HostFacts
from pykeepalived.dialects.keepalived.rows import Row
from pykeepalived.dialects.keepalived.scripts import Scripts
from pykeepalived.dialects.keepalived.tables import ROOT
from pykeepalived.model import Script, User, VirtualServer
from pykeepalived.syntax import Block, FoldedStatement, Folds, Limits, Source, Statement, find_block
from pykeepalived.syntax.tree import Line, TreeBuilder
from pykeepalived.syntax.words import Segment, cut_once, cut_plain

KEYWORD: Final = "virtual_server"
_INNER: Final = "real_server"
#: What the making of a virtual server may ask of global_defs.
_SETTINGS: Final = ("smtp_alert_checker", "smtp_alert", "checker_log_all_failures", "lvs_dataplane")
#: Checkers that are made with a look at trackers.
_ASKING: Final = frozenset({"FILE_CHECK", "BFD_CHECK"})
_RECENT: Final = 8
#: Real servers that differ from all of the last ones; where so many differ, folding them gains nothing.
_BODIES: Final = 512
_NOWHERE: Final = Source("", "", "")
_ROW: Final = ROOT.rows[KEYWORD]
_NO_STATEMENT: Final = Statement(Line(_NOWHERE, 1, ""), "", Segment((), "", 0, 0), None)
_Key = tuple[Any, ...]
#: A command and who is said to run it, and what came of it: path and user, or None where it is left out.
_Use = tuple[str, tuple[str, str | None] | None]
_Uses = dict[_Use, tuple[str, User | None] | None]
#: Plain virtual servers with the settings that they were made under and the scripts that they run.
Kept = dict[Block, tuple[_Key, VirtualServer, _Uses]]


class NeedsCare(Exception):
    """The block is not plain: read and build it the ordinary way."""


class Memory:
    """The plain virtual servers of the load before, by their text."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self.servers: Kept = {}
        self._limits: Limits | None = None

    def folds(self, limits: Limits) -> Folds | None:
        """What a reader may fold; the bounds decide which blocks are plain."""
        return Folds(KEYWORD, self.servers if limits == self._limits else ()) if self.enabled else None

    def keep(self, servers: Kept, limits: Limits) -> None:
        """Remember the servers of a load, and no others."""
        self.servers = servers
        self._limits = limits


class FoldedDraft(Draft):
    """Stands for a plain virtual server: read already, or (without header) remembered."""

    __slots__ = ()


class _Guard:
    """Something that the making of a plain block must not ask."""

    def __init__(self, **answers: Any) -> None:
        self.__dict__.update(answers)

    def __getattr__(self, name: str) -> NoReturn:
        raise NeedsCare(name)

    def __contains__(self, name: object) -> NoReturn:
        raise NeedsCare(name)


class _PlainScripts:
    """Scripts about which nothing is to be said (any more), and a list of those that were asked for."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._looked_at: _Uses = {}
        self.uses: _Uses = {}

    def resolve(self, raw: RawScript | None, user: tuple[str, str | None] | None = None, *_: object) -> Script | None:
        if raw is None or not raw.argv:
            return None
        found = self._scripts.resolve(raw, user)
        chosen = user or ((raw.user, raw.group) if raw.user is not None else None)
        self.uses[raw.argv[0], chosen] = (found.argv[0], found.user) if found else None
        return found

    def still(self, uses: _Uses) -> bool:
        """Whether the same comes of all of them today. Raises NeedsCare where there is something to say."""
        for use, before in uses.items():
            if use not in self._looked_at:
                found = self._scripts.resolve(RawScript((use[0],), None, None, _NO_STATEMENT), use[1])
                self._looked_at[use] = (found.argv[0], found.user) if found else None
            if self._looked_at[use] != before:
                return False
        return True


class _PlainSettings:
    def __init__(self, settings: Draft) -> None:
        self._values: dict[str, Any] = {name: settings.values[name] for name in _SETTINGS if name in settings.values}

    def get(self, field: str, default: Any = None) -> Any:
        if field not in _SETTINGS:
            raise NeedsCare(field)
        return self._values.get(field, default)

    def key(self) -> _Key:
        return tuple(repr(self._values.get(name)) for name in _SETTINGS)


class _PlainContext(Context):
    """A context in which nothing can be said."""

    def __init__(self, host: HostFacts, reader: PlainReader) -> None:
        super().__init__(Findings(0), host)
        self._reader = reader

    def say(self, *_: Any, **__: Any) -> NoReturn:
        raise NeedsCare("finding")

    def near(self, *_: Any) -> NoReturn:
        raise NeedsCare("finding")

    def no_effect_yet(self, *_: Any) -> NoReturn:
        raise NeedsCare("note")

    def folded(self, row: Row, statement: FoldedStatement) -> Draft | None:
        return self._reader.read_inner(row, statement)


def _refuse_what_asks(draft: Draft) -> None:
    """Building would find out, too; but then the block has been read for nothing."""
    if any(kind in _ASKING for kind, _ in draft.get("checkers", ())):
        raise NeedsCare("checker")


class PlainReader:
    """Reads folded blocks of one load, each only if nothing is to be said about it."""

    def __init__(self, host: HostFacts, limits: Limits, memory: Memory) -> None:
        plain_host: Any = _Guard(hostname=host.hostname, without_ipvs=host.without_ipvs)
        self.context = _PlainContext(plain_host, self)
        self.scripts_context = _PlainContext(host, self)
        self.memory = memory
        self._head = Folds(_INNER).head
        self._limits = limits
        self._bodies: dict[Block, Draft] = {}
        self._texts: dict[str, Block] = {}
        self._misses = 0
        self._recent: deque[Block] = deque(maxlen=_RECENT)

    def read(self, row: Row, statement: FoldedStatement) -> Draft | None:
        """The draft of a virtual server; None: read it the ordinary way."""
        if statement.block in self.memory.servers:
            return FoldedDraft(statement)
        try:
            return self.whole(row, statement)
        except NeedsCare:
            return None

    def whole(self, row: Row, statement: FoldedStatement) -> FoldedDraft:
        """The same, whatever is remembered. Raises NeedsCare."""
        draft = FoldedDraft(statement, self._header(row, statement))
        read_block(self.context, row.block, self._inside(statement.block), draft)
        _refuse_what_asks(draft)
        return draft

    def read_inner(self, row: Row, statement: FoldedStatement) -> Draft:
        """A real server: its own header, and values that it shares with all that look alike."""
        body = self._bodies.get(statement.block)
        if body is None:
            body = Draft(statement)
            tree = TreeBuilder(self.context.findings, self._limits)
            for line in [f"{_INNER} {{", *statement.block.text.split("\n")]:
                tree.feed(Line(_NOWHERE, 1, line), line, cut_plain(line) or ())
            read_block(self.context, row.block, tree.root[0].children or (), body)
            _refuse_what_asks(body)
            self._bodies[statement.block] = body
        draft = Draft(statement, self._header(row, statement))
        draft.values = body.values
        draft.where = body.where
        return draft

    def _header(self, row: Row, statement: Statement) -> tuple[Any, ...]:
        values, used = read_arguments(self.context, row, statement, 1)
        if values is None or used != len(statement.words):
            raise NeedsCare("header")
        return tuple(values)

    def _inside(self, block: Block) -> list[Statement]:
        """The statements within, without places, real servers folded."""
        text = block.text
        tree = TreeBuilder(self.context.findings, self._limits)
        offset = 0
        while offset < len(text):
            following = text.find("\n", offset) + 1 or len(text)
            line = text[offset:following]
            body = None
            if tree.depth == 1 and self._head.match(text, offset):
                body = self._body(text, offset, following)
            if body is None:
                tree.feed(Line(_NOWHERE, 1, line), line, cut_plain(line.removesuffix("\n")) or ())
            else:
                tree.add(FoldedStatement(Line(_NOWHERE, 1, line), line, cut_once(line)[0], body))
                following += len(body.text)
            offset = following
        return tree.root[0].children or []

    def _body(self, text: str, head: int, start: int) -> Block | None:
        """What stands between the first line of a block and the next one; equal texts give the same object."""
        for known in self._recent:
            if text.startswith(known.text, start):
                return known
        if self._misses > _BODIES:
            return None
        self._misses += 1
        block = find_block(text, head, self._limits)
        if block is None or not block.text.endswith("\n"):
            return None
        rest = block.text[start - head :]
        body = self._texts.get(rest)
        if body is None:
            body = self._texts[rest] = Block(rest, block.lines - 1)
        self._recent.appendleft(body)
        return body


class PlainServers:
    """Builds the virtual servers of one load, plain ones once for their text and settings."""

    def __init__(
        self, context: Context, settings: Draft, scripts: Scripts, servers: ServerBuilder, reader: PlainReader
    ) -> None:
        self._context = context
        self._servers = servers
        self._reader = reader
        plain = _PlainSettings(settings)
        self._key = (*plain.key(), context.host.hostname())
        guard: Any = _Guard()
        given: Any = plain
        self._scripts = _PlainScripts(scripts.in_context(reader.scripts_context))
        asked: Any = self._scripts
        checks = CheckBuilder(reader.context, given, asked, guard)
        self._plain = ServerBuilder(reader.context, given, asked, checks, guard)
        self.kept: Kept = {}

    def build(self, draft: Draft) -> VirtualServer | None:
        """The virtual server of a draft; None when it is left out, which is reported."""
        if not isinstance(draft, FoldedDraft):
            return self._servers.build(draft)
        statement = draft.statement
        assert isinstance(statement, FoldedStatement)
        server, uses = self._remembered(statement.block) or self._built(draft, statement)
        if server is None or not self._servers.claim(server, draft):
            return self._servers.build(self._in_full(statement))
        self.kept[statement.block] = (self._key, server, uses)
        return server

    def _remembered(self, block: Block) -> tuple[VirtualServer, _Uses] | None:
        found = self._reader.memory.servers.get(block)
        try:
            if found is not None and found[0] == self._key and self._scripts.still(found[2]):
                return found[1], found[2]
        except NeedsCare:
            pass
        return None

    def _built(self, draft: FoldedDraft, statement: FoldedStatement) -> tuple[VirtualServer | None, _Uses]:
        self._scripts.uses = {}
        try:
            server = self._plain.build(draft if draft.header else self._reader.whole(_ROW, statement))
            return server, self._scripts.uses
        except NeedsCare:
            return None, {}
        finally:
            self._plain.forget()

    def _in_full(self, statement: FoldedStatement) -> Draft:
        unfolded = statement.unfold()
        header, _ = read_arguments(self._context, _ROW, unfolded, 1)
        draft = Draft(unfolded, tuple(header or ()))
        read_block(self._context, _ROW.block, unfolded.children or (), draft)
        return draft
