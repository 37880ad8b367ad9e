"""One shape for every command: a line of help, `--json` where there is something to tell, completion in every shell."""

from __future__ import annotations

import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from pykeepalived.cli.ctl import completion
from pykeepalived.cli.keepalivedctl import COMMANDS, main

#: These print a text that is for programs already: a configuration, ipvsadm's tables, a shell's file, a show.
TEXT = {"convert", "fix", "ipvs", "completion", "demo", "lint", "explain-word"}


def commands():
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", each) for sub, each in command.commands.items())
        else:
            yield name, command


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_says_what_it_does_and_speaks_json(name, command):
    options = {word for param in command.params for word in param.opts}
    assert command.help
    assert name in TEXT or "--json" in options, options
    done = CliRunner().invoke(main, [*name.split(), "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


def test_an_unknown_option_is_wrong_use():
    for name in COMMANDS:
        assert CliRunner().invoke(main, [name, "--no-such-option"]).exit_code == 2, name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_file_for_every_shell(shell):
    text = CliRunner().invoke(main, ["completion", shell]).output
    assert "keepalivedctl" in text
    assert f"{completion.VARIABLE}={shell}_complete" in text.replace("env ", "")
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=text, text=True, check=True, timeout=60)


def complete(*words):
    code = "from pykeepalived.cli.keepalivedctl import main; main(prog_name='keepalivedctl')"
    env = {completion.VARIABLE: "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=120
    )
    return {line.split(",")[-1] for line in done.stdout.splitlines()}


def test_commands_and_options_are_completed():
    assert complete("keepalivedctl", "st") == {"status", "standby"}
    assert "--since" in complete("keepalivedctl", "events", "--s")


def test_names_are_those_of_the_daemon(monkeypatch):
    from pykeepalived.cli.ctl import names  # noqa: PLC0415

    body = {"vrrp": {"instances": [{"name": "VI_1"}, {"name": "web"}], "groups": [{"name": "VG"}]}}
    monkeypatch.setattr(names.control, "ask", lambda path, command, timeout_s: body)
    context = click.Context(main)
    context.params["path"] = "/x"
    assert [item.value for item in names.INSTANCE.shell_complete(context, None, "V")] == ["VI_1", "VG"]
    assert names.SERVICE.shell_complete(context, None, "") == []
