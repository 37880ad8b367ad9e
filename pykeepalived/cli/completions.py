"""Writes the completions of our programs for bash, zsh and fish from their options.

    python -m pykeepalived.cli.completions [DIRECTORY]

DIRECTORY is the top of the repository; the files go below `contrib/completions`. They are plain text for the shell:
completing starts no interpreter. A test fails when a file is older than the options.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click

from pykeepalived.cli import genhash, keepalivedctl
from pykeepalived.cli.getopt import OptionalArgument
from pykeepalived.cli.keepalived_options import OPTIONS
from pykeepalived.cli.ldirectord import ACTIONS
from pykeepalived.runtime.logging import FACILITIES
from pykeepalived.runtime.signals import FUNCTIONS

#: What an argument can be: files, network namespaces, one of some words, anything.
FILES: Final = "files"
NAMESPACES: Final = "namespaces"
ANYTHING: Final = "anything"


class Option(NamedTuple):
    """One option of one command."""

    names: tuple[str, ...]
    help: str
    takes: str | tuple[str, ...] | None = None
    """None: no argument."""
    optional: bool = False
    """The argument only counts when it is attached."""


class Program(NamedTuple):
    """One command, or one command of keepalivedctl."""

    name: str
    options: tuple[Option, ...]
    words: tuple[str, ...] = ()
    """Words that may stand beside options."""
    files: bool = False
    """File names may stand beside options."""
    commands: tuple[tuple[Program, str], ...] = ()
    """With the line that the overview shows."""


def _one_line(text: str) -> str:
    """Help for a shell's list: one line, without what any of the shells takes for quoting."""
    return re.sub(r"[\[\]'\"`$\\:]", "", " ".join(text.replace("\b", " ").split())).strip()[:70]


def _argument(option: click.Option) -> str | tuple[str, ...] | None:
    if option.is_flag or option.count:
        return None
    if option.name == "signum":
        return tuple(FUNCTIONS)
    if option.name == "log_facility":
        return (*"01234567", *FACILITIES)
    if isinstance(option.type, click.Choice):
        return tuple(map(str, option.type.choices))
    if option.name == "namespace":
        return NAMESPACES
    if isinstance(option.type, click.Path) or option.metavar in {"FILE", "PATH", "LOG_FILE"}:
        return FILES
    return ANYTHING


def _options(parameters: list[click.Parameter]) -> tuple[Option, ...]:
    return tuple(
        Option(
            tuple(option.opts),
            _one_line(option.help or ""),
            _argument(option),
            optional=isinstance(option, OptionalArgument),
        )
        for option in parameters
        if isinstance(option, click.Option) and not option.hidden
    )


def _click_program(name: str, command: click.Command) -> Program:
    # As a command of keepalivedctl it has keepalivedctl's words for help, unless it has its own.
    above = click.Context(keepalivedctl.main, **keepalivedctl.main.context_settings)
    context = click.Context(command, parent=above, **command.context_settings)
    # Not `get_params`, which keeps the words for help of whoever asked first.
    asked = Option(tuple(sorted(command.get_help_option_names(context), key=len)), "Show this message and exit.")
    options = (*_options(command.params), asked)
    arguments = [item for item in command.params if isinstance(item, click.Argument)]
    words: list[str] = []
    for item in arguments:
        if isinstance(item.type, click.Choice):
            words += map(str, item.type.choices)
    return Program(name, options, tuple(words), files=any(isinstance(item.type, click.Path) for item in arguments))


def _genhash() -> Program:
    found = []
    for line in genhash.USAGE.splitlines():
        match = re.match(r"\s+(--[\w-]+)\s+(-\w)\s+(.*)", line)
        if match:
            long, short, text = match.groups()
            takes = ANYTHING if f"{long[2:]}=" in genhash.LONG_OPTIONS else None
            if long == "--protocol":
                found.append(Option((short, long), _one_line(text), ("1.0", "1.0c", "1.1")))
            else:
                found.append(Option((short, long), _one_line(text), takes))
    return Program("genhash", tuple(found))


def _ldirectord() -> Program:
    options = (
        Option(("-d", "--debug"), "Do not go into the background, write the log to the terminal"),
        Option(("-t", "--config-test"), "Only check the configuration file"),
        Option(("--compat",), "Check as ldirectord 4.12 does", ("strict",)),
        Option(("-h", "--help"), "Display the usage"),
        Option(("-v", "--version"), "Display the version"),
    )
    return Program("ldirectord", options, tuple(ACTIONS), files=True)


def programs() -> tuple[Program, ...]:
    """All that can be completed."""
    commands = tuple(
        (_click_program(name, importlib.import_module(module).command), _one_line(text))
        for name, (module, text) in keepalivedctl.COMMANDS.items()
    )
    ctl = Program("keepalivedctl", _options(keepalivedctl.main.params), commands=commands)
    return Program("keepalived", _options(OPTIONS)), _ldirectord(), _genhash(), ctl


def _names(program: Program) -> tuple[str, ...]:
    """What the program may be started as."""
    return (program.name,) if program.commands else (program.name, f"py{program.name}")


_HEAD: Final = "# Written by pykeepalived.cli.completions from the options of the programs.\n"


# ── bash ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bash_reply(takes: str | tuple[str, ...]) -> str:
    if isinstance(takes, tuple):
        return f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(takes)}" -- "$cur")'
    if takes == FILES:
        return 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur")'
    if takes == NAMESPACES:
        return 'mapfile -t COMPREPLY < <(compgen -W "$(ls /run/netns 2>/dev/null)" -- "$cur")'
    return ":"


def _bash_case(program: Program, indent: str) -> Iterator[str]:
    """The lines that complete one command, where $cur and $prev are known."""
    with_argument = [option for option in program.options if option.takes and not option.optional]
    optional = [option for option in program.options if option.takes and option.optional]
    yield f"{indent}case $prev in"
    for option in with_argument:
        yield f"{indent}    {' | '.join(option.names)}) {_bash_reply(option.takes or ANYTHING)}; return ;;"
    for option in optional:
        # Only `--option=VALUE`: the shell cuts that word at the sign.
        long = [name for name in option.names if name.startswith("--")]
        reply = _bash_reply(option.takes or ANYTHING)
        yield f'{indent}    {" | ".join(long)}) if [ -n "$attached" ]; then {reply}; return; fi ;;'
    yield f"{indent}esac"
    words = " ".join([*program.words, *(name for option in program.options for name in option.names)])
    yield f'{indent}mapfile -t COMPREPLY < <(compgen -W "{words}" -- "$cur")'
    if program.files:
        yield f"{indent}compopt -o filenames 2>/dev/null"
        yield f'{indent}mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -f -- "$cur")'


def bash(program: Program) -> str:
    """The file for bash-completion."""
    lines = [
        f"_{program.name}() {{",
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} attached=",
        "    COMPREPLY=()",
        "    if [ \"$cur\" = '=' ]; then cur= attached=yes",
        "    elif [ \"$prev\" = '=' ]; then prev=${COMP_WORDS[COMP_CWORD - 2]} attached=yes; fi",
    ]
    if program.commands:
        names = " ".join(command.name for command, _ in program.commands)
        lines += ["    local word command=", '    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do']
        lines += ["        case $word in -*) ;; *) command=$word; break ;; esac", "    done", "    case $command in"]
        for command, _ in program.commands:
            lines += [f"        {command.name})", *_bash_case(command, " " * 12), "            ;;"]
        words = " ".join([names, *(name for option in program.options for name in option.names)])
        lines += [f'        \'\') mapfile -t COMPREPLY < <(compgen -W "{words}" -- "$cur") ;;', "    esac"]
    else:
        lines += _bash_case(program, "    ")
    lines += ["}", f"complete -F _{program.name} {' '.join(_names(program))}"]
    return _HEAD + "".join(f"{line}\n" for line in lines)


# ── zsh ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _zsh_action(takes: str | tuple[str, ...]) -> str:
    if isinstance(takes, tuple):
        return f"({' '.join(takes)})"
    return {FILES: "_files", NAMESPACES: "_files -W /run/netns"}.get(takes, " ")


def _zsh_specs(program: Program) -> Iterator[str]:
    for option in program.options:
        names = []
        for name in option.names:
            sign = (
                ("-" if option.optional else "+") if not name.startswith("--") else ("=-" if option.optional else "=")
            )
            names.append(name + (sign if option.takes else ""))
        tail = ""
        if option.takes:
            tail = f"{'::' if option.optional else ':'}argument:{_zsh_action(option.takes)}"
        yield from (f"'*{name}[{option.help}]{tail}'" for name in names)
    if program.words or program.files:
        words = f"({' '.join(program.words)})" if program.words else "_files"
        if program.words and program.files:
            words = f'{{_alternative "words:word:{words}" "files:file:_files"}}'
        yield f"'*:argument:{words}'"


def _zsh_arguments(program: Program, indent: str) -> Iterator[str]:
    specs = list(_zsh_specs(program))
    yield f"{indent}_arguments -s -S \\"
    yield from (f"{indent}    {spec}{' ' + chr(92) if spec is not specs[-1] else ''}" for spec in specs)


def zsh(program: Program) -> str:
    """The file for a directory of zsh's fpath."""
    lines = [f"#compdef {' '.join(_names(program))}", _HEAD.strip()]
    if program.commands:
        lines += ["local -a subcommands", "subcommands=("]
        lines += [f"    '{command.name}:{text}'" for command, text in program.commands]
        lines += [")", "if (( CURRENT == 2 )); then", "    _describe command subcommands", "    return", "fi"]
        lines += ["case $words[2] in"]
        for command, _ in program.commands:
            lines += [f"    {command.name})", "        shift words; (( CURRENT-- ))"]
            lines += [*_zsh_arguments(command, " " * 8), "        ;;"]
        lines.append("esac")
    else:
        lines += _zsh_arguments(program, "")
    return "".join(f"{line}\n" for line in lines)


# ── fish ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fish_options(name: str, program: Program, condition: str) -> Iterator[str]:
    for option in program.options:
        parts = [f"complete -c {name}{condition}"]
        for word in option.names:
            parts.append(f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}")
        if option.takes and not option.optional:
            if isinstance(option.takes, tuple):
                parts.append(f"-x -a '{' '.join(option.takes)}'")
            elif option.takes == NAMESPACES:
                parts.append("-x -a '(command ls /run/netns 2>/dev/null)'")
            else:
                parts.append("-r -F" if option.takes == FILES else "-x")
        parts.append(f"-d '{option.help}'")
        yield " ".join(parts)


def fish(program: Program) -> str:
    """The file for fish's vendor_completions.d; the names of one program have a file each, with the same text."""
    lines = [_HEAD.strip()]
    for name in _names(program):
        if not program.files:
            lines.append(f"complete -c {name} -f")
        lines += _fish_options(name, program, "")
        lines += [f"complete -c {name} -a {word}" for word in program.words]
        for command, text in program.commands:
            lines.append(f"complete -c {name} -n __fish_use_subcommand -a {command.name} -d '{text}'")
            seen = f" -n '__fish_seen_subcommand_from {command.name}'"
            lines += _fish_options(name, command, seen)
            lines += [f"complete -c {name}{seen} -a {word}" for word in command.words]
            if command.files:
                lines.append(f"complete -c {name}{seen} -F")
    return "".join(f"{line}\n" for line in lines)


# ── all ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def files() -> dict[str, str]:
    """Path below the top of the repository → text."""
    found = {}
    for program in programs():
        found[f"contrib/completions/bash/{program.name}"] = bash(program)
        found[f"contrib/completions/zsh/_{program.name}"] = zsh(program)
        found[f"contrib/completions/fish/{program.name}.fish"] = fish(program)
    return found


def main(words: list[str]) -> None:
    """Write the files."""
    top = Path(words[0] if words else ".")
    for path, text in files().items():
        target = top / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
