"""Reading a command line as getopt_long does."""

from __future__ import annotations

import click
import pytest

from pykeepalived.cli.getopt import GetoptCommand, GetoptParser, OptionalArgument

OPTIONS = [
    click.Option(["-n", "--dont-fork"], is_flag=True),
    click.Option(["-l", "--log-console"], is_flag=True),
    click.Option(["-D", "--log-detail"], count=True),
    click.Option(["-f", "--use-file"], metavar="FILE", help="file"),
    click.Option(["-S", "--log-facility"], metavar="WORD"),
    OptionalArgument(["-t", "--config-test"], metavar="FILE", flag_text="-"),
    click.Option(["--no-bfd"], is_flag=True),
    click.Option(["--no-syslog"], is_flag=True),
]


def read(*words: str):
    parser = GetoptParser(OPTIONS)
    parser.read(words)
    return parser.values, parser.others


@pytest.mark.parametrize(
    ("words", "values", "others"),
    [
        ((), {}, []),
        (("-nl",), {"dont_fork": True, "log_console": True}, []),
        (("-nlDf/x", "-DD"), {"dont_fork": True, "log_console": True, "log_detail": 3, "use_file": "/x"}, []),
        (("-f", "/x"), {"use_file": "/x"}, []),
        (("-f", "-n"), {"use_file": "-n"}, []),
        (("-S0",), {"log_facility": "0"}, []),
        (("--use-file", "/x"), {"use_file": "/x"}, []),
        (("--use-file=/x=y",), {"use_file": "/x=y"}, []),
        (("--use-f", "/x"), {"use_file": "/x"}, []),
        (("--u=/x",), {"use_file": "/x"}, []),
        (("--use-file=",), {"use_file": ""}, []),
        (("-t", "-f", "x"), {"config_test": "-", "use_file": "x"}, []),
        (("-t", "x"), {"config_test": "-"}, ["x"]),
        (("-tx",), {"config_test": "x"}, []),
        (("-lt", "x"), {"log_console": True, "config_test": "-"}, ["x"]),
        (("--config-test", "x"), {"config_test": "-"}, ["x"]),
        (("--config-test=x",), {"config_test": "x"}, []),
        (("a", "-n", "b", "-", "-l"), {"dont_fork": True, "log_console": True}, ["a", "b", "-"]),
        (("-n", "--", "-l"), {"dont_fork": True}, ["-l"]),
        (("--no-b",), {"no_bfd": True}, []),
    ],
)
def test_reading(words, values, others):
    assert read(*words) == (values, others)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("-z",), "Unknown option -z"),
        (("-nz",), "Unknown option -z"),
        (("--bogus",), "Unknown option --bogus"),
        (("--no",), "Unknown option --no (it could be --no-bfd, --no-syslog)"),
        (("-f",), "Missing parameter for option -f"),
        (("-nf",), "Missing parameter for option -f"),
        (("--use-f",), "Missing parameter for option --use-f"),
        (("--dont-fork=3",), "Option --dont-fork takes no parameter"),
    ],
)
def test_errors(words, text):
    parser = GetoptParser(OPTIONS)
    parser.read(words)
    assert parser.errors == [text]


def test_reading_goes_on_behind_an_error():
    parser = GetoptParser(OPTIONS)
    parser.read(("-zn", "--bogus", "-l", "-nyD"))
    assert parser.errors == ["Unknown option -z", "Unknown option --bogus", "Unknown option -y"]
    assert parser.values == {"dont_fork": True, "log_console": True, "log_detail": 1}
    assert parser.order == ["dont_fork", "log_console", "dont_fork", "log_detail"]


def test_posixly_correct_ends_options_at_the_first_word(monkeypatch):
    monkeypatch.setenv("POSIXLY_CORRECT", "1")
    assert read("-n", "a", "-l") == ({"dont_fork": True}, ["a", "-l"])


def test_it_is_a_click_command():
    seen = {}
    command = GetoptCommand("keepalived", params=OPTIONS, callback=lambda **values: seen.update(values))
    context = command.make_context("keepalived", ["-nDD", "word", "--use-f=x"])
    command.invoke(context)
    assert seen["dont_fork"] is True
    assert seen["log_detail"] == 2
    assert seen["use_file"] == "x"
    assert seen["config_test"] is None
    assert seen["log_console"] is False
    assert context.args == ["word"]
    assert "  -f, --use-file=FILE          file" in command.get_help(context)
