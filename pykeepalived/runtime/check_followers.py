"""FILE_CHECK and BFD_CHECK: checks that ask nobody. They follow a file and a session, and say so when either changes.

They look to the checker program like subscriptions of the probe engine (same `ProbeResult`, same status), but nothing
is scheduled: no delay_loop, no retry (keepalived-behaviour 11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.model.checks import BfdCheck, CheckerSpec, FileCheck
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import TrackFile
from pykeepalived.processes.file_watch import FileWatcher
from pykeepalived.reactor import Timer
from pykeepalived.runtime.bfd_link import BfdListener
from pykeepalived.runtime.probes import Listener, ProbeResult
from pykeepalived.runtime.program import Context
from pykeepalived.runtime.subscriptions import shown

#: The product of content and weight from which on a server is down; above 0 this much is the most that is added.
WEIGHT_LIMIT: Final = 2_147_483_647


def follows(spec: CheckerSpec) -> bool:
    return isinstance(spec.question, FileCheck | BfdCheck)


class Read(Enum):
    """When a content was read."""

    AT_START = "at start"
    AT_RELOAD = "at reload"
    CHANGED = "changed"


def file_outcome(question: FileCheck, config: TrackFile, content: int, read: Read = Read.CHANGED) -> Outcome:
    """What the content of a file means for a server.

    Weight 0: any other content than 0 is a failure, reversed 0 is. Otherwise content times weight is added to the
    server's weight, and a product at the lower end of 32 bits is a failure.

    keepalived (2.2.7 and 2.4.3, seen) does not look at `reverse` while it starts, and leaves a server up whose content
    is 0 when it reloads; so it is here.
    """
    weight = config.weight if question.weight is None else question.weight
    reverse = config.reverse if question.weight is None else question.reverse
    if weight == 0:
        zero = content == 0
        well = zero is not reverse or (read is Read.AT_RELOAD and zero)
        if read is Read.AT_START:
            well = zero
        return Outcome(well, f"content is {content}", "" if well else "content")
    product = content * (-weight if reverse else weight)
    if product <= -WEIGHT_LIMIT:
        return Outcome(False, f"content is {content}", "content")
    return Outcome(True, f"content is {content}", weight=min(WEIGHT_LIMIT, product))


class Follower:
    """One checker of one server; looks like `probes.Subscription`."""

    def __init__(self, key: str, spec: CheckerSpec, on_result: Listener, *, up: bool) -> None:
        self.key = key
        self.spec = spec
        self.up = up
        self.last: ProbeResult | None = None
        self.answers = 0
        self.answers_failed = 0
        self._on_result: Listener | None = on_result

    def close(self) -> None:
        self._on_result = None

    @property
    def open(self) -> bool:
        return self._on_result is not None

    def check_now(self) -> None:
        """It is up to date at every moment."""

    def hear(self, outcome: Outcome) -> None:
        """Take what is so now."""
        if self._on_result is None or (self.last is not None and outcome == self.last.outcome):
            return
        changed = self.up is not outcome.ok
        self.up = outcome.ok
        self.answers += 1
        self.answers_failed += not outcome.ok
        # What was assumed and proves true is nothing to report.
        self.last = ProbeResult(outcome.ok, changed, False, outcome, 0 if outcome.ok else 1, 0)
        self._on_result(self.last)

    def status(self) -> dict[str, Any]:
        return shown(self, up=self.up, has_run=self.last is not None, failures=0 if self.up else 1)


class Followers:
    """All of them, with the files and sessions that they follow."""

    def __init__(self, context: Context) -> None:
        self._reactor = context.reactor
        self._files: dict[str, TrackFile] = {}
        self._contents: dict[str, int] = {}
        self._read: dict[str, Read] = {}
        self._sessions: dict[str, bool] = {}
        self._followers: list[Follower] = []
        self._watcher = FileWatcher(context.reactor, context.log, self._file_changed)
        self._listener = BfdListener(context.reactor, context.bfd.get("checker"), self._session_changed)
        self._soon: Timer | None = None
        self._configured = False

    def update(self, config: Config) -> None:
        """Follow what this configuration asks for; subscriptions that exist hear of what it changes."""
        wanted = set(_followed_files(config))
        self._files = {item.name: item for item in config.track_files}
        # No configuration before this one: the daemon starts.
        read = Read.AT_RELOAD if self._configured else Read.AT_START
        self._configured = True
        self._contents = self._watcher.update(item for item in config.track_files if item.name in wanted)
        self._read = dict.fromkeys(self._contents, read)
        self._listener.ask()
        self._hear_soon()

    def subscribe(self, key: str, spec: CheckerSpec, on_result: Listener, *, initially_up: bool) -> Follower:
        """`on_result` is called at the next turn of the loop, and whenever something changes."""
        follower = Follower(key, spec, on_result, up=initially_up)
        self._followers.append(follower)
        self._hear_soon()
        return follower

    def close(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        self._watcher.close()
        self._listener.close()
        self._followers.clear()

    # ---- inside ----

    def _hear_soon(self) -> None:
        if self._soon is None:
            self._soon = self._reactor.call_soon(self._hear_all)

    def _hear_all(self) -> None:
        self._soon = None
        self._hear(lambda question: True)

    def _file_changed(self, name: str, content: int) -> None:
        self._contents[name] = content
        self._read[name] = Read.CHANGED
        self._hear(lambda question: isinstance(question, FileCheck) and question.track_file == name)

    def _session_changed(self, name: str, up: bool) -> None:
        self._sessions[name] = up
        self._hear(lambda question: isinstance(question, BfdCheck) and question.name == name)

    def _hear(self, concerned: Callable[[object], bool]) -> None:
        self._followers = [item for item in self._followers if item.open]
        for follower in list(self._followers):
            if concerned(follower.spec.question) and (outcome := self._outcome(follower.spec)) is not None:
                follower.hear(outcome)

    def _outcome(self, spec: CheckerSpec) -> Outcome | None:
        """What is known; None: nothing yet, so what alpha says stands."""
        question = spec.question
        if isinstance(question, FileCheck):
            config = self._files.get(question.track_file)
            content = self._contents.get(question.track_file, 0)
            read = self._read.get(question.track_file, Read.CHANGED)
            return None if config is None else file_outcome(question, config, content, read)
        if isinstance(question, BfdCheck):
            up = self._sessions.get(question.name)
            return None if up is None else Outcome(up, f"session is {'Up' if up else 'Down'}", "" if up else "session")
        return None


def _followed_files(config: Config) -> Iterable[str]:
    for service in config.virtual_servers:
        for server in service.real_servers:
            for spec in server.checkers:
                if isinstance(spec.question, FileCheck):
                    yield spec.question.track_file
