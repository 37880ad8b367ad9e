"""How the configurations of the differential are written down, and the ones that are read from files.

A case is one keepalived.conf and what becomes of it at a reload. `@DIRECTORY@` stands for a directory of each daemon's
own with programs in it: `note WORDS` writes its words down, `answer N` ends with the state of server N (0 well, 1 dead,
4 sick), `who N` writes its user down first.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

#: Words between these marks in a comment at the top of a file say what a reload changes: `# reload: OLD => NEW`.
_RELOAD = "# reload:"


class Case(msgspec.Struct, frozen=True):
    """One configuration."""

    name: str
    text: str
    changed: str
    """The file after the change; equal to `text` when the reload brings nothing new."""
    reloads: bool = True
    """False where a reload itself is known to differ (docs/compatibility.md)."""
    quick: bool = False
    """One of the few that every test run does."""
    told: bool = True
    """False where scripts and FIFO are known to differ from 2.2.7, not from 2.4.3."""


def case(name: str, *parts: str, change: tuple[tuple[str, str], ...] = (), quick: bool = False, reloads: bool = True,
         told: bool = True, globals: str = "") -> Case:  # fmt: skip
    """A case of parts; the usual head comes first."""
    head = "global_defs {\n    script_user root\n    lvs_notify_fifo @DIRECTORY@/fifo\n    router_id lb1\n"
    head += "".join(f"    {line}\n" for line in globals.split("; ") if line) + "}\n"
    text = head + "".join(parts)
    changed = text
    for old, new in change or (("weight 3", "weight 9"),):
        if old not in changed:
            raise ValueError(f"{name}: nothing to change: {old}")
        changed = changed.replace(old, new)
    return Case(name, text, changed, reloads, quick, told)


def from_file(path: Path) -> Case:
    """A case that somebody else wrote."""
    text = path.read_text()
    changed = text
    for line in text.splitlines():
        if line.startswith(_RELOAD):
            old, _, new = line.removeprefix(_RELOAD).partition("=>")
            changed = changed.replace(old.strip(), new.strip())
    return Case(path.stem, text, changed)


# ---- pieces ----

NAT = "lb_algo wrr; lb_kind NAT; protocol TCP"
TCP = "TCP_CHECK { connect_timeout 2; retry 1; delay_before_retry 1 }"
FAST = "TCP_CHECK { connect_timeout 2; retry 0 }"


def block(text: str, indent: int = 0) -> str:
    """`WORD { a; b { c } }` on as many lines as keepalived wants."""
    lines: list[str] = []
    depth = indent
    quoted = False
    word = ""

    def out() -> None:
        nonlocal word
        if word.strip():
            lines.append("    " * depth + word.strip())
        word = ""

    for char in text:
        if char == '"':
            quoted = not quoted
        if quoted or char not in "{};\n":
            word += char
        elif char == "{":
            word += "{"
            out()
            depth += 1
        else:
            out()
            if char == "}":
                depth -= 1
                lines.append("    " * depth + "}")
    out()
    return "\n".join(lines) + "\n"


def real(address: str, words: str = "", check: str = TCP) -> str:
    """A real server: address and port, words, checks."""
    return f"real_server {address} {{ {words}; {check} }}\n"


def three(port: int | str = 8080, words: str = "", check: str = TCP, *, six: bool = False, called: str = "") -> str:
    """The three servers with weights 3, 2 and 1; `@N@` in words and check is the server's number. With `called`, each
    has scripts that note its name."""
    parts = []
    for number, weight in (("12", 3), ("13", 2), ("14", 1)):
        address = f"2001:db8:1::{number}" if six else f"192.168.0.{number}"
        more = f"{words}; {calls(f'{called}-{number}', 'notify')}" if called else words
        own = more if "weight" in more else f"weight {weight}; {more}"
        parts.append(real(f"{address} {port}", own, check).replace("@N@", number))
    return "".join(parts)


def calls(name: str, word: str = "quorum") -> str:
    """Scripts for up and down."""
    return "; ".join(f'{word}_{way} "@DIRECTORY@/note {name} {word} {way}"' for way in ("up", "down"))


def virtual(place: str, words: str, servers: str, *, called: str = "", delay: str = "delay_loop 1") -> str:
    """A virtual server."""
    more = f"; {calls(called)}" if called else ""
    return block(f"virtual_server {place} {{ {delay}; {words}{more}\n{servers} }}")


def group(name: str, *entries: str) -> str:
    return block(f"virtual_server_group {name} {{ {'; '.join(entries)} }}")
