"""One shape for every command: a line of help, `--json` where there is something to tell, completion in every shell."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pykeepalived.cli.ctl import completion
from pykeepalived.cli.keepalivedctl import COMMANDS, main
from pykeepalived.tools.demo.screen import Screen


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
    assert "--json" in options, options
    # mandoc's escapes stand between a word's parts.
    page = (Path(__file__).parents[2] / "man/keepalivedctl.1").read_text().replace("\\&", "").replace("\\-", "-")
    assert f".It Ic {name.split()[0]}" in page
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


def test_json_of_commands_that_ask_no_daemon(tmp_path):
    assert json.loads(CliRunner().invoke(main, ["completion", "bash", "--json"]).output)["shell"] == "bash"
    file = tmp_path / "k.conf"
    file.write_text("vrrp_instance VI_1 {\n    virtual_router_id 700\n}\n")
    done = CliRunner().invoke(main, ["lint", "--json", str(file)])
    assert done.exit_code == 2
    assert json.loads(done.output)
    out = io.StringIO()
    screen = Screen(out, live=False, as_json=True)
    screen.say("it works", good=True)
    screen.close(["well"])
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["text"], first["good"], second) == ("it works", True, {"summary": ["well"]})
