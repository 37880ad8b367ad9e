"""Where the objects of a model stand in their file.

The model knows no positions, so the statements are read once more and looked up by name. A place that cannot be told is
None: a finding without a span is better than one with a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pykeepalived.diagnostics import Findings, Span
from pykeepalived.dialects.keepalived.readers import canonical_address
from pykeepalived.dialects.ldirectord.report import Reporter
from pykeepalived.dialects.ldirectord.scan import Scanner, Section
from pykeepalived.dialects.ldirectord.scan import Statement as Directive
from pykeepalived.model import AddressSelector, Config, FwmarkSelector, Selector
from pykeepalived.syntax import Statement, read_tree


class Places:
    """Nothing is known."""

    def named(self, block: str, name: str, *keywords: str) -> Span | None:
        """In the block `block NAME`: the first of `keywords` that it holds, else the name."""
        del block, name, keywords
        return None

    def word(self, keyword: str) -> Span | None:
        """A word of global_defs."""
        del keyword
        return None

    def service(self, index: int, *keywords: str) -> Span | None:
        """In the virtual server of this number in the model."""
        del index, keywords
        return None

    def server(self, index: int, server: int, *keywords: str) -> Span | None:
        """In a real server of that virtual server, its checkers included."""
        return self.service(index, *keywords) if not server else self.service(index)


def _head(selector: Selector) -> tuple[str, str]:
    if isinstance(selector, AddressSelector):
        return selector.address, str(selector.port)
    if isinstance(selector, FwmarkSelector):
        return "fwmark", str(selector.fwmark)
    return "group", selector.name


def _inside(statement: Statement, keywords: Sequence[str], depth: int = 4) -> Statement | None:
    for keyword in keywords:
        level = list(statement.children or ())
        for _ in range(depth):
            found = next((child for child in level if child.keyword == keyword), None)
            if found is not None:
                return found
            level = [inner for child in level for inner in child.children or ()]
    return None


class KeepalivedPlaces(Places):
    """Places in a keepalived.conf."""

    def __init__(self, path: str, config: Config, *, config_id: str, environment: Mapping[str, str]) -> None:
        reading = read_tree(path, Findings(1), config_id=config_id, environment=environment)
        self._blocks: dict[tuple[str, str], Statement] = {}
        self._globals: list[Statement] = []
        heads: dict[tuple[str, str], list[Statement]] = {}
        for statement in reading.statements:
            words = [word.text for word in statement.words]
            if not words:
                continue
            if words[0] == "global_defs":
                self._globals += statement.children or ()
            elif words[0] == "virtual_server" and len(words) > 1:
                address = canonical_address(words[1])
                head = (address, words[2] if len(words) > 2 else "0") if address else (words[1], " ".join(words[2:3]))
                heads.setdefault(head, []).append(statement)
            elif len(words) > 1:
                self._blocks.setdefault((words[0], words[1]), statement)
        self._services = self._matched(config, heads)
        self._config = config

    @staticmethod
    def _matched(config: Config, heads: dict[tuple[str, str], list[Statement]]) -> list[Statement | None]:
        """The statement of each virtual server; of several with one head the one with the protocol."""
        found: list[Statement | None] = []
        for service in config.virtual_servers:
            candidates = heads.get(_head(service.selector), [])
            wanted = service.protocol.name if service.protocol is not None else ""
            chosen = next(
                (
                    statement
                    for statement in candidates
                    if (inner := _inside(statement, ["protocol"], 1)) is None
                    or [word.text.upper() for word in inner.words[1:2]] == [wanted]
                ),
                candidates[0] if candidates else None,
            )
            found.append(chosen)
        return found

    def named(self, block: str, name: str, *keywords: str) -> Span | None:
        statement = self._blocks.get((block, name))
        if statement is None:
            return None
        inner = _inside(statement, keywords)
        return inner.span() if inner is not None else statement.span(1)

    def word(self, keyword: str) -> Span | None:
        found = next((statement for statement in self._globals if statement.keyword == keyword), None)
        return found.span() if found is not None else None

    def service(self, index: int, *keywords: str) -> Span | None:
        statement = self._services[index]
        if statement is None:
            return None
        inner = _inside(statement, keywords, 1)
        return inner.span() if inner is not None else statement.span()

    def server(self, index: int, server: int, *keywords: str) -> Span | None:
        statement = self._services[index]
        if statement is None:
            return None
        wanted = self._config.virtual_servers[index].real_servers[server]
        near: Statement | None = None
        for child in statement.children or ():
            words = [word.text for word in child.words]
            if words[:1] != ["real_server"] or canonical_address(words[1] if len(words) > 1 else "") != wanted.address:
                continue
            # With direct routing the model has the port of the service, so the port need not be the one of the file.
            near = near or child
            if words[2:3] == [str(wanted.port)]:
                near = child
                break
        if near is not None:
            inner = _inside(near, keywords)
            return inner.span() if inner is not None else near.span()
        return self.service(index)


class LdirectordPlaces(Places):
    """Places in an ldirectord.cf: sections stand in the order of the model when none was refused."""

    def __init__(self, path: str, text: str, config: Config) -> None:
        lines = text.split("\n")
        self._report = Reporter(path, lines, Findings(1))
        scanned = Scanner(self._report).scan()
        same = len(scanned.sections) == len(config.virtual_servers)
        self._sections: list[Section] = scanned.sections if same else []
        self._globals = scanned.globals

    def service(self, index: int, *keywords: str) -> Span | None:
        if not self._sections:
            return None
        section = self._sections[index]
        for keyword in keywords:
            for statement in (*section.statements, *self._globals):
                if statement.name == keyword:
                    return self._line(statement)
        return self._report.span(section.header.line)

    def _line(self, statement: Directive) -> Span:
        raw = self._report.lines[statement.line - 1]
        return self._report.span(statement.line, len(raw) - len(raw.lstrip()))
