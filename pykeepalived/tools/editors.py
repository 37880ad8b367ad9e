"""Writes syntax files for editors from the tables that the parsers are made of, and the JSON schema of the model.

    python -m pykeepalived.tools.editors [DIRECTORY]

DIRECTORY is the top of the repository. vim gets `contrib/editors/vim` (a directory for its `runtimepath`), VS Code the
extension `contrib/editors/vscode`, whose TextMate grammars other editors read, too. A test fails when a file is older
than its table.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pykeepalived.dialects.keepalived import rows as keepalived
from pykeepalived.dialects.keepalived.tables import TABLES
from pykeepalived.dialects.ldirectord import rows as ldirectord
from pykeepalived.model import Config

_WIDTH: Final = 110
_LDIRECTORD_STATES: Final = (ldirectord.State.EFFECT, ldirectord.State.LATER)
#: Words that `:syntax keyword` takes for its own arguments.
_VIM_ARGUMENTS: Final = frozenset(
    ("cchar", "conceal", "contained", "containedin", "contains", "nextgroup", "skipempty", "skipnl", "skipwhite",
     "transparent")
)  # fmt: skip


class Words(NamedTuple):
    """The words of a language by the part they play, each sorted."""

    blocks: list[str]
    keywords: list[str]
    options: list[str]
    old: list[str]


def _sorted(words: Iterable[str], *but: Iterable[str]) -> list[str]:
    return sorted(set(words).difference(*but))


def keepalived_words() -> Words:
    """The words of keepalived.conf. A word that is one thing here and another there plays its first part."""
    rows = [row for table in TABLES for row in table.rows.values()]
    blocks = _sorted(
        row.name
        for row in rows
        if row.kind in (keepalived.Kind.BLOCK, keepalived.Kind.LIST, keepalived.Kind.WORDS) and row.replaced_by is None
    )
    keywords = _sorted((row.name for row in rows if row.replaced_by is None), blocks)
    grammars = [row.options for row in rows if row.options is not None]
    options = _sorted((name for grammar in grammars for name in grammar.rows), blocks, keywords)
    old = _sorted((row.name for row in rows), blocks, keywords, options)
    return Words(blocks, keywords, options, old)


def ldirectord_words() -> Words:
    """The words of ldirectord.cf. What stands in a real server's line is an option."""
    rows = ldirectord.TABLE
    sections = ["virtual", "virtual6"]
    whole = [row for row in rows if row.scope is not ldirectord.Scope.REAL]
    keywords = _sorted((row.name for row in whole if row.state in _LDIRECTORD_STATES), sections)
    old = _sorted((row.name for row in whole), keywords, sections)
    return Words(sections, keywords, ["gate", "ipip", "masq"], old)


# ── vim ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _vim_words(group: str, words: list[str]) -> list[str]:
    plain = [word for word in words if re.fullmatch(r"[\w-]+", word) and word not in _VIM_ARGUMENTS]
    lines: list[str] = []
    line = head = f"syntax keyword {group}"
    for word in plain:
        if len(line) + len(word) >= _WIDTH:
            lines.append(line)
            line = head
        line += f" {word}"
    if line != head:
        lines.append(line)
    for word in words:
        if word not in plain:
            lines.append(rf"syntax match {group} /\V\<{word.replace('/', chr(92) + '/')}\>/")
    return lines


def _vim(language: str, words: Words, matches: list[str]) -> str:
    groups = {
        "Block": ("Structure", words.blocks),
        "Keyword": ("Keyword", words.keywords),
        "Option": ("Type", words.options),
        "Old": ("Todo", words.old),
    }
    lines = [
        f'" {language}: made by python -m pykeepalived.tools.editors',
        'if exists("b:current_syntax")',
        "  finish",
        "endif",
        "syntax iskeyword @,48-57,_,-",
    ]
    for name, (_, found) in groups.items():
        lines += _vim_words(f"{language}{name}", found)
    lines += [match.format(n=language) for match in matches]
    links = {name: link for name, (link, _) in groups.items()} | {
        "Number": "Number", "String": "String", "Comment": "Comment", "Variable": "PreProc", "Include": "Include",
    }  # fmt: skip
    lines += [f"highlight default link {language}{name} {link}" for name, link in links.items()]
    lines += [f'let b:current_syntax = "{language}"']
    return "\n".join(lines) + "\n"


_VIM_ADDRESS: Final = r"syntax match {n}Number /\v<\d+(\.\d+){{0,3}}(\/\d+)?>/"
_VIM_KEEPALIVED: Final = [
    _VIM_ADDRESS,
    r"syntax match {n}Include /\v^\s*include[abmrw]?\ze\s/",
    r"syntax match {n}Variable /\v\$\{{[^}}]*\}}|\$\h\w*|\~(SEQx?|LST)>|^\s*\@\^?\S+/",
    r'syntax region {n}String start=/"/ end=/"\|$/ contains={n}Variable',
    r"syntax match {n}Comment /\v(^|[^\\])@1<=[#!].*$/",
]
_VIM_LDIRECTORD: Final = [
    _VIM_ADDRESS,
    r'syntax region {n}String start=/"/ skip=/\\"/ end=/"\|$/',
    r"syntax match {n}Comment /#.*$/",
]
_VIM_DETECT: Final = (
    '" keepalived.conf and ldirectord.cf: made by python -m pykeepalived.tools.editors\n'
    "autocmd BufNewFile,BufRead keepalived.conf,*/keepalived/*.conf setfiletype keepalived\n"
    "autocmd BufNewFile,BufRead ldirectord.cf,*/ha.d/ldirectord*.cf setfiletype ldirectord\n"
)

# ── TextMate, VS Code ────────────────────────────────────────────────────────────────────────────────────────────────


def _alternatives(words: list[str]) -> str:
    # The longest first, so that no word hides one that begins with it.
    found = "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))
    return rf"(?<![\w-])(?:{found})(?![\w-])"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _textmate(language: str, extensions: list[str], words: Words, own: list[dict[str, Any]]) -> str:
    parts = {
        "entity.name.type": words.blocks,
        "keyword.other": words.keywords,
        "support.type": words.options,
        "invalid.deprecated": words.old,
    }
    patterns = own + [
        {"name": f"{scope}.{language}", "match": _alternatives(found)} for scope, found in parts.items() if found
    ]
    patterns.append(
        {"name": f"constant.numeric.{language}", "match": r"(?<![\w.-])\d+(?:\.\d+){0,3}(?:/\d+)?(?![\w-])"}
    )
    return _json({"name": language, "scopeName": f"source.{language}", "fileTypes": extensions, "patterns": patterns})


def _strings(language: str, inside: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": f"string.quoted.double.{language}", "begin": '"', "end": '"|$', "patterns": inside}


def _keepalived_patterns() -> list[dict[str, Any]]:
    variable = {
        "name": "variable.other.keepalived",
        "match": r"\$\{[^}]*\}|\$[A-Za-z_]\w*|~(?:SEQx?|LST)\b|^\s*@\^?\S+",
    }
    return [
        {"name": "comment.line.keepalived", "match": r"(?<!\\)[#!].*$"},
        _strings("keepalived", [variable]),
        variable,
        {"name": "keyword.control.import.keepalived", "match": r"^\s*include[abmrw]?(?=\s)"},
    ]


def _ldirectord_patterns() -> list[dict[str, Any]]:
    return [
        {"name": "comment.line.ldirectord", "match": r"#.*$"},
        _strings("ldirectord", [{"name": "constant.character.escape.ldirectord", "match": r"\\."}]),
    ]


def _extension() -> str:
    languages = {"keepalived": ["keepalived.conf"], "ldirectord": ["ldirectord.cf"]}
    return _json(
        {
            "name": "pykeepalived-syntax",
            "displayName": "keepalived.conf and ldirectord.cf",
            "description": "Colours for both configuration languages of pykeepalived",
            "version": "0.1.0",
            "publisher": "pykeepalived",
            "license": "GPL-2.0-or-later",
            "engines": {"vscode": "^1.60.0"},
            "categories": ["Programming Languages"],
            "contributes": {
                "languages": [
                    {"id": name, "filenames": files, "configuration": f"./{name}.language.json"}
                    for name, files in languages.items()
                ],
                "grammars": [
                    {"language": name, "scopeName": f"source.{name}", "path": f"./syntaxes/{name}.tmLanguage.json"}
                    for name in languages
                ],
            },
        }
    )


def _language(brackets: list[list[str]]) -> str:
    return _json(
        {
            "comments": {"lineComment": "#"},
            "brackets": brackets,
            "autoClosingPairs": [*brackets, ['"', '"']],
        }
    )


# ── the model ────────────────────────────────────────────────────────────────────────────────────────────────────────


def model_schema() -> str:
    """The JSON schema of what `keepalivedctl show-config --json` prints."""
    schema = msgspec.json.schema(Config)
    return _json({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "pykeepalived model", **schema})


def files() -> dict[str, str]:
    """All generated files: path below the top of the repository, and text."""
    vim, code = "contrib/editors/vim", "contrib/editors/vscode"
    one, other = keepalived_words(), ldirectord_words()
    return {
        f"{vim}/syntax/keepalived.vim": _vim("keepalived", one, _VIM_KEEPALIVED),
        f"{vim}/syntax/ldirectord.vim": _vim("ldirectord", other, _VIM_LDIRECTORD),
        f"{vim}/ftdetect/pykeepalived.vim": _VIM_DETECT,
        f"{code}/package.json": _extension(),
        f"{code}/keepalived.language.json": _language([["{", "}"]]),
        f"{code}/ldirectord.language.json": _language([]),
        f"{code}/syntaxes/keepalived.tmLanguage.json": _textmate("keepalived", ["conf"], one, _keepalived_patterns()),
        f"{code}/syntaxes/ldirectord.tmLanguage.json": _textmate("ldirectord", ["cf"], other, _ldirectord_patterns()),
        "docs/model.schema.json": model_schema(),
    }


def main() -> None:
    top = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, text in files().items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
