"""The text of keepalived.conf as a tree of statements, each word with its place in the file.

`read_tree` runs the whole of it: files and includes (`sources`), line preparation in keepalived's order (`reader`:
comments, conditions, definitions, replacement, sequences), words and braces (`words`), and the tree (`tree`). Nothing
here knows a keyword, apart from the forms of `include` and `include_check`, which steer reading itself.
"""

from pykeepalived.syntax.folding import Block, FoldedStatement, Folds, find_block
from pykeepalived.syntax.limits import Limits
from pykeepalived.syntax.reader import Reading, read_tree
from pykeepalived.syntax.scriptwords import ScriptTextError, script_words
from pykeepalived.syntax.sources import IncludeChecks, Source
from pykeepalived.syntax.tree import Statement
from pykeepalived.syntax.words import Word

__all__ = [
    "Block",
    "FoldedStatement",
    "Folds",
    "IncludeChecks",
    "Limits",
    "Reading",
    "ScriptTextError",
    "Source",
    "Statement",
    "Word",
    "find_block",
    "read_tree",
    "script_words",
]
