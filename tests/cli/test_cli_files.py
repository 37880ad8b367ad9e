"""keepalivedctl's commands that work on files and words: show-config, explain-word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pykeepalived.cli.keepalivedctl import main
from pykeepalived.dialects.keepalived.tables import all_rows
from pykeepalived.dialects.ldirectord.rows import TABLE

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(words), catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_show_config_resolves_conditions_and_shows_defaults() -> None:
    code, text, errors = run("show-config", str(EXAMPLES / "keepalived.conf"), "-i", "lb1")
    assert (code, errors) == (0, "")
    assert "state MASTER" in text and "priority 150" in text and "@" not in text
    assert "down_timer_adverts 3" in text and "connect_timeout 2" in text


def test_show_config_in_json() -> None:
    code, text, _ = run("show-config", str(EXAMPLES / "ldirectord.cf"), "--json")
    model = json.loads(text)
    assert code == 0
    assert model["virtual_servers"][0]["scheduler"] == "wrr"
    assert model["ldirectord"]["check_interval_us"] == 1_000_000


def test_show_config_lists_what_the_other_language_cannot_say() -> None:
    code, text, errors = run("show-config", str(EXAMPLES / "keepalived.conf"), "-i", "lb1", "--dialect", "ldirectord")
    assert code == 0
    assert "virtual=10.0.0.5:80" in text
    assert "not expressed: vrrp_instance outside" in errors


def test_show_config_of_a_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("global_defs {\n nonsense\n router_id a\n}\n")
    code, text, errors = run("show-config", str(path))
    assert code == 1
    assert "router_id a" in text and "unknown-keyword" in errors
    code, text, errors = run("show-config", str(tmp_path / "none"))
    assert (code, text) == (2, "")
    assert "No such file" in errors


def test_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "x.cf"
    path.write_bytes(b'virtual=10.0.0.1:80\n\treal=10.1.1.1:80 masq\n\tservice=http\n\treceive="\xff\xe9"\n')
    code, text, _ = run("show-config", "--json", str(path))
    assert code == 0 and json.loads(text)["virtual_servers"]
    for words in (["show-config"], ["show-config", "--dialect", "keepalived"], ["lint", "--format", "sarif"],
                  ["lint", "--format", "json"], ["convert"]):  # fmt: skip
        result = CliRunner().invoke(main, [*words, str(path)])
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        assert result.exit_code in (0, 1), words
    odd = str(tmp_path / "x\udcff.cf")
    code, _, errors = run("show-config", odd)
    assert code == 2 and "not UTF-8" in errors
    assert run("lint", odd)[0] == 2


@pytest.mark.parametrize("word", ["retry", "virtual_ipaddress", "checkcount", "timeout", "lvs_dataplane"])
def test_explain_word_knows_the_word(word: str) -> None:
    code, text, _ = run("explain-word", word)
    assert code == 0
    assert word in text and "state" in text


def test_explain_word_says_range_default_and_state() -> None:
    _, text, _ = run("explain-word", "virtual_router_id")
    assert "id 1..255" in text
    _, text, _ = run("explain-word", "enable_dbus")
    assert "state     in effect" in text
    _, text, _ = run("explain-word", "nb_get_retry")
    assert "write retry" in text


def test_explain_word_guesses() -> None:
    code, _, errors = run("explain-word", "virtual_ruter_id")
    assert code == 1
    assert "did you mean `virtual_router_id`?" in errors
    code, _, errors = run("explain-word", "\x1b[31mx" + "y" * 5000)
    assert code == 1
    assert "\x1b" not in errors and len(errors) < 200


def test_every_row_can_be_explained() -> None:
    from pykeepalived.cli.ctl.explain_word import explain  # noqa: PLC0415

    for word in {row.name for _, row in all_rows()} | {row.name for row in TABLE}:
        assert all(facts and title for title, facts in explain(word)), word


def test_convert_in_json() -> None:
    code, text, errors = run("convert", str(EXAMPLES / "ldirectord.cf"), "--json")
    answer = json.loads(text)
    assert (code, answer["language"], errors) == (0, "keepalived", "")
    assert "virtual_server " in answer["text"]
    plain = run("convert", str(EXAMPLES / "ldirectord.cf"))
    assert plain[1] == answer["text"]
    assert [f"note: {note}" for note in answer["notes"]] == plain[2].splitlines()


def test_fix_in_json(tmp_path: Path) -> None:
    path = tmp_path / "a.cf"
    path.write_text("virtual=10.0.0.1:80\nreal=10.0.0.2:80 gate\n")
    code, text, _ = run("fix", str(path), "--json")
    answer = json.loads(text)
    assert answer["text"] == run("fix", str(path))[1]
    assert answer["changes"] and answer["diff"].startswith("---")
    assert code == bool(answer["faults"])


def test_explain_word_in_json() -> None:
    code, text, _ = run("explain-word", "advert_int", "--json")
    (row,) = json.loads(text)
    assert code == 0
    assert row["form"].startswith("keepalived.conf: advert_int")
    assert row["state"] == "in effect"
