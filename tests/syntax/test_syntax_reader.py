"""Line preparation: what a file's text becomes, with the places of words."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pykeepalived.diagnostics import ExitClass, Findings
from pykeepalived.syntax import Limits, Statement, read_tree


def read(tmp_path: Path, text: str | bytes, **more: object) -> tuple[list[Statement], Findings]:
    path = tmp_path / "k.conf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    findings = Findings()
    reading = read_tree(str(path), findings, config_id="me", environment={"HOME": "/h"}, **more)  # type: ignore[arg-type]
    return reading.statements, findings


def words(statements: list[Statement]) -> list[object]:
    """Words of each statement; a block is a nested list behind its statement's words."""
    found: list[object] = []
    for statement in statements:
        found.append([word.text for word in statement.words] or statement.segment.brace)
        if statement.children is not None:
            found.append(tuple(words(statement.children)))
    return found


def place(statement: Statement, index: int) -> str:
    span = statement.span(index)
    return span.text[span.column - 1 : span.end_column - 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b\tc \n\n  d\n", [["a", "b", "c"], ["d"]]),
        ("a # b\n! c\n#d\ne!f\n", [["a"], ["e"]]),
        ('a "b # c" d\n', [["a", "b # c", "d"]]),
        ("a \\# b # c\n", [["a", "#", "b"]]),
        ('d "# x" e\\!f ! g\n', [["d", "# x", "e!f"]]),
        ('ab"c d" x\n', [["ab", "c d", "x"]]),
        ("a { b\n c {\n d }\n}\ne\n", [["a"], (["b"], ["c"], (["d"],)), ["e"]]),
        ("a\n{\nb\n}\n", [["a"], (["b"],)]),
        ('a "{" {\n}\n', [["a", "{"], ()]),
        ("{ a }\n", ["{", (["a"],)]),
        ("a\n}\nb\n", [["a"], "}", ["b"]]),
        ("a {\n} b\n", [["a"], (), ["b"]]),
        ("a\r\nb {\r\n}\r\n", [["a"], ["b"], ()]),
        ("@me a\n@^me b\n@you c\n@^you d\n@\n@me\n", [["a"], ["d"]]),
        ("@me a {\n@me }\n@you b {\n@you }\n", [["a"], ()]),
    ],
)
def test_words_and_blocks(tmp_path: Path, text: str, expected: list[object]) -> None:
    statements, findings = read(tmp_path, text)
    assert words(statements) == expected
    assert findings.items == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A=foo\n$A\n$A, ${A}x $Ax\n", [["foo"], ["foo,", "foox", "$Ax"]]),
        ("$B = x\n", [["$B", "=", "x"]]),
        ("$A=one\n$C=${A}1\n$A=two\n$C\n", [["two1"]]),
        ("$E=\n$E q\n", [["q"]]),
        ("$B= \\\nblock { \\\n x yy \\\n}\n$B\nlast\n", [["block"], (["x", "yy"],), ["last"]]),
        ("$E= a \\\n b \\\n c\nfoo $E\n", [["foo", "a"], ["b"], ["c"]]),
        ('$H=\\#\na $H b\nc "$H" d\n', [["a"], ["c", "$H", "d"]]),
        ('c "${_HASH}${_BANG}" d\n', [["c", "#!", "d"]]),
        ("${_INSTANCE} ${_ENV HOME}x ${_ENV NONE}y ${_RANDOM 5 5}\n", [["me", "/hx", "y", "5"]]),
        ("$_INSTANCE=other\n$_INSTANCE\n", [["other"]]),
    ],
)
def test_variables(tmp_path: Path, text: str, expected: list[object]) -> None:
    statements, findings = read(tmp_path, text)
    assert words(statements) == expected
    assert findings.items == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("~SEQ(i, 2) A$i", ["A1", "A2"]),
        ("~SEQ(i,-2) A${i}", ["A-1", "A-2"]),
        ("~SEQ(i, 4, 2) A$i", ["A4", "A3", "A2"]),
        ("~SEQ(i,0,5,12) A$i", ["A0", "A5", "A10"]),
        ("~SEQ(i,0x10,017) A$i", ["A16", "A15"]),
        ("~SEQx(z,10,12) F$z", ["Fa", "Fb", "Fc"]),
        ("~LST(v, a, b) G$v", ["Ga", "Gb"]),
        ("~LST({v,w},{1,2},{3,4}) G${v}${w}", ["G12", "G34"]),
        ("~SEQ(i,1,2) ~SEQ(j,1,2) I${i}_$j", ["I1_1", "I1_2", "I2_1", "I2_2"]),
    ],
)
def test_sequences(tmp_path: Path, line: str, expected: list[str]) -> None:
    statements, findings = read(tmp_path, line + "\n")
    assert [statement.keyword for statement in statements] == expected
    assert findings.items == []


@pytest.mark.parametrize(
    "line",
    ["~SEQ(i,0,0,5) L", "~SEQ(i,a) M", "~SEQ(i,5,1,1) N", "~SEQ(i) O", '~LST(i, "a b", c) K', "~SEQx(i,-1,2) x",
     "~LST({a,b},{1}) x", "~SEQ(i,09) x"],
)  # fmt: skip
def test_bad_sequences_are_left_out(tmp_path: Path, line: str) -> None:
    statements, findings = read(tmp_path, line + "\nkept\n")
    assert words(statements) == [["kept"]]
    assert [(item.id, item.exit_class) for item in findings.items] == [("bad-sequence", ExitClass.GENERAL)]


def test_places_point_into_the_file(tmp_path: Path) -> None:
    text = '$P=300\nblock {\n\tword  "two words" ${P}0 # tail\n  ~SEQ(i, 7, 8) name_$i x\n}\n'
    (block,), _ = read(tmp_path, text)
    assert block.children is not None
    plain, first, second = block.children
    assert [place(plain, index) for index in range(3)] == ["word", '"two words"', "${P}0"]
    assert (plain.span(0).line, plain.span(0).column) == (3, 2)
    (label,) = plain.labels()
    assert (label.span.line, label.message) == (1, "`P` is defined here")
    assert (place(first, 0), place(second, 0), place(second, 1)) == ("name_$i", "name_$i", "x")
    assert [label.message for label in second.labels()] == ["`i` is `8` here"]
    assert block.brace is not None and block.brace.column == 7


def test_a_multi_line_variable_points_to_its_use(tmp_path: Path) -> None:
    statements, _ = read(tmp_path, "$B= \\\na { \\\nb \\\n}\nx $B\n")
    inner = statements[1].children
    assert [statement.span().line for statement in statements] == [5, 5]
    assert inner is None or [place(statement, 0) for statement in inner] == ["$B"]


def test_a_definition_in_a_multi_line_variable_holds_for_the_lines_behind_it(tmp_path: Path) -> None:
    server = "$R= \\\nserver 10.0.${N}.${I} \\\nweight $I\n$I=9\n"
    both = "$S= \\\n$I=1 \\\n$R \\\n$I=2 \\\n$R\n"
    statements, findings = read(tmp_path, server + both + "$N=5\n$S\n")
    assert words(statements) == [["server", "10.0.5.1"], ["weight", "1"], ["server", "10.0.5.2"], ["weight", "2"]]
    assert findings.items == []


def test_an_undefined_variable_is_named(tmp_path: Path) -> None:
    statements, findings = read(tmp_path, 'a ${NOPE}/x "${QUOTED}"\n')
    assert words(statements) == [["a", "NOPE/x", "${QUOTED}"]]
    assert [item.id for item in findings.items] == ["undefined-variable"]


def test_an_unclosed_block_is_reported_at_its_brace(tmp_path: Path) -> None:
    _, findings = read(tmp_path, "a {\n b {\n }\n")
    (item,) = findings.items
    assert item.id == "missing-brace" and item.span is not None
    assert (item.span.line, item.span.column) == (1, 3)


@pytest.mark.parametrize(
    ("text", "limits", "identifier"),
    [
        ("x" * 200, Limits(line_characters=100), "line-too-long"),
        ("$A=${A}\n${A}\n", Limits(replacements=50), "expansion-too-large"),
        ("$A=xxxxxxxxxxxx${A}\n${A}\n", Limits(line_characters=100), "expansion-too-large"),
        ("~SEQ(i,1,1000) x\n", Limits(generated_lines=10), "expansion-too-large"),
        ("~SEQ(i,1,1000) x\n", Limits(generated_characters=10), "expansion-too-large"),
        ("~SEQ(i,1,2) " * 5 + "x\n", Limits(sequences=3), "expansion-too-large"),
        ("$A= \\\n" * 50, Limits(definition_lines=10), "definition-too-long"),
        ("a { b { c { d } } }", Limits(depth=2), "nested-too-deep"),
        ("x" * 200, Limits(file_bytes=100), "config-file-unusable"),
        ("x" * 200, Limits(total_bytes=100), "config-file-unusable"),
        ("include k.conf\n", Limits(), "include-of-itself"),
    ],
)
def test_every_limit_says_its_name(tmp_path: Path, text: str, limits: Limits, identifier: str) -> None:
    _, findings = read(tmp_path, text, limits=limits)
    assert {item.id for item in findings.items} == {identifier}
    assert findings.worst() is ExitClass.GENERAL


def test_odd_bytes(tmp_path: Path) -> None:
    statements, findings = read(tmp_path, b"\xef\xbb\xbfone\ntwo\0three\n")
    assert words(statements) == [["one"], ["two"]]
    assert [item.id for item in findings.items] == ["byte-order-mark", "nul-byte"]
    statements, findings = read(tmp_path, b"gr\xfc\xdfe\n")
    assert (words(statements), statements[0].line.source.encoding) == ([["grüße"]], "latin-1")


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_includes_are_relative_to_their_file_and_sorted(tmp_path: Path) -> None:
    inner = tmp_path / "parts"
    inner.mkdir()
    (inner / "b.inc").write_text("from_b\ninclude deeper/*.x\n")
    (inner / "a.inc").write_text("from_a\n")
    (inner / "deeper").mkdir()
    (inner / "deeper" / "1.x").write_text("deep ${_PWD}\n")
    statements, findings = read(tmp_path, 'block {\n  include parts/*.inc\n}\ninclude "parts/{a,b}.inc"\n')
    deep = ["deep", str(inner / "deeper")]
    assert words(statements) == [
        ["block"], (["from_a"], ["from_b"], deep), ["from_a"], ["from_b"], deep,
    ]  # fmt: skip
    assert findings.items == []
    assert statements[1].span().file == str(inner / "a.inc")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("include nothing", [("config-file-missing", ExitClass.NONE)]),
        ("include nothing/*", [("config-file-missing", ExitClass.NONE)]),
        ("includer nothing", [("config-file-missing", ExitClass.NONE)]),
        ("includem nothing", [("include-without-match", ExitClass.NO_CONFIG)]),
        ("includem nothing/*", [("config-file-missing", ExitClass.NONE)]),
        ("includew nothing/*", [("include-without-match", ExitClass.NO_CONFIG)]),
        ("includeb {good,nothing}", [("include-without-match", ExitClass.NO_CONFIG)]),
        ("include {good,nothing}", []),
        ("include program", [("config-file-unusable", ExitClass.NONE)]),
        ("includer program", [("config-file-unusable", ExitClass.GENERAL)]),
        ("includex good", []),
        ("include", [("missing-word", ExitClass.GENERAL)]),
        ("x {\n include_check\n include nothing\n}", [("include-without-match", ExitClass.NO_CONFIG)]),
        ("x {\n include_check\n include_check -match\n include nothing\n}", [("config-file-missing", ExitClass.NONE)]),
        ("x {\n include_check read\n include program\n}", [("config-file-unusable", ExitClass.GENERAL)]),
    ],
)
def test_how_strict_an_include_is(tmp_path: Path, line: str, expected: list[object]) -> None:
    (tmp_path / "good").write_text("good\n")
    program = tmp_path / "program"
    program.write_text("bad\n")
    program.chmod(0o755)
    statements, findings = read(tmp_path, line + "\n")
    assert [(item.id, item.exit_class) for item in findings.items] == expected
    assert "bad" not in str(words(statements))


def test_all_checks_on_request(tmp_path: Path) -> None:
    _, findings = read(tmp_path, "include nothing\n", all_checks=True)
    assert [item.id for item in findings.items] == ["include-without-match"]


def test_a_fifo_or_directory_is_not_opened(tmp_path: Path) -> None:

    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    _, findings = read(tmp_path, "include fifo\ninclude directory\n")
    assert [item.id for item in findings.items] == ["config-file-unusable", "config-file-missing"]


def test_many_files_of_one_pattern_are_not_nested(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}.part").write_text(f"from_{number}\ninclude deeper\n")
    (tmp_path / "deeper").write_text("deep\n")
    statements, findings = read(tmp_path, "include *.part\n")
    assert findings.items == []
    assert words(statements) == [word for number in range(40) for word in ([f"from_{number}"], ["deep"])]


def test_files_that_include_one_another_are_read_once_within_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.part").write_text("from_a\ninclude *.part\n")
    (tmp_path / "b.part").write_text("from_b\ninclude *.part\n")
    (tmp_path / "c.part").symlink_to("a.part")
    statements, findings = read(tmp_path, "include a.part\ninclude a.part\n")
    assert words(statements) == [["from_a"], ["from_b"]] * 2
    assert {(item.id, item.exit_class) for item in findings.items} == {("include-of-itself", ExitClass.GENERAL)}


@pytest.mark.parametrize(
    ("limits", "identifier"),
    [(Limits(files=5), "too-many-files"), (Limits(repeated_bytes=100), "config-file-unusable")],
)
def test_includes_that_multiply_are_bounded(tmp_path: Path, limits: Limits, identifier: str) -> None:
    (tmp_path / "one").write_text("include two\n" * 10)
    (tmp_path / "two").write_text("word\n")
    statements, findings = read(tmp_path, "includer one\n" * 10, limits=limits)
    assert identifier in {item.id for item in findings.items}
    assert len(statements) < 40


def test_a_line_without_its_closing_brace_is_gone_through_once(tmp_path: Path) -> None:
    for line in ("${" + "a" * 60_000, "${a" + " " * 60_000, "${_ENV " * 8_000):
        begin = time.process_time()
        read(tmp_path, line + "\n")
        assert time.process_time() - begin < 5  # Seconds of this process: 0.05 are usual, 20 without the bound.


def test_the_main_pattern_may_be_a_glob(tmp_path: Path) -> None:
    for name in ("2.conf", "1.conf"):
        (tmp_path / name).write_text(f"from_{name}\n")
    findings = Findings()
    reading = read_tree(str(tmp_path / "*.conf"), findings)
    assert words(reading.statements) == [["from_1.conf"], ["from_2.conf"]]
    assert [Path(source.name).name for source in reading.sources] == ["1.conf", "2.conf"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$i=9\n~SEQ(i,1,2) a${i}\n", ["a1", "a2"]),
        ("$m=a${i} \\\nb${i}\n~SEQ(i,1,2) $m\n", ["a1", "b1", "a2", "b2"]),
        ("$m=a${i} \\\n~SEQ(j,7,8) b${i}${j}\n~SEQ(i,1,2) $m\n", ["a1", "b17", "b18", "a2", "b27", "b28"]),
        ("$k=${j}z${i}\n$j=5\n~SEQ(i,1,2) w${k}\n", ["w5z1", "w5z2"]),
        ("~SEQ(j,1,2) ~SEQ(k,$j) q${j}_${k}\n", ["q1_1", "q2_1", "q2_2"]),
    ],
)
def test_a_sequence_repeats_all_that_its_line_becomes(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "a.conf"
    path.write_text(text)
    findings = Findings()
    found = read_tree(str(path), findings)
    assert [statement.keyword for statement in found.statements] == expected
    assert not findings.items
