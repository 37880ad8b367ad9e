"""ldirectord's `receive`: a Perl regular expression that a text must match (ldirectord-behaviour 5.1)."""

from __future__ import annotations

from pykeepalived.checkers.conversation import Conversation, Outcome
from pykeepalived.checkers.http import Judgement, compiled, run_search
from pykeepalived.patterns import PatternError, Search, Trouble

MATCHED = Outcome(True, "receive matches", "receive")


class ReceiveSearch:
    """One unanchored search through a text that comes in pieces. An empty pattern asks for nothing."""

    def __init__(self, receive: str) -> None:
        self._found = not receive
        self._search: Search | None = None
        self._error: PatternError | None = None
        if receive:
            pattern = compiled(receive)
            if isinstance(pattern, PatternError):
                self._error = pattern
            else:
                self._search = Search(pattern)

    @property
    def found(self) -> bool:
        """It matches already, whatever comes."""
        return self._found

    def take(self, data: bytes) -> Judgement:
        if self._search is None or self._found:
            return None
        answer = yield from run_search(self._search.feed(data))
        return self._note(answer)

    def judge(self) -> Conversation:
        """The text has ended."""
        if self._error is not None:
            return Outcome(False, f"receive: {self._error.message}", "bad-pattern")
        if self._search is not None and not self._found:
            failure = self._note((yield from run_search(self._search.finish())))
            if failure is not None:
                return failure
        return MATCHED if self._found else Outcome(False, "Response mismatch", "receive")

    def _note(self, answer: bool | Trouble) -> Outcome | None:
        if isinstance(answer, Trouble):
            return Outcome(False, f"receive: {answer.value}", answer.value)
        self._found = answer
        return None


def text_matches(receive: str, text: bytes) -> Conversation:
    """Search one whole text."""
    search = ReceiveSearch(receive)
    return (yield from search.take(text)) or (yield from search.judge())
