"""MISC_CHECK and ldirectord's `external`: a program's exit status decides."""

from __future__ import annotations

from typing import Final

from pykeepalived.checkers.conversation import Conversation, Outcome, RunProgram
from pykeepalived.model.checks import ExternalCheck, MiscCheck
from pykeepalived.model.common import Script

#: What keepalived calls the end at a time limit, in its log and mails.
TIMED_OUT = "timed out"
#: A killed program takes a moment to be reaped and reported; the conversation must not end before its own program.
PROGRAM_GRACE_US = 2_000_000


def misc(check: MiscCheck) -> Conversation:
    """Exit 0 is up; with misc_dynamic 2..255 is up too and weight is the code less two (keepalived-behaviour 11.3)."""
    status = yield RunProgram(script=check.script, timeout_us=check.timeout_us)
    failure = _abnormal(status)
    if failure is not None:
        return failure
    assert isinstance(status, int)
    if status == 0:
        return Outcome(True, "succeeded")
    if check.dynamic and status >= 2:
        return Outcome(True, f"succeeded, weight {status - 2}", weight=status - 2)
    return Outcome(False, f"exited with status {status}", f"exit-{status}")


#: ldirectord compiles the file as the body of a function and calls it with the four words; `exit` in it is the result,
#: and without one all is well. The same here, in a perl of its own; a file that does not compile or dies is a failure.
PERL: Final = """\
my $file = shift;
open(my $source, '<', $file) or do { print STDERR "$file: $!\\n"; exit 126 };
my $text = do { local $/; <$source> };
my $check = eval "package main; no strict; sub {\\n#line 1 \\"$file\\"\\n$text\\n}";
unless (ref $check) { print STDERR $@; exit 255 }
my @words = @ARGV;
eval { $check->(@words); 1 } or do { print STDERR $@; exit 255 };
exit 0;
"""


def external(check: ExternalCheck) -> Conversation:
    """COMMAND VIP VPORT RIP RPORT; `external-perl` hands the file to perl."""
    words = ("perl", "-e", PERL, check.command) if check.perl else (check.command,)
    status = yield RunProgram(script=Script(words + check.arguments), timeout_us=check.timeout_us)
    if check.strict and isinstance(status, int) and status < 0:
        return Outcome(True, f"killed by signal {-status}, which is not tested", "untested")
    failure = _abnormal(status)
    if failure is not None:
        return failure
    return Outcome(status == 0, f"exited with status {status!r}", "" if status == 0 else f"exit-{status!r}")


def _abnormal(status: object) -> Outcome | None:
    """A time limit and a signal are failures (ldirectord takes death by signal for success, by mistake)."""
    if status is None:
        return Outcome(False, TIMED_OUT, "timeout")
    if isinstance(status, int) and status < 0:
        return Outcome(False, f"killed by signal {-status}", "signal")
    return None
