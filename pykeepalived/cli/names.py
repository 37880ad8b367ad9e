"""Which program we are, and what the process list calls us.

One installed command serves several names: started through a link named `keepalived`, `ldirectord` or `genhash` it is
that program. The kernel starts an interpreter for it, so the process list would show the interpreter; `adopt_name`
makes it show the name and the arguments, so that `pidof`, `pgrep`, `killall` and `ps -C` find the daemon as they find
the original. It is inherited by processes that are forked later.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from pykeepalived.processes import names

#: Program by the name that it was started with.
PROGRAMS: Final = {
    "keepalived": "keepalived",
    "pykeepalived": "keepalived",
    "ldirectord": "ldirectord",
    "pyldirectord": "ldirectord",
    "genhash": "genhash",
    "pygenhash": "genhash",
}


def program_of(path: str) -> str | None:
    """The program that a path to our command means, from its last part; None: no name of ours."""
    return PROGRAMS.get(os.path.basename(path))  # noqa: PTH119 - words of the command line, not files


def adopt_name(name: str, arguments: Sequence[str] | None = None, *, path: str | None = None) -> None:
    """Be called `name` with these arguments (None: those of `sys.argv`) in the process list.

    `path`: what the command line begins with, when that is not the name.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    names.set_comm(name)
    names.set_command_line([path or name, *arguments])
