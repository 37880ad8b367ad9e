"""Bounds on everything that a configuration file can make grow. A file that hits one gets a finding that names it."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one load; the defaults are far above any real configuration (37,000 real servers are 2 % of them)."""

    file_bytes: int = 64 * 1024 * 1024
    total_bytes: int = 128 * 1024 * 1024
    repeated_bytes: int = 4 * 1024 * 1024
    """Of files that are read again, in all: includes may multiply."""
    files: int = 10_000
    include_depth: int = 32
    brace_alternatives: int = 1_000
    line_characters: int = 65_536
    """Of a line as read, and of a line after replacement. keepalived 2.2.7 breaks lines at 1,024."""
    replacements: int = 4_096
    """Replacements of variables in one line, nested ones included."""
    generated_lines: int = 200_000
    """Lines that variables and sequences may add to what the files hold."""
    generated_characters: int = 32 * 1024 * 1024
    """Characters of those lines."""
    sequences: int = 16
    """Sequences and multi-line variables inside one another on one line."""
    definition_lines: int = 20_000
    """Lines of one multi-line definition."""
    depth: int = 32
    """Nesting of braces; the deepest documented block has 5."""
    findings: int = 2_000
    """Findings that are kept; one more says that there were more."""
