"""Opens the files of one load and counts them: how many, how large, how deep (keepalived-behaviour 1.7)."""

from __future__ import annotations

from pykeepalived.diagnostics import Diagnostic, ExitClass, Findings, Severity, Span
from pykeepalived.syntax.limits import Limits
from pykeepalived.syntax.sources import IncludeChecks, Source, Unreadable, has_wildcard, matches, read_source


class Opener:
    """Finds and reads files; what cannot be used is reported and left out."""

    def __init__(self, findings: Findings, limits: Limits) -> None:
        self.findings = findings
        self.limits = limits
        self.sources: list[Source] = []
        self._bytes = 0
        self._repeated = 0
        self._read: set[tuple[int, int]] = set()
        #: What a pattern matches is looked up once a load: each of many files may hold `include *`.
        self._matches: dict[tuple[str, str], list[tuple[str, list[str]]]] = {}

    def say(
        self,
        identifier: str,
        message: str,
        span: Span | None,
        help: str | None = None,
        exit_class: ExitClass = ExitClass.GENERAL,
    ) -> None:
        """Report something that is wrong with the text itself."""
        self.findings.add(
            Diagnostic(
                id=identifier,
                severity=Severity.ERROR,
                message=message,
                span=span,
                help=help,
                exit_class=exit_class,
            )
        )

    def files(
        self, within: tuple[Source, ...], pattern: str, directory: str, checks: IncludeChecks, span: Span | None
    ) -> list[Source]:
        """Read what `pattern` names. `within` are the file with the include, the one that includes it, and so on."""
        found: list[Source] = []
        missing_all = True
        key = (pattern, directory)
        if key not in self._matches:
            self._matches[key] = list(matches(pattern, directory, self.limits))
        for alternative, names in self._matches[key]:
            if not names:
                strict = checks.wildcard_match if has_wildcard(alternative) else checks.match
                if alternative != pattern:
                    strict = strict or checks.brace_match
                if strict and span is not None:
                    self.say(
                        "include-without-match",
                        f"`{alternative}` matches no file",
                        span,
                        exit_class=ExitClass.NO_CONFIG,
                    )
                    missing_all = False
                continue
            missing_all = False
            for name in names:
                if not self._has_room(len(within), name, span):
                    return found
                source = self._file(within, name, checks, span)
                if source is not None:
                    found.append(source)
        if missing_all:
            self.findings.add(
                Diagnostic(
                    id="config-file-missing",
                    severity=Severity.ERROR if span is None else Severity.WARNING,
                    message=f"no file matches `{pattern}`",
                    span=span,
                    # keepalived only mentions this, and -t calls it fine: keepalived-behaviour 1.7 and 1.9.
                    exit_class=ExitClass.NONE,
                )
            )
        return found

    def _has_room(self, depth: int, name: str, span: Span | None) -> bool:
        if len(self.sources) < self.limits.files and depth < self.limits.include_depth:
            return True
        self.say(
            "too-many-files",
            f"more than {self.limits.files} files, or includes nested deeper than {self.limits.include_depth}: "
            f"`{name}` is left out",
            span,
            help="look for files that include one another",
        )
        return False

    def _file(self, within: tuple[Source, ...], name: str, checks: IncludeChecks, span: Span | None) -> Source | None:
        try:
            source, size = read_source(name, self.limits)
            if any(source.identity == outer.identity for outer in within):
                self.say(
                    "include-of-itself",
                    f"`{name}` is being read already, by this include it would include itself without end",
                    span,
                    help="leave this include out, or write a pattern that does not match the file it stands in",
                )
                return None
            self._bytes += size
            self._repeated += size if source.identity in self._read else 0
            self._read.add(source.identity)
            if self._repeated > self.limits.repeated_bytes:
                raise Unreadable(f"is one of those read again, which already are {self.limits.repeated_bytes} bytes")
            if self._bytes > self.limits.total_bytes:
                raise Unreadable(f"would make the configuration larger than {self.limits.total_bytes} bytes")
        except Unreadable as error:
            executable = "non-executable" in str(error)
            self.findings.add(
                Diagnostic(
                    id="config-file-unusable",
                    severity=Severity.ERROR if checks.read else Severity.WARNING,
                    message=f"file `{name}` {error}, it is left out",
                    span=span,
                    help=f"chmod a-x {name}" if executable else None,
                    exit_class=ExitClass.GENERAL if checks.read else ExitClass.NONE,
                )
            )
            return None
        if source.text.startswith("\ufeff"):
            source.text = source.text[1:]
            self.say(
                "byte-order-mark",
                "the file starts with a byte order mark, which is left out here",
                Span(source.name, 1, 1, 2, source.text.partition("\n")[0]),
                help="save the file as plain UTF-8",
            )
        self.sources.append(source)
        return source
