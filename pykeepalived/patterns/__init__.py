"""Regular expressions with Perl's meaning, on hostile text: PCRE2 through ctypes.

keepalived's `regex` is a PCRE2 pattern and ldirectord's `receive` a Perl one; Python's `re` knows neither POSIX classes
nor `\\z`, `\\h`, `\\K`, recursion or `\\Q…\\E`, and it cannot be told to give up. Here

- a pattern that does not compile is a value (`PatternError`), not an exception;
- a match is limited in backtracking steps and heap, and long searches come apart into calls of bounded length
  (`Search.feed` is a generator that yields between them), so no text can stop the program;
- a text may arrive in pieces: `Search` keeps only what a match that has begun may still need.

Only bytes are matched. `load_error` says why the library cannot be used, and so does `compile_pattern`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator
from enum import Enum
from typing import Any, Final

import msgspec

_OPTIONS: Final = {
    "allow_empty_class": 0x1,
    "alt_bsux": 0x2,
    "auto_callout": 0x4,
    "caseless": 0x8,
    "dollar_endonly": 0x10,
    "dotall": 0x20,
    "dupnames": 0x40,
    "extended": 0x80,
    "firstline": 0x100,
    "match_unset_backref": 0x200,
    "multiline": 0x400,
    "never_ucp": 0x800,
    "never_utf": 0x1000,
    "no_auto_capture": 0x2000,
    "no_auto_possess": 0x4000,
    "no_dotstar_anchor": 0x8000,
    "no_start_optimize": 0x10000,
    "ucp": 0x20000,
    "ungreedy": 0x40000,
    "utf": 0x80000,
    "never_backslash_c": 0x100000,
    "alt_circumflex": 0x200000,
    "alt_verbnames": 0x400000,
    "use_offset_limit": 0x800000,
}
#: The words that keepalived's `regex_options` takes.
OPTION_NAMES: Final = frozenset(_OPTIONS)

_UTF: Final = 0x80000
_USE_OFFSET_LIMIT: Final = 0x800000
_MATCH_INVALID_UTF: Final = 0x4000000
_PARTIAL_HARD: Final = 0x20
#: The JIT's small stack must not be what decides that a pattern is too expensive.
_NO_JIT: Final = 0x2000
_JIT_COMPLETE: Final = 0x1
_JIT_PARTIAL_HARD: Final = 0x4
_NEWLINE_LF: Final = 2
_INFO_MAXLOOKBEHIND: Final = 15
_NOMATCH: Final = -1
_PARTIAL: Final = -2
_EXCEEDED: Final = frozenset((-46, -47, -48, -53, -63))

#: Steps from one start that nearly every search stays under; a whole piece is searched in one call with it.
_QUICK_STEPS: Final = 2_000
#: Steps from one start after which a pattern is too expensive.
_STEPS: Final = 2_000_000
#: Starts tried per call while a search is expensive.
_CAREFUL_STARTS: Final = 8
_HEAP_KIB: Final = 20_480
#: Text searched per call.
_PIECE: Final = 16_384
#: Text kept for a match that has begun.
KEEP_LIMIT: Final = 1 << 20
_LONGEST_PATTERN: Final = 65_536
#: No file may make a search take more memory than this.
_LARGEST_STACK: Final = 64 << 20
_NO_LIMIT: Final = ctypes.c_size_t(-1).value


class PatternError(msgspec.Struct, frozen=True):
    """Why a pattern cannot be used. `offset` counts bytes from 0; None when no place is to blame."""

    message: str
    offset: int | None = None


class Trouble(Enum):
    """Why a search ended without an answer."""

    TOO_EXPENSIVE = "pattern-too-expensive"
    TOO_LONG = "match-too-long"


class _Library:
    """libpcre2-8 with the signatures that are used here."""

    def __init__(self) -> None:
        self.dll = dll = ctypes.CDLL("libpcre2-8.so.0")
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for function, result, arguments in (
            (
                "compile",
                pointer,
                [
                    ctypes.c_char_p,
                    size,
                    ctypes.c_uint32,
                    ctypes.POINTER(ctypes.c_int),
                    ctypes.POINTER(size),
                    pointer,
                ],
            ),
            ("code_free", None, [pointer]),
            ("compile_context_create", pointer, [pointer]),
            ("set_newline", ctypes.c_int, [pointer, ctypes.c_uint32]),
            ("jit_compile", ctypes.c_int, [pointer, ctypes.c_uint32]),
            ("match_data_create", pointer, [ctypes.c_uint32, pointer]),
            ("match_data_free", None, [pointer]),
            (
                "match",
                ctypes.c_int,
                [pointer, ctypes.c_char_p, size, size, ctypes.c_uint32, pointer, pointer],
            ),
            ("match_context_create", pointer, [pointer]),
            ("match_context_free", None, [pointer]),
            ("set_match_limit", ctypes.c_int, [pointer, ctypes.c_uint32]),
            ("set_heap_limit", ctypes.c_int, [pointer, ctypes.c_uint32]),
            ("set_offset_limit", ctypes.c_int, [pointer, size]),
            ("jit_stack_create", pointer, [size, size, pointer]),
            ("jit_stack_assign", None, [pointer, pointer, pointer]),
            ("jit_stack_free", None, [pointer]),
            ("get_ovector_pointer", ctypes.POINTER(size), [pointer]),
            ("get_error_message", ctypes.c_int, [ctypes.c_int, ctypes.c_char_p, size]),
            ("pattern_info", ctypes.c_int, [pointer, ctypes.c_uint32, pointer]),
        ):
            entry = getattr(dll, f"pcre2_{function}_8")
            entry.restype = result
            entry.argtypes = arguments
            setattr(self, function, entry)
        self.newline_lf = self.compile_context_create(None)
        self.set_newline(self.newline_lf, _NEWLINE_LF)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


_library: _Library | None = None
_load_error: str | None = None


def load_error() -> str | None:
    """Why PCRE2 cannot be used on this machine, or None."""
    _load()
    return _load_error


def _load() -> _Library | None:
    global _library, _load_error
    if _library is None and _load_error is None:
        try:
            _library = _Library()
        except (OSError, AttributeError) as error:
            _load_error = f"regular expressions need the PCRE2 library (package libpcre2-8-0): {error}"
    return _library


class Pattern:
    """A compiled pattern. Not for several threads."""

    __slots__ = ("_careful", "_code", "_data", "_library", "_quick", "_stack", "lookbehind", "utf")

    def __init__(self, library: _Library, code: int, *, utf: bool, stack: tuple[int, int] | None = None) -> None:
        self.utf = utf
        self._library = library
        self._code = code
        self._data = library.match_data_create(1, None)
        self._quick = _context(library, _QUICK_STEPS)
        self._careful = _context(library, _STEPS)
        self._stack: int | None = None
        if stack is not None:
            most = min(max(stack), _LARGEST_STACK)
            self._stack = library.jit_stack_create(min(stack[0], most), most, None)
            library.jit_stack_assign(self._quick, None, self._stack)
        lookbehind = ctypes.c_uint32(0)
        library.pattern_info(code, _INFO_MAXLOOKBEHIND, ctypes.byref(lookbehind))
        #: Bytes before a start that its match may look at; at least one, so that `^` knows that it is not at the begin.
        self.lookbehind = max(1, lookbehind.value * 4)

    def __del__(self) -> None:
        library = self._library
        library.match_data_free(self._data)
        library.match_context_free(self._quick)
        library.match_context_free(self._careful)
        if self._stack:
            library.jit_stack_free(self._stack)
        library.code_free(self._code)

    def attempt(self, text: bytes, start: int, last_start: int, *, more: bool, careful: bool) -> tuple[int, int]:
        """One bounded call: (PCRE2's result, where the match or partial match starts)."""
        library = self._library
        context = self._careful if careful else self._quick
        library.set_offset_limit(context, last_start)
        flags = (_PARTIAL_HARD if more else 0) | (_NO_JIT if careful else 0)
        result: int = library.match(self._code, text, len(text), start, flags, self._data, context)
        place = library.get_ovector_pointer(self._data)[0] if result >= 0 or result == _PARTIAL else 0
        return result, place


def _context(library: _Library, steps: int) -> int:
    context: int = library.match_context_create(None)
    library.set_match_limit(context, steps)
    library.set_heap_limit(context, _HEAP_KIB)
    return context


def compile_pattern(
    pattern: bytes, options: tuple[str, ...] = (), stack: tuple[int, int] | None = None
) -> Pattern | PatternError:
    """Compile a pattern; `options` are words of `OPTION_NAMES`, others are ignored as keepalived does.

    `stack`: bytes at first and at most (cut at 64 MiB) that the compiled code may use; None: the library's 32 KiB. A
    text that needs more is searched without compiled code, more slowly.
    """
    library = _load()
    if library is None:
        return PatternError(_load_error or "")
    if len(pattern) > _LONGEST_PATTERN:
        return PatternError(f"pattern longer than {_LONGEST_PATTERN} bytes")
    bits = _USE_OFFSET_LIMIT
    for option in options:
        bits |= _OPTIONS.get(option, 0)
    if bits & _UTF:
        # A body is not promised to be UTF-8, and it is searched in pieces that may cut a character.
        bits |= _MATCH_INVALID_UTF
    number, offset = ctypes.c_int(0), ctypes.c_size_t(0)
    code = library.compile(pattern, len(pattern), bits, ctypes.byref(number), ctypes.byref(offset), library.newline_lf)
    if not code:
        buffer = ctypes.create_string_buffer(256)
        library.get_error_message(number.value, buffer, len(buffer))
        return PatternError(buffer.value.decode("ascii", "replace"), offset.value)
    # Without JIT (some architectures, hardened kernels) the interpreter does the same work more slowly.
    library.jit_compile(code, _JIT_COMPLETE | _JIT_PARTIAL_HARD)
    return Pattern(library, code, utf=bool(bits & _UTF), stack=stack)


#: What a search says of the text so far: True found, False not (yet) found, or why it cannot go on.
Answer = bool | Trouble
Steps = Generator[None, None, Answer]


class Search:
    """One unanchored search through a text that comes in pieces.

    `first_start` and `last_start` bound where in the text a match may start, in bytes from 0. After an answer other
    than False nothing more may be fed.
    """

    __slots__ = ("_base", "_last_start", "_next", "_pattern", "_text", "_unfinished")

    def __init__(self, pattern: Pattern, *, first_start: int = 0, last_start: int | None = None) -> None:
        self._pattern = pattern
        self._text = b""
        self._base = 0
        """Place of `_text` in the whole."""
        self._next = first_start
        """First start that has not been tried."""
        self._unfinished = b""
        """With `utf`: the first bytes of a character whose last ones have not come yet."""
        self._last_start = _NO_LIMIT if last_start is None else last_start

    def feed(self, data: bytes) -> Steps:
        """Search on; yields between calls of bounded length and returns the answer so far."""
        for begin in range(0, len(data), _PIECE):
            piece = self._unfinished + data[begin : begin + _PIECE]
            cut = len(piece) - _unfinished(piece) if self._pattern.utf else len(piece)
            self._text += piece[:cut]
            self._unfinished = piece[cut:]
            answer = yield from self._go_on(more=True)
            if answer is not False:
                return answer
        return False

    def finish(self) -> Steps:
        """The text has ended: search what was kept. Returns the final answer."""
        self._text += self._unfinished
        return (yield from self._go_on(more=False))

    def _go_on(self, *, more: bool) -> Steps:
        end = self._base + len(self._text)
        careful = False
        while self._next <= min(end, self._last_start):
            limit = min(self._next + _CAREFUL_STARTS - 1 if careful else end, self._last_start)
            result, place = self._pattern.attempt(
                self._text, self._next - self._base, limit - self._base, more=more, careful=careful
            )
            if result >= 0:
                if self._base + place <= self._last_start:
                    return True
                # JIT code may find a match beyond the limit of starts; then there is none before it.
                self._next = self._last_start + 1
                break
            if result in _EXCEEDED:
                if careful:
                    return Trouble.TOO_EXPENSIVE
                careful = True
                yield
                continue
            if result == _PARTIAL:
                self._next = self._base + place
                break
            if limit >= end:
                # A start at the very end is tried again with what follows.
                self._next = end
                break
            self._next = limit + 1
            if careful:
                yield
        self._forget(end)
        return Trouble.TOO_LONG if len(self._text) > KEEP_LIMIT else False

    def _forget(self, end: int) -> None:
        """Drop the text that no later start can look at."""
        keep_from = min(self._next, end) - self._pattern.lookbehind
        if keep_from > self._base:
            self._text = self._text[keep_from - self._base :]
            self._base = keep_from


def _unfinished(text: bytes) -> int:
    """Bytes at the end that begin a UTF-8 character and do not complete it."""
    for back in range(1, min(4, len(text) + 1)):
        byte = text[-back]
        if byte & 0xC0 == 0xC0:
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < size else 0
        if byte < 0x80:
            break
    return 0


def search(pattern: Pattern, text: bytes) -> Answer:
    """Search a whole text at once; for short texts outside the event loop and for tests."""
    job = Search(pattern)
    for steps in (job.feed(text), job.finish()):
        answer = _run(steps)
        if answer is not False:
            return answer
    return False


def _run(steps: Steps) -> Answer:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer
