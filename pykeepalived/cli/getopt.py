"""A click command whose command line is read the way getopt_long(3) reads it.

Scripts that start keepalived rely on all of getopt_long's habits, which click's own parser does not have: short options
in one word (`-nldD`), a short option's argument in the same word (`-f/etc/x.conf`, `-S0`), long options cut short as
long as they stay unique (`--use-f`), optional arguments that only count when they are attached (`-tFILE`,
`--config-test=FILE`), and options after other words. POSIXLY_CORRECT in the environment ends the options at the first
other word, as there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click


class OptionalArgument(click.Option):
    """An option whose argument may be missing; `flag_text` is its value then."""

    def __init__(self, declarations: Sequence[str], *, flag_text: str = "", **settings: Any) -> None:
        super().__init__(declarations, **settings)
        self.flag_text = flag_text


class _Unreadable(Exception):
    """One word cannot be read; the text is one line for the user."""


class GetoptParser:
    """Reads words against a list of options. Values are as click's parser gives them: raw, by parameter name."""

    def __init__(self, options: Sequence[click.Option]) -> None:
        self._short: dict[str, click.Option] = {}
        self._long: dict[str, click.Option] = {}
        for option in options:
            for text in option.opts:
                if text.startswith("--"):
                    self._long[text[2:]] = option
                else:
                    self._short[text[1:]] = option
        self.values: dict[str, Any] = {}
        self.order: list[str] = []
        """Names of the options in the order in which they stand, also repeated."""
        self.errors: list[str] = []
        self.others: list[str] = []

    def read(self, words: Sequence[str]) -> None:
        """Fill the fields. A word that cannot be read becomes an error, and reading goes on behind it."""
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                self.others += rest
                return
            if not word.startswith("-") or word == "-":
                self.others.append(word)
                if "POSIXLY_CORRECT" in os.environ:
                    self.others += rest
                    return
                continue
            try:
                if word.startswith("--"):
                    self._read_long(word[2:], rest)
                else:
                    self._read_short(word[1:], rest)
            except _Unreadable as error:
                self.errors.append(str(error))

    def _read_long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word.partition("=")
        option = self._find_long(name)
        if not _takes_argument(option):
            if equals:
                raise _Unreadable(f"Option --{name} takes no parameter")
            self._note(option, None)
        elif equals:
            self._note(option, value)
        elif isinstance(option, OptionalArgument):
            self._note(option, None)
        elif rest:
            self._note(option, rest.pop(0))
        else:
            raise _Unreadable(f"Missing parameter for option --{name}")

    def _find_long(self, name: str) -> click.Option:
        if name in self._long:
            return self._long[name]
        fitting = sorted(text for text in self._long if text.startswith(name))
        if len({id(self._long[text]) for text in fitting}) == 1:
            return self._long[fitting[0]]
        if fitting:
            meant = ", ".join(f"--{text}" for text in fitting)
            raise _Unreadable(f"Unknown option --{name} (it could be {meant})")
        raise _Unreadable(f"Unknown option --{name}")

    def _read_short(self, letters: str, rest: list[str]) -> None:
        while letters:
            letter, letters = letters[0], letters[1:]
            option = self._short.get(letter)
            if option is None:
                self.errors.append(f"Unknown option -{letter}")
                continue
            if not _takes_argument(option):
                self._note(option, None)
                continue
            if letters:
                self._note(option, letters)
            elif isinstance(option, OptionalArgument):
                self._note(option, None)
            elif rest:
                self._note(option, rest.pop(0))
            else:
                raise _Unreadable(f"Missing parameter for option -{letter}")
            return

    def _note(self, option: click.Option, value: str | None) -> None:
        name = str(option.name)
        if option.count:
            self.values[name] = self.values.get(name, 0) + 1
        elif isinstance(option, OptionalArgument):
            self.values[name] = option.flag_text if value is None else value
        elif option.is_flag:
            self.values[name] = True
        else:
            self.values[name] = value
        self.order.append(name)


def _takes_argument(option: click.Option) -> bool:
    return not (option.is_flag or option.count)


class GetoptCommand(click.Command):
    """A click command that reads its words with `GetoptParser`.

    Words that are no options go to `ctx.args`. What could not be read does not raise: it is for the command to say it,
    because the original still answers `-v` then. `ctx.meta` has `order` and `errors` of the parser.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        parser = GetoptParser([param for param in self.get_params(ctx) if isinstance(param, click.Option)])
        parser.read(args)
        for param in self.get_params(ctx):
            param.handle_parse_result(ctx, parser.values, [])
            if param.name not in parser.values and isinstance(param, click.Option) and _takes_argument(param):
                # Newer clicks have a marker of their own here, which their parser takes out again.
                ctx.params[str(param.name)] = None
        ctx.meta["order"] = parser.order
        ctx.meta["errors"] = parser.errors
        ctx.args = parser.others
        return ctx.args

    def get_help(self, ctx: click.Context) -> str:
        """Usage in the original's shape: `  -f, --use-file=FILE          text`."""
        lines = [f"Usage: {ctx.info_name} [OPTION...]"]
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and not option.hidden:
                lines += _help_lines(option)
        return "\n".join(lines)


def _help_lines(option: click.Option) -> list[str]:
    short = next((text for text in option.opts if not text.startswith("--")), None)
    long = next((text for text in option.opts if text.startswith("--")), "")
    argument = ""
    if _takes_argument(option):
        argument = f"[={option.metavar}]" if isinstance(option, OptionalArgument) else f"={option.metavar}"
    left = f"  {short + ',' if short else '   '} {long}{argument}"
    first, *more = (option.help or "").split("\n")
    lines = [f"{left:<31}{first}"] if len(left) < 31 else [left, f"{'':<31}{first}"]
    return lines + [f"{'':<32}{text}" for text in more]
